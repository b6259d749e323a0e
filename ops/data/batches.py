"""Which videos make a batch, and which process loads which of them. Pure numpy.

Batches are a function of (seed, epoch) and of the videos' lengths alone, so that one process and several take the same
videos in the same steps, and a run can go on in the middle of an epoch.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ops.data.seeds import Purpose, generator

FrameCounts = Callable[[int], np.ndarray]  # epoch -> frames that each video has then, (num_videos,)


def balanced_parts(costs: np.ndarray, number: int) -> list[list[int]]:
    """Places 0 .. n-1 of costs (n,) in `number` parts of similar cost, each in order; some are empty where n < number.

    Graham's rule, 1969: the largest first, each to the part that has least so far; its largest part costs at most 4/3
    of what the best division's does.
    """
    parts, loads = [[] for _ in range(number)], np.zeros(number)
    for place in np.argsort(-costs, kind="stable"):
        least = int(loads.argmin())
        parts[least].append(int(place))
        loads[least] += costs[place]
    return [sorted(part) for part in parts]


def bucketed(order: np.ndarray, frames: np.ndarray, batch_size: int, window: int, rng: np.random.Generator):
    """Batches of videos of similar length: sorted by `frames` (num_videos,) within `window` batches, then mixed.

    order (num_videos,) -> arrays of up to `batch_size`; the one that is left over may stand anywhere.
    """
    cuts = range(0, len(order), batch_size * window)
    windows = [order[cut : cut + batch_size * window] for cut in cuts]
    windows = [some[np.argsort(frames[some], kind="stable")] for some in windows]
    batches = [some[i : i + batch_size] for some in windows for i in range(0, len(some), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


class EpochBatches:
    """Batches of (epoch, index): in list order, or shuffled by (seed, epoch) after `set_epoch`.

    `share` is (rank, number of processes): of every batch each process gets a part with about the same number of
    frames, which is empty where a batch has too few videos. `bucket` above 1 shuffles such that a batch's videos are of
    similar length, see `bucketed`. Both want `frame_counts`; without, videos count alike.
    """

    def __init__(
        self,
        num_videos: int,
        batch_size: int,
        shuffle_seed: int | None = None,
        frame_counts: FrameCounts | None = None,
        share: tuple[int, int] = (0, 1),
        bucket: int = 1,
    ):
        self.num_videos, self.batch_size, self.shuffle_seed = num_videos, batch_size, shuffle_seed
        self.frame_counts, self.share, self.bucket = frame_counts, share, bucket
        self.epoch, self.first_step = 0, 0

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """Give the batches of this epoch from now on, without the first `first_step` of them."""
        self.epoch, self.first_step = epoch, first_step

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever it is entered."""
        return -(-self.num_videos // self.batch_size)

    def digest(self, lines: Sequence[str]) -> str:
        """A digest of this epoch's batches, those of all processes together, from its beginning.

        `lines` (num_videos,) say which video is which; how many frames each has in the epoch counts, too.
        """
        frames, found = self._frames(), hashlib.sha256()
        for batch in self._batches(frames):
            found.update(repr([(lines[i], int(frames[i])) for i in batch]).encode())
        return found.hexdigest()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        frames = self._frames()
        rank, processes = self.share
        for batch in self._batches(frames)[self.first_step :]:
            yield [(self.epoch, int(batch[i])) for i in balanced_parts(frames[batch], processes)[rank]]

    def _frames(self) -> np.ndarray:
        """Frames that each video has in this epoch, (num_videos,)."""
        if self.frame_counts is None:
            return np.ones(self.num_videos, np.int64)
        return self.frame_counts(self.epoch)

    def _batches(self, frames: np.ndarray) -> list[np.ndarray]:
        order = np.arange(self.num_videos)
        if self.shuffle_seed is not None:
            rng = generator(Purpose.ORDER, self.shuffle_seed, self.epoch)
            order = rng.permutation(self.num_videos)
            if self.bucket > 1:
                return bucketed(order, frames, self.batch_size, self.bucket, rng)
        return [order[start : start + self.batch_size] for start in range(0, self.num_videos, self.batch_size)]
