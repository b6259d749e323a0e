"""Non-local blocks: the published equation on a small case, and that a new block changes nothing."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.temporal.non_local import NonLocal3d, NonLocalWrapper, SpatialPool


def test_a_new_block_is_the_identity():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 3, 5, 4)
    for training in (True, False):
        assert torch.equal(NonLocal3d(8).train(training)(x), x)


@torch.no_grad()
def test_equation_by_hand():
    """2 channels, 3 steps of one pixel, theta = phi = first channel, g = second: z = softmax(a a^T) b + x."""
    block = NonLocal3d(2).eval()
    for conv, weight in ((block.theta, [1, 0]), (block.phi[0], [1, 0]), (block.g[0], [0, 1])):
        conv.weight.copy_(torch.tensor(weight).view(1, 2, 1, 1, 1))
        conv.bias.zero_()
    block.W[0].weight.copy_(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1, 1))
    block.W[0].bias.zero_()
    block.W[1].weight.fill_(1)
    block.W[1].eps = 0
    a, b = [0.0, 1.0, 2.0], [3.0, 0.0, 6.0]
    z = block(torch.tensor([a, b]).view(1, 2, 3, 1, 1))[0, :, :, 0, 0]
    # softmax rows: (1, 1, 1)/3; (1, e, e^2)/11.10734; (1, e^2, e^4)/62.98721
    expected = [0 + 3.0, 1 + (3 + 6 * 7.389056) / 11.107338, 2 + (3 + 6 * 54.598150) / 62.987206]
    torch.testing.assert_close(z[0], torch.tensor(expected))
    assert z[1].tolist() == b


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8)])
def test_videos_do_not_look_at_each_other(size):
    torch.manual_seed(0)
    layer = NonLocalWrapper(nn.Identity(), 4, num_segments=3).double().eval()
    nn.init.ones_(layer.nl.W[1].weight)
    x = torch.randn(6, 4, *size, dtype=torch.float64)
    whole = layer(x)
    assert whole.shape == x.shape and not torch.allclose(whole, x)
    torch.testing.assert_close(whole, torch.cat([layer(x[:3]), layer(x[3:])]))
    changed = x.clone()
    changed[2] += 1
    assert not torch.allclose(layer(changed)[0], whole[0]) and torch.equal(layer(changed)[3:], whole[3:])


def test_gradient_reaches_the_scale_that_starts_at_zero():
    torch.manual_seed(0)
    block = NonLocal3d(4)
    block(torch.randn(1, 4, 2, 4, 4)).square().sum().backward()
    assert block.W[1].weight.grad.any()


@pytest.mark.parametrize("size, pooled", [((1, 1), (1, 1)), ((3, 5), (2, 3)), ((4, 6), (2, 3))])
def test_keys_are_max_pooled_over_places(size, pooled):
    """An odd last row and column count; where values are alike, the gradient goes to the first of them."""
    torch.manual_seed(0)
    x = torch.randint(0, 3, (2, 3, 4, *size)).float().requires_grad_()
    out, expected = SpatialPool()(x), nn.functional.max_pool3d(x, (1, 2, 2), ceil_mode=True)
    assert out.shape == (2, 3, 4, *pooled) and torch.equal(out, expected)
    weights = torch.randint(1, 9, out.shape).float()
    assert torch.equal(*(torch.autograd.grad((y * weights).sum(), x)[0] for y in (out, expected)))


def test_no_pooling_without_a_deterministic_gradient():
    model = build_model("resnet_thin", 4, 4, non_local=True, temporal_pool=True)
    assert not any(isinstance(module, nn.MaxPool3d) for module in model.modules())


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_is_kept(memory_format):
    layer = NonLocalWrapper(nn.Identity(), 4, num_segments=3)
    assert layer(torch.randn(6, 4, 5, 3).contiguous(memory_format=memory_format)).is_contiguous(
        memory_format=memory_format
    )


def test_one_channel():
    assert NonLocal3d(1)(torch.randn(1, 1, 2, 3, 3)).shape == (1, 1, 2, 3, 3)
