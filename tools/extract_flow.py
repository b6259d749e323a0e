"""Compute the optical flow of every video of a folder: `python tools/extract_flow.py videos flow` (see --help)."""

import os
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import _path
import numpy as np

from ops.data.decoding import decode
from ops.data.flow import METHODS, encode, flow_fields, opencv, shrink, to_grey, to_levels, to_pixels
from ops.data.frame_names import VIDEOS, check_template, has_folder_number, is_picture, name_pattern
from ops.data.prepare.discovery import picture_folders, split_at_numbers
from ops.data.prepare.extraction import (
    Broken,
    check_record,
    cores,
    find_videos,
    left_out,
    new_folder,
    partial_folder,
    run_all,
)
from ops.data.specs import DatasetSpec
from ops.data.stores.pictures import frame_files
from ops.data.video_file import read_video
from ops.errors import InputError
from ops.files import check_writable
from ops.options import cli
from ops.options.types import number
from ops.pictures.flow import flow_strip

EXAMPLE = """examples:
  # beside the frames, so that one list serves RGB and Flow
  python tools/extract_flow.py data/ucf101 data/ucf101
  # from video files, with a look at the result; names as for Something-Something V1
  python tools/extract_flow.py videos data/flow --template '{:06d}-{}_{:05d}.jpg' --preview flow.png

SRC holds video files, or, where there are none, folders of numbered frames. A video SRC/class/name.avi, or a folder of
frames SRC/class/name, gets its flow in DST/class/name: two pictures for each frame, x and y, of how far its pixels move
until the next one. The last frame has no next one; it gets the flow of the one before, unless --last none. Numbers are
those of the frames; of a video they begin with --first.

An interrupted run goes on where it stopped when the same command is given again. A video that is cut off or damaged
gets no flow but a line in DST/flow_failed.txt (exit code 1). DST/flow.json says how flow was made; what was made
otherwise is not mixed in.
"""
RECORD, FAILED = "flow.json", "flow_failed.txt"  # in DST
CHUNK = 16  # frames that are decoded at a time
SHOWN = 6  # fields in the picture


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog="extract_flow.py",
        epilog=EXAMPLE,
        description="Compute optical flow between the frames of every video, with OpenCV (requirements-flow.txt), as\n"
        "pictures that main.py and test_models.py read for Flow, OF and DOF.",
    )
    parser.add_argument("src", type=Path, metavar="SRC", help="folder of videos or of frame folders, at any depth")
    parser.add_argument("dst", type=Path, metavar="DST", help="folder for the flow, laid out like SRC; may be SRC")
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="dis",
        help="dis: dense inverse search; tvl1: as TSN, slow, needs opencv-contrib-python-headless (dis)",
    )
    parser.add_argument(
        "--bound",
        type=number(float, above=0),
        default=20.0,
        metavar="PX",
        help="motion that gets the largest level; -PX gets 0, what is beyond is cut off (20, as TSN)",
    )
    parser.add_argument(
        "--template",
        default="flow_{}_{:05d}.jpg",
        metavar="NAME",
        help="names of the pictures, for x or y and a number, or as '{:06d}-{}_{:05d}.jpg' for the folder's number, x"
        " or y, and a number; ending .png: without loss (flow_{}_{:05d}.jpg)",
    )
    parser.add_argument(
        "--first", type=number(int, least=0), default=1, metavar="N", help="number of a video's first frame (1)"
    )
    parser.add_argument(
        "--last",
        choices=("repeat", "none"),
        default="repeat",
        help="what the last frame gets: the flow of the one before, so that frames and flow count alike, or none"
        " (repeat)",
    )
    parser.add_argument(
        "--short_side",
        type=number(int, least=0),
        default=256,
        metavar="PX",
        help="shrink frames to this short side first; 0 keeps all sizes (256)",
    )
    parser.add_argument(
        "--quality", type=number(int, least=1, most=100), default=95, metavar="Q", help="of JPEGs, 100 is best (95)"
    )
    parser.add_argument(
        "--preview",
        type=Path,
        metavar="FILE.png",
        help="draw some frames of the first video and their flow, read from DST, with a wheel of colours",
    )
    parser.add_argument(
        "-j", "--workers", type=number(int, least=1), metavar="J", help="videos at a time (one per core)"
    )
    parser.add_argument(
        "--ext",
        default=",".join(ending[1:] for ending in VIDEOS),
        metavar="A,B",
        help="endings of video files, in either case (%(default)s)",
    )
    return parser


# ---------------------------------------------------------------- what flow is made of


@dataclass(frozen=True)
class VideoFile:
    """A video file, whose frames are numbered from `first`."""

    path: Path
    first: int

    def frames(self, short_side: int) -> Iterator[np.ndarray]:
        """Its frames, grey, uint8 (H, W); raises `Broken` with the decoder's reason."""
        try:
            for clip in read_video(self.path, short_side, CHUNK):
                yield from map(to_grey, clip.permute(0, 2, 3, 1).numpy())
        except InputError as error:
            raise Broken(str(error)) from None


@dataclass(frozen=True)
class FrameFolder:
    """A folder of numbered frames."""

    path: Path
    first: int
    names: list[str] = field(repr=False)
    problem: str = ""  # why they are no video

    def frames(self, short_side: int) -> Iterator[np.ndarray]:
        """Its frames, grey, uint8 (H, W); raises `Broken` where they are damaged or of several sizes."""
        if self.problem:
            raise Broken(self.problem)
        size = None
        for name in self.names:
            try:
                found, pixels = decode((self.path / name).read_bytes(), f"{self.path}/{name}")
            except InputError as error:
                raise Broken(str(error)) from None
            size = size or found
            if found != size:
                raise Broken(f"{self.names[0]} is {size[1]}x{size[0]} but {name} is {found[1]}x{found[0]}")
            yield shrink(to_grey(pixels), short_side)


Source = VideoFile | FrameFolder


def frame_folder(path: Path, template: str) -> FrameFolder:
    """The frames in a folder, but for pictures that are named as flow."""
    is_flow = name_pattern(template).fullmatch
    found = split_at_numbers(name for name in os.listdir(path) if is_picture(name) and not is_flow(name))
    kinds = {(before, after): name for name, (before, _, after) in sorted(found.items(), reverse=True)}
    by_number = {int(digits): name for name, (_, digits, _) in found.items()}
    numbers = sorted(by_number)
    problem = ""
    if len(kinds) > 1:
        problem = f"holds frames named in {len(kinds)} ways: {', '.join(sorted(kinds.values())[:3])}"
    elif len(numbers) < len(found):
        problem = "holds two frames of one number"
    elif not numbers:
        problem = "holds no numbered frames, such as img_00001.jpg"
    elif numbers[-1] - numbers[0] >= len(numbers):
        absent = next(number for number, there in enumerate(numbers, numbers[0]) if number != there)
        problem = f"has a gap: frame {absent} is missing of {numbers[0]} to {numbers[-1]}"
    return FrameFolder(path, numbers[0] if numbers else 1, [by_number[number] for number in numbers], problem)


def find_sources(src: Path, dst: Path, template: str, first: int, ext: str) -> tuple[dict[Path, Source], str]:
    """Folder of flow (relative to `dst`) -> what it is made of, sorted, and what was left out, in words."""
    videos, others = find_videos(src, dst, ext)
    if videos:
        return {target: VideoFile(src / video, first) for target, video in videos.items()}, left_out(others)
    folders, refused = picture_folders(src, "")
    if os.path.realpath(src) != os.path.realpath(dst):
        folders = [folder for folder in folders if not (src / folder).resolve().is_relative_to(dst.resolve())]
    if not folders:
        raise InputError(f"{src} holds neither video files (--ext {ext}) nor folders of frames")
    if "" in folders:
        raise InputError(f"{src} itself holds pictures: give the folder above it, of which each folder is a video")
    nested = next((f"{folder} {reason}" for folder, reason in refused.items() if "lies inside" in reason), None)
    if nested:
        raise InputError(f"{src}: {nested}; move it elsewhere")
    return {Path(folder): frame_folder(src / folder, template) for folder in sorted(folders)}, ""


# ---------------------------------------------------------------- flow of one video


class FlowExtractor:
    """Computes the flow of one video a call, from any thread, until `stop()`."""

    def __init__(self, settings: dict, partial: Path):
        self.settings, self.partial, self.stopped = settings, partial, False

    def __call__(self, source: Source, target: Path) -> int:
        """Number of pictures now in `target`; or raises `Broken`."""
        work, template, bound = new_folder(self.partial), self.settings["template"], self.settings["bound"]
        ending, number = os.path.splitext(template)[1], source.first
        pair = None
        for flow in flow_fields(source.frames(self.settings["short_side"]), self.settings["method"]):
            if self.stopped:
                raise Broken("stopped")
            pair = [encode(levels, ending, self.settings["quality"]) for levels in to_levels(flow, bound)]
            write_pair(work, target, template, number, pair)
            number += 1
        if pair is None:
            raise Broken("has a single frame, which does not move")
        if self.settings["last"] == "repeat":
            write_pair(work, target, template, number, pair)
            number += 1
        move(work, target, pair_names(target, template, source.first)[0])
        return 2 * (number - source.first)

    def stop(self) -> None:
        """Let no video at work come to its end."""
        self.stopped = True


def pair_names(target: Path, template: str, number: int) -> list[str]:
    """The names of a frame's x and y picture, as the loader looks for them."""
    return frame_files(DatasetSpec(1, template, first_frame=number), target, [0])


def write_pair(work: Path, target: Path, template: str, number: int, pair: Sequence[bytes]) -> None:
    for name, content in zip(pair_names(target, template, number), pair, strict=True):
        (work / name).write_bytes(content)


def move(work: Path, target: Path, last: str) -> None:
    """Rename a folder, or where `target` is there, holding frames, move its files there, the one named `last` at the
    end: where that is, all are."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        os.rename(work, target)
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file where a folder is to be: remove it or give another DST")
    for name in sorted(os.listdir(work), key=lambda name: (name == last, name)):
        os.replace(work / name, target / name)


def holds_flow(folder: Path, template: str) -> bool:
    return folder.is_dir() and any(map(name_pattern(template).fullmatch, os.listdir(folder)))


# ---------------------------------------------------------------- the program


def draw(source: Source, target: Path, settings: dict, title: str, file: Path) -> None:
    """Draw some frames of a video and their flow as it was written."""
    names = os.listdir(target)
    moves = sum(map(bool, map(name_pattern(settings["template"]).fullmatch, names))) // 2
    shown = sorted({(2 * k + 1) * moves // (2 * SHOWN) for k in range(SHOWN)})
    frames, fields = [], []
    for k, frame in enumerate(islice(source.frames(settings["short_side"]), shown[-1] + 1)):
        if k in shown:
            pair = pair_names(target, settings["template"], source.first + k)
            levels = [decode((target / name).read_bytes(), name, grey=True)[1] for name in pair]
            frames.append(frame)
            fields.append(to_pixels(np.stack(levels), settings["bound"]))
    picture = flow_strip(frames, fields, [source.first + k for k in shown], title)
    picture.save(file)


def check_names(template: str, targets: Sequence[Path]) -> None:
    """Raise InputError unless a template names flow pictures in all of these folders."""
    check_template(template, flow=True)
    if not re.fullmatch(r"\.(jpe?g|png)", os.path.splitext(template)[1], re.IGNORECASE):
        raise InputError(f"--template {template}: must end in .jpg or .png")
    odd = next((target for target in targets if not target.name.isdigit()), None)
    if has_folder_number(template) and odd:
        raise InputError(f"--template {template} needs folders named by a number, and {odd} is not")


def main(argv: Sequence[str] | None = None) -> int:
    """Compute what is not there yet; 1 if a video failed."""
    args = build_parser().parse_args(argv)
    src, dst, template = Path(os.path.abspath(args.src)), args.dst, args.template
    if not src.is_dir():
        raise InputError(f"{args.src} is not a folder of videos or frame folders")
    check_names(template, [])
    if args.preview:
        check_writable(args.preview, "--preview")
        if args.preview.suffix.lower() != ".png":
            raise InputError(f"--preview {args.preview}: must end in .png")
    cv2 = opencv()
    METHODS[args.method](cv2)
    cv2.setNumThreads(1)  # videos go side by side
    sources, others = find_sources(src, dst, template, args.first, args.ext)
    check_names(template, [*sources])
    names = ("method", "bound", "template", "first", "last", "short_side", "quality")
    settings = {name: getattr(args, name) for name in names}
    todo = [t for t in sources if not (dst / t / pair_names(dst / t, template, sources[t].first)[0]).exists()]
    jobs = max(1, min(args.workers or cores(), len(todo)))
    try:
        dst.mkdir(parents=True, exist_ok=True)
        with partial_folder(dst) as work:
            there = any(holds_flow(dst / target, template) for target in sources)
            check_record(dst / RECORD, "flow", settings, {"opencv": cv2.__version__}, there)
            extract = FlowExtractor(settings, work)
            tasks = {str(target): partial(extract, sources[target], dst / target) for target in todo}
            pictures, failed = run_all(tasks, jobs, extract.stop, dst / FAILED)
    except OSError as error:
        raise InputError(f"{error.filename or dst}: {error.strerror or error}") from None
    see = f" (see {dst / FAILED})" if failed else ""
    print(
        f"flow of {len(todo) - len(failed)} videos computed, {len(sources) - len(todo)} already there,"
        f" {len(failed)} failed{see}, {pictures} pictures written"
    )
    if others:
        print(others)
    done = [target for target in sources if str(target) not in failed]
    if args.preview and done:
        draw(sources[done[0]], dst / done[0], settings, f"{done[0]}: {args.method}, bound {args.bound:g}", args.preview)
        print(f"drew {args.preview}")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` and batch systems end it as Ctrl-C does
    cli.run(main)
