"""Which frames of a video are loaded. Pure numpy; whatever is random takes its generator.

Every function returns frame numbers counted from 0, int64, in time order unless said otherwise.
"""

from dataclasses import dataclass

import numpy as np


def all_frames(num_frames: int, cap: int | None = None, stride: int = 1) -> np.ndarray:
    """Every frame, or every `stride`-th from the first on -> (t,).

    Where these are more than `cap`, only `cap` of them, evenly spaced: the middle one of each equal share.
    """
    frames = np.arange(0, num_frames, stride)
    if cap is None or len(frames) <= cap:
        return frames
    return frames[(2 * np.arange(cap) + 1) * len(frames) // (2 * cap)]


def uniform_segments(num_frames: int, num_segments: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """One frame of each of `num_segments` equal segments -> (num_segments,).

    TSN's sampling (Wang et al., ECCV 2016): a frame drawn with `rng`, or without it the middle one. Segments that share
    the frames unevenly differ by one frame in length, so that no frame is left out. A video with fewer frames than
    segments repeats them evenly.
    """
    if rng is None:
        return (2 * np.arange(num_segments) + 1) * num_frames // (2 * num_segments)
    if num_frames < num_segments:
        return np.arange(num_segments) * num_frames // num_segments
    edges = np.arange(num_segments + 1) * num_frames // num_segments
    return rng.integers(edges[:-1], edges[1:])


def dense_window(
    num_frames: int, num_segments: int, rng: np.random.Generator | None = None, window: int = 64
) -> np.ndarray:
    """Frames at a fixed stride in one window of 64 -> (num_segments,), not in order where the video starts over.

    TSM's `--dense_sample`, used for Kinetics (Lin et al., ICCV 2019). With `rng` the window's place is drawn, without
    it the window is in the middle. More than 64 segments make it as long; a video shorter than the window starts over.
    """
    window = max(window, num_segments)
    stride = window // num_segments
    room = max(0, num_frames - window)
    start = room // 2 if rng is None else int(rng.integers(room + 1))
    return (start + stride * np.arange(num_segments)) % num_frames


@dataclass(frozen=True)
class FrameSampler:
    """Which frames of a video a run loads in an epoch.

    With `clustering`, all of them (every `stride`-th, at most `cap`) from `cluster_start_epoch` on. Before that epoch,
    and without clustering, `num_segments` frames are sampled: by `dense_window` where `dense_sample` is set, else by
    `uniform_segments`. In evaluation (`train=False`) nothing is drawn, and clustering always sees all frames.
    """

    num_segments: int
    clustering: bool
    cap: int | None = None
    cluster_start_epoch: int = 0
    dense_sample: bool = False
    train: bool = False
    stride: int = 1

    def __call__(self, num_frames: int, epoch: int, rng: np.random.Generator) -> np.ndarray:
        if self.clustering and (not self.train or epoch >= self.cluster_start_epoch):
            return all_frames(num_frames, self.cap, self.stride)
        sample = dense_window if self.dense_sample else uniform_segments
        return sample(num_frames, self.num_segments, rng if self.train else None)
