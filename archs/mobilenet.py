"""MobileNetV2 cut into stages, each of which ends with a ReLU6.

Sandler, Howard, Zhu, Zhmoginov, Chen: *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018, arXiv
1801.04381. Blocks are torchvision's; their weights are named as in TSM, whose blocks are flat sequences
(`features.3.conv.0.weight`), so that TSM's checkpoints load here and ours load there. The names of torchvision, which
nests them, are translated where weights are loaded.

A block of this network ends without a ReLU: `a > 0` behind it is no pattern of active units, and says nothing about
gradients. Stages are therefore cut behind the expansion of a block, a 1x1 convolution with a ReLU6, of those blocks
that change the size or the number of channels. These have no connection around them, so that nothing but the expanded
activations goes on, and clustering may replace them by their means. `expand4`, behind the expansion of `features.4`,
stands where `layer1` ends in a ResNet: 56x56 of 224 pixels. That a ReLU6 has a second kink, at 6, is not looked at.
"""

from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual

from archs.backbone import Arch, Backbone, Place

PLAN = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, LAST = 32, 1280  # channels of the first and of the last convolution
ENDS = {"features0": 0, "expand2": 2, "expand4": 4, "expand7": 7, "expand11": 11, "expand14": 14, "expand17": 17}
STAGES = (*ENDS, "features18")
BLOCK_STAGES = ("expand4", "expand7", "expand11", "expand14", "expand17")
EXPANSION = 3  # layers of a block that expand: convolution, BatchNorm, ReLU6


def conv(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    """A convolution with BatchNorm and ReLU6."""
    layer = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


def inverted_residual(inputs: int, outputs: int, stride: int, expansion: int) -> InvertedResidual:
    """torchvision's block, laid out as a flat sequence."""
    block = InvertedResidual(inputs, outputs, stride, expansion)
    parts = [part if isinstance(part, nn.Sequential) else [part] for part in block.conv]
    block.conv = nn.Sequential(*(layer for part in parts for layer in part))
    return block


def scale(channels: int, width: float) -> int:
    """So many channels at another width."""
    return max(4, 4 * round(channels * width / 4))


def stage_of(key: str) -> str:
    """The stage that holds the weight of a name; of blocks that two stages share, the first."""
    number = key.removeprefix("features.").split(".")[0]
    if not number.isdecimal():
        return ""
    return next((stage for stage, end in ENDS.items() if int(number) <= end), STAGES[-1])


class MobileNetV2(Backbone):
    """MobileNetV2 without its classifier, (m, in_channels, S, S) -> (m, 1280 width).

    `width` multiplies all numbers of channels, the last one's too; they are rounded to multiples of 4, at least 4.
    """

    stages, first_conv = STAGES, "features.0.0"

    def __init__(self, in_channels: int = 3, *, width: float = 1.0):
        super().__init__()
        self.in_channels = in_channels
        channels, self.feature_dim = scale(STEM, width), scale(LAST, width)
        self.features = nn.Sequential(conv(in_channels, channels, 3, 2))
        self.channels = {"features0": channels}
        for expansion, plain, repeats, stride in PLAN:
            outputs = scale(plain, width)
            for i in range(repeats):
                self.features.append(inverted_residual(channels, outputs, stride if i == 0 else 1, expansion))
                channels = outputs
        self.features.append(conv(channels, self.feature_dim, 1, 1))
        self.channels |= {stage: self.features[end].conv[0].out_channels for stage, end in ENDS.items() if end}
        self.channels["features18"] = self.feature_dim
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        for module in self.stage_modules(stage):
            x = module(x)
        return x

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The rest of the block in which the stage before ended, whole blocks, and an expansion."""
        if stage == "features0":
            return [self.features[0]]
        begun = ENDS[STAGES[STAGES.index(stage) - 1]]
        rest = [*self.features[begun].conv][EXPANSION:] if begun else []
        if stage == "features18":
            return [*rest, self.features[18]]
        end = ENDS[stage]
        whole = [self.features[number] for number in range(begun + 1, end)]
        return [*rest, *whole, *[*self.features[end].conv][:EXPANSION]]

    def blocks(self, stage: str) -> list[Place]:
        """The blocks with a connection around them: features 3, 5, 6, 8, 9, 10, 12, 13, 15, 16."""
        residual = {name: b for name, b in self.features.named_children() if getattr(b, "use_res_connect", False)}
        here = [name for name in residual if stage_of(f"features.{name}") == stage]
        return [Place(self.features, name, residual[name].out_channels) for name in here]

    def shift_places(self, stage: str) -> list[Place]:
        """The convolution that expands, in each of `blocks` (TSM)."""
        return [Place(block.module.conv, "0", block.channels) for block in self.blocks(stage)]


MOBILENET_V2 = Arch(
    MobileNetV2,
    stages=STAGES,
    block_stages=BLOCK_STAGES,
    cluster_after="expand4",
    weights="MobileNet_V2_Weights.IMAGENET1K_V1",
    stage_of=stage_of,
    cut_note="its blocks end without a ReLU, so that signs are compared behind a first convolution or an expansion",
)
HALF = (0.5, 0.5, 0.5)
MOBILENETS = {
    "mobilenetv2": MOBILENET_V2,
    "mobilenetv2_tf": replace(MOBILENET_V2, mean=HALF, std=HALF, weights=None),  # for weights of TensorFlow's
    "mobilenetv2_thin": replace(MOBILENET_V2, build=partial(MobileNetV2, width=0.25), input_size=64, weights=None),
}
