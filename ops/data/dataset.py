"""Lists of videos -> packed batches of clips.

Randomness is a function of (seed, epoch, video), never of the worker that loads it or of what was loaded before.
"""

import atexit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ops.data.batches import EpochBatches
from ops.data.lists import Video
from ops.data.modality import Modality
from ops.data.specs import DatasetSpec
from ops.data.stores import is_flow, open_frames
from ops.data.views import View
from ops.data.workers import kill_workers, leave_signals_to_main
from ops.errors import InputError

Sampling = Callable[[int, int, np.random.Generator], np.ndarray]  # number of frames, epoch -> frame numbers from 0
Transform = Callable[[int, int, np.random.Generator], View]  # height, width of frames -> what is seen of them


class VideoBatch(NamedTuple):
    """The frames of n videos, packed one after another."""

    frames: Tensor  # uint8 (sum t, 3, S, S), RGB; more channels for Flow and RGBDiff
    lengths: Tensor  # int64 (n,)
    labels: Tensor  # int64 (n,)
    names: list[str]
    skipped: tuple[str, ...] = ()  # why videos of the batch are missing, where that was allowed


class FrameFolders(Dataset):
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

    def frame_counts(self, epoch: int) -> np.ndarray:
        """Time steps that each video has in an epoch, (videos,)."""
        steps, video = np.unique([self._steps(video) for video in self.videos], return_inverse=True)
        rng = np.random.default_rng(0)  # which frames are drawn may vary, how many does not
        return np.array([len(self.sampling(int(n), epoch, rng)) for n in steps])[video]

    def _steps(self, video: Video) -> int:
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
        rng = np.random.default_rng([self.seed, epoch, index])
        stack = self.modality.stack
        steps = self.sampling(self._steps(video), epoch, rng)  # (t,) first frame of each
        frames = np.minimum(steps[:, None] + np.arange(stack), video.num_frames - 1)  # (t, stack)
        loaded, place = frames.ravel(), None
        if (np.diff(loaded) <= 0).any():  # steps share frames: each is decoded once
            loaded, place = np.unique(frames, return_inverse=True)
        view_of = partial(self.transform, rng=rng)
        clip = open_frames(self.root / video.path).load(self.spec, loaded, view_of)  # (frames, c, S, S)
        if is_flow(self.spec):  # all x, then all y -> (frames, 2, S, S)
            clip = torch.cat(clip.chunk(2), 1)
        if place is not None:
            clip = clip[torch.from_numpy(place.reshape(-1))]
        clip = clip.unflatten(0, frames.shape)  # (t, stack, c, S, S)
        if not is_flow(self.spec):  # grey frames get three channels
            clip = clip.expand(-1, -1, 3, -1, -1)
        clip = clip.flatten(1, 2)  # (t, stack * c, S, S)
        return clip, video.label, video.path


def collate(samples: list[tuple[Tensor, int, str] | InputError]) -> VideoBatch:
    """Pack videos of any lengths one after another, without padding; errors go to `skipped`."""
    skipped = tuple(str(sample) for sample in samples if isinstance(sample, InputError))
    good = [sample for sample in samples if not isinstance(sample, InputError)]
    if not good:
        none = torch.empty(0, dtype=torch.int64)
        return VideoBatch(torch.empty(0), none, none, [], skipped)
    frames, labels, names = zip(*good, strict=True)
    lengths = torch.tensor([len(clip) for clip in frames])
    packed = torch.cat(frames) if len(frames) > 1 else frames[0]  # a long video alone is not copied
    batch = VideoBatch(packed, lengths, torch.tensor(labels), list(names), skipped)
    return batch if get_worker_info() is None else share(batch)


def share(batch: VideoBatch) -> VideoBatch:
    """Put a worker's batch where other processes find it; InputError where there is no room.

    The queue would do it, too, but in a thread whose errors nobody hears of: the main process would wait for ever.
    """
    try:
        for tensor in (batch.frames, batch.lengths, batch.labels):
            tensor.share_memory_()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"no shared memory (/dev/shm) for a batch of {batch.frames.nbytes / 2**20:.0f} MB ({reason});"
            " take a smaller -j (-j 0 needs none), -b or --num_frames, or give it more"
            " (docker run --shm-size)"
        ) from None
    return batch


class _Loader(DataLoader):
    """A DataLoader that says in one line when its workers cannot start, and leaves none behind."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        atexit.register(kill_workers)  # multiprocessing would wait for workers that ignore its signal

    def __iter__(self):
        try:
            return super().__iter__()
        except OSError as error:  # no memory to share, no process left
            raise InputError(
                f"cannot start the processes that load videos ({error.strerror}); take a smaller -j (-j 0"
                " loads in the main process)"
            ) from None


def make_loader(dataset: FrameFolders, batches: EpochBatches, workers: int, pin_memory: bool) -> DataLoader:
    """A DataLoader of `VideoBatch`es that keeps its workers between epochs."""
    return _Loader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        worker_init_fn=leave_signals_to_main,
        generator=torch.Generator(),  # else its draws would move those of dropout
    )
