"""A network of two convolutions: as fast to export as a network can be."""

from pathlib import Path

import torch
from checkpoints import make_checkpoint
from torch import Tensor, nn

from archs import ARCHS
from archs.backbone import Arch, Backbone, Place
from ops.models import TSN, build_model
from ops.training.checkpoint import save_checkpoint


class Tiny(Backbone):
    stages, channels, feature_dim, first_conv = ("first", "second"), {"first": 8, "second": 8}, 8, "first.0"

    def __init__(self, in_channels: int = 3):
        super().__init__()
        self.in_channels = in_channels
        self.first = nn.Sequential(nn.Conv2d(in_channels, 8, 3, stride=4, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        return getattr(self, stage)(x)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        return [getattr(self, stage)]

    def blocks(self, stage: str) -> list[Place]:
        return [Place(self, "second", 8)] if stage == "second" else []

    def shift_places(self, stage: str) -> list[Place]:
        return [Place(self.second, "0", 8)] if stage == "second" else []


TINY = Arch(Tiny, stages=Tiny.stages, block_stages=("second",), cluster_after="first", input_size=16)


def tiny_model(**options) -> TSN:
    """An untrained model in eval mode, with shift behind the clustering; `ARCHS` must know `TINY` as "tiny"."""
    torch.manual_seed(0)
    model = build_model("tiny", 4, 4, **{"shift": True} | options).eval()
    nn.init.normal_(model.new_fc.weight)
    return model


def tiny_checkpoint(path: Path, **options) -> Path:
    """An untrained model as main.py would save it after an epoch; `ARCHS` must know `TINY`, too."""
    make_checkpoint(path, **{"arch": "tiny", "root_path": None} | options)
    facts = {"epoch": 3, "num_class": 4, "best_prec1": 62.5, "best_epoch": 2}
    save_checkpoint(path, torch.load(path) | facts | {"class_names": ["left", "right", "up", "down"]})
    return path


def know_tiny(monkeypatch) -> None:
    monkeypatch.setitem(ARCHS, "tiny", TINY)
