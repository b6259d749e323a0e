"""What a backbone is to the rest of the program: an image network cut into named stages. It knows no time.

A new backbone is one file here, with a subclass of `Backbone` and an `Arch` for each of its sizes, and one line in
`archs/__init__.py`. Nothing outside this folder knows the names of its layers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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

    def blocks(self, stage: str) -> nn.Sequential:
        """The residual blocks of a stage, (m, c, h, w) -> (m, channels, h, w) each; replacing one there takes effect.

        Empty for a stage without any. Non-local blocks and `--shift_place block` stand at them.
        """
        return nn.Sequential()

    def shift_places(self, stage: str) -> Iterator[tuple[nn.Module, str]]:
        """The convolutions that see shifted input with `--shift_place blockres`: (its parent, its name there)."""
        return iter(())

    def drop_last_relu(self) -> None:
        """Let the last stage end before its last ReLU, for heads that want maps of both signs."""
        raise NotImplementedError

    def pool(self, x: Tensor) -> Tensor:
        """(m, feature_dim, h, w) -> (m, feature_dim)."""
        return x.mean((2, 3))


@dataclass(frozen=True)
class Arch:
    """A backbone of one size: how it is built, and what is known of it without building it.

    build               `build(in_channels)` gives it with fresh weights
    stages              those of the backbone, in order
    block_stages        those of them that hold residual blocks, where shift can stand
    cluster_after       the last stage that sees every frame, unless the user says otherwise
    input_size          side of the squares it is made for, in pixels
    mean, std           normalise RGB in [0, 1]
    weights             its ImageNet weights in torchvision
    non_local_stages    where TSM puts non-local blocks, after every second block
    drops_relu          whether `drop_last_relu` of the backbone can be had
    temporal_pool_stage where TSM puts temporal pooling, before the stage, which is then a module of that name
    """

    build: Callable[[int], Backbone]
    stages: tuple[str, ...]
    block_stages: tuple[str, ...]
    cluster_after: str
    input_size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights: str | None = None
    non_local_stages: tuple[str, ...] = ()
    temporal_pool_stage: str | None = None
    drops_relu: bool = False

    def check(self, backbone: Backbone) -> None:
        """Raise ValueError where a backbone is not as this says."""
        name = type(backbone).__name__
        if backbone.stages != self.stages or tuple(backbone.channels) != self.stages:
            found = f"{backbone.stages}, with channels {backbone.channels}"
            raise ValueError(f"{name} has the stages {found}, not {self.stages}")
        with_blocks = tuple(stage for stage in self.stages if len(backbone.blocks(stage)))
        if with_blocks != self.block_stages or not all(any(backbone.shift_places(stage)) for stage in with_blocks):
            raise ValueError(f"{name} must have blocks, and places for shift, in the stages {self.block_stages} alone")
        held = {id(p) for stage in self.stages for part in backbone.stage_modules(stage) for p in part.parameters()}
        for parameter_name, parameter in backbone.named_parameters():
            if id(parameter) not in held:
                raise ValueError(f"{parameter_name} of {name} is in none of the modules that its stages run")
        backbone.get_submodule(backbone.first_conv)
