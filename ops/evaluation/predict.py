"""One video through a trained model: from frames in chunks to probabilities, clusters and distances.

Of a video only its frames at input size are held, as bytes: 3 * S * S a frame, 12 KB at 64 pixels, 147 KB at 224.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ops.data.categories import read_categories
from ops.data.frame_names import PICTURES, by_number, frame_numbers, is_hidden, is_picture, name_pattern
from ops.data.modality import MODALITIES
from ops.data.specs import dataset_file
from ops.data.stores import FolderStore
from ops.data.video_file import read_video
from ops.data.views import View, eval_transform
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.text import counted
from ops.run.data import make_sampler
from ops.training.placement import full_precision


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


def read_frames(
    video: Path,
    config: Config,
    short_side: int,
    chunk: int,
    keep_damaged: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Iterator[Tensor]:
    """The frames of a file or folder as the model sees them, uint8 (t, c, S, S), `chunk` at a time.

    The frames of a file are shrunk to `short_side` first. InputError where the model sees something else.
    """
    if MODALITIES[config.modality].features:
        raise InputError("this checkpoint sees features, of which no picture is left; give one for RGB frames")
    if MODALITIES[config.modality].flow:
        if not video.is_dir():
            raise InputError(
                f"this checkpoint sees optical flow: tools/extract_flow.py makes a folder of it of {video}"
            )
        return read_flow(video, config, chunk)
    if video.is_dir():
        names = frame_names(video, config)
        if others := left_out(video, names):
            say(others)
        return read_folder(video, names, chunk, config.frame_size, keep_damaged)
    if not video.is_file():
        raise InputError(f"no video file or frame folder {video}")
    return shrink(read_video(video, short_side, chunk, keep_damaged), config.frame_size)


def shrink(clips: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Clips of whole frames, uint8 (t, c, H, W), as the model sees them, uint8 (t, c, size, size)."""
    for clip in clips:
        yield eval_transform(*clip.shape[-2:], None, size)(clip)


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
