"""Backbones: torchvision's weights by name and shape, its features in numbers, and the stages."""

import pytest
import torch
import torchvision
from torch import nn

from archs import ARCHS
from archs.resnet import RESNETS, STAGES
from ops.training.checkpoint import load_pretrained

TORCHVISION = {"resnext50": "resnext50_32x4d"}
FULL = [arch for arch in RESNETS if arch != "resnet_thin"]


def torchvision_net(arch):
    return getattr(torchvision.models, TORCHVISION.get(arch, arch))(weights=None)


def shapes(net):
    return {name: tuple(value.shape) for name, value in net.state_dict().items() if not name.startswith("fc.")}


def test_archs():
    assert list(RESNETS) == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50", "resnet_thin"]


@pytest.mark.parametrize("arch", FULL)
def test_weights_have_torchvision_names_and_shapes(arch):
    with torch.device("meta"):
        assert shapes(ARCHS[arch].build()) == shapes(torchvision_net(arch))


@pytest.mark.parametrize("arch", FULL)
def test_imagenet_weights_are_torchvisions_own(arch):
    entry = torchvision.models.get_weight(ARCHS[arch].weights)
    assert entry.name == "IMAGENET1K_V1"
    assert type(entry) is torchvision.models.get_model_weights(TORCHVISION.get(arch, arch))


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "resnext50"])
@pytest.mark.parametrize("counters", [True, False], ids=["", "old file"])
def test_features_equal_torchvisions(arch, counters, tmp_path):
    """torchvision's own files come without BatchNorm's counters."""
    torch.manual_seed(0)
    theirs, ours = torchvision_net(arch).eval(), ARCHS[arch].build().eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
    weights = {name: v for name, v in theirs.state_dict().items() if counters or "num_batches" not in name}
    torch.save(weights, tmp_path / "imagenet.pth")
    load_pretrained(ours, arch, str(tmp_path / "imagenet.pth"))
    theirs.fc = nn.Identity()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs(x)
        for stage in STAGES:
            x = ours.run_stage(stage, x)
        assert expected.std() > 0.01
        torch.testing.assert_close(ours.pool(x), expected)


def test_stages_of_resnet18():
    net, x, seen = ARCHS["resnet18"].build().eval(), torch.zeros(1, 3, 64, 64), []
    with torch.inference_mode():
        for stage in STAGES:
            x = net.run_stage(stage, x)
            seen.append(tuple(x.shape[1:]))
    assert seen == [(64, 16, 16), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert net.pool(x).shape == (1, 512)


@pytest.mark.parametrize("arch, channels", [("resnet18", [64, 128, 256, 512]), ("resnet50", [256, 512, 1024, 2048])])
def test_channels_and_feature_dim(arch, channels):
    with torch.device("meta"):
        net = ARCHS[arch].build()
    assert list(net.channels.values()) == [64, *channels] and net.feature_dim == channels[-1]


def test_thin_resnet_is_small_with_one_block_a_stage():
    net = ARCHS["resnet_thin"].build()
    assert 100_000 <= sum(p.numel() for p in net.parameters()) <= 300_000
    assert [len(getattr(net, stage)) for stage in STAGES[1:]] == [1, 1, 1, 1]


@pytest.mark.parametrize("side", [16, 30, 33, 224])
def test_thin_resnet_takes_any_side(side):
    net, x = ARCHS["resnet_thin"].build().eval(), torch.zeros(1, 3, side, side)
    with torch.inference_mode():
        for stage in STAGES:
            x = net.run_stage(stage, x)
    assert net.pool(x).shape == (1, net.feature_dim)
