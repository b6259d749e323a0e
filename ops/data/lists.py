"""List files: a line `path num_frames label` for each video."""

import os
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ops.data.specs import DatasetSpec
from ops.data.stores import open_store
from ops.errors import InputError

SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class Video:
    """One line of a list file."""

    path: str
    num_frames: int
    label: int


def parse_line(line: str, num_class: int) -> Video:
    """Read `path num_frames label` (split from the right, so that a path may hold blanks); ValueError says why not.

    A relative path may not climb out of the dataset's folder; an absolute one says openly where it leads.
    """
    parts = line.rsplit(maxsplit=2)
    if len(parts) != 3:
        raise ValueError("is not `path num_frames label`")
    try:
        num_frames, label = int(parts[1]), int(parts[2])
    except ValueError:
        shown = f"number of frames {parts[1][:20]!r} and label {parts[2][:20]!r}"
        raise ValueError(f"{shown} must be whole numbers") from None
    if num_frames < 1:
        raise ValueError(f"number of frames {num_frames} must be at least 1")
    if not 0 <= label < num_class:
        raise ValueError(f"label {label} is out of range, {num_class} classes have labels 0 to {num_class - 1}")
    path = parts[0].strip()
    if os.path.normpath(path).split(os.sep)[0] == os.pardir:
        raise ValueError(f"path {path} climbs out of the dataset's folder; link its folder there")
    return Video(path, num_frames, label)


def find_problem(video: Video, root: Path, spec: DatasetSpec) -> str | None:
    """What is wrong with a video's folder or pack, or None; one look at its last frame when all is well."""
    problem = open_store(root / video.path).problem(spec, video.num_frames)
    return problem and f"{video.path}: {problem}"


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a list file that are not blank, numbered from 1; InputError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"no list file {path}; make it, or name yours with --train_list and --val_list") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read list file {path} as text: {error}") from None
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def read_list(path: Path, root: Path, spec: DatasetSpec, bad_stay: bool = False) -> list[Video]:
    """Read a list file and look for every video's folder.

    Raises InputError with the first ten problems and their number: nothing is skipped. A bar is seen where this takes
    more than two seconds, as it does where video files have no index yet. With `bad_stay` a video that is there and
    cannot be opened or decoded stays in the list, for who skips it when it is loaded.
    """
    videos, problems = [], []
    for number, line in tqdm(read_lines(path), path.name, unit="video", leave=False, disable=None, delay=2):
        try:
            videos.append(parse_line(line, spec.num_class))
            problem = find_problem(videos[-1], root, spec)
        except InputError as error:
            problem = None if bad_stay else f"{line.strip()[:80]!r} {error}"
        except (ValueError, OSError) as error:
            problem = f"{line.strip()[:80]!r} {error}"
        if problem:
            problems.append(f"line {number}: {problem}")
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise InputError(f"{path}: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}. Correct the list or the frames")
    if not videos:
        raise InputError(f"{path}: the list is empty; it needs lines `path num_frames label`")
    return videos
