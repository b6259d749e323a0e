"""Intervals, paired tests and means over splits, against printed values and against counting out."""

from fractions import Fraction
from itertools import product
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.evaluation.statistics import (
    accuracy,
    bootstrap_difference,
    compare,
    describe_accuracies,
    mcnemar,
    mean_and_spread,
    wilson,
)

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize(
    "right, videos, low, high",
    [
        (81, 263, 25.53, 36.62),  # the first four: Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (15, 148, 6.24, 16.05),
        (0, 20, 0.0, 16.11),
        (1, 29, 0.61, 17.18),
        (29, 29, 88.30, 100.0),
        (5, 10, 23.66, 76.34),
    ],
)
def test_wilson_as_printed(right, videos, low, high):
    assert wilson(right, videos) == pytest.approx((low, high), abs=0.005)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_wilsons_interval_are_the_shares_just_not_rejected(counts):
    right, videos = counts
    interval = wilson(right, videos)
    assert 0 <= interval.low <= 100 * right / videos <= interval.high <= 100
    for end in (interval.low / 100, interval.high / 100):
        if 0 < end < 1:
            assert abs(right / videos - end) / sqrt(end * (1 - end) / videos) == pytest.approx(1.959963985)
    assert wilson(videos - right, videos) == pytest.approx((100 - interval.high, 100 - interval.low))
    assert str(wilson(1, 4)) == "4.6 to 69.9"


@pytest.mark.parametrize("right, videos", [(0, 0), (-1, 4), (5, 4)])
def test_no_share(right, videos):
    with pytest.raises(ValueError, match=f"{right} of {videos} videos is no share"):
        wilson(right, videos)


def test_accuracy_of_what_was_right():
    found = accuracy([True, False, True, True])
    assert (found.percent, found.videos, found.interval) == (75, 4, wilson(3, 4))


@pytest.mark.parametrize(
    "only_first, only_second, p",
    [
        (0, 0, 1),
        (3, 3, 1),
        (0, 5, 2 / 32),
        (1, 5, 2 * 7 / 64),
        (2, 10, 2 * (1 + 12 + 66) / 4096),
        (6, 16, 0.0525),  # the normal approximation without a correction would say 0.033
        (0, 2000, 0),  # less than any number a computer has
    ],
)
def test_mcnemar_counted_by_hand(only_first, only_second, p):
    assert mcnemar(only_first, only_second) == pytest.approx(p, abs=5e-5)
    assert mcnemar(only_second, only_first) == mcnemar(only_first, only_second)


@given(st.integers(0, 9), st.integers(0, 9))
def test_mcnemar_is_the_share_of_coin_tosses_that_are_as_uneven(only_first, only_second):
    videos = only_first + only_second
    as_uneven = sum(abs(2 * sum(toss) - videos) >= abs(only_first - only_second) for toss in tosses(videos))
    assert mcnemar(only_first, only_second) == float(Fraction(as_uneven, 2**videos))


def tosses(videos):
    """Every way in which that many coins can fall; those of many coins as one of each number of heads, repeated."""
    if videos <= 10:
        return product((0, 1), repeat=videos)
    return ((heads,) for heads in range(videos + 1) for _ in range(comb(videos, heads)))


def test_mcnemar_of_many_videos():
    assert mcnemar(4000, 4200) == pytest.approx(0.0279, abs=5e-4)  # (200 - 1)^2 / 8200: chi squared of 4.83
    with pytest.raises(ValueError, match="-1 and 2 are no numbers of videos"):
        mcnemar(-1, 2)


def test_bootstrap_of_three_videos_against_all_27_resamples():
    first, second = [True, False, False], [False, True, True]
    all_means = sorted(100 * np.mean(drawn) for drawn in product((-1, 1, 1), repeat=3))
    shares = {mean: all_means.count(mean) / 27 for mean in all_means}  # -100: 1/27, -33: 6/27, 33: 12/27, 100: 8/27
    for confidence in (0.5, 0.8, 0.9, 0.95):
        tail = (1 - confidence) / 2
        low = next(mean for mean in shares if sum(shares[m] for m in shares if m <= mean) > tail)
        high = next(mean for mean in reversed(shares) if sum(shares[m] for m in shares if m >= mean) > tail)
        assert bootstrap_difference(first, second, confidence=confidence) == pytest.approx((low, high))


def test_bootstrap_of_many_videos_is_that_of_drawing_them_one_by_one():
    rng = np.random.default_rng(1)
    first, second = rng.random(217) < 0.7, rng.random(217) < 0.8
    drawn = rng.integers(217, size=(10_000, 217))
    means = 100 * (second[drawn].mean(1) - first[drawn].mean(1))
    found = bootstrap_difference(first, second)
    assert found == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.6)
    error = 100 * (second.astype(float) - first).std() / sqrt(217)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)


@given(PAIRS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_properties_of_pairs(pairs, random, seed):
    first, second = zip(*pairs, strict=True)
    found = compare(first, second, seed)
    assert found.interval.low <= found.interval.high and 0 < found.p <= 1 and found.videos == len(pairs)
    assert found.difference == pytest.approx(100 * (found.only_second - found.only_first) / len(pairs))
    assert found.difference == pytest.approx(accuracy(second).percent - accuracy(first).percent)
    random.shuffle(pairs)
    assert compare(*zip(*pairs, strict=True), seed) == found  # the order of videos is none of its business
    same = compare(first, first, seed)
    assert same == (0, (0, 0), 0, 0, 1, len(pairs))


def test_bootstrap_of_several_seeds_a_video():
    always, half = bootstrap_difference([0.5] * 8, [1] * 8), bootstrap_difference([0, 0.5, 1, 0.5], [0.5, 0.5, 1, 1])
    assert always == (50, 50) and half == (0, 50)


def test_a_video_of_several_seeds_counts_once():
    """Video a is wrong, then right three times more with the second model; b and c differ once in two."""
    names = [*"aaa", *"bb", *"cc"]
    first, second = [0, 0, 0, 1, 1, 0, 1], [1, 1, 1, 1, 0, 1, 1]
    found = compare(first, second, names=names)
    assert (found.only_first, found.only_second, found.p, found.videos) == (1, 2, 1, 3)
    assert found.difference == pytest.approx(100 * 3 / 7)
    drawn = [[{"a": (3, 3), "b": (-1, 2), "c": (1, 2)}[video] for video in draw] for draw in product("abc", repeat=3)]
    means = sorted(100 * sum(s for s, _ in draw) / sum(n for _, n in draw) for draw in drawn)
    assert found.interval == pytest.approx((means[0], means[-1]))  # one in 27 each: more than 2.5 %
    distinct = compare([0, 1, 1, 0], [1, 0, 1, 1], names=list("dabc"))
    assert distinct == compare([0, 1, 1, 0], [1, 0, 1, 1])


def test_the_line_that_programs_print():
    assert describe_accuracies(100 * 163 / 217, 100.0, 217) == (
        "accuracy  top-1 75.1 % (69.0 to 80.4), top-5 100.0 % (98.3 to 100.0) of 217 videos; in brackets 95 % intervals"
    )


@pytest.mark.parametrize("first, second", [([], []), ([1], [1, 0]), ([[1]], [[1]])])
def test_not_the_same_videos(first, second):
    with pytest.raises(ValueError, match="are not the same videos"):
        bootstrap_difference(first, second)


def test_mean_over_splits():
    assert mean_and_spread([70, 72, 77]) == (73, pytest.approx(sqrt(13)))
    assert mean_and_spread([70.5]) == (70.5, 0)
