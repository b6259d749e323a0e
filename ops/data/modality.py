"""What one time step of a video is: a frame, a stack of optical flow fields, of differences between frames, or a
dynamic image of either; or features that a network has made of frames before.

Wang et al., TSN, ECCV 2016: a step of `Flow` holds 5 pairs of horizontal and vertical flow, one of `RGBDiff` the 5
differences between 6 neighbouring frames. Bilen et al., TPAMI 2018, have four streams, of one image a step: a frame
(`SI`, the same as `RGB`), a pair of flow (`OF`), and the dynamic image of 10 frames (`DI`) or 10 pairs (`DOF`).

Nothing outside this file knows these names: all that differs between modalities is a field of `Modality`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor

from ops.data.dynamic_images import WINDOW, dynamic_images
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


def of_dynamic_images(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    """Weights that add up to 0 centre them; the deviation is about 1 where a camera is held by hand (1.1 in the median
    of 98 windows of real videos, 1.3 over all)."""
    return (0.0,), (1.0,)


def of_dynamic_flow(mean: Sequence[float], std: Sequence[float]) -> Statistics:
    """As flow, but centred already."""
    return (0.0,), (fmean(std),)


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
    colours. With `flow` the files are pairs of optical flow images. TSN's first convolution of flow learns faster than
    the rest: `fast_first_conv`. Of `features`, which are no pictures, the data say how many channels they have; `arch`
    names the only backbone that takes them. `channel_text` says what the channels are and where they come from, to
    those who run a model elsewhere and have to make them.
    """

    stack: int
    channels: int
    channel_text: str
    to_float: Callable[[Tensor], Tensor]
    statistics: Callable[[Sequence[float], Sequence[float]], Statistics]
    crop_scales: tuple[float, ...] = CROP_SCALES
    flow: bool = False
    fast_first_conv: bool = False
    features: bool = False
    arch: str | None = None


COLOURS = "red, green, blue of a frame, byte / 255"
FLOW = "flow of {}, x, y, x, y, ...: byte / 255 of the pictures that tools/extract_flow.py makes"
DIFFERENCES = (
    "the 5 differences of 6 neighbouring frames, each less the one before it: red, green, blue of the earliest, then of"
    " the next, ..., byte / 255. Step i is made of the frames i to i + 5, so that n frames make n - 5 steps"
)
DYNAMIC = f"dynamic image, by ops/data/dynamic_images.py, of {WINDOW} neighbouring {{}}"

MODALITIES = {
    "RGB": Modality(1, 3, COLOURS, levels, of_colours),
    "Flow": Modality(
        5, 10, FLOW.format("5 neighbouring frames"), levels, of_flow, CROP_SCALES[:3], flow=True, fast_first_conv=True
    ),
    "RGBDiff": Modality(6, 15, DIFFERENCES, frame_differences, of_differences, CROP_SCALES[:3]),
    "SI": Modality(1, 3, COLOURS, levels, of_colours),
    "DI": Modality(WINDOW, 3, DYNAMIC.format("frames: red, green, blue"), dynamic_images, of_dynamic_images),
    "OF": Modality(1, 2, FLOW.format("one frame"), levels, of_flow, flow=True),
    "DOF": Modality(
        WINDOW, 2, DYNAMIC.format("pairs of flow images: x, y"), dynamic_images, of_dynamic_flow, flow=True
    ),
    "Features": Modality(1, 0, "features of a frame or cluster", floats, of_features, features=True, arch="features"),
}
