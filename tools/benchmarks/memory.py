"""Peak memory of a training step over the length of its video."""

import argparse
import multiprocessing
import time
from multiprocessing.queues import SimpleQueue

import torch

from archs import ARCHS
from ops.clustering import CLUSTERINGS
from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.models import build_model
from ops.options import cli
from ops.options.types import stem_chunk, stem_memory
from ops.streaming import STEM_GRADS, choose_streaming
from ops.training.engine import train_one_epoch
from ops.training.meters import peak_memory
from ops.training.optim import build_sgd
from tools.benchmarks import Benchmark, Row, positive

PURPOSE = """\
Peak memory of one training step on one video of random frames, for each number of frames in a process of its own:
the highest resident size less the frames' bytes. Part of it is the program itself, shown in a row of 0 frames."""


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, nargs="+", default=(256, 2048), metavar="T", help="(256 2048)")
    parser.add_argument("--size", type=positive, default=112, metavar="S", help="side of the frames in pixels (112)")
    parser.add_argument("--arch", choices=ARCHS, default="resnet18", help="(resnet18)")
    parser.add_argument("--method", choices=CLUSTERINGS, default="slope", help="(slope)")
    parser.add_argument("--num_segments", type=positive, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--stem_chunk", type=stem_chunk, default="auto", metavar="N|auto|0", help="(auto)")
    parser.add_argument("--stem_memory", type=stem_memory, default="auto", metavar="SIZE|auto", help="(auto)")
    parser.add_argument("--stem_grad", choices=STEM_GRADS, default="exact", help="(exact)")
    parser.add_argument("--freeze_stem_bn", action="store_true", help="BatchNorm of the stem uses running statistics")


def measure_step(args: argparse.Namespace, t: int, queue: SimpleQueue) -> None:
    """One training step on t frames, or none for t = 0; puts the peak in MB and the seconds into `queue`."""
    torch.manual_seed(0)
    model = build_model(
        args.arch, 4, args.num_segments, cluster=args.method, shift=True, freeze_stem_bn=args.freeze_stem_bn
    )
    model.streaming = choose_streaming(
        model, args.stem_chunk, args.size, args.stem_grad == "representative", args.stem_memory
    )
    frames = torch.randint(0, 256, (t, 3, args.size, args.size), dtype=torch.uint8)
    batch = VideoBatch(frames, torch.tensor([t]), torch.tensor([0]), ["random frames"])
    start = time.perf_counter()
    if t:
        train_one_epoch(model, [batch], build_sgd(model, 0.001, 0.9, 0), torch.device("cpu"))
    queue.put(((peak_memory() - frames.nbytes) / 2**20, time.perf_counter() - start))


def run(args: argparse.Namespace) -> list[Row]:
    if args.device != "cpu":
        raise InputError("memory is read from the operating system: it takes --device cpu only")
    context, rows = multiprocessing.get_context("spawn"), []
    for t in (0, *args.frames):
        queue = context.SimpleQueue()
        process = context.Process(target=measure_step, args=(args, t, queue))
        process.start()
        process.join()
        if process.exitcode:
            raise InputError(f"the step on {t} frames ended with exit code {process.exitcode}; take fewer --frames")
        peak, seconds = queue.get()
        rows.append({"frames": str(t), "peak MB": peak, "seconds": seconds})
        first = rows[min(1, len(rows) - 1)]["peak MB"]
        rows[-1]["peak/first"] = peak / first
    return rows


MEMORY = Benchmark(
    PURPOSE,
    (
        "memory",
        "memory --frames 54000 --size 64 --arch resnet_thin --freeze_stem_bn",
        "memory --method cumulative --stem_chunk 32",
    ),
    add_options,
    run,
)
