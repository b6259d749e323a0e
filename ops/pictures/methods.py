"""Pictures that explain clustering: one video cut by several methods, and videos of several data sets by one method.

Rows are those of `ops/pictures/video.py`. What each frame shows is known for Move4MNIST alone; other videos lack that
band.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from ops.clustering import DISTANCES
from ops.move4mnist.generator import Kind
from ops.pictures.colours import CURVE, CUT
from ops.pictures.text import counted
from ops.pictures.video import (
    STYLE,
    Row,
    Strip,
    distance_label,
    draw_band,
    draw_curve,
    draw_cuts,
    draw_frames,
    draw_key,
    draw_title,
    find_cuts,
    number_frames,
    save,
    shown_distances,
    stretches,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

WIDTH = 10  # inches, at 200 dots each
METHOD, SPACE = 0.18, 0.04  # heights of a method's band, and of what sets bands apart
SHOWS = {  # unlike the colours of clusters and cuts
    Kind.MAIN: ("moving digit", "#56B4E9"),
    Kind.DISTRACTOR: ("distractor", "#F0E442"),
    Kind.BACKGROUND: ("background only", "#BBBBBB"),
    Kind.BLACK: ("black", "#000000"),
}
TRANSITIONS = {  # between two neighbouring frames -> marker and colour of a cut there
    "to or from black": ("s", "#000000"),
    "digit comes or goes": ("o", "#D55E00"),
    "another digit": ("D", "#CC79A7"),
    "digit moves": ("^", "#0072B2"),
    "only background changes": ("v", "#009E73"),
}


class CutVideo(NamedTuple):
    """A video cut by several methods on the same activations."""

    title: str
    frames: list[Tensor]  # all frames of the video, uint8 (3, S, S)
    seen: np.ndarray  # (t,) numbers of the frames that were clustered
    distances: list[float]  # (t,) from the frame before
    assignments: dict[str, list[int]]  # method -> (t,) cluster of each frame
    kinds: np.ndarray | None  # (t,) of Kind, if known
    distance: str = "hamming"  # of `DISTANCES`

    @property
    def assignment(self) -> list[int]:
        """That of the first method."""
        return next(iter(self.assignments.values()))


def transitions(kinds: np.ndarray) -> np.ndarray:
    """What changes at each frame, of the kinds (t,) of all -> (t-1,) of the names in `TRANSITIONS`."""
    before, now = kinds[:-1], kinds[1:]
    digits = (before <= Kind.DISTRACTOR).astype(int) + (now <= Kind.DISTRACTOR)
    same, black = before == now, (before == Kind.BLACK) | (now == Kind.BLACK)
    found = [black & ~same, digits == 1, ~same, now == Kind.MAIN]
    *names, other = TRANSITIONS
    return np.select(found, names, other)


class _KindsStrip(Strip):
    """Frames, what they show if it is known, and distances, with room for words at the left."""

    left = 0.86

    def __init__(self, video: CutVideo, curve_height: float):
        self.band = SPACE if video.kinds is None else 0.13
        super().__init__(video, WIDTH, curve_height)


class MethodStrip(_KindsStrip):
    """As many rows as it takes, below the distances one band for each method."""

    def __init__(self, video: CutVideo):
        self.below = SPACE + METHOD * len(video.assignments)
        super().__init__(video, 0.55)


class ComparedStrip(_KindsStrip):
    """One row; below the title is a line that says what the cuts are, and at the bottom of the last one the key."""

    top, all_shown, most_rows = 0.53, 36, 1

    def __init__(self, video: CutVideo, last: bool):
        self.bottom = Strip.bottom if last else 0.12
        super().__init__(video, 1 if len(video.seen) <= self.all_shown else 0.5)
        self.time = "frame"


def draw_methods(video: CutVideo, path: Path) -> None:
    """Draw one video with the clusters of every method into a file."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        strip = MethodStrip(video)
        figure = Figure(figsize=(WIDTH, strip.height), dpi=200)
        clusters = max(len(set(label)) for label in video.assignments.values())
        draw_title(figure, strip, video.title, f"{counted(clusters, 'cluster')} by each method")
        for number in range(strip.rows):
            row = Row(figure, strip, number)
            _draw_kinds(draw_frames(row), row)
            axis = row.axes(strip.curve)
            draw_curve(axis, row)
            if strip.whole:  # the curve is lower than its name is long
                axis.set_ylabel(
                    distance_label(video).replace(" ", "\n"), fontsize=8, rotation=0, ha="right", va="center"
                )
            row.bottom -= SPACE
            for method, label in video.assignments.items():
                band = row.axes(METHOD)
                band.spines[:].set_visible(False)
                draw_band(band, row, label)
                band.set_ylabel(method, rotation=0, ha="right", va="center", labelpad=3)
            number_frames(band, row)
        draw_key(figure, strip, _key(video))
        save(figure, path)


def draw_comparison(videos: Sequence[CutVideo], path: Path) -> None:
    """Draw videos below one another into a file, each with the cuts of its first method; distances on one scale."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        strips = [ComparedStrip(video, video is videos[-1]) for video in videos]
        heights = [strip.height for strip in strips]
        figure = Figure(figsize=(WIDTH, sum(heights)), dpi=200)
        parts = figure.subfigures(len(heights), 1, hspace=0, height_ratios=heights, squeeze=False)[:, 0]
        limit = max(strip.limit for strip in strips)
        for part, strip in zip(parts, strips, strict=True):
            strip.limit = limit
            draw_title(part, strip, strip.video.title, "" if strip.whole else f"{len(strip.shown)} frames are shown")
            row = Row(part, strip, 0)
            _draw_kinds(draw_frames(row), row)
            axis = row.axes(strip.curve)
            draw_curve(axis, row)
            _draw_marked_cuts(part, axis, row)
            number_frames(axis, row)
        draw_key(parts[-1], strips[-1], _key(*videos))
        save(figure, path)


def _draw_kinds(band: "Axes", row: Row) -> None:
    """What the frames show, as stretches of colour."""
    kinds = row.strip.video.kinds
    if kinds is not None:
        for a, b in stretches(row, kinds):
            band.axvspan(a - 0.5, b - 0.5, 0.1, 0.9, color=SHOWS[kinds[a]][1], linewidth=0)
        band.set_ylabel("shows", rotation=0, ha="right", va="center", labelpad=3)


def _draw_marked_cuts(figure: "FigureBase", axis: "Axes", row: Row) -> None:
    """The cuts of the first method; where it is known what frames show, marked and counted by what changes there."""
    strip, video = row.strip, row.strip.video
    cuts = find_cuts(video.assignment)
    height = 1 - 0.31 / strip.height
    text = f"{counted(len(cuts), 'cut')} by {next(iter(video.assignments))}"
    figure.text(strip.left / strip.width, height, text, va="top")
    if video.kinds is None:
        draw_cuts(axis, row, video.assignment)
        return
    axis.vlines(cuts - 0.5, 0, strip.limit, color=CUT, linewidth=0.7)
    change, percent = transitions(video.kinds)[cuts - 1], shown_distances(video)
    marks = {}
    for name, (marker, colour) in TRANSITIONS.items():
        if len(some := cuts[change == name]):
            dots = axis.plot(some - 0.5, percent[some], marker, color=colour, markersize=4.5, clip_on=False, zorder=3)
            marks[f"{len(some)} {name}"] = dots[0]
    figure.legend(
        marks.values(),
        marks.keys(),
        loc="upper left",
        ncols=len(TRANSITIONS),
        frameon=False,
        bbox_to_anchor=((strip.left + 1.6) / strip.width, height),
        borderaxespad=0,
        borderpad=0,
        handlelength=0.8,
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _key(*videos: CutVideo) -> "dict[str, Artist]":
    """What lines and colours mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = set().union(*(video.kinds.tolist() for video in videos if video.kinds is not None))
    text = DISTANCES[videos[0].distance].text
    key = {f"distance to the frame before ({text})": Line2D([], [], color=CURVE, linewidth=1)}
    return key | {name: Patch(color=colour) for kind, (name, colour) in SHOWS.items() if kind in shown}
