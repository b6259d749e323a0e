"""How the figures of studies look: one style (`ops/pictures/video.py`), Okabe and Ito's colours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ops.pictures import video as pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOK = {  # method -> colour, marker
    "uniform": ("#000000", "o"),
    "dense": ("#7f7f7f", "s"),
    "random": ("#56B4E9", "^"),
    "even": ("#E69F00", "D"),
    "cumulative": ("#009E73", "v"),
    "slope": ("#D55E00", "P"),
}
WIDTH, DPI = 9, 150  # inches; 1350 pixels, shown at 880 on a README's page


@contextmanager
def drawing(path: Path, columns: int, height: float, **kwargs) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure of axes beside each other, written to `path` in the end."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(pictures.STYLE | {"legend.frameon": False, "axes.titlesize": 10}):
        figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False, **kwargs)[0]
        yield figure, list(axes)
        pictures.save(figure, path)
