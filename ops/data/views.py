"""What is seen of a video's frames: the same crop and flip for all of them, uint8 all the way.

Crops are drawn from the size of the frames before these are decoded, so that no more is decoded and kept than needed.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ops.data.augment import Change, erase, rand_augment

CROP_SCALES = (1.0, 0.875, 0.75, 0.66)  # TSN's multi-scale crop


class Box(NamedTuple):
    """A rectangle of a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int


class View(NamedTuple):
    """A rectangle of every frame of a video, and what becomes of it. Called with whole frames, it does both."""

    box: Box
    finish: Callable[[Tensor], Tensor]  # uint8 (t, c, h, w), what is in the box -> (t, c, S, S)
    halved: bool = False  # frames may be decoded at half their size; then the box has even numbers only

    def __call__(self, clip: Tensor) -> Tensor:
        """uint8 (t, c, H, W) -> uint8 (t, c, S, S)."""
        top, left, height, width = self.box
        return self.finish(clip[..., top : top + height, left : left + width])


def whole_frames(height: int, width: int) -> View:
    """Frames as they are."""
    return View(Box(0, 0, height, width), lambda clip: clip)


def can_halve(box: Box, size: int) -> bool:
    """Whether a box of frames decoded at half their size will do for squares of `size` pixels.

    Its numbers must be even, or it would shift by half a pixel. Close to half its size such pixels are sharper than
    those of the plain way, 1 to 5 levels on average; from 4/9 on it is 0.5 to 2.
    """
    return not any(number % 2 for number in box) and 4 * min(box.height, box.width) >= 9 * size


def resize(clip: Tensor, size: int) -> Tensor:
    """uint8 (t, c, h, w) -> uint8 (t, c, size, size), anti-aliased bilinear.

    Grey frames go four at a time as the channels of one: the same pixels in less than half the time.
    """
    t, c, height, width = clip.shape
    if (height, width) == (size, size):
        return clip
    channels = 4 if c == 1 and t % 4 == 0 else c
    clip = clip.reshape(-1, channels, height, width)
    return F.interpolate(clip, (size, size), mode="bilinear", antialias=True).reshape(t, c, size, size)


def mirror(clip: Tensor, flow: bool) -> Tensor:
    """A mirrored copy; with `flow`, the first half of the frames is horizontal flow, which is inverted, too."""
    clip = clip.flip(-1)
    if flow:
        clip[: len(clip) // 2] = 255 - clip[: len(clip) // 2]
    return clip


def multi_scale_crop(height: int, width: int, rng: np.random.Generator, scales: Sequence[float] = CROP_SCALES) -> Box:
    """Draw a crop as TSN does.

    Sides are one of `scales` of the shorter side and differ by one step at most; the crop sits in one of 13 places,
    quarter points between the corners and the centre (Wang et al., TSN, ECCV 2016).
    """
    sizes = [max(1, int(min(height, width) * scale)) for scale in scales]
    pairs = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if abs(i - j) <= 1]
    row, column = pairs[rng.integers(len(pairs))]
    crop_h, crop_w = sizes[row], sizes[column]
    places = [(y, x) for y in (0, 2, 4) for x in (0, 2, 4)] + [(y, x) for y in (1, 3) for x in (1, 3)]
    y, x = places[rng.integers(len(places))]
    return Box(y * (height - crop_h) // 4, x * (width - crop_w) // 4, crop_h, crop_w)


def train_transform(
    height: int,
    width: int,
    rng: np.random.Generator,
    size: int,
    flip: bool,
    scales: Sequence[float] = CROP_SCALES,
    flow: bool = False,
    augment: bool = False,
    erasing: float = 0.0,
) -> View:
    """One multi-scale crop and, with `flip`, one coin for a mirror -> squares of `size` pixels.

    With `flow`, clips hold horizontal flow and then as many frames of vertical flow. `augment` adds RandAugment, and
    `erasing` is how likely a box is erased; see `ops.data.augment`.
    """
    box = multi_scale_crop(height, width, rng, scales)
    mirrored = flip and rng.random() < 0.5
    changes = rand_augment(rng) if augment else []
    if erasing and rng.random() < erasing:
        changes.append(erase(rng, size))
    finish = partial(_square, size=size, mirrored=mirrored, flow=flow, changes=changes)
    return View(box, finish, can_halve(box, size))


def eval_transform(height: int, width: int, rng: np.random.Generator, size: int) -> View:
    """Shorter side to size * 256 / 224, then the centre square of `size` pixels (as in TSM).

    Only the part that is kept is scaled. Nothing is random: `rng` is not used.
    """
    side = max(1, min(height, width) * 224 // 256)
    box = Box((height - side) // 2, (width - side) // 2, side, side)
    return View(box, partial(_square, size=size), can_halve(box, size))


def _square(
    clip: Tensor, size: int, mirrored: bool = False, flow: bool = False, changes: Sequence[Change] = ()
) -> Tensor:
    """Resize a clip to squares and mirror it, whichever is less work first: the pixels are the same. Then change it."""
    mirror_first = mirrored and clip.shape[-1] < size
    if mirror_first:
        clip = mirror(clip, flow)
    clip = resize(clip, size)
    if mirrored and not mirror_first:
        clip = mirror(clip, flow)
    for change in changes:
        clip = change(clip)
    return clip
