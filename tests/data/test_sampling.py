"""Frame indices: literal answers, and what holds for all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.data.sampling import (
    FrameSampler,
    all_frames,
    at_speed,
    dense_window,
    random_part,
    random_share,
    uniform_segments,
)

counts = st.integers(1, 500)
segments = st.integers(1, 64)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


# ---------------------------------------------------------------- literal answers


@pytest.mark.parametrize(
    "num_frames, cap, expected",
    [
        (5, None, [0, 1, 2, 3, 4]),
        (5, 9, [0, 1, 2, 3, 4]),
        (5, 5, [0, 1, 2, 3, 4]),
        (8, 4, [1, 3, 5, 7]),
        (10, 4, [1, 3, 6, 8]),
        (10, 1, [5]),
        (1, 1, [0]),
    ],
)
def test_all_frames(num_frames, cap, expected):
    assert all_frames(num_frames, cap).tolist() == expected


@pytest.mark.parametrize(
    "num_frames, cap, expected",
    [(10, None, [0, 3, 6, 9]), (9, None, [0, 3, 6]), (1, None, [0]), (10, 2, [3, 9]), (24, 4, [3, 9, 15, 21])],
)
def test_every_third_frame(num_frames, cap, expected):
    assert all_frames(num_frames, cap, 3).tolist() == expected
    assert FrameSampler(4, True, cap, stride=3)(num_frames, 0, None).tolist() == expected


@pytest.mark.parametrize(
    "num_frames, num_segments, expected",
    [
        (16, 4, [2, 6, 10, 14]),
        (4, 4, [0, 1, 2, 3]),
        (7, 2, [1, 5]),
        (300, 8, [18, 56, 93, 131, 168, 206, 243, 281]),
        (3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
        (7, 8, [0, 1, 2, 3, 3, 4, 5, 6]),
        (1, 3, [0, 0, 0]),
        (2, 3, [0, 1, 1]),
    ],
)
def test_middle_of_each_segment(num_frames, num_segments, expected):
    assert uniform_segments(num_frames, num_segments).tolist() == expected


@pytest.mark.parametrize("num_frames, num_segments, expected", [(4, 4, [0, 1, 2, 3]), (2, 4, [0, 0, 1, 1])])
def test_nothing_to_draw(num_frames, num_segments, expected):
    assert uniform_segments(num_frames, num_segments, rng()).tolist() == expected


def test_draws_stay_in_their_segment_and_reach_all_of_it():
    drawn = np.array([uniform_segments(10, 3, rng(seed)) for seed in range(100)])
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]


def test_no_frame_is_left_out_where_segments_do_not_divide_the_frames():
    """TSM rounds a segment's length down: of 31 frames and 16 segments its training never shows the last 15."""
    drawn = np.array([uniform_segments(31, 16, rng(seed)) for seed in range(50)])
    assert set(drawn.ravel().tolist()) == set(range(31))


@pytest.mark.parametrize(
    "num_frames, num_segments, expected",
    [
        (100, 8, [18, 26, 34, 42, 50, 58, 66, 74]),
        (64, 4, [0, 16, 32, 48]),
        (10, 4, [0, 6, 2, 8]),  # a video shorter than the window starts over
    ],
)
def test_dense_window_in_the_middle(num_frames, num_segments, expected):
    assert dense_window(num_frames, num_segments).tolist() == expected


def test_dense_window_is_drawn_from_every_place():
    starts = {int(dense_window(66, 8, rng(seed))[0]) for seed in range(50)}
    assert starts == {0, 1, 2}


# ---------------------------------------------------------------- properties


@given(counts, segments)
def test_cap_keeps_order_range_and_number(num_frames, cap):
    frames = all_frames(num_frames, cap)
    assert len(frames) == min(num_frames, cap)
    assert frames[0] >= 0 and frames[-1] < num_frames and (np.diff(frames) > 0).all()
    assert abs(int(frames[0]) - (num_frames - 1 - int(frames[-1]))) <= 1  # as much left out before as behind


@given(counts, segments, st.none() | seeds)
def test_one_frame_of_each_segment(num_frames, num_segments, seed):
    frames = uniform_segments(num_frames, num_segments, None if seed is None else rng(seed))
    assert frames.dtype == np.int64 and frames.shape == (num_segments,)
    for k, frame in enumerate(frames.tolist()):
        if num_frames >= num_segments and seed is not None:
            assert k * num_frames // num_segments <= frame < (k + 1) * num_frames // num_segments
        elif seed is None:
            assert frame == (2 * k + 1) * num_frames // (2 * num_segments)
        else:
            assert frame <= k * num_frames / num_segments < frame + 1
    assert len(set(frames.tolist())) == min(num_frames, num_segments)


@given(counts, st.integers(1, 100), st.none() | seeds)
def test_dense_is_in_range_with_one_stride(num_frames, num_segments, seed):
    frames = dense_window(num_frames, num_segments, None if seed is None else rng(seed))
    assert frames.shape == (num_segments,) and frames.min() >= 0 and frames.max() < num_frames
    assert len(set(np.diff(frames).tolist())) <= 1 or num_frames < max(64, num_segments)


# ---------------------------------------------------------------- what a run loads


@pytest.mark.parametrize("train", [True, False])
def test_clustering_loads_all_frames(train):
    sampler = FrameSampler(4, clustering=True, train=train)
    assert sampler(9, 0, rng()).tolist() == list(range(9))
    assert FrameSampler(4, True, cap=6, train=train)(12, 0, rng()).tolist() == [1, 3, 5, 7, 9, 11]


def test_cluster_start_epoch_delays_all_frames_in_training_only():
    train = FrameSampler(4, clustering=True, cluster_start_epoch=2, train=True)
    assert [len(train(9, epoch, rng())) for epoch in range(4)] == [4, 4, 9, 9]
    val = FrameSampler(4, clustering=True, cluster_start_epoch=2, train=False)
    assert [len(val(9, epoch, rng())) for epoch in range(4)] == [9, 9, 9, 9]


def test_sampling_draws_in_training_only():
    train, val = (FrameSampler(4, clustering=False, train=train) for train in (True, False))
    assert {tuple(val(40, 0, rng(seed)).tolist()) for seed in range(5)} == {(5, 15, 25, 35)}
    assert len({tuple(train(40, 0, rng(seed)).tolist()) for seed in range(5)}) > 1


def test_dense_sample_without_and_before_clustering():
    assert FrameSampler(4, False, dense_sample=True)(64, 0, rng()).tolist() == [0, 16, 32, 48]
    early = FrameSampler(4, True, cluster_start_epoch=1, dense_sample=True, train=True)
    assert early(64, 0, rng()).tolist() == [0, 16, 32, 48] and len(early(64, 1, rng())) == 64


# ---------------------------------------------------------------- what training draws anew in each epoch


@pytest.mark.parametrize(
    "speed, least, expected",
    [
        (1, 1, [0, 1, 2, 3, 4, 5]),
        (2, 1, [1, 3, 5]),
        (3, 1, [1, 4]),
        (3, 4, [0, 2, 3, 5]),  # no fewer than 4
        (0.5, 1, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]),
        (6, 9, [0, 1, 2, 3, 4, 5]),  # it has no 9
    ],
)
def test_another_speed(speed, least, expected):
    assert at_speed(np.arange(6), speed, least).tolist() == expected


def test_a_part_has_every_length_and_place():
    drawn = {tuple(random_part(np.arange(4), 0.5, 1, rng(seed)).tolist()) for seed in range(99)}
    assert drawn == {(0, 1), (1, 2), (2, 3), (0, 1, 2), (1, 2, 3), (0, 1, 2, 3)}
    assert {len(random_part(np.arange(4), 0.1, 3, rng(seed))) for seed in range(99)} == {3, 4}


def test_every_frame_is_kept_as_often():
    drawn = np.concatenate([random_share(np.arange(8), 0.25, 1, rng(seed)) for seed in range(1000)])
    assert np.bincount(drawn).sum() == 2000 and (np.abs(np.bincount(drawn) - 250) < 60).all()
    assert random_share(np.arange(8), 0.25, 4, None).tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("num_frames, keep, expected", [(20, 0.5, 10), (20, 0.1, 4), (3, 0.5, 3), (9, 0.5, 4)])
def test_clustering_keeps_a_share_in_training(num_frames, keep, expected):
    train, val = (FrameSampler(4, True, keep=keep, train=train) for train in (True, False))
    assert val(num_frames, 0, rng()).tolist() == list(range(num_frames))
    assert len(train(num_frames, 0, rng())) == len(train(num_frames, 0, None)) == expected


def test_a_share_is_taken_of_what_cap_and_stride_leave():
    sampler = FrameSampler(2, True, cap=4, stride=2, keep=0.75, train=True)
    drawn = {tuple(sampler(16, 0, rng(seed)).tolist()) for seed in range(50)}
    assert drawn == {(2, 6, 10), (2, 6, 14), (2, 10, 14), (6, 10, 14)}


def test_sampled_training_sees_a_part_and_no_share():
    sampler = FrameSampler(2, False, clip_share=0.25, keep=0.5, train=True)
    drawn = np.array([sampler(8, 0, rng(seed)) for seed in range(200)])
    assert drawn.shape == (200, 2) and set((drawn[:, 1] - drawn[:, 0]).tolist()) == set(range(1, 8))
    assert FrameSampler(2, False, clip_share=0.25)(8, 0, rng()).tolist() == [2, 6]


def test_a_dense_window_of_another_speed():
    sampler = FrameSampler(4, False, dense_sample=True, clip_speed=2, train=True)
    strides = {int(np.diff(sampler(1000, 0, rng(seed)))[0]) for seed in range(99)}
    assert min(strides) == 8 and max(strides) in (31, 32)  # 16 at its own speed


@given(
    counts,
    segments,
    seeds,
    st.floats(0.01, 1),
    st.floats(1, 4),
    st.floats(0.01, 1),
    st.integers(1, 5),
    st.none() | st.integers(1, 99),
)
def test_what_is_drawn_is_in_order_enough_and_no_more_than_told(n, g, seed, share, speed, keep, stride, cap):
    options = {"cap": cap, "stride": stride, "clip_share": share, "clip_speed": speed, "keep": keep}
    sampler = FrameSampler(g, True, train=True, **options)
    frames = sampler(n, 0, rng(seed))
    assert frames.dtype == np.int64 and frames[0] >= 0 and frames[-1] < n and (np.diff(frames) >= 0).all()
    plain = len(all_frames(n, cap, stride))
    assert min(g, plain) <= len(frames) <= len(sampler(n, 0, None))
    assert frames.tolist() == sampler(n, 0, rng(seed)).tolist()
    assert FrameSampler(g, True, **options)(n, 0, rng(seed)).tolist() == all_frames(n, cap, stride).tolist()
