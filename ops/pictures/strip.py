"""A small picture of how one video is clustered, drawn by PIL alone: for a run's TensorBoard events.

Frames in time order; under them a band whose colour changes where a cluster begins; under that the distance of each
frame to the one before, with the cuts in red. A long video shows evenly spaced frames, its band and curve all.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ops.data.dataset import FrameFolders
from ops.models import TSN
from ops.pictures.colours import CLUSTERS, CUT
from ops.streaming import stream

CHUNK = 32  # frames that pass the stem at a time
MOST, CELL, BAND, CURVE, TITLE = 24, 48, 10, 60, 20  # frames shown; sizes in pixels
INK, PAPER, AREA = "#282828", "white", "#d8d8d8"


def cluster_strip(frames: Tensor, assignment: Sequence[int], distances: Sequence[float], title: str) -> np.ndarray:
    """frames uint8 (t, 3, S, S), cluster and distance of each, (t,) -> picture, uint8 (H, W, 3)."""
    t = len(frames)
    shown = (2 * np.arange(min(t, MOST)) + 1) * t // (2 * min(t, MOST))  # each from the middle of its share
    width = CELL * len(shown)
    picture = Image.new("RGB", (width, TITLE + CELL + BAND + CURVE), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((2, 3), title, INK, ImageFont.load_default(12))
    for place, i in enumerate(shown.tolist()):
        frame = Image.fromarray(frames[i].permute(1, 2, 0).numpy())
        picture.paste(frame.resize((CELL - 2, CELL - 2)), (place * CELL + 1, TITLE + 1))

    edges = np.round(np.arange(t + 1) * width / t).astype(int).tolist()  # of the columns that each frame takes
    top, bottom = TITLE + CELL + BAND, picture.height - 1
    highest = max(*distances, 1e-9)
    cluster = 0
    for i in range(t):
        cut = i > 0 and assignment[i] != assignment[i - 1]
        cluster += cut
        left, right = edges[i], max(edges[i], edges[i + 1] - 1)
        draw.rectangle((left, top - BAND, right, top - 3), CLUSTERS[cluster % len(CLUSTERS)])
        if height := round((CURVE - 2) * distances[i] / highest):
            draw.rectangle((left, bottom - height, right, bottom), AREA)
        if cut:
            draw.line((left, top, left, bottom), CUT)
    return np.asarray(picture)


@torch.inference_mode()
def draw_video(model: TSN, videos: FrameFolders, index: int) -> np.ndarray:
    """The picture of one video of a data set as a model in eval mode clusters it now, uint8 (H, W, 3)."""
    steps, _, name = videos.load(0, index)  # (t, channels, S, S)
    _, assignment, distances = stream(model.stem, model.clustering, steps, torch.tensor([len(steps)]), CHUNK)
    frames = steps[:, :3] if steps.shape[1] % 3 == 0 else steps[:, :1].expand(-1, 3, -1, -1)  # of flow: x alone
    return cluster_strip(frames, assignment.tolist(), distances.tolist(), f"{name}, {len(frames)} frames")
