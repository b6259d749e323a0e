"""Frames of the videos that a report shows, and how each of its runs cuts them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ops.data.modality import MODALITIES
from ops.data.stores import open_store
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.predict import hold, make_steps
from ops.evaluation.report import Source, listed_frames, margins
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.flow import flow_frames
from ops.pictures.report_page import picture_of
from ops.pictures.text import counted
from ops.run.restore import load_model
from ops.training.placement import full_precision, place_model

CHUNK = 32  # frames sent through a network at a time
SHOWN = 16  # frames of a strip
SIDE = 64  # pixels of a frame in it, at most


def most_wrong(sources: Sequence[Source], number: int) -> list[int]:
    """Up to `number` videos of sources that have the same ones in the same order, those that deserve a look first.

    Of every cell of every run's confusion matrix the most wrong video, in the order of how wrong they are, then the
    second of every cell, and so on.
    """
    turns: dict[int, tuple[int, float]] = {}  # video -> its earliest place
    for source in sources:
        margin, predicted = margins(source.scored), source.scored.scores.argmax(1)
        before: dict[tuple[int, int], int] = {}
        for video in np.argsort(margin, kind="stable").tolist():
            cell = int(source.scored.labels[video]), int(predicted[video])
            turn = before[cell] = before.get(cell, 0) + 1
            turns[video] = min(turns.get(video, (turn, 1.0)), (turn, float(margin[video])))
    return sorted(turns, key=lambda video: (turns[video], video))[:number]


class Cutter:
    """Cuts videos into clusters, or samples frames of them, as the model of a run does."""

    def __init__(self, model: TSN, config: Config):
        self.model, self.config = model, config

    @torch.inference_mode()
    @full_precision()
    def __call__(self, frames: list[Tensor]) -> dict:
        """`seen`, the frames that it samples, or `parts`, [first frame, cluster] of each stretch of one cluster."""
        steps = make_steps(self.config, frames)
        if self.model.clustering is None:
            return {"seen": sorted(set(steps.first.tolist()))}
        _, assignment, _ = self.model.cut(steps, torch.tensor([len(steps)]), CHUNK)
        label = assignment.cpu().numpy()  # (t,)
        begins = np.concatenate([[0], np.flatnonzero(np.diff(label)) + 1])
        return {"parts": [[int(steps.first[i]), int(label[i])] for i in begins]}


def with_cutter(source: Source, device: torch.device, trust: bool) -> tuple[Source, Cutter | None]:
    """A source completed by what its checkpoint tells, and how this cuts videos; None where there is none.

    InputError where the checkpoint has another number of classes than the source's scores.
    """
    if source.weights is None:
        return source, None
    model, config, classes = load_model(str(source.weights), trust)
    number = source.scored.scores.shape[1] if source.scored else model.num_class
    if model.num_class != number:
        raise InputError(
            f"{source.weights} is of {model.num_class} classes, and {source.scored.file} of {number}; give the"
            " checkpoint of this run with --weights"
        )
    place_model(model, device)
    if source.config:
        config = replace(config, root_path=str(source.config.root))
    source = replace(source, config=source.config or config, classes=classes)
    return source, None if MODALITIES[config.modality].features else Cutter(model, config)


class Frames:
    """The frames of a data set's videos as models see them; those of the last video are kept."""

    def __init__(self, config: Config):
        self.root, self.listed = config.root, listed_frames(config)
        self.path, self.kept = "", {}

    def load(self, path: str, config: Config) -> list[Tensor]:
        """All frames of a video, uint8 (c, S, S) each, as a model of `config` sees them; InputError where it is not."""
        if path != self.path:
            self.path, self.kept = path, {}
        key = (config.frame_size, MODALITIES[config.modality].flow)
        if key not in self.kept:
            spec, store = config.spec, open_store(self.root / path)
            number = self.listed.get(path) or store.count(spec)
            view_of = partial(eval_transform, rng=None, size=config.frame_size)
            clip = store.load(spec, range(number), view_of)
            if key[1]:
                clip = torch.cat(clip.chunk(2), 1)  # all x, then all y -> (t, 2, S, S)
            self.kept[key] = hold([clip], 2 if key[1] else 3)
        return self.kept[key]


def make_strips(
    sources: Sequence[Source],
    number: int,
    cutters: Sequence[Cutter | None],
    on_video: Callable[[], object] = lambda: None,
) -> tuple[dict[str, dict], str]:
    """Strips of up to `number` videos of sources that have the same ones in the same order, and what is to be said.

    A strip, by its video's number: `image`, `shown`, the numbers of its frames, `frames`, how many there are, and
    `cuts`, what each cutter gave. `on_video` is called after each.
    """
    config = next((source.config for source in sources if source.config), None)
    if not number:
        return {}, "No frames are shown, as --strips 0 asks."
    if config is None:
        return {}, "No frames are shown: nothing tells where the videos lie. Make the report with --data or --weights."
    if MODALITIES[config.modality].features:
        return {}, "No frames are shown: these videos are features."
    if not config.root.is_dir():
        return {}, f"No frames are shown: {config.root} is not here. Make the report with --data."
    strips, missing, frames = {}, [], Frames(config)
    chosen = most_wrong(sources, number)
    for video in chosen:
        path = str(sources[0].scored.names[video])
        try:
            strips[str(video)] = _strip(path, frames, config, cutters)
        except (InputError, OSError) as error:
            missing.append(f"{path}: {error}")
        on_video()
    total = len(sources[0].scored.names)
    notes = []
    if len(chosen) < total:
        notes.append(f"{len(strips)} of {counted(total, 'video')} have strips: the most wrong of each cell first.")
    if missing:
        notes.append(f"{counted(len(missing), 'video')} could not be read, such as {missing[0]}.")
    return strips, " ".join(notes)


def _strip(path: str, frames: Frames, config: Config, cutters: Sequence[Cutter | None]) -> dict:
    """The strip of one video."""
    whole = frames.load(path, config)
    t = len(whole)
    shown = (2 * np.arange(min(t, SHOWN)) + 1) * t // (2 * min(t, SHOWN))  # each from the middle of its share
    some = [whole[i] for i in shown]
    if MODALITIES[config.modality].flow:
        some = flow_frames(some)
    return {
        "image": picture_of([frame.permute(1, 2, 0).numpy() for frame in some], SIDE),
        "shown": shown.tolist(),
        "frames": t,
        "cuts": [None if cutter is None else cutter(frames.load(path, cutter.config)) for cutter in cutters],
    }
