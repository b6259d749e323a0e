"""What every backbone promises to the rest of the program."""

import pytest
import torch
from torch import nn

from archs import ARCHS


@pytest.mark.parametrize("name", ARCHS)
def test_an_arch_and_its_backbone_agree(name):
    arch = ARCHS[name]
    with torch.device("meta"):
        net = arch.build(10)
    assert net.stages == arch.stages == tuple(net.channels) and net.in_channels == 10
    assert arch.cluster_after in arch.stages and {*arch.non_local_stages} <= {*arch.block_stages} <= {*arch.stages}
    assert isinstance(net.get_submodule(net.first_conv), nn.Conv2d) and "fc" not in dict(net.named_children())
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
