"""No network at all: features that one has made before pass as they are, vectors or maps."""

import torch
from torch import Tensor, nn

from archs.backbone import Arch, Backbone


class Passing(Backbone):
    """Passes maps (m, d, h, w), of vectors (m, d, 1, 1), in float32 at least; `pool` takes their mean over places."""

    stages, first_conv = ("features",), ""  # the backbone itself, which holds no weights

    def __init__(self, in_channels: int = 3):
        super().__init__()
        self.in_channels = self.feature_dim = in_channels
        self.channels = {"features": in_channels}

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def stage_modules(self, stage: str) -> list[nn.Module]:
        return []


FEATURES = Arch(Passing, stages=("features",), block_stages=(), cluster_after="features", input_size=1)
