"""BNInception, the backbone of TSN and TRN.

Ioffe, Szegedy: *Batch Normalization*, ICML 2015, arXiv 1502.03167 (figure 5 and appendix). Weights are named as in the
files of TSN and TRN (`inception_3a_double_3x3_1`, `..._bn`), which load as they are. It sees what they were trained on:
BGR from 0 to 255 less (104, 117, 128); the colours are turned round and scaled here. Deviations from these programs:

- the weight of new statistics in BatchNorm is PyTorch's, 0.1; theirs is 0.9, which shows in training alone;
- a map with an odd number of rows or columns is padded before pooling halves it, so that it stays as large as those of
  the convolutions beside it; there, such sizes fail. At 224 pixels nothing differs;
- the last map is averaged whatever its size, where theirs must be 7x7;
- for optical flow, 127.5 means no motion where theirs is 128.

Every block ends with a ReLU or a pooling of such: signs may be compared behind any of them. There is no connection
around a block, so that shift stands before blocks only (`--shift_place block`).
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archs.backbone import Arch, Backbone, Place

# 1x1; 3x3 reduce, out; double 3x3 reduce, middle, out; pooling, its projection. A block without 1x1 halves the map
PLAN = {
    "inception_3a": (64, (64, 64), (64, 96, 96), ("avg", 32)),
    "inception_3b": (64, (64, 96), (64, 96, 96), ("avg", 64)),
    "inception_3c": (0, (128, 160), (64, 96, 96), ("max", 0)),
    "inception_4a": (224, (64, 96), (96, 128, 128), ("avg", 128)),
    "inception_4b": (192, (96, 128), (96, 128, 128), ("avg", 128)),
    "inception_4c": (160, (128, 160), (128, 160, 160), ("avg", 128)),
    "inception_4d": (96, (128, 192), (160, 192, 192), ("avg", 128)),
    "inception_4e": (0, (128, 192), (192, 256, 256), ("max", 0)),
    "inception_5a": (352, (192, 320), (160, 224, 224), ("avg", 128)),
    "inception_5b": (352, (192, 320), (192, 224, 224), ("max", 128)),
}
STAGES = ("conv1", "conv2", *PLAN)
MEAN = (128 / 255, 117 / 255, 104 / 255)  # of red, green and blue


def halve(x: Tensor) -> Tensor:
    """Max pooling of 3x3 by steps of two, (m, c, h, w) -> (m, c, ceil(h / 2), ceil(w / 2))."""
    return F.max_pool2d(x, 3, stride=2, padding=(x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)


class BNInception(Backbone):
    """BNInception without its classifier, (m, in_channels, S, S) -> (m, 1024); its layers lie side by side.

    `divisor`, a divisor of 32, leaves so much less of each number of channels.
    """

    stages, first_conv = STAGES, "conv1_7x7_s2"

    def __init__(self, in_channels: int = 3, *, divisor: int = 1):
        super().__init__()
        self.in_channels = in_channels
        first, inputs = 64 // divisor, 192 // divisor
        self.add_conv("conv1_7x7_s2", in_channels, first, 7, stride=2)
        self.add_conv("conv2_3x3_reduce", first, first, 1)
        self.add_conv("conv2_3x3", first, inputs, 3)
        self.channels = {"conv1": first, "conv2": inputs}
        for block, plan in PLAN.items():
            single, (reduce, out), (double, middle, last), projection = at_size(plan, divisor)
            stride = 1 if single else 2
            if single:
                self.add_conv(f"{block}_1x1", inputs, single, 1)
            self.add_conv(f"{block}_3x3_reduce", inputs, reduce, 1)
            self.add_conv(f"{block}_3x3", reduce, out, 3, stride)
            self.add_conv(f"{block}_double_3x3_reduce", inputs, double, 1)
            self.add_conv(f"{block}_double_3x3_1", double, middle, 3)
            self.add_conv(f"{block}_double_3x3_2", middle, last, 3, stride)
            if projection:
                self.add_conv(f"{block}_pool_proj", inputs, projection, 1)
            inputs = single + out + last + (projection or inputs)
            self.channels[block] = inputs
        self.feature_dim = inputs
        self.doors = nn.ModuleDict({stage: nn.Identity() for stage in STAGES[1:]})  # what enters a block passes here
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def add_conv(self, name: str, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        """A convolution with bias, and the BatchNorm behind it."""
        self.add_module(name, nn.Conv2d(inputs, outputs, size, stride, padding=size // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def conv(self, name: str, x: Tensor) -> Tensor:
        return F.relu(getattr(self, f"{name}_bn")(getattr(self, name)(x)), inplace=True)

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        if stage == "conv1":
            return halve(self.conv("conv1_7x7_s2", as_trained(x)))  # (m, 3, S, S) -> (m, 64, S/4, S/4)
        x = self.doors[stage](x)
        if stage == "conv2":
            return halve(self.conv("conv2_3x3", self.conv("conv2_3x3_reduce", x)))
        single, _, _, (pooling, projection) = PLAN[stage]
        parts = [self.conv(f"{stage}_1x1", x)] if single else []
        parts.append(self.conv(f"{stage}_3x3", self.conv(f"{stage}_3x3_reduce", x)))
        double = self.conv(f"{stage}_double_3x3_1", self.conv(f"{stage}_double_3x3_reduce", x))
        parts.append(self.conv(f"{stage}_double_3x3_2", double))
        if projection:
            pool = {"avg": F.avg_pool2d, "max": F.max_pool2d}[pooling]
            parts.append(self.conv(f"{stage}_pool_proj", pool(x, 3, stride=1, padding=1)))
        else:
            parts.append(halve(x))
        return torch.cat(parts, 1)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        return [module for name, module in self.named_children() if name.startswith(f"{stage}_")]

    def blocks(self, stage: str) -> list[Place]:
        """The door of each block but the first, where its input passes: what is put there comes before the block."""
        if stage == "conv1":
            return []
        return [Place(self.doors, stage, self.channels[STAGES[STAGES.index(stage) - 1]])]


def at_size(plan: tuple, divisor: int) -> tuple[int, list[int], list[int], int]:
    """A row of `PLAN` without the kind of its pooling, with so much fewer channels."""
    single, branch, double, (_, projection) = plan
    return single // divisor, [n // divisor for n in branch], [n // divisor for n in double], projection // divisor


def as_trained(x: Tensor) -> Tensor:
    """Normalised input, of 0 to 1, as the published weights know it: 0 to 255, and colours as blue, green, red.

    Optical flow, of which no number of channels divides by 3, has no colours.
    """
    if x.shape[1] % 3 == 0:
        x = x.unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
    return 255 * x


BN_INCEPTION = Arch(
    BNInception,
    stages=STAGES,
    block_stages=STAGES[1:],
    cluster_after="conv2",
    mean=MEAN,
    std=(1.0, 1.0, 1.0),
    shift_places=("block",),
    stage_of=lambda key: next((stage for stage in STAGES if key.startswith(f"{stage}_")), ""),
)
BN_INCEPTIONS = {
    "bninception": BN_INCEPTION,
    "bninception_thin": replace(BN_INCEPTION, build=partial(BNInception, divisor=8), input_size=64),
}
