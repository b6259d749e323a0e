"""Files that programs write: sure to be writable before the work starts, and whole or not there at all."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ops.errors import InputError


def check_writable(path: Path, flag: str) -> None:
    """Raise InputError unless a file can be made under `path`; leaves nothing behind."""
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        trial = path.with_name(path.name + ".partial")
        trial.open("ab").close()
        trial.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give another place with {flag}") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary name and rename, so that a file under `path` is always whole."""
    trial = path.with_name(path.name + ".partial")
    try:
        trial.write_bytes(content)
        trial.replace(path)
    except OSError as error:
        with suppress(OSError):  # or it would hide what went wrong first
            trial.unlink(missing_ok=True)
        raise InputError(f"{path} cannot be written: {error.strerror}") from None


def as_csv(rows: Sequence[Sequence]) -> bytes:
    """Rows as UTF-8 text, quoted where needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
