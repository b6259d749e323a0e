"""The files a run leaves in its log folder: args.json, log.csv and TensorBoard events."""

import csv
import json
import platform
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import torchvision

from ops.errors import InputError
from ops.training.meters import Result

try:
    from tensorboardX import SummaryWriter
except ImportError:
    SummaryWriter = None

COLUMNS = (
    "epoch",
    "split",
    "loss",
    "top1",
    "top5",
    "mean_class_accuracy",
    "lr",
    "seconds",
    "videos",
    "frames",
    "frames_per_second",
    "data_wait",
    "peak_memory_mb",
    "grad_norm",
    "skipped",
    "nonfinite_steps",
)


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
        """Add a row; returns what went wrong with the disk. A row that it did not take is written with the next."""
        r = result
        self.rows.append(
            {
                "epoch": epoch,
                "split": split,
                "loss": f"{r.loss:.6f}",
                "top1": f"{r.top1:.4f}",
                "top5": f"{r.top5:.4f}",
                "mean_class_accuracy": f"{r.mean_class_accuracy:.4f}",
                "lr": f"{lr:g}",
                "seconds": f"{r.seconds:.2f}",
                "videos": r.videos,
                "frames": r.frames,
                "frames_per_second": f"{r.frames_per_second:.1f}",
                "data_wait": f"{r.data_wait:.3f}",
                "peak_memory_mb": f"{r.peak_memory / 2**20:.0f}",
                "grad_norm": f"{r.grad_norm:.4f}",
                "skipped": len(r.skipped),
                "nonfinite_steps": r.nonfinite_steps,
            }
        )
        try:
            self._write_table()
            if self.events:
                for name in ("loss", "top1", "top5", "mean_class_accuracy"):
                    self.events.add_scalar(f"{name}/{split}", getattr(r, name), epoch)
                self.events.add_scalar(f"lr/{split}", lr, epoch)
                self.events.flush()
        except OSError as error:
            return f"the log in {self.table.parent} could not be written ({error.strerror or error})"
        return None

    def add_pictures(self, epoch: int, pictures: dict[str, np.ndarray]) -> None:
        """Add pictures, uint8 (H, W, 3), to the events under their names."""
        if self.events:
            with suppress(OSError):  # `write` has told
                for name, picture in pictures.items():
                    self.events.add_image(name, picture, epoch, dataformats="HWC")
                self.events.flush()

    def _write_table(self) -> None:
        """The whole table, under another name first: it is never half there."""
        partial = self.table.with_name(self.table.name + ".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.table)

    def close(self) -> None:
        if self.events:
            with suppress(OSError):  # `write` has told
                self.events.close()
