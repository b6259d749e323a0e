"""A picture of accuracy over cost: a mark for each method, of several runs their mean and standard deviation."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from ops.pictures.video import STYLE, save

MARKS = "os^Dv<>PX*"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

Point = tuple[str, float, float]  # method, multiply-adds, top-1 in percent


def draw_costs(points: Sequence[Point], path: Path) -> None:
    """Draw top-1 over multiply-adds a video, on a logarithmic axis, into a file; a point a run."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    runs: dict[str, list[Point]] = {}
    for point in points:
        runs.setdefault(point[0], []).append(point)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.2), dpi=150, layout="constrained")
        axis = figure.subplots()
        for number, (method, some) in enumerate(runs.items()):
            accuracies = [top1 for _, _, top1 in some]
            spread = statistics.stdev(accuracies) if len(some) > 1 else None
            name = f"{method} ({len(some)} runs)" if len(some) > 1 else method
            axis.errorbar(
                statistics.fmean(cost for _, cost, _ in some),
                statistics.fmean(accuracies),
                spread,
                fmt=MARKS[number % len(MARKS)],
                color=COLOURS[number % len(COLOURS)],
                capsize=3,
                label=name,
            )
        axis.set_xscale("log")
        axis.margins(0.1)
        axis.xaxis.set_major_formatter(EngFormatter())
        low, high = axis.get_xlim()
        if high < 20 * low:  # hardly a tick would have a number
            axis.xaxis.set_minor_formatter(EngFormatter())
            axis.tick_params(axis="x", which="minor", labelsize=8, rotation=45)
        axis.set(xlabel="multiply-adds per video", ylabel="top-1 accuracy (%)")
        axis.grid(alpha=0.3)
        figure.legend(loc="outside right upper", frameon=False)
        save(figure, path)
