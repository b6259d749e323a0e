"""The levels of a field of optical flow."""

import numpy as np
import pytest

from ops.data.flow import to_levels, to_pixels


def test_levels():
    flow = np.array([-1e9, -20, -10, 0, 0.1, 10, 19.95, 20, 1e9])
    assert to_levels(flow, 20).tolist() == [0, 0, 64, 128, 128, 191, 255, 255, 255]
    assert to_levels(np.array([-4, -1, 0, 1, 4]), 4.0).tolist() == [0, 96, 128, 159, 255]
    assert to_levels(flow, 20).dtype == np.uint8


@pytest.mark.parametrize("bound", [1, 7.5, 20, 300])
def test_back_to_pixels_is_right_to_half_a_level(bound):
    flow = np.linspace(-bound, bound, 999).reshape(27, 37)
    assert np.abs(to_pixels(to_levels(flow, bound), bound) - flow).max() <= 1.0001 * bound / 255
    assert to_pixels(np.array([0, 255], np.uint8), bound).tolist() == [-bound, bound]
