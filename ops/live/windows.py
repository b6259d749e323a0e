"""A video that goes on, through a trained model: scores of the last frames, again and again.

Every frame passes the stem once, however many windows see it. What is held of a frame within the window is its
activations and how far they are from those of the frame before; so each window is cut as the model cuts a video of just
these frames, and its scores are those that the model has for that video. A model without clustering has no such stem:
of each window as many frames as it samples of a video pass all of it, and the frames are held as bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ops.clustering import CLUSTERINGS, frame_changes
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.live.spans import Clock, Span
from ops.models import TSN


class Told(NamedTuple):
    """What a model says of a stretch of a video."""

    first: int  # numbers of its first and last frame
    last: int
    start: float  # in seconds since the video began: when its first frame is shown
    end: float  # when its last frame ends
    probabilities: Tensor  # (K,) on the host
    clusters: tuple[tuple[float, int], ...] = ()  # when a cluster begins, and its number; none without clustering


class Engine(Protocol):
    """What predicts while frames come in."""

    def feed(self, frames: Tensor, times: Sequence[float]) -> list[Told]:
        """The next frames, uint8 (m, 1 or 3, S, S), with their times in seconds -> what is due to be told of them."""

    def finish(self) -> list[Told]:
        """What is left to be told at the end: of the last frames, where nothing was told of them."""

    def restart(self) -> None:
        """Forget all frames: those that come are another video's."""


def probabilities_of(logits: Tensor) -> Tensor:
    """Logits of one video (1, K), or of its representations (1, g, K) -> (K,) on the host; InputError for nan."""
    probabilities = video_logits(logits)[0].softmax(0).cpu()
    if not probabilities.isfinite().all():
        raise InputError("the scores are not finite; the weights are spoiled")
    return probabilities


@dataclass
class Held:
    """What is held of a frame: `frame` uint8 (3, S, S) as long as a step may need it.

    `x` are the activations (c, h, w) of the step that begins with it, `change` is how far they are from those of the
    step that begins with frame number `before`.
    """

    number: int
    time: float
    frame: Tensor | None
    x: Tensor | None = None
    before: int = -1
    change: int = 0


class WindowEngine:
    """Scores of a sliding window, as evaluation has them for a video of its frames.

    `sampler` says which steps of a video the model sees; `chunk` frames pass the stem at a time. Memory: of each frame
    in the window the stem's activations, or without clustering the frame as bytes.
    """

    def __init__(self, model: TSN, sampler: FrameSampler, window: Span, every: Span, chunk: int):
        self.model, self.sampler, self.window, self.every, self.chunk = model, sampler, window, every, chunk
        self.stack = MODALITIES[model.modality].stack
        self.sees_all = model.clustering is not None and sampler.cap is None and sampler.stride == 1
        self.restart()

    def restart(self) -> None:
        """As for every engine."""
        self.clock = Clock(self.window, self.every)
        self.held: list[Held] = []
        self.told = -1  # the last frame of the last window

    @torch.inference_mode()
    def feed(self, frames: Tensor, times: Sequence[float]) -> list[Told]:
        """As for every engine."""
        told = []
        for frame, time in zip(frames.expand(-1, 3, -1, -1), times, strict=True):
            self.clock.tick(time)
            self.held.append(Held(self.clock.number, time, frame))
            past = 0
            while self.clock.is_past(self.held[past].number, self.held[past].time):
                past += 1
            del self.held[:past]
            if self.clock.due():
                told.append(self._tell())
            elif self.sees_all:
                self._activate_waiting()
        return told

    @torch.inference_mode()
    def finish(self) -> list[Told]:
        """As for every engine."""
        return [self._tell()] if self.told < self.clock.number else []

    def _steps(self, places: Sequence[int]) -> Tensor:
        """What the model takes in at these places of the window, uint8 (m, stack * 3, S, S)."""
        last = len(self.held) - 1
        rows = [[self.held[min(i + k, last)].frame for k in range(self.stack)] for i in places]
        return torch.stack([torch.cat(row) for row in rows])

    def _activate_waiting(self) -> None:
        """Pass steps through the stem as soon as there are `chunk` of them."""
        whole = len(self.held) - self.stack + 1  # places where a step is whole
        waiting = whole
        while waiting > 0 and self.held[waiting - 1].x is None:
            waiting -= 1
        if whole - waiting >= self.chunk:
            self._activate(range(waiting, whole))

    def _activate(self, places: Sequence[int]) -> None:
        """Find the activations of steps that have none yet."""
        waiting = [i for i in places if self.held[i].x is None]
        for start in range(0, len(waiting), self.chunk):
            part = waiting[start : start + self.chunk]
            for i, x in zip(part, self.model.run_stem(self._steps(part)), strict=True):
                self.held[i].x = x
                if self.sees_all and len(self.held) >= self.stack:
                    self.held[i].frame = None  # no later step begins before it

    def _tell(self) -> Told:
        """What the model says of the window."""
        self.told = self.clock.number
        places = self.sampler(max(1, len(self.held) - self.stack + 1), 0, None)
        if self.model.clustering is None:
            logits, clusters = self.model(self._steps(places), torch.tensor([len(places)])), ()
        else:
            means, clusters = self._cut(places)
            logits = self.model.classify(means, 1)  # (g, c, h, w) -> (1, K)
        first = self.held[0]
        return Told(first.number, self.told, first.time, self.clock.end, probabilities_of(logits), clusters)

    def _cut(self, places: np.ndarray) -> tuple[Tensor, tuple[tuple[float, int], ...]]:
        """What the trunk sees of the window, (g, c, h, w), and when its clusters begin."""
        self._activate(places.tolist())
        held = [self.held[i] for i in places]
        self._compare(held)
        clustering = self.model.clustering
        x = torch.stack([one.x for one in held])  # (t, c, h, w)
        lengths = torch.tensor([len(held)])
        seen = None
        if not CLUSTERINGS[clustering.method].whole_videos:
            seen = torch.tensor([0, *(one.change for one in held[1:])], device=x.device)
        means, assignment = clustering(x, lengths, seen=seen)
        if len(self.held) < self.stack:  # its last frame was repeated, which may not be so in the next window
            held[0].x = None
        labels = assignment.tolist()
        begins = [i for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]
        return means, tuple((held[i].time, labels[i]) for i in begins)

    def _compare(self, held: Sequence[Held]) -> None:
        """Find how far steps are from the ones before them, from the first on for which that is not known."""
        known = 1
        while known < len(held) and held[known].before == held[known - 1].number:
            known += 1
        if known == len(held) or CLUSTERINGS[self.model.clustering.method].whole_videos:
            return
        x = torch.stack([one.x for one in held[known - 1 :]])
        lengths = torch.tensor([len(x)], device=x.device)
        changes = frame_changes(x, lengths, self.model.clustering.distance).tolist()
        for i, change in enumerate(changes[1:], known):
            held[i].before, held[i].change = held[i - 1].number, change
