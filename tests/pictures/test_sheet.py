"""Sheets of strips."""

import numpy as np

from ops.pictures.sheet import GAP, SIDE, TEXT, draw_sheet


def test_a_row_a_video():
    red, blue = (np.full((48, 2 * SIDE, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    pixels = np.asarray(draw_sheet([("one", [red, blue]), ("two", [blue])]))
    height = TEXT + 24 + 4 * GAP
    assert pixels.shape == (2 * height, GAP + 2 * (SIDE + GAP), 3)
    middle = TEXT + 3 * GAP + 12
    assert [tuple(pixels[middle, GAP + place * (SIDE + GAP) + SIDE // 2]) for place in (0, 1)] == [
        (255, 0, 0),
        (0, 0, 255),
    ]
    assert tuple(pixels[height + middle, GAP + SIDE // 2]) == (0, 0, 255)
    assert tuple(pixels[height + middle, 2 * GAP + SIDE + SIDE // 2]) == (255, 255, 255)
    assert (pixels[: TEXT + GAP] < 100).any()  # letters
