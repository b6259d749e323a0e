"""Batches: every video once an epoch, the same whatever number of processes shares them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.data.batches import EpochBatches, balanced_parts
from ops.data.seeds import Purpose, generator

COUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=40).map(np.array)


def steps_of(batches):
    return [[index for _, index in batch] for batch in batches]


# ---------------------------------------------------------------- one process


def test_batches_in_list_order():
    batches = EpochBatches(5, 2)
    assert len(batches) == 3
    assert list(batches) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]


@pytest.mark.parametrize("num_videos, batch_size, number", [(6, 3, 2), (7, 3, 3), (1, 8, 1)])
def test_shuffled_batches_hold_every_video_once(num_videos, batch_size, number):
    batches = EpochBatches(num_videos, batch_size, shuffle_seed=1)
    batches.set_epoch(4)
    parts = list(batches)
    assert len(parts) == len(batches) == number
    assert sorted(key for part in parts for key in part) == [(4, i) for i in range(num_videos)]


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        batches = EpochBatches(50, 50, shuffle_seed=seed)
        batches.set_epoch(epoch)
        return [index for _, index in next(iter(batches))]

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_going_on_in_the_middle_of_an_epoch():
    batches = EpochBatches(10, 3, shuffle_seed=2)
    batches.set_epoch(7)
    whole = list(batches)
    batches.set_epoch(7, first_step=2)
    assert list(batches) == whole[2:] and len(batches) == 4
    batches.set_epoch(7)
    assert list(batches) == whole


# ---------------------------------------------------------------- several processes


@pytest.mark.parametrize(
    "costs, number, expected",
    [
        ([1, 1, 1, 1], 2, [[0, 2], [1, 3]]),
        ([9, 1, 2, 3, 3], 2, [[0], [1, 2, 3, 4]]),
        ([5, 4, 3, 3, 3], 2, [[0, 3], [1, 2, 4]]),  # Graham's rule misses 9 + 9 by one
        ([7, 7], 3, [[0], [1], []]),
        ([3, 1, 2], 1, [[0, 1, 2]]),
    ],
)
def test_parts_by_hand(costs, number, expected):
    assert balanced_parts(np.array(costs), number) == expected


@given(COUNTS, st.integers(1, 5))
def test_parts_hold_every_video_once_and_are_balanced(costs, number):
    parts = balanced_parts(costs, number)
    assert sorted(place for part in parts for place in part) == [*range(len(costs))]
    loads = [costs[part].sum() for part in parts]
    assert max(loads) - min(loads) <= costs.max()


@given(COUNTS, st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_processes_share_the_batches_of_one(frames, batch_size, processes, bucket, epoch):
    def steps(rank, number):
        batches = EpochBatches(len(frames), batch_size, 1, lambda epoch: frames, (rank, number), bucket)
        batches.set_epoch(epoch, first_step=1)
        return steps_of(batches)

    alone, shared = steps(0, 1), [steps(rank, processes) for rank in range(processes)]
    assert {len(part) for part in shared} == {len(alone)}
    assert [sorted(sum(parts, [])) for parts in zip(*shared, strict=True)] == [sorted(batch) for batch in alone]


def test_evaluation_pads_nothing():
    shared = [steps_of(EpochBatches(5, 2, share=(rank, 2))) for rank in range(2)]
    assert shared == [[[0], [2], [4]], [[1], [3], []]]


def test_long_videos_do_not_meet_on_one_process():
    frames = np.array([100, 90, 10, 10, 95, 5, 5, 5])
    shared = [steps_of(EpochBatches(8, 4, frame_counts=lambda epoch: frames, share=(rank, 2))) for rank in range(2)]
    assert shared == [[[0, 3], [4]], [[1, 2], [5, 6, 7]]]


def test_the_lengths_are_those_of_the_epoch():
    batches = EpochBatches(4, 4, 0, lambda epoch: np.array([[9, 1, 1, 1], [1, 1, 1, 9]][epoch]), (0, 2))
    for epoch, longest in ((0, 0), (1, 3)):
        batches.set_epoch(epoch)
        assert steps_of(batches) == [[longest]]


# ---------------------------------------------------------------- buckets


@given(COUNTS, st.integers(1, 5), st.integers(2, 6))
def test_buckets_hold_every_video_once_in_batches_of_similar_length(frames, batch_size, window):
    batches = EpochBatches(len(frames), batch_size, 3, lambda epoch: frames, bucket=window)
    steps = steps_of(batches)
    assert sorted(sum(steps, [])) == [*range(len(frames))] and len(steps) == len(batches)
    assert sorted(map(len, steps))[1:] == [batch_size] * (len(steps) - 1)  # one at most is smaller
    if batch_size * window >= len(frames):  # a single window: sorted, so no two batches overlap
        spans = sorted((frames[step].min(), frames[step].max()) for step in steps)
        assert all(low <= high for (_, low), (high, _) in zip(spans, spans[1:], strict=False))


def test_buckets_are_mixed_anew_every_epoch():
    frames = np.arange(1, 65)

    def order(epoch):
        batches = EpochBatches(64, 4, 0, lambda epoch: frames, bucket=4)
        batches.set_epoch(epoch)
        return steps_of(batches)

    assert order(1) == order(1) != order(2)
    assert {frozenset(batch) for batch in order(1)} != {frozenset(batch) for batch in order(2)}


def test_without_buckets_the_order_is_that_of_a_plain_shuffle():
    steps = steps_of(EpochBatches(6, 4, 5, lambda epoch: np.arange(1, 7)))
    assert sum(steps, []) == generator(Purpose.ORDER, 5, 0).permutation(6).tolist()


# ---------------------------------------------------------------- digests


def digest(lines=("a", "b", "c", "d", "e"), frames=(1, 2, 3, 4, 5), seed=0, share=(0, 1), bucket=1, epoch=0):
    batches = EpochBatches(len(lines), 2, seed, lambda epoch: np.array(frames), share, bucket)
    batches.set_epoch(epoch, first_step=1)
    return batches.digest(lines)


def test_a_digest_is_that_of_a_whole_epoch_of_all_processes():
    assert len({digest(), digest(share=(0, 3)), digest(share=(2, 3))}) == 1


def test_whatever_changes_the_batches_changes_the_digest():
    others = [
        digest(lines=("a", "b", "c", "d", "f")),
        digest(lines=("b", "a", "c", "d", "e")),
        digest(frames=(1, 2, 3, 4, 6)),
        digest(seed=1),
        digest(bucket=2),
        digest(epoch=1),
    ]
    assert len({digest(), *others}) == 1 + len(others)
