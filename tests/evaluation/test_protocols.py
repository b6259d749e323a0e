"""Views of a video: literal frames and places, and pixels as PIL scales them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from ops.data.sampling import uniform_segments
from ops.evaluation.protocols import (
    CLIPS,
    CROPS,
    ClipSampler,
    Crop,
    crop_transform,
    dense_clips,
    scale_frames,
    ten_clips,
    two_clips,
    uniform_clip,
)

counts, segments = st.integers(1, 400), st.integers(1, 64)
RNG = np.random.default_rng(0)


def noise(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


# ---------------------------------------------------------------- clips


@pytest.mark.parametrize(
    "num_frames, num_segments, expected",
    [
        (16, 4, [2, 6, 10, 14]),
        (300, 8, [18, 56, 93, 131, 168, 206, 243, 281]),
        (40, 8, [2, 7, 12, 17, 22, 27, 32, 37]),
        (7, 8, [0, 1, 2, 3, 3, 4, 5, 6]),
        (3, 8, [0, 0, 0, 1, 1, 2, 2, 2]),
        (1, 3, [0, 0, 0]),
    ],
)
def test_one_clip_as_tsm_samples_and_as_validation_does(num_frames, num_segments, expected):
    assert uniform_clip(num_frames, num_segments).tolist() == [expected]
    assert uniform_segments(num_frames, num_segments).tolist() == expected


def test_tsm_rounds_down_where_floating_point_falls_short():
    assert uniform_clip(12, 7).tolist() == [[0, 2, 4, 5, 7, 9, 11]]  # frame 6 is the middle of the fourth seventh
    assert uniform_segments(12, 7).tolist() == [0, 2, 4, 6, 7, 9, 11]


@given(counts, st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_powers_of_two_have_no_such_cases(num_frames, num_segments):
    assert uniform_clip(num_frames, num_segments)[0].tolist() == uniform_segments(num_frames, num_segments).tolist()


def test_two_clips():
    assert two_clips(40, 4).tolist() == [[5, 15, 25, 35], [0, 10, 20, 30]]
    assert two_clips(37, 8).tolist() == [[2, 6, 11, 16, 20, 25, 30, 34], [0, 4, 9, 13, 18, 23, 27, 32]]


def test_ten_clips_of_the_whole_video():
    assert ten_clips(40, 2).tolist() == [[i, 20 + i] for i in range(1, 20, 2)]
    assert ten_clips(48, 8)[:, 0].tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 5, 5]
    assert ten_clips(3, 4)[9].tolist() == [0, 1, 2, 2]  # of a short video, frames repeat


def test_ten_dense_clips():
    assert dense_clips(164, 8)[:, 0].tolist() == [0, 11, 22, 33, 44, 55, 66, 77, 88, 100]
    assert dense_clips(164, 8)[9].tolist() == [100, 108, 116, 124, 132, 140, 148, 156]
    assert dense_clips(10, 4).tolist() == [[0, 6, 2, 8]] * 10  # a short video starts over


@given(counts, segments, st.sampled_from(sorted(CLIPS)))
def test_clips_keep_within_the_video(num_frames, num_segments, clips):
    sample, number = CLIPS[clips]
    frames = sample(num_frames, num_segments)
    assert frames.shape == (number, num_segments) and frames.dtype == np.int64
    assert frames.min() >= 0 and frames.max() < num_frames
    assert ClipSampler(clips, num_segments)(num_frames, 0, RNG).tolist() == frames.ravel().tolist()


# ---------------------------------------------------------------- crops


@pytest.mark.parametrize(
    "crops, expected",
    [
        (1, [(16, 58)]),  # 58.5 is rounded to an even number
        (3, [(16, 0), (16, 58), (16, 116)]),
        (5, [(0, 0), (0, 116), (32, 0), (32, 116), (16, 58)]),
    ],
)
def test_places_of_crops(crops, expected):
    assert CROPS[crops](256, 341, 224) == [Crop(*place) for place in expected]


def test_ten_crops_are_five_and_their_mirror_images():
    ten = CROPS[10](256, 341, 224)
    assert ten[::2] == CROPS[5](256, 341, 224)
    assert ten[1::2] == [crop._replace(mirrored=True) for crop in ten[::2]]


@pytest.mark.parametrize(
    "height, width, size, expected",
    [
        (341, 256, 224, [(0, 16), (58, 16), (116, 16)]),
        (340, 256, 256, [(0, 0), (42, 0), (84, 0)]),
        (256, 256, 224, [(16, 0), (16, 16), (16, 32)]),
        (256, 256, 256, [(0, 0), (0, 0), (0, 0)]),
        (257, 256, 256, [(0, 0), (0, 0), (0, 0)]),
        (2560, 256, 256, [(0, 0), (1152, 0), (2304, 0)]),
        (32, 3200, 32, [(0, 0), (0, 1584), (0, 3168)]),
    ],
)
def test_three_crops_go_along_the_longer_side(height, width, size, expected):
    assert CROPS[3](height, width, size) == [Crop(*place) for place in expected]


@given(st.integers(0, 900), st.integers(0, 900), st.integers(1, 64))
def test_turned_frames_have_turned_crops(more_height, more_width, size):
    height, width = size + more_height, size + more_width
    upright, wide = CROPS[3](height, width, size), CROPS[3](width, height, size)
    if height != width:
        assert upright == [Crop(left, top) for top, left, _ in wide]
    assert max(height, width) - size - upright[2].top - upright[2].left + upright[0].top + upright[0].left < 4


def test_full_resolution_crops_span_the_frame():
    assert CROPS[3](256, 340, 256) == [Crop(0, 0), Crop(0, 42), Crop(0, 84)]
    assert CROPS[1](256, 256, 256) == [Crop(0, 0)]


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 3, 5, 10]))
def test_crops_lie_within_the_frame(more_height, more_width, crops):
    places = CROPS[crops](32 + more_height, 32 + more_width, 32)
    assert len(places) == crops
    assert all(0 <= top <= more_height and 0 <= left <= more_width for top, left, _ in places)


# ---------------------------------------------------------------- pixels


@pytest.mark.parametrize("height, width", [(48, 80), (90, 50), (64, 97), (32, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_scaled_as_pil_scales(height, width, channels):
    clip = noise(2, channels, height, width)
    images = [Image.fromarray(frame.permute(1, 2, 0).squeeze(-1).numpy()) for frame in clip]
    resize = transforms.Resize(64, transforms.InterpolationMode.BILINEAR)
    expected = torch.stack([transforms.functional.pil_to_tensor(resize(image)) for image in images])
    scaled = scale_frames(clip, 64)
    assert scaled.dtype == torch.uint8 and min(scaled.shape[-2:]) == 64
    assert torch.equal(scaled, expected)


def test_crops_lie_one_below_another():
    clip = noise(3, 3, 32, 48)
    views = crop_transform(*clip.shape[-2:], RNG, size=28, scale=32, crops=5, flow=False)(clip)
    assert views.shape == (3, 3, 5 * 28, 28)
    assert torch.equal(views[:, :, 28:56], clip[:, :, :28, 20:48])  # upper right
    assert torch.equal(views[:, :, 112:], clip[:, :, 2:30, 10:38])  # centre


def test_a_mirror_inverts_horizontal_flow_only():
    clip = noise(6, 1, 32, 32)  # x of 3 time steps, then y
    kept = clip.clone()
    views = crop_transform(*clip.shape[-2:], RNG, size=32, scale=32, crops=10, flow=True)(clip)
    plain, mirrored = views[:, :, :32], views[:, :, 32:64]
    assert torch.equal(plain, clip) and torch.equal(clip, kept)
    assert torch.equal(mirrored[:3], 255 - clip[:3].flip(-1))
    assert torch.equal(mirrored[3:], clip[3:].flip(-1))
