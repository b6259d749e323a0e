"""Temporal shift: part of the channels moves one step along time, at no cost.

Lin, Gan, Han: *TSM: Temporal Shift Module for Efficient Video Understanding*, ICCV 2019, arXiv 1811.08383. With
`fold = channels // shift_div`, the first `fold` channels come from the next step, the second `fold` from the previous
one, and the rest stay; what would come from outside the video is zero. The online form (figure 1c), for predictions
while a video goes on, looks at no later step: the first `fold` channels come from the previous one, the rest stay.
"""

import torch
from torch import Tensor, nn

from archs.backbone import Backbone, Place
from ops.clustering import in_export
from ops.errors import InputError

DIRECTIONS = {  # what of the first channels comes from the next step and what from the previous one
    "both": lambda fold: (slice(0, fold), slice(fold, 2 * fold)),
    "past": lambda fold: (slice(0, 0), slice(0, fold)),
}


def temporal_shift(x: Tensor, num_segments: int, shift_div: int = 8, direction: str = "both") -> Tensor:
    """Shift each video by itself (Lin et al., figures 1b and 1c).

    x (n * num_segments, c, h, w) -> the same shape and memory format; `direction` is one of `DIRECTIONS`.
    """
    groups = DIRECTIONS[direction](x.shape[1] // shift_div)
    return _put_together(x, num_segments, *groups) if in_export() else _Shift.apply(x, num_segments, *groups)


class _Shift(torch.autograd.Function):
    """The gradient of a shift is the shift the other way.

    Autograd's own goes slice by slice: it takes several times as long and loses the memory format.
    """

    @staticmethod
    def forward(ctx, x: Tensor, num_segments: int, from_next: slice, from_previous: slice) -> Tensor:
        ctx.num_segments, ctx.from_next, ctx.from_previous = num_segments, from_next, from_previous
        return _move_channels(x, num_segments, from_next, from_previous)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _move_channels(grad, ctx.num_segments, ctx.from_previous, ctx.from_next), None, None, None


def _move_channels(x: Tensor, num_segments: int, from_next: slice, from_previous: slice) -> Tensor:
    """Take two groups of channels from the neighbouring steps, which together are the first channels."""
    x = x.unflatten(0, (-1, num_segments))  # (n*g, c, h, w) -> (n, g, c, h, w)
    rest = slice(max(from_next.stop, from_previous.stop), None)
    out = torch.empty_like(x)
    out[:, :-1, from_next] = x[:, 1:, from_next]
    out[:, -1, from_next] = 0
    out[:, 1:, from_previous] = x[:, :-1, from_previous]
    out[:, 0, from_previous] = 0
    out[:, :, rest] = x[:, :, rest]
    return out.flatten(0, 1)


def _put_together(x: Tensor, num_segments: int, from_next: slice, from_previous: slice) -> Tensor:
    """The same for exported graphs, where each write into a tensor would be a copy of it."""
    x = x.unflatten(0, (-1, num_segments))  # (n*g, c, h, w) -> (n, g, c, h, w)
    zero = torch.zeros_like(x[:, :1])
    following = torch.cat([x[:, 1:, from_next], zero[:, :, from_next]], 1)
    previous = torch.cat([zero[:, :, from_previous], x[:, :-1, from_previous]], 1)
    rest = x[:, :, max(from_next.stop, from_previous.stop) :]
    return torch.cat([following, previous, rest], 2).flatten(0, 1)


class TemporalShift(nn.Module):
    """Shift the input of `net`, whose weights get TSM's key `...net.weight`."""

    def __init__(self, net: nn.Module, num_segments: int, shift_div: int = 8, direction: str = "both"):
        super().__init__()
        self.net, self.num_segments, self.shift_div, self.direction = net, num_segments, shift_div, direction

    def forward(self, x: Tensor) -> Tensor:
        return self.net(temporal_shift(x, self.num_segments, self.shift_div, self.direction))

    def extra_repr(self) -> str:
        return f"num_segments={self.num_segments}, shift_div={self.shift_div}, direction={self.direction}"


class RememberingShift(nn.Module):
    """`TemporalShift` from the past, for one video whose steps come one by one or a few at a time.

    What the last step gives to the next one is kept; before the first step it is zero, as in `TemporalShift`.
    """

    def __init__(self, net: nn.Module, shift_div: int):
        super().__init__()
        self.net, self.shift_div = net, shift_div
        self.kept: Tensor | None = None  # (1, c // shift_div, h, w)

    def forward(self, x: Tensor) -> Tensor:
        fold = x.shape[1] // self.shift_div
        given = x[:, :fold]  # (m, fold, h, w)
        before = torch.zeros_like(given[:1]) if self.kept is None else self.kept
        self.kept = given[-1:].clone()
        return self.net(torch.cat([torch.cat([before, given[:-1]]), x[:, fold:]], 1))


def remember_steps(network: nn.Module) -> None:
    """Put a `RememberingShift` in the place of every `TemporalShift` of a network, all of them from the past."""
    for name, module in list(network.named_modules()):
        if isinstance(module, TemporalShift):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, RememberingShift(module.net, module.shift_div))


def forget_steps(network: nn.Module) -> None:
    """Let the next step of a network whose shifts remember be the first of a video."""
    for module in network.modules():
        if isinstance(module, RememberingShift):
            module.kept = None


def before_blocks(backbone: Backbone, stage: str) -> list[Place]:
    """The input of every block, its skip connection included (`--shift_place block`)."""
    return backbone.blocks(stage)


def inside_residuals(backbone: Backbone, stage: str) -> list[Place]:
    """The input of the convolutions that the backbone names, inside residual branches (TSM's default)."""
    return backbone.shift_places(stage)


SHIFT_PLACES = {"blockres": inside_residuals, "block": before_blocks}


def add_shift(
    backbone: Backbone, stage: str, num_segments: int, shift_div: int, shift_place: str, shift_direction: str
) -> None:
    """Shift in a stage (`--temporal shift`).

    Raises InputError where there is no place, and where 1 / `shift_div` of the channels is less than one.
    """
    places = SHIFT_PLACES[shift_place](backbone, stage)
    if not places:
        raise InputError(f"--shift_place {shift_place} finds no place in {stage} of {type(backbone).__name__}")
    channels = min(place.channels for place in places)
    if shift_div > channels:
        raise InputError(
            f"--shift_div {shift_div} shifts no channel of a stage that takes in {channels}; give at most {channels}"
        )
    for place in places:
        place.put(TemporalShift(place.module, num_segments, shift_div, shift_direction))


class TemporalPool(nn.Module):
    """Halve the time steps by max pooling, then run `net` (TSM's `--temporal_pool`).

    Time and places are pooled as the two sides of an image: `nn.MaxPool3d` has no deterministic gradient on CUDA.
    """

    def __init__(self, net: nn.Module, num_segments: int):
        super().__init__()
        self.net, self.num_segments = net, num_segments
        self.pool = nn.MaxPool2d((3, 1), stride=(2, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """x (n*g, c, h, w) -> `net` of (n * ceil(g / 2), c, h, w)."""
        places = x.shape[-2:]
        x = x.unflatten(0, (-1, self.num_segments)).transpose(1, 2).flatten(3)  # (n*g, c, h, w) -> (n, c, g, h*w)
        x = self.pool(x)  # (n, c, ceil(g/2), h*w)
        return self.net(x.unflatten(3, places).transpose(1, 2).flatten(0, 1))
