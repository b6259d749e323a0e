"""TSN's parameter groups and the schedules, as numbers."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.training.optim import SCHEDULES, build_sgd, load_momenta, parameter_groups, set_lr


def thin(**options):
    return build_model("resnet_thin", 4, 4, **options)


def multipliers(groups):
    return {group["name"]: (group["lr_mult"], group["decay_mult"]) for group in groups}


# ---------------------------------------------------------------- groups


def test_multipliers():
    assert multipliers(parameter_groups(thin(non_local=True))) == {
        "weights": (1, 1),
        "biases": (2, 0),
        "norms": (1, 0),
        "fast weights": (5, 1),
        "fast biases": (10, 0),
    }
    assert multipliers(parameter_groups(thin(), boost_classifier=False)) == {
        "weights": (1, 1),
        "biases": (2, 0),
        "norms": (1, 0),
    }


def test_what_is_in_a_group():
    model = thin(non_local=True, partial_bn=False)
    groups = {group["name"]: {id(p) for p in group["params"]} for group in parameter_groups(model)}
    block = model.base_model.layer2[0]
    for parameter, group in [
        (model.base_model.conv1.weight, "weights"),
        (block.nl.theta.weight, "weights"),
        (block.nl.theta.bias, "biases"),
        (model.base_model.bn1.weight, "norms"),
        (model.base_model.bn1.bias, "norms"),
        (block.nl.W[1].weight, "norms"),
        (model.new_fc.weight, "fast weights"),
        (model.new_fc.bias, "fast biases"),
    ]:
        assert [name for name, members in groups.items() if id(parameter) in members] == [group]


@pytest.mark.parametrize("boost", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"partial_bn": False},
        {"shift": True, "cluster": "none"},
        {"non_local": True, "temporal_pool": True, "partial_bn": False},
    ],
)
def test_every_trainable_parameter_is_in_exactly_one_group(options, boost):
    model = thin(**options)
    grouped = [id(p) for group in parameter_groups(model, boost) for p in group["params"]]
    trainable = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def test_partial_batchnorm_leaves_one_norm_to_train():
    norms = {g["name"]: len(g["params"]) for g in parameter_groups(thin(partial_bn=True))}["norms"]
    assert norms == 2  # weight and bias of the first
    assert {g["name"]: len(g["params"]) for g in parameter_groups(thin(partial_bn=False))}["norms"] == 24


# ---------------------------------------------------------------- SGD


def test_rates_and_decays():
    optimizer = build_sgd(thin(), lr=0.01, momentum=0.8, weight_decay=5e-4)
    figures = {g["name"]: (g["lr"], g["weight_decay"], g["momentum"]) for g in optimizer.param_groups}
    assert figures == {
        "weights": (0.01, 5e-4, 0.8),
        "norms": (0.01, 0, 0.8),
        "fast weights": (0.05, 5e-4, 0.8),
        "fast biases": (0.1, 0, 0.8),
    }
    set_lr(optimizer, 0.002)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.002, 0.002, 0.01, 0.02])


def test_one_step_by_hand():
    """Without momentum a step is -lr * lr_mult * (gradient + decay * weight)."""
    model = thin()
    optimizer = build_sgd(model, lr=0.1, momentum=0, weight_decay=0.5)
    for p in model.parameters():
        p.data.fill_(1)
        p.grad = torch.full_like(p, 2.0)
    optimizer.step()
    for p, expected in [
        (model.base_model.conv1.weight, 1 - 0.1 * 2.5),
        (model.base_model.bn1.bias, 1 - 0.1 * 2),
        (model.new_fc.weight, 1 - 0.5 * 2.5),
        (model.new_fc.bias, 1 - 1.0 * 2),
        (model.base_model.layer1[0].bn1.weight, 1),
    ]:
        torch.testing.assert_close(p.detach(), torch.full_like(p, expected))


def trained(model, **options):
    optimizer = build_sgd(model, **{"lr": 0.1, "momentum": 0.9, "weight_decay": 0} | options)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    return optimizer


def test_momenta_go_on_under_this_runs_rates():
    stored = trained(thin()).state_dict()
    model = thin()
    optimizer = build_sgd(model, lr=0.3, momentum=0.5, weight_decay=0.1)
    load_momenta(optimizer, stored)
    assert [(g["lr"], g["momentum"], g["weight_decay"]) for g in optimizer.param_groups][0] == (0.3, 0.5, 0.1)
    assert torch.equal(optimizer.state[model.new_fc.bias]["momentum_buffer"], torch.ones(4))


@pytest.mark.parametrize("other", [{"partial_bn": False}, {"non_local": True}])
def test_momenta_of_other_groups_are_refused(other):
    stored = trained(thin(**other)).state_dict()
    with pytest.raises(ValueError, match="parameter groups differ"):
        load_momenta(build_sgd(thin(), 0.1, 0.9, 0), stored)


def test_momenta_with_and_without_a_boosted_classifier_are_not_mixed():
    stored = trained(thin(), boost_classifier=False).state_dict()
    with pytest.raises(ValueError, match="parameter groups differ"):
        load_momenta(build_sgd(thin(), 0.1, 0.9, 0), stored)


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize("epoch, lr", [(0, 0.02), (19, 0.02), (20, 0.002), (39, 0.002), (40, 0.0002), (99, 0.0002)])
def test_step_schedule(epoch, lr):
    assert SCHEDULES["step"](0.02, epoch, 100, (20, 40)) == pytest.approx(lr, rel=1e-12)
    assert SCHEDULES["step"](0.02, epoch, 100, (40, 20)) == pytest.approx(lr, rel=1e-12)


@pytest.mark.parametrize("epoch, lr", [(0, 0.02), (10, 0.0170710678), (20, 0.01), (30, 0.0029289322)])
def test_cosine_schedule(epoch, lr):
    assert SCHEDULES["cos"](0.02, epoch, 40, ()) == pytest.approx(lr, rel=1e-8)


def test_cosine_never_rises_and_never_stops_before_the_end():
    rates = [SCHEDULES["cos"](1.0, epoch, 7, (2,)) for epoch in range(7)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


def test_schedules_by_name():
    assert list(SCHEDULES) == ["step", "cos"]


def test_unused_bias_free_layers_are_no_trouble():
    model = thin()
    assert not any(isinstance(m, nn.Conv2d) and m.bias is not None for m in model.modules())
    assert "biases" not in multipliers(parameter_groups(model))
