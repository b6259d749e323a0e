"""Files of other programs: the same weights under other names, or another network, whose maker is named."""

import re

import pytest
import torch
from torchvision.models import resnet18, resnet34

from ops.errors import InputError
from ops.models import build_model
from ops.training.checkpoint import load_pretrained, load_weights
from ops.training.layouts import summarise, translate

TORCHVISION = resnet18(num_classes=5).state_dict()
BODY = {key: value for key, value in TORCHVISION.items() if not key.startswith("fc.")}


def prefixed(prefix, weights):
    return {prefix + key: value for key, value in weights.items()}


def mmaction2(key):
    """Its `ConvModule` holds a convolution and the BatchNorm behind it; a shifted convolution is wrapped in `net`."""
    key = re.sub(r"\bconv(\d)\.weight", r"conv\1.conv.weight", key)
    key = re.sub(r"\bbn(\d)\.", r"conv\1.bn.", key)
    key = key.replace("downsample.0.", "downsample.conv.").replace("downsample.1.", "downsample.bn.")
    return "backbone." + key.replace(
        "conv1.conv.weight", "conv1.conv.net.weight" if "layer" in key else "conv1.conv.weight"
    )


HEAD = {"cls_head.fc_cls.weight": TORCHVISION["fc.weight"], "cls_head.fc_cls.bias": TORCHVISION["fc.bias"]}
LAYOUTS = {
    "torchvision": TORCHVISION,
    "lightning": prefixed("model.", TORCHVISION),
    "lightning around a backbone": prefixed("model.backbone.", TORCHVISION),
    "mmaction": prefixed("backbone.", BODY) | HEAD,
    "mmaction2": {mmaction2(key): value for key, value in BODY.items()} | HEAD,
    "mmpretrain": prefixed("backbone.", BODY) | {f"head.{key}": TORCHVISION[key] for key in ("fc.weight", "fc.bias")},
    "tsm without dropout": prefixed("base_model.", TORCHVISION),
}


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_weights_in_every_layout(tmp_path, layout, shift):
    model = build_model("resnet18", 5, 4, shift=shift)
    weights, left_out = translate(LAYOUTS[layout], model.state_dict(), layout)
    assert left_out == [] and load_weights(model, weights, layout, tune=True) == []
    loaded = {key.replace(".net.", "."): value for key, value in model.state_dict().items()}
    assert all(torch.equal(loaded[f"base_model.{key}"], value) for key, value in BODY.items())
    assert torch.equal(loaded["new_fc.weight"], TORCHVISION["fc.weight"])

    torch.save({"state_dict": LAYOUTS[layout]}, tmp_path / "x.pth")
    backbone = build_model("resnet18", 5, 4, shift=shift).base_model
    left_out = load_pretrained(backbone, "resnet18", str(tmp_path / "x.pth"))
    assert len(left_out) == 2 and torch.equal(backbone.conv1.weight, BODY["conv1.weight"])


def test_a_network_within_a_larger_file():
    """MoCo's has the encoder that trains, the one that follows it, and a queue."""
    other = {key: value + 1 for key, value in BODY.items()}
    weights = prefixed("encoder_q.", BODY) | prefixed("encoder_k.", other) | {"queue": torch.ones(2)}
    model = build_model("resnet18", 5, 4)
    weights, left_out = translate(weights, model.state_dict(), "x.pth")
    assert summarise(left_out) == f"encoder_k ({len(BODY)}), queue (1)"
    assert load_weights(model, weights, "x.pth", tune=True) == ["new_fc.weight", "new_fc.bias"]
    assert torch.equal(model.base_model.conv1.weight, BODY["conv1.weight"])


def test_two_networks_of_equal_rights():
    weights = prefixed("backbone.", BODY) | prefixed("model.", BODY)
    with pytest.raises(
        InputError, match=r"x.pth holds several networks: backbone.conv1.weight and model.conv1.weight are"
    ):
        translate(weights, build_model("resnet18", 5, 4).state_dict(), "x.pth")


@pytest.mark.parametrize("prefix", ["", "model.", "base_model."])
def test_a_deeper_network_of_the_same_kind_is_not_loaded_in_part(tmp_path, prefix):
    torch.save(prefixed(prefix, resnet34().state_dict()), tmp_path / "x.pth")
    with pytest.raises(
        InputError, match=r"x.pth holds another network \(.*layer1.2.conv1.weight is not here; 96 tensors"
    ):
        load_pretrained(build_model("resnet18", 5, 4).base_model, "resnet18", str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    "key, reason",
    [
        ("s1.pathway0_stem.conv.weight", "its names are those of SlowFast, whose networks are not here"),
        ("blocks.1.res_blocks.0.branch2.conv_a.weight", "its names are those of PyTorchVideo"),
        ("backbone.bottom_up.res2.0.conv1.norm.weight", "its names are those of Detectron2"),
        ("resnet.embedder.embedder.convolution.weight", "its names are those of Hugging Face"),
        ("blocks.0.attn.qkv.weight", "its names are those of a vision transformer"),
        ("features.denseblock1.weight", "use its flags"),
    ],
)
@pytest.mark.parametrize("tune", [True, False])
def test_networks_that_are_not_here_are_named(key, reason, tune):
    model = build_model("resnet_thin", 5, 4)
    weights = {key: torch.ones(2, 2)}
    with pytest.raises(InputError, match=rf"^x.pth holds another network \(.*\); {reason}"):
        if tune:
            translate(weights, model.state_dict(), "x.pth")
        load_weights(model, weights, "x.pth")


def test_a_network_of_3d_convolutions_is_named():
    model = build_model("resnet_thin", 5, 4)
    weights = {key: v[:, :, None] if v.ndim == 4 else v for key, v in model.state_dict().items()}
    with pytest.raises(InputError, match=r"its convolutions are 3-D, and those here 2-D$"):
        load_weights(model, weights, "x.pth", tune=True)
    with pytest.raises(InputError, match=r"use its flags$"):
        load_weights(model, build_model("resnet_thin", 5, 4, non_local=True).state_dict(), "x.pth", tune=True)
