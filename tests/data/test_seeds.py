"""Streams of random numbers: the same for the same purpose and place, others for all others."""

import itertools

import numpy as np
import torch

from ops.data.batches import EpochBatches
from ops.data.seeds import Purpose, generator, torch_seed

PLACES = [(), (0,), (0, 0), (0, 0, 0), (0, 1), (1, 0), (1,), (4096, 0), (0, 4096), (2**32 - 1, 0), (1, 0, 0)]


def test_a_stream_is_a_function_of_purpose_and_place():
    for purpose, place in itertools.product(Purpose, PLACES):
        assert generator(purpose, *place).random() == generator(purpose, *place).random()
        assert torch_seed(purpose, *place) == torch_seed(purpose, *place)


def test_no_two_purposes_or_places_share_one():
    """Trailing zeros count: the order of an epoch and the view of its first video were one stream once."""
    pairs = [*itertools.product(Purpose, PLACES)]
    assert len({generator(purpose, *place).random() for purpose, place in pairs}) == len(pairs)
    assert len({torch_seed(purpose, *place) for purpose, place in pairs}) == len(pairs)


def test_torch_takes_the_whole_seed_on_the_cpu():
    def mask(*place):
        seed = torch_seed(Purpose.DROPOUT, *place)
        assert 0 <= seed < 2**32
        return tuple(torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist())

    assert len({mask(seed, 0, process) for seed in (0, 4096, 8192) for process in range(8)}) == 24


def test_the_order_of_an_epoch_and_the_view_of_its_first_video_are_drawn_apart():
    batches = EpochBatches(50, 50, shuffle_seed=3)
    batches.set_epoch(2)
    order = [index for _, index in next(iter(batches))]
    assert order == generator(Purpose.ORDER, 3, 2).permutation(50).tolist()
    assert order != generator(Purpose.VIEW, 3, 2, 0).permutation(50).tolist()
    assert order != np.random.default_rng([3, 2, 0]).permutation(50).tolist()
