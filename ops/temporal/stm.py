"""STM: a module of space and time, and one of motion, in place of a 3x3 convolution.

Jiang, Wang, Gan, Wu, Yan: *STM: SpatioTemporal and Motion Encoding for Action Recognition*, ICCV 2019, arXiv
1908.02486. In every block, between the 1x1 convolutions,

    CSTM(x) + CMM(x)
    CSTM(x)[t] = conv3x3( sum over d = -1, 0, 1 of w[d] * x[t + d] )        w: three numbers a channel
    CMM(x)[t]  = expand( conv3x3_depthwise(r[t + 1]) - r[t] ),  r = reduce(x);  0 at the last step

where what lies outside the video is zero. The 3x3 convolution of CSTM is the one that stood there, with its weights.
At the start w takes the previous step in the first quarter of the channels, the next one in the last quarter, and the
step itself between them. There is no official code; what the paper leaves open, and what is different here:

- CMM holds no BatchNorm; that of the block follows the sum. Its convolutions have no bias and start as PyTorch's do;
- where the 3x3 convolution has a stride, the differences are averaged over as many places before `expand`;
- of a block with two 3x3 convolutions (ResNet-18), the second is replaced;
- with clustering, steps are the representations, and only blocks behind it hold STM.
"""

import torch
from torch import Tensor, nn

from archs.backbone import Backbone

SQUEEZE = 16  # times fewer channels see motion


class ChannelwiseTime(nn.Module):
    """Each channel of its own as a weighted sum of three steps, x (n, g, c, h, w) -> the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, 3))  # as nn.Conv1d has it: previous, same, next step
        quarter = channels // 4
        with torch.no_grad():
            self.weight[:quarter, :, 0] = 1
            self.weight[quarter : channels - quarter, :, 1] = 1
            self.weight[channels - quarter :, :, 2] = 1

    def forward(self, x: Tensor) -> Tensor:
        previous, same, following = self.weight.to(x.dtype).view(1, 1, -1, 1, 1, 3).unbind(-1)
        out = x * same
        out[:, 1:] += x[:, :-1] * previous
        out[:, :-1] += x[:, 1:] * following
        return out


class Motion(nn.Module):
    """What changes from each step to the next (CMM), x (n*g, c, h, w) -> (n*g, c, h / stride, w / stride)."""

    def __init__(self, channels: int, outputs: int, stride: int, num_segments: int):
        super().__init__()
        self.num_segments = num_segments
        inner = max(1, channels // SQUEEZE)
        self.reduce = nn.Conv2d(channels, inner, 1, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.expand = nn.Conv2d(inner, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)  # (n*g, c, h, w) -> (n*g, c/16, h, w)
        steps, moved = (y.unflatten(0, (-1, self.num_segments)) for y in (x, self.conv(x)))  # (n, g, c/16, h, w)
        change = torch.zeros_like(steps)
        change[:, :-1] = moved[:, 1:] - steps[:, :-1]
        return self.expand(self.pool(change.flatten(0, 1)))


class STM(nn.Module):
    """CSTM(x) + CMM(x) around the 3x3 convolution `net`, x (n*g, c, h, w) -> whatever shape `net` gives."""

    def __init__(self, net: nn.Conv2d, num_segments: int):
        super().__init__()
        self.net, self.num_segments = net, num_segments
        self.stm = nn.ModuleDict(
            {
                "time": ChannelwiseTime(net.in_channels),
                "motion": Motion(net.in_channels, net.out_channels, net.stride[0], num_segments),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.stm["time"](x.unflatten(0, (-1, self.num_segments))).flatten(0, 1)
        return self.net(mixed) + self.stm["motion"](x)


def add_stm(backbone: Backbone, stage: str, num_segments: int) -> None:
    """STM in every block of a stage (`--temporal stm`)."""
    for place in backbone.spatial_convs(stage):
        place.put(STM(place.module, num_segments))
