"""What one time step of a video is: a frame, a stack of optical flow fields, or of differences between frames.

Wang et al., TSN, ECCV 2016: a step of `Flow` holds 5 pairs of horizontal and vertical flow, one of `RGBDiff` the 5
differences between 6 neighbouring frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ops.data.views import CROP_SCALES, normalise


def normalise_flow(steps: Tensor) -> Tensor:
    """uint8 (t, 10, h, w), x and y by turns with 128 for no motion -> float, mean 0.5 and deviation 0.226 as in TSN."""
    return steps.float().div_(255).sub_(0.5).div_(0.226)


def frame_differences(steps: Tensor) -> Tensor:
    """uint8 (t, 6 * 3, h, w) -> float (t, 5 * 3, h, w) in [-1, 1], each frame less the one before."""
    frames = steps.float().div_(255).unflatten(1, (-1, 3))  # (t, 6, 3, h, w)
    return (frames[:, 1:] - frames[:, :-1]).flatten(1, 2)


@dataclass(frozen=True)
class Modality:
    """`stack` neighbouring frames make a time step; `to_input` turns it, as loaded, into `channels` float channels."""

    stack: int
    channels: int
    to_input: Callable[[Tensor], Tensor]
    crop_scales: tuple[float, ...] = CROP_SCALES[:3]


MODALITIES = {
    "RGB": Modality(1, 3, normalise, CROP_SCALES),
    "Flow": Modality(5, 10, normalise_flow),
    "RGBDiff": Modality(6, 15, frame_differences),
}
