"""Do frames with like sign patterns have like gradients? The premise of `ops/clustering.py`, measured.

Liu et al., *No frame left behind*, CVPR 2021, arXiv 2103.15395. Of one video with frames x[i], stem activations
a[i] = f(x[i], w) and cluster means m[k], with L the cross-entropy of its scores, all in eval mode (BatchNorm with its
running statistics, so that no frame touches another's Jacobian):

    v[k]     = dL/dm[k]               from one real pass: the model's own clusters, trunk and classifier
    W[i, k]  = (da[i]/dw)^T v[k]      gradient of the stem's weights, frame i alone as a member of cluster k
    X[i, k]  = (da[i]/dx[i])^T v[k]   the same for the frame, as the network takes it in, in place of the weights

Training adds W[i, k] / |C_k| over the frames of each cluster. All members share v, so that one frame may stand for
another as far as their W agree. Measured for two frames i, j is therefore the angle between W[i, k] and W[j, k], and
that between X[i, k] and X[j, k], with k the cluster of i: the same v for both.

What is certain. The gradients of equal frames are equal: angle 0. Frames that switch the same units on in *every* layer
of a ReLU stem, and win the same places of a max-pool, pass the same linear map: their X agree, angle 0, with biases or
without. Signs of the last layer alone, which clustering sees, promise less: the patterns inside may differ. And W needs
more: a layer's weights get the product of what comes back to the layer, which depends on the patterns alone, with what
goes into it, which does not. For one fully connected layer of input h (1 for a bias) and returning gradient d

    cos(W[i], W[j]) = cos(d[i], d[j]) * cos(h[i], h[j])

so that under one sign pattern the angle between gradients of weights is that between the layer's inputs.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ops.clustering import frame_distances
from ops.errors import InputError
from ops.files import as_csv
from ops.models import TSN
from ops.training.engine import check_finite
from ops.training.placement import full_precision
from ops.training.stepping import video_losses

CHUNK = 32  # frames that pass the stem at a time
KINDS = ("neighbour", "random")
DISTANCES = ("hamming", "pixel_distance", "activation_distance")
ANGLES = ("angle_degrees", "input_angle_degrees")


class Pair(NamedTuple):
    """Two frames of a video; what cannot be told, of activations or gradients that are all 0, is nan."""

    video: str
    i: int  # frames as the model sees them, from 0; i < j
    j: int
    kind: str  # one of `KINDS`
    hamming: float  # share of signs of the stem's activations that differ, in [0, 1]
    pixel_distance: float  # mean difference of levels, of 255, in [0, 1]
    activation_distance: float  # 1 - cosine of the stem's activations
    angle_degrees: float  # between gradients of the stem's weights, in [0, 180]
    input_angle_degrees: float  # between gradients of the frames


class FrameGradients(NamedTuple):
    """What one frame gives by itself, on the CPU."""

    activation: Tensor  # (1, c, h, w), without gradient
    weights: Tensor  # all gradients of weights in a row, float64
    frame: Tensor  # the gradient of the frame in a row, float64


def frame_gradients(
    stem: Callable[[Tensor], Tensor], weights: Sequence[Tensor], frame: Tensor, upstream: Tensor
) -> FrameGradients:
    """Products of `upstream`, v (1, ...), with the Jacobians of a stem: by its `weights`, and by its input (1, ...)."""
    frame = frame.detach().requires_grad_()
    activation = stem(frame)
    back = torch.autograd.grad(activation, [frame, *weights], upstream)
    of_frame, *of_weights = (gradient.flatten().cpu().double() for gradient in back)
    return FrameGradients(activation.detach().cpu(), torch.cat(of_weights), of_frame)


def angle(a: Tensor, b: Tensor) -> float:
    """Degrees between two float64 vectors, nan where one is 0; exact near 0 and 180, where the arc cosine is not.

    W. Kahan, *How futile are mindless assessments of roundoff*, 2006, section 12.
    """
    a, b = a / a.norm(), b / b.norm()
    return math.degrees(2 * math.atan2((a - b).norm(), (a + b).norm()))


def draw_pairs(num_frames: int, number: int, rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """At most `number` pairs (kind, i, j) of each of `KINDS`, drawn evenly and without repetition, in order of time."""
    first = rng.choice(num_frames - 1, min(number, num_frames - 1), replace=False)
    pairs = sorted(("neighbour", int(i), int(i) + 1) for i in first)
    all_pairs = num_frames * (num_frames - 1) // 2
    drawn = rng.choice(all_pairs, min(number, all_pairs), replace=False)  # 0 is (0, 1), 1 (0, 2), 2 (1, 2), ...
    later = ((1 + np.sqrt(1 + 8 * drawn)) / 2).astype(int)
    return pairs + sorted(("random", int(n - j * (j - 1) // 2), int(j)) for n, j in zip(drawn, later, strict=True))


def upstream_gradients(model: TSN, steps: Tensor, label: int, name: str) -> tuple[Tensor, list[int]]:
    """v (g, c, h, w) at the cluster means of one video, and the cluster of each frame, of several the first."""
    with torch.no_grad():
        means, assignment, _ = model.cut(steps, torch.tensor([len(steps)]), CHUNK)
    means.requires_grad_()
    scores = model.classify(means, 1)
    check_finite(scores, [name])
    loss = video_losses(scores, torch.tensor([label], device=scores.device)).sum()
    return torch.autograd.grad(loss, means)[0], assignment.tolist()


def stem_weights(model: TSN) -> list[Tensor]:
    """The parameters of the stem that train."""
    return [weight for part in model.stem_modules for weight in part.parameters() if weight.requires_grad]


@full_precision()
def video_pairs(model: TSN, steps: Tensor, label: int, name: str, number: int, rng: np.random.Generator) -> list[Pair]:
    """Measure up to `number` pairs of each kind in one video, steps uint8 (t, channels, S, S) as loaded; none if t = 1.

    The model is in eval mode and clusters. Raises InputError where its scores are not finite.
    """
    if len(steps) < 2:
        return []
    upstream, assignment = upstream_gradients(model, steps, label, name)
    weights = stem_weights(model)
    pairs = []
    for kind, i, j in draw_pairs(len(steps), number, rng):
        v = upstream[assignment[i], None]  # (1, c, h, w)
        frames = (model.to_input(steps[k, None].to(model.device)) for k in (i, j))
        a, b = (frame_gradients(model.run_stem, weights, frame, v) for frame in frames)
        both = torch.cat([a.activation, b.activation])
        x, y = both.flatten(1).double()
        pairs.append(
            Pair(
                name,
                i,
                j,
                kind,
                hamming=frame_distances(both, torch.tensor([2]))[1].item(),
                pixel_distance=(steps[i].float() - steps[j].float()).abs().mean().item() / 255,
                activation_distance=1 - math.cos(math.radians(angle(x, y))),
                angle_degrees=angle(a.weights, b.weights),
                input_angle_degrees=angle(a.frame, b.frame),
            )
        )
    return pairs


def spread(labels: Sequence[int], number: int, rng: np.random.Generator) -> list[int]:
    """At most `number` drawn places of `labels`, from every class as many as can be, by turns."""
    seen, order = Counter(), []
    for place in rng.permutation(len(labels)).tolist():
        order.append((seen[labels[place]], labels[place], place))
        seen[labels[place]] += 1
    return [place for *_, place in sorted(order)[:number]]


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of x (n,) and y (n,), nan where one does not vary."""
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else math.nan


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks from 1, (n,) -> (n,) float; equal values share the mean of theirs."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place.reshape(-1)]


class Agreement(NamedTuple):
    """How well one distance tells one angle, over all pairs for which both are known."""

    kind: str  # one of `KINDS`, or "all"
    distance: str  # one of `DISTANCES`
    angle: str  # one of `ANGLES`
    pairs: int
    pearson: float  # both nan for fewer than two pairs, or where something does not vary
    spearman: float


def agreements(pairs: Sequence[Pair]) -> list[Agreement]:
    """Every distance against every angle, for neighbours, random pairs and all."""
    found = []
    for kind in (*KINDS, "all"):
        some = [pair for pair in pairs if kind in (pair.kind, "all")]
        for distance in DISTANCES:
            for degrees in ANGLES:
                x, y = np.array([[getattr(pair, distance), getattr(pair, degrees)] for pair in some]).reshape(-1, 2).T
                known = np.isfinite(x) & np.isfinite(y)
                x, y = x[known], y[known]
                both = (pearson(x, y), pearson(ranks(x), ranks(y))) if len(x) > 1 else (math.nan, math.nan)
                found.append(Agreement(kind, distance, degrees, len(x), *both))
    return found


def pairs_file(pairs: Sequence[Pair]) -> bytes:
    """The pairs as CSV, a row each under `Pair._fields`, numbers to six digits."""
    rows = [[f"{value:.6g}" if isinstance(value, float) else value for value in pair] for pair in pairs]
    return as_csv([Pair._fields, *rows])


def read_pairs(path: Path) -> list[Pair]:
    """The pairs in a file that `pairs_file` made; InputError where it is another."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                Pair(**{name: kind(row[name]) for name, kind in Pair.__annotations__.items()})
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, LookupError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is not a table of tools/gradient_agreement.py: {error!r}") from None
