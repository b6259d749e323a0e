"""A classifier of two layers on the mean of a video's features: VideoGraph's, with nothing of VideoGraph before it.

What ResNet-152 on 64 frames of Breakfast has for a head in the comparison of Hussein, Gavves, Smeulders (2019, arXiv
1905.05143) is not published. This one is the classifier of their own method, on the mean over places and
representations: 1,055,242 parameters with ResNet-152 and 10 classes.
"""

from torch import Tensor

from ops.heads.classifier import two_layers
from ops.heads.head import Head


class MLP(Head):
    """Features (n, g, d) -> (n, K)."""

    takes_features = norms_videos = True
    classifiers = ("consensus.classifier.5.weight",)

    def __init__(self, feature_dim: int, num_class: int, num_segments: int):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = None
        self.classifier = two_layers(feature_dim, 512, num_class, dropout=0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.mean(1))
