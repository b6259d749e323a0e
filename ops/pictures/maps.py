"""Pictures of where and when a model looks: heat over a video's frames, and what each cluster adds to a score."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ops.pictures import video as pictures
from ops.pictures.colours import CLUSTERS, CUT

HEAT = np.array([(60, 0, 90), (200, 30, 60), (255, 150, 0), (255, 245, 150)], float)  # from a little to the most
THICKEST = 0.75  # opacity of the most
HEIGHT = 0.95  # inches of the bars below the frames


def heat_over(frame: Tensor, heat: Tensor) -> Tensor:
    """A frame uint8 (3, S, S), in grey, under a map (h, w) in [0, 1], which is laid over all of it."""
    size = frame.shape[-2:]
    strength = F.interpolate(heat[None, None].float(), size, mode="bilinear", align_corners=False)[0, 0].numpy()
    stops = np.linspace(0, 1, len(HEAT))
    colour = np.stack([np.interp(strength, stops, HEAT[:, c]) for c in range(3)])  # (3, S, S)
    grey = frame.float().mean(0, keepdim=True).numpy()
    opacity = THICKEST * strength.clip(0, 1) ** 0.7
    return torch.from_numpy((grey + (colour - grey) * opacity).round().astype(np.uint8))


def heated(video: pictures.Video, maps: np.ndarray) -> list[Tensor]:
    """The frames of a video under the map of the cluster that each was merged into; those not seen as they are.

    maps (g, h, w): what is below zero shows nothing, and one scale holds for all of them.
    """
    heat = torch.from_numpy(maps).clamp(min=0)
    heat = heat / heat.max().clamp(min=1e-12)
    frames = list(video.frames)
    for number, cluster in zip(video.seen.tolist(), video.assignment, strict=True):
        frames[number] = heat_over(frames[number], heat[cluster])
    return frames


class WideStrip(pictures.Strip):
    """A strip with room for the numbers beside the bars."""

    left = 0.7


def draw_explanation(
    video: pictures.Video, maps: np.ndarray, title: str, verdict: str, path: Path, width: float = 10
) -> None:
    """Draw a video's frames under their maps (g, h, w) and, below, what each cluster adds to the score, into a file."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    added = maps.sum((1, 2))  # (g,)
    low, high = min(0.0, added.min()), max(0.0, added.max())
    room = 0.12 * max(high - low, 1e-9)
    with matplotlib.rc_context(pictures.STYLE):
        strip = WideStrip(video._replace(frames=heated(video, maps)), width, HEIGHT)
        figure = Figure(figsize=(width, strip.height), dpi=200)
        pictures.draw_title(figure, strip, title, verdict)
        for number in range(strip.rows):
            row = pictures.Row(figure, strip, number)
            pictures.draw_band(pictures.draw_frames(row), row, video.assignment)
            axis = row.axes(strip.curve)
            for a, b in pictures.stretches(row, video.assignment):
                value = added[video.assignment[a]]
                axis.bar((a + b - 1) / 2, value, (b - a) * pictures.SHARE, color=CLUSTERS[0] if value > 0 else CUT)
            axis.axhline(0, color="0.4", linewidth=0.7)
            axis.set_ylim(low - (room if low < 0 else 0), high + room)
            axis.set_ylabel("adds to score", fontsize=8)
            axis.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4, min_n_ticks=2))
            pictures.number_frames(axis, row)
        key = {
            "looks here": Patch(color=HEAT[2] / 255),
            "cluster speaks for the class": Patch(color=CLUSTERS[0]),
            "against it": Patch(color=CUT),
        }
        pictures.draw_key(figure, strip, key)
        pictures.save(figure, path)
