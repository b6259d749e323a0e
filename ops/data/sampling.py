"""Which frames of a video are loaded. Pure numpy; whatever is random takes its generator.

Every function returns frame numbers counted from 0, int64, in time order unless said otherwise.
"""

from dataclasses import dataclass

import numpy as np


def all_frames(num_frames: int, cap: int | None = None, stride: int = 1) -> np.ndarray:
    """Every frame, or every `stride`-th from the first on -> (t,).

    Where these are more than `cap`, only `cap` of them, evenly spaced: the middle one of each equal share.
    """
    return at_most(np.arange(0, num_frames, stride), cap)


def at_most(frames: np.ndarray, cap: int | None) -> np.ndarray:
    """Frames (t,), or where they are more than `cap`, so many of them, evenly spaced."""
    return frames if cap is None or len(frames) <= cap else evenly(frames, cap)


def evenly(frames: np.ndarray, number: int) -> np.ndarray:
    """The middle one of each of `number` equal shares of frames (t,) -> (number,); more than t repeat some."""
    return frames[(2 * np.arange(number) + 1) * len(frames) // (2 * number)]


def random_part(frames: np.ndarray, share: float, least: int, rng: np.random.Generator) -> np.ndarray:
    """Neighbours among frames (t,): a share of them drawn evenly from [`share`, 1], which begins anywhere.

    They are `least` or more, or all where these are fewer.
    """
    length = max(min(least, len(frames)), round(len(frames) * rng.uniform(share, 1)))
    start = int(rng.integers(len(frames) - length + 1))
    return frames[start : start + length]


def at_speed(frames: np.ndarray, speed: float, least: int) -> np.ndarray:
    """Frames (t,) as a player shows them at a speed, (t / speed,): above 1 some are left out, below 1 repeated.

    They are `least` or more, or t where these are fewer.
    """
    return evenly(frames, max(min(least, len(frames)), round(len(frames) / speed)))


def random_share(frames: np.ndarray, share: float, least: int, rng: np.random.Generator | None) -> np.ndarray:
    """A share of frames (t,) drawn with `rng`, each as likely, in time order; without `rng` evenly spaced.

    They are `least` or more, or all where these are fewer.
    """
    number = max(min(least, len(frames)), round(share * len(frames)))
    if rng is None:
        return evenly(frames, number)
    return frames[np.sort(rng.choice(len(frames), number, replace=False))]


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

    Training may draw, anew in every epoch, a contiguous part of a video (`clip_share`, see `random_part`), then its
    speed, log-uniform in [1 / `clip_speed`, `clip_speed`] (`at_speed`), and, for clustering, a share of its frames that
    are loaded (`keep`, see `random_share`). Whatever is drawn, a video keeps `num_segments` frames if it has them.
    Asked without `rng`, training gives as many frames as it may draw at most.
    """

    num_segments: int
    clustering: bool
    cap: int | None = None
    cluster_start_epoch: int = 0
    dense_sample: bool = False
    train: bool = False
    stride: int = 1
    clip_share: float = 1.0
    clip_speed: float = 1.0
    keep: float = 1.0

    def __call__(self, num_frames: int, epoch: int, rng: np.random.Generator | None) -> np.ndarray:
        if not self.train:
            rng = None
        clusters = self.clustering and (not self.train or epoch >= self.cluster_start_epoch)
        frames = self._clip(num_frames, self.stride if clusters else 1, rng)
        if not clusters:
            sample = dense_window if self.dense_sample else uniform_segments
            return frames[sample(len(frames), self.num_segments, rng)]
        frames = at_most(frames, self.cap)
        if self.train and self.keep < 1:
            frames = random_share(frames, self.keep, self.num_segments, rng)
        return frames

    def _clip(self, num_frames: int, stride: int, rng: np.random.Generator | None) -> np.ndarray:
        """Every `stride`-th frame of a video, or in training of a part of it, at another speed."""
        frames = np.arange(num_frames)
        if self.train and self.clip_share < 1 and rng is not None:
            frames = random_part(frames, self.clip_share, stride * (self.num_segments - 1) + 1, rng)
        frames = frames[::stride]
        if self.train and self.clip_speed > 1:
            exponent = -1 if rng is None else rng.uniform(-1, 1)
            frames = at_speed(frames, self.clip_speed**exponent, self.num_segments)
        return frames
