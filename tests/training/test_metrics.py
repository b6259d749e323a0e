"""Running means, top-k clamped to the number of classes, mean class accuracy."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.training.metrics import RunningMean, VideoMetrics


def scores_of(*ranked, classes):
    """Rows of scores that rank the given classes first, in order."""
    rows = []
    for order in ranked:
        rest = [k for k in range(classes) if k not in order]
        rows.append([classes - [*order, *rest].index(k) for k in range(classes)])
    return torch.tensor(rows, dtype=torch.float32)


def test_running_mean_is_weighted_and_nan_while_empty():
    mean = RunningMean()
    assert math.isnan(mean.mean)
    mean.update(2.0, 3)
    mean.update(6.0)
    assert mean.mean == 3.0


def test_top1_and_top5_of_ten_classes():
    metrics = VideoMetrics(10)
    metrics.update(scores_of([3], [1, 2, 9, 0, 4], [1, 2, 9, 0, 5, 4], [7], classes=10), torch.tensor([3, 4, 4, 0]))
    assert (metrics.top1, metrics.top5, metrics.count) == (25.0, 75.0, 4)


@pytest.mark.parametrize("classes, top5", [(2, 100.0), (4, 100.0), (5, 100.0), (6, 0.0)])
def test_top5_of_few_classes(classes, top5):
    """The right class comes last of all."""
    metrics = VideoMetrics(classes)
    metrics.update(scores_of(range(1, classes), classes=classes), torch.tensor([0]))
    assert (metrics.top1, metrics.top5) == (0.0, top5)


def test_mean_class_accuracy_counts_classes_that_occur_alike():
    metrics = VideoMetrics(4)
    metrics.update(scores_of([0], [0], [0], [1], [0], classes=4), torch.tensor([0, 0, 0, 0, 2]))
    assert (metrics.top1, metrics.mean_class_accuracy) == (60.0, 37.5)
    assert metrics.confusion.tolist() == [[3, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_empty():
    metrics = VideoMetrics(3)
    assert (metrics.top1, metrics.top5, metrics.mean_class_accuracy, metrics.count) == (0.0, 0.0, 0.0, 0)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30), st.integers(1, 30))
def test_batches_do_not_matter(pairs, size):
    """However videos are cut into batches, the figures are the same."""
    scores = scores_of(*([guess] for guess, _ in pairs), classes=7)
    labels = torch.tensor([label for _, label in pairs])
    whole, parts = VideoMetrics(7), VideoMetrics(7)
    whole.update(scores, labels)
    for start in range(0, len(pairs), size):
        parts.update(scores[start : start + size], labels[start : start + size])
    figures = [(m.top1, m.top5, m.mean_class_accuracy, m.count) for m in (whole, parts)]
    assert figures[0] == figures[1]
    assert whole.top1 == pytest.approx(100 * sum(guess == label for guess, label in pairs) / len(pairs))
    assert 0 <= whole.top1 <= whole.top5 <= 100
