"""One epoch of training, one pass of evaluation. Plain numbers come back; nothing is printed."""
import math
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from ops.cli import InputError
from ops.consensus import video_scores
from ops.dataset import VideoBatch
from ops.metrics import RunningMean, VideoMetrics
from ops.models import TSN


@dataclass(frozen=True)
class Result:
    """Figures of one epoch or of the part of it that is done: loss in nats, accuracies in percent."""

    loss: float
    top1: float
    top5: float
    mean_class_accuracy: float
    videos: int
    frames: int
    seconds: float
    data_wait: float  # share of the seconds in which the loader was waited for
    grad_norm: float = math.nan  # mean over steps, before clipping
    skipped: tuple[str, ...] = ()  # why videos were left out, where that was allowed
    peak_memory: int = 0  # bytes: the most on CUDA, else in this process, so far

    @property
    def frames_per_second(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


OnStep = Callable[[int, "Meters"], None]  # called after each batch with its number from 1


class Meters:
    """Gathers the figures of an epoch while it runs; `steps` counts the batches that have come."""

    def __init__(self, num_class: int):
        self.loss, self.grad_norm, self.metrics = RunningMean(), RunningMean(), VideoMetrics(num_class)
        self.steps, self.frames, self.waited, self.start = 0, 0, 0.0, time.perf_counter()
        self.skipped: tuple[str, ...] = ()

    def state(self) -> dict:
        """All of it as plain values, for a checkpoint within an epoch."""
        return {
            "loss": [self.loss.total, self.loss.weight], "grad_norm": [self.grad_norm.total, self.grad_norm.weight],
            "confusion": self.metrics.confusion.tolist(), "top5_hits": self.metrics.top5_hits, "steps": self.steps,
            "frames": self.frames, "waited": self.waited, "seconds": time.perf_counter() - self.start,
            "skipped": list(self.skipped),
        }  # fmt: skip

    @classmethod
    def restored(cls, state: dict) -> "Meters":
        """The meters that gave this `state`; what they count goes on from there."""
        meters = cls(len(state["confusion"]))
        for name in ("loss", "grad_norm"):
            mean = getattr(meters, name)
            mean.total, mean.weight = state[name]
        meters.metrics.confusion, meters.metrics.top5_hits = torch.tensor(state["confusion"]), state["top5_hits"]
        meters.steps, meters.frames, meters.waited = state["steps"], state["frames"], state["waited"]
        meters.start, meters.skipped = time.perf_counter() - state["seconds"], tuple(state["skipped"])
        return meters

    def batches(self, loader: Iterable[VideoBatch], device: torch.device) -> Iterable[VideoBatch]:
        """The loader's batches, timing the wait for them: labels on the device, frames for the model to fetch."""
        source = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            self.steps += 1
            self.skipped += batch.skipped
            if not batch.names:
                continue
            self.frames += len(batch.frames)
            yield batch._replace(labels=batch.labels.to(device, non_blocking=True))

    def update(self, loss: Tensor, scores: Tensor, batch: VideoBatch) -> None:
        value = loss.item()
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at videos {', '.join(batch.names[:4])}, ...; lower --lr or set --gd")
        self.loss.update(value, len(batch.labels))
        self.metrics.update(video_scores(scores), batch.labels)

    def result(self) -> Result:
        m, seconds = self.metrics, time.perf_counter() - self.start
        if not m.count:
            raise InputError(f"no video could be read: {self.skipped[0] if self.skipped else 'the list is empty'}")
        return Result(
            self.loss.mean, m.top1, m.top5, m.mean_class_accuracy, m.count, self.frames, seconds,
            self.waited / seconds, self.grad_norm.mean, self.skipped, peak_memory(),
        )  # fmt: skip


def peak_memory() -> int:
    """Bytes: the most that CUDA has had allocated in this process, else the most that the process has occupied."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def check_finite(scores: Tensor, names: Sequence[str]) -> None:
    """Raise InputError where a trained model gives scores that are no numbers."""
    if not scores.isfinite().all():
        raise InputError(f"scores of {', '.join(names[:4])}, ... are not finite; the weights are spoiled")


def video_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of scores (n, K), or of each representation's (n, g, K), with labels (n,)."""
    if scores.ndim == 3:
        labels = labels.repeat_interleave(scores.shape[1])
    return F.cross_entropy(scores.flatten(0, -2), labels)


def train_one_epoch(
    model: TSN,
    loader: Iterable[VideoBatch],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    clip_gradient: float | None = None,
    on_step: OnStep = lambda step, meters: None,
    draw: Sequence[int] = (),
    meters: Meters | None = None,
) -> Result:
    """One optimizer step a batch; `clip_gradient` bounds the norm of the whole gradient.

    What representative gradients draw is a function of `draw`, (seed, epoch), and the number of the step. `meters` may
    hold the figures of the epoch's first steps, where `loader` gives the others. Raises InputError when the loss stops
    being finite, before any weight changes.
    """
    model.train()
    meters = meters or Meters(model.new_fc.out_features)
    for batch in meters.batches(loader, device):
        scores = model(batch.frames, batch.lengths, (*draw, meters.steps))  # (n, K)
        loss = video_loss(scores, batch.labels)
        meters.update(loss, scores, batch)
        optimizer.zero_grad()
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), clip_gradient or math.inf)
        optimizer.step()
        meters.grad_norm.update(norm.item())
        on_step(meters.steps, meters)
    return meters.result()


@torch.inference_mode()
def evaluate(
    model: TSN,
    loader: Iterable[VideoBatch],
    device: torch.device,
    on_step: OnStep = lambda step, meters: None,
) -> Result:
    """Scores of every video once, with everything the model has: clustering included."""
    model.eval()
    meters = Meters(model.new_fc.out_features)
    for batch in meters.batches(loader, device):
        scores = model(batch.frames, batch.lengths)
        check_finite(scores, batch.names)
        meters.update(video_loss(scores, batch.labels), scores, batch)
        on_step(meters.steps, meters)
    return meters.result()
