"""The videos of a list -> clips; of features in place of frames, their rows.

Randomness is a function of (seed, epoch, video), never of the worker that loads it or of what was loaded before.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ops.data.lists import Video
from ops.data.modality import Modality
from ops.data.seeds import Purpose, generator
from ops.data.specs import DatasetSpec
from ops.data.stores import Store, open_store
from ops.data.views import View, whole_frames
from ops.errors import InputError

# number of frames, epoch -> frame numbers from 0; without a generator as many as there may be at most
Sampling = Callable[[int, int, np.random.Generator | None], np.ndarray]
Transform = Callable[[int, int, np.random.Generator], View]  # height, width of frames -> what is seen of them


class VideoDataset(Dataset):
    """Videos as folders or packs of frames; asked for (epoch, index), gives (frames, label, name).

    A frame that cannot be read raises InputError, or with `skip_bad` the error takes the sample's place.
    """

    def __init__(
        self,
        videos: list[Video],
        root: Path,
        spec: DatasetSpec,
        modality: Modality,
        sampling: Sampling,
        transform: Transform,
        seed: int,
        skip_bad: bool = False,
    ):
        self.videos, self.root, self.spec, self.modality = videos, root, spec, modality
        self.sampling, self.transform, self.seed, self.skip_bad = sampling, transform, seed, skip_bad

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def channels(self) -> int:
        """Bytes that a time step has for each pixel, as it is loaded; of features, all its bytes."""
        if self.spec.features:
            return 2 * math.prod(self.spec.features)
        return self.modality.stack * (2 if self.spec.is_flow else 3)

    def frame_counts(self, epoch: int) -> np.ndarray:
        """Time steps that each video has in an epoch, (videos,); where their number is drawn, the most it may have."""
        steps, video = np.unique([self.num_steps(video) for video in self.videos], return_inverse=True)
        return np.array([len(self.sampling(int(n), epoch, None)) for n in steps])[video]

    def num_steps(self, video: Video) -> int:
        """Time steps to sample from."""
        return max(1, video.num_frames - self.modality.stack + 1)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, str] | InputError:
        try:
            return self.load(*key)
        except InputError as error:
            if not self.skip_bad:
                raise
            return error

    def load(self, epoch: int, index: int) -> tuple[Tensor, int, str]:
        video = self.videos[index]
        rng = generator(Purpose.VIEW, self.seed, epoch, index)
        steps = self.sampling(self.num_steps(video), epoch, rng)  # (t,) first frame of each
        return self.clip(open_store(self.root / video.path), video, steps, rng), video.label, video.path

    def clip(self, store: Store, video: Video, steps: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Time steps (t,), by their first frames, of a video in a store -> what the network sees, (t, channels, S, S).

        uint8, of features float16 (t, d, h, w). `rng` draws what is seen of the frames.
        """
        if self.spec.features:
            return store.load(self.spec, steps, whole_frames)
        stack = self.modality.stack
        frames = np.minimum(steps[:, None] + np.arange(stack), video.num_frames - 1)  # (t, stack)
        loaded, place = frames.ravel(), None
        if (np.diff(loaded) <= 0).any():  # steps share frames: each is decoded once
            loaded, place = np.unique(frames, return_inverse=True)
        view_of = partial(self.transform, rng=rng)
        clip = store.load(self.spec, loaded, view_of)  # (frames, c, S, S)
        check_clip(clip, len(loaded) * (2 if self.spec.is_flow else 1), video.path)
        if self.spec.is_flow:  # all x, then all y -> (frames, 2, S, S)
            clip = torch.cat(clip.chunk(2), 1)
        if place is not None:
            clip = clip[torch.from_numpy(place.reshape(-1))]
        clip = clip.unflatten(0, frames.shape)  # (t, stack, c, S, S)
        if not self.spec.is_flow:  # grey frames get three channels
            clip = clip.expand(-1, -1, 3, -1, -1)
        return clip.flatten(1, 2)  # (t, stack * c, S, S)


def check_clip(clip: Tensor, frames: int, path: str) -> None:
    """Raise InputError where a store gives another thing than was asked of it."""
    right = isinstance(clip, Tensor) and clip.dtype == torch.uint8 and clip.ndim == 4
    if not right or clip.shape[0] != frames or clip.shape[1] not in (1, 3):
        found = f"{clip.dtype} {tuple(clip.shape)}" if isinstance(clip, Tensor) else f"a {type(clip).__name__}"
        raise InputError(f"{path}: its store gave {found} for {frames} frames, not uint8 (frames, 1 or 3, S, S)")
