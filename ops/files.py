"""Files and folders that programs write: one writer at a time, sure to be writable, and whole or not there at all."""

import csv
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ops.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: two runs into one folder are not told apart there
    fcntl = None


PARTIAL = ".partial"  # of a file that is not whole yet


def check_writable(path: Path, flag: str) -> None:
    """Raise InputError unless a file can be made under `path`, and its folder where there is none; leaves nothing."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        trial = _beside(nearest_parent(path) / path.name)
        trial.open("xb").close()
        trial.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give another place with {flag}") from None


def nearest_parent(path: Path) -> Path:
    """The first of the places above `path` that is there."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def check_apart(path: Path, flag: str, inputs: Sequence[Path | str]) -> None:
    """Raise InputError where the file to be written is one of those that are read, by whatever name."""
    for given in inputs:
        with suppress(OSError, ValueError):  # one of them is not there, or is an address
            if path.samefile(given):
                raise InputError(f"{flag} {path} would write over {given}, which is read; give another place")


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary name and rename, so that a file under `path` is always whole; makes its folder.

    Of two programs that write it at once, the last to end leaves its own.
    """
    with renamed(path) as trial:
        trial.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that gets the name `path` when the block ends well and is gone otherwise; makes its folder."""
    with renamed(path) as trial, trial.open("wb") as file:
        yield file


@contextmanager
def renamed(path: Path) -> Iterator[Path]:
    """Another name for a file that becomes `path` when the block ends well; InputError where it cannot be written."""
    trial = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield trial
        trial.replace(path)
    except BaseException as error:
        with suppress(OSError):  # or it would hide what went wrong first
            trial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def remove_partial(folder: Path) -> None:
    """Remove what killed programs left of whole files in a folder and below, which nobody else may be writing to."""
    for left in folder.rglob(f".*{PARTIAL}"):
        left.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """A name in the folder of `path` that no other program uses."""
    return path.with_name(f".{path.name[:50]}.{uuid4().hex[:8]}{PARTIAL}")


def as_csv(rows: Sequence[Sequence]) -> bytes:
    """Rows as UTF-8 text, quoted where needed; bytes that are no text, and zeros, stand as Python writes them."""
    text = io.StringIO()
    cells = ([cell.replace("\0", r"\x00") if isinstance(cell, str) else cell for cell in row] for row in rows)
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue().encode(errors="backslashreplace")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a folder, which is there, for oneself; InputError if another process has claimed it.

    The claim ends with the block or with the process, however that ends. Processes forked inside the block share it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run is writing to {folder}") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


@contextmanager
def growing_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its name when the block ends well, and is gone otherwise.

    One process at a time has it; what a killed one left there is removed.
    """
    growing = out.with_name(out.name + ".partial")
    growing.mkdir(parents=True, exist_ok=True)
    with claimed(growing):
        try:
            for left in growing.iterdir():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            yield growing
            growing.replace(out)
        finally:
            shutil.rmtree(growing, ignore_errors=True)
