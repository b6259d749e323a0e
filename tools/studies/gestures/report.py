"""docs/gestures.md from results: every figure in it is computed here, and so are the verdicts."""

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ops.evaluation.statistics import mean_and_spread
from ops.files import write_whole
from tools.studies.gestures import figures
from tools.studies.gestures.hypotheses import HYPOTHESES, judge
from tools.studies.gestures.pairing import VIDEOS, difference, runs_of, score
from tools.studies.gestures.plan import (
    AUGMENTATIONS,
    CUTS,
    EPOCHS,
    EQUAL_TIME,
    EXTRAS,
    FEWER,
    HELD,
    HELD_KEEP,
    KEEP,
    LR,
    METHODS,
    RECIPES,
    SAMPLING,
    SIZE,
    STAGES,
    TIMES,
    Cell,
    Gestures,
)
from tools.studies.pages import table, where_and_when
from tools.studies.results import Results, read_csv

HEAD = """\
# Results on gestures

Written by `python tools/study.py report --study gestures` from the logs of the runs; nothing here is filled in by hand.
All figures are in [gestures.csv](gestures.csv), a row a cell, with what became of every test video (`hits`: x where it
was named rightly, in the order of the test list). `python tools/study.py run --study gestures --videos DIR` runs what
has not been run, `plan` prints the command of every cell, `check CELL` runs one again. Made videos are on
[another page](results.md).

**What was run.** {cells} cells on [EgoGestAR's test videos](data.md#egogestar): 217 real videos of ten figures that a
hand draws into the air, 17 to 216 frames, at {size} pixels, seen as differences of neighbouring frames (`RGBDiff`): a
sampled frame is a step, the 5 differences of 6 neighbouring frames. A thin ResNet (12 to 96 channels) with temporal
shift learns from scratch, {epochs} epochs, batch 8, learning rate 0.02
falling as a cosine. Four folds that share no scene test each video once; accuracy is top-1 over all test videos of the
folds after the last epoch, and none is chosen by its accuracy. Folds run: {folds}; seeds: {seeds}. A seed changes
weights, order and what training draws.

**How sure.** Beside an accuracy stands Wilson's 95 % interval for so many videos. Differences are paired: the same
videos, folds and seeds in both; their 95 % intervals come from a bootstrap over videos, `p` from McNemar's exact test,
for each seed. Neither knows that videos of one scene are alike, that another seed gives another network, or how many
comparisons stand on this page: with so many, some p below 0.05 are chance.

**Rows with a number of videos in brackets** stand for the folds of these videos alone, pale in the picture: the others
have not been run. Folds are not equally hard, so that such an accuracy must not be held against one of all videos. The
difference beside it may: it is of the same videos in both.

{where}

**What this is not.** A small set, a small network and no pretrained weights. Persons may be in several folds.
"""
UNIFORM = Cell("gestures", "uniform", 16, 0, 0)
KEPT = Cell("gestures", "cumulative", 16, 0, 0, KEEP)
LONG = Cell("gestures", "cumulative", 16, 0, 0, KEEP / 2, epochs=EQUAL_TIME["all"])
SCORE_HEAD = ("top-1 (%)", "95 %", "folds")
COST_HEAD = ("training (%)", "frames an epoch", "seconds")
NONE = "-"
MANY = 4  # comparisons, of which more are told by their range


def score_cells(results: Results, cell: Cell) -> tuple[str, str, str]:
    """Accuracy, its interval, and mean and spread over folds, if several; with the number of videos where not all."""
    found = score(results, cell)
    if found is None:
        return NONE, NONE, NONE
    by_fold: dict[int, list[float]] = {}
    for (fold, _), run in runs_of(results, cell).items():
        by_fold.setdefault(fold, []).append(run.top1)
    mean, deviation = mean_and_spread(mean_and_spread(values)[0] for values in by_fold.values())
    part = "" if found.videos == VIDEOS else f" ({found.videos} videos)"
    folds = f"{mean:.1f} ± {deviation:.1f}" if len(by_fold) > 1 else NONE
    return f"{found.percent:.1f}{part}", str(found.interval), folds


def difference_cells(results: Results, cell: Cell, other: Cell) -> tuple[str, str, str]:
    """Paired difference, its interval, p of each seed."""
    found = None if cell == other else difference(results, cell, other)
    if found is None:
        return NONE, NONE, NONE
    low, high = found.interval
    return f"{found.points:+.1f}", f"{low:+.1f} to {high:+.1f}", ", ".join(f"{p:.2g}" for p in found.p)


def cost_cells(results: Results, cell: Cell) -> tuple[str, str, str]:
    """Accuracy of the last training epoch, frames of an epoch, seconds of all epochs: means over folds and seeds."""
    runs = runs_of(results, cell).values()
    if not runs:
        return NONE, NONE, NONE
    train, frames, seconds = (
        mean_and_spread(getattr(run, name) for run in runs)[0] for name in ("train", "frames", "seconds")
    )
    return f"{train:.1f}", f"{frames:,.0f}", f"{seconds:.0f}"


def compared(results: Results, rows: Iterable[tuple[tuple[str, ...], Cell]], other: Cell, head: tuple[str, ...]) -> str:
    """A table of cells against another."""
    head = (*head, *SCORE_HEAD, "difference", "95 %", "p", *COST_HEAD)
    lines = [
        (*words, *score_cells(results, cell), *difference_cells(results, cell, other), *cost_cells(results, cell))
        for words, cell in rows
        if runs_of(results, cell)
    ]
    return table(head, lines) if lines else "Not run yet.\n"


def hypotheses(results: Results) -> str:
    rows = []
    for number, hypothesis in enumerate(HYPOTHESES, 1):
        verdict = judge(hypothesis, results)
        found = [
            f"{one.points:+.1f} ({one.interval.low:+.1f} to {one.interval.high:+.1f})" for one in verdict.differences
        ]
        if len(found) > MANY:
            points = [one.points for one in verdict.differences]
            found = [f"{min(points):+.1f} to {max(points):+.1f} in {len(points)} comparisons"]
        rows.append((str(number), hypothesis.claim, f"**{verdict.word}**", "; ".join(found) or NONE))
    return f"""\
## What was expected, and what came out

Written down before the study was run ([hypotheses.py](../tools/studies/gestures/hypotheses.py)). **held**: the whole
interval of every difference lies where it was expected; **failed**: all of it lies elsewhere; **open**: neither, which
with 217 videos a difference of less than some 6 points mostly stays.

{table(("", "expected", "verdict", "difference in points (95 %)"), rows)}"""


def main_table(results: Results) -> str:
    rows = [((method, "sampled"), Cell("gestures", method, 16, 0, 0)) for method in SAMPLING]
    for epochs in EQUAL_TIME.values():
        rows.append(((f"uniform, {epochs} epochs", "sampled"), Cell("gestures", "uniform", 16, 0, 0, epochs=epochs)))
    rows.append(((f"cumulative, {EQUAL_TIME['all']} epochs", "a quarter"), LONG))
    clustered = [method for method in METHODS if method not in SAMPLING]
    for keep, words in ((1.0, "all"), (KEEP, "half")):
        rows += [((method, words), Cell("gestures", method, 16, 0, 0, keep)) for method in clustered]
    rows += [
        ((f"cumulative `{option}`", "half"), Cell("gestures", "cumulative", 16, 0, 0, KEEP, extra))
        for extra, option in AUGMENTATIONS.items()
    ]
    return f"""\
## Methods

`g = 16`. `uniform` and `dense` are TSM on 16 sampled frames, drawn anew in every epoch; the others cluster all frames
of a video, or in training a random half of them, drawn anew in every epoch (`--frame_keep {KEEP}`; tests see all).
`uniform` with {EQUAL_TIME["half"]} and {EQUAL_TIME["all"]} epochs takes about as long as {EPOCHS} epochs with half of
the frames, and with all; `cumulative` with a quarter of them sees hardly more frames an epoch. Differences are to
`uniform`. `training` is the accuracy of the last training epoch. Frames are exact; seconds are those of runs beside one
another, and rough.

![Accuracy of the methods with intervals, and over the number of representations](../images/gestures.png)

{compared(results, rows, UNIFORM, ("", "frames"))}"""


def by_number(results: Results, data: str, epochs: dict[int, int], keep: float, words: str) -> str:
    """A table for each number of representations: sampling, at equal epochs and for as long, and all cuts."""
    parts = []
    for g in sorted(epochs, reverse=True):
        uniform = Cell(data, "uniform", g, 0, 0)
        rows = [(("uniform", "sampled"), uniform)]
        rows.append(((f"uniform, {epochs[g]} epochs", "sampled"), replace(uniform, epochs=epochs[g])))
        rows += [((method, words), Cell(data, method, g, 0, 0, keep)) for method in CUTS]
        parts.append(f"`g = {g}`:\n\n" + compared(results, rows, uniform, ("", "frames")))
    return "\n".join(parts)


def held(results: Results) -> str:
    return f"""\
## Longer videos with sparse evidence

The same videos made {TIMES} times as long, for training and for tests: each stands whole, at its own speed, between
copies of its first and of its last frame, at a place that a seed draws. These videos are **composed**: held frames have
no distance at all from one another, which is the kindest case for cuts that look at the frames. Differences are to
`uniform` with as many sampled frames and epochs; its other row has as many epochs as take the time of clustering.

{by_number(results, "held", HELD, HELD_KEEP, f"{HELD_KEEP:g} of all")}"""


def coloured(results: Results) -> str:
    uniform = Cell("rgb", "uniform", 16, 0, 0)
    rows = [(("uniform", "sampled"), uniform), (("cumulative", "half"), Cell("rgb", "cumulative", 16, 0, 0, KEEP))]
    return f"""\
## Frames instead of their differences

`RGB`, tuned from weights that were trained on Move4MNIST, {" then ".join(f"`{preset}`" for preset in STAGES)}, cut at
random, so that they know neither method. From scratch frames teach so small a network next to nothing in as many
epochs.

{compared(results, rows, uniform, ("", "frames"))}"""


def fewer(results: Results) -> str:
    return f"""\
## Fewer representations

Differences are to `uniform` with as many sampled frames and epochs. Its other row has as many epochs as take the time
of {EPOCHS} with half of the frames: sampling gets cheaper with fewer frames, clustering hardly.

{by_number(results, "gestures", {16: EQUAL_TIME["half"], **FEWER}, KEEP, "half")}"""


def recipe(results: Results) -> str:
    parts = []
    for base, name in ((UNIFORM, "`uniform`"), (KEPT, f"`cumulative`, `--frame_keep {KEEP}`")):
        rows = [(("as above",), base)]
        for extra in RECIPES:
            rows.append(((f"`{EXTRAS[extra]}`",), Cell("gestures", base.method, 16, 0, 0, base.keep, extra)))
        parts.append(f"{name}:\n\n" + compared(results, rows, base, ("",)))
    return f"""\
## The recipe

One option at a time, in place of SGD with `{LR}`. Differences are to the same model without it.

{chr(10).join(parts)}"""


class Cuts:
    """Sizes of clusters, and some videos' distances, from the table of `cuts.py`."""

    def __init__(self, rows: list[dict[str, str]]):
        self.rows = rows

    @classmethod
    def read(cls, path: Path) -> "Cuts | None":
        """None where there is no such table."""
        if not path.exists():
            return None
        with path.open(newline="") as file:
            return cls(list(csv.DictReader(file)))

    def sizes(self, network: str, method: str) -> list[np.ndarray]:
        """The sizes of each video's clusters."""
        rows = (row for row in self.rows if (row["network"], row["method"]) == (network, method))
        return [np.array(row["sizes"].split(), int) for row in rows]


def cuts_section(cuts: Cuts) -> str:
    rows = []
    for network in dict.fromkeys(row["network"] for row in cuts.rows):
        for method in dict.fromkeys(row["method"] for row in cuts.rows):
            sizes = cuts.sizes(network, method)
            single = np.mean([np.mean(video == 1) for video in sizes])
            largest = np.mean([video.max() / video.sum() for video in sizes])
            half = np.mean([covering_half(video) for video in sizes])
            rows.append((network, method, f"{100 * single:.0f} %", f"{100 * largest:.0f} %", f"{half:.1f}"))
    head = (
        "network trained with",
        "cut by",
        "clusters of one frame",
        "largest cluster",
        "clusters with half the frames",
    )
    return f"""\
## Where the cuts go

All {len(cuts.sizes("slope", "slope"))} test videos cut into 16 clusters by the networks trained on the other folds (all
frames, the first seed): how many clusters hold a single frame, what share of the video the largest one holds, and into
how few clusters half of the frames go; means over videos.

Slope's cuts stand where neighbouring frames differ most, and on these videos those places are neighbours themselves: a
few fast moments of the hand, or of the camera. There it makes clusters of one frame, and what is left of the figure is
averaged into very few. Cumulative spreads its cuts over all that moves.

![Distances over time with the cuts of slope and cumulative](../images/gestures_cuts.png)

{table(head, rows)}"""


def covering_half(sizes: np.ndarray) -> int:
    """The least number of clusters that hold half of the frames together."""
    together = np.cumsum(np.sort(sizes)[::-1])
    return int(np.searchsorted(together, together[-1] / 2)) + 1


def write(results: Results, cuts: Cuts | None) -> str:
    """The whole page; sections without a single cell are left out."""
    ran = {f"{name}s": ", ".join(sorted({str(getattr(cell, name)) for cell in results})) for name in ("fold", "seed")}
    where = where_and_when(results)
    parts = [HEAD.format(cells=len(results), size=SIZE, epochs=EPOCHS, where=where, **ran), hypotheses(results)]
    parts += [main_table(results), held(results), coloured(results), fewer(results), recipe(results)]
    return "\n".join(parts + ([cuts_section(cuts)] if cuts else []))


def write_page(out: Path) -> None:
    """The page and its figures from the tables in `out`/docs."""
    docs, images = out / "docs", out / "images"
    results = read_csv(docs / "gestures.csv", Gestures)
    cuts = Cuts.read(docs / "gestures_cuts.csv")
    write_whole(docs / "gestures.md", write(results, cuts).encode())
    figures.draw_methods(results, images / "gestures.png")
    if cuts:
        figures.draw_cuts(cuts.rows, images / "gestures_cuts.png")
