"""What a study expected, as code, so that the figures decide and not the reader.

A comparison names two cells; it holds for a seed where the first is better than the second by more than `margin`
points of top-1. A hypothesis holds where all its comparisons hold for all seeds, fails where none does, and is mixed
in between.
"""

from typing import Any, NamedTuple

from tools.studies.results import Results, differences


class Hypothesis(NamedTuple):
    claim: str
    pairs: list[tuple[Any, Any]]  # of cells
    margin: float = 0


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
