"""From the scores of windows to segments."""

import pytest
import torch

from ops.live.segments import LastMean, centred_means, find_segments, stretches
from ops.live.windows import Told

LABELS = [0, 0, 1, 1, 1, 0]  # of windows of 4 s, one every 2 s
SCORES = [0.9, 0.7, 0.6, 0.8, 0.4, 0.6]


def told(labels=LABELS, scores=SCORES) -> list[Told]:
    found = []
    for i, (label, score) in enumerate(zip(labels, scores, strict=True)):
        probabilities = torch.full((3,), (1 - score) / 2)
        probabilities[label] = score
        found.append(Told(20 * i, 20 * i + 39, 2.0 * i, 2.0 * i + 4, probabilities))
    return found


def test_a_window_speaks_for_the_time_around_its_middle():
    assert stretches(told()) == [(0, 3), (3, 5), (5, 7), (7, 9), (9, 11), (11, 14)]
    assert stretches(told()[:1]) == [(0, 4)]


def test_neighbouring_windows_of_one_class_are_one_segment():
    segments = find_segments(told())
    assert [segment[:3] for segment in segments] == [(0, 0, 5), (1, 5, 11), (0, 11, 14)]
    assert [segment.score for segment in segments] == pytest.approx([0.8, 0.6, 0.6])


def test_windows_below_the_threshold_belong_to_none():
    assert [segment[:3] for segment in find_segments(told(), threshold=0.65)] == [(0, 0, 5), (1, 7, 9)]
    assert find_segments(told(), threshold=0.95) == []
    gap = find_segments(told([1, 1, 1], [0.9, 0.4, 0.9]), threshold=0.5)
    assert [segment[:3] for segment in gap] == [(1, 0, 3), (1, 5, 8)]


def test_smoothing_takes_neighbours_on_both_sides_and_live_those_of_before():
    values = [torch.tensor([float(i)]) for i in (0, 3, 6, 3)]
    assert [mean.item() for mean in centred_means(values, 3)] == [1.5, 3, 4, 4.5]
    assert [mean.item() for mean in centred_means(values, 2)] == [1.5, 4.5, 4.5, 3]
    assert [mean.item() for mean in centred_means(values, 1)] == [0, 3, 6, 3]
    last = LastMean(3)
    assert [last(value).item() for value in values] == [0, 1.5, 3, 4]
