"""One video through a trained model: from frames in chunks to probabilities, clusters and distances.

Of a video only its frames at input size are held, as bytes: 3 * S * S a frame, 12 KB at 64 pixels, 147 KB at 224.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ops.data.categories import read_categories
from ops.data.frame_names import PICTURES, by_number, frame_numbers, is_hidden, is_picture, is_video, name_pattern
from ops.data.lists import read_lines
from ops.data.modality import MODALITIES
from ops.data.prepare.discovery import walk
from ops.data.specs import dataset_file
from ops.data.stores import FolderStore, MissingStore, Store, open_store
from ops.data.video_file import read_timed_video
from ops.data.views import View, eval_transform
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.text import counted
from ops.run.data import make_sampler
from ops.training.placement import full_precision

Timed = tuple[Tensor, Sequence[float]]  # frames, and when each is shown, in seconds


def category_names(config: Config, num_class: int, file: Path | None, stored: list[str] | None = None) -> list[str]:
    """Names of the classes: the lines of `file`, else those `stored` in the checkpoint, else the lines of the dataset's
    category file if it is there, else `class 3`."""
    if file is None and stored:
        return stored
    if file is None:
        try:
            file = dataset_file(config.root, config.spec.category_file)
        except InputError:  # a dataset of one's own that is not here
            file = None
        if file is None or not file.is_file():
            return [f"class {label}" for label in range(num_class)]
    return read_categories(file, num_class, needed=True)


def frame_names(folder: Path, config: Config) -> list[str]:
    """The pictures in a folder in the order of the numbers in their names.

    Where some are named as in the dataset the model was trained on, the others (optical flow, say) are left out;
    InputError if what is left is named in several ways.
    """
    try:
        names = [file.name for file in folder.iterdir() if is_picture(file.name)]
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from None
    try:
        named = list(filter(name_pattern(config.spec.image_tmpl).fullmatch, names))
    except InputError:  # no template is known
        named = []
    names = sorted(named or names, key=by_number)
    if not names:
        raise InputError(f"{folder} holds no frames: no picture ({', '.join(PICTURES)}) in it")
    kinds = {re.sub(r"[0-9]+", "#", name): name for name in reversed(names)}
    if len(kinds) > 1:
        raise InputError(
            f"{folder} holds frames named in {len(kinds)} ways: {', '.join(sorted(kinds.values())[:3])};"
            " give a folder with the frames of one video only"
        )
    return names


def left_out(folder: Path, names: list[str]) -> str:
    """How many files of a folder, which are not hidden, are none of the frames of these `names`; "" for none."""
    others = sum(file.is_file() and not is_hidden(file.name) for file in folder.iterdir()) - len(names)
    return f"{folder}: left out {others} of its files, which are not named as frames" if others else ""


def read_folder(folder: Path, names: list[str], chunk: int, size: int, keep_damaged: bool = False) -> Iterator[Tensor]:
    """The named frames as the model sees them, `chunk` at a time, uint8 (t, c, size, size).

    InputError where the size of the frames changes.
    """
    sizes = {}

    def view_of(height: int, width: int) -> View:
        sizes.setdefault((width, height), names[start])
        if len(sizes) > 1:
            (first, name), (other, other_name) = sizes.items()
            raise InputError(
                f"{folder}: {name} is {first[0]}x{first[1]} but {other_name} is {other[0]}x{other[1]};"
                " extract the video again"
            )
        return eval_transform(height, width, None, size)

    for start in range(0, len(names), chunk):
        yield FolderStore(folder).clip(names[start : start + chunk], view_of, keep_damaged=keep_damaged)


def read_flow(folder: Path, config: Config, chunk: int) -> Iterator[Tensor]:
    """The flow pictures in a folder as the model sees them, `chunk` frames at a time, uint8 (t, 2, size, size).

    They are named as in the dataset the model was trained on; InputError where there are none.
    """
    spec = config.spec
    numbers = frame_numbers(spec.image_tmpl, os.listdir(folder))
    if not numbers:
        raise InputError(
            f"{folder} holds no optical flow named {spec.image_tmpl}, which this checkpoint sees;"
            " tools/extract_flow.py computes it"
        )
    store, spec = FolderStore(folder), replace(spec, first_frame=numbers[0])
    view_of = partial(eval_transform, rng=None, size=config.frame_size)
    for start in range(0, len(numbers), chunk):
        clip = store.load(spec, range(start, min(start + chunk, len(numbers))), view_of)  # all x, then all y
        yield torch.cat(clip.chunk(2), 1)


def read_store(store: Store, config: Config, chunk: int) -> Iterator[Tensor]:
    """The frames of a pack as the model sees them, `chunk` at a time, uint8 (t, c, size, size)."""
    view_of = partial(eval_transform, rng=None, size=config.frame_size)
    count = store.count(config.spec)
    for start in range(0, count, chunk):
        yield store.load(config.spec, range(start, min(start + chunk, count)), view_of)


def find_videos(given: Sequence[Path]) -> list[Path]:
    """The videos that a user means by files, folders and lists.

    A folder of pictures is one video, and so is one without any video in it or below it, of whatever else; another
    folder means all videos in it and below it, in linked folders too and not in hidden ones. A list is a text file of
    lines `path num_frames label`, or only `path`, from its own folder on. InputError for a list that names nothing, or
    what is not there.
    """
    found = []
    for path in given:
        if path.suffix.lower() == ".txt" and path.is_file():
            found += _listed(path)
        elif path.is_dir() and not any(is_picture(file.name) for file in path.iterdir()):
            files = (path / folder / name for folder, _ in walk(path) for name in os.listdir(path / folder))
            videos = [file for file in files if is_video(file.name) and file.is_file()]
            found += sorted(videos, key=lambda file: by_number(str(file))) or [path]
        else:
            found.append(path)
    return found


def _listed(path: Path) -> list[Path]:
    """The videos of a list."""
    found = []
    for number, line in read_lines(path):
        words = line.rsplit(maxsplit=2)
        counted = len(words) == 3 and words[1].isdecimal() and words[2].isdecimal()
        video = path.parent / (words[0] if counted else line.strip())
        store = open_store(video)
        if isinstance(store, MissingStore):
            raise InputError(f"{path}:{number}: {store.text}")
        found.append(store.path)
    if not found:
        raise InputError(f"{path} is an empty list")
    return found


def read_frames(
    video: Path,
    config: Config,
    short_side: int,
    chunk: int,
    keep_damaged: bool = False,
    say: Callable[[str], object] = lambda text: None,
    fps: float = 25.0,
) -> Iterator[Timed]:
    """The frames of a file, folder or pack as the model sees them, uint8 (t, c, S, S), `chunk` at a time, with times.

    Those of a file are shrunk to `short_side` first; others are shown `fps` times a second, and `say` hears what is
    left out of a folder. InputError where the model sees something else.
    """
    if MODALITIES[config.modality].features:
        raise InputError("this checkpoint sees features, of which no picture is left; give one for RGB frames")
    if MODALITIES[config.modality].flow:
        if not video.is_dir():
            raise InputError(
                f"this checkpoint sees optical flow: tools/extract_flow.py makes a folder of it of {video}"
            )
        return with_times(read_flow(video, config, chunk), fps)
    if video.is_dir():
        names = frame_names(video, config)
        if others := left_out(video, names):
            say(others)
        return with_times(read_folder(video, names, chunk, config.frame_size, keep_damaged), fps)
    if not video.is_file():
        raise InputError(f"no video file or frame folder {video}")
    if video.suffix.lower() in (".zip", ".npy"):
        return with_times(read_store(open_store(video), config, chunk), fps)
    timed = read_timed_video(video, short_side, chunk, keep_damaged)
    return ((shrink(clip, config.frame_size), times) for clip, times in timed)


def with_times(clips: Iterable[Tensor], fps: float) -> Iterator[Timed]:
    """Clips with the times of their frames, so many of which are shown a second."""
    number = 0
    for clip in clips:
        yield clip, [(number + i) / fps for i in range(len(clip))]
        number += len(clip)


def shrink(clip: Tensor, size: int) -> Tensor:
    """Whole frames, uint8 (t, c, H, W), as the model sees them, uint8 (t, c, size, size)."""
    return eval_transform(*clip.shape[-2:], None, size)(clip)


def hold(clips: Iterable[Tensor], channels: int = 3) -> list[Tensor]:
    """All frames of a video, uint8 (t, c, S, S) a clip, grey ones too -> uint8 (channels, S, S) each."""
    return [frame for clip in clips for frame in clip.expand(-1, channels, -1, -1)]


class Steps:
    """What the model takes in, as `ops/data/dataset.py` loads it: slices give uint8 (t, stack * c, S, S), c = 3, or 2
    for flow.

    Step i is made of the `stack` frames that begin at number `first[i]`; `on_read` hears how many steps were read.
    """

    def __init__(self, frames: list[Tensor], first: np.ndarray, stack: int, on_read: Callable[[int], object]):
        self.frames, self.first, self.stack, self.on_read = frames, first, stack, on_read

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, part: slice) -> Tensor:
        numbers = self.first[part, None] + np.arange(self.stack)  # (t, stack)
        numbers = np.minimum(numbers, len(self.frames) - 1)
        self.on_read(len(numbers))
        return torch.stack([torch.cat([self.frames[i] for i in row]) for row in numbers])


def make_steps(config: Config, frames: list[Tensor], on_read: Callable[[int], object] = lambda steps: None) -> Steps:
    """What evaluation shows a model of a video of `frames` as `hold` gives them."""
    sampler = make_sampler(config)
    stack = MODALITIES[config.modality].stack
    return Steps(frames, sampler(max(1, len(frames) - stack + 1), 0, None), stack, on_read)


class Prediction(NamedTuple):
    """What a model makes of a video."""

    frames: list[Tensor]  # all frames of the video, uint8 (3, S, S), or (2, S, S) of flow
    seen: np.ndarray  # (t,) numbers of the frames that the model saw
    assignment: list[int] | None  # (t,) cluster of each of them, None without clustering
    distances: list[float] | None  # (t,) from the frame before, None without clustering
    method: str  # of clustering, or "none"
    probabilities: Tensor  # (K,)
    distance: str = "hamming"  # of `DISTANCES`

    @property
    def summary(self) -> str:
        """How many frames and clusters, in words."""
        count, seen = len(self.frames), len(set(self.seen.tolist()))
        text = counted(count, "frame")
        if self.assignment is None or seen <= max(self.seen) - min(self.seen):
            text += f", {seen:,} of them seen"
        if self.assignment is None:
            return text
        return f"{text} in {counted(len(set(self.assignment)), f'{self.method} cluster')}"


@torch.inference_mode()
@full_precision()
def predict(
    model: TSN,
    config: Config,
    frames: list[Tensor],
    chunk: int,
    on_read: Callable[[int], object] = lambda steps: None,
) -> Prediction:
    """Classify a video of `frames` as `hold` gives them, as evaluation does, `chunk` frames at a time."""
    steps = make_steps(config, frames, on_read)
    if model.clustering is None:
        assignment = distances = None
        scores = model(steps[:], torch.tensor([len(steps)]))  # (1, K)
    else:
        means, assignment, distances = model.cut(steps, torch.tensor([len(steps)]), chunk)
        scores = model.classify(means, 1)  # (g, c, h, w) -> (1, K)
        assignment, distances = assignment.tolist(), distances.tolist()
    probabilities = video_logits(scores)[0].softmax(0).cpu()
    if not probabilities.isfinite().all():
        raise InputError("the scores are not finite; the weights are spoiled")
    return Prediction(frames, steps.first, assignment, distances, config.cluster, probabilities, config.distance)
