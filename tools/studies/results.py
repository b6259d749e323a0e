"""What came out of a study's cells: from logs to a table in docs/, and from there to means and spreads."""

import csv
import json
import os
import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import Field, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ops.errors import InputError
from ops.evaluation.gradient_agreement import Pair, read_pairs
from ops.files import as_csv, write_whole

if TYPE_CHECKING:
    from tools.studies.base import Cell, Study


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


Results = dict[Any, Result]  # of cells
Pairs = dict[tuple[str, int], list[Pair]]  # (network, seed) -> pairs of frames
Cost = list[dict]  # rows of `tools/benchmark.py step`


def log_rows(study: "Study", cell: "Cell") -> list[dict[str, str]]:
    """The rows of a training cell's log.csv."""
    try:
        with (study.log(cell) / "log.csv").open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{study.log(cell)}: the log of {cell.name} cannot be read ({error.strerror})") from None


def validation(study: "Study", cell: "Cell") -> tuple[float, float]:
    """Top-1 accuracy in percent and loss on the validation videos, after the last epoch."""
    if cell.trained == cell:
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


def gather(study: "Study", cells: Iterable["Cell"]) -> Results:
    """The results of those cells that have been run."""
    return {cell: study.result(**study.figures_of(cell)) for cell in cells if study.output(cell).exists()}


def write_csv(path: Path, results: Results) -> None:
    """One row a cell, in the order of its name."""
    first = next(iter(results.items()))
    columns = [field.name for part in first for field in fields(part)]
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


def read_csv(path: Path, study: type["Study"]) -> Results:
    """What `write_csv` wrote."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cell, result = ((kind, fields(kind)) for kind in (study.cell, study.result))
    return {_read(row, *cell): _read(row, *result) for row in rows}


def _read(row: dict[str, str], kind: type, columns: Iterable[Field]) -> Any:
    """A record of this kind; an empty text is None where that may be."""
    types = {column.name: get_args(column.type) or (column.type,) for column in columns}
    values = {name: None if not row[name] and len(some) > 1 else some[0](row[name]) for name, some in types.items()}
    return kind(**values)


def seeds_of(results: Results) -> list[int]:
    return sorted({cell.seed for cell in results})


def over_seeds(results: Results, cell: "Cell", figure: str = "top1") -> dict[int, float]:
    """A figure of this cell for each seed that it was run with; the cell's own seed does not matter."""
    same = {seed: replace(cell, seed=seed) for seed in seeds_of(results)}
    return {seed: getattr(results[one], figure) for seed, one in same.items() if one in results}


def differences(results: Results, cell: "Cell", other: "Cell") -> list[float]:
    """Top-1 of `cell` less that of `other` for each seed that both were run with, in points."""
    first, second = over_seeds(results, cell), over_seeds(results, other)
    return [first[seed] - second[seed] for seed in first if seed in second]
