"""BNInception: its plan in numbers, the names of its files, and what it makes of colours."""

import pytest
import torch
from torch import nn

from archs import ARCHS
from archs.bninception import as_trained, halve
from ops.errors import InputError
from ops.models import build_model
from ops.temporal.shift import TemporalShift
from ops.training.checkpoint import load_pretrained

PUBLISHED = {  # some of a file's names, and the shapes of their weights
    "conv1_7x7_s2": (64, 3, 7, 7),
    "conv2_3x3_reduce": (64, 64, 1, 1),
    "conv2_3x3": (192, 64, 3, 3),
    "inception_3a_1x1": (64, 192, 1, 1),
    "inception_3c_double_3x3_2": (96, 96, 3, 3),
    "inception_4a_double_3x3_reduce": (96, 576, 1, 1),
    "inception_4d_3x3": (192, 128, 3, 3),
    "inception_4e_3x3": (192, 128, 3, 3),
    "inception_5a_pool_proj": (128, 1056, 1, 1),
    "inception_5b_1x1": (352, 1024, 1, 1),
}


@pytest.mark.parametrize("classes, parameters", [(400, 10_680_240), (174, 10_448_590)])
def test_parameters(classes, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in ARCHS["bninception"].build().parameters()) == 10_270_240
        assert sum(p.numel() for p in build_model("bninception", classes, 8).parameters()) == parameters


def test_stages():
    with torch.device("meta"):
        net, x, seen = ARCHS["bninception"].build(), torch.zeros(1, 3, 224, 224), []
        for stage in net.stages:
            x = net.run_stage(stage, x)
            seen.append(tuple(x.shape[1:3]))
    assert seen == [
        (64, 56),
        (192, 28),
        (256, 28),
        (320, 28),
        (576, 14),
        (576, 14),
        (576, 14),
        (608, 14),
        (608, 14),
        (1056, 7),
        (1024, 7),
        (1024, 7),
    ]


@pytest.mark.parametrize("side", [16, 33, 112, 240])
def test_any_size(side):
    net, x = ARCHS["bninception"].build().eval(), torch.zeros(1, 3, side, side)
    with torch.inference_mode():
        for stage in net.stages:
            x = net.run_stage(stage, x)
    assert net.pool(x).shape == (1, 1024)


@pytest.mark.parametrize("side, halved", [(6, [2, 4, 5]), (7, [1, 3, 5, 6]), (1, [0])])
def test_halving(side, halved):
    """Of an even number of places, the first three, then every second; of an odd number, around every second."""
    x = torch.arange(side).float().view(1, 1, side, 1).expand(-1, -1, -1, side)
    assert halve(x)[0, 0, :, 0].tolist() == halved


def test_weights_are_named_as_in_the_files():
    with torch.device("meta"):
        weights = ARCHS["bninception"].build().state_dict()
    assert {name: tuple(weights[f"{name}.weight"].shape) for name in PUBLISHED} == PUBLISHED
    layers = {key.rpartition(".")[0] for key in weights}
    assert len(layers) == 2 * 69 and {name for name in layers if not name.endswith("_bn")} == {
        name.removesuffix("_bn") for name in layers if name.endswith("_bn")
    }
    assert all(f"{name}.bias" in weights for name in layers)
    assert not {"inception_3c_1x1.weight", "inception_3c_pool_proj.weight", "inception_4e_1x1.weight"} & weights.keys()


def test_a_published_file_of_trn(tmp_path):
    """Wrapped by DataParallel; the head has no place in a backbone. Vectors of old conversions lie as rows."""
    torch.manual_seed(0)
    theirs = ARCHS["bninception"].build()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    weights = {f"module.base_model.{key}": value for key, value in theirs.state_dict().items()}
    for key, value in weights.items():
        if "_bn." in key and value.ndim == 1:
            weights[key] = value[None]
    weights |= {"module.new_fc.weight": torch.ones(256, 1024), "module.new_fc.bias": torch.ones(256)}
    weights["module.consensus.fc_fusion_scales.0.1.weight"] = torch.ones(256, 2048)
    torch.save({"epoch": 1, "arch": "BNInception", "state_dict": weights, "best_prec1": 1.0}, tmp_path / "x.pth.tar")
    ours = ARCHS["bninception"].build()
    left_out = load_pretrained(ours, "bninception", str(tmp_path / "x.pth.tar"))
    assert len(left_out) == 3
    assert all(
        torch.equal(*pair) for pair in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )


def seen_by(modality, step):
    """What the first convolution sees of one pixel, a step as loaded."""
    model, seen = build_model("bninception", 2, 2, modality=modality), []
    model.base_model.conv1_7x7_s2.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    frames = torch.tensor(step, dtype=torch.uint8).view(1, -1, 1, 1).expand(2, -1, 32, 32)
    with torch.inference_mode():
        model.eval()(frames, torch.tensor([2]))
    return [round(value, 3) for value in seen[0][0, :, 0, 0].tolist()]


def test_colours_are_blue_green_red_from_0_to_255():
    assert seen_by("RGB", [255, 117, 4]) == [4 - 104, 0, 255 - 128]
    flow = [0, 255] * 5
    assert seen_by("Flow", flow) == [-127.5, 127.5] * 5
    frames = [[0, 0, 0], [1, 2, 3], [1, 2, 3], [5, 5, 5], [0, 0, 0], [0, 0, 10]]
    expected = [3, 2, 1, 0, 0, 0, 2, 3, 4, -5, -5, -5, 10, 0, 0]
    assert seen_by("RGBDiff", sum(frames, [])) == expected
    assert as_trained(torch.ones(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_a_block_joins_its_branches_in_order():
    """With weights of zero and biases of its own, each channel tells which branch it is of; pooling of 1 is 1."""
    net = ARCHS["bninception"].build().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for i, name in enumerate(["1x1", "3x3", "double_3x3_2", "pool_proj"]):
            if f"inception_3a_{name}" in dict(net.named_children()):
                getattr(net, f"inception_3a_{name}_bn").bias.fill_(i + 1)
        for i, name in enumerate(["3x3", "double_3x3_2"]):
            getattr(net, f"inception_3c_{name}_bn").bias.fill_(i + 1)
        out = net.run_stage("inception_3a", torch.ones(1, 192, 6, 6))[0, :, 0, 0].tolist()
        strided = net.run_stage("inception_3c", torch.full((1, 320, 6, 6), 7.0))[0, :, 0, 0].tolist()
    assert out == [1.0] * 64 + [2.0] * 64 + [3.0] * 96 + [4.0] * 32
    assert strided == [1.0] * 160 + [2.0] * 96 + [7.0] * 320


def test_shift_stands_before_all_blocks_but_the_first():
    model = build_model("bninception", 4, 2, cluster="none", shift=True, shift_place="block")
    shifted = [name.split(".")[-1] for name, m in model.named_modules() if isinstance(m, TemporalShift)]
    assert len(shifted) == 11 and shifted[:2] == ["conv2", "inception_3a"] and shifted[-1] == "inception_5b"
    assert not any(".net." in key for key in model.state_dict())
    with pytest.raises(InputError, match="--shift_place blockres finds no place in inception_3a of BNInception"):
        build_model("bninception", 4, 2, shift=True)
    torch.manual_seed(0)
    x = torch.randn(2, 192, 4, 4)
    net = model.base_model.eval()
    with torch.inference_mode():
        swapped = x.clone()
        swapped[0, :24], swapped[0, 24:48], swapped[1, :24], swapped[1, 24:48] = x[1, :24], 0, 0, x[0, 24:48]
        out = net.run_stage("inception_3a", x)
        net.doors["inception_3a"] = nn.Identity()
        torch.testing.assert_close(out, net.run_stage("inception_3a", swapped))
