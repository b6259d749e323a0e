"""The small picture of a clustered video."""

import numpy as np
import pytest
import torch
from PIL import ImageColor

from ops.pictures.colours import CLUSTERS, CUT
from ops.pictures.strip import BAND, CELL, CURVE, MOST, TITLE, cluster_strip

BAND_ROW = TITLE + CELL + 2


def strip(t, starts, peak=None):
    frames = torch.full((t, 3, 8, 8), 100, dtype=torch.uint8)
    assignment = np.searchsorted(starts, np.arange(t), side="right") - 1
    distances = np.zeros(t)
    distances[peak or 0] = 0.5
    return cluster_strip(frames, assignment.tolist(), distances.tolist(), "a video")


def rgb(colour):
    return list(ImageColor.getrgb(colour))


def test_frames_band_and_cuts():
    picture = strip(4, [0, 1, 3], peak=3)
    assert picture.shape == (TITLE + CELL + BAND + CURVE, 4 * CELL, 3) and picture.dtype == np.uint8
    assert picture[TITLE + CELL // 2, CELL // 2].tolist() == [100, 100, 100]
    assert [picture[BAND_ROW, (i * CELL) + 5].tolist() for i in range(4)] == [rgb(CLUSTERS[k]) for k in (0, 1, 1, 2)]
    bottom = picture[-1]
    assert [x for x in range(4 * CELL) if bottom[x].tolist() == rgb(CUT)] == [CELL, 3 * CELL]
    assert (bottom[3 * CELL + 1 :] < 255).all() and (bottom[: CELL - 1] == 255).all()


@pytest.mark.parametrize("t", [1, MOST, MOST + 1, 10_000])
def test_videos_of_any_length(t):
    picture = strip(t, [0, t // 2] if t > 1 else [0])
    assert picture.shape[1] == CELL * min(t, MOST)
    assert picture[BAND_ROW, 0].tolist() == rgb(CLUSTERS[0])
    assert picture[BAND_ROW, -1].tolist() == rgb(CLUSTERS[1 if t > 1 else 0])


def test_the_frames_stand_above_their_clusters():
    frames = torch.arange(96, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    picture = cluster_strip(frames, [0] * 96, [0.0] * 96, "")
    assert picture[TITLE + CELL // 2, CELL // 2 :: CELL, 0].tolist() == list(range(2, 96, 4))


def test_a_still_video_has_no_curve():
    picture = cluster_strip(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), [0] * 5, [0.0] * 5, "")
    assert (picture[-CURVE:] == 255).all()
