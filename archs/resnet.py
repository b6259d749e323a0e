"""ResNets cut into named stages. They see images and know no time.

He et al., CVPR 2016 (ResNet); Xie et al., CVPR 2017 (ResNeXt). Blocks are torchvision's and so are the names of the
weights, so that ImageNet weights and TSM's checkpoints load as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

STAGES = ("conv1", "layer1", "layer2", "layer3", "layer4")


class ResNet(nn.Module):
    """A residual network without its classifier; `run_stage` runs one of `STAGES`, `pool` ends it."""

    def __init__(
        self,
        block: type[nn.Module],
        depths: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        groups: int = 1,
        base_width: int = 64,
        in_channels: int = 3,
    ):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.channels = {}  # of each layer's output
        channels = widths[0]
        for name, depth, width in zip(STAGES[1:], depths, widths, strict=True):
            blocks = []
            for i in range(depth):
                stride = 2 if i == 0 and name != "layer1" else 1
                skip = None
                if stride != 1 or channels != width * block.expansion:
                    skip = nn.Sequential(
                        nn.Conv2d(channels, width * block.expansion, 1, stride=stride, bias=False),
                        nn.BatchNorm2d(width * block.expansion),
                    )
                blocks.append(block(channels, width, stride, skip, groups, base_width))
                channels = width * block.expansion
            self.add_module(name, nn.Sequential(*blocks))
            self.channels[name] = channels
        self.feature_dim = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def run_stage(self, name: str, x: Tensor) -> Tensor:
        """One named stage: images (m, in_channels, S, S) for `conv1`, else the activations of the stage before."""
        if name == "conv1":
            return self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (m, 3, S, S) -> (m, c, S/4, S/4)
        return getattr(self, name)(x)

    def pool(self, x: Tensor) -> Tensor:
        """(m, d, h, w) -> (m, d)."""
        return self.avgpool(x).flatten(1)


@dataclass(frozen=True)
class Arch:
    """What it takes to build a backbone, the size of image it is made for, and its ImageNet weights in torchvision."""

    block: type[nn.Module]
    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    groups: int = 1
    base_width: int = 64
    input_size: int = 224
    weights: str | None = None

    def build(self, in_channels: int = 3) -> ResNet:
        return ResNet(self.block, self.depths, self.widths, self.groups, self.base_width, in_channels)


ARCHS = {
    "resnet18": Arch(BasicBlock, (2, 2, 2, 2), weights="ResNet18_Weights.IMAGENET1K_V1"),
    "resnet34": Arch(BasicBlock, (3, 4, 6, 3), weights="ResNet34_Weights.IMAGENET1K_V1"),
    "resnet50": Arch(Bottleneck, (3, 4, 6, 3), weights="ResNet50_Weights.IMAGENET1K_V1"),
    "resnet101": Arch(Bottleneck, (3, 4, 23, 3), weights="ResNet101_Weights.IMAGENET1K_V1"),
    "resnet152": Arch(Bottleneck, (3, 8, 36, 3), weights="ResNet152_Weights.IMAGENET1K_V1"),
    "resnext50": Arch(
        Bottleneck, (3, 4, 6, 3), groups=32, base_width=4, weights="ResNeXt50_32X4D_Weights.IMAGENET1K_V1"
    ),
    "resnet_thin": Arch(BasicBlock, (1, 1, 1, 1), widths=(12, 24, 48, 96), input_size=64),
}
