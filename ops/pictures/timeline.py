"""A picture of which classes a model finds when in long videos: a row for each video, on a time axis of its own.

From top to bottom: frames, evenly spaced; a band that turns from grey to light where a cluster begins, of the window
that speaks for that time; the segments, in the colours of their classes; the probabilities of these classes over time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from ops.errors import InputError
from ops.pictures.colours import CLASSES, OTHERS
from ops.pictures.text import plotted_line, plotted_width
from ops.pictures.video import STYLE, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 60
WIDTH, LEFT, RIGHT = 10.0, 0.55, 0.12  # inches, as all heights
TITLE, CELL, BAND, NAMES, CURVES, TICKS, GAP, KEY = 0.26, 0.44, 0.09, 0.2, 0.62, 0.22, 0.14, 0.24
GREYS = ("#737373", "#cccccc")  # of clusters, by turns


class Bar(NamedTuple):
    """A class from one time to another, in seconds."""

    label: int
    start: float
    end: float


class Timeline(NamedTuple):
    """What is drawn of a video: `frames` are some of it with their times, `times` those of `probabilities`."""

    title: str
    start: float
    end: float  # seconds
    frames: Sequence[tuple[float, Tensor]]  # uint8 (3, S, S)
    times: Sequence[float]  # (n,)
    probabilities: np.ndarray  # (n, K)
    segments: Sequence[Bar]
    cuts: Sequence[float] | None  # when clusters begin; None without clustering


def check_rows(number: int, path: Path) -> None:
    """InputError where a picture would have more rows than can be looked at."""
    if number > MOST_ROWS:
        raise InputError(f"{path} would have {number} rows, {MOST_ROWS} at most; give fewer videos, or a .json or .csv")


def draw_timelines(videos: Sequence[Timeline], names: Sequence[str], path: Path) -> None:
    """Draw videos one below another into a file; `names` are those of the classes."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = colours_of(videos)
    rows = [_height(video) for video in videos]
    height = sum(rows) + GAP * (len(rows) - 1) + KEY + 0.1
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height), dpi=200)
        top = height - 0.05
        for video, row in zip(videos, rows, strict=True):
            _draw_row(figure, video, names, colours, top)
            top -= row + GAP
        _draw_key(figure, names, colours, any(video.cuts is not None for video in videos))
        save(figure, path)


def colours_of(videos: Sequence[Timeline]) -> dict[int, str]:
    """A colour for each class that has a segment: the ones shown longest have colours of their own."""
    seconds: dict[int, float] = {}
    for bar in (bar for video in videos for bar in video.segments):
        seconds[bar.label] = seconds.get(bar.label, 0.0) + bar.end - bar.start
    order = sorted(seconds, key=lambda label: (-round(seconds[label], 3), label))
    return {label: CLASSES[i] if i < len(CLASSES) else OTHERS for i, label in enumerate(order)}


def clock(seconds: float, step: float) -> str:
    """A time on an axis whose marks are so many seconds apart: `2.5`, `1:40`, `2:00:00`."""
    if step < 1:
        return f"{seconds:.1f}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _height(video: Timeline) -> float:
    return TITLE + CELL + (BAND if video.cuts is not None else 0.03) + NAMES + CURVES + TICKS


def _draw_row(figure: "Figure", video: Timeline, names: Sequence[str], colours: dict[int, str], top: float) -> None:
    total, inner = figure.get_figheight(), WIDTH - LEFT - RIGHT
    seconds = max(video.end - video.start, 1e-3)

    def axes(height: float) -> "Axes":
        nonlocal top
        top -= height
        box = (LEFT / WIDTH, top / total, inner / WIDTH, height / total)
        axis = figure.add_axes(box, xlim=(video.start, video.start + seconds), ylim=(0, 1), xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        return axis

    axis = axes(TITLE)
    axis.text(video.start, 0.3, plotted_line(video.title, 9.5, inner), fontsize=9.5)
    _draw_frames(axes(CELL), video, seconds, inner)
    axis = axes(BAND if video.cuts is not None else 0.03)
    if video.cuts is not None:
        edges = [video.start, *video.cuts, video.end]
        bars = [(a, b - a) for a, b in zip(edges, edges[1:], strict=False)]
        axis.broken_barh(bars, (0.15, 0.7), facecolors=[*GREYS], linewidth=0)  # by turns
    axis = axes(NAMES)
    for bar in video.segments:
        axis.axvspan(bar.start, bar.end, 0.1, 0.95, color=colours[bar.label], linewidth=0)
        room = (bar.end - bar.start) / seconds * inner - 0.06
        line = plotted_line(names[bar.label], 7.5, room)
        if line == names[bar.label] and plotted_width(line, 7.5) <= room:
            axis.text((bar.start + bar.end) / 2, 0.5, line, ha="center", va="center_baseline", fontsize=7.5, color="w")
    _draw_curves(axes(CURVES), video, colours, seconds)


def _draw_frames(axis: "Axes", video: Timeline, seconds: float, inner: float) -> None:
    """As many frames as there is room for, each the one of those given that is nearest to the middle of its place."""
    places = int(inner // CELL)
    times = np.array([time for time, _ in video.frames])
    wide = seconds / places
    for place in range(places):
        middle = video.start + (place + 0.5) * wide
        picture = video.frames[int(np.abs(times - middle).argmin())][1].permute(1, 2, 0).numpy()  # (3, S, S)
        reach = CELL / inner * seconds * 0.485
        axis.imshow(picture, extent=(middle - reach, middle + reach, 0.02, 0.98), aspect="auto")
    axis.set(xlim=(video.start, video.start + seconds), ylim=(0, 1))  # imshow has moved them


def _draw_curves(axis: "Axes", video: Timeline, colours: dict[int, str], seconds: float) -> None:
    """The probabilities of the classes that have segments, and the axis of time."""
    from matplotlib.ticker import MaxNLocator

    for label in sorted({bar.label for bar in video.segments}):
        values = 100 * video.probabilities[:, label]
        style = {"marker": "o", "markersize": 2.5} if len(values) == 1 else {}
        axis.plot(video.times, values, color=colours[label], linewidth=1.1, clip_on=False, **style)
    axis.set(ylim=(0, 104), yticks=[0, 50, 100])
    axis.set_ylabel("%", fontsize=8)
    axis.spines[["left", "bottom"]].set_visible(True)
    steps = [1, 1.5, 2, 3, 6, 10] if seconds > 90 else [1, 2, 5, 10]
    ticks = MaxNLocator(10, steps=steps).tick_values(video.start, video.start + seconds)
    ticks = [tick for tick in ticks if video.start <= tick <= video.start + seconds]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else seconds
    axis.set_xticks(ticks, [clock(tick, step) for tick in ticks])


def _draw_key(figure: "Figure", names: Sequence[str], colours: dict[int, str], clusters: bool) -> None:
    """What the colours mean, in one line."""
    from matplotlib.legend_handler import HandlerTuple
    from matplotlib.patches import Patch

    key = [(Patch(color=c), plotted_line(names[label], 8, 0.9)) for label, c in colours.items() if c != OTHERS]
    if OTHERS in colours.values():
        key.append((Patch(color=OTHERS), "other classes"))
    if clusters:
        key.append((tuple(Patch(color=grey) for grey in GREYS), "clusters"))
    figure.legend(
        [mark for mark, _ in key],
        [text for _, text in key],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="lower left",
        bbox_to_anchor=(LEFT / WIDTH, 0.04 / figure.get_figheight()),
        ncols=len(key),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.2,
        columnspacing=1.3,
        fontsize=8,
    )
