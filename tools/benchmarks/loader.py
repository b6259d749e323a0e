"""Loading the frames of a video, all or some, from pictures and from video files, against PIL frame by frame."""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ops.data.dataset import VideoDataset
from ops.data.frame_names import is_video
from ops.data.lists import Video
from ops.data.modality import MODALITIES
from ops.data.sampling import evenly, uniform_segments
from ops.data.seeds import Purpose, generator
from ops.data.specs import DatasetSpec
from ops.data.stores import open_store
from ops.data.video_file import read_video
from ops.data.video_index import FOLDER
from ops.data.views import multi_scale_crop, train_transform
from ops.errors import InputError
from ops.options import cli
from tools.benchmarks import Benchmark, Row, best_ms, positive, write_video
from tools.pack_frames import write_raw, write_zip

PURPOSE = """\
Load frames of a video with training crops and mirrors, on one core, from a folder, a zip, a raw pack and a video file
(mp4: H.264 as x264 makes it by itself; mp4, keys: with a key frame every 12), against
  PIL    each frame opened, converted to RGB, cropped, resized and mirrored by PIL, as in TSM's loader
All draw the same crops and frames; `difference` is the mean over pixels in levels of 255, of video files with what
their encoder lost. With --videos they are your own: all frames and 16 of each, from the files and from JPEGs of them.
Every time is the best of --repeat."""
SPEC = DatasetSpec(1, "{:05d}.jpg")


class Kind(NamedTuple):
    """Videos of one kind: size and mode of the frames, side of the clips, and what they are read from.

    Of `sampled` frames a time one is drawn of each of so many equal parts of the video, as TSM does; 0 loads all.
    """

    width: int
    height: int
    mode: str
    size: int
    sources: tuple[str, ...]  # names in a list: a folder, and files called after their kind
    sampled: int = 0


KINDS = (
    Kind(256, 192, "RGB", 224, ("video", "zip", "mp4")),
    Kind(340, 256, "RGB", 224, ("video", "zip", "mp4")),
    Kind(340, 256, "RGB", 64, ("video", "zip", "mp4")),
    Kind(64, 64, "L", 64, ("video", "zip", "raw")),
    Kind(340, 256, "RGB", 224, ("video", "mp4", "mp4, keys"), sampled=16),
)
FILES = {"mp4": {}, "mp4, keys": {"g": "12"}}  # video file -> options of its encoder


def frames_of(num_frames: int, sampled: int, draw: int) -> np.ndarray:
    """The numbers of the frames that are loaded in a draw, (t,)."""
    if not sampled:
        return np.arange(num_frames)
    return uniform_segments(num_frames, sampled, np.random.default_rng(draw))


def pil_clip(folder: Path, num_frames: int, kind: Kind, draw: int) -> Tensor:
    """What PIL makes of a video's frames -> uint8 (t, 3, size, size)."""
    rng, box, frames = generator(Purpose.VIEW, 0, draw, 0), None, []
    for i in frames_of(num_frames, kind.sampled, draw):
        frame = Image.open(folder / SPEC.image_tmpl.format(i + 1)).convert("RGB")
        if box is None:
            top, left, height, width = multi_scale_crop(frame.height, frame.width, rng)
            box, mirrored = (left, top, left + width, top + height), rng.random() < 0.5
        frame = frame.crop(box).resize((kind.size, kind.size), Image.Resampling.BILINEAR)
        frames.append(frame.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else frame)
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def write_film(path: Path, folder: Path, num_frames: int, options: dict[str, str]) -> None:
    """The pictures of a folder as a video of 25 frames per second, in H.264 where PyAV can encode it."""
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.pix_fmt = "yuv420p"
        for i in range(num_frames):
            with Image.open(folder / SPEC.image_tmpl.format(i + 1)) as picture:
                if i == 0:
                    stream.width, stream.height = picture.size
                file.mux(stream.encode(av.VideoFrame.from_image(picture.convert("RGB"))))
        file.mux(stream.encode(None))


def our_clip(dataset: VideoDataset, draw: int) -> Tensor:
    """What the loader makes of the same frames -> uint8 (t, 3, size, size)."""
    return dataset[draw, 0][0]


def load_all(road: Callable[[int], object], clips: int) -> None:
    """Load clips and let go of each, as a loader does that hands them on."""
    for draw in range(clips):
        road(draw)


def roads_of(kind: Kind, num_frames: int, folder: Path) -> dict[str, tuple[Path, Callable[[int], Tensor]]]:
    """Make a video and its packs in `folder` -> what is read and, for the number of a draw, the clip, for each road."""
    video = folder / "video"
    write_video(video, SPEC, num_frames, kind.width, kind.height, kind.mode)
    write_zip(video, folder / "zip.zip")
    write_raw(video, folder / "raw.npy", SPEC)
    (folder / FOLDER).mkdir()
    for name in kind.sources:
        if name in FILES:
            write_film(folder / f"{name}.mp4", video, num_frames, FILES[name])
    roads = {"PIL": (video, partial(pil_clip, video, num_frames, kind))}
    for name in kind.sources:
        dataset = VideoDataset(
            [Video(name, num_frames, 0)],
            folder,
            SPEC,
            MODALITIES["RGB"],
            lambda number, epoch, rng: frames_of(number, kind.sampled, epoch),
            partial(train_transform, size=kind.size, flip=True),
            0,
        )
        roads[name] = open_store(folder / name).path, partial(our_clip, dataset)
    return roads


def time_kind(kind: Kind, num_frames: int, clips: int, repeat: int, folder: Path) -> list[Row]:
    """A row for PIL and for each source."""
    roads = roads_of(kind, num_frames, folder)
    times = best_ms({name: partial(load_all, road, clips) for name, (_, road) in roads.items()}, repeat)
    some = f", {kind.sampled} of {num_frames}" if kind.sampled else ""
    rows = []
    for name, (path, road) in roads.items():
        files = [path] if path.is_file() else path.iterdir()
        errors = [(road(draw).float() - roads["PIL"][1](draw).float()).abs().mean().item() for draw in range(clips)]
        rows.append(
            {
                "frames": f"{kind.width}x{kind.height} {'grey' if kind.mode == 'L' else 'colour'} -> {kind.size}{some}",
                "from": "folder" if name == "video" else name,
                "bytes/frame": sum(file.stat().st_size for file in files) / num_frames,
                "frames/s": 1000 * clips * (kind.sampled or num_frames) / times[name],
                "ratio to PIL": times["PIL"] / times[name],
                "ratio to folder": times["video"] / times[name],
                "difference": sum(errors) / clips,
            }
        )
    return rows


def time_own(videos: Path, number: int, repeat: int, folder: Path) -> list[Row]:
    """Rows for `number` video files below a folder, all frames and 16 of each: from the files and from their JPEGs."""
    paths = sorted(path.absolute() for path in videos.rglob("*") if is_video(path.name))
    if not paths:
        raise InputError(f"--videos {videos}: there is no video file")
    paths = [paths[i] for i in evenly(np.arange(len(paths)), min(number, len(paths)))]
    lists = {"folder": [], "file": []}
    for place, path in enumerate(paths):
        (folder / f"{place}").mkdir()
        count = 0
        for clip in read_video(path, SPEC.short_side, 64):
            for frame in clip.permute(0, 2, 3, 1).numpy():
                count += 1
                Image.fromarray(frame).save(folder / f"{place}" / SPEC.image_tmpl.format(count), quality=95)
        lists["folder"].append(Video(f"{place}", count, 0))
        lists["file"].append(Video(str(path), count, 0))
    frames = sum(video.num_frames for video in lists["file"])
    held = {
        "folder": sum(file.stat().st_size for file in folder.rglob("*.jpg")),
        "file": sum(path.stat().st_size for path in paths),
    }
    rows = []
    for sampled in (0, 16):
        datasets = {
            name: VideoDataset(
                listed,
                folder,
                SPEC,
                MODALITIES["RGB"],
                lambda number, epoch, rng, sampled=sampled: frames_of(number, sampled, epoch),
                partial(train_transform, size=224, flip=True),
                0,
            )
            for name, listed in lists.items()
        }
        times = best_ms({name: partial(load_each, dataset) for name, dataset in datasets.items()}, repeat)
        for name, took in times.items():
            rows.append(
                {
                    "frames": f"{len(paths)} videos, {f'{sampled} each' if sampled else f'all {frames}'} -> 224",
                    "from": name,
                    "bytes/frame": held[name] / frames,
                    "frames/s": 1000 * (sampled * len(paths) or frames) / took,
                    "ratio to folder": times["folder"] / took,
                }
            )
    return rows


def load_each(dataset: VideoDataset) -> None:
    """Load every video of a dataset once."""
    for place in range(len(dataset)):
        dataset.load(0, place)


def add_options(parser: cli.ArgumentParser) -> None:
    parser.add_argument("--frames", type=positive, default=128, metavar="T", help="frames of a video (128)")
    parser.add_argument(
        "--sparse_frames",
        type=positive,
        default=300,
        metavar="T",
        help="frames of a video of which 16 are loaded (300)",
    )
    parser.add_argument("--clips", type=positive, default=8, metavar="N", help="crops that are drawn of each video (8)")
    parser.add_argument(
        "--videos", type=Path, metavar="DIR", help="load --clips of the video files below DIR instead of made ones"
    )
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="runs of everything (5)")


def run(args: argparse.Namespace) -> list[Row]:
    """The table of all kinds, on one thread."""
    if args.device != "cpu":
        raise InputError("frames are loaded by the processor: loader takes --device cpu only")
    torch.set_num_threads(1)
    if args.videos:
        with tempfile.TemporaryDirectory() as folder:
            return time_own(args.videos, args.clips, args.repeat, Path(folder))
    rows = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            number = args.sparse_frames if kind.sampled else args.frames
            rows += time_kind(kind, number, args.clips, args.repeat, Path(folder))
    return rows


LOADER = Benchmark(PURPOSE, ("loader", "loader --frames 32 --clips 16 --json loader.json"), add_options, run)
