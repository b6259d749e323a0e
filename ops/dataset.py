"""Lists of videos -> packed batches of clips.

Randomness is a function of (seed, epoch, video), never of the worker that loads it or of what was loaded before.
"""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ops.cli import InputError
from ops.dataset_config import DatasetSpec
from ops.frames import is_flow, open_frames
from ops.modality import Modality
from ops.transforms import View

Sampling = Callable[[int, int, np.random.Generator], np.ndarray]  # number of frames, epoch -> frame numbers from 0
Transform = Callable[[int, int, np.random.Generator], View]  # height, width of frames -> what is seen of them
SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class Video:
    """One line of a list file."""

    path: str
    num_frames: int
    label: int


class VideoBatch(NamedTuple):
    """The frames of n videos, packed one after another."""

    frames: Tensor  # uint8 (sum t, 3, S, S), RGB; more channels for Flow and RGBDiff
    lengths: Tensor  # int64 (n,)
    labels: Tensor  # int64 (n,)
    names: list[str]
    skipped: tuple[str, ...] = ()  # why videos of the batch are missing, where that was allowed


def parse_line(line: str, num_class: int) -> Video:
    """Read `path num_frames label` (split from the right, so that a path may hold blanks); ValueError says why not."""
    parts = line.rsplit(maxsplit=2)
    if len(parts) != 3:
        raise ValueError("is not `path num_frames label`")
    try:
        num_frames, label = int(parts[1]), int(parts[2])
    except ValueError:
        raise ValueError(f"number of frames {parts[1]!r} and label {parts[2]!r} must be whole numbers") from None
    if num_frames < 1:
        raise ValueError(f"number of frames {num_frames} must be at least 1")
    if not 0 <= label < num_class:
        raise ValueError(f"label {label} is out of range, {num_class} classes have labels 0 to {num_class - 1}")
    return Video(parts[0].strip(), num_frames, label)


def find_problem(video: Video, root: Path, spec: DatasetSpec) -> str | None:
    """What is wrong with a video's folder or pack, or None; one look at its last frame when all is well."""
    problem = open_frames(root / video.path).problem(spec, video.num_frames)
    return problem and f"{video.path}: {problem}"


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a list file that are not blank, numbered from 1; InputError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"no list file {path}; make it, or name yours with --train_list and --val_list") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read list file {path} as text: {error}") from None
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def read_list(path: Path, root: Path, spec: DatasetSpec) -> list[Video]:
    """Read a list file and look for every video's folder.

    Raises InputError with the first ten problems and their number: nothing is skipped.
    """
    videos, problems = [], []
    for number, line in read_lines(path):
        try:
            videos.append(parse_line(line, spec.num_class))
            problem = find_problem(videos[-1], root, spec)
        except (ValueError, OSError, InputError) as error:
            problem = f"{line.strip()[:80]!r} {error}"
        if problem:
            problems.append(f"line {number}: {problem}")
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        raise InputError(f"{path}: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}. Correct the list or the frames")
    if not videos:
        raise InputError(f"{path}: the list is empty; it needs lines `path num_frames label`")
    return videos


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
        steps = self.sampling(max(1, video.num_frames - stack + 1), epoch, rng)  # (t,) first frame of each
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
        return VideoBatch(torch.empty(0), torch.empty(0), torch.empty(0), [], skipped)
    frames, labels, names = zip(*good, strict=True)
    lengths = torch.tensor([len(clip) for clip in frames])
    return VideoBatch(torch.cat(frames), lengths, torch.tensor(labels), list(names), skipped)


class EpochBatches:
    """Batches of (epoch, index): in list order, or shuffled by (seed, epoch) after `set_epoch`."""

    def __init__(self, num_videos: int, batch_size: int, shuffle_seed: int | None = None):
        self.num_videos, self.batch_size, self.shuffle_seed, self.epoch = num_videos, batch_size, shuffle_seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_videos // self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.num_videos)
        if self.shuffle_seed is not None:
            order = np.random.default_rng([self.shuffle_seed, self.epoch]).permutation(self.num_videos)
        for start in range(0, self.num_videos, self.batch_size):
            yield [(self.epoch, int(index)) for index in order[start : start + self.batch_size]]


def make_loader(dataset: FrameFolders, batches: EpochBatches, workers: int, pin_memory: bool) -> DataLoader:
    """A DataLoader of `VideoBatch`es that keeps its workers between epochs."""
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=workers > 0,
        generator=torch.Generator(),  # else its draws would move those of dropout
    )
