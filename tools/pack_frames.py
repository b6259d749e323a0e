"""Pack the frame folders of a dataset into one file a video: `python tools/pack_frames.py SRC DST` (see --help)."""

import os
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import _path
import numpy as np
from tqdm import tqdm

from ops.data.frame_names import PICTURES, by_number, check_template, is_flow, is_picture
from ops.data.prepare.discovery import FrameCounter, guess_first, guess_template, sub_videos, visible, walk
from ops.data.prepare.from_folders import USUAL
from ops.data.specs import DATASETS, DESCRIPTION, DatasetSpec, dataset_spec
from ops.data.stores import FolderStore, open_store
from ops.data.views import whole_frames
from ops.errors import InputError
from ops.files import claimed
from ops.options import cli
from ops.options.config import OPTIONS
from ops.options.parsing import add_options
from ops.options.types import number

EXAMPLE = """examples:
  python tools/pack_frames.py data/mine data/mine_packed
  python tools/pack_frames.py data/movingmnist data/movingmnist_raw --raw
  python main.py data/mine_packed RGB --arch resnet18

The folder SRC/class/v_001 becomes DST/class/v_001.zip, an uncompressed zip of its files, or with --raw v_001.npy, the
decoded pixels: five times the bytes, or more, but nothing to decode, which pays for small frames and many epochs. Video
files, which are one file each as they are, are packed with --raw only, shrunk as the dataset's short_side says. Lists
and descriptions (.txt, .json, .csv) of SRC are copied, so that DST is a dataset as SRC is, with the same list lines. A
pack appears when it is complete: after an interruption the same command goes on where it stopped. Videos that cannot be
packed are named in DST/failed.txt (exit code 1).
"""
FAILED, PARTIAL = "failed.txt", ".partial"
CHUNK = 64  # frames that are decoded at a time
COPIED = (".txt", ".json", ".csv")
Pack = Callable[[Path, Path], None]  # writes what is in a folder to a file


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        description="Pack every folder of frames below SRC into one file, for file systems that choke on many files;\n"
        "with --raw video files, too.",
        epilog=EXAMPLE,
    )
    parser.add_argument("src", type=Path, metavar="SRC", help="a dataset's folder: lists, and frame folders below")
    parser.add_argument("dst", type=Path, metavar="DST", help="folder for the packs, laid out like SRC")
    parser.add_argument("--raw", action="store_true", help="pack decoded pixels instead of the files")
    parser.add_argument(
        "--image_tmpl", metavar="TEMPLATE", help="with --raw: how frames are named (as the dataset's, else found out)"
    )
    parser.add_argument(
        "--first_frame",
        type=number(int, least=0),
        metavar="N",
        help="with --raw: number of a video's first frame (as the dataset's, else found out)",
    )
    damaged = f"with --raw: {OPTIONS['keep_damaged'].help}"
    add_options(parser, ["keep_damaged"], default=False, help=damaged)
    parser.add_argument(
        "-j",
        "--workers",
        type=number(int, least=1),
        default=os.cpu_count() or 1,
        metavar="J",
        help="videos at a time (one per core)",
    )
    return parser


def find_videos(src: Path, raw: bool) -> list[str]:
    """Folders below `src` that hold pictures and, for a raw pack, video files as a list names them, relative to it."""
    found, files = [], []
    for folder, _ in walk(src):
        if any(map(is_picture, os.listdir(src / folder))):
            found.append(folder)
        elif raw:
            files += [os.path.join(folder, name) for name in sub_videos(src / folder).values()]
    found += files
    if not found:
        raise InputError(
            f"{src} holds no folder of frames ({', '.join(PICTURES)}); video files are packed with --raw only"
        )
    if "" in found:
        raise InputError(f"{src} itself holds pictures: give the folder around the videos' folders as SRC")
    return found


def left_out(src: Path, videos: list[str]) -> int:
    """How many files, which are not hidden, are neither videos, nor in their folders, nor copied as lists are."""
    taken, number = {*videos}, 0
    for folder, _ in walk(src):
        for name in visible(src / folder):
            path = f"{folder}/{name}".lstrip("/")
            is_list = folder == "" and name.endswith(COPIED)
            if (src / path).is_file() and not is_list and not taken & {folder, path, os.path.splitext(path)[0]}:
                number += 1
    return number


def write_zip(folder: Path, path: Path) -> None:
    """The files of a folder, in the order of their numbers, as a zip without compression; same files, same bytes."""
    names = sorted((name for name in visible(folder) if (folder / name).is_file()), key=by_number)
    with zipfile.ZipFile(path, "w") as pack:
        for name in names:
            member = zipfile.ZipInfo(name)  # of 1980
            member.external_attr = 0o644 << 16
            pack.writestr(member, FolderStore(folder).read(name))


def write_raw(video: Path, path: Path, spec: DatasetSpec, channels: int = 1) -> None:
    """The frames of a folder or video file as the loader decodes them: uint8 (t, H, W) if all are grey, else
    (t, H, W, 3)."""
    store = open_store(video)
    if isinstance(store, FolderStore):
        count, problem = FrameCounter(spec.image_tmpl, spec.first_frame).count(str(video))
        if problem:
            raise InputError(f"{video}: {problem}")
    count, size = store.count(spec), None
    with path.open("wb") as file:
        for start in range(0, count, CHUNK):
            clip = store.load(spec, range(start, min(start + CHUNK, count)), whole_frames)  # (t, c, H, W)
            if clip.shape[1] > channels:
                break
            if size is None:
                size = tuple(clip.shape[2:])
                shape = (count, *size) if channels == 1 else (count, *size, channels)
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            if clip.shape[2:] != size:
                raise InputError(
                    f"{video}: frame {start} is {clip.shape[3]}x{clip.shape[2]} but those before are"
                    f" {size[1]}x{size[0]}; raw packs need one size"
                )
            file.write(clip.permute(0, 2, 3, 1).expand(-1, -1, -1, channels).numpy().tobytes())
        else:
            return
    write_raw(video, path, spec, 3)  # a coloured frame was met


def raw_writer(src: Path, videos: list[str], image_tmpl: str | None, first: int | None, keep_damaged: bool) -> Pack:
    """`write_raw` for the frame names of this dataset; InputError for flow, whose frames are pairs."""
    if image_tmpl and is_flow(image_tmpl):
        raise InputError(
            f"--image_tmpl {image_tmpl!r} names pairs of flow images, of which a raw pack, one picture"
            " a frame, cannot be made; leave --raw out"
        )
    if (src / DESCRIPTION).is_file() or src.name in DATASETS:
        spec = dataset_spec(src.name, src, image_tmpl=image_tmpl, first_frame=first)
        return partial(write_raw, spec=replace(spec, keep_damaged=keep_damaged or spec.keep_damaged))
    folders = [video for video in videos if (src / video).is_dir()]
    if image_tmpl is None:
        image_tmpl = guess_template(src, folders) if folders else USUAL
    check_template(image_tmpl)
    if first is None:
        first = guess_first(src, folders, image_tmpl)
    return partial(write_raw, spec=DatasetSpec(1, image_tmpl, first, keep_damaged=keep_damaged))


def pack_video(write: Pack, folder: Path, path: Path) -> int:
    """Write a pack under a temporary name and rename it -> its bytes."""
    trial = path.with_name(path.name + PARTIAL)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(folder, trial)
        trial.rename(path)
    except BaseException:
        with suppress(OSError):  # or it would hide what went wrong first
            trial.unlink(missing_ok=True)
        raise
    return path.stat().st_size


def pack_all(write: Pack, jobs: dict[Path, Path], workers: int) -> tuple[int, dict[Path, str]]:
    """Pack folders into the files they are mapped to -> (bytes written, reasons of the folders that could not be)."""
    written, failed = 0, {}
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(jobs), unit="video", disable=None) as bar:
        futures = {pool.submit(pack_video, write, folder, path): folder for folder, path in jobs.items()}
        try:
            for future in as_completed(futures):
                try:
                    written += future.result()
                except InputError as error:
                    failed[futures[future]] = str(error)
                bar.update()
        except BaseException:  # Ctrl-C, a full disk
            pool.shutdown(cancel_futures=True)
            raise
    return written, failed


def copy_lists(src: Path, dst: Path) -> int:
    """Copy the lists and descriptions of a dataset -> their number; InputError where `dst` holds others."""
    names = [name for name in sorted(visible(src)) if name.endswith(COPIED) and name != FAILED]
    names = [name for name in names if (src / name).is_file()]
    for name in names:
        content = (src / name).read_bytes()
        if (dst / name).exists() and (dst / name).read_bytes() != content:
            raise InputError(f"{dst / name} differs from {src / name}: remove it or give another DST")
        (dst / name).write_bytes(content)
    return len(names)


def main(argv: Sequence[str] | None = None) -> int:
    """Pack what is not there yet; 1 if a video failed."""
    args = build_parser().parse_args(argv)
    src, dst = args.src, args.dst
    if not src.is_dir():
        raise InputError(f"{src} is not a folder of frame folders")
    if (os.path.realpath(dst) + "/").startswith(os.path.realpath(src) + "/"):
        raise InputError(f"DST {dst} is or lies in SRC {src}: give the packs a folder of their own")
    if not args.raw and (args.image_tmpl or args.first_frame is not None):
        raise InputError("--image_tmpl and --first_frame are for --raw: a zip holds every file of a folder")
    if not args.raw and args.keep_damaged:
        raise InputError("--keep_damaged is for --raw: a zip holds the files as they are")
    videos = find_videos(src, args.raw)
    write = write_zip
    if args.raw:
        write = raw_writer(src, videos, args.image_tmpl, args.first_frame, args.keep_damaged)
    ending, other = (".npy", ".zip") if args.raw else (".zip", ".npy")
    if clash := next((f"{folder}{other}" for folder in videos if (dst / f"{folder}{other}").exists()), None):
        raise InputError(f"{dst} holds packs of the other kind ({clash}): give another DST")
    jobs = {src / folder: dst / f"{folder}{ending}" for folder in videos}
    jobs = {folder: path for folder, path in jobs.items() if not path.exists()}
    try:
        dst.mkdir(parents=True, exist_ok=True)
        with claimed(dst):
            copied = copy_lists(src, dst)
            written, failed = pack_all(write, jobs, args.workers)
            (dst / FAILED).unlink(missing_ok=True)
            if failed:
                lines = [f"{folder}\t{failed[folder]}\n" for folder in sorted(failed)]
                (dst / FAILED).write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise InputError(
            f"{error.filename or dst}: {error.strerror or error}; with that put right, the same command continues"
        ) from None
    see = f" (see {dst / FAILED})" if failed else ""
    print(
        f"{len(jobs) - len(failed)} videos packed, {len(videos) - len(jobs)} already there, {len(failed)} failed{see}"
        f", {written / 1e6:.1f} MB written; {copied} lists and descriptions copied"
    )
    if others := left_out(src, videos):
        print(f"left out: {others} files that are neither in a folder of frames nor {', '.join(COPIED)} beside them")
    return 1 if failed else 0


if __name__ == "__main__":
    cli.run(main)
