"""The cuts of an exported graph are those of `ops/clustering.py`, for any number of frames and clusters."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.export import Dim
from torch.utils._python_dispatch import TorchDispatchMode

from ops import clustering
from ops.clustering import REDUCTIONS, TemporalClustering, find_clusters
from ops.export import operators
from ops.export.formats import FORMATS
from ops.export.graph import quiet
from ops.export.operators import REWRITTEN

METHODS = ["cumulative", "slope", "even", "random"]


class Rewriting(TorchDispatchMode):
    """Runs what graphs for ONNX run. Sorting stays: that of equals the earlier comes first is said by ONNX alone."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is not torch.ops.aten.sort.stable:
            func = REWRITTEN.get(func, func)
        return func(*args, **(kwargs or {}))


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
    st.integers(1, 12),
    st.sampled_from(METHODS),
    st.sampled_from([*REDUCTIONS]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100)
def test_what_a_graph_runs_cuts_and_averages_as_the_program_does(lengths, g, method, reduce, seed):
    x = torch.randn(sum(lengths), 6, 2, 2, generator=torch.Generator().manual_seed(seed))
    layer, lengths = TemporalClustering(g, method, reduce=reduce).eval(), torch.tensor(lengths)
    means, assignment = layer(x, lengths)
    with pytest.MonkeyPatch.context() as patch, Rewriting():
        patch.setattr(clustering, "in_export", lambda: True)
        others, labels = layer(x, lengths)
    assert torch.equal(labels, assignment)
    torch.testing.assert_close(others, means)


class Cuts(nn.Module):
    """Distances (t,) -> the cluster of each frame by two methods, (t,) each."""

    outputs, axis = ("cumulative", "slope"), "frames"

    def forward(self, changes):
        lengths = torch.full((1,), changes.shape[0], dtype=torch.int64)
        return tuple(find_clusters(changes, lengths, 5, method).assignment for method in self.outputs)


def test_a_graph_of_onnx_cuts_as_the_program_does(tmp_path, monkeypatch):
    """Ties, jumps across several thresholds, no change at all, and sums beyond 2^24, in any number of frames."""
    pytest.importorskip("onnxruntime", reason="the graph is run by it")
    pytest.importorskip("onnxscript", reason="torch writes ONNX with it")
    monkeypatch.setattr(operators, "LONGEST", 9)  # a graph for 512 frames is written faster
    cuts = Cuts()
    with quiet():
        shapes = ({0: Dim("frames", min=1)},)
        program = torch.export.export(cuts, (torch.arange(8),), dynamic_shapes=shapes, strict=False)
    FORMATS["onnx"].write(program, cuts, {}, tmp_path / "cuts.onnx")
    run, rng = FORMATS["onnx"].open(tmp_path / "cuts.onnx"), np.random.default_rng(0)
    for t in [*range(1, 30), 500]:
        for d in (
            rng.integers(0, 3, t),
            rng.integers(0, 2**20, t),
            (rng.random(t) < 0.1) * rng.integers(1, 10**6, t),
            np.zeros(t, int),
        ):
            d[0] = 0
            changes = torch.from_numpy(d)
            for found, own in zip(run(changes), cuts(changes), strict=True):
                assert torch.equal(found, own), d
