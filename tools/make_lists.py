"""Write a dataset's list files from its annotation files and the frames or video files really there (see --help)."""

import argparse
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import _path

from ops.data.prepare.annotations import BREAKFAST, EGOGESTAR_FOLDS, PARSERS, Annotation
from ops.data.prepare.discovery import FrameCounter
from ops.data.prepare.from_folders import OWN, find_breakfast, find_folder
from ops.data.prepare.list_lines import Lines, Problem, make_lines, write_files
from ops.data.specs import DATASETS, DESCRIPTION, DatasetSpec, dataset_root, read_description
from ops.data.video_index import FOLDER
from ops.errors import InputError
from ops.files import claimed
from ops.options import cli

TEST_LIST, MISSING = "test_videofolder.txt", "missing.txt"
BY_HAND = ("flow_tmpl", "keep_damaged", "short_side")  # fields of dataset.json that only a user writes

PURPOSE = """\
Write train_videofolder.txt and val_videofolder.txt (lines `path num_frames label`, paths relative to ROOT, labels
from 0) and category.txt (a class name a line, in label order) into ROOT, from the annotation files and the frames
really there. Wherever a folder of frames is told of below, a video file of that name (.mp4, .avi, .webm, ...) will do:
it is decoded once to count its frames, and what was found is kept in ROOT/.video_index. Videos that are missing or
broken, or whose frames have gaps, are in no list but, with the reason, in ROOT/missing.txt. A test set goes to
test_videofolder.txt if its labels are known; without labels it gets no list."""
DATASET_HELP = {  # sub-command -> where annotation and frames are looked for, order of the labels
    "ucf101": """\
annotation  classInd.txt, trainlist0K.txt, testlist0K.txt, in ROOT/ucfTrainTestlist, ROOT/annotations, ROOT/labels
            or ROOT
frames      FRAMES/<class>/<video> or FRAMES/<video>, whatever the case (HandstandPushups, HandStandPushups)
labels      order of classInd.txt""",
    "hmdb51": """\
annotation  <class>_test_splitK.txt, in ROOT/testTrainMulti_7030_splits, ROOT/annotations, ROOT/labels, ROOT/splits
            or ROOT
frames      FRAMES/<class>/<video> or FRAMES/<video>
labels      sorted class names""",
    "breakfast": """\
annotation  none: person and activity are read from the names; of stereo videos, channel 0 only
frames      .../P03/cam01/P03_cereals, .../P03/stereo/P03_cereals_ch0, at any depth below FRAMES
labels      sorted activities
splits      by person. s1 to s4 are the official folds, named by their test persons (P03-15, P16-28, P29-41, P42-54);
            timeception trains on P03-46 and tests on P47-54, as the papers on long videos do""",
    "something": """\
annotation  something-something-v1-labels.csv, -train.csv, -validation.csv, in ROOT/annotations, ROOT/labels or ROOT
            (labels.csv, train.csv, validation.csv will do); with test-answers.csv the test set gets a list too
frames      FRAMES/<id> or FRAMES/20bn-something-something-v1/<id>
labels      sorted, as TSM does""",
    "somethingv2": """\
annotation  something-something-v2-labels.json, -train.json, -validation.json, in ROOT/annotations, ROOT/labels or
            ROOT (labels.json, train.json, validation.json will do); with test-answers.csv the test set gets a list
frames      FRAMES/<id> or FRAMES/20bn-something-something-v2-frames/<id>
labels      ids of labels.json, as TSM does""",
    "jester": """\
annotation  jester-v1-labels.csv, -train.csv, -validation.csv, in ROOT/annotations, ROOT/labels or ROOT (labels.csv,
            train.csv, validation.csv will do); with test-answers.csv the test set gets a list too
frames      FRAMES/<id> or FRAMES/20bn-jester-v1/<id>
labels      sorted, as TSM does for Something-Something V1""",
    "kinetics": """\
annotation  kinetics_train.csv, kinetics_val.csv and, if there, kinetics_test.csv (train.csv ... will do), in
            ROOT/annotations, ROOT/labels, ROOT/kinetics400 or ROOT
frames      FRAMES/<class>/<id>_<start> (TSM) or <id>_<000start>_<000end>, also below train/, val/, test/; the class
            as in the csv or as TSM writes it (air_drumming)
labels      sorted""",
    "egogestar": """\
annotation  none: ops/data/prepare/egogestar.csv names class, fold and scene of 217 videos; --annotations DIR takes an
            egogestar.csv of your own
frames      FRAMES/testvideo/testvideo_<class>_<n> or FRAMES/testvideo_<class>_<n>
labels      up down left right carret circlecc square star tick del
splits      the videos of one of four folds validate; no scene is in two of them""",
    "folder": """\
frames      FRAMES/<class>/.../<video>/<frames> or FRAMES/<class>/.../<video>.mp4, split by --val_fraction in every
            class; or ready-made FRAMES/train/<class>/... and FRAMES/val/<class>/... (and test/)
labels      sorted class names
ROOT/dataset.json is written too, with all that `python main.py ROOT RGB` has to know; short_side, keep_damaged and
flow_tmpl of one that is there stay as they are""",
}
EXAMPLES = {
    "ucf101": "ucf101 --root data/ucf101 --split 1",
    "hmdb51": "hmdb51 --split 2 --annotations ~/testTrainMulti_7030_splits",
    "breakfast": "breakfast --split s1",
    "something": "something --frames data/something/20bn-something-something-v1",
    "somethingv2": "somethingv2 --annotations data/somethingv2/labels",
    "jester": "jester --root data/jester",
    "kinetics": "kinetics --root data/kinetics --image_tmpl 'image_{:05d}.jpg'",
    "egogestar": "egogestar --split fold1",
    "folder": "folder --root mydata --val_fraction 0.2",
}


def fraction(text: str) -> float:
    """A share above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return value


def whole(text: str) -> int:
    """A number from 0 on."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def first_frame(text: str) -> int | str:
    """A number from 0 on, or that each video has its own."""
    return text if text == OWN else whole(text)


OFFICIAL = ("1", "2", "3"), "1", "official split; lists of 2 and 3 are named train_split2_videofolder.txt and so on"
SPLITS = {  # dataset -> choices of --split, the default, and what it is
    "ucf101": OFFICIAL,
    "hmdb51": OFFICIAL,
    "breakfast": (
        tuple(BREAKFAST),
        "timeception",
        "whose videos test; lists of s1 are named train_split1_videofolder.txt and so on",
    ),
    "egogestar": (
        tuple(EGOGESTAR_FOLDS),
        "fold0",
        "the fold that validates; lists of fold1 are named train_fold1_videofolder.txt and so on",
    ),
}


def build_parser() -> cli.ArgumentParser:
    """A sub-command a dataset."""
    examples = "".join(f"  python tools/make_lists.py {example}\n" for example in EXAMPLES.values())
    parser = cli.ArgumentParser(description=PURPOSE, epilog=f"examples:\n{examples}")
    commands = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET", help=", ".join(EXAMPLES))
    for name, text in DATASET_HELP.items():
        own = name == "folder"
        place = "" if own else f" (default $FULL_VIDEO_DATA/{name}, else data/{name})"
        command = commands.add_parser(
            name, description=f"{PURPOSE}\n\n{text}", epilog=f"example:\n  python tools/make_lists.py {EXAMPLES[name]}"
        )
        add = command.add_argument
        add(
            "--root",
            metavar="DIR",
            required=own,
            help="the dataset's folder, which gets the lists" + place,
        )
        add(
            "--frames",
            metavar="DIR",
            help="where the frame folders or video files are, in ROOT or linked there (default ROOT/frames if it is"
            " there, else ROOT)",
        )
        add(
            "--image_tmpl",
            metavar="T",
            help=f"how frames are named (default {'guessed from them' if own else DATASETS[name].image_tmpl})",
        )
        if name in PARSERS:
            add("--annotations", metavar="DIR", help="folder of the annotation files (default: see above)")
        if name in SPLITS:
            choices, default, text = SPLITS[name]
            add("--split", choices=choices, default=default, help=f"{text} (default {default})")
        if own:
            add("--val_fraction", type=fraction, metavar="F", help="share of each class that validates (default 0.2)")
            add("--seed", type=whole, default=0, metavar="N", help="another seed, another split (default 0)")
            add(
                "--first_frame",
                type=first_frame,
                metavar="N|own",
                help="number of the first frame, own if each video begins with another (default guessed)",
            )
            add(
                "--no_flip",
                action="store_true",
                help="mirrored videos would be of another class (left and right, say), so training must not mirror",
            )
    return parser


def find_places(args: argparse.Namespace) -> tuple[Path, Path]:
    """The dataset's folder and that of its frames; InputError if one is missing or the second is not in the first."""
    root = dataset_root(args.dataset, args.root)
    if not root.is_dir():
        raise InputError(f"no folder {root}; put the dataset there or name its folder with --root")
    frames = Path(args.frames) if args.frames else root / "frames" if (root / "frames").is_dir() else root
    if not frames.is_dir():
        raise InputError(f"--frames: no folder {frames}")
    for absolute in (os.path.abspath, os.path.realpath):  # first as they are named: root/frames may be a link
        inside = os.path.relpath(absolute(frames), absolute(root))
        if inside.split(os.sep)[0] != os.pardir:
            return root, root / inside
    link = shlex.join(["ln", "-s", os.path.abspath(frames), str(root / "frames")])
    raise InputError(f"--frames {frames} is not in {root}, to which lists are relative; link it there: {link}")


def list_names(spec: DatasetSpec, split: str) -> dict[str, str]:
    """File names of the lists: the plain ones for the default split."""
    names = {"train": spec.train_list, "val": spec.val_list, "test": TEST_LIST}
    if split in ("", "1", "timeception", "fold0"):
        return names
    split = split if split.startswith("fold") else f"split{split.removeprefix('s')}"
    return {part: name.replace("_", f"_{split}_", 1) for part, name in names.items()}


def show_table(annotation: Annotation, lines: Lines) -> str:
    """Found against annotated and official number of videos."""
    rows = [("split", "annotated", "official", "found", "missing")]
    for split, items in annotation.splits.items():
        found = len(lines[split])
        rows.append((split, len(items), annotation.official.get(split, "-"), found, len(items) - found))
    return "\n".join(f"{row[0]:<8}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows)


def show_command(args: argparse.Namespace, root: Path, spec: DatasetSpec, names: dict[str, str], trains: bool) -> str:
    """The call of main.py that uses what was written."""
    words = ["python", "main.py", args.dataset, "RGB"]
    if args.dataset == "folder":
        words[2] = str(root) if os.sep in str(root) else os.path.join(os.curdir, root)
    else:
        registered = DATASETS[args.dataset]
        given = {
            "--root_path": (str(root), str(dataset_root(args.dataset))),
            "--train_list": (names["train"], registered.train_list),
            "--val_list": (names["val"], registered.val_list),
            "--image_tmpl": (spec.image_tmpl, registered.image_tmpl),
        }
        words += [word for flag, (value, usual) in given.items() if value != usual for word in (flag, value)]
    return shlex.join(words + ([] if trains else ["--evaluate", "--resume", "CHECKPOINT"]))


def report(
    annotation: Annotation, lines: Lines, problems: list[Problem], names: dict[str, str], counter: FrameCounter
) -> list[str]:
    """Notes and warnings, a line each."""
    said = [f"note: {note}" for note in annotation.notes]
    if counter.files:
        said.append(f"note: {counter.files} are video files; their frames are decoded while they are loaded")
    if others := sum(counter.others.values()):
        said.append(f"note: {others} pictures are not named {counter.template}, so they are no frames")
    for part, number in annotation.official.items():
        if part in annotation.splits and len(annotation.splits[part]) != number:
            said.append(f"warning: {part}: {len(annotation.splits[part])} videos, but {number} are official")
    said += [f"warning: {part}: no video found, so there is no {names[part]}" for part in lines if not lines[part]]
    if problems:
        said.append(f"warning: {len(problems)} videos are missing or broken and stand in no list, see {MISSING}")
    return said


def main(argv: Sequence[str] | None = None) -> int:
    """Read, count, write, report."""
    args = build_parser().parse_args(argv)
    root, frames = find_places(args)
    with claimed(root), index_folder(root):
        return make_lists(args, root, frames)


@contextmanager
def index_folder(root: Path) -> Iterator[None]:
    """A folder beside the lists that keeps what is found out of video files; gone at the end if it is empty."""
    with suppress(OSError):  # whoever may not write there is told so when the lists are written
        (root / FOLDER).mkdir(exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            (root / FOLDER).rmdir()


def make_lists(args: argparse.Namespace, root: Path, frames: Path) -> int:
    """Write and report the lists of the dataset in `root`."""
    split, problems = getattr(args, "split", ""), []
    kept: dict = {}
    if args.dataset == "folder":
        former = read_description(root / DESCRIPTION)
        kept = {name: former[name] for name in BY_HAND if name in former}
        annotation, counter, problems = find_folder(
            frames, args.image_tmpl, args.first_frame, args.val_fraction, args.seed
        )
        spec = DatasetSpec(len(annotation.categories), counter.template, counter.first, not args.no_flip)
    else:
        spec = DATASETS[args.dataset]
        spec = replace(spec, image_tmpl=args.image_tmpl or spec.image_tmpl)
        counter = FrameCounter(spec.image_tmpl, spec.first_frame)
    if args.dataset == "breakfast":
        annotation, problems = find_breakfast(frames, split)
    elif args.dataset in PARSERS:
        annotation = PARSERS[args.dataset](root, Path(args.annotations) if args.annotations else None, split)
    lines, missing = make_lines(annotation, root, frames, counter)
    problems += missing

    names = list_names(spec, split)
    files = {names[part]: "".join(f"{line}\n" for line in listed) or None for part, listed in lines.items()}
    files[spec.category_file] = "".join(f"{name}\n" for name in annotation.categories)
    files[MISSING] = "".join(f"{problem.line()}\n" for problem in problems) or None
    if args.dataset == "folder":
        files[DESCRIPTION] = (
            json.dumps(
                {
                    "num_class": spec.num_class,
                    "image_tmpl": spec.image_tmpl,
                    "first_frame": spec.first_frame,
                    "flip": spec.flip,
                    "train_list": spec.train_list,
                    "val_list": spec.val_list,
                    "category_file": spec.category_file,
                }
                | kept,
                indent=2,
            )
            + "\n"
        )
    write_files(root, frames, files)

    title = f"{args.dataset} split {split}" if split else args.dataset
    first = "every video begins with its own" if spec.first_frame is None else f"{spec.first_frame} is the first"
    print(f"{title}: {spec.num_class} classes ({annotation.order}); frames {spec.image_tmpl}, {first}, in {frames}")
    print(show_table(annotation, lines))
    print(f"wrote {', '.join(name for name, text in files.items() if text is not None)} in {root}")
    if kept:
        print(f"note: {', '.join(kept)} of the {DESCRIPTION} that was there: as before")
    print("".join(f"{line}\n" for line in report(annotation, lines, problems, names, counter)), end="")
    if lines["val"]:
        print(f"next: {show_command(args, root, spec, names, bool(lines['train']))}")
    return 0


if __name__ == "__main__":
    cli.run(main)
