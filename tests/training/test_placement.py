"""The form in which a model runs: channels last without a change of its values, kernels chosen where that pays."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from ops.data.loading import VideoBatch
from ops.evaluation.ensemble import Views, score_videos
from ops.evaluation.predict import predict
from ops.models import build_model
from ops.options.config import Config
from ops.training.engine import evaluate, train_one_epoch
from ops.training.placement import choose_kernels, full_precision, lay_channels_last, place_model

KINDS = [
    {"cluster": "none"},
    {"cluster": "none", "non_local": True},
    {"cluster": "cumulative", "shift_place": "block"},
    {"cluster": "slope", "non_local": True, "temporal_pool": True},
    {"cluster": "none", "temporal": "stm"},
]


def thin(**options):
    torch.manual_seed(0)
    model = build_model("resnet_thin", 4, 4, shift=True, dropout=0.0, **options)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            nn.init.ones_(norm.weight)  # else non-local blocks change nothing
    return model


@pytest.mark.parametrize("options", KINDS)
def test_channels_last_changes_no_value_and_reaches_every_convolution(options):
    plain = thin(**options)
    model = deepcopy(plain)
    lay_channels_last(model)
    assert all(
        torch.equal(*pair) for pair in zip(plain.state_dict().values(), model.state_dict().values(), strict=True)
    )
    otherwise = []

    def look(module, inputs):
        if not inputs[0].is_contiguous(memory_format=torch.channels_last):
            otherwise.append(module)

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and name != "base_model.conv1":  # which sees frames as they were loaded
            module.register_forward_pre_hook(look)
    lengths = torch.tensor([4, 4])
    frames = torch.rand(8, 3, 64, 64)
    scores, expected = model(frames, lengths), plain(frames, lengths)
    assert not otherwise
    torch.testing.assert_close(scores, expected)


def test_only_images_have_channels_last():
    """torch's own conversion fails at the 5-d weights of non-local blocks."""
    model = thin(non_local=True)
    with pytest.raises(RuntimeError, match="rank 4"):
        deepcopy(model).to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    lay_channels_last(model)
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))  # an optimizer's stay valid
    assert model.base_model.layer2[0].block.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.base_model.layer2[0].nl.theta.weight.is_contiguous()


def test_a_cpu_keeps_the_form():
    model = thin()
    place_model(model, torch.device("cpu"))
    assert all(parameter.is_contiguous() for parameter in model.parameters())


@pytest.mark.parametrize(
    "fixed_shapes, deterministic, expected",
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_kernels_are_tried_where_shapes_are_fixed(monkeypatch, fixed_shapes, deterministic, expected):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not expected)
    choose_kernels(fixed_shapes, deterministic)
    assert torch.backends.cudnn.benchmark is expected


def tf32():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def test_full_precision_and_back(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with pytest.raises(KeyError), full_precision():
        assert tf32() == (False, False)
        raise KeyError
    assert tf32() == (True, False)  # PyTorch's default for products


def test_evaluation_is_in_full_precision_and_training_is_not(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    model, seen = thin(), []
    run_stem = model.run_stem
    model.run_stem = lambda frames: seen.append(tf32()[0]) or run_stem(frames)
    frames = torch.randint(256, (5, 3, 32, 32)).byte()
    batch = VideoBatch(frames, torch.tensor([5]), torch.tensor([0]), ["a"])
    cpu = torch.device("cpu")
    evaluate(model, [batch], cpu)
    score_videos([model], [[batch]], [Views(1, 1)], [1.0], False, cpu)
    predict(model, Config("mine", "RGB", num_segments=4), list(frames), 2)
    assert seen and not any(seen)
    seen.clear()
    train_one_epoch(model, [batch], torch.optim.SGD(model.parameters(), 0.0), cpu)
    assert seen and all(seen)
