"""Temporal shift: part of the channels moves one step along time, at no cost.

Lin, Gan, Han: *TSM: Temporal Shift Module for Efficient Video Understanding*, ICCV 2019, arXiv 1811.08383. With
`fold = channels // shift_div`, the first `fold` channels come from the next step, the second `fold` from the one
before, the rest stay; what comes from outside the video is zero.
"""

from torch import Tensor, nn

from ops.errors import InputError


def temporal_shift(x: Tensor, num_segments: int, shift_div: int = 8) -> Tensor:
    """x (n * num_segments, c, h, w) -> the same shape, shifted within each video (Lin et al., figure 1b)."""
    fold = x.shape[1] // shift_div
    x = x.unflatten(0, (-1, num_segments))  # (n*g, c, h, w) -> (n, g, c, h, w)
    out = x.new_zeros(x.shape)
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return out.flatten(0, 1)


class TemporalShift(nn.Module):
    """Shift, then `net`; the wrapped weights keep TSM's key `...net.weight`."""

    def __init__(self, net: nn.Module, num_segments: int, shift_div: int = 8):
        super().__init__()
        self.net, self.num_segments, self.shift_div = net, num_segments, shift_div

    def forward(self, x: Tensor) -> Tensor:
        return self.net(temporal_shift(x, self.num_segments, self.shift_div))

    def extra_repr(self) -> str:
        return f"num_segments={self.num_segments}, shift_div={self.shift_div}"


def check_shift(stage: nn.Sequential, shift_div: int) -> None:
    """Raise InputError where 1 / `shift_div` of the channels that a stage takes in is less than one."""
    channels = stage[0].conv1.in_channels
    if shift_div > channels:
        raise InputError(
            f"--shift_div {shift_div} shifts no channel of a stage that takes in {channels}; give at most {channels}"
        )


def add_shift_to_blocks(stage: nn.Sequential, num_segments: int, shift_div: int, every: int) -> None:
    """Shift before every residual block, skip connection included (`--shift_place block`)."""
    check_shift(stage, shift_div)
    for i, block in enumerate(stage):
        stage[i] = TemporalShift(block, num_segments, shift_div)


def add_shift_to_residuals(stage: nn.Sequential, num_segments: int, shift_div: int, every: int) -> None:
    """Shift inside the residual branch of each `every`-th block, before its first convolution (TSM's default)."""
    check_shift(stage, shift_div)
    for block in stage[::every]:
        block.conv1 = TemporalShift(block.conv1, num_segments, shift_div)


SHIFT_PLACES = {"blockres": add_shift_to_residuals, "block": add_shift_to_blocks}


class TemporalPool(nn.Module):
    """Halve the time steps by max pooling, then `net` (TSM's `--temporal_pool`, before layer2)."""

    def __init__(self, net: nn.Module, num_segments: int):
        super().__init__()
        self.net, self.num_segments = net, num_segments
        self.pool = nn.MaxPool3d((3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:
        """x (n*g, c, h, w) -> net of (n * ceil(g / 2), c, h, w)."""
        x = x.unflatten(0, (-1, self.num_segments)).transpose(1, 2)  # (n, c, g, h, w)
        return self.net(self.pool(x).transpose(1, 2).flatten(0, 1))
