"""Checkpoints of untrained models, as main.py would save them."""

from pathlib import Path

import torch
from torch import nn

from ops.models import build_model
from ops.options.config import Config, plain
from ops.training import checkpoint as ckpt


def make_checkpoint(path: Path, **given) -> Path:
    """A thin model whose classes differ; `given` are options of `Config`."""
    given = {
        "num_segments": 4,
        "arch": "resnet_thin",
        "dataset": "movingmnist",
        "modality": "RGB",
        "shift": True,
        "root_path": str(path.parent / "nowhere"),
    } | given
    config = Config(**given)
    torch.manual_seed(0)
    model = build_model(num_class=config.num_class or 4, **config.model_options)
    nn.init.normal_(model.new_fc.weight)
    ckpt.save_checkpoint(path, {"state_dict": model.state_dict(), "config": plain(config)})
    return path
