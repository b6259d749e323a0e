"""Losses with smoothed labels, weights of classes and mixed targets, by hand."""

import math

import pytest
import torch

from ops.training.losses import CLASS_WEIGHTS, video_losses

LOGITS = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # probabilities 1/4 and 3/4; 1/2 and 1/2
LABELS = torch.tensor([1, 0])


def test_smoothed_labels():
    right, wrong = math.log(4 / 3), math.log(4)
    assert video_losses(LOGITS, LABELS, 0.2).tolist() == pytest.approx([0.9 * right + 0.1 * wrong, math.log(2)])


def test_weights_multiply_and_are_not_divided_by():
    weights = torch.tensor([0.5, 3.0])
    assert video_losses(LOGITS, LABELS, weights=weights).tolist() == pytest.approx(
        [3 * math.log(4 / 3), 0.5 * math.log(2)]
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 3.0])])
def test_targets_that_are_one_class_are_labels(smoothing, weights):
    each = torch.stack([LOGITS, LOGITS.flip(1)], 1)  # (n, g, K)
    for logits in (LOGITS, each):
        as_labels = video_losses(logits, LABELS, smoothing, weights)
        as_shares = video_losses(logits, torch.eye(2)[LABELS], smoothing, weights)
        torch.testing.assert_close(as_shares, as_labels)
        halves = video_losses(logits, torch.full((2, 2), 0.5), smoothing, weights)
        torch.testing.assert_close(
            halves,
            (as_labels + video_losses(logits, 1 - LABELS, smoothing, weights)) / 2 if weights is None else halves,
        )


def test_balanced_classes():
    weights = CLASS_WEIGHTS["balanced"]([0, 0, 0, 2], 4)
    assert weights.tolist() == pytest.approx([4 / 6, 1, 2, 1])
    assert weights[torch.tensor([0, 0, 0, 2])].mean() == pytest.approx(1)
    assert CLASS_WEIGHTS["none"]([0, 1], 2) is None
