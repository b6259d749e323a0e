"""Operators that ONNX or its exporters lack, or round, in terms of others: functions of the same answers.

The graph that `torch.export` makes is rewritten by these before it becomes ONNX. They are exact, whole numbers up to
2^53 included: the cuts of a video depend on them.
"""

import torch
from torch import Tensor

LONGEST = 20  # cumulative minima are right for up to 2^LONGEST values


def cummin(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Smallest value so far, by doubling how far each looks back; of their places, which nothing here takes, zeros."""
    place = torch.arange(x.shape[dim], device=x.device)
    for power in range(LONGEST):
        x = torch.minimum(x, x.index_select(dim, (place - 2**power).clamp(min=0)))
    return x, torch.zeros_like(x, dtype=torch.int64)


def stable_sort(
    x: Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Tensor, Tensor]:
    """The largest or smallest, all of them: of equals, ONNX says, the earlier one comes first."""
    return torch.topk(x, x.shape[dim], dim, largest=descending)


def searchsorted(
    ends: Tensor,
    values: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """How many ends each value has passed."""
    passed = values[..., None] >= ends if right or side == "right" else values[..., None] > ends
    return passed.sum(-1)


def floor_divide(x: Tensor, y: Tensor | int) -> Tensor:
    """Quotients rounded down; older exporters take them in float32, which is wrong beyond 2^24."""
    divisor = y.double() if isinstance(y, Tensor) else float(y)
    return (x.double() / divisor).floor().to(x.dtype)


def slice_scatter(
    x: Tensor, part: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """x with a part of it replaced, as before, part, and behind; a scatter would hold an index of each value."""
    size = x.shape[dim]
    start, end = ((place + size if place < 0 else place) for place in (start or 0, size if end is None else end))
    end = min(end, size)
    if step != 1:
        return NotImplemented
    return torch.cat([x.narrow(dim, 0, start), part, x.narrow(dim, end, size - end)], dim)


aten = torch.ops.aten
REWRITTEN = {
    aten.cummin.default: cummin,
    aten.sort.stable: stable_sort,
    aten.searchsorted.Tensor: searchsorted,
    aten.floor_divide.default: floor_divide,
    aten.slice_scatter.default: slice_scatter,
}
