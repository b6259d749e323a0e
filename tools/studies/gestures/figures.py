"""Figures of the study on gestures, every axis with its unit."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tools.studies.drawing import LOOK, drawing
from tools.studies.gestures.pairing import VIDEOS, score
from tools.studies.gestures.plan import CUTS, FEWER, HELD_KEEP, KEEP, METHODS, SAMPLING, Cell
from tools.studies.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = {1.0: ("all frames", "black"), KEEP: ("a random half in training", "white")}  # faces of marks
EXAMPLES = 4  # videos whose distances are drawn


def draw_score(axis: "Axes", results: Results, cell: Cell, x: float, y: float | None, **look) -> None:
    """A cell's accuracy with its interval: across at height `y`, or upright at `x`; nothing where it was not run.

    It is pale where some folds were not: they are not equally hard.
    """
    found = score(results, cell)
    if found is None:
        return
    low, high = found.interval
    error = [[max(0, found.percent - low)], [max(0, high - found.percent)]]
    look = {
        "alpha": 1 if found.videos == VIDEOS else 0.35,
        "capsize": 2.5,
        "linewidth": 1.3,
        "elinewidth": 0.9,
        "markersize": 5,
        **look,
    }
    if y is None:
        axis.errorbar([x], [found.percent], yerr=error, **look)
    else:
        axis.errorbar([found.percent], [y], xerr=error, **look)


def draw_methods(results: Results, path: Path) -> None:
    """All methods on the videos, then the few among held frames and over the number of representations."""
    with drawing(path, 3, 4.6, gridspec_kw={"width_ratios": (2, 1, 1.2)}) as (figure, (left, middle, right)):
        methods = [
            name
            for name in METHODS
            if any(score(results, Cell("gestures", name, 16, 0, 0, keep)) for keep in (1.0, KEEP))
        ]
        for place, method in enumerate(methods):
            colour, _ = LOOK.get(method, ("#0072B2", "o"))
            for keep, (_, face) in SHADES.items():
                face = colour if face == "black" else face
                shift = 0 if method in SAMPLING else -0.16 if keep == 1 else 0.16
                cell = Cell("gestures", method, 16, 0, 0, keep)
                draw_score(left, results, cell, 0, place + shift, fmt="o", color=colour, markerfacecolor=face)
        if uniform := score(results, Cell("gestures", "uniform", 16, 0, 0)):
            left.axvline(uniform.percent, color="0.6", linestyle=":", linewidth=1, zorder=0)
        left.set_yticks(range(len(methods)), methods)
        left.set(title="gestures, g = 16", xlabel="top-1 accuracy (%)", ylim=(max(1, len(methods)) - 0.5, -0.5))
        for text, face in SHADES.values():
            left.plot([], [], "o", color="black", markerfacecolor=face, markersize=5, label=text)
        if any(score(results, cell).videos < VIDEOS for cell in results):
            left.plot([], [], "o", color="black", alpha=0.35, markersize=5, label="not all folds yet")
        for place, method in enumerate(("uniform", *CUTS)):
            colour, marker = LOOK[method]
            cell = Cell("held", method, 16, 0, 0, 1.0 if method == "uniform" else HELD_KEEP)
            draw_score(middle, results, cell, place, None, fmt=marker, color=colour)
            for shift, g in enumerate(sorted((*FEWER, 16))):
                cell = Cell("gestures", method, g, 0, 0, 1.0 if method == "uniform" else KEEP)
                x = shift + 0.13 * (place - 1.5)
                draw_score(right, results, cell, x, None, fmt=marker, color=colour)
            right.plot([], [], marker, color=colour, markersize=5, label=method)
        middle.set_xticks(range(1 + len(CUTS)), ("uniform", *CUTS), rotation=35, ha="right")
        middle.set(title="among held frames", xlim=(-0.5, len(CUTS) + 0.5), ylim=(0, 100))
        right.set_xticks(range(1 + len(FEWER)), [str(g) for g in sorted((*FEWER, 16))])
        right.set(
            title="fewer representations", xlabel="representations g", xlim=(-0.5, len(FEWER) + 0.5), ylim=(0, 100)
        )
        middle.set_ylabel("top-1 accuracy (%)")
        left.legend(loc="lower left", bbox_to_anchor=(0, -0.3), ncols=2, handletextpad=0.1, columnspacing=0.8)
        right.legend(loc="lower right", bbox_to_anchor=(1.05, -0.3), ncols=2, handletextpad=0.1, columnspacing=0.8)


def draw_cuts(rows: list[dict[str, str]], path: Path) -> None:
    """Distances over time of some test videos in the network trained with slope, and both methods' cuts below."""
    shown = [row for row in rows if row["network"] == "slope" and row["distances"]]
    videos = list(dict.fromkeys(row["video"] for row in shown))[:EXAMPLES]
    with drawing(path, max(1, len(videos)), 2.9, sharey="row") as (figure, axes):
        for video, axis in zip(videos, axes, strict=False):
            some = {row["method"]: row for row in shown if row["video"] == video}
            distances = 100 * np.array(some["slope"]["distances"].split(), float)
            axis.plot(distances, color="black", linewidth=0.8)
            for height, method in ((0.11, "slope"), (0.03, "cumulative")):  # as shares of the axis
                starts = np.cumsum(np.array(some[method]["sizes"].split(), int))[:-1]
                look = {"color": LOOK[method][0], "linewidth": 1, "label": f"{method}'s cuts"}
                axis.vlines(starts, height, height + 0.06, transform=axis.get_xaxis_transform(), **look)
            axis.set(title=Path(video).name.removeprefix("testvideo_"), xlabel="frame")
        top = axes[0].get_ylim()[1]
        axes[0].set_yticks([tick for tick in axes[0].get_yticks() if 0 <= tick <= top])
        axes[0].set(ylim=(-0.25 * top, top), ylabel="signs that differ (%)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
