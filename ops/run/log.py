"""The files a run leaves in its log folder: args.json, log.csv and TensorBoard events."""

import csv
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision

from ops.errors import InputError
from ops.training.meters import Result

try:
    from tensorboardX import SummaryWriter
except ImportError:
    SummaryWriter = None


class Entry(NamedTuple):
    """What a row of log.csv tells of."""

    epoch: int
    split: str
    result: Result
    lr: float


COLUMNS: dict[str, Callable[[Entry], object]] = {  # a column of log.csv -> what stands in it
    "epoch": lambda entry: entry.epoch,
    "split": lambda entry: entry.split,
    "loss": lambda entry: f"{entry.result.loss:.6f}",
    "top1": lambda entry: f"{entry.result.top1:.4f}",
    "top5": lambda entry: f"{entry.result.top5:.4f}",
    "mean_class_accuracy": lambda entry: f"{entry.result.mean_class_accuracy:.4f}",
    "lr": lambda entry: f"{entry.lr:g}",
    "seconds": lambda entry: f"{entry.result.seconds:.2f}",
    "videos": lambda entry: entry.result.videos,
    "frames": lambda entry: entry.result.frames,
    "frames_per_second": lambda entry: f"{entry.result.frames_per_second:.1f}",
    "data_wait": lambda entry: f"{entry.result.data_wait:.3f}",
    "peak_memory_mb": lambda entry: f"{entry.result.peak_memory / 2**20:.0f}",
    "grad_norm": lambda entry: f"{entry.result.grad_norm:.4f}",
    "skipped": lambda entry: len(entry.result.skipped),
    "nonfinite_steps": lambda entry: entry.result.nonfinite_steps,
}
CURVES = ("loss", "top1", "top5", "mean_class_accuracy")  # of a result, as TensorBoard shows them


def versions() -> dict[str, str | None]:
    """What a run is made with: Python, libraries, and the git revision of the program if there is one."""
    try:
        git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
        revision = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        revision = None
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "git": revision,
    }


def read_table(path: Path) -> list[dict]:
    """The rows of a log.csv; InputError where it is damaged."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            int(row["epoch"])
            if None in row:
                raise ValueError(f"a row of epoch {row['epoch']} has more cells than columns")
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); mend it, or move it away to begin another") from None
    return rows


class RunLog:
    """Writes one row of log.csv per epoch and split, and the same figures and pictures as TensorBoard events.

    With `append`, an earlier log is continued: its rows from `first_epoch` on are dropped, for they are written anew.
    """

    def __init__(self, folder: Path, arguments: dict, append: bool = False, first_epoch: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self.table = folder / "log.csv"
        self.rows: list[dict] = []
        if append and self.table.is_file():
            self.rows = [row for row in read_table(self.table) if int(row["epoch"]) < first_epoch]
        self._write_table()
        about = {"command": shlex.join([Path(sys.executable).name, *sys.argv]), "versions": versions()}
        (folder / "args.json").write_text(json.dumps(arguments | about, indent=2) + "\n")
        self.events = None
        if SummaryWriter:  # with room in the queue: its writer ends at a full disk, then a short queue would block
            self.events = SummaryWriter(str(folder), purge_step=first_epoch, max_queue=10**6)

    def write(self, epoch: int, split: str, result: Result, lr: float) -> str | None:
        """Add a row; returns what went wrong. A row that the disk did not take is written with the next."""
        entry = Entry(epoch, split, result, lr)
        self.rows.append({name: figure(entry) for name, figure in COLUMNS.items()})
        try:
            self._write_table()
            self._add_curves(entry)
        except OSError as error:
            reason = error.strerror or error
            return f"the log in {self.table.parent} could not be written ({reason}); the next row brings it along"
        except Exception as error:  # of TensorBoard's library, for which no run ends
            self.events = None
            return f"no more TensorBoard events in {self.table.parent}: {' '.join(str(error).split()) or repr(error)}"
        return None

    def _add_curves(self, entry: Entry) -> None:
        if not self.events:
            return
        for name in CURVES:
            self.events.add_scalar(f"{name}/{entry.split}", getattr(entry.result, name), entry.epoch)
        self.events.add_scalar(f"lr/{entry.split}", entry.lr, entry.epoch)
        self.events.flush()

    def add_pictures(self, epoch: int, pictures: dict[str, np.ndarray]) -> None:
        """Add pictures, uint8 (H, W, 3), to the events under their names."""
        if self.events:
            with suppress(OSError):  # `write` has told
                for name, picture in pictures.items():
                    self.events.add_image(name, picture, epoch, dataformats="HWC")
                self.events.flush()

    def _write_table(self) -> None:
        """The whole table, under another name first: it is never half there."""
        others = {name: None for row in self.rows for name in row if name not in COLUMNS}  # of another version
        columns = [*COLUMNS, *others]
        partial = self.table.with_name(self.table.name + ".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.table)

    def close(self) -> None:
        if self.events:
            with suppress(Exception):  # `write` has told
                self.events.close()
