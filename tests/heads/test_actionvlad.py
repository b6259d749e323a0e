"""ActionVLAD: its equations, its words from data, the maps that it takes."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from archs import ARCHS
from archs.resnet import OpenBasicBlock
from ops.heads import actionvlad
from ops.heads.actionvlad import BreakfastVLAD, PaperVLAD, residuals
from ops.models import build_model
from ops.training.optim import parameter_groups

PAPER = {"consensus_type": "ActionVLAD", "vlad_form": "paper", "vlad_stage": 2}
FORMS = [PAPER, PAPER | {"vlad_form": "breakfast"}]


def count(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


# ---------------------------------------------------------------- published sizes


@pytest.mark.parametrize(
    "form, dim, num_class, number",
    [
        (PaperVLAD, 512, 51, 1_736_819),  # VGG-16, HMDB51
        (PaperVLAD, 2048, 10, 1_572_938),
        (PaperVLAD, 2048, 174, 23_068_910),
        (BreakfastVLAD, 2048, 10, 5_280_554),
    ],
)
def test_parameters(form, dim, num_class, number):
    options = {"vlad_stage": 2} if form is PaperVLAD else {}
    with torch.device("meta"):
        assert count(form(dim, num_class, 64, **options)) == number


def test_stage_1_trains_the_classifier_alone():
    head = PaperVLAD(512, 51, 25, vlad_stage=1)
    assert count(head) == (64 * 512 + 1) * 51
    assert PaperVLAD(512, 51, 25, vlad_stage=2).state_dict().keys() == head.state_dict().keys()


# ---------------------------------------------------------------- equations


def test_residuals_by_hand():
    """Two places, two words: V_1 = (3, 4), V_2 = 0.5 (2, -2) before lengths are taken."""
    x = torch.tensor([[[4.0, 4.0], [2.0, 0.0]]])
    assigned = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    words = torch.tensor([[1.0, 0.0], [2.0, 6.0]])
    root = math.sqrt(2)
    expected = torch.tensor([[0.6 / root, 0.8 / root, 0.5, -0.5]])
    torch.testing.assert_close(residuals(x, assigned, words), expected)
    # repeating every place changes nothing: the two lengths see to it
    torch.testing.assert_close(residuals(x.repeat(1, 3, 1), assigned.repeat(1, 3, 1), words), expected)
    assert residuals(x, torch.zeros(1, 2, 2), words).tolist() == [[0.0] * 4]


@torch.no_grad()
def test_words_assign_each_place_to_the_nearest():
    head = PaperVLAD(3, 2, 1, vlad_stage=2, num_words=2)
    words = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.8, 0.0]])
    head.set_words(words)
    assert head.offset.tolist() == pytest.approx([-1000.0, -640.0])
    assert head.assign.tolist() == [[2000.0, 0.0, 0.0], [0.0, 1600.0, 0.0]]
    x = torch.tensor([[3.0, 4.0, 0.0], [5.0, 0.0, 0.0]]).T.view(1, 1, 3, 1, 2)  # places of length 1: (.6, .8), (1, 0)
    places = head.places(x)
    torch.testing.assert_close(places, torch.tensor([[[0.6, 0.8, 0.0], [1.0, 0.0, 0.0]]]))
    head.classifier = nn.Identity()
    torch.testing.assert_close(head(x)[0], torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0, 0.0]))  # (1, 0) lies on its word


@torch.no_grad()
def test_a_head_starts_from_the_centres_of_places():
    """Three directions, 60 places of each: words are the three, and nothing else is drawn from the data."""
    torch.manual_seed(0)
    directions = torch.eye(6)[:3]
    places = F.normalize(directions.repeat(60, 1) + 0.01 * torch.randn(180, 6), dim=1) * torch.rand(180, 1)
    batches = places[torch.randperm(180)].view(3, 2, 5, 6, 1, 6).movedim(5, 3)  # three of (n, g, D, h, w)
    head = PaperVLAD(6, 2, 5, vlad_stage=1, num_words=3)
    head.start_from(batches, np.random.default_rng(0))
    found = F.normalize(head.words, dim=1) @ directions.T
    assert sorted(found.argmax(1).tolist()) == [0, 1, 2] and found.amax(1).min() > 0.99
    torch.testing.assert_close(head.offset, -1000 * head.words.square().sum(1))


def test_few_places_are_an_error_and_many_are_enough(monkeypatch):
    for name in ("MAPS", "PLACES"):
        monkeypatch.setattr(actionvlad, name, 200)
    head = PaperVLAD(4, 2, 5, vlad_stage=1)
    with pytest.raises(ValueError, match="64 words want as many places, and the training videos show 60"):
        head.start_from([torch.randn(3, 5, 4, 2, 2)], np.random.default_rng(0))
    asked = []

    def batches():
        while True:
            asked.append(1)
            yield torch.randn(10, 5, 4, 2, 2)

    words = head.words.clone()
    head.start_from(batches(), np.random.default_rng(0))
    assert len(asked) == 4 and not torch.equal(head.words, words)


@torch.no_grad()
def test_the_form_of_breakfast_by_hand():
    """One place of two channels that are as the reduced ones, two words."""
    head = BreakfastVLAD(2, 2, 1, width=2, num_words=2).eval()
    head.reduce[0].weight.copy_(torch.eye(2)[..., None, None])
    head.reduce[0].bias.zero_()
    head.reduce[1].eps = 0
    head.classifier = nn.Identity()
    for parameter, values in (
        (head.assign, [[math.log(3), 0.0], [0.0, 0.0]]),
        (head.offset, [0.0, 0.0]),
        (head.words, [[0.0, -3.0], [1.0, -4.0]]),
    ):
        parameter.copy_(torch.tensor(values))
    x = torch.tensor([1.0, -2.0]).view(1, 1, 2, 1, 1)  # ReLU: (1, 0); a = (3/4, 1/4); V = 3/4 (1, 3), 1/4 (0, 4)
    root = math.sqrt(2)
    torch.testing.assert_close(head(x), torch.tensor([[0.1**0.5 / root, 3 * 0.1**0.5 / root, 0.0, 1 / root]]))


# ---------------------------------------------------------------- in the network


@pytest.mark.parametrize("arch", ["resnet_thin", "resnet50"])
@torch.no_grad()
def test_maps_before_the_last_relu(arch):
    """The ReLU of what the stage leaves is what it left before, and is of both signs."""
    torch.manual_seed(0)
    backbone = ARCHS[arch].build(3).eval()
    x = torch.randn(2, backbone.channels["layer3"], 4, 4).relu()
    after = backbone.run_stage("layer4", x)
    names = [*backbone.state_dict()]
    backbone.drop_last_relu()
    before = backbone.run_stage("layer4", x)
    assert before.min() < 0 and torch.equal(before.relu(), after)
    assert [*backbone.state_dict()] == names


@pytest.mark.parametrize("options", [{"shift_place": "block"}, {"shift_place": "blockres"}])
def test_the_last_block_is_found_in_whatever_wraps_it(options):
    model = build_model("resnet_thin", 2, 4, shift=True, **options, **PAPER)
    assert [type(module) for module in model.modules()].count(OpenBasicBlock) == 1
    assert build_model("resnet_thin", 2, 4, **FORMS[1]).base_model.layer4[0].__class__ is not OpenBasicBlock


@pytest.mark.parametrize("options", FORMS, ids=lambda options: options["vlad_form"])
def test_shapes_gradients_and_an_empty_batch(options):
    model = build_model("resnet_thin", 5, 4, **options)
    frames = torch.randint(0, 256, (11, 3, 64, 64), dtype=torch.uint8)
    logits = model(frames, torch.tensor([4, 7]))
    assert logits.shape == (2, 5) and model.new_fc is None
    logits.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.requires_grad)
    assert model.consensus.words.grad.any() and model.base_model.conv1.weight.grad.any()
    model.zero_grad()
    empty = model(frames[:0], torch.tensor([], dtype=torch.int64))
    assert empty.shape == (0, 5)
    empty.sum().backward()
    assert all(parameter.grad is not None for parameter in model.consensus.parameters())


@pytest.mark.parametrize("options", FORMS, ids=lambda options: options["vlad_form"])
def test_videos_are_tested_by_themselves(options):
    model = build_model("resnet_thin", 5, 4, **options).eval()
    frames = torch.randint(0, 256, (11, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        together = model(frames, torch.tensor([4, 7]))
        torch.testing.assert_close(together[:1], model(frames[:4], torch.tensor([4])))


@pytest.mark.parametrize("options", FORMS, ids=lambda options: options["vlad_form"])
def test_words_do_not_decay(options):
    model = build_model("resnet_thin", 5, 4, **options)
    (norms,) = [group for group in parameter_groups(model) if group["name"] == "norms"]
    assert (norms["lr_mult"], norms["decay_mult"]) == (1, 0)
    names = ("assign", "offset", "words")
    assert all(any(p is getattr(model.consensus, name) for p in norms["params"]) for name in names)


def test_a_form_must_be_chosen():
    with pytest.raises(ValueError, match="head ActionVLAD needs the option vlad_form"):
        build_model("resnet_thin", 5, 4, consensus_type="ActionVLAD")
    with pytest.raises(ValueError, match="head ActionVLAD needs the option vlad_stage"):
        build_model("resnet_thin", 5, 4, consensus_type="ActionVLAD", vlad_form="paper")
