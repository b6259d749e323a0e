"""When a graph is as good as its model: the same classes and cuts, and logits but for rounding."""

import pytest
import torch
from networks import know_tiny, tiny_model

from ops.export.graph import make_graph
from ops.export.parity import Clip, compare, lay_out, made_clips


@pytest.fixture
def graph(monkeypatch):
    know_tiny(monkeypatch)
    return make_graph(tiny_model(cluster="slope"))


@pytest.fixture
def clip(graph):
    return Clip("noise", torch.randn(9, 3, 16, 16, generator=torch.Generator().manual_seed(0)))


def changed(graph, place, change):
    """A graph of which one output is another one."""

    def run(frames):
        outputs = [*graph(frames)]
        outputs[place] = change(outputs[place])
        return outputs

    return run


def test_made_clips_are_of_many_lengths(graph):
    clips = [*made_clips(graph, 16)]
    assert [(clip.name, len(clip.frames)) for clip in clips] == [
        ("noise", 1),
        ("noise", 2),
        ("noise", 4),
        ("noise", 5),
        ("noise", 11),
        ("still", 6),
    ]
    assert all(compare(graph, graph, clip).good for clip in clips)
    still = graph(clips[-1].frames)
    assert still[2].tolist() == [0] * 6 and still[1].tolist() == [0, 1, 1, 2, 3, 3]  # cut evenly


def test_rounding_is_allowed_and_more_is_not(graph, clip):
    row = compare(graph, changed(graph, 0, lambda x: x + 1e-6), clip)
    assert row.good and row.cuts == "same" and row.difference == pytest.approx(1e-6, rel=0.5)
    assert not compare(graph, changed(graph, 0, lambda x: 1.01 * x), clip).good
    row = compare(graph, changed(graph, 0, torch.neg), clip)
    assert not row.good and not row.same_class


def test_other_cuts_are_not_allowed(graph, clip):
    row = compare(graph, changed(graph, 1, lambda clusters: clusters.flip(0)), clip)
    assert row.cuts == "other" and not row.good


def test_cuts_that_follow_from_a_sign_more_are_allowed(graph):
    """Two changes that are equal but for one sign of thousands: with it, the cut moves."""
    frames = torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x = graph.model.run_stem(frames).detach()
    changes = torch.tensor([0, 4000, 4000, 4000, 4000, 3999])
    own = graph.classify(x, changes)
    more = graph.classify(x, changes + torch.tensor([0, 0, 0, 0, 0, 2]))
    assert own[1].tolist() == [0, 1, 2, 3, 3, 3] and more[1].tolist() == [0, 1, 2, 2, 2, 3]

    class Given(type(graph)):
        def forward(self, frames):
            return own

    given = Given(graph.model)
    row = compare(given, lambda frames: more, Clip("tie", frames))
    assert row.good and row.cuts == "2 frames: rounding"
    far = (more[0], more[1], changes + torch.tensor([0, 0, 0, 0, 0, 20]))
    assert compare(given, lambda frames: far, Clip("tie", frames)).cuts == "other"
    wrong = (more[0], own[1].flip(0), more[2])
    assert compare(given, lambda frames: wrong, Clip("tie", frames)).cuts == "other"


def test_the_table(graph, clip):
    rows = [compare(graph, graph, clip), compare(graph, changed(graph, 0, torch.neg), clip)._replace(difference=2.5)]
    assert lay_out(rows, "frames").splitlines() == [
        "clip   frames  largest difference  class  cuts",
        "noise  9       0.0e+00             same   same",
        "noise  9       2.5e+00             other  same",
    ]
    assert "cuts" not in lay_out([rows[0]._replace(cuts="")], "clips")
