"""Loading all frames of a video, against PIL frame by frame."""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.modality import MODALITIES
from ops.data.seeds import Purpose, generator
from ops.data.specs import DatasetSpec
from ops.data.stores import open_store
from ops.data.views import multi_scale_crop, train_transform
from ops.errors import InputError
from ops.options import cli
from tools.benchmarks import Benchmark, Row, best_ms, positive, write_video
from tools.pack_frames import write_raw, write_zip

PURPOSE = """\
Load all frames of a video with training crops and mirrors, on one core, from a folder, a zip and a raw pack, against
  PIL    each frame opened, converted to RGB, cropped, resized and mirrored by PIL, as in TSM's loader
All draw the same crops; `difference` is the mean over pixels in levels of 255. Every time is the best of --repeat."""
SPEC = DatasetSpec(1, "{:05d}.jpg")


class Kind(NamedTuple):
    """Videos of one kind: size and mode of the frames, side of the clips, and what they are read from."""

    width: int
    height: int
    mode: str
    size: int
    sources: tuple[str, ...]  # names in a list: a folder, and packs called after their kind


KINDS = (
    Kind(340, 256, "RGB", 224, ("video", "zip")),
    Kind(340, 256, "RGB", 64, ("video", "zip")),
    Kind(64, 64, "L", 64, ("video", "zip", "raw")),
)


def pil_clip(folder: Path, num_frames: int, size: int, draw: int) -> Tensor:
    """What PIL makes of a video's frames -> uint8 (t, 3, size, size)."""
    rng, box, frames = generator(Purpose.VIEW, 0, draw, 0), None, []
    for i in range(num_frames):
        frame = Image.open(folder / SPEC.image_tmpl.format(i + 1)).convert("RGB")
        if box is None:
            top, left, height, width = multi_scale_crop(frame.height, frame.width, rng)
            box, mirrored = (left, top, left + width, top + height), rng.random() < 0.5
        frame = frame.crop(box).resize((size, size), Image.Resampling.BILINEAR)
        frames.append(frame.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else frame)
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def our_clip(dataset: VideoDataset, draw: int) -> Tensor:
    """What the loader makes of the same frames -> uint8 (t, 3, size, size)."""
    return dataset[draw, 0][0]


def load_all(road: Callable[[int], object], clips: int) -> None:
    """Load clips and let go of each, as a loader does that hands them on."""
    for draw in range(clips):
        road(draw)


def roads_of(kind: Kind, num_frames: int, folder: Path) -> dict[str, tuple[Path, Callable[[int], Tensor]]]:
    """Make a video and its packs in `folder` -> what is read and, for the number of a draw, the clip, for each road."""
    video, every = folder / "video", np.arange(num_frames)
    write_video(video, SPEC, num_frames, kind.width, kind.height, kind.mode)
    write_zip(video, folder / "zip.zip")
    write_raw(video, folder / "raw.npy", SPEC)
    roads = {"PIL": (video, partial(pil_clip, video, num_frames, kind.size))}
    for name in kind.sources:
        dataset = VideoDataset(
            [Video(name, num_frames, 0)],
            folder,
            SPEC,
            MODALITIES["RGB"],
            lambda *_: every,
            partial(train_transform, size=kind.size, flip=True),
            0,
        )
        roads[name] = open_store(folder / name).path, partial(our_clip, dataset)
    return roads


def time_kind(kind: Kind, num_frames: int, clips: int, repeat: int, folder: Path) -> list[Row]:
    """A row for PIL and for each source."""
    roads = roads_of(kind, num_frames, folder)
    times = best_ms({name: partial(load_all, road, clips) for name, (_, road) in roads.items()}, repeat)
    rows = []
    for name, (path, road) in roads.items():
        files = [path] if path.is_file() else path.iterdir()
        errors = [(road(draw).float() - roads["PIL"][1](draw).float()).abs().mean().item() for draw in range(clips)]
        rows.append(
            {
                "frames": f"{kind.width}x{kind.height} {'grey' if kind.mode == 'L' else 'colour'} -> {kind.size}",
                "from": "folder" if name == "video" else name,
                "bytes/frame": sum(file.stat().st_size for file in files) / num_frames,
                "frames/s": 1000 * clips * num_frames / times[name],
                "ratio to PIL": times["PIL"] / times[name],
                "difference": sum(errors) / clips,
            }
        )
    return rows


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, default=128, metavar="T", help="frames of a video (128)")
    parser.add_argument("--clips", type=positive, default=8, metavar="N", help="crops that are drawn of each video (8)")
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of everything (5)")


def run(args: argparse.Namespace) -> list[Row]:
    """The table of all kinds, on one thread."""
    if args.device != "cpu":
        raise InputError("frames are loaded by the processor: loader takes --device cpu only")
    torch.set_num_threads(1)
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            rows += time_kind(kind, args.frames, args.clips, args.repeat, Path(folder))
    return rows


LOADER = Benchmark(PURPOSE, ("loader", "loader --frames 32 --clips 16 --json loader.json"), add_options, run)
