"""Write a dataset's list files from its annotation files and the frames really there (see --help)."""

import argparse
import hashlib
import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import _path
from tqdm import tqdm

from ops.data.prepare.annotations import BREAKFAST, BREAKFAST_NAME, PARSERS, Annotation, Item, parse_breakfast
from ops.data.prepare.discovery import (
    FolderIndex,
    FrameCounter,
    guess_first,
    guess_template,
    picture_folders,
    sub_folders,
    walk,
)
from ops.data.specs import DATASETS, DESCRIPTION, DatasetSpec, dataset_root
from ops.errors import InputError
from ops.options import cli

TEST_LIST, MISSING = "test_videofolder.txt", "missing.txt"
READERS = 4  # folders read at a time: no faster on a disk of this machine, but on one behind a network

PURPOSE = """\
Write train_videofolder.txt and val_videofolder.txt (lines `path num_frames label`, paths relative to ROOT, labels
from 0) and category.txt (a class name a line, in label order) into ROOT, from the annotation files and the frames
really there. Videos that are missing or whose frames have gaps are in no list but, with the reason, in
ROOT/missing.txt. A test set goes to test_videofolder.txt if its labels are known; without labels it gets no list."""
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
    "folder": """\
frames      FRAMES/<class>/.../<video>/<frames>, split by --val_fraction in every class; or ready-made
            FRAMES/train/<class>/... and FRAMES/val/<class>/... (and test/)
labels      sorted class names
ROOT/dataset.json is written too, with all that `python main.py ROOT RGB` has to know""",
}
EXAMPLES = {
    "ucf101": "ucf101 --root data/ucf101 --split 1",
    "hmdb51": "hmdb51 --split 2 --annotations ~/testTrainMulti_7030_splits",
    "breakfast": "breakfast --split s1",
    "something": "something --frames data/something/20bn-something-something-v1",
    "somethingv2": "somethingv2 --annotations data/somethingv2/labels",
    "jester": "jester --root data/jester",
    "kinetics": "kinetics --root data/kinetics --image_tmpl 'image_{:05d}.jpg'",
    "folder": "folder --root mydata --val_fraction 0.2",
}


# --- lists -----------------------------------------------------------------------------------------------------------


UNLISTABLE = "the name has blanks at its ends, or characters that break lines or are not Unicode"
Lines = dict[str, list[str]]  # split -> `path num_frames label`


class Problem(NamedTuple):
    """A video that stands in no list."""

    split: str
    video: str
    reason: str

    def line(self) -> str:
        """As in missing.txt, on one line whatever the name holds."""
        return "\t".join("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) for text in self)


def make_lines(annotation: Annotation, root: Path, frames: Path, counter: FrameCounter) -> tuple[Lines, list[Problem]]:
    """Find and count the frames of every video; InputError if not a single video is there."""
    index = FolderIndex(frames, annotation.ignore_case)
    items = [(split, item) for split, videos in annotation.splits.items() for item in videos]
    prefix = "" if frames == root else frames.relative_to(root).as_posix() + "/"
    lines: Lines = {split: [] for split in annotation.splits}
    problems: list[Problem] = []

    def look(job: tuple[str, Item]) -> tuple[str, int, str]:
        path = index.find(job[1].parents, job[1].names)
        if path is None:
            return job[1].title, 0, "no folder"
        return path, *counter.count(os.path.join(frames, path))

    with ThreadPool(READERS) as pool:
        results = tqdm(pool.imap(look, items, 64), total=len(items), unit="video", disable=None, leave=False)
        for (split, item), (path, num_frames, reason) in zip(items, results, strict=True):
            if not reason and not fits_a_line(prefix + path):
                reason = UNLISTABLE
            if reason:
                problems.append(Problem(split, path, reason))
            else:
                lines[split].append(f"{prefix}{path} {num_frames} {item.label}")
    if not any(lines.values()):
        raise InputError(
            f"not one of {len(items)} videos has its frames in {frames}{first_of(problems)}; extract"
            " them with tools/extract_frames.py, or see --frames and --image_tmpl"
        )
    return lines, problems


def fits_a_line(path: str) -> bool:
    """Whether a path can be read back from a list."""
    return path == path.strip() and len(path.splitlines()) == 1 and path.encode("utf-8", "ignore").decode() == path


def write_files(root: Path, files: dict[str, str | None]) -> None:
    """Write files into `root`, all or none; None removes one that is there."""
    if blocked := [name for name in files if (root / name).is_dir()]:
        raise InputError(f"cannot write {root / blocked[0]}: a folder of this name is there")
    temporary = {name: root / f".{name}.{os.getpid()}" for name, text in files.items() if text is not None}
    try:
        for name, path in temporary.items():
            path.write_text(files[name], encoding="utf-8", errors="backslashreplace", newline="\n")
        for name, text in files.items():
            if text is None:
                (root / name).unlink(missing_ok=True)
            else:
                temporary[name].replace(root / name)
    except OSError as error:
        raise InputError(f"cannot write into {root}: {error.strerror}") from None
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


# --- annotations from folders ----------------------------------------------------------------------------------------


def find_breakfast(frames: Path, split: str) -> tuple[Annotation, list[Problem]]:
    """The folders below `frames` that are named as Breakfast's videos are, split by person."""
    paths = []
    for folder, names in tqdm(walk(frames), unit="folder", disable=None, leave=False):
        paths += [f"{folder}/{name}".lstrip("/") for name in names if BREAKFAST_NAME.fullmatch(name)]
        names[:] = [name for name in names if not BREAKFAST_NAME.fullmatch(name)]
    if not paths:
        raise InputError(
            f"no folder named like P03_cereals or P03_cereals_ch0 below {frames}; extract the frames"
            " with tools/extract_frames.py, or see --frames"
        )
    annotation, problems = parse_breakfast(paths, split)
    return annotation, [Problem("-", *problem) for problem in problems]


Classes = dict[str, list[str]]  # class -> its video folders


def find_classes(frames: Path, part: str) -> tuple[Classes, list[Problem]]:
    """The video folders of each class folder in `frames`/`part`, and folders that are none."""
    classes, problems = {}, []
    for name in sub_folders(frames / part):
        top = f"{part}/{name}".lstrip("/")
        if not fits_a_line(name):
            problems.append(Problem(part or "-", top, UNLISTABLE))
            continue
        videos, empty = picture_folders(frames, top)
        problems += [Problem(part or "-", path, "no pictures in it") for path in empty if path != top]
        if videos == [top]:
            problems.append(Problem(part or "-", top, "frames lie in the class's own folder, not in one a video"))
            videos = []
        classes[name] = sorted(videos)
    return classes, problems


def choose_val(videos: list[str], share: float, seed: int) -> set[str]:
    """A share of one class's videos, at least one and not all; the draw depends on seed and names only."""
    number = min(max(int(len(videos) * share + 0.5), 1), len(videos) - 1)
    drawn = sorted(videos, key=lambda video: hashlib.sha256(f"{seed}/{video}".encode(errors="replace")).digest())
    return set(drawn[:number])


def find_folder(frames: Path, args: argparse.Namespace) -> tuple[Annotation, FrameCounter, list[Problem]]:
    """Classes and videos from folders; the videos of a class are split, unless train/ and val/ are there."""
    tops = sub_folders(frames)
    parts = [name for name in ("train", "val", "test") if name in tops] if {"train", "val"} <= set(tops) else [""]
    if parts != [""]:
        if others := [name for name in tops if name not in parts]:
            raise InputError(
                f"{frames}: train and val stand beside {', '.join(others[:3])}; keep train, val and"
                " test only, or classes only"
            )
        if args.val_fraction is not None:
            raise InputError(f"--val_fraction {args.val_fraction}: {frames} is split into train and val already")
    found: dict[str, Classes] = {}
    problems: list[Problem] = []
    for part in parts:
        found[part], strays = find_classes(frames, part)
        problems += strays
    folders = [video for classes in found.values() for videos in classes.values() for video in videos]
    if not folders:
        raise InputError(
            f"no <class>/<video>/<frames> in {frames}{first_of(problems)}; tools/extract_frames.py makes them"
        )
    template = args.image_tmpl or guess_template(frames, folders)
    first = guess_first(frames, folders, template) if args.first_frame is None else args.first_frame
    counter = FrameCounter(template, first)
    for video in tqdm(folders, unit="video", disable=None, leave=False):
        counter.count(os.path.join(frames, video))  # kept there
    for part, classes in found.items():  # broken videos go before the split, so that its shares are right
        for name, videos in classes.items():
            reasons = {video: counter.count(os.path.join(frames, video))[1] for video in videos}
            problems += [Problem(part or "-", video, reason) for video, reason in reasons.items() if reason]
            classes[name] = [video for video in videos if not reasons[video]]
    categories = [name for name, videos in found[parts[0]].items() if videos]
    notes = [
        f"{name} has no sound video in {frames / parts[0]}, so it is no class"
        for name in found[parts[0]]
        if name not in categories
    ]
    if len(categories) < 2:
        raise InputError(
            f"{frames / parts[0]}: {len(categories)} classes with sound videos, 2 or more are needed"
            f"{first_of(problems)}"
        )
    if parts == [""]:
        whole = {name: found[""][name] for name in categories}
        chosen = {name: choose_val(videos, args.val_fraction or 0.2, args.seed) for name, videos in whole.items()}
        found = {
            part: {
                name: [video for video in videos if (video in chosen[name]) == (part == "val")]
                for name, videos in whole.items()
            }
            for part in ("train", "val")
        }
    splits: dict[str, list[Item]] = {}
    for part, classes in found.items():
        if unknown := [name for name, videos in classes.items() if videos and name not in categories]:
            raise InputError(f"{frames / part / unknown[0]}: no such class in {frames / parts[0]}")
        notes += [f"{part} has no video of {name}" for name in categories if not classes.get(name)]
        splits[part] = [
            Item((os.path.dirname(video),), (os.path.basename(video),), label)
            for label, name in enumerate(categories)
            for video in classes.get(name, [])
        ]
    return Annotation(categories, splits, "sorted class names", notes=tuple(notes)), counter, problems


def first_of(problems: list[Problem]) -> str:
    """What to say of the first problem, if any."""
    return f" (the first of {len(problems)} problems: {problems[0].video}: {problems[0].reason})" if problems else ""


# --- command line ----------------------------------------------------------------------------------------------------


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


def build_parser() -> cli.ArgumentParser:
    """A sub-command a dataset."""
    examples = "".join(f"  python tools/make_lists.py {example}\n" for example in EXAMPLES.values())
    parser = cli.ArgumentParser(description=PURPOSE, epilog=f"examples:\n{examples}")
    commands = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET", help=", ".join(EXAMPLES))
    for name, text in DATASET_HELP.items():
        own = name == "folder"
        command = commands.add_parser(
            name, description=f"{PURPOSE}\n\n{text}", epilog=f"example:\n  python tools/make_lists.py {EXAMPLES[name]}"
        )
        add = command.add_argument
        add(
            "--root",
            metavar="DIR",
            required=own,
            help="the dataset's folder, which gets the lists"
            + f" (default $FULL_VIDEO_DATA/{name}, else data/{name})" * (not own),
        )
        add(
            "--frames",
            metavar="DIR",
            help="where the frame folders are, in ROOT or linked there (default ROOT/frames if it is there, else ROOT)",
        )
        add(
            "--image_tmpl",
            metavar="T",
            help=f"how frames are named (default {'guessed from them' if own else DATASETS[name].image_tmpl})",
        )
        if name in PARSERS:
            add("--annotations", metavar="DIR", help="folder of the annotation files (default: see above)")
        if name in ("ucf101", "hmdb51"):
            add(
                "--split",
                choices=("1", "2", "3"),
                default="1",
                help="official split; lists of 2 and 3 are named train_split2_videofolder.txt and so on (default 1)",
            )
        if name == "breakfast":
            add(
                "--split",
                choices=tuple(BREAKFAST),
                default="timeception",
                help="whose videos test; lists of s1 are "
                "named train_split1_videofolder.txt and so on (default timeception)",
            )
        if own:
            add("--val_fraction", type=fraction, metavar="F", help="share of each class that validates (default 0.2)")
            add("--seed", type=whole, default=0, metavar="N", help="another seed, another split (default 0)")
            add("--first_frame", type=whole, metavar="N", help="number of the first frame (default guessed)")
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
    if split in ("", "1", "timeception"):
        return names
    return {part: name.replace("_", f"_split{split.lstrip('s')}_", 1) for part, name in names.items()}


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


def report(annotation: Annotation, lines: Lines, problems: list[Problem], names: dict[str, str]) -> list[str]:
    """Notes and warnings, a line each."""
    said = [f"note: {note}" for note in annotation.notes]
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
    split, problems = getattr(args, "split", ""), []
    if args.dataset == "folder":
        annotation, counter, problems = find_folder(frames, args)
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
                },
                indent=2,
            )
            + "\n"
        )
    write_files(root, files)

    print(
        f"{args.dataset}{' split ' * bool(split)}{split}: {spec.num_class} classes ({annotation.order}); frames"
        f" {spec.image_tmpl}, {spec.first_frame} is the first, in {frames}"
    )
    print(show_table(annotation, lines))
    print(f"wrote {', '.join(name for name, text in files.items() if text is not None)} in {root}")
    print("".join(f"{line}\n" for line in report(annotation, lines, problems, names)), end="")
    if lines["val"]:
        print(f"next: {show_command(args, root, spec, names, bool(lines['train']))}")
    return 0


if __name__ == "__main__":
    cli.run(main)
