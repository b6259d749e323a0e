"""Dynamic images: a window of frames, or of optical flow, becomes one image by approximate rank pooling.

Bilen, Fernando, Gavves, Vedaldi: *Action Recognition with Dynamic Image Networks*, IEEE TPAMI 2018 (first at CVPR 2016,
*Dynamic Image Networks for Action Recognition*). A linear function that ranks the frames of a window by time is itself
of the form of a frame; one step of its optimisation from zero is a weighted sum of the frames.

What differs from the published program: values are in [0, 1] instead of 0 to 255, and are not multiplied by 0.1; with
ImageNet weights such images are about as large as normalised frames. One crop is drawn for a video, not one for each
window. Which windows a network sees is the sampling's matter: docs/baselines.md compares.
"""

from torch import Tensor

WINDOW = 10  # frames


def rank_pooling_weights(window: int) -> list[float]:
    """alpha_t = 2 (T - t + 1) - (T + 1) (H_T - H_{t-1}), t = 1 .. T, with H_t = 1 + 1/2 + ... + 1/t.

    They add up to 0, so that what does not change leaves no trace, from T = 2 on.
    """
    rest = 0.0  # H_T - H_{t-1} = 1/t + ... + 1/T
    weights = []
    for t in range(window, 0, -1):
        rest += 1 / t
        weights.append(2 * (window - t + 1) - (window + 1) * rest)
    return weights[::-1]


WEIGHTS = rank_pooling_weights(WINDOW)


def dynamic_images(steps: Tensor) -> Tensor:
    """uint8 (t, 10 * c, h, w), windows of frames or of pairs of flow -> float (t, c, h, w), within -15.5 and 15.5."""
    frames = steps.unflatten(1, (WINDOW, -1))  # (t, 10, c, h, w)
    pooled = WEIGHTS[0] / 255 * frames[:, 0]
    for weight, frame in zip(WEIGHTS[1:], frames[:, 1:].unbind(1), strict=True):
        pooled.add_(frame, alpha=weight / 255)
    return pooled
