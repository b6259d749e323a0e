"""Cut every video of a folder into JPEG frames: `python tools/extract_frames.py videos frames` (see --help)."""

import argparse
import errno
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import _path
import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from ops.data.frame_names import VIDEOS
from ops.data.prepare.extraction import (
    Broken,
    check_record,
    cores,
    find_videos,
    left_out,
    new_folder,
    partial_folder,
    run_all,
    write_lines,
)
from ops.data.video_file import BECAUSE, VideoFile, at_rate
from ops.errors import InputError
from ops.options import cli

EXAMPLE = """example:
  python tools/extract_frames.py videos/ucf101 data/ucf101 --template 'img_{:06d}.jpg'
  python tools/extract_frames.py videos/breakfast data/breakfast --template 'img_{:06d}.jpg' --short_side 0 -j 16

A video SRC/class/name.avi becomes the folder DST/class/name. A folder appears when it is complete: after an
interruption the same command goes on where it stopped. A video that is cut off or in which the decoder meets an error
gets no folder but a line in DST/failed.txt (exit code 1). Files and folders whose name starts with a dot are left
alone.
"""
RECORD, FAILED, DAMAGED = "frames.json", "failed.txt", "damaged.txt"  # in DST


def number(kind: type, low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A parser of `kind` numbers in [low, high], for argparse."""

    def parse(text: str) -> float:
        if not low <= kind(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return kind(text)

    parse.__name__ = kind.__name__  # argparse names it: invalid int value
    return parse


def frame_template(text: str) -> str:
    """`text` if it turns each number into another plain JPEG name."""
    try:
        names = {text.format(i) for i in (0, 1, 12, 123456)}
    except (ValueError, LookupError, AttributeError, TypeError):
        names = set()
    if len(names) < 4 or not all(re.fullmatch(r"[^./\\\0][^/\\\0]*\.jpe?g", name, re.IGNORECASE) for name in names):
        raise argparse.ArgumentTypeError(f"{text!r} does not name numbered JPEG files as img_{{:05d}}.jpg does")
    return text


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        epilog=EXAMPLE,
        description="Cut every video below SRC into JPEG frames, one folder a video.\n"
        "Training does not need it: lists may name the video files themselves.",
    )
    parser.add_argument("src", type=Path, metavar="SRC", help="folder of videos, at any depth")
    parser.add_argument("dst", type=Path, metavar="DST", help="folder for the frame folders, laid out like SRC")
    parser.add_argument(
        "--template",
        type=frame_template,
        default="img_{:05d}.jpg",
        metavar="NAME",
        help="names of the frames (img_{:05d}.jpg)",
    )
    parser.add_argument("--first", type=number(int, 0), default=1, metavar="N", help="number of the first frame (1)")
    parser.add_argument(
        "--short_side",
        type=number(int, 0),
        default=256,
        metavar="PX",
        help="shrink frames to this short side; smaller ones keep their size, as readers enlarge them "
        "anyway; 0 keeps all sizes (256)",
    )
    parser.add_argument(
        "--fps",
        type=number(float, 0.001, 1000),
        metavar="F",
        help="frames per second; above the video's own rate frames repeat (every frame exactly once)",
    )
    parser.add_argument(
        "--quality",
        type=number(int, 1, 31),
        default=2,
        metavar="Q",
        help="of the JPEGs, as ffmpeg's -q:v: 1 is best, 2 looks like the video, 31 is smallest (2)",
    )
    parser.add_argument(
        "--keep_damaged",
        action="store_true",
        help=f"of videos with errors keep the frames that can be decoded; DST/{DAMAGED} lists them",
    )
    parser.add_argument("-j", "--workers", type=number(int, 1), metavar="J", help="videos at a time (one per core)")
    parser.add_argument(
        "--ext",
        default=",".join(ending[1:] for ending in VIDEOS),
        metavar="A,B",
        help="endings of video files, in either case (%(default)s)",
    )
    return parser


class JpegEncoder:
    """Encodes the pictures of a video, all of one size, with FFmpeg's encoder, whose quality is that of `-q:v`."""

    def __init__(self, quality: int):
        self.quality, self.encoder, self.reformatter, self.number = quality, None, VideoReformatter(), 0

    def __call__(self, pixels: np.ndarray) -> bytes:
        """Pixels uint8 (H, W, 3) -> a JPEG with half the resolution of colours."""
        if self.encoder is None:
            self.encoder = av.CodecContext.create("mjpeg", "w")
            self.encoder.height, self.encoder.width = pixels.shape[:2]
            self.encoder.pix_fmt, self.encoder.time_base, self.encoder.thread_count = "yuvj420p", Fraction(1, 25), 1
            self.encoder.options = {"qmin": str(self.quality), "qmax": str(self.quality)}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
        colours = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.JPEG}
        frame = self.reformatter.reformat(frame, format="yuvj420p", **colours, threads=1)
        frame.pts, frame.time_base = self.number, Fraction(1, 25)
        self.number += 1
        return b"".join(bytes(packet) for packet in self.encoder.encode(frame))


class Extractor:
    """Extracts one video a call, from any thread, until `stop()`."""

    def __init__(self, settings: dict, keep_damaged: bool, dst: Path, partial: Path):
        self.settings, self.keep_damaged = settings, keep_damaged
        self.dst, self.partial = dst, partial
        self.stopped, self.lock = False, threading.Lock()

    def __call__(self, src: Path, name: Path, target: Path) -> int:
        """Number of frames of the video `name` in `src` that are now in `target`; or raises `Broken`."""
        work = new_folder(self.partial)
        try:
            num_frames, damage = self.write(src / name, work)
        except InputError as error:
            shutil.rmtree(work, ignore_errors=True)
            raise Broken(str(error).split(BECAUSE, 1)[-1]) from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(f"no space left for {target}; with more of it, the same command continues") from None
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target} holds something else than these frames: remove it or give another DST")
        os.rename(work, target)
        if damage:
            with self.lock:
                write_lines(self.dst / DAMAGED, [f"{name}\t{damage}"], "a")
        return num_frames

    def write(self, video: Path, work: Path) -> tuple[int, str]:
        """Write the frames of `video` into `work` -> (their number, what of it is damaged)."""
        side, fps, quality, first = (self.settings[name] for name in ("short_side", "fps", "quality", "first"))
        file, encode, number = VideoFile(video, self.keep_damaged), JpegEncoder(quality), first
        try:
            for frame in at_rate(file.frames(), fps) if fps else file.frames():
                if self.stopped:
                    raise Broken("stopped")
                (work / self.settings["template"].format(number)).write_bytes(encode(file.pixels(frame, side)))
                number += 1
        finally:
            file.close()
        if number == first:
            raise Broken(file.damage or "there is no frame in it")
        return number - first, file.damage

    def stop(self) -> None:
        """Let no video at work come to its end."""
        self.stopped = True


def main(argv: Sequence[str] | None = None) -> int:
    """Extract what is not there yet; 1 if a video failed."""
    args = build_parser().parse_args(argv)
    src, dst = Path(os.path.abspath(args.src)), args.dst
    if not src.is_dir():
        raise InputError(f"{args.src} is not a folder of videos")
    if os.path.realpath(src) == os.path.realpath(dst):
        raise InputError(f"SRC and DST are both {src}: give the frames a folder of their own")
    videos, others = find_videos(src, dst, args.ext)
    if not videos:
        raise InputError(f"{src} holds no video file (--ext {args.ext}); {left_out(others) or 'it is empty'}")
    settings = {key: getattr(args, key) for key in ("template", "first", "short_side", "fps", "quality")}
    todo = [target for target in videos if not (dst / target / args.template.format(args.first)).exists()]
    jobs = max(1, min(args.workers or cores(), len(todo)))
    try:
        dst.mkdir(parents=True, exist_ok=True)
        with partial_folder(dst) as work:
            made_with = {"PyAV": av.__version__, "FFmpeg": av.ffmpeg_version_info}
            check_record(dst / RECORD, "frames", settings, made_with, there=len(todo) < len(videos))
            extract = Extractor(settings, args.keep_damaged, dst, work)
            tasks = {str(videos[target]): partial(extract, src, videos[target], dst / target) for target in todo}
            num_frames, failed = run_all(tasks, jobs, extract.stop, dst / FAILED)
    except OSError as error:
        raise InputError(f"{error.filename or dst}: {error.strerror or error}") from None
    see = f" (see {dst / FAILED})" if failed else ""
    print(
        f"{len(todo) - len(failed)} videos extracted, {len(videos) - len(todo)} already there,"
        f" {len(failed)} failed{see}, {num_frames} frames written"
    )
    if others:
        print(left_out(others))
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` and batch systems end it as Ctrl-C does
    cli.run(main)
