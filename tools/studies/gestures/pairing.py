"""Cells of the study on gestures compared video by video, over all folds and seeds that were run."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ops.evaluation.statistics import Interval, bootstrap_difference, compare, wilson
from tools.studies.gestures.plan import FOLDS, Cell, GestureResult
from tools.studies.results import Results, seeds_of

VIDEOS = 217  # of all folds
Place = tuple[int, int]  # fold, seed


def runs_of(results: Results, cell: Cell) -> dict[Place, GestureResult]:
    """The results of a cell for each fold and seed that it was run with; its own do not matter."""
    same = {(fold, seed): replace(cell, fold=fold, seed=seed) for fold in FOLDS for seed in seeds_of(results)}
    return {place: results[one] for place, one in same.items() if one in results}


def shares(runs: dict[Place, GestureResult], places: Iterable[Place]) -> np.ndarray:
    """For each test video, fold after fold, the share of the seeds in which it was named rightly, (videos,)."""
    by_fold: dict[int, list[list[bool]]] = {}
    for fold, seed in sorted(places):
        by_fold.setdefault(fold, []).append([hit == "x" for hit in runs[fold, seed].hits])
    return np.concatenate([np.mean(hits, 0) for hits in by_fold.values()])


class Score(NamedTuple):
    """Accuracy over all test videos of the folds that were run, in percent: a mean over seeds, Wilson's interval."""

    percent: float
    interval: Interval
    videos: int
    seeds: int


def score(results: Results, cell: Cell) -> Score | None:
    """None where no fold was run."""
    runs = runs_of(results, cell)
    if not runs:
        return None
    right = shares(runs, runs)
    interval = wilson(round(right.sum()), len(right))
    return Score(100 * float(right.mean()), interval, len(right), len({seed for _, seed in runs}))


class Difference(NamedTuple):
    """A cell's accuracy less another's, in points, on the videos of the folds and seeds that both were run with."""

    points: float
    interval: Interval  # of the paired bootstrap over videos
    p: tuple[float, ...]  # of McNemar's exact test, for each seed
    videos: int


def difference(results: Results, cell: Cell, other: Cell) -> Difference | None:
    """None where no fold and seed was run with both."""
    first, second = runs_of(results, other), runs_of(results, cell)
    places = sorted(first.keys() & second.keys())
    if not places:
        return None
    before, after = shares(first, places), shares(second, places)
    p = []
    for seed in sorted({seed for _, seed in places}):
        of_seed = [place for place in places if place[1] == seed]
        p.append(compare(shares(first, of_seed), shares(second, of_seed)).p)
    points = 100 * float((after - before).mean())
    return Difference(points, bootstrap_difference(before, after), tuple(p), len(before))
