"""Parts of the pages that studies write: tables, and figures with their spreads."""

from collections.abc import Iterable, Sequence
from typing import Any

from tools.studies.results import Results, over_seeds, seeds_of, spread
from tools.studies.verdicts import Hypothesis, judge


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of figures stand to the right."""
    rows = list(rows)
    right = [all(row[i][:1] in "+-0123456789" for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if is_number else "---" for is_number in right], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def accuracy(results: Results, cell: Any) -> str:
    """`88.7 ± 1.2`, with the number of seeds where some are missing; `-` for none."""
    values = over_seeds(results, cell)
    if not values:
        return "-"
    mean, deviation = spread(values.values())
    text = f"{mean:.1f} ± {deviation:.1f}" if len(values) > 1 else f"{mean:.1f}"
    if 1 < len(values) < len(seeds_of(results)):
        text += f" ({len(values)} seeds)"
    return text


def seconds(results: Results, cell: Any) -> str:
    """Seconds of training, mean over seeds."""
    values = over_seeds(results, cell, "seconds").values()
    return f"{spread(values)[0]:.0f}" if values else "-"


def hypotheses(results: Results, expected: Iterable[Hypothesis], where: str) -> str:
    """What was expected, and what came out; `where` leads to the hypotheses' file."""
    rows = []
    for number, hypothesis in enumerate(expected, 1):
        verdict = judge(hypothesis, results)
        low, high = min(verdict.differences, default=0), max(verdict.differences, default=0)
        mean = sum(verdict.differences) / max(1, len(verdict.differences))
        figures = (f"{mean:+.1f} ({low:+.1f} to {high:+.1f})", f"{verdict.held} of {len(verdict.differences)}")
        rows.append((str(number), hypothesis.claim, f"**{verdict.word}**", *(figures if verdict.differences else "--")))
    head = ("", "expected", "verdict", "difference in points, mean (range)", "held in")
    return f"""\
## What was expected, and what came out

Written down when the study had just begun, from what smaller runs had suggested
([hypotheses.py]({where})). Each is compared seed by seed: **held** means for all seeds and
settings that it names, **failed** for none, **mixed** for some.

{table(head, rows)}"""
