"""Cuts of one video by several methods are those that models of these methods make."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ops.clustering import CLUSTERINGS, Clustering, cumulative_labels
from ops.evaluation.cuts import cut_video
from ops.models import build_model
from ops.run.validation_pictures import picture_clusters


class Frames:
    """A video as `ops.evaluation.predict.Steps` shows it."""

    def __init__(self, frames):
        self.content, self.first, self.frames = frames, np.arange(len(frames)), list(frames)

    def __len__(self):
        return len(self.content)

    def __getitem__(self, part):
        return self.content[part]


def brightness(x):
    """Changes of the mean activation, in whole numbers."""
    mean = (1000 * x.mean(1)).long()
    return torch.cat([mean[:1] * 0, (mean[1:] - mean[:-1]).abs()])


@pytest.fixture
def methods(monkeypatch):
    whole = Clustering(lambda x, layout, seed: cumulative_labels(brightness(x), layout, seed), whole_videos=True)
    monkeypatch.setitem(CLUSTERINGS, "whole", whole)
    return ["slope", "whole", "cumulative", "kmeans", "random"]


def test_each_method_looks_at_what_it_measures(methods):
    frames = torch.randint(0, 256, (23, 3, 32, 32), dtype=torch.uint8)
    found = {}
    for method in methods:
        torch.manual_seed(0)
        model = build_model("resnet_thin", 2, 4, cluster=method, seed=3).eval()
        with torch.inference_mode():
            _, assignment, distances = model.cut(frames, torch.tensor([23]), 5)
            at_once = model.clustering(model.run_stem(frames), torch.tensor([23]))[1]
        assert assignment.tolist() == at_once.tolist() and distances.shape == (23,)
        found[method] = assignment.tolist()
    cut = cut_video(model, Frames(frames), methods, 4, 5, "title")
    assert cut.assignments == found and len({tuple(labels) for labels in found.values()}) > 2


def test_a_method_that_looks_at_all_activations_has_its_picture(methods):
    model = build_model("resnet_thin", 2, 4, cluster="whole").eval()
    frames = torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8)
    videos = SimpleNamespace(load=lambda epoch, index: (frames, 0, "v"))
    assert picture_clusters(model, videos, 0).dtype == np.uint8
