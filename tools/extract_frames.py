"""Cut every video of a folder into JPEG frames: `python tools/extract_frames.py videos frames` (see --help)."""

import argparse
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import _path

from ops.data.ffmpeg import damage_of, find_ffmpeg, jpeg_command
from ops.data.prepare.extraction import (
    VIDEO_ENDINGS,
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
from ops.errors import InputError
from ops.options import cli

EXAMPLE = """example:
  python tools/extract_frames.py videos/ucf101 data/ucf101 --template 'img_{:06d}.jpg'
  python tools/extract_frames.py videos/breakfast data/breakfast --template 'img_{:06d}.jpg' --short_side 0 -j 16

A video SRC/class/name.avi becomes the folder DST/class/name. A folder appears when it is complete: after an
interruption the same command goes on where it stopped. A video that is cut off or in which ffmpeg meets an error gets
no folder but a line in DST/failed.txt (exit code 1). Files and folders whose name starts with a dot are left alone.
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
        description="Cut every video below SRC into JPEG frames, one folder a video, with ffmpeg:\n"
        "the one on the PATH, else the one of the PyPI package imageio-ffmpeg.",
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
        default=VIDEO_ENDINGS,
        metavar="A,B",
        help="endings of video files, in either case (%(default)s)",
    )
    return parser


def ends_well(path: Path) -> bool:
    """Whether a file ends as a whole JPEG does."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END) > 2 and file.seek(-2, os.SEEK_END) and file.read() == b"\xff\xd9"


class Extractor:
    """Extracts one video a call, from any thread, until `stop()`."""

    def __init__(self, ffmpeg: list[str], settings: dict, keep_damaged: bool, threads: int, dst: Path, partial: Path):
        self.ffmpeg, self.settings, self.keep_damaged = ffmpeg, settings, keep_damaged
        self.threads, self.dst, self.partial = threads, dst, partial
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    def __call__(self, src: Path, name: Path, target: Path) -> int:
        """Number of frames of the video `name` in `src` that are now in `target`; or raises `Broken`."""
        video = src / name
        work = new_folder(self.partial)
        code, complaints = self.decode(video, work, ["-xerror"])
        damage = damage_of(code, complaints)
        if damage and self.keep_damaged:  # once more, past the errors
            code, complaints = self.decode(video, work, ["-max_error_rate", "1"])
        num_frames = len(os.listdir(work))
        parts = [work / f"{i}.part" for i in range(self.settings["first"], self.settings["first"] + num_frames)]
        full = any("No space left" in line or "quota exceeded" in line for line in complaints)
        broken = code < 0 or not num_frames or damage and not self.keep_damaged
        if full or not broken and not all(map(ends_well, parts)):  # ffmpeg 4 says nothing of a full disk
            raise InputError(f"no space left for {target}; with more of it, the same command continues")
        if broken:
            shutil.rmtree(work, ignore_errors=True)
            raise Broken(damage or "ffmpeg found no frame in it")
        for part in parts:
            os.rename(part, work / self.settings["template"].format(int(part.stem)))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target} holds something else than these frames: remove it or give another DST")
        os.rename(work, target)
        if damage:
            with self.lock:
                write_lines(self.dst / DAMAGED, [f"{name}\t{damage}"], "a")
        return num_frames

    def command(self, video: Path, strictness: list[str]) -> list[str]:
        """ffmpeg's words: frames of `video` -> 1.part, 2.part, ... in the folder it runs in."""
        side, fps, quality, first = (self.settings[name] for name in ("short_side", "fps", "quality", "first"))
        output = ["-start_number", str(first), "-f", "image2", "%d.part"]
        return jpeg_command(self.ffmpeg, str(video), side, output, fps, quality, strictness, self.threads)

    def decode(self, video: Path, work: Path, strictness: list[str]) -> tuple[int, list[str]]:
        """Run ffmpeg in `work`, so that no name of the user's gets into its file pattern -> (exit code, errors)."""
        with self.lock:
            if self.stopped:
                return -1, []
            process = subprocess.Popen(
                self.command(video, strictness),
                cwd=work,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )  # Ctrl-C reaches this program alone, see stop()
            self.running.add(process)
        with process.stderr as lines:
            complaints = list(islice(lines, 50))
            for _ in lines:  # or ffmpeg would wait for a reader
                pass
        code = process.wait()
        with self.lock:
            self.running.discard(process)
        return code, complaints

    def stop(self) -> None:
        """End the ffmpegs at work and start no other."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.kill()


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
    ffmpeg, version = find_ffmpeg()
    settings = {key: getattr(args, key) for key in ("template", "first", "short_side", "fps", "quality")}
    todo = [target for target in videos if not (dst / target / args.template.format(args.first)).exists()]
    workers = args.workers or cores()
    jobs = max(1, min(workers, len(todo)))
    try:
        dst.mkdir(parents=True, exist_ok=True)
        with partial_folder(dst) as work:
            check_record(dst / RECORD, "frames", settings, {"ffmpeg": version}, there=len(todo) < len(videos))
            extract = Extractor(ffmpeg, settings, args.keep_damaged, max(1, workers // jobs), dst, work)
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
