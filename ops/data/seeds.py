"""Where training draws at random: a stream for each purpose and place, independent of all others.

A place is a few whole numbers below 2^32, the seed of the run first. Streams are numpy's `SeedSequence`: those of two
purposes or two places have nothing in common, which sums, shifts and lists of the same numbers cannot promise.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What is drawn, and the place that it is a function of."""

    ORDER = 0  # (seed, epoch): which videos make a batch
    VIEW = 1  # (seed, epoch, video): frames, crop, flip and what else changes a clip
    DROPOUT = 2  # (seed, epoch, process)
    REPRESENTATIVES = 3  # (seed, epoch, batch, process): the frames that give a cluster's gradient
    REDUCTION = 4  # (seed, epoch, batch, process, number of clusters): the frames that stand for clusters
    MIXING = 5  # (seed, epoch, batch): how its videos are mixed
    HEAD = 6  # (seed, epoch, batch, process): what a head draws
    HEAD_START = 7  # (seed,): from what of the training videos a head starts


def _sequence(purpose: Purpose, *place: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(int(purpose), spawn_key=place)


def generator(purpose: Purpose, *place: int) -> np.random.Generator:
    """Numpy's generator of a stream."""
    return np.random.default_rng(_sequence(purpose, *place))


def torch_seed(purpose: Purpose, *place: int) -> int:
    """A seed for `torch.manual_seed`, of 32 bits: its generator on the CPU takes no more."""
    return int(_sequence(purpose, *place).generate_state(1)[0])
