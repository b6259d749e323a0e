"""Non-local block: every position of a video looks at every other.

Wang, Girshick, Gupta, He: *Non-local Neural Networks*, CVPR 2018, arXiv 1711.07971: the embedded Gaussian version with
spatial sub-sampling. Key names follow TSM (`block`, `nl.g.0`, `nl.theta`, `nl.phi.0`, `nl.W.0`, `nl.W.1`). One thing
differs: where a map has an odd number of rows or columns, its last ones are pooled too instead of being left out.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class SpatialPool(nn.Module):
    """Halve height and width by max pooling, step by step; a last odd row or column is pooled by itself.

    x (n, c, t, h, w) -> (n, c, t, ceil(h / 2), ceil(w / 2)). Channels and steps are pooled as the channels of an image:
    `nn.MaxPool3d` has no deterministic gradient on CUDA.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x.flatten(1, 2), 2, ceil_mode=True).unflatten(1, x.shape[1:3])


class NonLocal3d(nn.Module):
    """z = W softmax(theta(x)^T phi(x)) g(x) + x over time and space (Wang et al., equations 1 and 6).

    x (n, c, t, h, w) -> the same shape. The scale of the last BatchNorm starts at zero, so that a new block changes
    nothing.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 2)
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Sequential(nn.Conv3d(channels, inner, 1), SpatialPool())
        self.g = nn.Sequential(nn.Conv3d(channels, inner, 1), SpatialPool())
        self.W = nn.Sequential(nn.Conv3d(inner, channels, 1), nn.BatchNorm3d(channels))
        nn.init.zeros_(self.W[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x).flatten(2)  # (n, c/2, places)
        attention = (query.transpose(1, 2) @ key).softmax(-1)  # (n, thw, thw/4)
        y = (attention @ value.transpose(1, 2)).transpose(1, 2)  # (n, c/2, thw)
        return x + self.W(y.unflatten(2, x.shape[2:]))  # laid out in memory as x


class NonLocalWrapper(nn.Module):
    """A residual block followed by a non-local block over the `num_segments` steps of each video.

    x (n*g, c, h, w) -> whatever shape `block` makes of it.
    """

    def __init__(self, block: nn.Module, channels: int, num_segments: int):
        super().__init__()
        self.block, self.nl, self.num_segments = block, NonLocal3d(channels), num_segments

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x).unflatten(0, (-1, self.num_segments)).transpose(1, 2)  # (n*g, c, h, w) -> (n, c, g, h, w)
        return self.nl(x).transpose(1, 2).flatten(0, 1)
