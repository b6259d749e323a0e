"""What the heads of VideoGraph's authors have in common: their classifier, and the BatchNorm of Keras.

Hussein, Gavves, Smeulders: *VideoGraph: Recognizing Minutes-Long Human Activities in Videos*, 2019, arXiv 1905.05143.
"""

from torch import nn

KERAS_NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras's .99 is the share of the old
SLOPE = 0.2  # of LeakyReLU below 0


def two_layers(width: int, hidden: int, num_class: int, dropout: float) -> nn.Sequential:
    """Dropout, a hidden layer with BatchNorm and LeakyReLU, dropout of .25, the logits: (n, width) -> (n, K)."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden, **KERAS_NORM),
        nn.LeakyReLU(SLOPE),
        nn.Dropout(0.25),
        nn.Linear(hidden, num_class),
    )
