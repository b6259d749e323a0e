"""ResNets cut into named stages. They see images and know no time.

He et al., CVPR 2016 (ResNet); Xie et al., CVPR 2017 (ResNeXt). Blocks are torchvision's and so are the names of the
weights, so that ImageNet weights and TSM's checkpoints load as they are.
"""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from archs.backbone import Arch, Backbone, Place

BLOCK_STAGES = ("layer1", "layer2", "layer3", "layer4")
STAGES = ("conv1", *BLOCK_STAGES)


class ResNet(Backbone):
    """A residual network without its classifier: `conv1` up to the max-pool, then four layers of residual blocks."""

    stages, first_conv = STAGES, "conv1"

    def __init__(
        self,
        in_channels: int = 3,
        *,
        block: type[nn.Module],
        depths: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        groups: int = 1,
        base_width: int = 64,
    ):
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = widths[0]
        self.channels = {"conv1": channels}
        for name, depth, width in zip(BLOCK_STAGES, depths, widths, strict=True):
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
        self.shift_every = 2 if depths[2] >= 23 else 1  # as in TSM: every second block of ResNet-101 and -152
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        if stage == "conv1":
            return self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (m, 3, S, S) -> (m, c, S/4, S/4)
        return getattr(self, stage)(x)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        return [self.conv1, self.bn1] if stage == "conv1" else [getattr(self, stage)]

    def blocks(self, stage: str) -> list[Place]:
        if stage == "conv1":
            return []
        layer = getattr(self, stage)
        first, others = self.channels[self.stages[self.stages.index(stage) - 1]], self.channels[stage]
        return [Place(layer, str(i), others if i else first) for i in range(len(layer))]

    def drop_last_relu(self) -> None:
        """The last block, whatever it is wrapped in, keeps its weights and becomes one of `OPEN`."""
        last = [module for module in getattr(self, BLOCK_STAGES[-1]).modules() if type(module) in OPEN][-1]
        last.__class__ = OPEN[type(last)]

    def shift_places(self, stage: str) -> list[Place]:
        """The first convolution of each residual branch (TSM); in very deep ones, of every second."""
        return [Place(block.module, "conv1", block.channels) for block in self.blocks(stage)[:: self.shift_every]]

    def spatial_convs(self, stage: str) -> list[Place]:
        """The second convolution of each block, 3x3 in either kind; in a bottleneck it carries the stride."""
        return [Place(block.module, "conv2", block.module.conv2.in_channels) for block in self.blocks(stage)]


class OpenBasicBlock(BasicBlock):
    """A residual block that ends with the sum, before its last ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(out)) + skip


class OpenBottleneck(Bottleneck):
    """As `OpenBasicBlock`, of three convolutions."""

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.bn3(self.conv3(out)) + skip


OPEN = {BasicBlock: OpenBasicBlock, Bottleneck: OpenBottleneck}


def resnet(block: type[nn.Module], depths: Sequence[int], input_size: int = 224, weights: str | None = None, **sizes):
    """The `Arch` of a residual network; `sizes` are those of `ResNet`."""
    return Arch(
        partial(ResNet, block=block, depths=depths, **sizes),
        stages=STAGES,
        block_stages=BLOCK_STAGES,
        cluster_after="layer1",
        input_size=input_size,
        weights=weights,
        spatial_stages=BLOCK_STAGES,
        non_local_stages=("layer2", "layer3"),
        temporal_pool_stage="layer2",
        drops_relu=True,
    )


RESNETS = {
    "resnet18": resnet(BasicBlock, (2, 2, 2, 2), weights="ResNet18_Weights.IMAGENET1K_V1"),
    "resnet34": resnet(BasicBlock, (3, 4, 6, 3), weights="ResNet34_Weights.IMAGENET1K_V1"),
    "resnet50": resnet(Bottleneck, (3, 4, 6, 3), weights="ResNet50_Weights.IMAGENET1K_V1"),
    "resnet101": resnet(Bottleneck, (3, 4, 23, 3), weights="ResNet101_Weights.IMAGENET1K_V1"),
    "resnet152": resnet(Bottleneck, (3, 8, 36, 3), weights="ResNet152_Weights.IMAGENET1K_V1"),
    "resnext50": resnet(
        Bottleneck, (3, 4, 6, 3), weights="ResNeXt50_32X4D_Weights.IMAGENET1K_V1", groups=32, base_width=4
    ),
    "resnet_thin": resnet(BasicBlock, (1, 1, 1, 1), input_size=64, widths=(12, 24, 48, 96)),
}
