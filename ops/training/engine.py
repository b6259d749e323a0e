"""One epoch of training, one pass of evaluation. Plain numbers come back; nothing is printed."""

import math
import resource
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.heads.average import video_scores
from ops.models import TSN
from ops.training.metrics import RunningMean, VideoMetrics
from ops.training.processes import ALONE, Processes
from ops.training.stepping import PLAIN, Stepping, video_losses


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
    nonfinite_steps: int = 0  # steps without effect, for their loss or gradient was not finite
    confusion: Tensor | None = None  # (K, K) videos, a row a label, a column a prediction

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
    """Gathers the figures of an epoch while it runs: with several processes, those of all in each.

    `came` counts the batches that have come, `steps` those among them that steps of the optimizer have been made of.
    """

    def __init__(self, num_class: int, processes: Processes = ALONE):
        self.loss, self.grad_norm, self.metrics = RunningMean(), RunningMean(), VideoMetrics(num_class)
        self.came, self.steps = 0, 0
        self.frames, self.waited, self.start = 0, 0.0, time.perf_counter()
        self.skipped: tuple[str, ...] = ()
        self.nonfinite_steps = 0
        self.processes = processes
        self._held: list[Part] = []
        self._skipped: tuple[str, ...] = ()

    def state(self) -> dict:
        """All of it as plain values, for a checkpoint within an epoch."""
        return {
            "loss": [self.loss.total, self.loss.weight],
            "grad_norm": [self.grad_norm.total, self.grad_norm.weight],
            "confusion": self.metrics.confusion.tolist(),
            "top5_hits": self.metrics.top5_hits,
            "steps": self.steps,
            "frames": self.frames,
            "waited": self.waited,
            "seconds": self.seconds,
            "skipped": list(self.skipped),
            "nonfinite_steps": self.nonfinite_steps,
        }

    @classmethod
    def restored(cls, state: dict, processes: Processes = ALONE) -> "Meters":
        """The meters that gave this `state`; what they count goes on from there."""
        meters = cls(len(state["confusion"]), processes)
        for name in ("loss", "grad_norm"):
            mean = getattr(meters, name)
            mean.total, mean.weight = state[name]
        meters.metrics.confusion, meters.metrics.top5_hits = torch.tensor(state["confusion"]), state["top5_hits"]
        meters.steps = meters.came = state["steps"]
        meters.frames, meters.waited = state["frames"], state["waited"]
        meters.nonfinite_steps = state.get("nonfinite_steps", 0)
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
            self.came += 1
            self._skipped += batch.skipped
            yield batch._replace(labels=batch.labels.to(device, non_blocking=True))

    def hold(self, losses: Tensor, scores: Tensor, batch: VideoBatch) -> None:
        """Keep what this process found in a batch until `exchange`."""
        self._held.append(Part(losses, video_scores(scores), batch.labels, batch.names, len(batch.frames)))

    def exchange(self) -> list[Part]:
        """What all processes hold, the same in each; they must call this together."""
        own = [
            part._replace(losses=part.losses.cpu(), scores=part.scores.float().cpu(), labels=part.labels.cpu())
            for part in self._held
        ]
        gathered = self.processes.gather((own, self._skipped))
        self.skipped += sum((skipped for _, skipped in gathered), ())
        self._held, self._skipped, self.steps = [], (), self.came
        return [part for parts, _ in gathered for part in parts if part.names]

    def count(self, parts: list[Part]) -> None:
        """Take in what was exchanged; videos whose loss is not finite are left out of the figures."""
        for part in parts:
            finite = part.losses.isfinite()
            if finite.any():
                self.loss.update(float(part.losses[finite].double().mean()), int(finite.sum()))
            self.metrics.update(part.scores[finite], part.labels[finite])
            self.frames += part.frames

    @property
    def seconds(self) -> float:
        return max(time.perf_counter() - self.start, 1e-9)

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds

    @property
    def data_wait(self) -> float:
        """Share of the time in which the loader was waited for."""
        return self.waited / self.seconds

    def result(self) -> Result:
        m, seconds = self.metrics, self.seconds
        if not m.count and not self.nonfinite_steps:
            raise InputError(f"no video could be read: {self.skipped[0] if self.skipped else 'the list is empty'}")
        return Result(
            self.loss.mean,
            m.top1,
            m.top5,
            m.mean_class_accuracy,
            m.count,
            self.frames,
            seconds,
            self.waited / seconds,
            self.grad_norm.mean,
            self.skipped,
            peak_memory(),
            self.nonfinite_steps,
            m.confusion,
        )


def peak_memory() -> int:
    """Bytes: the most that CUDA has had allocated in this process, else the most that the process has occupied."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def check_finite(scores: Tensor, names: Sequence[str]) -> None:
    """Raise InputError where a trained model gives scores that are no numbers."""
    if not scores.isfinite().all():
        raise InputError(f"scores of {', '.join(names[:4])}, ... are not finite; the weights are spoiled")


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
    meters: Meters | None = None,
    stepping: Stepping = PLAIN,
) -> Result:
    """One optimizer step every `stepping.accum` batches; `clip_gradient` bounds the norm of the whole gradient.

    What representative gradients draw is a function of `draw`, (seed, epoch), of the number of the batch and of the
    process. `meters` may hold the figures of the epoch's first batches, where `loader` gives the others. Raises
    InputError when a loss or the gradient stops being finite, before any weight changes.
    """
    model.train()
    meters = meters or Meters(model.new_fc.out_features, stepping.processes)
    epoch = f" of epoch {draw[1]}" if draw else ""
    before = stepping.start(model, optimizer)
    for batch in meters.batches(loader, device):
        last = meters.came % stepping.accum == 0 or meters.came == len(loader)
        meters.hold(*stepping.backward(model, batch, (*draw, meters.came), last), batch)
        if not last:
            continue
        parts = meters.exchange()
        norm = stepping.gradient_norm(optimizer, sum(len(part.names) for part in parts), clip_gradient)
        lost = nonfinite_losses(parts)
        if lost or not math.isfinite(norm):
            if not stepping.forgives(lost):
                raise InputError(
                    f"{describe_nonfinite(lost, parts, norm)}, step {meters.steps}{epoch}, lr"
                    f" {optimizer.param_groups[0]['lr']:g}; lower --lr or set --gd, or leave such steps"
                    " out with --skip_nonfinite"
                )
            stepping.undo(model, before)
            meters.nonfinite_steps += 1
        elif parts:
            stepping.update(model, optimizer)
            meters.grad_norm.update(norm)
        stepping.scaler.update()
        meters.count(parts)
        before = stepping.start(model, optimizer)
        on_step(meters.steps, meters)
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

    Raises InputError at scores that are not finite.
    """
    model.eval()
    meters = Meters(model.new_fc.out_features, processes)
    for batch in meters.batches(loader, device):
        scores = model(batch.frames, batch.lengths)
        check_finite(scores, batch.names)
        meters.hold(video_losses(scores, batch.labels), scores, batch)
        meters.count(meters.exchange())
        on_step(meters.steps, meters)
    return meters.result()
