"""How sure an accuracy is, whether two differ, and what several splits come to: plain functions of what was right.

Accuracies are in percent and differences in points, as everywhere in the program. What they take as `right` is, for
each video, whether it was named rightly; a mean over several seeds, in [0, 1], where a function says so.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 10_000


class Interval(NamedTuple):
    """From `low` to `high`, in percent or points."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


class Accuracy(NamedTuple):
    """The share of videos that were named rightly, in percent, and its Wilson interval."""

    percent: float
    interval: Interval
    videos: int


class Paired(NamedTuple):
    """Two models on the same videos: the second's accuracy less the first's, in points, and whether it is chance."""

    difference: float
    interval: Interval  # of the paired bootstrap
    only_first: int  # videos that only the first named rightly: McNemar's b
    only_second: int  # McNemar's c
    p: float  # of McNemar's exact test
    videos: int  # different ones


def wilson(right: int, videos: int, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share, in percent (Wilson, JASA 22, 1927): all shares p that the count does not reject.

    With z the normal quantile, the p for which (right / videos - p)^2 <= z^2 p (1 - p) / videos. Unlike the plain
    p +- z sqrt(p (1 - p) / n) it stays within 0 and 100 and has a width where none or all are right. Raises ValueError
    unless 0 <= right <= videos and there is a video.
    """
    if not 0 <= right <= videos or videos < 1:
        raise ValueError(f"{right} of {videos} videos is no share")
    square = statistics.NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    centre = (right + square / 2) / (videos + square)
    half = (square * (right * (videos - right) / videos + square / 4)) ** 0.5 / (videos + square)
    low = 0.0 if right == 0 else centre - half  # what rounding would leave beside the ends
    high = 1.0 if right == videos else centre + half
    return Interval(100 * low, 100 * high)


def accuracy(right: Iterable[bool]) -> Accuracy:
    """The accuracy of a model that named these videos rightly or not, and its Wilson interval."""
    right = np.asarray(right, bool)  # (videos,)
    count, videos = int(right.sum()), len(right)
    return Accuracy(100 * count / max(1, videos), wilson(count, videos), videos)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of McNemar's exact test, from the videos that only one of two models named rightly.

    If neither model is better, each of these videos is a fair coin: p = min(1, 2 P(X <= min(b, c))) for X binomial
    (b + c, 1/2). Exact in whole numbers however many videos there are; 1 where the models were right together.
    """
    if min(only_first, only_second) < 0:
        raise ValueError(f"{only_first} and {only_second} are no numbers of videos")
    videos, ways, term = only_first + only_second, 0, 1  # term: videos over k
    for k in range(min(only_first, only_second) + 1):
        ways += term
        term = term * (videos - k) // (k + 1)
    return min(1.0, 2 * ways / 2**videos)


def bootstrap_difference(
    first: Sequence[float],
    second: Sequence[float],
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    names: Sequence[str] | None = None,
) -> Interval:
    """The percentile interval, in points, of the second's accuracy less the first's when videos are drawn anew.

    first, second (videos,): right or not, or the share of several seeds in which a video was right. A resample draws as
    many videos as there are, with replacement and in pairs (Efron and Tibshirani, 1993); one that several splits or
    seeds hold under the same of `names` (videos,) is drawn with all its appearances. How often each kind of video comes
    up is one multinomial draw, so that neither the videos' order nor their number costs anything. Raises ValueError
    unless both hold the same videos, at least one.
    """
    kinds, counts = np.unique(_differences(first, second, names), axis=0, return_counts=True)  # (kinds, 2), (kinds,)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), resamples)  # (resamples, kinds)
    sums, appearances = (drawn @ kinds).T  # (resamples,) each
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums / appearances, (tail, 1 - tail))
    return Interval(100 * float(low), 100 * float(high))


def compare(
    first: Sequence[float], second: Sequence[float], seed: int = 0, names: Sequence[str] | None = None
) -> Paired:
    """Two models on the same videos in the same order, (videos,) each, right or not; splits may be put together.

    A video that several splits or seeds hold under the same of `names` (videos,) is one coin of McNemar's test: it goes
    to the model that was right more often.
    """
    found = _differences(first, second, names)  # (different videos, 2)
    only_first, only_second = int((found[:, 0] < 0).sum()), int((found[:, 0] > 0).sum())
    difference = 100 * float(found[:, 0].sum() / found[:, 1].sum())
    interval = bootstrap_difference(first, second, seed=seed, names=names)
    return Paired(difference, interval, only_first, only_second, mcnemar(only_first, only_second), len(found))


def describe_accuracies(top1: float, top5: float, videos: int) -> str:
    """The line in which programs print accuracies, given in percent, and how sure they are."""
    parts = (
        f"top-{k} {percent:.1f} % ({wilson(round(percent / 100 * videos), videos)})"
        for k, percent in ((1, top1), (5, top5))
    )
    return f"accuracy  {', '.join(parts)} of {videos} videos; in brackets 95 % intervals"


def mean_and_spread(values: Iterable[float]) -> tuple[float, float]:
    """Mean over splits, folds or seeds, and their sample standard deviation; the latter is 0 for a single value."""
    values = list(values)
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def _differences(first: Sequence[float], second: Sequence[float], names: Sequence[str] | None) -> np.ndarray:
    """For each different video: the sum of second less first over its appearances, and their number (videos, 2)."""
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"{first.shape} and {second.shape} are not the same videos")
    if names is None:
        return np.stack([second - first, np.ones(len(first))], 1)
    _, video = np.unique(names, return_inverse=True)
    return np.stack([np.bincount(video, second - first), np.bincount(video)], 1)
