"""What came out of the study's cells: from logs to docs/results.csv, and from there to means and spreads."""

import csv
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from ops.errors import InputError
from ops.evaluation.gradient_agreement import Pair, read_pairs
from ops.files import as_csv, write_whole
from tools.studies.plan import Cell, Study

WHOLE = ("g", "seed", "epochs", "g_test")  # fields of a Cell that are numbers


@dataclass(frozen=True)
class Result:
    """What one cell gave: top-1 accuracy in percent, loss, seconds of all training epochs (0 for tests)."""

    top1: float
    loss: float
    seconds: float
    torch: str
    revision: str  # of the program, from git
    machine: str
    date: str  # of its end


Results = dict[Cell, Result]
Pairs = dict[tuple[str, int], list[Pair]]  # (network, seed) -> pairs of frames
Cost = list[dict]  # rows of `tools/benchmark.py step`


def log_rows(study: Study, cell: Cell) -> list[dict[str, str]]:
    """The rows of a training cell's log.csv."""
    try:
        with (study.log(cell) / "log.csv").open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{study.log(cell)}: the log of {cell.name} cannot be read ({error.strerror})") from None


def validation(study: Study, cell: Cell) -> tuple[float, float]:
    """Top-1 accuracy in percent and loss on the validation videos, after the last epoch."""
    if cell.g_test is None:
        last = [row for row in log_rows(study, cell) if row["split"] == "val"][-1]
        return float(last["top1"]), float(last["loss"])
    found = re.search(r"Prec@1 (\S+) .*Loss (\S+)", study.output(cell).read_text())
    if not found:
        raise InputError(f"{study.output(cell)} does not hold the line `Testing Results`; remove it and run again")
    return float(found[1]), float(found[2])


def this_machine() -> str:
    """Its processor's name as far as the system tells, and the number of cores."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        name = names[0] if names else name
    return f"{os.cpu_count()} cores of {name}"


def gather(study: Study, cells: Iterable[Cell]) -> Results:
    """The results of those cells that have been run."""
    found, machine = {}, this_machine()
    for cell in cells:
        if study.output(cell).exists():
            versions = json.loads((study.log(cell.trained) / "args.json").read_text())["versions"]
            date = time.strftime("%Y-%m-%d", time.localtime(study.output(cell).stat().st_mtime))
            rows = [] if cell.g_test else log_rows(study, cell)
            seconds = sum(float(row["seconds"]) for row in rows if row["split"] == "train")
            found[cell] = Result(
                *validation(study, cell), seconds, versions["torch"], versions["git"] or "unknown", machine, date
            )
    return found


def write_csv(path: Path, results: Results) -> None:
    """One row a cell, in the order of its name."""
    columns = [field.name for kind in (Cell, Result) for field in fields(kind)]
    rows = [["cell", *columns]]
    for cell, result in sorted(results.items(), key=lambda item: item[0].name):
        figures = asdict(cell) | asdict(result) | {"seconds": f"{result.seconds:.1f}"}
        rows.append([cell.name, *(figures[column] for column in columns)])
    write_whole(path, as_csv(rows))


def read_pairs_of(folder: Path) -> Pairs:
    """The tables of pairs in a folder, named as `trained-s0.csv`; none where there is no folder."""
    tables = {tuple(file.stem.rsplit("-s", 1)): file for file in sorted(folder.glob("*-s*.csv"))}
    return {(net, int(seed)): read_pairs(file) for (net, seed), file in tables.items()}


def read_cost(path: Path) -> Cost:
    """The rows that `tools/benchmark.py step --json` wrote; none where there is no such file."""
    return json.loads(path.read_text())["rows"] if path.exists() else []


def read_csv(path: Path) -> Results:
    """What `write_csv` wrote."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            known = {field.name: row[field.name] for field in fields(Cell)}
            known |= {name: int(row[name]) if row[name] else None for name in WHOLE}
            figures = (float(row[name]) for name in ("top1", "loss", "seconds"))
            where = (row[name] for name in ("torch", "revision", "machine", "date"))
            found[Cell(**known)] = Result(*figures, *where)
    return found


def seeds_of(results: Results) -> list[int]:
    return sorted({cell.seed for cell in results})


def over_seeds(results: Results, cell: Cell, figure: str = "top1") -> dict[int, float]:
    """A figure of this cell for each seed that it was run with; the cell's own seed does not matter."""
    same = {seed: replace(cell, seed=seed) for seed in seeds_of(results)}
    return {seed: getattr(results[one], figure) for seed, one in same.items() if one in results}


def spread(values: Iterable[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter is 0 for one value."""
    values = list(values)
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def differences(results: Results, cell: Cell, other: Cell) -> list[float]:
    """Top-1 of `cell` less that of `other` for each seed that both were run with, in points."""
    first, second = over_seeds(results, cell), over_seeds(results, other)
    return [first[seed] - second[seed] for seed in first if seed in second]
