"""Temporal shift: TSM's published equations in numbers, where the modules sit, and what a constant video shows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archs import ARCHS
from archs.resnet import STAGES
from ops.models import build_model
from ops.temporal import shift
from ops.temporal.shift import DIRECTIONS, TemporalPool, TemporalShift, temporal_shift


def images(rows):
    """Rows of channel values -> (len(rows), channels, 1, 1)."""
    return torch.tensor(rows, dtype=torch.float32)[:, :, None, None]


def rows(x):
    return x[:, :, 0, 0].tolist()


def shifted_modules(model):
    return {name for name, module in model.named_modules() if isinstance(module, TemporalShift)}


@pytest.fixture(scope="module")
def resnet18_pair():
    """The same random ResNet-18 without and with shift (g = 18, no clustering), in double precision, for evaluation."""
    torch.manual_seed(0)
    plain = build_model("resnet18", 4, 18, cluster="none")
    shifted = build_model("resnet18", 4, 18, cluster="none", shift=True)
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.bias.data.normal_(0, 0.1)
    weights = dict(zip(shifted.state_dict(), plain.state_dict().values(), strict=True))
    shifted.load_state_dict(weights)
    return plain.double().eval(), shifted.double().eval()


# ---------------------------------------------------------------- the equations


def test_published_example():
    """Of 4 channels with shift_div 4 the first looks one step ahead, the second one step back, the rest stay."""
    x = images([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]])
    assert rows(temporal_shift(x, 3, 4)) == [[20, 0, 12, 13], [30, 11, 22, 23], [0, 21, 32, 33]]


@pytest.mark.parametrize(
    "shift_div, middle",
    [
        (2, [9, 9, 9, 9, 1, 1, 1, 1]),
        (3, [9, 9, 1, 1, 5, 5, 5, 5]),
        (4, [9, 9, 1, 1, 5, 5, 5, 5]),
        (8, [9, 1, 5, 5, 5, 5, 5, 5]),
        (9, [5, 5, 5, 5, 5, 5, 5, 5]),
    ],
)
def test_share_of_channels(shift_div, middle):
    x = images([[1] * 8, [5] * 8, [9] * 8])
    assert rows(temporal_shift(x, 3, shift_div))[1] == middle


def test_videos_do_not_mix():
    x = images([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]])
    assert rows(temporal_shift(x, 2, 3)) == [[4, 0, 3], [0, 2, 6], [10, 0, 9], [0, 8, 12]]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_number_of_videos_is_shifted(n):
    video = images([[1, 2, 3], [4, 5, 6]])
    assert rows(temporal_shift(video.repeat(n, 1, 1, 1), 2, 3)) == [[4, 0, 3], [0, 2, 6]] * n


def test_one_step_sees_nothing_before_and_after():
    assert rows(temporal_shift(images([[1, 2, 3, 4]]), 1, 4)) == [[0, 0, 3, 4]]


def test_places_move_as_a_whole():
    x = torch.arange(2 * 2 * 2 * 3.0).view(2, 2, 2, 3)
    out = temporal_shift(x, 2, 2)
    assert torch.equal(out[0, 0], x[1, 0]) and torch.equal(out[1, 1], x[0, 1])
    assert not out[0, 1].any() and not out[1, 0].any()


def test_gradient_goes_back_where_values_came_from():
    x = images([[1, 1, 1], [1, 1, 1], [1, 1, 1]]).requires_grad_()
    temporal_shift(x, 3, 3).sum().backward()
    assert rows(x.grad) == [[0, 1, 1], [1, 1, 1], [1, 0, 1]]


def test_the_online_form_looks_back_only():
    x = images([[10, 11, 12, 13], [20, 21, 22, 23], [30, 31, 32, 33]])
    assert rows(temporal_shift(x, 3, 4, "past")) == [[0, 11, 12, 13], [10, 21, 22, 23], [20, 31, 32, 33]]


@torch.inference_mode()
@pytest.mark.parametrize("arch", ["resnet_thin", "mobilenetv2"])
def test_no_step_of_the_online_form_sees_a_later_one(arch):
    torch.manual_seed(0)
    net = build_model(arch, 4, 5, cluster="none", shift=True, shift_direction="past").base_model.double().eval()

    def features(x):
        for stage in net.stages:
            x = net.run_stage(stage, x)
        return net.pool(x)

    x = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    whole, changed = features(x), x.clone()
    changed[3] += 1
    changed = features(changed)
    torch.testing.assert_close(changed[:3], whole[:3], rtol=1e-9, atol=1e-20)
    for step in (3, 4):
        assert not torch.allclose(changed[step], whole[step], rtol=1e-3, atol=0)


def test_input_is_left_alone():
    x = images([[1, 2], [3, 4]])
    temporal_shift(x, 2, 2)
    assert rows(x) == [[1, 2], [3, 4]]


# ---------------------------------------------------------------- its gradient and its memory format

FORMATS = [torch.contiguous_format, torch.channels_last]


@given(
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(2, 9),
    st.sampled_from(FORMATS),
    st.sampled_from([*DIRECTIONS]),
)
def test_gradient_is_the_transposed_shift(n, num_segments, channels, shift_div, memory_format, direction):
    """<shift(x), y> = <x, gradient of y>, whatever the shape; whole numbers, so that sums are exact."""
    x, y = torch.randint(-9, 10, (2, n * num_segments, channels, 3, 2)).double()
    x = x.contiguous(memory_format=memory_format).requires_grad_()
    out = temporal_shift(x, num_segments, shift_div, direction)
    (grad,) = torch.autograd.grad(out, x, y)
    assert (out * y).sum() == (x * grad).sum()


def test_gradient_by_differences():
    x = torch.randn(6, 5, 1, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: temporal_shift(x, 3, 2), x)
    assert torch.autograd.gradgradcheck(lambda x: temporal_shift(x, 3, 2), x)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_memory_format_is_kept_both_ways(memory_format):
    x = torch.randn(6, 8, 4, 3)
    laid_out = x.contiguous(memory_format=memory_format).requires_grad_()
    out = temporal_shift(laid_out, 3, 4)
    assert torch.equal(out, temporal_shift(x, 3, 4)) and out.is_contiguous(memory_format=memory_format)
    (grad,) = torch.autograd.grad(out, laid_out, out.detach())
    assert grad.is_contiguous(memory_format=memory_format)


# ---------------------------------------------------------------- constant videos


def test_constant_video_in_a_shifted_convolution(resnet18_pair):
    """Inside the video nothing changes; at its ends exactly the channels that come from outside are zero."""
    plain, shifted = (model.base_model.layer1[0].conv1 for model in resnet18_pair)
    assert isinstance(shifted, TemporalShift)
    frame = torch.randn(1, 64, 5, 5, dtype=torch.float64)
    no_later, no_earlier = frame.clone(), frame.clone()
    no_later[:, 0:8] = 0
    no_earlier[:, 8:16] = 0
    out = shifted(frame.expand(18, -1, -1, -1))
    torch.testing.assert_close(out[1:-1], plain(frame).expand(16, -1, -1, -1))
    torch.testing.assert_close(out[:1], plain(no_earlier))
    torch.testing.assert_close(out[-1:], plain(no_later))


def test_constant_video_in_shifted_resnet18(resnet18_pair):
    """The ends of the video reach one step further with each of the 8 blocks; between them all is as without shift."""
    plain, shifted = (model.base_model for model in resnet18_pair)
    frames = torch.randn(1, 3, 32, 32, dtype=torch.float64).expand(18, -1, -1, -1)
    with torch.inference_mode():
        x, y, blocks = frames, frames, 0
        for stage in STAGES:
            x, y = plain.run_stage(stage, x), shifted.run_stage(stage, y)
            blocks += 2 * (stage != "conv1")
            alike = [torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(x, y, strict=True)]
            assert alike == [False] * blocks + [True] * (18 - 2 * blocks) + [False] * blocks


# ---------------------------------------------------------------- where it sits

RESNET18_TRUNK = {f"layer{i}.{j}" for i in (2, 3, 4) for j in (0, 1)}


def test_blockres_shifts_the_first_convolution_of_each_block():
    model = build_model("resnet18", 4, 8, cluster="none", shift=True, shift_place="blockres")
    blocks = RESNET18_TRUNK | {"layer1.0", "layer1.1"}
    assert shifted_modules(model) == {f"base_model.{block}.conv1" for block in blocks}
    assert "base_model.layer2.0.conv1.net.weight" in model.state_dict()


def test_block_shifts_the_skip_connection_too():
    model = build_model("resnet18", 4, 8, cluster="none", shift=True, shift_place="block")
    blocks = RESNET18_TRUNK | {"layer1.0", "layer1.1"}
    assert shifted_modules(model) == {f"base_model.{block}" for block in blocks}
    assert "base_model.layer1.0.net.conv1.weight" in model.state_dict()
    layer = model.base_model.layer1[0].eval()
    x = torch.rand(8, 64, 4, 4)
    torch.testing.assert_close(layer(x), layer.net(temporal_shift(x, 8, 8)))


@pytest.mark.parametrize("place", ["block", "blockres"])
@pytest.mark.parametrize(
    "cluster_after, shifted_stages",
    [
        ("conv1", {"layer1", "layer2", "layer3", "layer4"}),
        ("layer1", {"layer2", "layer3", "layer4"}),
        ("layer3", {"layer4"}),
    ],
)
def test_clustering_keeps_shift_out_of_the_stem(place, cluster_after, shifted_stages):
    model = build_model("resnet_thin", 4, 8, cluster_after=cluster_after, shift=True, shift_place=place)
    assert {name.split(".")[1] for name in shifted_modules(model)} == shifted_stages


@pytest.mark.parametrize(
    "arch, per_stage",
    [
        ("resnet50", [3, 4, 6, 3]),
        ("resnext50", [3, 4, 6, 3]),
        ("resnet101", [2, 2, 12, 2]),
        ("resnet152", [2, 4, 18, 2]),
    ],
)
def test_every_second_block_of_the_deep_networks(arch, per_stage):
    with torch.device("meta"):
        model = build_model(arch, 4, 8, cluster="none", shift=True)
    names = shifted_modules(model)
    assert [sum(f".{stage}." in name for name in names) for stage in STAGES[1:]] == per_stage
    if arch == "resnet101":
        third = {f"base_model.layer3.{i}.conv1" for i in range(0, 23, 2)}
        assert {name for name in names if ".layer3." in name} == third


def test_shift_div_and_steps_reach_every_module():
    model = build_model("resnet_thin", 4, 6, shift=True, shift_div=4)
    found = [m for m in model.modules() if isinstance(m, TemporalShift)]
    assert [(m.num_segments, m.shift_div) for m in found] == [(6, 4)] * 3


def test_shift_adds_no_weights():
    plain, shifted = (build_model("resnet_thin", 4, 8, shift=shift) for shift in (False, True))
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in shifted.parameters())


# ---------------------------------------------------------------- temporal pooling


def test_temporal_pool_takes_the_largest_of_three_steps_at_every_second():
    pool = TemporalPool(nn.Identity(), 5)
    x = images([[1], [7], [2], [3], [4], [10], [0], [0], [9], [0]])
    assert rows(pool(x)) == [[7], [7], [4], [10], [9], [9]]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("num_segments", [1, 2, 5, 8])
def test_temporal_pool_is_max_pooling_over_time(num_segments, memory_format):
    """Also where values are alike, as zeros behind a ReLU are: the gradient goes to the first of them."""
    torch.manual_seed(0)
    x = torch.randint(0, 3, (2 * num_segments, 3, 4, 5)).float()
    ours = x.clone(memory_format=memory_format).requires_grad_()
    theirs = x.unflatten(0, (2, -1)).transpose(1, 2).clone().requires_grad_()  # (n, c, g, h, w)
    out = TemporalPool(nn.Identity(), num_segments)(ours)
    assert out.is_contiguous(memory_format=memory_format)
    expected = nn.functional.max_pool3d(theirs, (3, 1, 1), (2, 1, 1), (1, 0, 0)).transpose(1, 2).flatten(0, 1)
    assert torch.equal(out, expected)
    weights = torch.randint(1, 9, out.shape).float()
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(ours.grad, theirs.grad.transpose(1, 2).flatten(0, 1))


def test_steps_behind_temporal_pool():
    model = build_model("resnet_thin", 4, 7, cluster="none", shift=True, temporal_pool=True)
    steps = {name.split(".")[1]: m.num_segments for name, m in model.named_modules() if isinstance(m, TemporalShift)}
    assert steps == {"layer1": 7, "layer2": 4, "layer3": 4, "layer4": 4}


def test_backbones_know_no_time():
    for arch in ("resnet18", "resnet_thin"):
        assert not any(isinstance(m, TemporalShift) for m in ARCHS[arch].build().modules())


@pytest.mark.parametrize("direction", shift.DIRECTIONS)
@pytest.mark.parametrize("n, g, shift_div", [(1, 1, 4), (1, 4, 8), (3, 2, 3), (2, 5, 9)])
def test_exported_graphs_shift_alike(n, g, shift_div, direction, monkeypatch):
    x = torch.randn(n * g, 8, 2, 3)
    expected = temporal_shift(x, g, shift_div, direction)
    monkeypatch.setattr(shift, "in_export", lambda: True)
    assert torch.equal(temporal_shift(x, g, shift_div, direction), expected)
