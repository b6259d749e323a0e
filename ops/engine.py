"""One epoch of training, one pass of evaluation. Plain numbers come back; nothing is printed."""
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ops.cli import InputError
from ops.consensus import video_scores
from ops.dataset import VideoBatch
from ops.distributed import ALONE, Processes
from ops.metrics import RunningMean, VideoMetrics
from ops.models import TSN
from ops.stepping import PLAIN, Stepping, video_losses


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
    nonfinite_steps: int = 0  # steps without effect, for their loss or gradient was not finite

    @property
    def frames_per_second(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


OnStep = Callable[[int, "Meters"], None]  # called after each step of the optimizer with the batches done, from 1


class Part(NamedTuple):
    """What one process found in one batch."""

    losses: Tensor  # (n,)
    scores: Tensor  # (n, K)
    labels: Tensor  # (n,)
    names: list[str]
    frames: int


class Meters:
    """Gathers the figures of an epoch while it runs: with several processes, those of all in each."""

    def __init__(self, num_class: int, processes: Processes = ALONE):
        self.loss, self.grad_norm, self.metrics = RunningMean(), RunningMean(), VideoMetrics(num_class)
        self.frames, self.waited, self.start = 0, 0.0, time.perf_counter()
        self.skipped: tuple[str, ...] = ()
        self.nonfinite_steps = 0
        self.processes = processes
        self._held: list[Part] = []
        self._skipped: tuple[str, ...] = ()

    def batches(self, loader: Iterable[VideoBatch], device: torch.device) -> Iterable[VideoBatch]:
        """The loader's batches, timing the wait for them: labels on the device, frames for the model to fetch."""
        source = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            self._skipped += batch.skipped
            yield batch._replace(labels=batch.labels.to(device, non_blocking=True))

    def hold(self, losses: Tensor, scores: Tensor, batch: VideoBatch) -> None:
        """Keep what this process found in a batch until `exchange`."""
        self._held.append(Part(losses, video_scores(scores), batch.labels, batch.names, len(batch.frames)))

    def exchange(self) -> list[Part]:
        """What all processes hold, the same in each; they must call this together."""
        own = [part._replace(losses=part.losses.cpu(), scores=part.scores.float().cpu(), labels=part.labels.cpu())
               for part in self._held]  # fmt: skip
        gathered = self.processes.gather((own, self._skipped))
        self.skipped += sum((skipped for _, skipped in gathered), ())
        self._held, self._skipped = [], ()
        return [part for parts, _ in gathered for part in parts if part.names]

    def count(self, parts: list[Part]) -> None:
        """Take in what was exchanged; videos whose loss is not finite are left out of the figures."""
        for part in parts:
            finite = part.losses.isfinite()
            if finite.any():
                self.loss.update(float(part.losses[finite].double().mean()), int(finite.sum()))
            self.metrics.update(part.scores[finite], part.labels[finite])
            self.frames += part.frames

    def result(self) -> Result:
        m, seconds = self.metrics, time.perf_counter() - self.start
        if not m.count and not self.nonfinite_steps:
            raise InputError(f"no video could be read: {self.skipped[0] if self.skipped else 'the list is empty'}")
        return Result(
            self.loss.mean, m.top1, m.top5, m.mean_class_accuracy, m.count, self.frames, seconds,
            self.waited / seconds, self.grad_norm.mean, self.skipped, self.nonfinite_steps,
        )  # fmt: skip


def nonfinite_losses(parts: list[Part]) -> dict[str, float]:
    """Losses that are not finite, by the video's name."""
    pairs = [pair for part in parts for pair in zip(part.names, part.losses.tolist(), strict=True)]
    return {name: loss for name, loss in pairs if not math.isfinite(loss)}


def describe_nonfinite(lost: dict[str, float], parts: list[Part], norm: float = 0.0) -> str:
    """What is not finite, and at which videos."""
    names = [*lost] or [name for part in parts for name in part.names]
    what = f"the loss is {lost[names[0]]}" if lost else f"the gradient's norm is {norm}"
    return f"{what} at videos {', '.join(names[:4])}" + ", ..." * (len(names) > 4)


def train_one_epoch(
    model: TSN,
    loader: Collection[VideoBatch],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    clip_gradient: float | None = None,
    on_step: OnStep = lambda step, meters: None,
    draw: Sequence[int] = (),
    stepping: Stepping = PLAIN,
) -> Result:
    """One optimizer step every `stepping.accum` batches; `clip_gradient` bounds the norm of the whole gradient.

    What representative gradients draw is a function of `draw`, (seed, epoch), of the number of the batch and of the
    process. Raises InputError when a loss or the gradient stops being finite, before any weight changes.
    """
    model.train()
    meters, epoch = Meters(model.new_fc.out_features, stepping.processes), f" of epoch {draw[1]}" if draw else ""
    before = stepping.start(model, optimizer)
    for step, batch in enumerate(meters.batches(loader, device), 1):
        last = step % stepping.accum == 0 or step == len(loader)
        meters.hold(*stepping.backward(model, batch, (*draw, step), last), batch)
        if not last:
            continue
        parts = meters.exchange()
        norm = stepping.gradient_norm(optimizer, sum(len(part.names) for part in parts), clip_gradient)
        lost = nonfinite_losses(parts)
        if lost or not math.isfinite(norm):
            if not stepping.forgives(lost):
                raise InputError(f"{describe_nonfinite(lost, parts, norm)}, step {step}{epoch}, lr"
                                 f" {optimizer.param_groups[0]['lr']:g}; lower --lr or set --gd, or leave such steps"
                                 " out with --skip_nonfinite")  # fmt: skip
            stepping.undo(model, before)
            meters.nonfinite_steps += 1
        elif parts:
            stepping.update(model, optimizer)
            meters.grad_norm.update(norm)
        stepping.scaler.update()
        meters.count(parts)
        before = stepping.start(model, optimizer)
        on_step(step, meters)
    return meters.result()


@torch.inference_mode()
def evaluate(
    model: TSN,
    loader: Iterable[VideoBatch],
    device: torch.device,
    on_step: OnStep = lambda step, meters: None,
    processes: Processes = ALONE,
) -> Result:
    """Scores of every video once, with everything the model has: clustering included; always in full precision.

    Raises InputError at a loss that is not finite.
    """
    model.eval()
    meters = Meters(model.new_fc.out_features, processes)
    for step, batch in enumerate(meters.batches(loader, device), 1):
        scores = model(batch.frames, batch.lengths)
        meters.hold(video_losses(scores, batch.labels), scores, batch)
        parts = meters.exchange()
        if lost := nonfinite_losses(parts):
            raise InputError(f"{describe_nonfinite(lost, parts)} of the evaluation: the weights are of no use")
        meters.count(parts)
        on_step(step, meters)
    return meters.result()
