"""Temporal maximum: of each activation the largest over a video's steps, before the network's last residual block.

Bilen, Fernando, Gavves, Vedaldi: *Action Recognition with Dynamic Image Networks*, IEEE TPAMI 2018, whose networks see
several windows of a video. They take the maximum of the second last block's sum, before its ReLU; here it is taken
behind that, which is the same: a ReLU changes no order.
"""

from torch import Tensor, nn


class TemporalMax(nn.Module):
    """Keep the largest of each activation over the `num_segments` steps of a video, then run `net`."""

    def __init__(self, net: nn.Module, num_segments: int):
        super().__init__()
        self.net, self.num_segments = net, num_segments

    def forward(self, x: Tensor) -> Tensor:
        """x (n*g, c, h, w) -> `net` of (n, c, h, w)."""
        return self.net(x.unflatten(0, (-1, self.num_segments)).amax(1))

    def extra_repr(self) -> str:
        return f"num_segments={self.num_segments}"
