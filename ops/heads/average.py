"""TSN's average consensus: every representation has logits, a video has their mean.

Wang et al., *Temporal Segment Networks*, ECCV 2016, equation 1 with the average as G and, as in TSN's program, the mean
of logits, not of probabilities.
"""

from torch import Tensor

from ops.heads.head import Head


class Average(Head):
    """Mean over representations, (n, g, K) -> (n, K)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Identity(Head):
    """Every representation keeps its logits, (n, g, K): each is trained on the video's label by itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x
