"""Make videos longer by held frames: `python -m tools.studies.gestures.hold_frames SRC DST --times 4`.

SRC is a data set of raw packs. In DST each video stands, whole and at its own speed, between copies of its first and of
its last frame; where, a seed draws for each video. So the class is seen in a part of the frames only. The videos are
composed, and nothing in them but their ends stands still longer than it did.
"""

import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ops.errors import InputError
from ops.options import cli
from ops.options.types import number


def hold(frames: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """(t, h, w, 3) -> (times * t, h, w, 3): its ends held for (times - 1) * t frames in all, before and behind."""
    more = (times - 1) * len(frames)
    before = int(rng.integers(more + 1))
    return np.concatenate([frames[:1].repeat(before, 0), frames, frames[-1:].repeat(more - before, 0)])


def hold_list(text: str, times: int) -> str:
    """The lines `path num_frames label` of a list, for videos so many times as long."""
    rows = (line.rsplit(" ", 2) for line in text.splitlines())
    return "".join(f"{path} {times * int(frames)} {label}\n" for path, frames, label in rows)


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.ArgumentParser(prog="hold_frames", description=__doc__)
    parser.add_argument("src", type=Path, metavar="SRC", help="a data set of raw packs, with its lists")
    parser.add_argument("dst", type=Path, metavar="DST", help="folder for the longer videos, laid out like SRC")
    parser.add_argument("--times", type=number(int, least=1), default=4, metavar="N", help="as long (4)")
    parser.add_argument("--seed", type=number(int, least=0), default=0, metavar="N", help="of the places (0)")
    args = parser.parse_args(argv)
    packs = sorted(args.src.rglob("*.npy"))
    if not packs:
        raise InputError(f"{args.src} holds no raw packs; tools/pack_frames.py --raw makes them")
    for pack in packs:
        path = pack.relative_to(args.src)
        rng = np.random.default_rng([args.seed, zlib.crc32(path.as_posix().encode())])
        (args.dst / path.parent).mkdir(parents=True, exist_ok=True)
        np.save(args.dst / path, hold(np.load(pack), args.times, rng))
    for file in args.src.glob("*_videofolder.txt"):
        (args.dst / file.name).write_text(hold_list(file.read_text(), args.times))
    shutil.copy(args.src / "category.txt", args.dst)
    print(f"{len(packs)} videos, {args.times} times as long, in {args.dst}")


if __name__ == "__main__":
    cli.run(main)
