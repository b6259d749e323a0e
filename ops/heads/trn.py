"""Temporal relations: an MLP looks at several representations of a video together, in their order.

Zhou, Andonian, Oliva, Torralba: *Temporal Relational Reasoning in Videos*, ECCV 2018, arXiv 1711.08496, equations 1 to
4. Each representation has 256 features, `new_fc` behind dropout. A relation of s of them, earlier ones first, is

    T_s(x_1, ..., x_s) = h(g(x_1, ..., x_s)),      g: ReLU, Linear(256 s -> 256), ReLU;  h: Linear(256 -> K)

`TRN` is one relation of all g of them, 512 wide. `TRNMultiscale` is the sum of relations at the scales s = g, g-1, ...,
2, of at most three tuples each; 19 for g = 8. `--trn_mlps` chooses between two forms of it:

    shared       one MLP a scale, as in the released program: 26,641,154 parameters with ResNet-50 and 174 classes
    per_tuple    three MLPs a scale, the j-th for the j-th tuple, as the 31.8 M of published tables want: 31,858,310

Key names are those of the released program, so that published files load. Deviations from it:

  - Training draws the tuples of a batch by its place in the run (seed, epoch, batch, process), not by a generator that
    depends on what ran before. Testing never draws: it takes three seeded tuples a scale, always the same, or with
    `--trn_tuples all` every tuple, as the mean that training's sum has over its draws. The released program draws anew
    in every test.
  - Of the form `per_tuple`, no code is at hand. At scale g, which has one tuple, all three MLPs see that one.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np
import torch
from torch import Tensor, nn

from ops.heads.head import Head

FEATURES = 256  # of a representation
TUPLES = 3  # of a scale that has so many
MOST_SEGMENTS = 12  # representations of which every tuple can be had: there are 4083


def relation(size: int, width: int, num_class: int) -> list[nn.Module]:
    """The layers of an MLP over `size` representations, (..., 256 size) -> (..., K)."""
    return [nn.ReLU(), nn.Linear(FEATURES * size, width), nn.ReLU(), nn.Linear(width, num_class)]


class TRN(Head):
    """One relation of all representations, (n, g, 256) -> (n, K)."""

    fixed_segments, boosted = True, False
    classifiers = ("consensus.classifier.3.weight",)

    def __init__(self, feature_dim: int, num_class: int, num_segments: int):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = FEATURES
        self.classifier = nn.Sequential(*relation(num_segments, 512, num_class))

    @classmethod
    def read(cls, weights: Mapping[str, Tensor]) -> dict | None:
        first = weights.get("consensus.classifier.1.weight")
        return None if first is None else {"num_segments": first.shape[1] // FEATURES}

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.flatten(1))


class SharedRelation(nn.Sequential):
    """One MLP for all tuples of a scale."""

    def __init__(self, scale: int, num_tuples: int, num_class: int):
        super().__init__(*relation(scale, FEATURES, num_class))
        self.num_tuples = num_tuples

    def forward(self, x: Tensor, every: bool) -> Tensor:
        """Tuples (n, m, 256 s) -> their sum (n, K); of every tuple, as large as that of `num_tuples`."""
        return super().forward(x).mean(1) * self.num_tuples


class RelationPerTuple(nn.ModuleList):
    """An MLP for each of three tuples of a scale."""

    def __init__(self, scale: int, num_tuples: int, num_class: int):
        super().__init__(nn.Sequential(*relation(scale, FEATURES, num_class)) for _ in range(TUPLES))

    def forward(self, x: Tensor, every: bool) -> Tensor:
        """Tuples (n, m, 256 s) -> the sum over MLPs, each of its own tuple or of the mean over every one, (n, K)."""
        if every:
            return sum(mlp(x).mean(1) for mlp in self)
        return sum(mlp(x[:, j % x.shape[1]]) for j, mlp in enumerate(self))


TRN_MLPS = {"shared": SharedRelation, "per_tuple": RelationPerTuple}


class TRNMultiscale(Head):
    """The sum of relations at all scales, (n, g, 256) -> (n, K)."""

    options = ("trn_mlps", "trn_tuples")
    fixed_segments, boosted, draws = True, False, True
    classifiers = ("consensus.fc_fusion_scales.0.3.weight", "consensus.fc_fusion_scales.0.0.3.weight")

    def __init__(self, feature_dim: int, num_class: int, num_segments: int, trn_mlps: str, trn_tuples: str):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim, self.every = FEATURES, trn_tuples == "all"
        self.scales = range(num_segments, 1, -1)
        relations = (TRN_MLPS[trn_mlps](s, tuples_drawn(num_segments, s), num_class) for s in self.scales)
        self.fc_fusion_scales = nn.ModuleList(relations)
        for scale in self.scales:
            tuples = TRN_TUPLES[trn_tuples](num_segments, scale)
            self.register_buffer(f"tuples{scale}", torch.tensor(tuples), persistent=False)

    @classmethod
    def problem(cls, num_segments: int, options: Mapping) -> str | None:
        if num_segments < 2:
            return "relates at least 2 representations; take more --num_segments"
        if options["trn_tuples"] == "all" and num_segments > MOST_SEGMENTS:
            number = 2**num_segments - num_segments - 1
            return f"has {number} tuples of {num_segments} representations; leave --trn_tuples all out"
        return None

    @classmethod
    def read(cls, weights: Mapping[str, Tensor]) -> dict | None:
        for mlps, place in (("shared", "0"), ("per_tuple", "0.0")):
            first = weights.get(f"consensus.fc_fusion_scales.{place}.1.weight")
            if first is not None:
                return {"trn_mlps": mlps, "num_segments": first.shape[1] // FEATURES}
        return None

    def draw(self, rng: np.random.Generator) -> list[Tensor]:
        return [torch.tensor(draw_tuples(self.num_segments, scale, rng)) for scale in self.scales]

    def forward(self, x: Tensor, drawn: list[Tensor] | None = None) -> Tensor:
        every, logits = self.every and drawn is None, 0
        if drawn is None:
            drawn = [self.get_buffer(f"tuples{scale}") for scale in self.scales]
        for tuples, relate in zip(drawn, self.fc_fusion_scales, strict=True):
            seen = x[:, tuples].flatten(2)  # (n, g, 256), (m, s) -> (n, m, 256 s)
            logits = logits + relate(seen, every)
        return logits


def tuples_drawn(num_segments: int, scale: int) -> int:
    """How many distinct tuples of a scale there are to sum over."""
    return min(TUPLES, comb(num_segments, scale))


def draw_tuples(num_segments: int, scale: int, rng: np.random.Generator) -> Sequence[tuple[int, ...]]:
    """Distinct tuples of `scale` different representations, earlier ones first; any are as likely as others."""
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < tuples_drawn(num_segments, scale):
        drawn[tuple(sorted(rng.choice(num_segments, scale, replace=False).tolist()))] = None
    return [*drawn]


def seeded_tuples(num_segments: int, scale: int) -> Sequence[tuple[int, ...]]:
    """Tuples that were drawn once and for all."""
    return draw_tuples(num_segments, scale, np.random.default_rng([num_segments, scale]))


def all_tuples(num_segments: int, scale: int) -> Sequence[tuple[int, ...]]:
    return [*combinations(range(num_segments), scale)]


TRN_TUPLES = {"seeded": seeded_tuples, "all": all_tuples}
