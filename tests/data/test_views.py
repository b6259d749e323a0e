"""Clips: one crop and one mirror for all frames, TSN's crops, exact centres, ImageNet's scale."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ops.data.views import Box, can_halve, eval_transform, multi_scale_crop, resize, train_transform

sides = st.integers(8, 400)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def ramp(t, height, width):
    """Brightness grows from left to right; all frames and colours are equal."""
    return torch.linspace(0, 255, width).round().to(torch.uint8).expand(t, 3, height, width).contiguous()


def seen(transform, clip, *options, **named):
    """What a transform shows of a clip of whole frames."""
    return transform(*clip.shape[-2:], *options, **named)(clip)


@given(sides, sides, seeds)
def test_crops_lie_inside(height, width, seed):
    top, left, h, w = multi_scale_crop(height, width, rng(seed))
    assert 0 <= top <= height - h and 0 <= left <= width - w
    assert {h, w} <= {int(min(height, width) * scale) for scale in (1, 0.875, 0.75, 0.66)}


def test_tsn_crops_of_a_wide_frame():
    """Sides differ by one step at most; corners, centre and the quarter points between them."""
    crops = [multi_scale_crop(100, 200, rng(seed)) for seed in range(3000)]
    near = [(100, 100), (87, 87), (75, 75), (66, 66), (100, 87), (87, 100), (87, 75), (75, 87), (75, 66), (66, 75)]
    assert {crop[2:] for crop in crops} == set(near)
    full = {crop[:2] for crop in crops if crop[2:] == (100, 100)}
    assert full == {(0, 0), (0, 25), (0, 50), (0, 75), (0, 100)}
    small = {crop[:2] for crop in crops if crop[2:] == (66, 66)}
    assert small == {
        (0, 0),
        (0, 67),
        (0, 134),
        (17, 0),
        (17, 67),
        (17, 134),
        (34, 0),
        (34, 67),
        (34, 134),
        (8, 33),
        (8, 100),
        (25, 33),
        (25, 100),
    }


@given(seeds, st.booleans())
def test_all_frames_are_cropped_and_mirrored_alike(seed, flip):
    frame = torch.from_numpy(rng(seed).integers(0, 256, (1, 3, 40, 50), np.uint8))
    clip = seen(train_transform, frame.expand(4, -1, -1, -1), rng(seed), 24, flip)
    assert clip.shape == (4, 3, 24, 24) and clip.dtype == torch.uint8
    assert torch.equal(clip, clip[:1].expand_as(clip))


def test_same_generator_same_clip():
    clip = ramp(2, 40, 50)
    assert torch.equal(seen(train_transform, clip, rng(3), 24, True), seen(train_transform, clip, rng(3), 24, True))
    assert len({seen(train_transform, clip, rng(seed), 24, True).float().mean().item() for seed in range(20)}) > 5


def mirrored(clip):
    return bool(clip[0, 0, 0, 0] > clip[0, 0, 0, -1])


def test_mirrors_only_where_the_label_allows():
    clip = ramp(1, 40, 50)
    flips = [mirrored(seen(train_transform, clip, rng(seed), 24, flip=True)) for seed in range(200)]
    assert 70 < sum(flips) < 130
    assert not any(mirrored(seen(train_transform, clip, rng(seed), 24, flip=False)) for seed in range(200))


def test_evaluation_takes_the_exact_centre():
    frames = torch.arange(2 * 3 * 256 * 300).remainder(251).to(torch.uint8).view(2, 3, 256, 300)
    assert torch.equal(seen(eval_transform, frames, rng(), 224), frames[..., 16:240, 38:262])
    assert torch.equal(seen(eval_transform, frames.mT, rng(), 224), frames.mT[..., 38:262, 16:240])


@given(sides, sides, st.integers(16, 64))
def test_evaluation_gives_the_wanted_size_and_draws_nothing(height, width, size):
    clip = seen(eval_transform, ramp(1, height, width), None, size)
    assert clip.shape == (1, 3, size, size) and clip.dtype == torch.uint8 and not mirrored(clip)


def test_grey_clips_stay_grey():
    grey = ramp(2, 40, 50)[:, :1]
    assert seen(train_transform, grey, rng(), 24, True).shape == (2, 1, 24, 24)
    assert seen(eval_transform, grey, rng(), 24).shape == (2, 1, 24, 24)


@given(st.integers(1, 9), st.integers(8, 60), st.integers(8, 60), st.integers(8, 40))
def test_grey_frames_are_resized_as_if_one_by_one(t, height, width, size):
    clip = torch.from_numpy(rng(t).integers(0, 256, (t, 1, height, width), np.uint8))
    assert torch.equal(resize(clip, size), torch.cat([resize(frame, size) for frame in clip.split(1)]))


@pytest.mark.parametrize("size", [24, 48])
def test_a_mirrored_clip_is_the_mirror_image(size):
    """Whether it is enlarged (and mirrored before) or not."""
    clip = torch.from_numpy(rng().integers(0, 256, (3, 3, 40, 50), np.uint8))
    expected = {flip: seen(train_transform, clip, Fixed(flip), size, True, scales=(1.0,)) for flip in (0.4, 0.6)}
    assert torch.equal(expected[0.4], expected[0.6].flip(-1))


class Fixed:
    """A generator whose coin is known."""

    def __init__(self, coin):
        self.coin = coin

    def random(self):
        return self.coin

    def integers(self, number):
        return 0


@pytest.mark.parametrize(
    ("box", "size", "expected"),
    [
        (Box(16, 58, 224, 224), 64, True),
        (Box(16, 58, 224, 224), 99, True),
        (Box(16, 58, 224, 224), 100, False),
        (Box(16, 29, 224, 224), 64, False),
        (Box(15, 58, 224, 224), 64, False),
        (Box(0, 0, 225, 224), 64, False),
        (Box(0, 0, 256, 168), 74, True),
        (Box(0, 0, 256, 168), 75, False),
    ],
)
def test_half_size_is_for_even_boxes_of_more_than_twice_the_pixels(box, size, expected):
    assert can_halve(box, size) is expected


def test_a_single_pixel_is_its_own_centre():
    assert eval_transform(1, 1, None, 24).box == (0, 0, 1, 1)
