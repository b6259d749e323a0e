"""Scores of representations -> scores of a video."""

import torch

from ops.heads.average import CONSENSUS, video_scores

SCORES = torch.tensor([[[1.0, 5.0], [3.0, 6.0]], [[0.0, 0.0], [-2.0, 8.0]]])  # (n, g, K)


def test_average_is_over_representations():
    assert CONSENSUS["avg"](SCORES).tolist() == [[2.0, 5.5], [-1.0, 4.0]]


def test_identity_keeps_all():
    assert torch.equal(CONSENSUS["identity"](SCORES), SCORES)


def test_names():
    assert list(CONSENSUS) == ["avg", "identity"]


def test_video_scores_of_either():
    assert video_scores(SCORES).tolist() == [[2.0, 5.5], [-1.0, 4.0]]
    assert video_scores(SCORES[0]).tolist() == [[1.0, 5.0], [3.0, 6.0]]
