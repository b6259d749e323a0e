"""VideoGraph: its size, its layers in their order, any number of steps."""

import pytest
import torch
from torch import nn

from ops.heads import videograph
from ops.heads.videograph import Attention, Embedding, VideoGraph
from ops.models import build_model


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("dim, number", [(2048, 5_825_546), (1024, 4_776_970)])
def test_parameters(dim, number):
    with torch.device("meta"):
        assert count(VideoGraph(dim, 10, 64)) == number


@pytest.fixture
def small(monkeypatch):
    """A head of 16 channels and 12 nodes."""
    monkeypatch.setattr(videograph, "CHANNELS", 16)
    monkeypatch.setattr(videograph, "NODES", 12)
    torch.manual_seed(0)
    return lambda steps=9, num_class=5: VideoGraph(8, num_class, steps)


# ---------------------------------------------------------------- layers


@torch.no_grad()
def test_the_graph_of_64_steps_shrinks_as_published():
    attention, embedding = Attention(4, 128).eval(), Embedding(4).eval()
    x = attention(torch.randn(2, 64, 4), torch.rand(128, 4))
    assert x.shape == (2, 4, 32, 64)
    x = embedding(x)
    assert x.shape == (2, 4, 10, 21)
    assert embedding(x).shape == (2, 4, 3, 7)


def leaky(value):
    return value if value > 0 else 0.2 * value


@torch.no_grad()
def test_attention_by_hand():
    """Fresh BatchNorms of evaluation divide by sqrt(1.001); one channel, four nodes, two steps of one video."""
    attention, s = Attention(1, 4).eval(), 1.001**0.5
    attention.key.weight.fill_(1.0)
    attention.key.bias.fill_(-1.0)
    steps, nodes = torch.tensor([[[2.0], [-1.0]]]), torch.tensor([[0.0], [1.0], [3.0], [4.0]])
    expected = []
    for step in (2.0, -1.0):
        shown = []
        for node in (0.0, 1.0, 3.0, 4.0):
            score = leaky((node / s - 1) * step / s / s) / s
            shown.append(leaky(score * node / s / s))
        expected.append(sum(shown) / 4)
    torch.testing.assert_close(attention(steps, nodes), torch.tensor(expected).view(1, 1, 1, 2))


@torch.no_grad()
def test_embedding_looks_over_seven_steps_and_nodes_of_its_own_channel():
    round_ = Embedding(2).eval()
    for conv in (round_.over_time, round_.over_nodes):
        assert conv.bias.tolist() == pytest.approx([0.1, 0.1])
        nn.init.ones_(conv.weight)
        nn.init.zeros_(conv.bias)
    round_.mix.weight.copy_(torch.tensor([[1.0, 1.0], [0.0, -1.0]])[..., None, None])
    round_.mix.bias.zero_()
    round_.norm.eps = 0
    x = torch.zeros(1, 2, 9, 9)
    x[0, 0, 0, 0], x[0, 1, 8, 8] = 1, 10
    # steps and nodes 0 to 3 see the one, 5 to 8 the ten; of 3 to 5, the ten at 5 is the largest
    expected = [[[1.0, 1, 0], [1, 10, 10], [0, 10, 10]], [[0.0, 0, 0], [0, 0, 0], [0, 0, -2]]]
    torch.testing.assert_close(round_(x)[0], torch.tensor(expected))


@torch.no_grad()
def test_nodes_never_change(small):
    head = small()
    nodes = head.nodes.clone()
    assert nodes.min() >= 0 and nodes.max() < 1 and "nodes" in head.state_dict()
    assert "nodes" not in dict(head.named_parameters())
    head(torch.randn(4, 9, 8, 2, 2))
    assert torch.equal(head.nodes, nodes)


@torch.no_grad()
def test_running_statistics_of_nodes_become_their_own(small):
    """In training nodes are standardised; after some hundred steps evaluation agrees."""
    head = small().train()
    for _ in range(700):
        head.attention.value_norm(head.nodes)
    trained = head.attention.value_norm(head.nodes)
    torch.testing.assert_close(head.attention.eval().value_norm(head.nodes), trained, rtol=0.05, atol=0.05)


# ---------------------------------------------------------------- in the network


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 9, 64])
def test_any_number_of_steps(small, steps):
    head = small(steps).eval()
    x = torch.randn(3, steps, 8, 2, 2)
    assert head(x).shape == (3, 5)
    torch.testing.assert_close(head(x)[:1], head(x[:1]))


def test_order_matters(small):
    head, x = small().eval(), torch.randn(2, 9, 8, 2, 2)
    assert not torch.allclose(head(x), head(x.flip(1)))


def test_gradients_and_an_empty_batch(small):
    model = build_model("resnet_thin", 5, 4, consensus_type="VideoGraph")
    frames = torch.randint(0, 256, (11, 3, 32, 32), dtype=torch.uint8)
    logits = model(frames, torch.tensor([4, 7]))
    assert logits.shape == (2, 5) and model.new_fc is None
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert model.base_model.conv1.weight.grad.any()
    model.zero_grad()
    empty = model(frames[:0], torch.tensor([], dtype=torch.int64))
    assert empty.shape == (0, 5)
    empty.sum().backward()
    trained = [parameter for parameter in model.consensus.parameters()]
    assert all(parameter.grad is not None for parameter in trained)
    assert all(value.isfinite().all() for value in model.state_dict().values())
