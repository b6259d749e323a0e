"""A dataset's videos -> packed batches, loaded by processes of their own."""

import atexit
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset
from ops.data.workers import kill_workers, leave_signals_to_main
from ops.errors import InputError

READY = 4 * 2**30  # bytes of batches that wait for the device
PINNED = 2**30  # bytes of a batch; pinned memory is rounded up to a power of two, and PyTorch keeps it


class VideoBatch(NamedTuple):
    """The frames of n videos, packed one after another."""

    frames: Tensor  # uint8 (sum t, 3, S, S), RGB; other modalities load other channels
    lengths: Tensor  # int64 (n,)
    labels: Tensor  # int64 (n,)
    names: list[str]
    skipped: tuple[str, ...] = ()  # why videos of the batch are missing, where that was allowed


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


def largest_batch(dataset: VideoDataset, batches: EpochBatches) -> int:
    """Frames of the largest batch that may come, of one process's share where several share it evenly."""
    frames = dataset.frame_counts(sys.maxsize)  # of an epoch late enough for all frames to be seen
    return -(-int(np.sort(frames)[-batches.batch_size :].sum()) // batches.share[1])


def _fetched(batches: Iterator[VideoBatch]) -> Iterator[VideoBatch]:
    """The batches; a worker that is killed while its batch is fetched ends them as any that is killed does."""
    try:
        yield from batches
    except (ConnectionError, EOFError) as error:
        raise RuntimeError(f"DataLoader worker exited unexpectedly: {error!r}") from None


class _Loader(DataLoader):
    """A DataLoader that says in one line when its workers cannot start, and leaves none behind."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        atexit.register(kill_workers)  # multiprocessing would wait for workers that ignore its signal

    def __iter__(self):
        try:
            return _fetched(super().__iter__())
        except OSError as error:  # no memory to share, no process left
            raise InputError(
                f"cannot start the processes that load videos ({error.strerror}); take a smaller -j (-j 0"
                " loads in the main process)"
            ) from None


def make_loader(
    dataset: VideoDataset, batches: EpochBatches, workers: int, pin_memory: bool, pixels: int = 0
) -> DataLoader:
    """A DataLoader of `VideoBatch`es that keeps its workers between epochs.

    Every worker has two batches ready, or one where two of the largest would pass `READY`, with frames of so many
    `pixels`. With `pin_memory` a batch moves to pinned memory when it is ready, so that it is held twice for a moment
    only; not where the largest would pass `PINNED`, whose frames the model fetches in chunks.
    """
    largest = largest_batch(dataset, batches) * dataset.channels * pixels if pixels else 0
    ahead = None
    if workers:
        ahead = 2 if 2 * workers * largest <= READY else 1
    return _Loader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=ahead,
        collate_fn=collate,
        pin_memory=pin_memory and largest <= PINNED,
        persistent_workers=workers > 0,
        worker_init_fn=leave_signals_to_main,
        generator=torch.Generator(),  # else its draws would move those of dropout
    )
