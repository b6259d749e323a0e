"""A training step on all frames of a video, with and without clustering, and what its parts cost."""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from archs import ARCHS
from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.loading import VideoBatch, collate
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import DatasetSpec
from ops.data.views import train_transform
from ops.models import TSN, build_model
from ops.options import cli
from ops.options.types import number
from ops.streaming import KEPT, Streaming
from ops.training.devices import pick_device
from ops.training.optim import build_sgd
from ops.training.placement import place_model
from ops.training.stepping import video_losses
from tools.benchmarks import Benchmark, Row, positive, write_video

PURPOSE = """\
Time one training step on one video, for each number of frames t:
  TSM, all frames      every frame goes through the whole network
  TSM, sampled         --num_segments of them do
  slope, cumulative    all frames go through the stem, the means of --num_segments clusters through the rest;
                       in chunks: with bounded memory; representative: gradient of one frame per cluster
                       (these take --freeze_stem_bn, and are left out without it);
                       a share: of the frames, --frame_keep, is loaded and goes through the stem
`load` is the decoding of JPEG files of 340x256 pixels in one process, beside which a run does the rest: `step` is
stem + cluster + trunk + backward, and also how epochs compare, `step/sampled` with those of sampled frames. Every step
is the fastest of --repeat; kinds take turns."""
SPEC = DatasetSpec(4, "{:06d}.jpg")
PARTS = ("load", "stem", "cluster", "trunk", "backward")


class Kind(NamedTuple):
    """What a step is made of: the clustering, how frames are streamed, whether a share of them alone is loaded."""

    cluster: str
    streaming: dict[str, Any] | None = None
    shares: bool = False


REPRESENTATIVE = {"representative": True, "memory": KEPT}
KINDS = {
    "TSM, all frames": Kind("none"),
    "TSM, sampled": Kind("none"),
    "slope": Kind("slope"),
    "cumulative": Kind("cumulative"),
    "slope, in chunks": Kind("slope", {}),
    "cumulative, in chunks": Kind("cumulative", {}),
    "slope, representative": Kind("slope", REPRESENTATIVE),
    "cumulative, representative": Kind("cumulative", REPRESENTATIVE),
    "cumulative, a share": Kind("cumulative", shares=True),
    "cumulative, a share, representative": Kind("cumulative", REPRESENTATIVE, shares=True),
}


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, nargs="+", default=(32, 128, 512), metavar="T", help="(32 128 512)")
    parser.add_argument("--size", type=positive, default=112, metavar="S", help="side of the clips in pixels (112)")
    parser.add_argument("--arch", choices=ARCHS, default="resnet18", help="(resnet18)")
    parser.add_argument("--num_segments", type=positive, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--frame_keep", type=number(float, above=0, most=1), default=0.5, metavar="P", help="(0.5)")
    parser.add_argument("--stem_chunk", type=positive, default=8, metavar="N", help="frames a chunk (8)")
    parser.add_argument("--freeze_stem_bn", action="store_true", help="BatchNorm of the stem uses running statistics")
    parser.add_argument("--repeat", type=positive, default=2, metavar="N", help="steps of each kind (2)")


def time_step(
    model: TSN, optimizer: torch.optim.Optimizer, load: Callable[[], VideoBatch], device: torch.device
) -> Counter:
    """One training step; the milliseconds of its `PARTS`. What the stem does in the backward pass counts there."""
    spent: Counter = Counter()

    def timed(part: str, function: Callable[..., Any]) -> Any:
        start = time.perf_counter()
        result = function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent[part] += 1000 * (time.perf_counter() - start)
        return result

    batch = timed("load", load)
    labels, run_stem = batch.labels.to(device), model.run_stem
    model.run_stem = lambda frames: timed("stem", lambda: run_stem(frames))
    x, _ = timed("cluster", lambda: model.represent(batch.frames, batch.lengths))
    model.run_stem = run_stem
    stem = spent["stem"]
    spent["cluster"] -= stem
    loss: Tensor = timed("trunk", lambda: video_losses(model.classify(x, len(labels)), labels).mean())
    optimizer.zero_grad()
    timed("backward", lambda: (loss.backward(), optimizer.step()))
    spent["stem"] = stem  # in chunks, backward runs it again, which counts there
    return spent


def prepare(args: argparse.Namespace, kind: str, t: int, root: Path, device: torch.device):
    """A step of this kind on t frames, ready to be timed."""
    cluster, how, shares = KINDS[kind]
    segments = t if kind == "TSM, all frames" else args.num_segments
    torch.manual_seed(0)
    model = build_model(
        args.arch, SPEC.num_class, segments, cluster=cluster, shift=True, freeze_stem_bn=args.freeze_stem_bn
    )
    place_model(model, device)
    model.streaming = None if how is None else Streaming(args.stem_chunk, **how)
    transform = partial(train_transform, size=args.size, flip=True)
    sampler = FrameSampler(segments, cluster != "none", train=True, keep=args.frame_keep if shares else 1.0)
    dataset = VideoDataset([Video("video", t, 0)], root, SPEC, MODALITIES["RGB"], sampler, transform, seed=0)
    return partial(time_step, model, build_sgd(model, 0.001, 0.9, 0), lambda: collate([dataset[0, 0]]), device)


def run(args: argparse.Namespace) -> list[Row]:
    device, rows = pick_device(args.device), []
    kinds = [name for name, kind in KINDS.items() if kind.streaming is None or args.freeze_stem_bn]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_video(root / "video", SPEC, max(args.frames), 340, 256)
        for t in args.frames:
            steps = {kind: prepare(args, kind, t, root, device) for kind in kinds}
            turns = [{kind: step() for kind, step in steps.items()} for _ in range(args.repeat)]
            best = {kind: min((turn[kind] for turn in turns), key=lambda ms: ms.total() - ms["load"]) for kind in kinds}
            totals = {kind: ms.total() - ms["load"] for kind, ms in best.items()}
            rows += [
                {
                    "frames": str(t),
                    "kind": kind,
                    **{f"{part} ms": best[kind][part] for part in PARTS},
                    "step ms": total,
                    "step/TSM": total / totals["TSM, all frames"],
                    "step/sampled": total / totals["TSM, sampled"],
                }
                for kind, total in totals.items()
            ]
    return rows


STEP = Benchmark(
    PURPOSE,
    (
        "step --freeze_stem_bn",
        "step --freeze_stem_bn --repeat 3 --json step.json",
        "step --frames 64 --size 224 --arch resnet50",
    ),
    add_options,
    run,
)
