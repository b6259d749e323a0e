"""One video through a trained model: from frames in chunks to probabilities, clusters and distances.

Of a video only its frames at input size are held, as bytes: 3 * S * S a frame, 12 KB at 64 pixels, 147 KB at 224.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ops.data.modality import MODALITIES
from ops.data.prepare.discovery import PICTURES, FrameCounter
from ops.data.sampling import FrameSampler
from ops.data.stores import Folder
from ops.data.views import View, eval_transform
from ops.errors import InputError
from ops.evaluation.result_files import read_categories
from ops.heads.average import video_scores
from ops.models import TSN, build_model
from ops.options import config as options
from ops.options.config import Config
from ops.streaming import stream
from ops.training import checkpoint as ckpt


def load_model(path: Path) -> tuple[TSN, Config]:
    """The model of a checkpoint that `main.py` wrote, in eval mode, and how it was trained; nothing else is needed."""
    stored = ckpt.load_checkpoint(path)
    config, classifier = stored.get("config"), stored["state_dict"].get(ckpt.CLASSIFIER[0])
    rows = 0 if classifier is None or classifier.ndim != 2 else len(classifier)
    if not config or not rows or not {"dataset", "modality"} <= config.keys():
        raise InputError(f"{path} does not say how it was trained; give a checkpoint that main.py wrote")
    start = Config(config["dataset"], config["modality"], evaluate=True)
    place = {name: config[name] for name in ("root_path", *options.SPEC_FIELDS) if name in config}
    config = replace(options.adopt(start, frozenset(), config, str(path)), **place)
    model = build_model(num_class=rows, **config.model_options)
    ckpt.load_weights(model, stored["state_dict"], str(path))
    return model.eval(), config


def category_names(config: Config, num_class: int, file: Path | None) -> list[str]:
    """Names of the classes: the lines of `file`, else of the dataset's category file if it is there, else `class 3`."""
    if file is None:
        try:
            file = config.root / config.spec.category_file
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
        names = [file.name for file in folder.iterdir() if file.suffix.lower() in PICTURES and file.name[0] != "."]
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from None
    try:
        named = list(filter(FrameCounter(config.spec.image_tmpl, 0).match, names))
    except InputError:  # no template is known
        named = []
    names = sorted(named or names, key=lambda name: ([int(number) for number in re.findall(r"[0-9]+", name)], name))
    if not names:
        raise InputError(f"{folder} holds no frames: no picture ({', '.join(PICTURES)}) in it")
    kinds = {re.sub(r"[0-9]+", "#", name): name for name in reversed(names)}
    if len(kinds) > 1:
        raise InputError(
            f"{folder} holds frames named in {len(kinds)} ways: {', '.join(sorted(kinds.values())[:3])};"
            " give a folder with the frames of one video only"
        )
    return names


def read_folder(folder: Path, names: list[str], chunk: int, size: int) -> Iterator[Tensor]:
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
        yield Folder(folder).clip(names[start : start + chunk], view_of)


def shrink(clips: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Clips of whole frames, uint8 (t, c, H, W), as the model sees them, uint8 (t, c, size, size)."""
    for clip in clips:
        yield eval_transform(*clip.shape[-2:], None, size)(clip)


def hold(clips: Iterable[Tensor]) -> list[Tensor]:
    """All frames of a video, uint8 (t, c, S, S) a clip -> uint8 (3, S, S) each."""
    return [frame for clip in clips for frame in clip.expand(-1, 3, -1, -1)]


class Steps:
    """What the model takes in, as `ops/data/dataset.py` loads it: slices give uint8 (t, stack * 3, S, S).

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
    sampler = FrameSampler(
        config.num_segments,
        config.cluster != "none",
        config.num_frames,
        dense_sample=config.dense_sample,
        stride=config.frame_stride,
    )
    stack = MODALITIES[config.modality].stack
    return Steps(frames, sampler(max(1, len(frames) - stack + 1), 0, None), stack, on_read)


class Prediction(NamedTuple):
    """What a model makes of a video."""

    frames: list[Tensor]  # all frames of the video, uint8 (3, S, S)
    seen: np.ndarray  # (t,) numbers of the frames that the model saw
    assignment: list[int] | None  # (t,) cluster of each of them, None without clustering
    distances: list[float] | None  # (t,) share of signs that differ from the frame before, None without clustering
    method: str  # of clustering, or "none"
    probabilities: Tensor  # (K,)

    @property
    def summary(self) -> str:
        """How many frames and clusters, in words."""
        count, seen = len(self.frames), len(set(self.seen.tolist()))
        text = f"{count:,} frame{'s' * (count != 1)}"
        if self.assignment is None or seen <= max(self.seen) - min(self.seen):
            text += f", {seen:,} of them seen"
        if self.assignment is None:
            return text
        clusters = len(set(self.assignment))
        return f"{text} in {clusters} {self.method} cluster{'s' * (clusters != 1)}"


@torch.inference_mode()
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
        means, assignment, distances = stream(model.stem, model.clustering, steps, torch.tensor([len(steps)]), chunk)
        scores = model.classify(means, 1)  # (g, c, h, w) -> (1, K)
        assignment, distances = assignment.tolist(), distances.tolist()
    probabilities = video_scores(scores)[0].softmax(0).cpu()
    if not probabilities.isfinite().all():
        raise InputError("the scores are not finite; the weights are spoiled")
    return Prediction(frames, steps.first, assignment, distances, config.cluster, probabilities)
