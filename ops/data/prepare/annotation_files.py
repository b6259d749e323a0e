"""Annotation files as lines, rows or JSON, and where they lie; InputError names the file and the line."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from ops.data.specs import DATASETS
from ops.errors import InputError


def read_text(path: Path) -> str:
    """A text file as it is, line ends included."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line}: not UTF-8 text") from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of each line that is not blank; LF or CRLF, blanks around the text cut off."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def read_csv(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row that is not blank; a field may be quoted."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}") from None


def read_json(path: Path):
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: {error.msg}") from None


def find_files(
    root: Path,
    folder: Path | None,
    places: tuple[str, ...],
    names: dict[str, tuple[str, ...]],
    optional: tuple[str, ...] = (),
) -> dict[str, Path]:
    """The annotation file of each role in `names` (its possible names, best first), in the first fitting folder.

    Without `folder`, those of `places` below `root` are tried. A folder fits if it holds the first role's file.
    """
    folders = [folder] if folder else [root / place for place in places]

    def look(place: Path, role: str) -> Path | None:
        return next((place / name for name in names[role] if (place / name).is_file()), None)

    first = next(iter(names))
    place = next((place for place in folders if look(place, first)), None)
    if place is None:
        raise InputError(
            f"no {' or '.join(names[first])} in {', '.join(map(str, folders))}; put the annotation files"
            " there or name their folder with --annotations"
        )
    found = {role: path for role in names if (path := look(place, role))}
    for role in names:
        if role not in found and role not in optional:
            raise InputError(f"no {' or '.join(names[role])} in {place}; put it beside {found[first].name}")
    return found


def check_number(source: Path | str, found: int, dataset: str) -> None:
    """A class too few or too many would shift the labels of all the others."""
    if found != DATASETS[dataset].num_class:
        raise InputError(
            f"{source}: {found} classes, {dataset} has {DATASETS[dataset].num_class};"
            " for a part of a dataset use `make_lists.py folder`"
        )


def stem(name: str) -> str:
    """A video file's name without its ending."""
    return re.sub(r"\.(avi|mp4|webm|mkv|mov|mpg)$", "", name, flags=re.IGNORECASE)
