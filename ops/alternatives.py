"""What else could stand in the paper's place: other distances, groups that are not contiguous, other representatives.

They answer what it is that helps: the Hamming distance of signs, that clusters are contiguous in time, or the mean.
None of them is the method of Liu et al. (CVPR 2021), who tried some of them (their released code still holds Euclidean
distance, K-modes, one random frame of a cluster, and its middle ones). `ops/clustering.py` has the registries.

  - Distances between neighbouring frames, `euclidean` and `cosine`: sums of whole numbers, for activations are rounded
    to 1/1024 and cut off at +-1024. So the same activations are cut alike on every device.
  - Groups over all frames of a video, wherever in time: `kmodes` of signs (Huang, 1998) and `kmeans` of activations
    (Lloyd; k-means++ by Arthur and Vassilvitskii, SODA 2007), a few rounds from a seeded start.
  - Frames whose mean stands for a cluster: `all_frames`, `one_frame`, `middle_frames`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

UNIT = 1024  # steps of activations in 1; the largest is UNIT, so that sums over 4 million of them stay below 2^62
COSINE_UNIT = 2**20  # steps of the cosine distance in 1
LARGEST = 1e15  # of activations for K-means, whose squares shall stay finite in float32
ROUNDS = 10  # of K-means and K-modes

# ---------------------------------------------------------------- distances


def _whole(x: Tensor) -> Tensor:
    """Activations as whole numbers of 1 / `UNIT`."""
    return (x.float().nan_to_num() * UNIT).round().clamp(-(UNIT**2), UNIT**2).long()


def _root(x: Tensor) -> Tensor:
    """Square root of whole numbers; of float64 where the device has it, whose roots are right to the last bit."""
    return x.to(torch.float32 if x.device.type == "mps" else torch.float64).sqrt()


def euclidean(x: Tensor) -> Tensor:
    """Euclidean distance of activations from each frame to the next, (m+1, d) -> (m,) int64 in steps of 1 / `UNIT`."""
    x = _whole(x)
    return _root((x[1:] - x[:-1]).square().sum(1)).round().long()


def cosine(x: Tensor) -> Tensor:
    """1 - cosine of activations from each frame to the next, (m+1, d) -> (m,) int64 in steps of 1 / `COSINE_UNIT`.

    From a frame without any activation to another one it is 1, between two of them 0.
    """
    x = _whole(x)
    products, norms = (x[1:] * x[:-1]).sum(1), _root(x.square().sum(1))
    both = norms[1:] * norms[:-1]
    cosines = torch.where(both > 0, products / both.clamp(min=1), (norms[1:] == norms[:-1]).to(both.dtype))
    return ((1 - cosines).clamp(min=0) * COSINE_UNIT).round().long()


# ---------------------------------------------------------------- groups


def kmeans(x: Tensor, num_groups: int, seed: int) -> Tensor:
    """K-means of activations (t, d), t >= num_groups -> the group of each frame (t,) int64, none of them empty.

    A function of the products of all pairs of frames, which are found once. Waits for the device.
    """
    x = x.float().nan_to_num().clamp(-LARGEST, LARGEST)
    x = x - x.mean(0)
    gram = (x @ x.T).cpu().double().numpy()  # (t, t)
    squares, rng = gram.diagonal(), np.random.default_rng(seed)
    pairs = (squares[:, None] + squares - 2 * gram).clip(min=0)  # squared distances
    first = [int(rng.integers(len(x)))]
    while len(first) < num_groups:  # k-means++: far ones are likelier
        nearest = pairs[first].min(0)
        nearest[first] = 0
        chances = nearest if nearest.sum() > 0 else ~np.isin(np.arange(len(x)), first)
        first.append(int(rng.choice(len(x), p=chances / chances.sum())))

    def to_centres(member: np.ndarray) -> np.ndarray:
        share = member / member.sum(0)  # (t, g)
        products = gram @ share
        return squares[:, None] - 2 * products + (share * products).sum(0)

    return _alternate(pairs[:, first], to_centres).to(x.device)


def kmodes(x: Tensor, num_groups: int, seed: int) -> Tensor:
    """K-modes of the signs of activations (t, d), t >= num_groups -> the group of each frame (t,) int64, none empty.

    Huang's start: modes are drawn sign by sign with the shares of the video, then each is replaced by the frame next to
    it that is not taken. Of a mode those signs are active that are so in more than half of the group. Sums are whole
    numbers in float32, right for frames of up to 2^24 activations. Waits for the device.
    """
    active = (x > 0).float()  # (t, d)

    def differing(modes: Tensor) -> np.ndarray:
        """Hamming distance of each frame to each mode, (g, d) -> (t, g)."""
        return (active.sum(1)[:, None] + modes.sum(1) - 2 * active @ modes.T).cpu().double().numpy()

    def to_centres(member: np.ndarray) -> np.ndarray:
        member = torch.from_numpy(member).float().to(x.device)  # (t, g)
        return differing((member.T @ active > member.sum(0)[:, None] / 2).float())

    draw = torch.rand(num_groups, x.shape[1], generator=torch.Generator().manual_seed(seed))
    to_drawn, first = differing((draw.to(x.device) < active.mean(0)).float()), []
    for k in range(num_groups):
        to_drawn[first] = np.inf
        first.append(int(to_drawn[:, k].argmin()))
    return _alternate(differing(active[first]), to_centres).to(x.device)


def _alternate(distances: np.ndarray, to_centres: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Group frames by the nearest centre and find centres anew, at most `ROUNDS` times -> (t,) int64.

    `distances` (t, g) are those to the first centres, and `to_centres` gives those to the centres of groups, from which
    frames belong to which, (t, g) of 0 and 1.
    """
    groups = _fill_empty(distances.argmin(1), distances)
    for _ in range(ROUNDS):
        distances = to_centres(np.eye(distances.shape[1])[groups])
        before, groups = groups, _fill_empty(distances.argmin(1), distances)
        if (before == groups).all():
            break
    return torch.from_numpy(groups)


def _fill_empty(groups: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Each empty group takes the frame that is farthest from its centre, of those that do not stand alone."""
    own = distances[np.arange(len(groups)), groups]
    for group in range(distances.shape[1]):
        if not (groups == group).any():
            together = np.bincount(groups)[groups] > 1
            groups[np.where(together, own, -np.inf).argmax()] = group
    return groups


# ---------------------------------------------------------------- what stands for a cluster


def all_frames(start: Tensor, size: Tensor, draw: Tensor | None) -> tuple[Tensor, Tensor]:
    """The whole cluster."""
    return start, size


def one_frame(start: Tensor, size: Tensor, draw: Tensor | None) -> tuple[Tensor, Tensor]:
    """One frame, drawn in training, else the middle one; the earlier of two."""
    place = (size - 1) // 2 if draw is None else (draw * size).long().minimum(size - 1)
    return start + place, torch.ones_like(size)


def middle_frames(start: Tensor, size: Tensor, draw: Tensor | None) -> tuple[Tensor, Tensor]:
    """The middle four, or all of a smaller cluster."""
    kept = size.clamp(max=4)
    return start + (size - kept) // 2, kept


class Reduction(NamedTuple):
    """A way for a cluster's frames to become one representation, as an entry of `REDUCTIONS`.

    `pick(start, size, draw)` tells which frames have their mean taken: of clusters that start at (n*g,) and hold so
    many frames each (n*g,), it gives a start and a size within each. `draw` (n*g,) are numbers drawn in [0, 1), or None
    in testing. `most` is the largest size that it gives, None for whole clusters; `draws` says whether it needs them.
    """

    pick: Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    most: int | None = None
    draws: bool = False
