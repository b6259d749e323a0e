"""How the files of frames are called: which endings are pictures', which are videos', and what a template such as
`img_{:05d}.jpg` says.

All that asks whether a file is a picture or a video, or how many frames a folder holds, asks here.
"""

import os
import re
import string
from collections.abc import Iterable
from functools import cache

from ops.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
VIDEOS = (
    *(".mp4", ".avi", ".webm", ".mkv", ".mov", ".mpg", ".m4v", ".gif"),  # in a list, the first that is there is meant
    *(".mpeg", ".wmv", ".flv", ".mts", ".m2ts", ".ts", ".3gp", ".ogv"),
)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is left alone everywhere, as `._img_00001.jpg` is, which macOS leaves behind."""
    return name.startswith(".")


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    return name.lower().endswith(PICTURES) and not is_hidden(name)


def is_video(name: str) -> bool:
    """Whether a file's name is that of a video file."""
    return os.path.splitext(name)[1].lower() in VIDEOS and not is_hidden(name)


def by_number(name: str) -> tuple[list[int], str]:
    """A key that sorts names by the numbers in them."""
    return [int(digits) for digits in re.findall("[0-9]+", name)], name


def _fields(template: str) -> list[str]:
    """The formats of a template's fields, such as `05d`."""
    return [form for _, field, form, _ in string.Formatter().parse(template) if field is not None]


def is_flow(template: str) -> bool:
    """Whether a template names pairs of optical flow pictures: by x or y and a number."""
    return len(_fields(template)) > 1


def has_folder_number(template: str) -> bool:
    """Whether a template of flow pictures begins with the number of the video's folder, as Something-Something's."""
    return len(_fields(template)) == 3


def check_template(template: str, flow: bool = False) -> None:
    """Raise InputError unless `template` names files by a number; with `flow` by x or y and a number, or by the
    folder's number, x or y, and a number."""
    trials = [("x", 1), (1, "x", 1)] if flow else [(1,)]
    try:
        forms = _fields(template)
        (trial,) = [trial for trial in trials if len(trial) == len(forms)]
        good = "/" not in template and max(map(len, forms)) < 5  # or names would be longer than any file's
        good = good and len({template.format(*trial[:-1], number) for number in (1, 2)}) == 2
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        good = False
    if not good or is_hidden(template):
        example = "flow_{}_{:05d}.jpg" if flow else "img_{:05d}.jpg"
        raise InputError(f"image template {template!r} does not name files by number; give one such as {example!r}")


@cache
def name_pattern(template: str) -> re.Pattern:
    """What matches the names that a template gives; its last group is the frame's number."""
    forms = _fields(template)
    axis, place, pattern = len(forms) - 2, 0, ""  # x or y stands before the number
    for text, field, form, _ in string.Formatter().parse(template):
        pattern += re.escape(text)
        if field is None:
            continue
        if place == axis:
            pattern += "[xy]"
        elif re.fullmatch(r"(0\d{1,2})?d?", form):
            width = int(form.rstrip("d") or 1) or 1
            pattern += rf"(\d{{{width}}}|[1-9]\d{{{width},}})"
        else:
            pattern += r"(\s*\d+)"
        place += 1
    return re.compile(pattern, re.ASCII)


def frame_numbers(template: str, names: Iterable[str]) -> list[int]:
    """The numbers of the frames among files of these names, sorted; each once, though flow has two files of each."""
    match = name_pattern(template).fullmatch
    return sorted({int(found[found.re.groups]) for found in map(match, names) if found})
