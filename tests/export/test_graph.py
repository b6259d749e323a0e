"""Graphs that torch traces: the model's own answers for any number of frames, and nothing told of this machine."""

import pytest
import torch
from networks import know_tiny, tiny_model

from ops.errors import InputError
from ops.export.graph import make_graph, trace
from ops.models import build_model


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    know_tiny(monkeypatch)


@pytest.mark.parametrize("cluster", ["cumulative", "slope"])
def test_a_graph_of_any_number_of_frames(cluster):
    graph = make_graph(tiny_model(cluster=cluster))
    run = trace(graph, 16).module()
    with torch.no_grad():
        for t in (1, 2, 3, 4, 5, 9, 50):
            frames = torch.randn(t, 3, 16, 16)
            own = graph(frames)
            assert own[0].shape == (4,) and own[1].shape == own[2].shape == (t,)
            assert torch.equal(own[0], graph.model(frames, torch.tensor([t]))[0])
            logits, clusters, changes = run(frames)
            torch.testing.assert_close(logits, own[0])
            assert torch.equal(clusters, own[1]) and torch.equal(changes, own[2])


def test_a_graph_of_any_number_of_clips():
    graph = make_graph(tiny_model(cluster="none"))
    run = trace(graph, 16).module()
    with torch.no_grad():
        for n in (1, 2, 5):
            frames = torch.randn(n, 4, 3, 16, 16)
            expected = graph.model(frames.flatten(0, 1), torch.full((n,), 4))
            torch.testing.assert_close(run(frames)[0], expected)


@pytest.mark.parametrize("cluster", ["kmeans", "kmodes"])
def test_rounds_of_grouping_are_refused(cluster):
    error = f"--cluster {cluster} groups frames in rounds.*cumulative, slope, even, random.*--to safetensors"
    with pytest.raises(InputError, match=error):
        make_graph(tiny_model(cluster=cluster))


def test_features_are_refused():
    model = build_model("features", 4, 4, modality="Features", feature_dim=5, cluster="none").eval()
    with pytest.raises(InputError, match="sees features"):
        make_graph(model)


def test_what_torch_cannot_trace_is_told_in_one_line():
    model = tiny_model(cluster="none")

    class Odd(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    model.dropout = Odd()
    with pytest.raises(InputError, match="^torch .* cannot trace this model: [^\n]+$"):
        trace(make_graph(model), 16)
