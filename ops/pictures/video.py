"""Pictures of clustered videos: the frames in time order, which of them were merged, and the distances between them.

Sizes are in inches and every row shares one time axis, so that a frame stands exactly above its place on it: place i
takes [i - 0.5, i + 0.5], and the distance between frames i-1 and i is drawn where they meet, at i - 0.5.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from ops.clustering import DISTANCES
from ops.errors import InputError
from ops.files import nearest_parent, write_whole
from ops.pictures.colours import CLUSTERS, CURVE, CUT, SEEN
from ops.pictures.text import PLAIN, plotted_line, plotted_width

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

ALL_SHOWN, FEW = 160, 20  # of a video of more than 160 frames, 20 are shown
SHARE = 0.965  # of its place that a frame takes
STYLE = PLAIN | {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
}
LEFT, RIGHT, TOP, BOTTOM = 0.55, 0.12, 0.36, 0.42  # margins
BAND, LINKS, TICKS, GAP = 0.17, 0.3, 0.2, 0.12  # heights


def check(path: Path) -> None:
    """Raise InputError unless a picture can be drawn into a file of this name."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("pictures need matplotlib: `pip install -r requirements-plot.txt`") from None
    if path.suffix[1:].lower() not in Figure().canvas.get_supported_filetypes():
        raise InputError(f"cannot draw {path}: the name of a picture ends in .png, .pdf or .svg")
    if path.is_dir():
        raise InputError(f"cannot draw {path}: it is a folder")
    there = nearest_parent(path)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"cannot write {path}: {there} is no folder that may be written to")


def save(figure: "Figure", path: Path) -> None:
    """Write a figure to `path`, making its folder."""
    file = io.BytesIO()
    figure.savefig(file, format=path.suffix[1:].lower())
    write_whole(path, file.getvalue())


class Video(Protocol):
    """What of a video is drawn: of one that was predicted, or cut by several methods."""

    frames: list[Tensor]
    seen: np.ndarray
    assignment: Sequence[int] | None
    distances: Sequence[float] | None
    distance: str  # that of `DISTANCES` which they are


class Strip:
    """How a video is laid out `width` inches wide: all its frames in rows, or FEW of a long one's in one row."""

    left, top, bottom = LEFT, TOP, BOTTOM
    band, below = BAND, 0.0  # heights between frames and curve, and for what follows the curve
    all_shown, most_rows = ALL_SHOWN, 4

    def __init__(self, video: Video, width: float, curve_height: float = 0.62, least_height: float = 0):
        self.video, self.width, self.clustered = video, width, video.assignment is not None
        self.numbers = video.seen if self.clustered else np.arange(len(video.frames))  # (t,) frame at each place
        t = len(self.numbers)
        self.whole = t <= self.all_shown
        self.rows = min(self.most_rows, -(-t // 24)) if self.whole else 1
        self.columns = max(12, -(-t // self.rows))  # places in a row
        self.shown = np.arange(t)  # places of the frames that are shown
        if not self.whole and self.clustered:
            self.shown = (2 * np.arange(FEW) + 1) * t // (2 * FEW)
        elif not self.whole:
            seen = np.unique(video.seen)
            self.shown = seen[np.unique(np.linspace(0, len(seen) - 1, min(len(seen), FEW)).round().astype(int))]
        self.inner = width - self.left - RIGHT
        self.cell = self.inner / (self.columns if self.whole else max(12, len(self.shown)))
        self.band = self.band if self.whole or self.clustered else LINKS
        self.curve = 0 if not self.clustered else curve_height if self.whole else 2 * curve_height
        self.row = self.cell + self.band + self.curve + self.below + TICKS
        spare = least_height - (self.top + self.rows * self.row + (self.rows - 1) * GAP + self.bottom)
        if spare > 0 and self.clustered:
            self.curve, self.row = self.curve + spare / self.rows, self.row + spare / self.rows
        self.height = max(least_height, least_height - spare)
        self.time = "frame" if self.whole else f"frame ({len(self.shown)} are shown)"
        self.limit = 1.18 * max(*shown_distances(video), 1e-3) if self.clustered else 0  # of the curve's axis


class Row:
    """The places from `number` * columns on, and axes for them, one below the other."""

    def __init__(self, figure: "FigureBase", strip: Strip, number: int):
        self.figure, self.strip = figure, strip
        self.first = number * strip.columns
        self.last = min(self.first + strip.columns, len(strip.numbers))
        self.bottom = strip.height - strip.top - number * (strip.row + GAP)  # of what is drawn so far

    def axes(self, height: float) -> "Axes":
        """Axes of this height below those made before."""
        strip = self.strip
        self.bottom -= height
        box = (strip.left / strip.width, self.bottom / strip.height, strip.inner / strip.width, height / strip.height)
        limits = {"xlim": (self.first - 0.5, self.first + strip.columns - 0.5), "ylim": (0, 1)}
        return self.figure.add_axes(box, **limits, xticks=[], yticks=[])


def draw_video(figure: "FigureBase", strip: Strip, title: str, verdict: str = "") -> None:
    """Draw into a figure, or a part of one, that is `strip.width` x `strip.height` inches large."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    draw_title(figure, strip, title, verdict)
    for number in range(strip.rows):
        row = Row(figure, strip, number)
        axis = draw_frames(row)
        if strip.clustered:
            draw_band(axis, row, strip.video.assignment)
            axis = row.axes(strip.curve)
            draw_curve(axis, row)
            draw_cuts(axis, row, strip.video.assignment)
        number_frames(axis, row)
    key = {"seen by the model": Patch(color=SEEN)}
    if strip.clustered:
        key = {
            "merged into one representation": Patch(color=CLUSTERS[0]),
            "distance to the frame before": Line2D([], [], color=CURVE, linewidth=1),
            "cut": Line2D([], [], color=CUT, linewidth=1, marker="o", markersize=3.5),
        }
    draw_key(figure, strip, key)


def draw_title(figure: "FigureBase", strip: Strip, title: str, verdict: str = "") -> None:
    """A line at the top, its end at the right."""
    height, size = 1 - 0.1 / strip.height, 10.5
    verdict = plotted_line(verdict, size, strip.inner / 2)
    room = strip.inner - plotted_width(verdict, size) - 0.2
    figure.text(strip.left / strip.width, height, plotted_line(title, size, room), va="top", fontsize=size)
    figure.text(1 - RIGHT / strip.width, height, verdict, va="top", ha="right", fontsize=size)


def draw_key(figure: "FigureBase", strip: Strip, key: "dict[str, Artist]") -> None:
    """The name of the time axis, and below it what colours and lines mean."""
    width, height = strip.width, strip.height
    figure.text((strip.left + strip.inner / 2) / width, 0.27 / height, strip.time, ha="center", va="bottom")
    figure.legend(
        key.values(),
        key.keys(),
        loc="lower left",
        bbox_to_anchor=(strip.left / width, 0.04 / height),
        ncols=len(key),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.4,
        columnspacing=1.6,
    )


def draw_frames(row: Row) -> "Axes":
    """The frames above their places, and the axes of the band below them, which is empty yet with clustering.

    Without, it marks the frames that were seen, or links them to their places.
    """
    strip = row.strip
    pictures, band = row.axes(strip.cell), row.axes(strip.band)
    pictures.set_axis_off()
    band.spines[:].set_visible(False)
    shown = strip.shown[(strip.shown >= row.first) & (strip.shown < row.last)]
    wide = strip.cell / strip.inner * strip.columns  # places that a picture covers
    centres = shown if strip.whole else (strip.columns + wide * (2 * np.arange(len(shown)) + 1 - len(shown)) - 1) / 2
    seen = set(strip.video.seen.tolist())
    for place, centre in zip(shown.tolist(), centres.tolist(), strict=True):
        picture = strip.video.frames[strip.numbers[place]].permute(1, 2, 0).numpy()  # (3, S, S) -> (S, S, 3)
        if not strip.clustered and place not in seen:
            picture = 255 - (255 - picture) // 3  # pale
        elif not strip.clustered and strip.whole:
            band.axvspan(place - 0.5, place + 0.5, 0.1, 0.86, color=SEEN, linewidth=0)
        elif not strip.clustered:
            band.plot([centre, centre, place, place], [0.98, 0.75, 0.25, 0], color=SEEN, linewidth=1)
        reach = wide * SHARE / 2
        pictures.imshow(picture, extent=(centre - reach, centre + reach, 0, 1), aspect="auto")
    pictures.set(xlim=band.get_xlim())  # imshow has moved them
    return band


def stretches(row: Row, label: Sequence[int]) -> list[tuple[int, int]]:
    """Where `label` (t,) keeps its value: [a, b) of each stretch of a row."""
    edges = [row.first, *(i for i in range(row.first + 1, row.last) if label[i] != label[i - 1]), row.last]
    return list(zip(edges, edges[1:], strict=False))


def draw_band(band: "Axes", row: Row, label: Sequence[int]) -> None:
    """One numbered stretch of colour for each cluster of `label` (t,)."""
    strip = row.strip
    number_of = {cluster: number for number, cluster in enumerate(sorted(set(label)))}
    slit = (1 - SHARE) / 2 if strip.whole else 0
    for a, b in stretches(row, label):
        number = number_of[label[a]]
        band.axvspan(a - 0.5 + slit, b - 0.5 - slit, 0.08, 0.86, linewidth=0, color=CLUSTERS[number % len(CLUSTERS)])
        if (b - a) / strip.columns * strip.inner > 0.09 * len(str(number + 1)):  # there is room for its number
            band.text(
                (a + b - 1) / 2,
                0.45,
                str(number + 1),
                ha="center",
                va="center_baseline",
                fontsize=7.5,
                color="black" if number % len(CLUSTERS) else "white",
            )


def draw_curve(axis: "Axes", row: Row) -> None:
    """The distance of each frame to the one before."""
    from matplotlib.ticker import MaxNLocator

    strip = row.strip
    distances = shown_distances(strip.video)
    i = np.arange(max(row.first, 1), min(row.last + 1, len(distances)))
    axis.fill_between(i - 0.5, distances[i], color="0.88", linewidth=0)
    axis.plot(i - 0.5, distances[i], color=CURVE, linewidth=0.9 if strip.whole else 0.5)
    axis.set(ylim=(0, strip.limit))
    axis.set_ylabel(distance_label(strip.video), fontsize=8)
    axis.yaxis.set_major_locator(MaxNLocator(4 if strip.curve > 0.8 else 3, min_n_ticks=2))


def shown_distances(video: Video) -> np.ndarray:
    """A video's distances as they are drawn, (t,)."""
    return np.array(video.distances) * (100 if DISTANCES[video.distance].percent else 1)


def distance_label(video: Video) -> str:
    """The name of the axis that they stand on."""
    return "distance (%)" if DISTANCES[video.distance].percent else "distance"


def find_cuts(label: Sequence[int]) -> np.ndarray:
    """The frames that begin a cluster of `label` (t,), but the first."""
    return np.flatnonzero(np.diff(label)) + 1


def draw_cuts(axis: "Axes", row: Row, label: Sequence[int]) -> None:
    """A line and a dot on the curve at every cut of `label` (t,) in the row, or where the next one begins."""
    strip = row.strip
    cuts = find_cuts(label)
    cuts = cuts[(cuts >= row.first) & (cuts <= row.last)]
    axis.vlines(cuts - 0.5, 0, strip.limit, color=CUT, linewidth=0.9 if strip.whole else 0.7)
    axis.plot(cuts - 0.5, shown_distances(strip.video)[cuts], "o", color=CUT, markersize=3, clip_on=False)


def number_frames(axis: "Axes", row: Row) -> None:
    """A time axis under the places that are taken, with the numbers that the frames have in the video."""
    from matplotlib.ticker import MaxNLocator

    first, last = row.first, row.last
    locator = MaxNLocator(8, integer=True, steps=[1, 2, 4, 5, 10])
    ticks = [int(tick) for tick in locator.tick_values(first, max(last - 1, first + 1)) if first <= tick < last]
    axis.set_xticks(ticks, [f"{row.strip.numbers[tick]:,}" for tick in ticks])
    axis.spines["bottom"].set_visible(True)
    axis.spines["bottom"].set_bounds(first - 0.5, last - 0.5)


def draw_prediction(video: Video, title: str, verdict: str, path: Path, width: float = 10) -> None:
    """Draw one video into a file `width` inches wide."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        strip = Strip(video, width)
        figure = Figure(figsize=(width, strip.height), dpi=200)
        draw_video(figure, strip, title, verdict)
        save(figure, path)
