"""Clustering against a loop and against the speed of memory."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from ops.clustering import TemporalClustering
from ops.errors import InputError
from ops.options import cli
from ops.training.devices import pick_device
from tools.benchmarks import Benchmark, Row, best_ms, positive

PURPOSE = """\
Time the clustering of activations after a ReLU, alone and with its backward pass, against
  floor  the activations read once and the means written once (the same again backward) at the speed of a copy
  loop   the same written as a loop over videos, frames and clusters
Every time is the best of --repeat; the results of loop and ours are compared, too."""
SHAPES = ((16, 32, 64, 56, 56), (4, 64, 256, 56, 56), (1, 256, 64, 56, 56), (1, 1024, 64, 28, 28))


def shape_name(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def parse_shape(text: str) -> tuple[int, ...]:
    """`16x32x64x56x56` -> videos, frames of each, channels, height, width."""
    sizes = text.split("x")
    if len(sizes) != 5 or not all(size.isdecimal() and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not NxTxCxHxW, for example {shape_name(SHAPES[0])}")
    return tuple(map(int, sizes))


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of everything (5)")
    parser.add_argument("--method", choices=LOOP_STARTS, default="slope", help="where clusters start (slope)")
    parser.add_argument("--num_segments", type=int, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument(
        "--shape",
        type=parse_shape,
        nargs="+",
        default=SHAPES,
        metavar="NxTxCxHxW",
        help=f"videos x frames of each x channels x height x width, one or more ({' '.join(map(shape_name, SHAPES))})",
    )


def slope_starts(changes: list[int], g: int) -> list[int]:
    """Frame 0 and the g-1 others with the largest change, the earlier one among equals."""
    largest = sorted(range(1, len(changes)), key=lambda i: -changes[i])
    return sorted([0, *largest[: g - 1]])


def cumulative_starts(changes: list[int], g: int) -> list[int]:
    """Frame 0 and those at which the running sum of changes passes k/g of its total."""
    running, t, starts = list(accumulate(changes)), len(changes), [0]
    for k in range(1, g):
        passed = next(i for i in range(t) if running[i] * g > k * running[-1])
        starts.append(min(max(passed, starts[-1] + 1), t - (g - k)))
    return starts


LOOP_STARTS = {"slope": slope_starts, "cumulative": cumulative_starts}


def loop_clustering(x: Tensor, lengths: list[int], g: int, method: str) -> Tensor:
    """What `TemporalClustering` does to videos of t >= g changing frames, step by step: (sum t, ...) -> (n*g, ...)."""
    means, first = [], 0
    for t in lengths:
        video = x[first : first + t]  # (t, ...)
        first += t
        changes = [0]
        for before, frame in pairwise(video):
            changes.append(int(((frame > 0) != (before > 0)).sum()))
        starts = LOOP_STARTS[method](changes, g)
        for start, end in pairwise([*starts, t]):
            means.append(video[start:end].mean(0))
    return torch.stack(means)


def with_backward(forward: Callable[[], Tensor], x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The means, and what their gradient `grad` becomes at x."""
    means = forward()
    return means, torch.autograd.grad(means, x, grad)[0]


def time_clustering(shape: tuple[int, ...], g: int, method: str, repeat: int, device: torch.device) -> list[Row]:
    """A row for each pass, in milliseconds; RuntimeError where loop and ours do not agree."""
    n, t, *frame = shape
    if not 1 <= g <= t:
        raise InputError(f"--num_segments {g}: the videos of {shape_name(shape)} have 1 to {t} clusters")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n * t, *frame, generator=generator).relu_().to(device).requires_grad_()
    grad = torch.randn(n * g, *frame, generator=generator).to(device)
    clustering, lengths = TemporalClustering(g, method), torch.full((n,), t, device=device)
    roads = {
        "loop": lambda: loop_clustering(x, [t] * n, g, method),
        "ours": lambda: clustering(x, lengths)[0],
    }
    for ours, loop in zip(*(with_backward(road, x, grad) for road in roads.values()), strict=True):
        if not torch.allclose(ours, loop, rtol=1e-4, atol=1e-5):
            raise RuntimeError(f"{method} on {shape_name(shape)}: loop and ours differ by {(ours - loop).abs().max()}")
        del ours, loop
    copy = partial(torch.zeros_like(x, requires_grad=False).copy_, x)  # into memory that is there already
    with torch.no_grad():
        forward = best_ms({"copy": copy, **roads}, repeat)
    floor = forward["copy"] * (1 + g / t) / 2  # a copy reads and writes t frames of a video, clustering t and g
    del copy
    both = best_ms({name: partial(with_backward, road, x, grad) for name, road in roads.items()}, repeat)
    return [
        {
            "shape": shape_name(shape),
            "pass": name,
            "floor ms": floor_ms,
            "loop ms": ms["loop"],
            "ours ms": ms["ours"],
            "ours/floor": ms["ours"] / floor_ms,
            "loop/ours": ms["loop"] / ms["ours"],
        }
        for name, floor_ms, ms in (("forward", floor, forward), ("with backward", 2 * floor, both))
    ]


def run(args: argparse.Namespace) -> list[Row]:
    device = pick_device(args.device)
    return [
        row
        for shape in args.shape
        for row in time_clustering(shape, args.num_segments, args.method, args.repeat, device)
    ]


CLUSTERING = Benchmark(
    PURPOSE,
    (
        "clustering",
        "clustering --method cumulative --repeat 9 --json clustering.json",
        "clustering --shape 4x128x64x56x56 1x64x256x28x28 --num_segments 8",
    ),
    add_options,
    run,
)
