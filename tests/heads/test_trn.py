"""Temporal relations: their equations, their tuples, and that testing draws none."""

from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ops.heads import HEADS
from ops.heads.trn import TRN_MLPS, draw_tuples
from ops.models import build_model
from ops.training.optim import parameter_groups

SHARED = {"consensus_type": "TRNmultiscale", "trn_mlps": "shared", "trn_tuples": "seeded"}
FORMS = [{"consensus_type": "TRN"}, SHARED, SHARED | {"trn_mlps": "per_tuple"}, SHARED | {"trn_tuples": "all"}]


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def multiscale(g=4, mlps="shared", tuples="seeded", num_class=2):
    torch.manual_seed(0)
    return HEADS["TRNmultiscale"](8, num_class, g, mlps, tuples)


# ---------------------------------------------------------------- published sizes


@pytest.mark.parametrize("mlps, number", [("shared", 26_641_154), ("per_tuple", 31_858_310)])
def test_parameters_of_resnet50_and_174_classes(mlps, number):
    with torch.device("meta"):
        model = build_model("resnet50", 174, 8, cluster="none", **SHARED | {"trn_mlps": mlps})
    assert count(model) == number
    assert count(model.consensus) + count(model.new_fc) == number - 23_508_032


def test_parameters_of_the_single_scale():
    assert count(HEADS["TRN"](2048, 174, 8)) == 8 * 256 * 512 + 512 + 512 * 174 + 174


def test_key_names_are_those_of_published_files():
    names = {f"fc_fusion_scales.{i}.{j}.{kind}" for i in range(7) for j in (1, 3) for kind in ("weight", "bias")}
    head = multiscale(8)
    assert head.state_dict().keys() == names
    assert head.fc_fusion_scales[0][1].in_features == 8 * 256 and head.fc_fusion_scales[6][1].in_features == 2 * 256


# ---------------------------------------------------------------- equations


@torch.no_grad()
def test_a_relation_by_hand():
    """Two representations; of 512 hidden units, one adds up the first features of both, ahead of which is a ReLU."""
    head = HEADS["TRN"](8, 2, 2)
    for layer in (head.classifier[1], head.classifier[3]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    head.classifier[1].weight[0, 0], head.classifier[1].weight[0, 256] = 1, 10  # first feature of each
    head.classifier[1].bias[0] = -1
    head.classifier[3].weight[:, 0] = torch.tensor([1.0, -2.0])
    x = torch.zeros(3, 2, 256)
    x[0, :, 0] = torch.tensor([3.0, 2.0])  # 3 + 20 - 1
    x[1, :, 0] = torch.tensor([-3.0, 2.0])  # 20 - 1
    x[2, :, 0] = torch.tensor([0.5, -2.0])  # 0.5 - 1 < 0
    assert head(x).tolist() == [[22.0, -44.0], [19.0, -38.0], [0.0, 0.0]]


class Recorder(nn.Module):
    """In place of a scale's MLPs: keeps the numbers of the representations that it is shown."""

    def forward(self, x, every):
        self.seen = x.unflatten(2, (-1, 256))[0, :, :, 0].long().tolist()
        self.every = every
        return x.new_zeros(len(x), 2)


def tuples_seen(head, *args):
    g = head.num_segments
    head.fc_fusion_scales = nn.ModuleList(Recorder() for _ in head.scales)
    head(torch.arange(g).float()[None, :, None].expand(1, g, 256), *args)
    return [recorder.seen for recorder in head.fc_fusion_scales]


def test_which_tuples_are_seen():
    seen = tuples_seen(multiscale(8))
    assert [len(tuples) for tuples in seen] == [1, 3, 3, 3, 3, 3, 3] and seen[0] == [[0, 1, 2, 3, 4, 5, 6, 7]]
    for scale, tuples in zip(range(8, 1, -1), seen, strict=True):
        assert all(len(some) == scale and some == sorted({*some}) and {*some} <= {*range(8)} for some in tuples)
    assert tuples_seen(multiscale(8)) == seen  # whatever the weights, in testing always the same
    every = tuples_seen(multiscale(8, tuples="all"))
    assert [len(tuples) for tuples in every] == [1, 8, 28, 56, 70, 56, 28] and sum(map(len, every)) == 247
    head = multiscale(8, tuples="all")
    drawn = tuples_seen(head, head.draw(np.random.default_rng(0)))
    assert [len(tuples) for tuples in drawn] == [1, 3, 3, 3, 3, 3, 3]


@given(st.integers(2, 20), st.integers(0, 99))
def test_tuples_are_distinct_and_ordered(g, seed):
    for scale in range(2, g + 1):
        tuples = draw_tuples(g, scale, np.random.default_rng(seed))
        assert len({*tuples}) == len(tuples) == min(3, comb(g, scale))
        assert all(list(some) == sorted({*some}) and len(some) == scale and some[-1] < g for some in tuples)


def test_every_tuple_is_as_likely():
    rng, counts = np.random.default_rng(0), dict.fromkeys(combinations(range(5), 2), 0)
    for _ in range(1000):
        for some in draw_tuples(5, 2, rng):
            counts[some] += 1
    assert min(counts.values()) > 240 and max(counts.values()) < 360  # 300 each


@torch.no_grad()
@pytest.mark.parametrize("mlps", ["shared", "per_tuple"])
def test_all_tuples_give_the_mean_of_training(mlps):
    """Of four pairs or more, three are drawn in any order; all of them give the mean over these draws."""
    torch.manual_seed(0)
    relate = TRN_MLPS[mlps](2, 3, 5).double()
    x = torch.randn(2, 4, 512, dtype=torch.float64)
    draws = [relate(x[:, list(some)], every=False) for some in permutations(range(4), 3)]
    torch.testing.assert_close(torch.stack(draws).mean(0), relate(x, every=True))
    assert not torch.allclose(draws[0], draws[-1])


def test_each_mlp_has_its_own_tuple():
    head = multiscale(3, "per_tuple").fc_fusion_scales[1]  # pairs
    assert len(head) == 3 and len(multiscale(3, "per_tuple").fc_fusion_scales[0]) == 3
    x = torch.randn(1, 3, 512, requires_grad=True)
    expected = sum(mlp(x[:, j]) for j, mlp in enumerate(head))
    torch.testing.assert_close(head(x, every=False), expected)
    one = x[:, :1]
    torch.testing.assert_close(head(one, every=False), sum(mlp(one[:, 0]) for mlp in head))


# ---------------------------------------------------------------- in the network


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_shapes_gradients_and_an_empty_batch(options):
    model = build_model("resnet_thin", 5, 4, **options)
    frames = torch.randint(0, 256, (11, 3, 32, 32), dtype=torch.uint8)
    logits = model(frames, torch.tensor([4, 7]), (0, 0, 0, 0))
    assert logits.shape == (2, 5) and model.new_fc.out_features == 256
    assert {group["name"] for group in parameter_groups(model)} == {"weights", "biases", "norms"}
    logits.square().sum().backward()
    for name, parameter in [*model.consensus.named_parameters(), *model.new_fc.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.any(), name
    model.zero_grad()
    empty = model(frames[:0], torch.tensor([], dtype=torch.int64))
    assert empty.shape == (0, 5)
    empty.sum().backward()
    assert all(parameter.grad is not None for parameter in model.consensus.parameters())


def test_training_draws_by_the_key_and_testing_never():
    model = build_model("resnet_thin", 5, 6, dropout=0.0, partial_bn=False, cluster="none", **SHARED)
    nn.init.normal_(model.new_fc.weight)
    frames, lengths = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8), torch.tensor([6, 6])
    with torch.no_grad():
        logits = {key: model(frames, lengths, (0, *key, 0)) for key in ((0, 0), (0, 1), (1, 0))}
        assert torch.equal(logits[0, 0], model(frames, lengths, (0, 0, 0, 0)))
        assert not torch.equal(logits[0, 0], logits[0, 1]) and not torch.equal(logits[0, 0], logits[1, 0])
        model.eval()
        tested = model(frames, lengths, (0, 0, 0, 0))
        assert torch.equal(tested, model(frames, lengths, (0, 1, 0, 0)))
        torch.testing.assert_close(tested[:1], model(frames[:6], lengths[:1]))


@pytest.mark.parametrize(
    "g, options, message",
    [
        (1, SHARED, "head TRNmultiscale relates at least 2 representations"),
        (16, SHARED | {"trn_tuples": "all"}, "head TRNmultiscale has 65519 tuples of 16 representations"),
    ],
)
def test_heads_that_cannot_be(g, options, message):
    with pytest.raises(ValueError, match=message):
        build_model("resnet_thin", 5, g, **options)
