"""Folders of numbered frames, and video files: find them, count their frames, tell how frames are named."""

import os
import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ops.data.frame_names import PICTURES, VIDEOS, frame_numbers, is_hidden, is_picture, is_video
from ops.data.specs import DatasetSpec
from ops.data.stores import open_store
from ops.data.video_file import BECAUSE
from ops.errors import InputError

SAMPLE = 100  # folders from which names are guessed


class FrameCounter:
    """Counts the frames in folders, whose names follow a template such as `img_{:05d}.jpg`, `first` being the first,
    and in video files.

    With `first` None the frames of every folder begin at a number of their own. Raises InputError for a template that
    does not hold exactly one number.
    """

    def __init__(self, template: str, first: int | None):
        try:
            fields = [field[1:] for field in string.Formatter().parse(template) if field[1] is not None]
        except ValueError as error:
            raise InputError(f"--image_tmpl {template!r}: {error}") from None
        simple = len(fields) == 1 and fields[0][0] == "" and fields[0][2] is None  # name, format, conversion
        simple = simple and re.fullmatch(r"(0\d{1,2})?d?", fields[0][1])
        if not simple or "/" in template or is_hidden(template):
            raise InputError(f"--image_tmpl {template!r}: must hold one number, as img_{{:05d}}.jpg does")
        self.template, self.first = template, first
        self.counted: dict[str, tuple[int, str]] = {}
        self.files = 0  # of the counted, those that are video files
        self.others: dict[str, int] = {}  # folder -> pictures in it that are named otherwise

    def numbers(self, folder: Path | str) -> list[int]:
        """The numbers of a folder's frames, sorted."""
        return frame_numbers(self.template, os.listdir(folder))

    def count(self, folder: str) -> tuple[int, str]:
        """(number of frames, "") if they have no gap, else (0, what is wrong); looks once at each folder.

        A video file, which may be named without its ending, is decoded once, and its index is kept.
        """
        if folder not in self.counted:
            try:
                if os.path.isdir(folder):
                    self.counted[folder] = self._count(folder)
                else:
                    self.counted[folder] = open_store(Path(folder)).count(DatasetSpec(1, self.template)), ""
                    self.files += 1
            except InputError as error:
                self.counted[folder] = (0, str(error).split(BECAUSE, 1)[-1])
            except OSError as error:
                self.counted[folder] = (0, f"cannot be read: {error.strerror}")
        return self.counted[folder]

    def first_in(self, folder: str | Path) -> int:
        """The number at which a folder's frames should begin."""
        return self.numbers(folder)[0] if self.first is None else self.first

    def _count(self, folder: str) -> tuple[int, str]:
        names = visible(folder)
        numbers = frame_numbers(self.template, names)
        self.others[folder] = sum(map(is_picture, names)) - len(numbers)
        if not numbers:
            return 0, f"no {self.template} in it, " + (f"but {min(names)}" if names else "it is empty")
        first = numbers[0] if self.first is None else self.first
        if numbers[0] != first:
            return 0, f"first frame is {self.template.format(numbers[0])}, not {self.template.format(first)}"
        if len(numbers) <= numbers[-1] - first:
            absent = next(number for number, there in enumerate(numbers, first) if number != there)
            return 0, f"gap: {len(numbers)} frames up to {numbers[-1]}, but no {self.template.format(absent)}"
        return len(numbers), ""


def visible(folder: Path | str) -> list[str]:
    """The names in a folder that are not hidden."""
    return [name for name in os.listdir(folder) if not is_hidden(name)]


def sub_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones; none if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from None


def sub_videos(folder: Path) -> dict[str, str]:
    """The video files in a folder, by their names without endings -> how a list names them.

    That is without the ending where the name alone tells which file is meant, else with it. A file beside a folder of
    its name, as frames that were extracted there, is left out.
    """
    try:
        names = sorted(filter(is_video, os.listdir(folder)))
    except OSError:  # `sub_folders` says what is wrong
        return {}
    stems = Counter(os.path.splitext(name)[0] for name in names)
    found = {}
    for name in names:
        stem, ending = os.path.splitext(name)
        if (folder / name).is_file() and not (folder / stem).is_dir():
            plain = stems[stem] == 1 and ending in VIDEOS
            found[stem if stems[stem] == 1 else name] = stem if plain else name
    return found


class FolderIndex:
    """Finds folders, and video files, below `top` with one look at each parent folder."""

    def __init__(self, top: Path, ignore_case: bool = False):
        self.top, self.ignore_case = top, ignore_case
        self.known: dict[str, dict[str, str]] = {}

    def find(self, parents: Sequence[str], names: Sequence[str]) -> str | None:
        """The first of `parents`/`names` that is there, relative to `top`."""
        for parent in parents:
            folder = ""
            for part in filter(None, parent.split("/")):
                folder = self._enter(folder, [part])
                if folder is None:
                    break
            else:
                found = self._enter(folder, names)
                if found:
                    return found
        return None

    def _enter(self, folder: str, names: Sequence[str]) -> str | None:
        if folder not in self.known:
            files = sub_videos(self.top / folder)
            there = {name: name for name in [*files.values(), *sub_folders(self.top / folder)]} | files
            lower = {name.lower(): there[name] for name in there} if self.ignore_case else {}
            self.known[folder] = lower | there
        children = self.known[folder]
        for name in names:
            name = children.get(name) or (children.get(name.lower()) if self.ignore_case else None)
            if name:
                return f"{folder}/{name}".lstrip("/")
        return None


def walk(top: Path, folder: str = "") -> Iterator[tuple[str, list[str]]]:
    """(folder relative to `top`, names of its sub-folders) of a folder and all below; as in os.walk, names that the
    caller takes out are not entered. Links that lead back are not followed."""
    names = sub_folders(top / folder)
    yield folder, names
    for name in names:
        if not leads_back(top / folder / name):
            yield from walk(top, f"{folder}/{name}".lstrip("/"))


def leads_back(path: Path) -> bool:
    """Whether a path is a link to a folder that was passed on the way to it, or to one around that."""
    if not path.is_symlink():
        return False
    passed = [os.path.join(os.path.realpath(folder), "") for folder in path.parents]
    return any(folder.startswith(os.path.join(os.path.realpath(path), "")) for folder in passed)


def picture_folders(top: Path, below: str) -> tuple[list[str], dict[str, str]]:
    """The outermost folders at or below `below` that hold pictures, and why others are not taken; relative to `top`."""
    found, refused = [], {}
    for path, names in walk(top, below):
        if any(map(is_picture, os.listdir(top / path))):
            inner = next((parent for parent in found if path.startswith(f"{parent}/")), None)
            if inner is None:
                found.append(path)
            else:
                refused[path] = f"lies inside {inner}, which holds pictures itself"
        elif not names and not any(path.startswith(f"{parent}/") for parent in found):
            refused[path] = "no pictures in it"
    return found, refused


def videos_below(top: Path, below: str) -> tuple[list[str], list[str], dict[str, str]]:
    """The outermost folders at or below `below` that hold pictures, the video files that are in none of them, as a list
    names them, and why other folders are not taken; relative to `top`."""
    folders, refused = picture_folders(top, below)
    files = []
    for path, _ in walk(top, below):
        if not any(path == folder or path.startswith(f"{folder}/") for folder in folders):
            here = [f"{path}/{name}".lstrip("/") for name in sub_videos(top / path).values()]
            files += here
            if here:
                refused.pop(path, None)
    return folders, files, refused


def guess_template(top: Path, folders: list[str]) -> str:
    """The template that the pictures in (a sample of) `folders` are named by; InputError if there are several."""
    lengths = defaultdict(set)  # (before, after the number) -> lengths of the numbers
    padded = defaultdict(set)  # ... of those that start with a nought
    examples: dict[tuple[str, str], str] = {}
    for folder in _sample(folders):
        for name, (before, digits, after) in split_at_numbers(filter(is_picture, os.listdir(top / folder))).items():
            key = before.replace("{", "{{").replace("}", "}}"), after.replace("{", "{{").replace("}", "}}")
            lengths[key].add(len(digits))
            if digits[0] == "0" != digits:
                padded[key].add(len(digits))
            examples.setdefault(key, f"{folder}/{name}")
    templates = {}
    for (before, after), example in examples.items():
        widths = padded[before, after] and padded[before, after] | {min(lengths[before, after])}
        for width in widths or {1}:
            templates[before + (f"{{:0{width}d}}" if width > 1 else "{}") + after] = example
    if not templates:
        raise InputError(
            f"{top}: no numbered pictures ({', '.join(PICTURES)}) such as {folders[0]}/img_00001.jpg;"
            " tools/extract_frames.py makes them"
        )
    if len(templates) > 1:
        shown = ", ".join(f"{template} ({example})" for template, example in sorted(templates.items())[:3])
        raise InputError(f"{top}: frames are named in {len(templates)} ways: {shown}; choose one with --image_tmpl")
    return next(iter(templates))


def split_at_numbers(names: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Names with a number in them -> (what is before, digits, what is behind) the one that counts the frames.

    Of several it is the one that is not the same in all names that are alike otherwise, or else the last.
    """
    alike = defaultdict(dict)  # name with all numbers taken out -> its parts, numbers at odd places, of each name
    for name in names:
        stem, ending = os.path.splitext(name)
        parts = re.split(r"(\d+)", stem, flags=re.ASCII)
        parts[-1] += ending
        if len(parts) > 1:
            alike["0".join(parts[::2])][name] = parts
    found = {}
    for group in alike.values():
        numbers = [set(column) for column in zip(*(parts[1::2] for parts in group.values()), strict=True)]
        changing = [place for place, seen in enumerate(numbers) if len(seen) > 1]
        place = 2 * (changing[0] if len(changing) == 1 else len(numbers) - 1) + 1
        for name, parts in group.items():
            found[name] = "".join(parts[:place]), parts[place], "".join(parts[place + 1 :])
    return found


def guess_first(top: Path, folders: list[str], template: str) -> int | None:
    """The number with which the frames start in at least half of (a sample of) `folders`; None if there is none."""
    counter = FrameCounter(template, None)
    starts = Counter(numbers[0] for folder in _sample(folders) if (numbers := counter.numbers(top / folder)))
    first = min(starts, key=lambda number: (-starts[number], number), default=1)
    return first if 2 * starts[first] >= starts.total() else None


def _sample(folders: list[str]) -> list[str]:
    """At most SAMPLE of the folders, evenly spread."""
    return folders[:: -(-len(folders) // SAMPLE) or 1]
