"""Measure speed on this machine: `python tools/benchmark.py clustering` (see --help)."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from itertools import accumulate, pairwise  # noqa: E402
from typing import NamedTuple  # noqa: E402

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from ops import cli, options  # noqa: E402
from ops.clustering import TemporalClustering  # noqa: E402

Row = dict[str, str | float]  # column -> text, or a number to be rounded

# --- clustering ------------------------------------------------------------------------------------------------------

CLUSTERING_PURPOSE = """\
Time the clustering of activations after a ReLU, forward and with its backward pass, against
  floor   the activations read once and the means written once (the same again backward), as fast as memory is copied
  loop    the same clustering written as a loop over videos, frames and clusters, as the published code has it
Each time is the best of --repeat; the three take turns, so that a busy machine slows them alike."""
CLUSTERING_EXAMPLE = """example:
  python tools/benchmark.py clustering
  python tools/benchmark.py clustering --method cumulative --repeat 9 --json clustering.json
  python tools/benchmark.py clustering --shape 4x128x64x56x56 --num_segments 8
"""
SHAPES = ((16, 32, 64, 56, 56), (4, 64, 256, 56, 56), (1, 256, 64, 56, 56), (1, 1024, 64, 28, 28))


def parse_shape(text: str) -> tuple[int, ...]:
    """`16x32x64x56x56` -> videos, frames of each, channels, height, width."""
    sizes = text.split("x")
    if len(sizes) != 5 or not all(size.isdecimal() and int(size) for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not VIDEOSxFRAMESxCHANNELSxHEIGHTxWIDTH, e.g. 16x32x64x56x56")
    return tuple(map(int, sizes))


def add_clustering_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--method", choices=LOOP_STARTS, default="slope", help="where clusters start (slope)")
    parser.add_argument("--num_segments", type=int, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--shape", type=parse_shape, nargs="+", default=SHAPES, metavar="NxTxCxHxW",
                        help="videos x frames x channels x height x width "
                             f"({' '.join('x'.join(map(str, shape)) for shape in SHAPES)})")


def loop_slope_starts(distances: list[float], g: int) -> list[int]:
    """The g-1 frames with the largest distance, the earlier first among equals."""
    largest = sorted(range(1, len(distances)), key=lambda i: -distances[i])[: g - 1]
    return [0, *sorted(largest)]


def loop_cumulative_starts(distances: list[float], g: int) -> list[int]:
    """The first frames at which the running sum of distances passes k/g of its total."""
    running, starts, t = list(accumulate(distances)), [0], len(distances)
    for k in range(1, g):
        passed = next(i for i in range(t) if running[i] * g > k * running[-1])
        starts.append(min(max(passed, starts[-1] + 1), t - (g - k)))
    return starts


LOOP_STARTS = {"slope": loop_slope_starts, "cumulative": loop_cumulative_starts}


def loop_clustering(x: Tensor, lengths: list[int], g: int, method: str) -> Tensor:
    """What `TemporalClustering` does for t >= g, a video, frame and cluster at a time: (sum t, ...) -> (n*g, ...)."""
    means = []
    for video in x.split(lengths):  # (t, c, h, w)
        distances = [0.0]
        for i in range(1, len(video)):
            distances.append(((video[i] > 0) != (video[i - 1] > 0)).float().mean().item() * video[i].numel())
        starts = LOOP_STARTS[method](list(map(round, distances)), g)  # whole numbers of signs: sums are exact
        for start, end in pairwise([*starts, len(video)]):
            means.append(video[start:end].mean(0))
    return torch.stack(means)


def run_clustering(args: argparse.Namespace) -> list[Row]:
    """Two rows a shape, milliseconds and their ratios. Raises RuntimeError if loop and ours do not agree."""
    g, device, rows = args.num_segments, options.pick_device(args.device), []
    for n, t, *frame in args.shape:
        if not 1 <= g <= t:
            raise cli.InputError(f"--num_segments {g} must be between 1 and the {t} frames of a video")
        x = torch.randn(n * t, *frame, generator=torch.Generator().manual_seed(args.seed)).relu_().to(device)
        x.requires_grad_()
        target = torch.randn(n * g, *frame, generator=torch.Generator().manual_seed(args.seed)).to(device)
        lengths = torch.full((n,), t, device=device)
        clustering = TemporalClustering(g, args.method)
        roads = {"loop": lambda: loop_clustering(x, [t] * n, g, args.method), "ours": lambda: clustering(x, lengths)[0]}
        both = {name: backward_too(road, x, target) for name, road in roads.items()}
        for a, b in zip(both["loop"](), both["ours"](), strict=True):
            if not torch.allclose(a, b, rtol=1e-4, atol=1e-5):
                raise RuntimeError(f"loop and ours differ by {(a - b).abs().max():g} on {n}x{t} frames")
            del a, b
        copy = torch.zeros_like(x, requires_grad=False)
        copied = {"floor": lambda: copy.copy_(x)}
        forward = best_of(args.repeat, {name: torch.no_grad()(road) for name, road in (copied | roads).items()})
        share = (1 + g / t) / 2  # of the bytes that the copy moves
        rows += [clustering_row((n, t, *frame), "forward", forward, share),
                 clustering_row((n, t, *frame), "with backward", best_of(args.repeat, both), 2 * share, forward)]
    return rows
