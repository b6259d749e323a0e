"""Measure speed on this machine: `python tools/benchmark.py clustering` (see --help)."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import resource  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from itertools import accumulate, pairwise  # noqa: E402
from multiprocessing.queues import SimpleQueue  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from archs.resnet import ARCHS  # noqa: E402
from ops import cli, flags, options  # noqa: E402
from ops.clustering import CLUSTERINGS, TemporalClustering  # noqa: E402
from ops.dataset import VideoBatch  # noqa: E402
from ops.engine import train_one_epoch  # noqa: E402
from ops.models import build_model  # noqa: E402
from ops.optim import build_sgd  # noqa: E402
from ops.streaming import STEM_GRADS, choose_streaming  # noqa: E402
from tools.loader_benchmark import LOADER, run_loader  # noqa: E402

Row = dict[str, str | float]  # column -> text or number


def best_ms(functions: dict[str, Callable[[], Any]], repeat: int) -> dict[str, float]:
    """Milliseconds of each function's fastest call of `repeat`, after one that does not count.

    They take turns, so that a machine that is busy for a while slows all of them.
    """
    best = dict.fromkeys(functions, float("inf"))
    for turn in range(repeat + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            result = function()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            elapsed = 1000 * (time.perf_counter() - start)
            del result  # or the next function would not find its memory free
            if turn:
                best[name] = min(best[name], elapsed)
    return best


# --- clustering ------------------------------------------------------------------------------------------------------

CLUSTERING = """\
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


def add_clustering_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of everything (5)")
    parser.add_argument("--method", choices=LOOP_STARTS, default="slope", help="where clusters start (slope)")
    parser.add_argument("--num_segments", type=int, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--shape", type=parse_shape, nargs="+", default=SHAPES, metavar="NxTxCxHxW",
                        help="videos x frames of each x channels x height x width, one or more "
                             f"({' '.join(map(shape_name, SHAPES))})")


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
        raise cli.InputError(f"--num_segments {g}: the videos of {shape_name(shape)} have 1 to {t} clusters")
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
        {"shape": shape_name(shape), "pass": name, "floor ms": floor_ms, "loop ms": ms["loop"], "ours ms": ms["ours"],
         "ours/floor": ms["ours"] / floor_ms, "loop/ours": ms["loop"] / ms["ours"]}
        for name, floor_ms, ms in (("forward", floor, forward), ("with backward", 2 * floor, both))
    ]  # fmt: skip


def run_clustering(args: argparse.Namespace) -> list[Row]:
    device = options.pick_device(args.device)
    return [row for shape in args.shape
            for row in time_clustering(shape, args.num_segments, args.method, args.repeat, device)]  # fmt: skip


# --- memory ----------------------------------------------------------------------------------------------------------

MEMORY = """\
Peak memory of one training step on one video of random frames, for each number of frames in a process of its own:
the highest resident size less the frames' bytes. Part of it is the program itself, shown in a row of 0 frames."""


def add_memory_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, nargs="+", default=(256, 2048), metavar="T", help="(256 2048)")
    parser.add_argument("--size", type=positive, default=112, metavar="S", help="side of the frames in pixels (112)")
    parser.add_argument("--arch", choices=ARCHS, default="resnet18", help="(resnet18)")
    parser.add_argument("--method", choices=CLUSTERINGS, default="slope", help="(slope)")
    parser.add_argument("--num_segments", type=positive, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--stem_chunk", type=flags.stem_chunk, default="auto", metavar="N|auto|0", help="(auto)")
    parser.add_argument("--stem_grad", choices=STEM_GRADS, default="exact", help="(exact)")
    parser.add_argument("--freeze_stem_bn", action="store_true", help="BatchNorm of the stem uses running statistics")


def measure_step(args: argparse.Namespace, t: int, queue: SimpleQueue) -> None:
    """One training step on t frames, or none for t = 0; puts the peak in MB and the seconds into `queue`."""
    torch.manual_seed(0)
    model = build_model(args.arch, 4, args.num_segments, cluster=args.method, shift=True,
                        freeze_stem_bn=args.freeze_stem_bn)  # fmt: skip
    model.streaming = choose_streaming(model, args.stem_chunk, args.size, args.stem_grad == "representative")
    frames = torch.randint(0, 256, (t, 3, args.size, args.size), dtype=torch.uint8)
    batch = VideoBatch(frames, torch.tensor([t]), torch.tensor([0]), ["random frames"])
    start = time.perf_counter()
    if t:
        train_one_epoch(model, [batch], build_sgd(model, 0.001, 0.9, 0), torch.device("cpu"))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    queue.put((kilobytes / 1024 - frames.nbytes / 2**20, time.perf_counter() - start))


def run_memory(args: argparse.Namespace) -> list[Row]:
    if args.device != "cpu":
        raise cli.InputError("memory is read from the operating system: it takes --device cpu only")
    context, rows = multiprocessing.get_context("spawn"), []
    for t in (0, *args.frames):
        queue = context.SimpleQueue()
        process = context.Process(target=measure_step, args=(args, t, queue))
        process.start()
        process.join()
        if process.exitcode:
            raise cli.InputError(f"the step on {t} frames ended with exit code {process.exitcode}; take fewer --frames")
        peak, seconds = queue.get()
        rows.append({"frames": str(t), "peak MB": peak, "seconds": seconds})
        first = rows[min(1, len(rows) - 1)]["peak MB"]
        rows[-1]["peak/first"] = peak / first
    return rows


# --- loader ----------------------------------------------------------------------------------------------------------


def add_loader_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, default=128, metavar="T", help="frames of a video (128)")
    parser.add_argument("--clips", type=positive, default=8, metavar="N", help="crops that are drawn of each video (8)")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of everything (5)")


# --- the program -----------------------------------------------------------------------------------------------------


class Benchmark(NamedTuple):
    """A sub-command: `run` takes the parsed options and gives the table."""

    purpose: str
    examples: tuple[str, ...]
    add_options: Callable[[cli.ArgumentParser], None]
    run: Callable[[argparse.Namespace], list[Row]]


BENCHMARKS = {
    "clustering": Benchmark(
        CLUSTERING,
        ("clustering", "clustering --method cumulative --repeat 9 --json clustering.json",
         "clustering --shape 4x128x64x56x56 1x64x256x28x28 --num_segments 8"),
        add_clustering_options, run_clustering,
    ),
    "memory": Benchmark(
        MEMORY,
        ("memory", "memory --frames 54000 --size 64 --arch resnet_thin --freeze_stem_bn",
         "memory --method cumulative --stem_chunk 32"),
        add_memory_options, run_memory,
    ),
    "loader": Benchmark(
        LOADER,
        ("loader", "loader --frames 32 --clips 16 --json loader.json"),
        add_loader_options, partial(run_loader, best_ms=best_ms),
    ),
}  # fmt: skip


def build_parser() -> cli.ArgumentParser:
    def epilog(lines: Sequence[str]) -> str:
        return "example:\n" + "".join(f"  python tools/benchmark.py {line}\n" for line in lines)

    parser = cli.ArgumentParser(description="Measure speed on this machine, one table a command.",
                                epilog=epilog([benchmark.examples[0] for benchmark in BENCHMARKS.values()]))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(name, help=benchmark.purpose.split(",")[0], description=benchmark.purpose,
                                      epilog=epilog(benchmark.examples))
        benchmark.add_options(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the table, unrounded, into FILE, too")
        command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (cpu)")
    return parser


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def format_table(rows: list[Row]) -> str:
    """The rows as a Markdown table with aligned columns; numbers to three digits."""
    texts = [[value if isinstance(value, str) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
              for value in row.values()] for row in rows]  # fmt: skip
    lines = [list(rows[0]), *texts]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    right = [not isinstance(value, str) for value in rows[0].values()]
    return "\n".join("| " + " | ".join(cell.rjust(width) if number else cell.ljust(width)
                                       for cell, width, number in zip(line, widths, right, strict=True)) + " |"
                     for line in lines)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark, print its table and, if asked to, keep it."""
    args = build_parser().parse_args(argv)
    if args.json and not args.json.parent.is_dir():
        raise cli.InputError(f"--json {args.json}: there is no folder {args.json.parent}")
    rows = BENCHMARKS[args.command].run(args)
    on = f"torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads"
    print(f"{format_table(rows)}\n{on}, {time.strftime('%Y-%m-%d')}")
    if args.json:
        try:
            args.json.write_text(json.dumps({"command": args.command, "on": on, "rows": rows}, indent=1) + "\n")
        except OSError as error:
            raise cli.InputError(f"--json {args.json} cannot be written ({error.strerror})") from None
    return 0


if __name__ == "__main__":
    cli.run(main)
