"""The files a run leaves in its log folder: args.json, log.csv and TensorBoard events."""
import csv
import json
import platform
import shlex
import sys
from pathlib import Path

import torch
import torchvision

from ops.engine import Result

try:
    from tensorboardX import SummaryWriter
except ImportError:
    SummaryWriter = None

COLUMNS = ("epoch", "split", "loss", "top1", "top5", "mean_class_accuracy", "lr", "seconds", "videos", "frames",
           "data_wait", "grad_norm", "skipped", "nonfinite_steps")  # fmt: skip


class RunLog:
    """Writes one row of log.csv per epoch and split, and the same figures as TensorBoard events.

    With `append`, an earlier log is continued: its rows from `first_epoch` on are dropped, for they are written anew.
    """

    def __init__(self, folder: Path, arguments: dict, append: bool = False, first_epoch: int = 0):
        folder.mkdir(parents=True, exist_ok=True)
        self.table = folder / "log.csv"
        rows = []
        if append and self.table.is_file():
            with self.table.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < first_epoch]
        with self.table.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        versions = {"python": platform.python_version(), "torch": torch.__version__,
                    "torchvision": torchvision.__version__}  # fmt: skip
        about = {"command": shlex.join([Path(sys.executable).name, *sys.argv]), "versions": versions}
        (folder / "args.json").write_text(json.dumps(arguments | about, indent=2) + "\n")
        self.events = SummaryWriter(str(folder), purge_step=first_epoch) if SummaryWriter else None

    def write(self, epoch: int, split: str, result: Result, lr: float) -> None:
        r = result
        row = (
            epoch, split, f"{r.loss:.6f}", f"{r.top1:.4f}", f"{r.top5:.4f}", f"{r.mean_class_accuracy:.4f}", f"{lr:g}",
            f"{r.seconds:.2f}", r.videos, r.frames, f"{r.data_wait:.3f}", f"{r.grad_norm:.4f}",
            len(r.skipped), r.nonfinite_steps,
        )  # fmt: skip
        with self.table.open("a", newline="") as file:
            csv.writer(file).writerow(row)
        if self.events:
            for name in ("loss", "top1", "top5", "mean_class_accuracy"):
                self.events.add_scalar(f"{name}/{split}", getattr(r, name), epoch)
            self.events.add_scalar(f"lr/{split}", lr, epoch)
            self.events.flush()

    def close(self) -> None:
        if self.events:
            self.events.close()
