"""Pictures of optical flow: colours of directions, the wheel, and the strip."""

import numpy as np

from ops.pictures.flow import flow_colours, flow_strip, wheel


def colour(u, v, most=1.0):
    return flow_colours(np.array([u, v], float).reshape(2, 1, 1), most)[0, 0].tolist()


def test_directions_have_colours_and_stillness_is_white():
    assert colour(0, 0) == [255, 255, 255]
    assert colour(1, 0) == [255, 0, 0]
    assert colour(-1, 0) == [0, 252, 255]  # about: Pillow's hue has 256 steps
    down, up = colour(0, 1), colour(0, -1)
    assert down[1] == up[2] == 255 and down[2] == up[1] == 0
    assert colour(0.5, 0) == [255, 127, 127] and colour(9, 0) == colour(1, 0)


def test_the_wheel_shows_where_each_colour_goes():
    picture = wheel(41)
    assert picture[20, 20].tolist() == [255] * 3 == picture[0, 0].tolist()  # in the middle, and outside
    assert picture[20, 40].tolist() == colour(1, 0) and picture[20, 0].tolist() == colour(-1, 0)
    assert picture[40, 20].tolist() == colour(0, 1) and picture[0, 20].tolist() == colour(0, -1)


def test_a_strip():
    frames = [np.full((48, 64), level, np.uint8) for level in (0, 100)]
    fields = [np.zeros((2, 48, 64)), np.stack([np.full((48, 64), 3.0), np.zeros((48, 64))])]
    picture = np.asarray(flow_strip(frames, fields, [1, 7], "a video"))
    assert picture.shape == (272, 460, 3)
    assert picture[200, 80].tolist() == [255] * 3 and picture[200, 240].tolist() == [255, 0, 0]  # the fields
    assert picture[100, 80].tolist() == [0] * 3 and picture[100, 240].tolist() == [100] * 3  # the frames
