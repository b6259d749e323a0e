"""Predictions while frames come in: a sliding window whose frames pass the stem once, and TSM's online form."""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from archs import ARCHS
from ops.data.sampling import FrameSampler
from ops.live.online import OnlineEngine
from ops.live.spans import Span
from ops.live.windows import Engine, WindowEngine
from ops.models import TSN, build_model
from ops.options import cli
from ops.training.devices import pick_device
from ops.training.placement import place_model
from tools.benchmarks import Benchmark, Row, best_ms, positive

PURPOSE = """\
Time predictions while frames come in, those of a window of --window frames, one every --every:
  slope, a video each time  every window passes the whole network as a video of its own
  slope                     every frame passes the stem once, every window is cut and passes the trunk
  TSM, sampled              --num_segments frames of every window pass the whole network
  TSM, online               every frame passes once, with what is kept of those before it, and has a prediction
  TSM, online, one by one   the same, and no frame waits for another
Frames are random; their decoding is not counted. Times are the best of --repeat; kinds take turns."""
CHUNK = 8  # frames that pass at a time where they may wait


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=positive, default=3, metavar="N", help="runs of everything (3)")
    parser.add_argument("--arch", choices=ARCHS, default="resnet18", metavar="ARCH", help="backbone (resnet18)")
    parser.add_argument("--size", type=positive, default=112, metavar="S", help="side of the frames (112)")
    parser.add_argument("--num_segments", type=positive, default=8, metavar="G", help="clusters, sampled frames (8)")
    parser.add_argument("--frames", type=positive, default=128, metavar="T", help="frames that come (128)")
    parser.add_argument("--window", type=positive, default=32, metavar="W", help="frames of a window (32)")
    parser.add_argument("--every", type=positive, default=4, metavar="E", help="frames between predictions (4)")


@torch.inference_mode()
def whole_windows(model: TSN, frames: Tensor, window: int, every: int) -> None:
    for start in range(0, len(frames) - window + 1, every):
        model(frames[start : start + window], torch.tensor([window]))


def play(engine: Engine, frames: Tensor) -> None:
    engine.restart()
    engine.feed(frames, [number / 25 for number in range(len(frames))])


def run(args: argparse.Namespace) -> list[Row]:
    device = pick_device(args.device)
    frames = torch.randint(0, 256, (args.frames, 3, args.size, args.size), dtype=torch.uint8)
    window, every = Span(args.window, frames=True), Span(args.every, frames=True)

    def model(cluster: str, direction: str = "both") -> TSN:
        network = build_model(
            args.arch, 10, args.num_segments, cluster=cluster, shift=True, shift_direction=direction
        ).eval()
        place_model(network, device)
        return network

    def sliding(cluster: str) -> Engine:
        sampler = FrameSampler(args.num_segments, clustering=cluster != "none")
        return WindowEngine(model(cluster), sampler, window, every, CHUNK)

    one = Span(1, frames=True)
    kinds: dict[str, Callable[[], None]] = {
        "slope, a video each time": partial(whole_windows, model("slope"), frames, args.window, args.every),
        "slope": partial(play, sliding("slope"), frames),
        "TSM, sampled": partial(play, sliding("none"), frames),
        "TSM, online": partial(play, OnlineEngine(model("none", "past"), one, CHUNK), frames),
        "TSM, online, one by one": partial(play, OnlineEngine(model("none", "past"), one, 1), frames),
    }
    times = best_ms(kinds, args.repeat)
    return [
        {"kind": kind, "ms a frame": time / args.frames, "frames/s": 1000 * args.frames / time}
        for kind, time in times.items()
    ]


LIVE = Benchmark(PURPOSE, ("live", "live --arch resnet50 --size 224 --window 64 --every 16"), add_options, run)
