"""What every study has: cells, the commands of each, and where data, runs and their output lie."""

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ops.options.config import Config
from ops.options.parsing import parse
from tools.studies.results import Result, log_rows, this_machine, validation
from tools.studies.runner import Job

Cell = Any  # each study's own frozen dataclass, with `name`, `seed`, `trained` and `needs`
Commands = list[list[str]]


def with_needs(cells: Iterable[Cell]) -> list[Cell]:
    """Cells with those that they need, each once, behind what it needs."""
    found: dict[Cell, None] = {}
    for cell in cells:
        line = [cell]
        while before := line[-1].needs:
            line.append(before)
        found.update(dict.fromkeys(reversed(line)))
    return list(found)


@dataclass(frozen=True)
class Study(ABC):
    """Where everything lies: below `root` data sets and runs, and what the latter print; `runs` places new runs.

    `videos` is the folder of a user's own copy of the videos, for studies that do not make theirs.
    """

    root: Path
    runs: Path | None = None
    videos: Path | None = None

    name: ClassVar[str]
    page: ClassVar[str]  # docs/PAGE.md and docs/PAGE.csv
    seeds: ClassVar[tuple[int, ...]]  # that `run` takes where none are given; with --quick the first
    cell: ClassVar[type]
    result: ClassVar[type[Result]] = Result
    takes_videos: ClassVar[bool] = False  # rather than making them
    files: ClassVar[dict[str, str]] = {}  # below `root`, what else the page is made of -> its folder

    @abstractmethod
    def choose_cells(self, seeds: Sequence[int], quick: bool = False) -> list[Cell]:
        """All cells, each once, behind what it needs; `quick` leaves few."""

    @abstractmethod
    def commands(self, cell: Cell) -> Commands:
        """The commands of a cell. They go on where they were interrupted, and are what a user would type."""

    @abstractmethod
    def data_of(self, cell: Cell) -> str:
        """The name of the data set that a cell reads."""

    @abstractmethod
    def make_data(self, name: str) -> Commands:
        """The commands that make a data set, or what an interruption left of them."""

    def data_needs(self, name: str) -> tuple[str, ...]:
        """The data sets that another is made of."""
        return ()

    @abstractmethod
    def other_commands(self, seeds: Sequence[int]) -> dict[str, Commands]:
        """Jobs that give something else than accuracy, by their names."""

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def log(self, cell: Cell) -> Path:
        """The log folder of a training cell's run."""
        return (self.runs or self.root) / "log" / self._config(cell).store_name

    def output(self, cell: Cell) -> Path:
        """What the commands of a cell printed."""
        return (self.runs or self.root) / "output" / f"{cell.name}.txt"

    def weights(self, cell: Cell) -> Path:
        return self.root / "checkpoint" / self._config(cell).store_name / "ckpt.best.pth.tar"

    def _config(self, cell: Cell) -> Config:
        return parse(self.commands(cell.trained)[0][2:])[0]

    def seeds_run(self) -> list[int]:
        """The seeds of everything that has been run."""
        found = (re.search(r"-s(\d+)$", file.stem) for file in (self.root / "output").glob("*.txt"))
        return sorted({int(match[1]) for match in found if match})

    def jobs(self, cells: Sequence[Cell]) -> list[Job]:
        """A job for each cell, and for each data set before the first cell that reads it."""
        jobs: dict[str, Job] = {}
        for cell in cells:
            name = self.data_of(cell)
            for made in (*self.data_needs(name), name):
                data, output = f"data-{made}", self.root / "output" / f"data-{made}.txt"
                needs = tuple(f"data-{other}" for other in self.data_needs(made))
                jobs.setdefault(data, Job(data, partial(self.make_data, made), output, needs))
            needs = (data, cell.needs.name) if cell.needs else (data,)
            jobs[cell.name] = Job(cell.name, partial(self.commands, cell), self.output(cell), needs)
        return list(jobs.values())

    def other_jobs(self, seeds: Sequence[int]) -> list[Job]:
        return [
            Job(name, lambda commands=commands: commands, self.root / "output" / f"{name}.txt")
            for name, commands in self.other_commands(seeds).items()
        ]

    def figures_of(self, cell: Cell) -> dict:
        """The fields of a `Result`, by their names."""
        versions = json.loads((self.log(cell.trained) / "args.json").read_text())["versions"]
        top1, loss = validation(self, cell)
        rows = log_rows(self, cell) if cell.trained == cell else []
        return {
            "top1": top1,
            "loss": loss,
            "seconds": sum(float(row["seconds"]) for row in rows if row["split"] == "train"),
            "torch": versions["torch"],
            "revision": versions["git"] or "unknown",
            "machine": this_machine(),
            "date": time.strftime("%Y-%m-%d", time.localtime(self.output(cell).stat().st_mtime)),
        }
