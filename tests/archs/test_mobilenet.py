"""MobileNetV2: torchvision's features in numbers, TSM's names, its shift, and stages that end with a ReLU6."""

import pytest
import torch
import torchvision
from torch import nn

from archs import ARCHS
from ops.models import build_model
from ops.temporal.shift import TemporalShift
from ops.training.checkpoint import load_checkpoint, load_pretrained, load_weights
from ops.training.layouts import flat_name, translate

SHIFTED = ["3", "5", "6", "8", "9", "10", "12", "13", "15", "16"]


def count(model):
    return sum(p.numel() for p in model.parameters())


def random_torchvision(num_classes=1000):
    """torchvision's network with statistics that differ from a new one's."""
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v2(num_classes=num_classes).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return net


@pytest.mark.parametrize("classes, parameters", [(400, 2_736_272), (174, 2_446_766), (27, 2_258_459)])
def test_parameters(classes, parameters):
    with torch.device("meta"):
        assert count(ARCHS["mobilenetv2"].build()) == 2_223_872
        assert count(build_model("mobilenetv2", classes, 8, shift=True)) == parameters


def test_stages():
    """At 224 pixels; behind the expansion of a block that changes the number of channels or the size."""
    arch = ARCHS["mobilenetv2"]
    with torch.device("meta"):
        net, x, seen = arch.build(), torch.zeros(1, 3, 224, 224), {}
        for stage in net.stages:
            x = net.run_stage(stage, x)
            seen[stage] = tuple(x.shape[1:3])
    assert seen == {
        "features0": (32, 112),
        "expand2": (96, 112),
        "expand4": (144, 56),
        "expand7": (192, 28),
        "expand11": (384, 14),
        "expand14": (576, 14),
        "expand17": (960, 7),
        "features18": (1280, 7),
    }
    assert arch.cluster_after == "expand4"


def test_imagenet_weights_are_torchvisions_own():
    entry = torchvision.models.get_weight(ARCHS["mobilenetv2"].weights)
    assert entry is torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1


def test_input_of_tensorflows_weights():
    model = build_model("mobilenetv2_tf", 2, 2)
    x = model.to_input(torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1))
    torch.testing.assert_close(x.flatten(), torch.tensor([-1, 1, -0.6]))


def test_tsms_names():
    """Flat sequences in a block; the names of the first block and of one that is shifted."""
    with torch.device("meta"):
        names = build_model("mobilenetv2", 400, 8, cluster="none", shift=True).state_dict().keys()
    weights = {name.removeprefix("base_model.") for name in names if name.endswith(".weight")}
    assert {"features.0.0.weight", "features.0.1.weight", "features.18.0.weight", "new_fc.weight"} <= weights
    of_block = {name for name in weights if name.startswith("features.1.")}
    assert of_block == {f"features.1.conv.{i}.weight" for i in (0, 1, 3, 4)}
    of_block = {name for name in weights if name.startswith("features.3.")}
    assert of_block == {f"features.3.conv.{i}.weight" for i in ("0.net", 1, 3, 4, 6, 7)}


def test_shift():
    with torch.device("meta"):
        model = build_model("mobilenetv2", 400, 8, cluster="none", shift=True)
        behind = build_model("mobilenetv2", 400, 8, shift=True)
    shifted = {name: m for name, m in model.named_modules() if isinstance(m, TemporalShift)}
    assert list(shifted) == [f"base_model.features.{i}.conv.0" for i in SHIFTED]
    assert [m.net.in_channels // m.shift_div for m in shifted.values()] == [3, 4, 4, 8, 8, 8, 12, 12, 20, 20]
    names = [name for name, m in behind.named_modules() if isinstance(m, TemporalShift)]
    assert names == [f"base_model.features.{i}.conv.0" for i in SHIFTED[1:]]
    with torch.device("meta"):
        whole = build_model("mobilenetv2", 400, 8, cluster="none", shift=True, shift_place="block")
    names = [name for name, m in whole.named_modules() if isinstance(m, TemporalShift)]
    assert names == [f"base_model.features.{i}" for i in SHIFTED]


def test_names_of_torchvision_and_of_tsm():
    names = {
        "features.1.conv.0.1.bias": "features.1.conv.1.bias",
        "features.1.conv.1.weight": "features.1.conv.3.weight",
        "features.1.conv.2.weight": "features.1.conv.4.weight",
        "features.2.conv.0.0.weight": "features.2.conv.0.weight",
        "features.2.conv.1.1.running_var": "features.2.conv.4.running_var",
        "features.2.conv.2.weight": "features.2.conv.6.weight",
        "features.17.conv.3.weight": "features.17.conv.7.weight",
        "features.18.0.weight": "features.18.0.weight",
    }
    assert {name: flat_name(name) for name in names} == names
    assert {flat_name(name) for name in random_torchvision().state_dict() if name.startswith("features")} == {
        *ARCHS["mobilenetv2"].build().state_dict()
    }


def of_tsm(net, classifier):
    """A file of TSM's training program, with the weights of a network of torchvision."""
    weights = {}
    for name, value in net.state_dict().items():
        key = flat_name(name).replace("classifier.1.", f"{classifier}.")
        if key.split(".")[1] in SHIFTED and key.split(".")[3] == "0":
            key = key.replace(".conv.0.", ".conv.0.net.")
        prefix = "module." if key.startswith("new_fc.") else "module.base_model."
        weights[prefix + key] = value
    return {"state_dict": weights, "arch": "mobilenetv2", "epoch": 100}


@pytest.mark.parametrize("layout", ["torchvision", "tsm", "tsm without dropout", "online"])
def test_the_same_features_from_every_file(tmp_path, layout):
    """torchvision's, TSM's of training, and TSM's for its online model: a bare state dict that names no shift."""
    theirs = random_torchvision(27)
    plain = {flat_name(name): value for name, value in theirs.state_dict().items()}
    files = {
        "torchvision": theirs.state_dict(),
        "tsm": of_tsm(theirs, "new_fc"),
        "tsm without dropout": of_tsm(theirs, "classifier"),
        "online": {name.replace("classifier.1", "classifier"): value for name, value in plain.items()},
    }
    torch.save(files[layout], tmp_path / "x.pth")
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = theirs.features(x).mean((2, 3))
        backbone = ARCHS["mobilenetv2"].build().eval()
        left_out = load_pretrained(backbone, "mobilenetv2", str(tmp_path / "x.pth"))
        for stage in backbone.stages:
            x = backbone.run_stage(stage, x)
        torch.testing.assert_close(backbone.pool(x), expected)
    assert len(left_out) == 2 and expected.std() > 0.01
    model = build_model("mobilenetv2", 27, 8, shift=True)
    weights, left_out = translate(load_checkpoint(tmp_path / "x.pth")["state_dict"], model.state_dict(), "x.pth")
    assert (left_out, load_weights(model, weights, "x.pth", tune=True)) == ([], [])
    assert torch.equal(model.new_fc.weight, theirs.classifier[1].weight)
    if layout != "torchvision":  # the others are whole models, and load as such
        model = build_model("mobilenetv2", 27, 8, cluster="none", shift=True)
        assert load_weights(model, load_checkpoint(tmp_path / "x.pth")["state_dict"], "x.pth") == []
        assert torch.equal(model.new_fc.weight, theirs.classifier[1].weight)


def test_ours_have_the_names_of_tsms():
    model = build_model("mobilenetv2", 27, 8, cluster="none", shift=True)
    theirs = of_tsm(random_torchvision(27), "new_fc")["state_dict"]
    assert {f"module.{key}": value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in theirs.items()
    }
