"""docs/clusters.md from results: every figure in it is computed here."""

from collections.abc import Iterable
from pathlib import Path

from ops.files import write_whole
from tools.studies.clusters.plan import FEW, NUMBERS, SETS, Clusters
from tools.studies.move4mnist.plan import ALTERNATIVES, CUTS, EPOCHS, Cell
from tools.studies.move4mnist.report import accuracy
from tools.studies.pages import table, where_and_when
from tools.studies.results import Results, differences, read_csv

HEAD = """\
# More clusters, and other cuts

Written by `python tools/study.py report --study clusters` from the logs of the runs; nothing here is filled in by hand.
All figures are in [clusters.csv](clusters.csv). `python tools/study.py run --study clusters` runs what has not been
run. Videos, network, starting weights (random cuts) and {epochs} epochs of tuning are those of the [first
study](results.md), made anew: draws, and so figures, differ from there within the spreads. Top-1 in percent on 300
videos; differences are within a seed. Seeds: {seeds}; of several, mean ± standard deviation, and mean (least to
greatest).

{where}
"""


def gain(results: Results, cell: Cell, other: Cell) -> str:
    """Difference of two cells in points: mean over seeds, and range where there are several."""
    found = differences(results, cell, other)
    if not found:
        return "-"
    mean = f"{sum(found) / len(found):+.1f}"
    return mean if len(found) == 1 else f"{mean} ({min(found):+.1f} to {max(found):+.1f})"


def cells_table(results: Results, data: str, methods: Iterable[str], numbers: Iterable[int]) -> str:
    """Accuracy of each method, and how far it is ahead of even cuts, with each number of clusters."""
    rows = []
    for method in methods:
        cells = [(Cell(data, method, g, 0), Cell(data, "even", g, 0)) for g in numbers]
        gains = ["-" if method == "even" else gain(results, *pair) for pair in cells]
        rows.append((method, *(accuracy(results, cell) for cell, _ in cells), *gains))
    head = ("", *(f"g = {g}" for g in numbers), *(f"to even, g = {g}" for g in numbers))
    return table(head, rows)


def write(results: Results) -> str:
    """The whole page."""
    seeds = ", ".join(map(str, sorted({cell.seed for cell in results})))
    parts = [HEAD.format(epochs=EPOCHS, seeds=seeds, where=where_and_when(results))]
    for data, frames in SETS.items():
        parts.append(f"## {frames} frames\n\n{cells_table(results, data, ('uniform', *CUTS), NUMBERS)}")
    parts.append(
        "## Other distances, other groups\n\n128 frames; `kmodes` and `kmeans` group frames that need not be"
        f" neighbours ([how](method.md#comparisons)).\n\n{cells_table(results, 't128', (*CUTS, *ALTERNATIVES), FEW)}"
    )
    return "\n".join(parts)


def write_page(out: Path) -> None:
    """The page from the table in `out`/docs."""
    docs = out / "docs"
    write_whole(docs / "clusters.md", write(read_csv(docs / "clusters.csv", Clusters)).encode())
