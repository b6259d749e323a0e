"""Pictures of timelines."""

import numpy as np
import pytest
import torch
from PIL import Image

from ops.pictures.colours import CLASSES, OTHERS
from ops.pictures.timeline import Bar, Timeline, clock, colours_of, draw_timelines


def timeline(seconds: float = 20.0, labels=(0, 1, 0, 2), classes: int = 3, cuts=(3.0, 9.0)) -> Timeline:
    """A video whose segments are equally long."""
    frames = [(i / 2, torch.full((3, 8, 8), i % 256, dtype=torch.uint8)) for i in range(min(40, int(2 * seconds)) or 1)]
    edges = np.linspace(0, seconds, len(labels) + 1)
    bars = [Bar(label, a, b) for label, a, b in zip(labels, edges, edges[1:], strict=False)]
    scores = np.random.default_rng(0).dirichlet(np.ones(classes), len(labels))
    return Timeline("a title", 0.0, seconds, frames, [*(edges[1:] - edges[0] / 2)], scores, bars, cuts)


def test_one_row_a_video(tmp_path):
    pytest.importorskip("matplotlib")
    heights = []
    for rows in (1, 3):
        draw_timelines([timeline(20.0 * 30**i) for i in range(rows)], ["$a", "b", "c" * 99], tmp_path / "t.png")
        with Image.open(tmp_path / "t.png") as image:
            assert image.width == 2000
            heights.append(image.height)
    assert heights[1] > 2.5 * heights[0]


@pytest.mark.parametrize("more", [{"seconds": 0.0, "labels": (1,)}, {"labels": (), "cuts": None}, {"cuts": ()}])
def test_videos_of_one_frame_without_segments_or_cuts(more, tmp_path):
    pytest.importorskip("matplotlib")
    draw_timelines([timeline(**more)], "abc", tmp_path / "t.png")
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_the_classes_shown_longest_have_colours_of_their_own():
    colours = colours_of([timeline(labels=(5, 5, *range(9)), classes=9)])
    assert colours[5] == CLASSES[0] and colours[0] == CLASSES[1] and colours[8] == OTHERS


@pytest.mark.parametrize(
    "seconds, step, text", [(2.5, 0.5, "2.5"), (100, 20, "1:40"), (7200, 600, "2:00:00"), (0, 5, "0:00")]
)
def test_times_on_the_axis(seconds, step, text):
    assert clock(seconds, step) == text
