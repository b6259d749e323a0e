"""A training step on all frames of a video, with and without clustering, and what its parts cost."""
import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from archs.resnet import ARCHS
from ops import cli, options
from ops.dataset import FrameFolders, Video, VideoBatch, collate
from ops.dataset_config import DatasetSpec
from ops.modality import MODALITIES
from ops.models import TSN, build_model
from ops.optim import build_sgd
from ops.sampling import FrameSampler
from ops.stepping import video_losses
from ops.streaming import Streaming
from ops.transforms import train_transform
from tools.benchmarks import Benchmark, Row, positive

PURPOSE = """\
Time one training step on one video, for each number of frames t:
  TSM, all frames      every frame goes through the whole network
  TSM, sampled         --num_segments of them do
  slope, cumulative    all frames go through the stem, the means of --num_segments clusters through the rest;
                       in chunks: with bounded memory; representative: gradient of one frame a cluster
`load` is the decoding of JPEG files of 340x256 pixels in one process, beside which a run does the rest: `step` is
stem + cluster + trunk + backward. Every step is the fastest of --repeat; kinds take turns."""
PARTS = ("load", "stem", "cluster", "trunk", "backward")
KINDS: dict[str, tuple[str, dict[str, Any] | None]] = {  # clustering and streaming
    "TSM, all frames": ("none", None),
    "TSM, sampled": ("none", None),
    "slope": ("slope", None),
    "cumulative": ("cumulative", None),
    "slope, in chunks": ("slope", {}),
    "cumulative, in chunks": ("cumulative", {}),
    "slope, representative": ("slope", {"representative": True}),
}


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, nargs="+", default=(32, 128, 512), metavar="T", help="(32 128 512)")
    parser.add_argument("--size", type=positive, default=112, metavar="S", help="side of the clips in pixels (112)")
    parser.add_argument("--arch", choices=ARCHS, default="resnet18", help="(resnet18)")
    parser.add_argument("--num_segments", type=positive, default=16, metavar="G", help="clusters of a video (16)")
    parser.add_argument("--stem_chunk", type=positive, default=8, metavar="N", help="frames a chunk (8)")
    parser.add_argument("--freeze_stem_bn", action="store_true", help="BatchNorm of the stem uses running statistics")
    parser.add_argument("--repeat", type=positive, default=2, metavar="N", help="steps of each kind (2)")


def drifting_frames(num_frames: int, width: int, height: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Smooth coloured noise that drifts, another every 40 frames: uint8 (height, width, 3) each."""
    rng = np.random.default_rng(seed)
    for frame in range(num_frames):
        if frame % 40 == 0:
            coarse = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8))
            scene = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
        yield np.roll(scene, 2 * frame, axis=1)


def write_video(folder: Path, num_frames: int, width: int, height: int) -> DatasetSpec:
    """A folder of JPEG files; returns how they are named."""
    spec = DatasetSpec(4, "{:06d}.jpg", first_frame=0)
    folder.mkdir()
    for number, frame in enumerate(drifting_frames(num_frames, width, height)):
        Image.fromarray(frame).save(folder / spec.image_tmpl.format(number), quality=95)
    return spec


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
    spent["cluster"] -= spent["stem"]
    loss: Tensor = timed("trunk", lambda: video_losses(model.classify(x, len(labels)), labels).mean())
    optimizer.zero_grad()
    timed("backward", lambda: (loss.backward(), optimizer.step()))
    return spent


def prepare(args: argparse.Namespace, kind: str, t: int, spec: DatasetSpec, root: Path, device: torch.device):
    """A step of this kind on t frames, ready to be timed."""
    cluster, how = KINDS[kind]
    segments = t if kind == "TSM, all frames" else args.num_segments
    torch.manual_seed(0)
    model = build_model(args.arch, spec.num_class, segments, cluster=cluster, shift=True,
                        freeze_stem_bn=args.freeze_stem_bn).to(device).train()  # fmt: skip
    model.streaming = None if how is None else Streaming(args.stem_chunk, **how)
    transform = partial(train_transform, size=args.size, flip=True)
    sampler = FrameSampler(segments, cluster != "none", train=True)
    dataset = FrameFolders([Video("video", t, 0)], root, spec, MODALITIES["RGB"], sampler, transform, seed=0)
    return partial(time_step, model, build_sgd(model, 0.001, 0.9, 0), lambda: collate([dataset[0, 0]]), device)


def run(args: argparse.Namespace) -> list[Row]:
    device, rows = options.pick_device(args.device), []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        spec = write_video(root / "video", max(args.frames), 340, 256)
        for t in args.frames:
            steps = {kind: prepare(args, kind, t, spec, root, device) for kind in KINDS}
            turns = [{kind: step() for kind, step in steps.items()} for _ in range(args.repeat)]
            best = {kind: min((turn[kind] for turn in turns), key=lambda ms: ms.total() - ms["load"]) for kind in KINDS}
            totals = {kind: ms.total() - ms["load"] for kind, ms in best.items()}
            rows += [
                {"frames": str(t), "kind": kind, **{f"{part} ms": best[kind][part] for part in PARTS},
                 "step ms": total, "step/TSM": total / totals["TSM, all frames"]}
                for kind, total in totals.items()
            ]  # fmt: skip
    return rows


STEP = Benchmark(
    PURPOSE,
    ("step", "step --freeze_stem_bn --repeat 3 --json step.json", "step --frames 64 --size 224 --arch resnet50"),
    add_options, run,
)  # fmt: skip
