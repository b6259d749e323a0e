"""Changes of a clip beyond crop and mirror: RandAugment and random erasing, drawn once for all of its frames.

Cubuk et al., *RandAugment*, CVPR Workshops 2020, with torchvision's operations and its defaults: two of them, drawn
evenly, each at magnitude 9 of 30. Zhong et al., *Random Erasing Data Augmentation*, AAAI 2020: one box, which stays
where it is. What an operation takes from the pixels, such as their histogram, it takes from the whole clip, so that
frames that are alike stay alike and differences between frames are those of the video.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

Change = Callable[[Tensor], Tensor]  # uint8 (t, c, S, S), c = 1 or 3 -> another clip of this shape

STRENGTH = 9 / 30
NUMBER = 2
GREY = 128  # of what is erased; in a flow field, no motion
AREA, ASPECT = (0.02, 0.33), (0.3, 3.3)  # of a box: shares of the frame; height by width


def _move(clip: Tensor, angle: float = 0.0, right: float = 0.0, down: float = 0.0, shear: tuple = (0.0, 0.0)) -> Tensor:
    """Degrees, shares of the side, and slopes."""
    shift = [round(share * side) for share, side in zip((right, down), (clip.shape[-1], clip.shape[-2]), strict=True)]
    slant = [math.degrees(math.atan(slope)) for slope in shear]
    return F.affine(clip, angle, shift, 1.0, slant, interpolation=InterpolationMode.BILINEAR)


def _as_one(change: Change, clip: Tensor) -> Tensor:
    """Frames below each other as one picture."""
    t, _, height, _ = clip.shape
    return change(clip.transpose(0, 1).flatten(1, 2)).unflatten(1, (t, height)).transpose(0, 1)


OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {  # name -> clip, magnitude from -1 to 1 -> clip
    "nothing": lambda clip, m: clip,
    "shear across": lambda clip, m: _move(clip, shear=(0.3 * m, 0.0)),
    "shear down": lambda clip, m: _move(clip, shear=(0.0, 0.3 * m)),
    "move across": lambda clip, m: _move(clip, right=150 / 331 * m),
    "move down": lambda clip, m: _move(clip, down=150 / 331 * m),
    "rotate": lambda clip, m: _move(clip, angle=30 * m),
    "brightness": lambda clip, m: F.adjust_brightness(clip, 1 + 0.9 * m),
    "colour": lambda clip, m: F.adjust_saturation(clip, 1 + 0.9 * m),
    "contrast": lambda clip, m: _as_one(partial(F.adjust_contrast, contrast_factor=1 + 0.9 * m), clip),
    "sharpness": lambda clip, m: F.adjust_sharpness(clip, 1 + 0.9 * m),
    "posterize": lambda clip, m: F.posterize(clip, 8 - round(4 * abs(m))),
    "solarize": lambda clip, m: F.solarize(clip, 255 * (1 - abs(m))),
    "autocontrast": lambda clip, m: _as_one(F.autocontrast, clip),
    "equalize": lambda clip, m: _as_one(F.equalize, clip),
}


def rand_augment(rng: np.random.Generator) -> list[Change]:
    """Draw the operations of a clip and their directions."""
    operations = [*OPERATIONS.values()]
    drawn = [(operations[rng.integers(len(operations))], STRENGTH * rng.choice((-1, 1))) for _ in range(NUMBER)]
    return [partial(operation, m=float(magnitude)) for operation, magnitude in drawn]


def erase(rng: np.random.Generator, size: int) -> Change:
    """Draw a box of squares of `size` pixels that becomes grey in every frame."""
    area = rng.uniform(*AREA) * size**2
    aspect = math.exp(rng.uniform(*map(math.log, ASPECT)))
    height = min(size, max(1, round(math.sqrt(area * aspect))))
    width = min(size, max(1, round(math.sqrt(area / aspect))))
    top, left = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))

    def change(clip: Tensor) -> Tensor:
        clip = clip.clone()
        clip[..., top : top + height, left : left + width] = GREY
        return clip

    return change
