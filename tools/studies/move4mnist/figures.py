"""Figures of the study on Move4MNIST, every axis with its unit."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ops.evaluation.statistics import mean_and_spread
from tools.studies.drawing import LOOK, drawing
from tools.studies.move4mnist.plan import CLUSTERS, CUTS, EMPTINESS, EQUAL_TIME, FRAMES, METHODS, Cell
from tools.studies.results import Cost, Pairs, Results, over_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANCE = 25


def mark_chance(axis: "Axes") -> None:
    axis.axhline(CHANCE, color="0.6", linestyle=":", linewidth=1, zorder=0)
    axis.text(0.01, CHANCE - 1, "chance", color="0.45", fontsize=8, va="top", transform=axis.get_yaxis_transform())


def draw_line(axis: "Axes", results: Results, cells: dict[float, Cell], label: str, shift: float = 1, **look) -> None:
    """Means with bars of one standard deviation at the places that are the keys; what was not run is left out."""
    points = {
        x * shift: mean_and_spread(values)
        for x, cell in cells.items()
        if (values := over_seeds(results, cell).values())
    }
    if points:
        means, deviations = zip(*points.values(), strict=True)
        axis.errorbar(
            [*points], means, deviations, label=label, capsize=2.5, linewidth=1.3, elinewidth=0.9, markersize=5, **look
        )


def draw_sparsity(results: Results, path: Path) -> None:
    """Accuracy over the number of frames, a panel for each g."""
    with drawing(path, len(CLUSTERS), 3.7, sharey=True) as (figure, axes):
        for g, axis in zip(CLUSTERS, axes, strict=True):
            for place, method in enumerate(METHODS):
                colour, marker = LOOK[method]
                cells = {t: Cell(data, method, g, 0) for data, t in FRAMES.items()}
                draw_line(axis, results, cells, method, 1.03 ** (place - 2.5), color=colour, marker=marker)
            longer = {t: Cell(data, "uniform", g, 0, EQUAL_TIME[data]) for data, t in FRAMES.items()}
            draw_line(
                axis,
                results,
                longer,
                "uniform, equal time",
                1.03**-3.5,
                color=LOOK["uniform"][0],
                marker="o",
                linestyle="--",
                markerfacecolor="white",
            )
            mark_chance(axis)
            axis.set_xscale("log", base=2)
            axis.set_xticks([*FRAMES.values()], [str(t) for t in FRAMES.values()])
            axis.minorticks_off()
            axis.set(title=f"g = {g} representations", xlabel="frames of a video", ylim=(15, 102))
        axes[0].set_ylabel("top-1 accuracy (%)")
        figure.legend(
            *axes[-1].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=7,
            handlelength=1.8,
            columnspacing=1.2,
        )


def draw_emptiness(results: Results, path: Path) -> None:
    """Accuracy of the cuts on the four kinds of empty frames: bars with every seed as a dot."""
    with drawing(path, 1, 3.2) as (figure, (axis,)):
        for place, method in enumerate(CUTS):
            for x, data in enumerate(EMPTINESS):
                values = [*over_seeds(results, Cell(data, method, 16, 0)).values()]
                if values:
                    at = x + (place - 1) * 0.25
                    axis.bar(at, np.mean(values), 0.23, color=LOOK[method][0], label=method if x == 0 else None)
                    axis.plot([at] * len(values), values, "o", color="black", markersize=3, markerfacecolor="white")
        mark_chance(axis)
        axis.set_xticks(range(len(EMPTINESS)), [text.replace(", ", ",\n") for text in EMPTINESS.values()])
        axis.set(xlim=(-0.75, 3.6), ylim=(0, 102), ylabel="top-1 accuracy (%)", xlabel="empty frames")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside right center")


def draw_cost(rows: Cost, path: Path) -> None:
    """Time of a training step over the number of frames, from `tools/benchmark.py step`."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    look = {
        "TSM, all frames": ("#000000", "o", "-"),
        "TSM, sampled": ("#7f7f7f", "s", "-"),
        "cumulative, in chunks": ("#009E73", "v", "-"),
        "slope, in chunks": ("#D55E00", "P", "-"),
        "slope, representative": ("#D55E00", "P", "--"),
    }
    with drawing(path, 2, 3.3) as (figure, axes):
        for kind, (colour, marker, line) in look.items():
            times = {int(row["frames"]): row for row in rows if row["kind"] == kind}
            for axis, column in zip(axes, ("step ms", "step/TSM"), strict=True):
                factor = 0.001 if column == "step ms" else 1
                axis.plot(
                    [*times],
                    [factor * row[column] for row in times.values()],
                    label=kind,
                    color=colour,
                    marker=marker,
                    linestyle=line,
                    markersize=5,
                    linewidth=1.3,
                )
        ticks = sorted({int(row["frames"]) for row in rows})
        for axis in axes:
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_xticks(ticks, [str(t) for t in ticks])
            axis.minorticks_off()
            axis.set_xlabel("frames of a video")
        axes[0].set_ylabel("time of a training step (s)")
        axes[1].set_ylabel("time relative to TSM on all frames")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, columnspacing=1.2)


def draw_agreement(pairs: Pairs, path: Path) -> None:
    """Angles between the stem's gradients over Hamming distances, a panel for each network, all its seeds."""
    nets = list(dict.fromkeys(net for net, _ in pairs))
    colours = {"random": ("any two frames of a video", "#E69F00"), "neighbour": ("neighbours", "#0072B2")}
    with drawing(path, len(nets), 3.6, sharex=True, sharey=True) as (figure, axes):
        for net, axis in zip(nets, axes, strict=True):
            for kind, (text, colour) in colours.items():
                tables = [table for (name, _), table in pairs.items() if name == net]
                some = [pair for table in tables for pair in table if pair.kind == kind]
                axis.plot(
                    [100 * pair.hamming for pair in some],
                    [pair.angle_degrees for pair in some],
                    ".",
                    color=colour,
                    markersize=3,
                    alpha=0.4,
                    label=text,
                )
            axis.set(title=f"{net} network", xlabel="Hamming distance of signs (%)", xlim=(0, None), ylim=(0, None))
        axes[0].set_ylabel("angle between stem gradients (°)")
        for mark in figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=4
        ).legend_handles:
            mark.set_alpha(1)
