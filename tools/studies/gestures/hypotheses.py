"""What the study on gestures expected, as code, so that the figures decide and not the reader.

Written before the study's cells were run, from single runs on folds 0 and 1 (64 pixels, 30 epochs, and 48 pixels, 20
epochs). A comparison says between which bounds, in points of top-1, the first cell's accuracy less the second's lies.
It holds where the whole bootstrap interval over the test videos lies between them, and fails where none of it does; an
interval that ends on a bound, as on 0 where one is to be better, does not hold. A hypothesis holds or fails where all
its comparisons do, and is open otherwise.
"""

from math import inf
from typing import NamedTuple

from tools.studies.gestures.pairing import Difference, difference
from tools.studies.gestures.plan import CUTS, EQUAL_TIME, HELD_KEEP, KEEP, RECIPES, Cell
from tools.studies.results import Results


class Hypothesis(NamedTuple):
    claim: str
    pairs: list[tuple[Cell, Cell]]
    low: float = 0
    high: float = inf


def cell(method: str, keep: float = 1, g: int = 16, data: str = "gestures", **fields) -> Cell:
    return Cell(data, method, g, 0, 0, keep, **fields)


UNIFORM, CUMULATIVE, KEPT = cell("uniform"), cell("cumulative"), cell("cumulative", KEEP)
HELD = {method: cell(method, HELD_KEEP, data="held") for method in CUTS}
HYPOTHESES = [
    Hypothesis(
        "Where the whole video is the gesture, cumulative on all frames ends level with 16 sampled frames,"
        " to within 5 points",
        [(CUMULATIVE, UNIFORM)],
        -5,
        5,
    ),
    Hypothesis(
        "A random half of the frames, drawn anew in each epoch, is as good for cumulative as all, to within 3 points",
        [(KEPT, CUMULATIVE)],
        -3,
    ),
    Hypothesis("... and better", [(KEPT, CUMULATIVE)]),
    Hypothesis(
        "Sampling for as long as all frames take is as good as cumulative on them, to within 3 points",
        [(cell("uniform", epochs=EQUAL_TIME["all"]), CUMULATIVE)],
        -3,
    ),
    Hypothesis("Slope falls 5 points or more behind sampling (all frames)", [(cell("slope"), UNIFORM)], -inf, -5),
    Hypothesis(
        "Cuts that look at the frames buy nothing here: even is level with cumulative, to within 5 points (all frames,"
        " and half)",
        [(cell("even"), CUMULATIVE), (cell("even", KEEP), KEPT)],
        -5,
        5,
    ),
    Hypothesis(
        "Among held frames, cumulative beats 16 sampled frames by 5 points or more",
        [(HELD["cumulative"], cell("uniform", data="held"))],
        5,
    ),
    Hypothesis("... and even cuts, since held frames have no distance", [(HELD["cumulative"], HELD["even"])]),
    Hypothesis("... and so does slope beat sampling there", [(HELD["slope"], cell("uniform", data="held"))]),
    Hypothesis(
        "It is not the Hamming distance: Euclidean and cosine are level with it, to within 5 points (cumulative)",
        [(cell(f"cumulative-{distance}", KEEP), KEPT) for distance in ("euclidean", "cosine")],
        -5,
        5,
    ),
    Hypothesis(
        "It is the order in time: groups that are not contiguous (K-modes, K-means) are worse than cumulative",
        [(cell(method, KEEP), KEPT) for method in ("kmodes", "kmeans")],
        -inf,
        0,
    ),
    Hypothesis(
        "It is not the averaging: one random frame a cluster is level with the mean, to within 5 points",
        [(cell("reduce-random", KEEP), KEPT)],
        -5,
        5,
    ),
    Hypothesis(
        "More that is drawn in time helps clustering: part and speed of the clip",
        [(cell("cumulative", KEEP, extra=extra), KEPT) for extra in ("share", "speed")],
    ),
    Hypothesis(
        "With 4 and 8 representations cumulative beats as many sampled frames",
        [(cell("cumulative", KEEP, g), cell("uniform", g=g)) for g in (4, 8)],
    ),
    Hypothesis(
        "No option of the recipe alone moves either model by more than 8 points",
        [(cell(base.method, base.keep, extra=extra), base) for base in (UNIFORM, KEPT) for extra in RECIPES],
        -8,
        8,
    ),
]


class Verdict(NamedTuple):
    """What became of a hypothesis: a word, and every comparison that could be made."""

    word: str
    differences: list[Difference]


def judge_one(found: Difference, low: float, high: float) -> str:
    if low < found.interval.low and found.interval.high < high:
        return "held"
    return "failed" if found.interval.high < low or high < found.interval.low else "open"


def judge(hypothesis: Hypothesis, results: Results) -> Verdict:
    """All its comparisons that can be made; "open" too where others are still to be run."""
    found = [one for pair in hypothesis.pairs if (one := difference(results, *pair))]
    words = {judge_one(one, hypothesis.low, hypothesis.high) for one in found}
    if not found:
        return Verdict("not run", found)
    return Verdict(words.pop() if len(words) == 1 and len(found) == len(hypothesis.pairs) else "open", found)
