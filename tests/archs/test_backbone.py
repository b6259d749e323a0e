"""What every backbone promises to the rest of the program."""

from functools import partial

import pytest
import torch
from torch import nn

from archs import ARCHS
from archs.backbone import Arch, Backbone
from ops.models import build_model
from ops.training.checkpoint import load_weights


@pytest.mark.parametrize("name", ARCHS)
def test_an_arch_and_its_backbone_agree(name):
    arch = ARCHS[name]
    with torch.device("meta"):
        net = arch.build(10)
    assert net.stages == arch.stages == tuple(net.channels) and net.in_channels == 10
    assert arch.cluster_after in arch.stages and {*arch.non_local_stages} <= {*arch.block_stages} <= {*arch.stages}
    first = net.get_submodule(net.first_conv)
    assert isinstance(first, nn.Conv2d) or not [*net.parameters()]
    assert "fc" not in dict(net.named_children())
    assert [stage for stage in net.stages if len(net.blocks(stage))] == [*arch.block_stages]
    for stage in arch.block_stages:
        for parent, child in net.shift_places(stage):
            assert isinstance(getattr(parent, child), nn.Conv2d)
    x = torch.zeros(2, 10, 64, 64, device="meta")
    for stage in net.stages:
        x = net.run_stage(stage, x)
        assert x.shape[1] == net.channels[stage]
    assert net.pool(x).shape == (2, net.feature_dim)


@pytest.mark.parametrize("name", ARCHS)
def test_stages_hold_every_weight_once(name):
    with torch.device("meta"):
        net = ARCHS[name].build()
    modules = [module for stage in net.stages for module in net.stage_modules(stage)]
    held = [parameter for module in modules for parameter in module.parameters()]
    assert sorted(map(id, held)) == sorted(map(id, net.parameters()))


class Odd(Backbone):
    """Two convolutions, of which `missing` says what is left out of what the backbone tells."""

    stages, channels, feature_dim, first_conv = ("a", "b"), {"a": 4, "b": 6}, 6, "a"

    def __init__(self, in_channels=3, missing=()):
        super().__init__()
        self.in_channels, self.missing = in_channels, missing
        self.a, self.b = nn.Conv2d(in_channels, 4, 3), nn.Conv2d(4, 6, 3)

    def stage_modules(self, stage):
        return [] if stage in self.missing else [getattr(self, stage)]

    def run_stage(self, stage, x):
        return getattr(self, stage)(x).relu()


@pytest.mark.parametrize(
    "facts, missing, message",
    [
        ({}, ("b",), "b.weight of Odd is in none of the modules that its stages run"),
        ({"stages": ("a", "c")}, (), r"Odd has the stages \('a', 'b'\), with channels .*, not \('a', 'c'\)"),
        ({"block_stages": ("b",)}, (), r"Odd must have blocks, and places for shift, in the stages \('b',\) alone"),
    ],
)
def test_a_backbone_that_is_not_as_its_arch_says(monkeypatch, facts, missing, message):
    facts = {"stages": ("a", "b"), "block_stages": (), "cluster_after": "a"} | facts
    monkeypatch.setitem(ARCHS, "odd", Arch(partial(Odd, missing=missing), **facts))
    with pytest.raises(ValueError, match=message):
        build_model("odd", 2, 4)


def test_names_inside_a_backbone_are_its_own(monkeypatch):
    """`fc`, `net` and `block` mean something in TSM's files only."""

    class Named(Odd):
        def __init__(self, in_channels=3):
            super().__init__(in_channels)
            self.b = nn.Sequential()
            self.b.add_module("fc", nn.Conv2d(4, 6, 3))
            self.b.add_module("net", nn.Sequential(nn.Conv2d(6, 6, 1)))
            self.b.add_module("0", nn.Conv2d(6, 6, 1))

    monkeypatch.setitem(ARCHS, "named", Arch(Named, stages=("a", "b"), block_stages=(), cluster_after="a"))
    model, other = build_model("named", 2, 4), build_model("named", 2, 4)
    assert load_weights(other, model.state_dict(), "x.pth") == []
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
