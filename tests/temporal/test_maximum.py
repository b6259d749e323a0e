"""The temporal maximum: values, steps, where it stands, and that a ReLU before or behind it is the same."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.temporal.maximum import TemporalMax


def test_values():
    x = torch.tensor([[1.0, 9.0], [5.0, 2.0], [3.0, 3.0], [4.0, 0.0]]).view(4, 2, 1, 1)
    assert TemporalMax(nn.Identity(), 2)(x).flatten(1).tolist() == [[5, 9], [4, 3]]
    assert TemporalMax(nn.Identity(), 4)(x).flatten(1).tolist() == [[5, 9]]


def test_gradients_go_to_the_largest():
    x = torch.tensor([1.0, -2.0, 7.0]).view(3, 1, 1, 1).requires_grad_()
    TemporalMax(nn.Identity(), 3)(x).sum().backward()
    assert x.grad.flatten().tolist() == [0, 0, 1]


def test_one_image_passes_the_last_block():
    model = build_model("resnet18", 3, 4, cluster="none", temporal_max=True).eval()
    first, last = model.base_model.layer4
    assert isinstance(last, TemporalMax) and last.num_segments == 4 and not isinstance(first, TemporalMax)
    seen = []
    last.net.register_forward_hook(lambda module, x, y: seen.append((x[0].shape[0], y.shape[0])))
    frames = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    lengths = torch.tensor([4, 4])
    logits = model(frames, lengths)
    assert logits.shape == (2, 3) and seen == [(2, 2)]
    order = torch.tensor([3, 1, 0, 2, 4, 4, 5, 6])  # time does not count; the second video lacks a frame
    again = model(frames[order], lengths)
    torch.testing.assert_close(again[0], logits[0])
    assert not torch.allclose(again[1], logits[1])


def test_the_maximum_of_sums_before_their_relu_is_the_same():
    """As published: max over time of the second last block's sum, then its ReLU."""
    torch.manual_seed(0)
    model = build_model("resnet18", 3, 4, cluster="none", temporal_max=True).eval()
    first, last = model.base_model.layer4
    x = torch.randn(4, 256, 4, 4)
    y = first.bn2(first.conv2(first.relu(first.bn1(first.conv1(x))))) + first.downsample(x)  # before the ReLU
    torch.testing.assert_close(last(first(x)), last.net(y.amax(0, keepdim=True).relu()))


def test_behind_clusters_of_any_number_of_frames():
    model = build_model("resnet_thin", 3, 2, modality="DI", temporal_max=True, temporal_pool=True).eval()
    assert model.consensus.num_segments == 1
    frames = torch.randint(0, 256, (9, 30, 32, 32), dtype=torch.uint8)
    assert model(frames, torch.tensor([6, 3])).shape == (2, 3)


@pytest.mark.parametrize(
    "options", [{"shift": True}, {"cluster_after": "layer4"}, {"cluster_after": "layer1:4,layer4:3"}]
)
def test_where_it_has_no_place(options):
    with pytest.raises(ValueError, match="no place for a temporal maximum"):
        build_model("resnet_thin", 3, 3, temporal_max=True, **options)
