"""What one time step of a video is: a frame, a stack of optical flow fields, or of differences between frames; or
features that a network has made of it before.

Wang et al., TSN, ECCV 2016: a step of `Flow` holds 5 pairs of horizontal and vertical flow, one of `RGBDiff` the 5
differences between 6 neighbouring frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from ops.data.views import CROP_SCALES

Statistics = tuple[Sequence[float], Sequence[float]]  # mean and deviation, of each channel or of all


def levels(steps: Tensor) -> Tensor:
    """uint8 (t, channels, h, w) -> float in [0, 1]."""
    return steps.float().div_(255)


def frame_differences(steps: Tensor) -> Tensor:
    """uint8 (t, 6 * 3, h, w) -> float (t, 5 * 3, h, w) in [-1, 1], each frame less the one before."""
    frames = levels(steps).unflatten(1, (-1, 3))  # (t, 6, 3, h, w)
    return (frames[:, 1:] - frames[:, :-1]).flatten(1, 2)


def of_colours(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    return mean, std


def of_flow(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    """128, which means no motion, becomes (nearly) 0; TSN divides by the mean deviation of the colours, 0.226."""
    return (0.5,), (fmean(std),)


def of_differences(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    """Differences are centred already; TSN leaves them as they are."""
    return (0.0,), (1.0,)


def floats(steps: Tensor) -> Tensor:
    """float16 (t, d, h, w), as features are kept -> float."""
    return steps.float()


def of_features(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    """Features are taken as they are."""
    return (0.0,), (1.0,)


@dataclass(frozen=True)
class Modality:
    """`stack` neighbouring frames make a time step, which a network takes in as `channels` float channels.

    `to_float` makes them of a step as loaded; `statistics` normalise them, made from those that a backbone has for
    colours. Of `features`, which are no pictures, the data say how many channels they have; `arch` names the only
    backbone that takes them.
    """

    stack: int
    channels: int
    to_float: Callable[[Tensor], Tensor]
    statistics: Callable[[Sequence[float], Sequence[float]], Statistics]
    crop_scales: tuple[float, ...] = CROP_SCALES[:3]
    features: bool = False
    arch: str | None = None


MODALITIES = {
    "RGB": Modality(1, 3, levels, of_colours, CROP_SCALES),
    "Flow": Modality(5, 10, levels, of_flow),
    "RGBDiff": Modality(6, 15, frame_differences, of_differences),
    "Features": Modality(1, 0, floats, of_features, features=True, arch="features"),
}
