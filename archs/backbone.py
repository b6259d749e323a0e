"""What a backbone is to the rest of the program: an image network cut into named stages. It knows no time.

A new backbone is one file here, with a subclass of `Backbone` and an `Arch` for each of its sizes, and one line in
`archs/__init__.py`. Nothing outside this folder knows the names of its layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Place(NamedTuple):
    """Where a module stands that may be wrapped or replaced, and how many channels it takes in."""

    parent: nn.Module
    name: str
    channels: int

    @property
    def module(self) -> nn.Module:
        return getattr(self.parent, self.name)

    def put(self, module: nn.Module) -> None:
        setattr(self.parent, self.name, module)


class Backbone(nn.Module):
    """An image network without its classifier, (m, in_channels, S, S) -> (m, feature_dim), stage by stage.

    A subclass sets the attributes below and says what its stages run and hold. `first_conv` names the convolution that
    sees the input, as `get_submodule` finds it: for optical flow its kernel is spread over more channels.
    """

    stages: tuple[str, ...]  # in the order in which they run
    channels: dict[str, int]  # of each stage's output
    in_channels: int
    feature_dim: int  # of what `pool` gives
    first_conv: str

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """One stage: images (m, in_channels, S, S) for the first one, else the activations of the stage before."""
        raise NotImplementedError

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The modules that `run_stage` runs."""
        raise NotImplementedError

    def blocks(self, stage: str) -> list[Place]:
        """The blocks of a stage, none by default: `--shift_place block` and non-local blocks stand there."""
        return []

    def shift_places(self, stage: str) -> list[Place]:
        """The convolutions inside residual branches that see shifted input with `--shift_place blockres`."""
        return []

    def spatial_convs(self, stage: str) -> list[Place]:
        """The 3x3 convolutions, one a block, that a module of space and time may replace (STM)."""
        return []

    def drop_last_relu(self) -> None:
        """Let the last stage end before its last ReLU, for heads that want maps of both signs."""
        raise NotImplementedError

    def pool(self, x: Tensor) -> Tensor:
        """(m, feature_dim, h, w) -> (m, feature_dim)."""
        return x.mean((2, 3))


def first_name(key: str) -> str:
    """`layer2.0.conv1.weight` -> `layer2`: of backbones whose stages are modules of that name."""
    return key.split(".")[0]


@dataclass(frozen=True)
class Arch:
    """A backbone of one size: how it is built, and what is known of it without building it.

    build               `build(in_channels)` gives it with fresh weights
    stages              those of the backbone, in order
    block_stages        those of them that hold blocks, where shift can stand
    cluster_after       the last stage that sees every frame, unless the user says otherwise
    input_size          side of the squares it is made for, in pixels
    mean, std           normalise RGB in [0, 1]
    weights             its ImageNet weights in torchvision
    shift_places        where in a block: inside its residual branch, or before it
    spatial_stages      those that hold 3x3 convolutions for STM to replace
    non_local_stages    where TSM puts non-local blocks, after every second block
    drops_relu          whether `drop_last_relu` of the backbone can be had
    temporal_pool_stage where TSM puts temporal pooling, before the stage, which is then a module of that name
    stage_of            the stage that holds the weight of a name, or another word for none
    cut_note            what is special about where its stages end, for the error that there is no such stage
    """

    build: Callable[[int], Backbone]
    stages: tuple[str, ...]
    block_stages: tuple[str, ...]
    cluster_after: str
    input_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights: str | None = None
    shift_places: tuple[str, ...] = ("blockres", "block")
    spatial_stages: tuple[str, ...] = ()
    non_local_stages: tuple[str, ...] = ()
    temporal_pool_stage: str | None = None
    stage_of: Callable[[str], str] = first_name
    cut_note: str = ""
    drops_relu: bool = False

    def check(self, backbone: Backbone) -> None:
        """Raise ValueError where a backbone is not as this says."""
        name = type(backbone).__name__
        if backbone.stages != self.stages or tuple(backbone.channels) != self.stages:
            found = f"{backbone.stages}, with channels {backbone.channels}"
            raise ValueError(f"{name} has the stages {found}, not {self.stages}")
        for find, stages, what in (
            (backbone.blocks, self.block_stages, "blocks"),
            (backbone.shift_places, self.block_stages if "blockres" in self.shift_places else (), "places for shift"),
            (backbone.spatial_convs, self.spatial_stages, "3x3 convolutions"),
        ):
            if tuple(stage for stage in self.stages if find(stage)) != stages:
                raise ValueError(f"{name} must have {what} in the stages {stages} alone")
        held = {id(p) for stage in self.stages for part in backbone.stage_modules(stage) for p in part.parameters()}
        for parameter_name, parameter in backbone.named_parameters():
            if id(parameter) not in held:
                raise ValueError(f"{parameter_name} of {name} is in none of the modules that its stages run")
        backbone.get_submodule(backbone.first_conv)
