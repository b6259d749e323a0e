"""Which videos are like one another, by the cosine between the features that a network makes of them.

A video is one vector: the mean of its rows (frames or clusters), of maps over their places too, scaled to length 1.
`tools/extract_features.py` writes the rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ops.data.stores.features import ENDING, FeatureStore
from ops.errors import InputError


class Neighbour(NamedTuple):
    """A video by its place among others, and its cosine with the one that was asked for."""

    place: int
    cosine: float


def find_features(folder: Path) -> list[str]:
    """The videos whose features lie in a folder, at any depth, by their paths there without the files' ending, sorted.

    InputError where there are none.
    """
    files = folder.rglob(f"*{ENDING}")
    names = sorted(file.relative_to(folder).as_posix().removesuffix(ENDING) for file in files)
    if not names:
        raise InputError(f"{folder} holds no features (*{ENDING}); tools/extract_features.py writes them")
    return names


def video_vector(path: Path) -> np.ndarray:
    """The vector of a file of features (t, d) or (t, d, h, w), float32 (d,), of length 1.

    InputError for a file that holds something else, or whose mean is no direction: zero, or no number.
    """
    rows = FeatureStore(path).rows
    if rows.dtype.kind != "f" or rows.ndim not in (2, 4) or not rows.size:
        raise InputError(f"{path} holds {rows.dtype} {rows.shape}, not rows of features; extract them again")
    mean = rows.astype(np.float32).mean((0, *range(2, rows.ndim)))  # (t, d, ...) -> (d,)
    length = float(np.linalg.norm(mean))
    if not 0 < length < np.inf:
        raise InputError(f"{path}: the mean of its rows has the length {length:g}, which is no direction")
    return mean / length


def read_vectors(folder: Path, names: Sequence[str]) -> np.ndarray:
    """The vectors of the named videos, float32 (n, d); InputError where they are not all as wide."""
    vectors: list[np.ndarray] = []
    for name in names:
        vectors.append(video_vector(folder / f"{name}{ENDING}"))
        if len(vectors[-1]) != len(vectors[0]):
            raise InputError(
                f"{folder}: {name} has features of width {len(vectors[-1])}, and {names[0]} of {len(vectors[0])}"
            )
    return np.stack(vectors)


def nearest(vectors: np.ndarray, place: int, number: int) -> list[Neighbour]:
    """The `number` others that are nearest to the vector at a place, the nearest first; of equals the earlier."""
    cosines = vectors @ vectors[place]  # (n, d) -> (n,)
    order = [int(other) for other in np.argsort(-cosines, kind="stable") if other != place]
    return [Neighbour(other, float(cosines[other])) for other in order[:number]]
