"""One clip in, one clip out: the same crop and flip for all frames of a video, uint8 all the way."""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

CROP_SCALES = (1.0, 0.875, 0.75, 0.66)  # TSN's multi-scale crop


def multi_scale_crop(
    height: int, width: int, rng: np.random.Generator, scales: Sequence[float] = CROP_SCALES
) -> tuple[int, int, int, int]:
    """Draw a crop (top, left, height, width) in pixels as TSN does.

    Sides are one of `scales` of the shorter side and differ by one step at most; the crop sits in one of 13 places,
    quarter points between the corners and the centre (Wang et al., TSN, ECCV 2016).
    """
    sizes = [max(1, int(min(height, width) * scale)) for scale in scales]
    pairs = [(i, j) for i in range(len(sizes)) for j in range(len(sizes)) if abs(i - j) <= 1]
    row, column = pairs[rng.integers(len(pairs))]
    crop_h, crop_w = sizes[row], sizes[column]
    places = [(y, x) for y in (0, 2, 4) for x in (0, 2, 4)] + [(y, x) for y in (1, 3) for x in (1, 3)]
    y, x = places[rng.integers(len(places))]
    return y * (height - crop_h) // 4, x * (width - crop_w) // 4, crop_h, crop_w


def train_transform(
    clip: Tensor,
    rng: np.random.Generator,
    size: int,
    flip: bool,
    scales: Sequence[float] = CROP_SCALES,
    flow: bool = False,
) -> Tensor:
    """uint8 (t, c, H, W) -> uint8 (t, c, size, size): one multi-scale crop and, with `flip`, one coin for a mirror.

    With `flow`, the first half of the clip is horizontal flow and the other vertical: a mirror inverts the former.
    """
    clip = F.resized_crop(clip, *multi_scale_crop(*clip.shape[-2:], rng, scales), [size, size], antialias=True)
    if flip and rng.random() < 0.5:
        clip = clip.flip(-1)
        if flow:
            clip[: len(clip) // 2] = 255 - clip[: len(clip) // 2]
    return clip


def eval_transform(clip: Tensor, rng: np.random.Generator, size: int) -> Tensor:
    """uint8 (t, c, H, W) -> uint8 (t, c, size, size): shorter side to size * 256 / 224, then the centre (as in TSM).

    Only the part that is kept is scaled. Nothing is random: `rng` is not used.
    """
    height, width = clip.shape[-2:]
    side = max(1, min(height, width) * 224 // 256)
    top, left = (height - side) // 2, (width - side) // 2
    return F.resized_crop(clip, top, left, side, side, [size, size], antialias=True)


def normalise(frames: Tensor) -> Tensor:
    """uint8 (..., 3, h, w) RGB -> float with ImageNet's mean and deviation, on the device that the frames are on."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=frames.device).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=frames.device).view(3, 1, 1)
    return frames.float().div_(255).sub_(mean).div_(std)
