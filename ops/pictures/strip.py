"""A small picture of how one video is clustered, drawn by PIL alone: for TensorBoard events.

Frames in time order; under them a band whose colour changes where a cluster begins; under that the distance of each
frame to the one before, with the cuts in red. A long video shows evenly spaced frames, its band and curve all.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ops.pictures.colours import CLUSTERS, CUT
from ops.pictures.text import drawn_line

MOST, CELL, BAND, CURVE, TITLE = 24, 48, 10, 60, 20  # frames shown; sizes in pixels
INK, PAPER, AREA = "#282828", "white", "#d8d8d8"


def cluster_strip(frames: Tensor, assignment: Sequence[int], distances: Sequence[float], title: str) -> np.ndarray:
    """frames uint8 (t, 3, S, S), cluster and distance of each, (t,) -> picture, uint8 (H, W, 3)."""
    t = len(frames)
    shown = (2 * np.arange(min(t, MOST)) + 1) * t // (2 * min(t, MOST))  # each from the middle of its share
    width = CELL * len(shown)
    picture = Image.new("RGB", (width, TITLE + CELL + BAND + CURVE), PAPER)
    draw = ImageDraw.Draw(picture)
    line = drawn_line(title, 12, width - 4)
    draw.text((2, 3), line.text, INK, line.font)
    for place, i in enumerate(shown.tolist()):
        frame = Image.fromarray(frames[i].permute(1, 2, 0).numpy())
        picture.paste(frame.resize((CELL - 2, CELL - 2)), (place * CELL + 1, TITLE + 1))

    edges = np.round(np.arange(t + 1) * width / t).astype(int).tolist()  # of the columns that each frame takes
    top, bottom = TITLE + CELL + BAND, picture.height - 1
    highest = max(*distances, 1e-9)
    number = {cluster: place for place, cluster in enumerate(sorted(set(assignment)))}
    for i in range(t):
        cut = i > 0 and assignment[i] != assignment[i - 1]
        left, right = edges[i], max(edges[i], edges[i + 1] - 1)
        draw.rectangle((left, top - BAND, right, top - 3), CLUSTERS[number[assignment[i]] % len(CLUSTERS)])
        if height := round((CURVE - 2) * distances[i] / highest):
            draw.rectangle((left, bottom - height, right, bottom), AREA)
        if cut:
            draw.line((left, top, left, bottom), CUT)
    return np.asarray(picture)
