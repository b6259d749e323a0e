"""Training on mixtures of two videos: mixup and CutMix, on what the trunk sees.

Zhang et al., *mixup*, ICLR 2018; Yun et al., *CutMix*, ICCV 2019. Videos of different lengths have no frames that
belong together, but the same number of representations: these are mixed, the k-th of a video with the k-th of another.
Models that sample frames have no stem, so that there the frames themselves are mixed.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Mixing:
    """How videos are to be mixed: the parameters alpha of the Beta distributions that shares come from, 0 for never.

    Where both are wanted, a coin decides for each batch.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def draw(self, rng: np.random.Generator) -> "Mix":
        """The mixture of a batch."""
        cuts = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        return Mix(float(rng.beta(alpha, alpha)), tuple(rng.random(2).tolist()) if cuts else None)


class Mix:
    """Each video of a batch mixed with the one before it, the first with the last.

    `share` is what stays of a video itself. With `centre`, shares of height and width, a box about it is taken from the
    other video instead, and `share` becomes exact when the box meets its first maps.
    """

    def __init__(self, share: float, centre: tuple[float, float] | None = None):
        self.share, self.centre = share, centre

    def __call__(self, x: Tensor, num_videos: int) -> Tensor:
        """Maps of n videos, (n*g, c, h, w) -> mixed."""
        others = x.roll(len(x) // num_videos, 0)
        if self.centre is None:
            return torch.lerp(others, x, self.share)
        half, whole = math.sqrt(1 - self.share) / 2, x.shape[2:]
        starts = [max(0, round((middle - half) * side)) for middle, side in zip(self.centre, whole, strict=True)]
        ends = [min(side, round((middle + half) * side)) for middle, side in zip(self.centre, whole, strict=True)]
        box = (..., slice(starts[0], ends[0]), slice(starts[1], ends[1]))
        self.share = 1 - x[box].numel() / x.numel()
        mixed = x.clone()
        mixed[box] = others[box]
        return mixed

    def targets(self, labels: Tensor, num_class: int) -> Tensor:
        """The shares of classes in each mixed video, labels (n,) -> (n, K)."""
        one_hot = F.one_hot(labels, num_class).float()
        return self.share * one_hot + (1 - self.share) * one_hot.roll(1, 0)

    def heavier(self, labels: Tensor) -> Tensor:
        """The label that weighs more in each mixed video, (n,)."""
        return labels if self.share >= 0.5 else labels.roll(1)
