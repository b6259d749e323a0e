"""Tests of one model on several splits, and of two models video by video, as rows of a table."""

from collections.abc import Sequence

import numpy as np

from ops.evaluation.result_files import Scored, in_order_of
from ops.evaluation.statistics import RESAMPLES, Paired, accuracy, compare, mean_and_spread

Row = dict[str, str]
ACCURACY_KEY = "in brackets 95 % intervals: of accuracies Wilson's"
PAIRED_KEY = f", of differences from {RESAMPLES} resamples of the videos in pairs; p: McNemar's exact test"


def accuracy_rows(splits: Sequence[Scored]) -> list[Row]:
    """Top-1 of one model: a row a split, and for several their mean and that of all their videos."""
    rows = [_numbered(number, split) | {"top-1 %": _share(split.right)} for number, split in enumerate(splits, 1)]
    if len(splits) == 1:
        return rows
    values = [accuracy(split.right).percent for split in splits]
    return [
        *rows,
        {"split": "mean \u00b1 sd", "videos": "", "top-1 %": _mean(values)},
        _all(splits) | {"top-1 %": _pooled(splits)},
    ]


def paired_rows(first: Sequence[Scored], second: Sequence[Scored]) -> list[Row]:
    """Top-1 of two models, A and B, on the same splits, and what A is ahead by: rows as those of `accuracy_rows`.

    Raises InputError where two files that belong together do not hold the same videos.
    """
    second = [in_order_of(a, b) for a, b in zip(first, second, strict=True)]
    found = [compare(b.right, a.right) for a, b in zip(first, second, strict=True)]
    rows = [
        _numbered(number, a) | {"A top-1 %": _share(a.right), "B top-1 %": _share(b.right)} | _paired(both)
        for number, (a, b, both) in enumerate(zip(first, second, found, strict=True), 1)
    ]
    if len(first) == 1:
        return rows
    a, b = ([accuracy(split.right).percent for split in side] for side in (first, second))
    means = {
        "split": "mean \u00b1 sd",
        "videos": "",
        "A top-1 %": _mean(a),
        "B top-1 %": _mean(b),
        "A - B": _mean([both.difference for both in found], "+"),
    }
    right = [np.concatenate([split.right for split in side]) for side in (second, first)]
    pooled = compare(*right, names=np.concatenate([split.names for split in first]))
    whole = _all(first) | {"A top-1 %": _pooled(first), "B top-1 %": _pooled(second)} | _paired(pooled)
    return [*rows, {column: means.get(column, "") for column in whole}, whole]


def repeated(splits: Sequence[Scored]) -> int:
    """How many different videos are in more than one split."""
    _, times = np.unique(np.concatenate([split.names for split in splits]), return_counts=True)
    return int((times > 1).sum())


def _numbered(number: int, split: Scored) -> Row:
    return {"split": str(number), "videos": str(len(split.names))}


def _all(splits: Sequence[Scored]) -> Row:
    return {"split": "all", "videos": str(len(np.unique(np.concatenate([split.names for split in splits]))))}


def _share(right: np.ndarray) -> str:
    found = accuracy(right)
    return f"{found.percent:.1f} ({found.interval})"


def _pooled(splits: Sequence[Scored]) -> str:
    """The share of all videos; without an interval where some count several times."""
    right = np.concatenate([split.right for split in splits])
    return f"{accuracy(right).percent:.1f}" if repeated(splits) else _share(right)


def _mean(values: Sequence[float], sign: str = "") -> str:
    mean, spread = mean_and_spread(values)
    return f"{mean:{sign}.1f} \u00b1 {spread:.1f}"


def _paired(both: Paired) -> Row:
    return {
        "A - B": f"{both.difference:+.1f} ({both.interval})",
        "only A right": str(both.only_second),
        "only B right": str(both.only_first),
        "p": f"{both.p:.3g}",
    }
