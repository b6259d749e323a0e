"""Optical flow between the frames of a video, by OpenCV, and the two 8-bit pictures that hold a field of it.

A field says how far each pixel of a frame moves until the next one: u to the right, v down, in pixels. As in TSN (Wang
et al., ECCV 2016) the pictures are u and v from -20 to 20, say, as levels from 0 to 255; what moves further is taken as
20. A level is then 0.16 pixels, and the middle one, 128, no motion.

DIS: Kroeger et al., *Fast Optical Flow using Dense Inverse Search*, ECCV 2016. TV-L1: Zach, Pock, Bischof, *A Duality
Based Approach for Realtime TV-L1 Optical Flow*, DAGM 2007, which TSN takes; many times as slow.
"""

from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

import numpy as np

from ops.errors import InputError


def opencv() -> ModuleType:
    """OpenCV, which nothing but optical flow needs; InputError says how to install it."""
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"optical flow is computed by OpenCV, which cannot be loaded ({error}): pip install -r"
            " requirements-flow.txt"
        ) from None
    return cv2


def dis(cv2: ModuleType):
    """Dense inverse search with OpenCV's settings of medium speed."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def tvl1(cv2: ModuleType):
    """TV-L1 with OpenCV's own settings."""
    if not hasattr(cv2, "optflow"):
        raise InputError(
            f"this OpenCV, {cv2.__version__}, has no TV-L1, which is in its contrib build alone: pip uninstall"
            " opencv-python-headless, then pip install opencv-contrib-python-headless; or take --method dis"
        )
    return cv2.optflow.DualTVL1OpticalFlow_create()


METHODS: dict[str, Callable] = {"dis": dis, "tvl1": tvl1}  # OpenCV -> what has its `calc`


def flow_fields(frames: Iterable[np.ndarray], method: str) -> Iterator[np.ndarray]:
    """Grey frames uint8 (H, W) -> float32 (2, H, W) for each but the last: u and v in pixels."""
    work, previous = METHODS[method](opencv()), None
    for frame in frames:
        if previous is not None:
            yield np.moveaxis(work.calc(previous, frame, None), 2, 0)  # (H, W, 2) -> (2, H, W)
        previous = frame


def to_levels(flow: np.ndarray, bound: float) -> np.ndarray:
    """Pixels of motion as levels: -bound and below is 0, bound and above 255; uint8 of the same shape."""
    return np.rint((np.clip(flow, -bound, bound) + bound) * (255 / (2 * bound))).astype(np.uint8)


def to_pixels(levels: np.ndarray, bound: float) -> np.ndarray:
    """Levels as pixels of motion, float32 of the same shape; right to half a level, bound / 255, as far as `bound`."""
    return levels.astype(np.float32) * (2 * bound / 255) - bound


def to_grey(frame: np.ndarray) -> np.ndarray:
    """A frame as it is decoded, uint8 (H, W) or (H, W, 3) -> uint8 (H, W)."""
    return frame if frame.ndim == 2 else opencv().cvtColor(np.ascontiguousarray(frame), opencv().COLOR_RGB2GRAY)


def shrink(frame: np.ndarray, short_side: int) -> np.ndarray:
    """A grey frame with its shorter side at most so long; 0 keeps every size."""
    cv2, (height, width) = opencv(), frame.shape
    if not short_side or min(height, width) <= short_side:
        return frame
    scale = short_side / min(height, width)
    return cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def encode(levels: np.ndarray, ending: str, quality: int) -> bytes:
    """Levels uint8 (H, W) as a JPEG of this quality, 1 to 100, or for another ending without loss."""
    cv2 = opencv()
    words = [cv2.IMWRITE_JPEG_QUALITY, quality] if ending.lower() in (".jpg", ".jpeg") else []
    return cv2.imencode(ending, levels, words)[1].tobytes()
