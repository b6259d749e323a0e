"""An annotation and the frames really there -> the lines of list files, and the videos that are in none."""

import errno
import os
import shlex
from contextlib import suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ops.data.prepare.annotations import Annotation, Item
from ops.data.prepare.discovery import FolderIndex, FrameCounter
from ops.data.prepare.extraction import cores
from ops.errors import InputError

READERS = 4  # videos looked at at a time, or as many as there are cores: faster where a disk is behind a network
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

    with ThreadPool(max(READERS, cores())) as pool:
        results = tqdm(pool.imap(look, items, 8), total=len(items), unit="video", disable=None, leave=False)
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


def _way_out(error: OSError, frames: Path) -> str:
    """What helps where a folder may not be written to."""
    if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ""
    link = shlex.join(["ln", "-s", os.path.abspath(frames), "MINE/frames"])
    return f"; give --root a folder of your own that links to the frames: mkdir MINE && {link}"


def write_files(root: Path, frames: Path, files: dict[str, str | None]) -> None:
    """Write files into `root`, all or none; None removes one that is there. An error tells how to do without."""
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
        raise InputError(f"cannot write into {root}: {error.strerror}{_way_out(error, frames)}") from None
    finally:
        for path in temporary.values():
            with suppress(OSError):  # or it would hide what went wrong first
                path.unlink(missing_ok=True)


def first_of(problems: list[Problem]) -> str:
    """What to say of the first problem, if any."""
    return f" (the first of {len(problems)} problems: {problems[0].video}: {problems[0].reason})" if problems else ""
