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
    assert [stage for stage in net.stages if net.blocks(stage)] == [*arch.block_stages]
    assert [stage for stage in net.stages if net.spatial_convs(stage)] == [*arch.spatial_stages]
    for stage in arch.block_stages:
        for place in [*net.shift_places(stage), *net.spatial_convs(stage)]:
            assert isinstance(place.module, nn.Conv2d) and place.module.in_channels == place.channels
    x = torch.zeros(2, 10, 64, 64, device="meta")
    for stage in net.stages:
        x = net.run_stage(stage, x)
        assert x.shape[1] == net.channels[stage]
    assert net.pool(x).shape == (2, net.feature_dim)


@pytest.mark.parametrize("name", ARCHS)
def test_blocks_see_as_many_channels_as_is_said_and_can_be_replaced(name):
    with torch.device("meta"):
        net = ARCHS[name].build()
    seen, expected = [], []

    class Look(nn.Module):
        def forward(self, x):
            seen.append(x.shape[1])
            return self.inner(x)

    for place in [place for stage in net.stages for place in net.blocks(stage)]:
        look = Look()
        look.inner = place.module
        place.put(look)
        expected.append(place.channels)
    x = torch.zeros(2, 3, 64, 64, device="meta")
    for stage in net.stages:
        x = net.run_stage(stage, x)
    assert seen == expected and bool(seen) == bool([*net.parameters()])


@pytest.mark.parametrize("name", ARCHS)
def test_the_stage_of_a_weight(name):
    """Of the stages that hold blocks; a weight of another network is in none."""
    arch = ARCHS[name]
    with torch.device("meta"):
        net = arch.build()
    for stage in arch.block_stages:
        names = {id(p): key for key, p in net.named_parameters()}
        for place in net.blocks(stage):
            assert {arch.stage_of(names[id(p)]) for p in place.module.parameters()} <= {stage}
    assert arch.stage_of("other.weight") not in arch.stages


@pytest.mark.parametrize("name", ARCHS)
def test_signs_are_those_of_a_relu_behind_every_stage(name):
    torch.manual_seed(0)
    net, x = ARCHS[name].build().eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        for stage in net.stages:
            x = net.run_stage(stage, x)
            assert x.min() >= 0 and x.any()


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
        ({"block_stages": ("b",)}, (), r"Odd must have blocks in the stages \('b',\) alone"),
        ({"spatial_stages": ("a",)}, (), r"Odd must have 3x3 convolutions in the stages \('a',\) alone"),
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
