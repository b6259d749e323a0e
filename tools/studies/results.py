"""What came out of the study's cells: from logs and outputs to rows of docs/results.csv."""
import csv
import re

from ops.cli import InputError
from tools.studies.plan import Cell, Study


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
