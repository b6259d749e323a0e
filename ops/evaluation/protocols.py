"""The views of a video that a test averages over: clips in time, crops in space. Nothing is random.

These are the protocols of TSM (Lin et al., ICCV 2019), frame for frame and, as far as decoders of JPEGs agree,
pixel for pixel, so that its checkpoints give the figures that were published with them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ops.data.views import Box, View, mirror

DENSE_CLIPS, DENSE_WINDOW, TEN = 10, 64, 10


def uniform_clip(num_frames: int, num_segments: int) -> np.ndarray:
    """The middle frame of each of `num_segments` equal segments -> (1, num_segments).

    Computed in floating point as TSM does: where rounding falls short of a whole number, the frame before is taken.
    This never happens where `num_segments` is a power of two.
    """
    tick = num_frames / num_segments
    return (tick / 2 + tick * np.arange(num_segments)).astype(np.int64)[None]


def two_clips(num_frames: int, num_segments: int) -> np.ndarray:
    """The middle frames of equal segments, then their first ones (TSM's `--twice_sample`) -> (2, num_segments)."""
    starts = num_frames / num_segments * np.arange(num_segments)
    return np.concatenate([uniform_clip(num_frames, num_segments), starts.astype(np.int64)[None]])


def dense_clips(num_frames: int, num_segments: int) -> np.ndarray:
    """Frames at a fixed stride in ten evenly placed windows of 64 (TSM's `--dense_sample`) -> (10, num_segments).

    A video shorter than the window starts over. More than 64 segments make the window as long. For flow, `num_frames`
    counts whole stacks of five here and single frames in TSM, whose last stacks repeat the last frame.
    """
    window = max(DENSE_WINDOW, num_segments)
    starts = np.linspace(0, max(0, num_frames - window), num=DENSE_CLIPS, dtype=np.int64)
    return (starts[:, None] + window // num_segments * np.arange(num_segments)) % num_frames


def ten_clips(num_frames: int, num_segments: int) -> np.ndarray:
    """The frames at 5, 15, ... 95 % of equal segments: clips that all span the video -> (10, num_segments)."""
    places = np.arange(num_segments) + (np.arange(TEN)[:, None] + 0.5) / TEN
    return (places * num_frames / num_segments).astype(np.int64)


CLIPS = {
    "uniform": (uniform_clip, 1),
    "twice": (two_clips, 2),
    "dense": (dense_clips, DENSE_CLIPS),
    "ten": (ten_clips, TEN),
}


@dataclass(frozen=True)
class ClipSampler:
    """The frames of all clips of a video, one clip after another -> (clips * num_segments,)."""

    clips: str
    num_segments: int

    def __call__(self, num_frames: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
        return CLIPS[self.clips][0](num_frames, self.num_segments).ravel()


class Crop(NamedTuple):
    """Where a square lies in a frame, in pixels, and whether it is mirrored."""

    top: int
    left: int
    mirrored: bool = False


def centre(height: int, width: int, size: int) -> list[Crop]:
    """One square in the middle."""
    return [Crop(round((height - size) / 2), round((width - size) / 2))]


def along_longer_side(height: int, width: int, size: int) -> list[Crop]:
    """Three squares from the left to the right edge, at half height, as in TSM's test at full resolution.

    TSM's videos are wide; of a frame that is higher than wide they go from the top to the bottom edge. Of a square
    frame that is as large as they are, all three are the same.
    """
    row, column = (height - size) // 4, (width - size) // 4
    if height > width:
        return [Crop(0, 2 * column), Crop(2 * row, 2 * column), Crop(4 * row, 2 * column)]
    return [Crop(2 * row, 0), Crop(2 * row, 2 * column), Crop(2 * row, 4 * column)]


def corners_and_centre(height: int, width: int, size: int) -> list[Crop]:
    """Five squares, at multiples of a quarter of the margin, which is rounded down as in TSN."""
    row, column = (height - size) // 4, (width - size) // 4
    return [Crop(y * row, x * column) for y, x in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]


def ten_crops(height: int, width: int, size: int) -> list[Crop]:
    """The five squares of `corners_and_centre`, each followed by its mirror image."""
    return [
        crop._replace(mirrored=mirrored)
        for crop in corners_and_centre(height, width, size)
        for mirrored in (False, True)
    ]


CROPS: dict[int, Callable[[int, int, int], list[Crop]]] = {
    1: centre,
    3: along_longer_side,
    5: corners_and_centre,
    10: ten_crops,
}


def scale_frames(clip: Tensor, side: int) -> Tensor:
    """Scale frames to a shorter side of `side` pixels: uint8 (t, c, H, W) -> uint8 (t, c, h, w).

    By PIL's bilinear filter, as in TSM; torch's own rounds some pixels differently.
    """
    height, width = clip.shape[-2:]
    if min(height, width) == side:
        return clip
    short = min(height, width)
    size = (side * width // short, side * height // short)
    grey = clip.shape[1] == 1
    frames = clip[:, 0] if grey else clip.permute(0, 2, 3, 1)  # (t, H, W) or (t, H, W, 3), as PIL has them
    scaled = [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BILINEAR)) for f in frames.numpy()]
    scaled = torch.from_numpy(np.stack(scaled))  # (t, h, w) or (t, h, w, 3)
    return scaled[:, None] if grey else scaled.permute(0, 3, 1, 2)  # (t, c, h, w)


def crop_transform(
    height: int, width: int, rng: np.random.Generator, size: int, scale: int, crops: int, flow: bool
) -> View:
    """A view of all crops of each frame, one below another: uint8 (t, c, H, W) -> uint8 (t, c, crops * size, size).

    Frames are first scaled to a shorter side of `scale` pixels. With `flow`, the first half of the clip is horizontal
    flow, which a mirror inverts, and the second half is vertical flow. Nothing is random: `rng` is not used.
    """
    finish = partial(cut_crops, size=size, scale=scale, crops=crops, flow=flow)
    return View(Box(0, 0, height, width), finish)


def cut_crops(clip: Tensor, size: int, scale: int, crops: int, flow: bool) -> Tensor:
    """Scale a clip and cut its crops out, as `crop_transform` describes."""
    clip = scale_frames(clip, scale)
    views = []
    for top, left, mirrored in CROPS[crops](*clip.shape[-2:], size):
        view = clip[..., top : top + size, left : left + size]
        views.append(mirror(view, flow) if mirrored else view)
    return torch.cat(views, dim=2)
