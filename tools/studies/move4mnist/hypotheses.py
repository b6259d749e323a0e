"""What the study on Move4MNIST expected, as code, so that the figures decide and not the reader.

A comparison names two cells; it holds for a seed where the first is better than the second by more than `margin`
points of top-1. A hypothesis holds where all its comparisons hold for all seeds, fails where none does, and is mixed
in between.
"""

from typing import NamedTuple

from tools.studies.move4mnist.plan import CLUSTERS, EPOCHS, EQUAL_TIME, Cell
from tools.studies.results import Results, differences


class Hypothesis(NamedTuple):
    claim: str
    pairs: list[tuple[Cell, Cell]]
    margin: float = 0


def cell(data: str, method: str, g: int = 16, **fields) -> Cell:
    return Cell(data, method, g, 0, **fields)


def against(data: str, method: str, other: str, g: int = 16, **fields) -> tuple[Cell, Cell]:
    return cell(data, method, g, **fields), cell(data, other, g, **fields)


SPARSE = ("t128", "t256")
HYPOTHESES = [
    Hypothesis(
        "Where evidence is sparse (128 and 256 frames, all g), slope beats uniform sampling after equal epochs",
        [against(data, "slope", "uniform", g) for data in SPARSE for g in CLUSTERS],
    ),
    Hypothesis(
        "... and after equal time (g = 16)",
        [(cell(data, "slope"), cell(data, "uniform", epochs=EQUAL_TIME[data])) for data in SPARSE],
    ),
    Hypothesis(
        "At 32 frames sampling 16 of them is as good as slope after equal time, to within 5 points",
        [(cell("t32", "uniform", epochs=EQUAL_TIME["t32"]), cell("t32", "slope"))],
        -5,
    ),
    Hypothesis(
        "Any averaging beats sampling: random cuts beat uniform sampling after equal time (128 and 256 frames, g = 16)",
        [(cell(data, "random"), cell(data, "uniform", epochs=EQUAL_TIME[data])) for data in SPARSE],
    ),
    Hypothesis(
        "Cuts that look at the frames beat those that do not: slope beats even (128 frames, g = 16)",
        [against("t128", "slope", "even")],
    ),
    Hypothesis("So does cumulative (128 frames, g = 16)", [against("t128", "cumulative", "even")]),
    Hypothesis(
        "Cumulative beats slope, as on the paper's real data sets (128 frames, g = 16)",
        [against("t128", "cumulative", "slope")],
    ),
    Hypothesis("With few clusters even cuts beat slope (128 frames, g = 8)", [against("t128", "even", "slope", 8)]),
    Hypothesis(
        "Slope still beats even where empty runs are short (128 frames, g = 16)",
        [against("t128-short", "slope", "even")],
    ),
    Hypothesis(
        "... and after three times the tuning (long runs)", [against("t128", "slope", "even", epochs=3 * EPOCHS)]
    ),
    Hypothesis(
        "Representative gradients train as well as exact ones, to within 3 points (slope and cumulative)",
        [
            (cell("t128", method, gradient="representative"), cell("t128", method, gradient="exact"))
            for method in ("slope", "cumulative")
        ],
        -3,
    ),
    Hypothesis(
        "layer1 is the best place for the clustering (slope, against conv1, layer2, layer3)",
        [(cell("t128", "slope"), cell("t128", "slope", after=after)) for after in ("conv1", "layer2", "layer3")],
    ),
    Hypothesis(
        "More clusters in testing than in training help (slope and cumulative, 8 trained, 16 tested)",
        [(cell("t128", method, 8, g_test=16), cell("t128", method, 8, g_test=8)) for method in ("slope", "cumulative")],
    ),
]


class Verdict(NamedTuple):
    """What became of a hypothesis: `held` of `asked` comparisons, and all differences in points."""

    word: str
    held: int
    differences: list[float]


def judge(hypothesis: Hypothesis, results: Results) -> Verdict:
    """All its comparisons, for every seed that both cells were run with."""
    found = [difference for pair in hypothesis.pairs for difference in differences(results, *pair)]
    held = sum(difference > hypothesis.margin for difference in found)
    words = {0: "failed", len(found): "held"}
    return Verdict(words.get(held, "mixed") if found else "not run", held, found)
