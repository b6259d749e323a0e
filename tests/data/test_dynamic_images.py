"""Dynamic images: the weights of approximate rank pooling, and what they make of videos that change in known ways."""

import pytest
import torch

from ops.data.dynamic_images import WEIGHTS, WINDOW, dynamic_images, rank_pooling_weights


def window(levels):
    """One step whose frames have these levels everywhere, (10, c) -> uint8 (1, 10 * c, 2, 3)."""
    levels = torch.tensor(levels, dtype=torch.uint8).view(1, -1, 1, 1)
    return levels.expand(-1, -1, 2, 3)


def test_the_weights_of_ten_frames():
    expected = [-12.219, -3.219, 0.281, 1.948, 2.698, 2.898, 2.731, 2.303, 1.678, 0.900]
    assert [round(weight, 3) for weight in WEIGHTS] == expected
    assert WINDOW == 10 and sum(WEIGHTS) == pytest.approx(0, abs=1e-12)
    assert sum(map(abs, WEIGHTS)) == pytest.approx(30.875, abs=1e-3)


def test_the_weights_of_two_and_three_frames():
    assert rank_pooling_weights(2) == pytest.approx([-1 / 2, 1 / 2])
    assert rank_pooling_weights(3) == pytest.approx([-4 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_constant_video_leaves_nothing(level):
    image = dynamic_images(window([level] * 30))
    assert image.shape == (1, 3, 2, 3) and image.abs().max() < 1e-5


def test_a_linear_ramp():
    """sum of t alpha_t is 82.5, so that of a pixel that gains 5 levels a frame is 82.5 * 5 / 255."""
    rising = [5 * t for t in range(10)]
    falling = [7 * t + 100 for t in range(9, -1, -1)]
    image = dynamic_images(window([level for pair in zip(rising, falling, strict=True) for level in pair]))
    assert image.shape == (1, 2, 2, 3)
    torch.testing.assert_close(image[0, :, 1, 2], torch.tensor([82.5 * 5 / 255, -82.5 * 7 / 255]))


def test_each_frame_counts_with_its_weight():
    steps = 255 * torch.eye(10, dtype=torch.uint8).view(10, 10, 1, 1)  # step t has light in frame t only
    assert dynamic_images(steps).flatten().tolist() == pytest.approx(WEIGHTS)


def test_mirrored_flow_is_the_negative_image():
    flow = torch.randint(0, 256, (2, 20, 3, 3), dtype=torch.uint8)
    torch.testing.assert_close(dynamic_images(255 - flow), -dynamic_images(flow), rtol=0, atol=1e-4)
