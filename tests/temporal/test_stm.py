"""STM: its equations on small numbers, its parameters, its start, and where it stands."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.temporal.stm import STM, ChannelwiseTime, Motion
from ops.training.checkpoint import load_pretrained, load_weights


def count(model):
    return sum(p.numel() for p in model.parameters())


def stms(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, STM)}


def rows(x):
    return x[..., 0, 0].tolist()


@pytest.mark.parametrize("classes, parameters", [(174, 24_035_194), (400, 24_498_268)])
def test_parameters(classes, parameters):
    with torch.device("meta"):
        assert count(build_model("resnet50", classes, 8, cluster="none", temporal="stm")) == parameters


def test_170636_parameters_in_all_blocks_of_resnet50():
    with torch.device("meta"):
        plain, mixed = (build_model("resnet50", 4, 8, cluster="none", temporal=name) for name in ("none", "stm"))
        behind = build_model("resnet50", 4, 8, temporal="stm")
    assert count(mixed) - count(plain) == 170_636 and len(stms(mixed)) == 16 and len(stms(behind)) == 13
    assert all(name.endswith(".conv2") for name in stms(mixed))
    assert not any(".layer1." in name for name in stms(behind))


def test_time_starts_as_previous_same_and_next_step():
    """Of 8 channels: 2 from the previous step, 4 as they are, 2 from the next one; zero outside the video."""
    x = torch.tensor([[10.0] * 8, [20.0] * 8, [30.0] * 8])[None, :, :, None, None]  # (1, 3, 8, 1, 1)
    assert rows(ChannelwiseTime(8)(x)[0]) == [
        [0, 0, 10, 10, 10, 10, 20, 20],
        [10, 10, 20, 20, 20, 20, 30, 30],
        [20, 20, 30, 30, 30, 30, 0, 0],
    ]


@torch.no_grad()
def test_time_is_a_channelwise_convolution():
    time, x = ChannelwiseTime(5).double(), torch.randn(2, 4, 5, 3, 2, dtype=torch.float64)
    time.weight.normal_()
    lines = x.permute(0, 3, 4, 2, 1).flatten(0, 2)  # (n*h*w, c, g), as the paper lays it out
    expected = nn.functional.conv1d(lines, time.weight, padding=1, groups=5)
    torch.testing.assert_close(time(x).permute(0, 3, 4, 2, 1).flatten(0, 2), expected)


@torch.no_grad()
def test_motion_by_hand():
    """One channel of one pixel in two videos of three steps: 2 r[t+1] - r[t] with r = 3 x, at last 0; then times 5."""
    motion = Motion(1, 1, 1, num_segments=3)
    motion.reduce.weight.fill_(3)
    motion.conv.weight.zero_()
    motion.conv.weight[0, 0, 1, 1] = 2
    motion.expand.weight.fill_(5)
    x = torch.tensor([1.0, 2, 4, 10, 0, 1]).view(6, 1, 1, 1)
    assert rows(motion(x)[:, 0]) == [5 * (12 - 3), 5 * (24 - 6), 0, 5 * (0 - 30), 5 * (6 - 0), 0]


@torch.no_grad()
def test_motion_looks_at_neighbours_in_the_next_frame():
    motion = Motion(1, 1, 1, num_segments=2)
    for conv, value in ((motion.reduce, 1), (motion.conv, 1), (motion.expand, 1)):
        conv.weight.fill_(value)
    x = torch.zeros(2, 1, 3, 3)
    x[0, 0, 1, 1], x[1, 0, 0, 0] = 100, 1
    assert motion(x)[0, 0].tolist() == [[1, 1, 0], [1, -99, 0], [0, 0, 0]]


@torch.no_grad()
@pytest.mark.parametrize("size, halved", [(4, 2), (5, 3), (1, 1)])
def test_motion_is_averaged_where_the_convolution_has_a_stride(size, halved):
    net = nn.Conv2d(16, 8, 3, stride=2, padding=1)
    layer, x = STM(net, 2), torch.zeros(4, 16, size, size)
    assert layer(x).shape == (4, 8, halved, halved)
    motion = layer.stm["motion"]
    motion.reduce.weight.fill_(1 / 16)
    motion.conv.weight.zero_()
    motion.expand.weight.fill_(1)
    x[0] = torch.arange(size * size).view(size, size)
    expected = nn.functional.avg_pool2d(-x[:1, :1], 2, ceil_mode=True)[0, 0]
    torch.testing.assert_close(motion(x)[0, 0], expected)


def test_sum_of_both():
    torch.manual_seed(0)
    net = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    layer, x = STM(net, 3), torch.randn(6, 8, 4, 4)
    time = layer.stm["time"](x.unflatten(0, (2, 3))).flatten(0, 1)
    torch.testing.assert_close(layer(x), net(time) + layer.stm["motion"](x))


@torch.no_grad()
def test_videos_do_not_mix_and_still_ones_do_not_move():
    torch.manual_seed(0)
    layer = STM(nn.Conv2d(8, 8, 3, padding=1), 3).double()
    x = torch.randn(6, 8, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.cat([layer(x[:3]), layer(x[3:])]))
    nn.init.zeros_(layer.stm["motion"].conv.weight)
    layer.stm["motion"].conv.weight[:, :, 1, 1] = 1  # the next frame's own place
    assert not layer.stm["motion"](x[:1].expand(3, -1, -1, -1)).any()


def test_weights_of_a_plain_network_come_into_it():
    """And those of STM are new in tuning only; the other way round, they are weights without a place."""
    torch.manual_seed(0)
    plain, mixed = build_model("resnet_thin", 4, 4), build_model("resnet_thin", 4, 4, temporal="stm")
    new = load_weights(mixed, plain.state_dict(), "x.pth", tune=True)
    assert {key.split(".")[4] for key in new} == {"stm"} and len(new) == 3 * 4
    assert torch.equal(mixed.base_model.layer2[0].conv2.net.weight, plain.base_model.layer2[0].conv2.weight)
    with pytest.raises(Exception, match="no base_model.layer2.0.conv2.stm.time.weight there"):
        load_weights(mixed, plain.state_dict(), "x.pth")
    with pytest.raises(Exception, match="conv2.stm.time.weight is not here"):
        load_weights(plain, mixed.state_dict(), "x.pth", tune=True)


def test_pretrained_weights(tmp_path):
    torch.manual_seed(0)
    plain, mixed = build_model("resnet_thin", 4, 4), build_model("resnet_thin", 4, 4, temporal="stm")
    torch.save(plain.base_model.state_dict(), tmp_path / "x.pth")
    assert load_pretrained(mixed.base_model, "resnet_thin", str(tmp_path / "x.pth")) == []
    assert torch.equal(mixed.base_model.layer4[0].conv2.net.weight, plain.base_model.layer4[0].conv2.weight)


def test_steps_of_each_stage():
    """Of a cascade, and behind temporal pooling."""
    cascade = build_model("resnet_thin", 4, 4, cluster_after="conv1:9,layer1:6,layer3:4", temporal="stm")
    assert [m.num_segments for m in stms(cascade).values()] == [9, 6, 6, 4]
    pooled = build_model("resnet_thin", 4, 7, temporal="stm", temporal_pool=True, non_local=True)
    assert [m.num_segments for m in stms(pooled).values()] == [4, 4, 4]
