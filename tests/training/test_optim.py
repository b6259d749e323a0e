"""TSN's parameter groups and the schedules, as numbers."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.training.optim import (
    SCHEDULES,
    build_optimizer,
    build_sgd,
    load_momenta,
    parameter_groups,
    set_lr,
    warmup_share,
)


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


# ---------------------------------------------------------------- others


ADAMW = {"optimizer": "adamw", "lr": 0.01, "momentum": 0.8, "wd": 0.1, "eps": 1e-6}


def test_adam_takes_the_groups_without_faster_biases():
    optimizer = build_optimizer(thin(non_local=True), True, **ADAMW)
    figures = {g["name"]: (g["lr"], g["weight_decay"], g["betas"], g["eps"]) for g in optimizer.param_groups}
    assert figures == {
        "weights": (0.01, 0.1, (0.8, 0.999), 1e-6),
        "biases": (0.01, 0, (0.8, 0.999), 1e-6),
        "norms": (0.01, 0, (0.8, 0.999), 1e-6),
        "fast weights": (0.05, 0.1, (0.8, 0.999), 1e-6),
        "fast biases": (0.05, 0, (0.8, 0.999), 1e-6),
    }
    decoupled = {kind: build_optimizer(thin(), True, **ADAMW | {"optimizer": kind}) for kind in ("adam", "adamw")}
    for kind, expected in (("adam", 1 - 0.01), ("adamw", 1 - 0.01 * 0.1)):  # without gradient only decay is left
        model = thin()
        optimizer = build_optimizer(model, True, **ADAMW | {"optimizer": kind})
        assert type(optimizer) is type(decoupled[kind])
        model.base_model.conv1.weight.data.fill_(1)
        model.base_model.conv1.weight.grad = torch.zeros_like(model.base_model.conv1.weight)
        optimizer.step()
        assert model.base_model.conv1.weight.unique().item() == pytest.approx(expected, rel=1e-4)


def test_moments_of_adam_go_on():
    stored, model = build_optimizer(thin(), True, **ADAMW), thin()
    for group in stored.param_groups:
        for p in group["params"]:
            p.grad = torch.ones_like(p)
    stored.step()
    optimizer = build_optimizer(model, True, **ADAMW | {"lr": 0.3})
    load_momenta(optimizer, stored.state_dict())
    state = optimizer.state[model.new_fc.bias]
    assert float(state["step"]) == 1 and torch.allclose(state["exp_avg"], torch.full((4,), 0.2))
    assert optimizer.param_groups[0]["lr"] == 0.3


def test_rates_fall_from_stage_to_stage():
    model = thin(non_local=True, partial_bn=False)
    groups = parameter_groups(model, layer_decay=0.5)
    rates = {p: group["lr_mult"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    base = model.base_model
    for parameter, rate in [
        (model.new_fc.weight, 5),
        (base.layer4[0].conv1.weight, 1 / 2),
        (base.layer3[0].nl.theta.bias, 2 / 4),
        (base.layer2[0].nl.theta.weight, 1 / 8),
        (base.layer1[0].bn1.weight, 1 / 16),
        (base.conv1.weight, 1 / 32),
        (base.bn1.bias, 1 / 32),
    ]:
        assert rates[parameter] == rate


def test_a_frozen_backbone_leaves_classifier_and_head():
    model = thin(freeze_backbone=True, partial_bn=False).train()
    assert [g["name"] for g in parameter_groups(model)] == ["fast weights", "fast biases"]
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def test_non_local_blocks_freeze_with_the_backbone():
    model = thin(freeze_backbone=True, partial_bn=False, non_local=True).train()
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm3d))
    assert any(module.training for module in thin(non_local=True).modules() if isinstance(module, nn.BatchNorm3d))


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


@pytest.mark.parametrize("epoch, lr", [(0, 1.0), (5, 1.0), (15, 0.5), (20, 0.1464466)])
def test_cosine_after_a_warm_up(epoch, lr):
    assert SCHEDULES["cos"](1.0, epoch, 25, (), 5) == pytest.approx(lr)
    assert SCHEDULES["step"](1.0, epoch, 25, (9,), 5) == (1.0 if epoch < 9 else 0.1)


def test_the_warm_up_is_a_line():
    assert [warmup_share(done, 4) for done in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warmup_share(0, 0) == 1


def test_schedules_by_name():
    assert list(SCHEDULES) == ["step", "cos"]


def test_unused_bias_free_layers_are_no_trouble():
    model = thin()
    assert not any(isinstance(m, nn.Conv2d) and m.bias is not None for m in model.modules())
    assert "biases" not in multipliers(parameter_groups(model))
