"""Find the videos that are most like one, by the features that tools/extract_features.py has kept of them."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import _path
import numpy as np

from ops.data.frame_names import by_number, is_picture
from ops.data.specs import DESCRIPTION, DatasetSpec, dataset_spec
from ops.data.stores import FeatureStore, open_store
from ops.data.stores.features import ENDING, SPANS
from ops.data.stores.pictures import PictureStore
from ops.data.views import whole_frames
from ops.errors import InputError
from ops.evaluation.neighbours import Neighbour, find_features, nearest, read_vectors
from ops.files import check_writable, whole_file, write_whole
from ops.options import cli
from ops.options.types import number
from ops.pictures.sheet import draw_sheet
from ops.pictures.text import counted

EXAMPLE = """examples:
  python tools/extract_features.py videos/holidays RGB --weights imagenet --at pool
  python tools/neighbours.py videos/holidays_features beach/v_001.mp4
  python tools/neighbours.py videos/holidays_features beach/v_001.mp4 --sheet neighbours.png   # and shows them

A video is named by its path in the folder of features, without .features.npy. Its vector is the mean of its rows,
scaled to length 1; likeness is the cosine of two vectors: 1 for the same direction. All vectors are held and compared
by numpy. For more than some 100,000 videos, --vectors writes them for an index of nearest neighbours.
"""


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="neighbours.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("features", type=Path, help="folder that tools/extract_features.py wrote")
    parser.add_argument("video", help="the one whose neighbours are wanted, by its path in that folder")
    parser.add_argument(
        "-k", "--number", type=number(int, least=1), default=5, metavar="K", help="how many neighbours (5)"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help="draw frames of the video and its neighbours, a row each"
    )
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="DIR",
        help="with --sheet: the folder of the videos (default: that of the features, without _features)",
    )
    parser.add_argument(
        "--strip", type=number(int, least=1), default=8, metavar="N", help="with --sheet: frames of a video (8)"
    )
    parser.add_argument(
        "--vectors",
        type=Path,
        metavar="NPY",
        help="write all vectors, float32 (videos, width), and beside them, as .txt, the videos' names in their order",
    )
    return parser


def place_of(video: str, names: Sequence[str], folder: Path) -> int:
    """Where a video stands among the names; InputError where it does not."""
    if video in names:
        return names.index(video)
    alike = get_close_matches(video, names, 1, 0) or names[:1]
    raise InputError(f"{folder} holds no features of {video}; of {alike[0]}, say, it does")


def folder_of_videos(features: Path, given: Path | None) -> Path:
    """The folder of the videos whose features these are; InputError where it cannot be found."""
    name = features.absolute().name
    folder = given or features.absolute().with_name(name.removesuffix("_features"))
    if not folder.is_dir() or (given is None and not name.endswith("_features")):
        raise InputError(f"--sheet shows frames, and {folder} is no folder of videos; give it with --videos")
    return folder


def some_frames(path: Path, spec: DatasetSpec | None, count: int) -> list[np.ndarray]:
    """Evenly spaced frames of a video, each from the middle of its share, uint8 (H, W, 3); fewer of a short one.

    The spec is the dataset's; without one, frames are all pictures in the order of the numbers in their names. Of flow
    the horizontal part is shown. InputError where there is no video.
    """
    store = open_store(path)
    by_name = spec is None and isinstance(store, PictureStore)
    spec = spec or DatasetSpec(1, "{}.jpg")
    frames = sorted(filter(is_picture, store.names()), key=by_number) if by_name else range(store.count(spec))
    if not len(frames) or isinstance(store, FeatureStore):
        raise InputError(f"{path} holds no frames to show; give the folder of the videos with --videos")
    shown = min(count, len(frames))
    some = [frames[(2 * i + 1) * len(frames) // (2 * shown)] for i in range(shown)]
    clip = store.clip(some) if by_name else store.load(spec, some, whole_frames)
    return [*clip[:shown].expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()]  # (t, c, H, W) -> t times (H, W, 3)


def check_outputs(args: argparse.Namespace) -> None:
    """InputError before the work begins where what is asked for cannot be written."""
    for flag, path, ending in (("--sheet", args.sheet, ".png"), ("--vectors", args.vectors, ".npy")):
        if path and path.suffix != ending:
            raise InputError(f"{flag} {path} must end in {ending}")
        if path:
            check_writable(path, flag)
    if args.vectors:
        if args.vectors.name.endswith((ENDING, SPANS)):
            raise InputError(
                f"--vectors {args.vectors}: *{ENDING} and *{SPANS} are of single videos; take another name"
            )
        check_writable(args.vectors.with_suffix(".txt"), "--vectors")
    if not args.sheet:
        for name, default in (("videos", None), ("strip", 8)):
            if getattr(args, name) != default:
                raise InputError(f"--{name} has no effect without --sheet; add it, or leave --{name} out")


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    check_outputs(args)
    names = find_features(args.features)
    place = place_of(args.video, names, args.features)
    root = folder_of_videos(args.features, args.videos) if args.sheet else None
    vectors = read_vectors(args.features, names)
    found = [Neighbour(place, 1.0), *nearest(vectors, place, args.number)]
    lines = [f"{cosine:.3f}  {names[other]}" for other, cosine in found]
    print(f"{counted(len(names), 'video')} of width {vectors.shape[1]}; cosine to each:", *lines, sep="\n")
    if args.vectors:
        with whole_file(args.vectors) as file:
            np.save(file, vectors)
        write_whole(args.vectors.with_suffix(".txt"), "".join(f"{name}\n" for name in names).encode())
        print(f"wrote {args.vectors} and {args.vectors.with_suffix('.txt')}")
    if args.sheet:
        described = (args.features / DESCRIPTION).is_file()
        spec = dataset_spec(str(args.features), args.features, "Features") if described else None
        rows = [
            (line, some_frames(root / names[other], spec, args.strip))
            for line, (other, _) in zip(lines, found, strict=True)
        ]
        with whole_file(args.sheet) as file:
            draw_sheet(rows).save(file, "PNG")
        print(f"wrote {args.sheet}")


if __name__ == "__main__":
    cli.run(main)
