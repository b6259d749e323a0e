"""The datasets' own annotation files -> which video has which label, and where its frames may lie.

One parser a dataset; all take `(root, folder, split)`: the dataset's folder, the folder of the annotation files (None:
looked for below `root`) and the name of the split. They only read. InputError names the file and the line.

Label ids never depend on what is on the disk:

  ucf101                file order: the numbers of classInd.txt, less one
  hmdb51                sorted class names, taken from the names of the split files
  breakfast             sorted activities
  something, jester     sorted labels, as TSM does (the order of the labels file is another one)
  somethingv2           file order: the ids of labels.json, as TSM does
  kinetics              sorted labels; TSM reads the ids from a label map, which is sorted too
  egogestar             the order of EGOGESTAR, here
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ops.data.prepare.annotation_files import check_number, find_files, read_csv, read_json, read_lines, stem
from ops.errors import InputError


@dataclass(frozen=True)
class Item:
    """A video that an annotation names: its frames are at one of `parents`/`names`, the first that is there."""

    parents: tuple[str, ...]  # below the folder of the frames, "" is that folder itself
    names: tuple[str, ...]
    label: int

    @property
    def title(self) -> str:
        """How reports call the video: where it is looked for first."""
        return f"{self.parents[0]}/{self.names[0]}".lstrip("/")


@dataclass(frozen=True)
class Annotation:
    """What a dataset's annotation says: class names in label order and the videos of each split."""

    categories: list[str]
    splits: dict[str, list[Item]]
    order: str  # where the label ids come from, in words
    official: dict[str, int] = field(default_factory=dict)  # published number of videos a split
    ignore_case: bool = False  # the files are named in other case than the annotation says
    notes: tuple[str, ...] = ()


Parser = Callable[[Path, Path | None, str], Annotation]


UCF101 = {"1": (9537, 3783), "2": (9586, 3734), "3": (9624, 3696)}


def parse_ucf101(root: Path, folder: Path | None, split: str) -> Annotation:
    """`classInd.txt` (`1 Name`), `trainlist0k.txt` (`Name/file.avi 1`) and `testlist0k.txt` (`Name/file.avi`)."""
    files = find_files(
        root,
        folder,
        ("ucfTrainTestlist", "annotations", "labels", ""),
        {
            "classes": ("classInd.txt",),
            "train": (f"trainlist0{split}.txt",),
            "val": (f"testlist0{split}.txt",),
        },
    )
    categories: list[str] = []
    for number, line in read_lines(files["classes"]):
        index, _, name = line.partition(" ")
        if index != str(len(categories) + 1) or not name.strip():
            raise InputError(f"{files['classes']}: line {number}: {line!r} is not `{len(categories) + 1} ClassName`")
        categories.append(name.strip())
    check_number(files["classes"], len(categories), "ucf101")
    labels = {name.lower(): label for label, name in enumerate(categories)}
    splits: dict[str, list[Item]] = {}
    for name in ("train", "val"):
        splits[name] = []
        for number, line in read_lines(files[name]):
            where = f"{files[name]}: line {number}"
            video, given = (*line.rsplit(maxsplit=1), "")[:2] if name == "train" else (line, "")
            category, _, file = video.partition("/")
            if not file or category.lower() not in labels:
                wanted = "ClassName/file.avi label" if name == "train" else "ClassName/file.avi"
                raise InputError(f"{where}: {line!r} is not `{wanted}` with a class of classInd.txt")
            label = labels[category.lower()]
            if name == "train" and given != str(label + 1):
                raise InputError(f"{where}: {line!r} must end in the class's number, {label + 1}")
            splits[name].append(Item((category, f"UCF-101/{category}", ""), (stem(file), file), label))
    official = dict(zip(("train", "val"), UCF101[split], strict=True))
    return Annotation(categories, splits, "order of classInd.txt", official, ignore_case=True)


def parse_hmdb51(root: Path, folder: Path | None, split: str) -> Annotation:
    """One `<class>_test_split<k>.txt` a class, lines `file.avi 1`: 0 is unused, 1 trains, 2 tests."""
    ending = f"_test_split{split}.txt"
    places = ("testTrainMulti_7030_splits", "annotations", "labels", "splits", "")
    folders = [folder] if folder else [root / place for place in places]
    place = next((place for place in folders if place.is_dir() and list(_ending_in(place, ending))), None)
    if place is None:
        raise InputError(
            f"no <class>{ending} in {', '.join(map(str, folders))}; put the annotation files there or"
            " name their folder with --annotations"
        )
    categories = sorted(_ending_in(place, ending))
    check_number(f"{place}/*{ending}", len(categories), "hmdb51")
    splits: dict[str, list[Item]] = {"train": [], "val": []}
    for label, category in enumerate(categories):
        path = place / (category + ending)
        for number, line in read_lines(path):
            name, _, use = line.rpartition(" ")
            if not name or use not in ("0", "1", "2"):
                raise InputError(f"{path}: line {number}: {line!r} is not `file.avi 0|1|2`")
            if use != "0":
                item = Item((category, ""), (stem(name.strip()), name.strip()), label)
                splits["train" if use == "1" else "val"].append(item)
    return Annotation(categories, splits, "sorted class names", {"train": 3570, "val": 1530})


def _ending_in(folder: Path, ending: str) -> Iterator[str]:
    """Names in a folder that end so, without the ending."""
    return (name[: -len(ending)] for name in os.listdir(folder) if name.endswith(ending))


ACTIVITIES = ["cereals", "coffee", "friedegg", "juice", "milk", "pancake", "salat", "sandwich", "scrambledegg", "tea"]
# test persons (first, last) and number of test videos; the others of P03 to P54 train
BREAKFAST = {
    "s1": (3, 15, 252),
    "s2": (16, 28, 451),
    "s3": (29, 41, 433),
    "s4": (42, 54, 576),
    "timeception": (47, 54, 355),
}
BREAKFAST_VIDEOS = 1712
BREAKFAST_NAME = re.compile(r"(?:.*_)?P(\d\d)_([a-z]+?)(?:_ch(\d))?(?:\.avi)?")


def parse_breakfast(paths: list[str], split: str) -> tuple[Annotation, list[tuple[str, str]]]:
    """Splits by person, from folder names `.../P03_cereals` or `.../P03_cereals_ch0`; of stereo, channel 0 only.

    Returns the annotation and (path, reason) for each folder that is in no split though it should be.
    """
    first, last, num_val = BREAKFAST[split]
    splits: dict[str, list[Item]] = {"train": [], "val": []}
    problems, pairs = [], set(paths)
    skipped = 0
    for path in sorted(paths):
        parent, _, name = path.rpartition("/")
        match = BREAKFAST_NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{path} is not named like P03_cereals")
        person, activity, channel = int(match[1]), match[2], match[3]
        if activity not in ACTIVITIES:
            problems.append((path, f"{activity!r} is none of the ten activities"))
        elif not 3 <= person <= 54:
            problems.append((path, f"person P{match[1]} is not one of P03 to P54"))
        elif channel not in (None, "0"):
            skipped += 1
            if path.replace(f"_ch{channel}", "_ch0") not in pairs:
                problems.append((path, "channel 0 of this stereo video is not there"))
        else:
            splits["val" if first <= person <= last else "train"].append(
                Item((parent,), (name,), ACTIVITIES.index(activity))
            )
    notes = (f"stereo: channel 0 only, {skipped} folders of the other channel left out",) if skipped else ()
    official = {"train": BREAKFAST_VIDEOS - num_val, "val": num_val}
    return Annotation(ACTIVITIES, splits, "sorted activities", official, notes=notes), problems


UNLABELLED = (
    "the test set has no labels and every line of a list has one, so it gets no list (test-answers.csv beside"
    " the other annotation files would give them)"
)


def _something_names(prefix: str, ending: str) -> dict[str, tuple[str, ...]]:
    """File names as first released (`<prefix>-train.csv`) and in the later packages (`train.csv`)."""
    roles = {"classes": "labels", "train": "train", "val": "validation", "test": "test"}
    names = {role: (f"{prefix}-{word}.{ending}", f"{word}.{ending}") for role, word in roles.items()}
    return names | {"answers": (f"{prefix}-test-answers.csv", "test-answers.csv")}


def parse_answers(path: Path, labels: dict[str, int], parents: tuple[str, ...]) -> list[Item]:
    """Lines `id;label`, with or without quotes; labels may hold commas."""
    items = []
    for number, row in read_csv(path, ";"):
        if len(row) != 2 or not row[0]:
            raise InputError(f"{path}: line {number}: {';'.join(row)!r} is not `id;label`")
        if row[1] not in labels:
            raise InputError(f"{path}: line {number}: {row[1]!r} is not in the labels file")
        items.append(Item(parents, (row[0],), labels[row[1]]))
    return items


def _parse_semicolons(dataset: str, prefix: str, frames: str, sizes: tuple[int, int, int]) -> Parser:
    """A parser for Something-Something V1's layout, which is Jester's too."""

    def parse(root: Path, folder: Path | None, split: str) -> Annotation:
        files = find_files(
            root,
            folder,
            ("annotations", "labels", prefix, ""),
            _something_names(prefix, "csv"),
            optional=("test", "answers"),
        )
        rows = list(read_csv(files["classes"], ";"))
        labels: dict[str, int] = {}
        for number, row in rows:
            if len(row) != 1 or row[0] in labels:
                raise InputError(f"{files['classes']}: line {number}: {';'.join(row)!r} is not one new label")
            labels[row[0]] = number
        categories = sorted(labels)
        check_number(files["classes"], len(categories), dataset)
        labels = {name: label for label, name in enumerate(categories)}
        parents = ("", frames)
        splits = {name: parse_answers(files[name], labels, parents) for name in ("train", "val")}
        if "answers" in files:
            splits["test"] = parse_answers(files["answers"], labels, parents)
        notes = (UNLABELLED,) if "test" in files and "answers" not in files else ()
        official = dict(zip(("train", "val", "test"), sizes, strict=True))
        return Annotation(categories, splits, "sorted labels, as TSM", official, notes=notes)

    parse.__doc__ = f"{prefix}-labels.csv (a label a line), -train.csv and -validation.csv (`id;label`)."
    return parse


parse_something = _parse_semicolons(
    "something", "something-something-v1", "20bn-something-something-v1", (86017, 11522, 10960)
)
parse_jester = _parse_semicolons("jester", "jester-v1", "20bn-jester-v1", (118562, 14787, 14743))


def parse_somethingv2(root: Path, folder: Path | None, split: str) -> Annotation:
    """labels.json `{"label": "id"}`; train and validation items `{"id", "template", ...}`, placeholders in brackets."""
    prefix = "something-something-v2"
    files = find_files(
        root,
        folder,
        ("annotations", "labels", prefix, ""),
        _something_names(prefix, "json"),
        optional=("test", "answers"),
    )
    data = read_json(files["classes"])
    try:
        labels = {name: int(label) for name, label in data.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f'{files["classes"]}: is not an object of `"label": "id"`') from None
    check_number(files["classes"], len(labels), "somethingv2")
    categories = sorted(labels, key=labels.__getitem__)
    if [labels[name] for name in categories] != list(range(len(labels))):
        raise InputError(f"{files['classes']}: ids are not 0 to {len(labels) - 1}, each once")
    parents = ("", "20bn-something-something-v2-frames", "20bn-something-something-v2")
    splits: dict[str, list[Item]] = {}
    for name in ("train", "val"):
        items = read_json(files[name])
        if not isinstance(items, list):
            raise InputError(f"{files[name]}: is not a list of items")
        splits[name] = []
        for number, item in enumerate(items, 1):
            try:
                video, label = str(item["id"]), str(item["template"]).replace("[", "").replace("]", "")
            except (KeyError, TypeError):
                raise InputError(f"{files[name]}: item {number} lacks `id` or `template`: {str(item)[:80]}") from None
            if label not in labels:
                raise InputError(
                    f"{files[name]}: item {number} (id {video}): template {label!r} is not in {files['classes'].name}"
                )
            splits[name].append(Item(parents, (video,), labels[label]))
    if "answers" in files:
        splits["test"] = parse_answers(files["answers"], labels, parents)
    notes = (UNLABELLED,) if "test" in files and "answers" not in files else ()
    official = {"train": 168913, "val": 24777, "test": 27157}
    return Annotation(categories, splits, "ids of the labels file, as TSM", official, notes=notes)


def folder_name(label: str) -> str:
    """A Kinetics label as TSM names its folder: no quotes, brackets or apostrophes, `_` for blanks."""
    return re.sub(r"[\"'()]", "", label).replace(" ", "_")


def parse_kinetics(root: Path, folder: Path | None, split: str) -> Annotation:
    """csv with the header `label,youtube_id,time_start,time_end,split[,is_cc]`, one file a split.

    The published number of videos differs between releases, so there is no official count but the file's.
    """
    files = find_files(
        root,
        folder,
        ("annotations", "labels", "kinetics400", ""),
        {
            role: tuple(
                f"{before}{word}.csv"
                for word in words
                for before in ("kinetics_", "kinetics_400_", "kinetics400_", "k400_", "")
            )
            for role, words in {"train": ("train",), "val": ("val", "validate"), "test": ("test",)}.items()
        },
        optional=("test",),
    )
    videos: dict[str, list[tuple[str, tuple[str, ...]]]] = {}  # split -> (label, folder names)
    notes = ()
    for name, path in files.items():
        rows = read_csv(path, ",")
        _, header = next(rows, (1, []))
        if name == "test" and "label" not in header and "youtube_id" in header:
            notes = ("the test set has no labels and every line of a list has one, so it gets no list",)
            continue
        columns = ("label", "youtube_id", "time_start", "time_end")
        if not set(columns) <= set(header):
            raise InputError(f"{path}: line 1: the header must name {', '.join(columns)}")
        places = [header.index(column) for column in columns]
        videos[name] = []
        for number, row in rows:
            try:
                label, video, start, end = (row[place] for place in places)
                start, end = int(float(start)), int(float(end))
            except (IndexError, ValueError, OverflowError):
                raise InputError(f"{path}: line {number}: {','.join(row)!r} does not fit the header") from None
            if not label or not video:
                raise InputError(f"{path}: line {number}: label or youtube_id is empty")
            videos[name].append((label, (f"{video}_{start}", f"{video}_{start:06d}_{end:06d}", video)))
    categories = sorted({label for listed in videos.values() for label, _ in listed})
    check_number(" + ".join(str(files[name]) for name in videos), len(categories), "kinetics")
    labels = {name: label for label, name in enumerate(categories)}
    splits = {}
    for name, listed in videos.items():
        parents = {
            label: (folder_name(label), label, f"{name}/{folder_name(label)}", f"{name}/{label}", name, "")
            for label in categories
        }
        splits[name] = [Item(parents[label], names, labels[label]) for label, names in listed]
    return Annotation(categories, splits, "sorted labels", notes=notes)


EGOGESTAR = ["up", "down", "left", "right", "carret", "circlecc", "square", "star", "tick", "del"]
EGOGESTAR_FOLDS = {"fold0": 57, "fold1": 58, "fold2": 53, "fold3": 49}  # videos of each
UNFOLDED = "in no fold, and so in no list: the class unclassified, and 3 videos that were not at hand for the folds"


def parse_egogestar(root: Path, folder: Path | None, split: str) -> Annotation:
    """`egogestar.csv` (`file,class,frames,fold,scene`), which lies beside this file: the set has no split of its own.

    The videos of one fold validate, all others train. No scene is in two folds.
    """
    path = (folder or Path(__file__).parent) / "egogestar.csv"
    rows = read_csv(path, ",")
    if (header := next(rows, (1, []))[1]) != (columns := ["file", "class", "frames", "fold", "scene"]):
        raise InputError(f"{path}: line 1: {','.join(header)!r} is not {','.join(columns)!r}")
    splits: dict[str, list[Item]] = {"train": [], "val": []}
    for number, row in rows:
        if len(row) != len(columns) or row[1] not in EGOGESTAR or f"fold{row[3]}" not in EGOGESTAR_FOLDS:
            raise InputError(f"{path}: line {number}: {','.join(row)!r} is not `{','.join(columns)}` of a known class")
        item = Item(("testvideo", ""), (stem(row[0]),), EGOGESTAR.index(row[1]))
        splits["val" if split == f"fold{row[3]}" else "train"].append(item)
    num_val = EGOGESTAR_FOLDS[split]
    official = {"train": sum(EGOGESTAR_FOLDS.values()) - num_val, "val": num_val}
    return Annotation(EGOGESTAR, splits, "up, down, left, right, then the figures", official, notes=(UNFOLDED,))


PARSERS: dict[str, Parser] = {
    "ucf101": parse_ucf101,
    "hmdb51": parse_hmdb51,
    "something": parse_something,
    "somethingv2": parse_somethingv2,
    "jester": parse_jester,
    "kinetics": parse_kinetics,
    "egogestar": parse_egogestar,
}
