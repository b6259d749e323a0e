"""Files that a test leaves: written whole at its end, but sure to be writable before it starts."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

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


def scores_file(names: Sequence[str], labels: np.ndarray, scores: np.ndarray) -> bytes:
    """An .npz of `names` (videos,), `labels` (videos,) int64 and `scores` (videos, classes) float32."""
    file = io.BytesIO()
    np.savez(file, names=np.array(names), labels=labels.astype(np.int64), scores=scores.astype(np.float32))
    return file.getvalue()


def predictions_file(names: Sequence[str], labels: np.ndarray, scores: np.ndarray, categories: Sequence[str]) -> bytes:
    """A CSV with a row a video: its name, its label and the five best classes, best first."""
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :5]  # (videos, 5)
    rows = [["video", "label", *(f"top{k}" for k in range(1, ranked.shape[1] + 1))]]
    for name, label, best in zip(names, labels, ranked, strict=True):
        rows.append([name, categories[label], *(categories[k] for k in best)])
    return as_csv(rows)
