"""Make the toy data set Move4MNIST: `python tools/make_move4mnist.py --out data/movingmnist` (see --help)."""

import argparse
import io
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import _path
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from ops.data.frame_names import is_picture
from ops.errors import InputError
from ops.files import write_whole
from ops.move4mnist.generator import CLASSES, LOOKS, PRESETS, Move4Config, make_dataset
from ops.move4mnist.sources import SIZE, SPLITS
from ops.options import cli

EXAMPLE = """example:
  python tools/make_move4mnist.py --out data/movingmnist --sheet sheet.png
  python tools/make_move4mnist.py --out data/slow --preset long --num_frames 64 --empty_run 4-6 --digits glyphs
"""


def parse_range(text: str) -> tuple[int, int]:
    """`14-18` -> (14, 18); `6` -> (6, 6)."""
    try:
        low, _, high = text.partition("-")
        return int(low), int(high or low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a range such as 14-18") from None


def parse_runs(text: str) -> tuple[int, ...]:
    """`1-3` -> (1, 2, 3); `8/12/16` -> (8, 12, 16)."""
    if "/" in text:
        return tuple(parse_range(part)[0] for part in text.split("/"))
    low, high = parse_range(text)
    if not low <= high < low + 10_000:
        raise argparse.ArgumentTypeError(f"{text}: the first number must not be above the second, nor 10,000 below it")
    return tuple(range(low, high + 1))


def show_presets() -> str:
    """A line for each preset, as the video options would say it."""

    def line(c: Move4Config) -> str:
        main, distractor = (f"{low}-{high}" for low, high in (c.main, c.distractor))
        return (
            f"--num_frames {c.num_frames} --speed {c.speed:g} --main {main} --distractor {distractor} "
            f"--empty_run {'/'.join(map(str, c.empty_run))} --p_black {c.p_black} --look {c.look}"
        )

    return "presets:\n" + "".join(f"  {name:9}{line(config)}\n" for name, config in PRESETS.items())


def build_parser() -> cli.ArgumentParser:
    """All options; those that shape a video default to None, which leaves the preset's value."""
    parser = cli.ArgumentParser(
        description="Write Move4MNIST: videos of a digit that moves left, right, up or down,\n"
        "between empty frames and a distractor.",
        epilog=f"{show_presets()}\n{EXAMPLE}",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for frames and lists")
    parser.add_argument("--num_train", type=int, default=1800, metavar="N", help="training videos (1800)")
    parser.add_argument("--num_val", type=int, default=600, metavar="N", help="validation videos (600)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (0)")
    parser.add_argument("-j", "--workers", type=int, metavar="J", help="processes (one per core)")
    parser.add_argument(
        "--digits",
        choices=("auto", "mnist", "glyphs"),
        default="auto",
        help="mnist is downloaded where it is missing; glyphs are distorted digits of a font; auto takes mnist "
        "if it can (auto)",
    )
    parser.add_argument(
        "--mnist",
        metavar="ROOT",
        help="folder whose MNIST/raw holds MNIST's four files, packed or not, as torchvision keeps them; implies "
        "--digits mnist (the folder that holds DIR)",
    )
    parser.add_argument(
        "--backgrounds",
        metavar="FOLDER",
        help="your own pictures and videos, in it or in folders below: a camera drifts over a picture, frames of a "
        "video follow each other; train and val share none; without it, backgrounds are drawn",
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="also draw one video of each class into a picture"
    )
    video = parser.add_argument_group("the videos")
    video.add_argument("--preset", choices=PRESETS, default="standard", help="standard is as published (standard)")
    video.add_argument("--num_frames", type=int, metavar="T", help="frames of a video")
    video.add_argument("--speed", type=float, metavar="PX", help="pixels per frame in which the digit is visible")
    video.add_argument("--main", type=parse_range, metavar="A-B", help="frames that show the moving digit")
    video.add_argument("--distractor", type=parse_range, metavar="A-B", help="frames that show the other digit")
    video.add_argument("--empty_run", type=parse_runs, metavar="A-B|A/B/C", help="lengths of a run of empty frames")
    video.add_argument("--p_black", type=float, metavar="P", help="share of empty runs that are black")
    video.add_argument("--still_background", action="store_true", default=None, help="no camera, thing or light moves")
    video.add_argument(
        "--brightness", type=parse_range, metavar="A-B", help="mean grey of a background, bent so (as it is)"
    )
    video.add_argument(
        "--look",
        choices=LOOKS,
        help="published: digits at whole pixels, the distractor on the main one's path; smooth: digits between pixels, "
        "the distractor anywhere",
    )
    return parser


def draw_sheet(folder: Path) -> Image.Image:
    """A contact sheet of a data set in `folder`: its first video of each class, in two rows of 16 frames."""
    gap, caption, cell = 3, 18, SIZE + 3
    lines = [
        line.rsplit(" ", 2)
        for split in SPLITS
        for line in (folder / f"{split}_videofolder.txt").read_text().splitlines()
    ]
    firsts = {int(label): (path, int(num_frames)) for path, num_frames, label in reversed(lines)}
    sheet = Image.new("L", (16 * cell + 3 * gap, len(firsts) * (2 * cell + caption + 2 * gap) + gap), 255)
    draw, top = ImageDraw.Draw(sheet), gap
    for label, (path, num_frames) in sorted(firsts.items()):
        shown = np.unique(np.linspace(0, num_frames - 1, 32).round().astype(int))
        text = f"{list(CLASSES)[label]}   ({path}, {len(shown)} of {num_frames} frames)"
        draw.text((2 * gap, top + caption // 2), text, 0, anchor="lm")
        for place, i in enumerate(shown):
            with Image.open(folder / path / f"{i}.jpg") as frame:
                sheet.paste(frame, (2 * gap + place % 16 * cell, top + caption + place // 16 * cell))
        top += 2 * cell + caption + 2 * gap
    return sheet


def main(argv: Sequence[str] | None = None) -> int:
    """Make the data set; prints what was written and with which digits."""
    args = build_parser().parse_args(argv)
    columns = (
        "num_frames",
        "speed",
        "main",
        "distractor",
        "empty_run",
        "p_black",
        "still_background",
        "look",
        "brightness",
    )
    changes = {name: getattr(args, name) for name in columns if getattr(args, name) is not None}
    config = replace(PRESETS[args.preset], **changes)
    if args.sheet and not is_picture(args.sheet.name):
        raise InputError(f"--sheet {args.sheet}: must end in .png or another picture's ending")
    done = make_dataset(
        args.out,
        config,
        args.num_train,
        args.num_val,
        args.seed,
        args.workers,
        args.digits,
        args.backgrounds,
        args.mnist,
        partial(tqdm, unit="video", disable=None),
    )  # a bar on a terminal only
    print(done)
    if args.sheet:
        file = io.BytesIO()
        draw_sheet(done.out).save(file, Image.registered_extensions()[args.sheet.suffix.lower()])
        write_whole(args.sheet, file.getvalue())
    return 0


if __name__ == "__main__":
    cli.run(main)
