"""Colours of clusters and cuts in every picture: Okabe and Ito's, which colour-blind readers can tell apart."""

CLUSTERS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # by turns
CUT, CURVE, SEEN = "#D55E00", "#000000", "#E69F00"
CLASSES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # those shown longest
OTHERS = "#8C8C8C"
