"""The head of two layers: its size, what it sees, and its run on vectors."""

import torch

from ops.heads.mlp import MLP
from ops.models import build_model


def test_parameters():
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in MLP(2048, 10, 64).parameters()) == 1_055_242


def test_it_sees_the_mean_of_any_number_of_representations():
    head, x = MLP(6, 3, 4).eval(), torch.randn(2, 4, 6)
    assert head(x).shape == (2, 3)
    torch.testing.assert_close(head(x), head(x.mean(1, keepdim=True)))


def test_nothing_stands_between_it_and_the_features():
    model = build_model("resnet_thin", 5, 3, consensus_type="MLP", dropout=0.9).eval()
    assert model.new_fc is None
    frames = torch.randint(0, 256, (11, 3, 32, 32), dtype=torch.uint8)
    lengths = torch.tensor([4, 7])
    means, _ = model.represent(frames, lengths)
    for stage in model.trunk_stages:
        means = model.base_model.run_stage(stage, means)
    expected = model.consensus(means.mean((2, 3)).unflatten(0, (2, 3)))
    torch.testing.assert_close(model(frames, lengths), expected)
