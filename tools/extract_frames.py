"""Cut every video of a folder into JPEG frames: `python tools/extract_frames.py videos frames` (see --help)."""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import _path
from tqdm import tqdm

from ops.data.ffmpeg import damage_of, find_ffmpeg, jpeg_command
from ops.data.frame_names import VIDEOS, is_hidden
from ops.data.prepare.discovery import leads_back
from ops.errors import InputError
from ops.files import claimed
from ops.options import cli

EXAMPLE = """example:
  python tools/extract_frames.py videos/ucf101 data/ucf101 --template 'img_{:06d}.jpg'
  python tools/extract_frames.py videos/breakfast data/breakfast --template 'img_{:06d}.jpg' --short_side 0 -j 16

A video SRC/class/name.avi becomes the folder DST/class/name. A folder appears when it is complete: after an
interruption the same command goes on where it stopped. A video that is cut off or in which ffmpeg meets an error gets
no folder but a line in DST/failed.txt (exit code 1). Files and folders whose name starts with a dot are left alone.
"""
PARTIAL, RECORD, FAILED, DAMAGED = ".partial", "frames.json", "failed.txt", "damaged.txt"  # in DST


class Broken(Exception):
    """A video that cannot be extracted; the message is the reason in one line, mostly ffmpeg's."""


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
        default=",".join(ending[1:] for ending in VIDEOS),
        metavar="A,B",
        help="endings of video files, in either case (%(default)s)",
    )
    return parser


def find_videos(src: Path, dst: Path, extensions: str) -> tuple[dict[Path, Path], Counter[str]]:
    """Frame folder (relative to `dst`) -> video (relative to `src`), sorted, and the endings of all other files.

    Folders that clash are an error.
    """
    endings = {"." + ending.strip().lstrip(".").lower() for ending in extensions.split(",") if ending.strip(" .")}

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    videos, others, real_dst = [], Counter(), os.path.realpath(dst)
    for folder, folders, files in os.walk(src, onerror=refuse, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not is_hidden(name)
            and not leads_back(Path(folder, name))
            and os.path.realpath(os.path.join(folder, name)) != real_dst
        ]
        for name in files:
            ending = os.path.splitext(name)[1].lower()
            if ending in endings and not is_hidden(name):
                videos.append(Path(folder, name).relative_to(src))
            else:
                others["hidden" if is_hidden(name) else ending or "no ending"] += 1
    if not videos:
        raise InputError(f"{src} holds no video file (--ext {extensions}); {left_out(others) or 'it is empty'}")
    found = {}
    for video in sorted(videos):
        target = video.with_suffix("")
        if target in found:
            raise InputError(f"{found[target]} and {video} would both become {dst / target}: rename one")
        found[target] = video
    for target, video in found.items():
        if inside := next((parent for parent in target.parents if parent in found), None):
            raise InputError(f"the frames of {video} would lie inside those of {found[inside]}: rename one")
    return found, others


def left_out(others: Counter[str]) -> str:
    """How many files are no videos by their names, in words; "" for none."""
    shown = ", ".join(f"{count} {ending}" for ending, count in others.most_common())
    return f"left out by their names: {shown}; --ext says which endings are videos'" if shown else ""


def check_record(dst: Path, settings: dict, made_with: str, frames_there: bool) -> None:
    """Write down how the frames in `dst` are made; raises `InputError` if others there were made otherwise."""
    path = dst / RECORD
    if not path.exists():
        if frames_there:
            raise InputError(
                f"{dst} holds frames of these videos but no {RECORD} that says how they were made: give another DST"
            )
        path.write_text(json.dumps(settings | {"ffmpeg": made_with}, indent=1) + "\n")
        return
    try:
        old = json.loads(path.read_text())
        differ = [f"--{key} {old[key]} there, {new} now" for key, new in settings.items() if old[key] != new]
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{path} is damaged: delete it together with the frames beside it") from None
    if differ:
        asked = "; ".join(differ).replace("None", "(every frame)")
        raise InputError(f"{dst} holds frames made otherwise: {asked}. Give the same options or another DST")


@contextmanager
def partial_folder(dst: Path) -> Iterator[Path]:
    """A new empty folder in `dst`, gone at the end, as is what a killed run left; one run at a time has it."""
    with claimed(dst):
        try:
            shutil.rmtree(dst / PARTIAL, ignore_errors=True)
            (dst / PARTIAL).mkdir(exist_ok=True)
            yield Path(tempfile.mkdtemp(dir=dst / PARTIAL))  # a new name: a killed run's ffmpeg may still be at work
        finally:
            shutil.rmtree(dst / PARTIAL, ignore_errors=True)


def ends_well(path: Path) -> bool:
    """Whether a file ends as a whole JPEG does."""
    with path.open("rb") as file:
        return file.seek(0, os.SEEK_END) > 2 and file.seek(-2, os.SEEK_END) and file.read() == b"\xff\xd9"


class Extractor:
    """Extracts one video a call, from any thread, until `stop()`."""

    def __init__(self, ffmpeg: list[str], settings: dict, keep_damaged: bool, threads: int, partial: Path):
        self.ffmpeg, self.settings, self.keep_damaged = ffmpeg, settings, keep_damaged
        self.threads, self.partial = threads, partial
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    def __call__(self, video: Path, target: Path) -> tuple[int, str]:
        """Number of frames now in `target`, and ffmpeg's complaint if the video is damaged; or raises `Broken`."""
        work = Path(tempfile.mkdtemp(dir=self.partial))
        work.chmod(self.partial.parent.stat().st_mode & 0o777)  # mkdtemp makes it for its owner only
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
        return num_frames, damage

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


def write_lines(path: Path, lines: Sequence[str], mode: str = "w") -> None:
    with path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(line + "\n" for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Extract what is not there yet; 1 if a video failed."""
    args = build_parser().parse_args(argv)
    src, dst = Path(os.path.abspath(args.src)), args.dst
    if not src.is_dir():
        raise InputError(f"{args.src} is not a folder of videos")
    if os.path.realpath(src) == os.path.realpath(dst):
        raise InputError(f"SRC and DST are both {src}: give the frames a folder of their own")
    videos, others = find_videos(src, dst, args.ext)
    ffmpeg, version = find_ffmpeg()
    settings = {key: getattr(args, key) for key in ("template", "first", "short_side", "fps", "quality")}
    todo = [target for target in videos if not (dst / target / args.template.format(args.first)).exists()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = max(1, min(args.workers or cores, len(todo)))
    threads = max(1, (args.workers or cores) // jobs)
    failed, num_frames = {}, 0
    try:
        dst.mkdir(parents=True, exist_ok=True)
        with (
            partial_folder(dst) as partial,
            ThreadPoolExecutor(jobs) as pool,
            tqdm(total=len(todo), unit="video", disable=None) as bar,
        ):  # a bar on a terminal only
            check_record(dst, settings, version, frames_there=len(todo) < len(videos))
            extract = Extractor(ffmpeg, settings, args.keep_damaged, threads, partial)
            try:
                futures = {pool.submit(extract, src / videos[target], dst / target): videos[target] for target in todo}
                for future in as_completed(futures):
                    try:
                        frames, damage = future.result()
                        num_frames += frames
                        if damage:
                            write_lines(dst / DAMAGED, [f"{futures[future]}\t{damage}"], "a")
                    except Broken as error:
                        failed[futures[future]] = str(error)
                    bar.set_postfix(frames=num_frames, failed=len(failed), refresh=False)
                    bar.update()
            except BaseException:  # Ctrl-C, a full disk
                extract.stop()
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                with suppress(OSError):  # of a full disk, say: what went wrong first is to be heard
                    (dst / FAILED).unlink(missing_ok=True)
                    if failed:
                        write_lines(dst / FAILED, [f"{video}\t{failed[video]}" for video in sorted(failed)])
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
