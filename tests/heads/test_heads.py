"""Logits of representations -> logits of a video."""

import re

import pytest
import torch
from torch import nn

from ops.errors import InputError
from ops.heads import HEADS, Head
from ops.heads.head import video_logits
from ops.models import build_model
from ops.training.checkpoint import load_weights
from ops.training.optim import parameter_groups

SCORES = torch.tensor([[[1.0, 5.0], [3.0, 6.0]], [[0.0, 0.0], [-2.0, 8.0]]])  # (n, g, K)


def test_average_is_over_representations():
    assert HEADS["avg"](8, 2, 2)(SCORES).tolist() == [[2.0, 5.5], [-1.0, 4.0]]


def test_identity_keeps_all():
    assert torch.equal(HEADS["identity"](8, 2, 2)(SCORES), SCORES)


def test_video_logits_of_either():
    assert video_logits(SCORES).tolist() == [[2.0, 5.5], [-1.0, 4.0]]
    assert video_logits(SCORES[0]).tolist() == [[1.0, 5.0], [3.0, 6.0]]


class Weighted(Head):
    """A head of a user: maps pooled in its own way, weighted over time, an option of its own."""

    options, needs_maps, fixed_segments = ("depth",), True, True

    def __init__(self, feature_dim, num_class, num_segments, depth):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = None
        self.share = nn.Parameter(torch.ones(num_segments))
        self.norm = nn.LayerNorm(feature_dim)
        self.layers = nn.Sequential(*(nn.Linear(feature_dim, feature_dim) for _ in range(depth)))
        self.last = nn.Conv1d(feature_dim, num_class, 1)

    def forward(self, x):
        x = self.layers(self.norm(x.amax((3, 4))))  # (n, g, d, h, w) -> (n, g, d)
        return self.last(torch.einsum("ngd,g->nd", x, self.share.softmax(0))[..., None])[..., 0]


def test_a_head_gets_maps_options_and_training(monkeypatch):
    monkeypatch.setitem(HEADS, "weighted", Weighted)
    model = build_model("resnet_thin", 5, 3, consensus_type="weighted", depth=2)
    frames = torch.randint(0, 256, (11, 3, 32, 32), dtype=torch.uint8)
    logits = model(frames, torch.tensor([4, 7]))
    assert logits.shape == (2, 5) and model.new_fc is None and len(model.consensus.layers) == 2
    assert model(frames[:0], torch.tensor([], dtype=torch.int64)).shape == (0, 5)
    logits.square().sum().backward()
    groups = parameter_groups(model)
    trained = [parameter for group in groups for parameter in group["params"]]
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(map(id, trained)) == sorted(map(id, wanted))
    assert all(parameter.grad is not None for parameter in model.consensus.parameters())
    assert "consensus.share" in model.state_dict()
    by_name = {group["name"]: group["params"] for group in groups}
    assert any(parameter is model.consensus.share for parameter in by_name["weights"])
    assert any(parameter is model.consensus.norm.weight for parameter in by_name["norms"])
    assert any(parameter is model.consensus.last.bias for parameter in by_name["biases"])


def test_a_head_of_another_kind_starts_anew_when_tuned(monkeypatch):
    monkeypatch.setitem(HEADS, "weighted", Weighted)
    source = build_model("resnet_thin", 5, 3)
    model = build_model("resnet_thin", 5, 3, consensus_type="weighted", depth=1)
    kept = load_weights(model, source.state_dict(), "x.pth", tune=True)
    assert kept == [name for name in model.state_dict() if name.startswith("consensus.")]
    back = build_model("resnet_thin", 5, 3)
    assert load_weights(back, model.state_dict(), "x.pth", tune=True) == ["new_fc.weight", "new_fc.bias"]
    with pytest.raises(InputError, match=r"x.pth holds another network \(no consensus.share there; 9 tensors differ\)"):
        load_weights(model, source.state_dict(), "x.pth")


def answers(answer):
    """A head that gives `answer`, made of the logits (n, g, K)."""
    return type("Odd", (Head,), {"forward": lambda self, x: answer(x)})


@pytest.mark.parametrize(
    "answer, shape",
    [
        (lambda x: x.flatten(0, 1).mean(1), (6,)),
        (lambda x: x.flatten(0, 1), (6, 5)),
        (lambda x: x.mean(1)[:, :4], (2, 4)),
        (lambda x: x.mean((0, 1))[None], (1, 5)),
    ],
)
def test_a_head_that_gives_another_shape_is_named(monkeypatch, answer, shape):
    monkeypatch.setitem(HEADS, "odd", answers(answer))
    model = build_model("resnet_thin", 5, 3, consensus_type="odd")
    frames = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8)
    with pytest.raises(ValueError, match=re.escape(f"head Odd gave {shape} for 2 videos and 5 classes")):
        model(frames, torch.tensor([3, 4]))


def test_options_that_no_head_has_and_heads_that_contradict_themselves(monkeypatch):
    with pytest.raises(ValueError, match="no head has an option clusterr, shfit"):
        build_model("resnet_thin", 5, 3, clusterr="slope", shfit=True)
    monkeypatch.setitem(HEADS, "odd", type("Odd", (Head,), {"options": ("width",), "needs_maps": True}))
    with pytest.raises(ValueError, match="head odd needs the option width"):
        build_model("resnet_thin", 5, 3, consensus_type="odd")
    monkeypatch.setitem(HEADS, "odd", type("Odd", (Head,), {"needs_maps": True}))
    with pytest.raises(ValueError, match="head odd takes maps.*in_dim must be None"):
        build_model("resnet_thin", 5, 3, consensus_type="odd")
