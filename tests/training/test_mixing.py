"""Videos of a batch mixed with each other: shares, boxes, targets."""

import numpy as np
import pytest
import torch
from torch import nn

from ops.data.loading import VideoBatch
from ops.models import build_model
from ops.training.engine import train_one_epoch
from ops.training.mixing import Mix, Mixing
from ops.training.optim import build_sgd
from ops.training.stepping import Stepping

MAPS = torch.arange(3.0).repeat_interleave(2)[:, None, None, None].expand(6, 5, 4, 4)  # video k of 2 steps is all k


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_sum_with_the_video_before():
    mix = Mix(0.75)
    x = mix(MAPS, 3)
    assert x[:, 0, 0, 0].tolist() == [0.5, 0.5, 0.75, 0.75, 1.75, 1.75] and mix.share == 0.75
    assert mix.targets(torch.tensor([0, 1, 1]), 3).tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 1, 0]]
    assert mix.heavier(torch.tensor([0, 1, 2])).tolist() == [0, 1, 2]
    assert Mix(0.25).heavier(torch.tensor([0, 1, 2])).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    "share, centre, box, stays",
    [
        (0.75, (0.5, 0.5), (slice(1, 3), slice(1, 3)), 0.75),
        (0.75, (0.0, 1.0), (slice(0, 1), slice(3, 4)), 15 / 16),  # cut off by the edge
        (0.0, (0.5, 0.5), (slice(0, 4), slice(0, 4)), 0.0),
        (1.0, (0.5, 0.5), (slice(0, 0), slice(0, 0)), 1.0),
    ],
)
def test_a_box_of_the_video_before(share, centre, box, stays):
    mix = Mix(share, centre)
    x, expected = mix(MAPS, 3), MAPS.clone()
    expected[(..., *box)] = MAPS.roll(2, 0)[(..., *box)]
    assert torch.equal(x, expected) and mix.share == stays
    assert mix.targets(torch.tensor([0, 1, 2]), 3)[1].tolist() == [1 - stays, stays, 0]


def test_a_video_alone_stays_what_it_is():
    for mix in (Mix(0.3), Mix(0.3, (0.5, 0.5))):
        assert torch.equal(mix(MAPS[:2], 1), MAPS[:2])
        torch.testing.assert_close(mix.targets(torch.tensor([1]), 2), torch.tensor([[0.0, 1.0]]))


def test_what_is_drawn():
    drawn = [Mixing(mixup=0.2, cutmix=1.0).draw(rng(seed)) for seed in range(400)]
    assert 150 < sum(mix.centre is not None for mix in drawn) < 250
    assert {Mixing(mixup=1.0).draw(rng(seed)).centre for seed in range(9)} == {None}
    assert None not in {Mixing(cutmix=1.0).draw(rng(seed)).centre for seed in range(9)}
    assert np.mean([Mixing(mixup=4.0).draw(rng(seed)).share for seed in range(400)]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("cluster, frames", [("cumulative", (3, 5)), ("none", (2, 2))])
def test_training_on_mixtures(cluster, frames):
    """Of videos of different lengths; the same draw gives the same weights, and the heavier label counts."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (sum(frames), 3, 32, 32), dtype=torch.uint8, generator=generator)
    batch = VideoBatch(pixels, torch.tensor(frames), torch.tensor([0, 1]), ["a", "b"])
    left, confusions = [], []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = build_model("resnet_thin", 4, 2, cluster=cluster, dropout=0.0)
        nn.init.normal_(model.new_fc.weight, 0, 0.1)
        optimizer, stepping = build_sgd(model, 0.01, 0, 0), Stepping(mixing=Mixing(mixup=1.0))
        result = train_one_epoch(model, [batch], optimizer, torch.device("cpu"), key=(seed, 0), stepping=stepping)
        left.append(model.new_fc.weight.detach())
        confusions.append(result.confusion)
    assert torch.equal(left[0], left[1]) and not torch.equal(left[0], left[2])
    assert confusions[0].sum(1).tolist() == [1, 1, 0, 0]
