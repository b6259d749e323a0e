"""The figures of an epoch, gathered while it runs; with several processes, those of all in each."""

import math
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.streaming import copied_ahead, to_device
from ops.training.metrics import RunningMean, VideoMetrics
from ops.training.processes import ALONE, Processes


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
    nonfinite_steps: int = 0  # steps skipped because their loss or gradient was not finite
    confusion: Tensor | None = None  # (K, K) videos, a row per label, a column per prediction

    @property
    def frames_per_second(self) -> float:
        return self.frames / max(self.seconds, 1e-9)


class Found(NamedTuple):
    """What one process found in one batch."""

    losses: Tensor  # (n,)
    logits: Tensor  # (n, K)
    labels: Tensor  # (n,)
    names: list[str]
    frames: int


class Meters:
    """Gathers the figures of an epoch batch by batch.

    `seen` counts the batches that have come, `steps` those among them that steps of the optimizer have been made of;
    `own_frames` are this process's in the last of these steps.
    `state_dict` and `load_state_dict` carry it through a checkpoint within an epoch.
    """

    def __init__(self, num_class: int, processes: Processes = ALONE):
        self.loss, self.grad_norm, self.metrics = RunningMean(), RunningMean(), VideoMetrics(num_class)
        self.seen, self.steps, self.own_frames = 0, 0, 0
        self.frames, self.waited, self.start = 0, 0.0, time.perf_counter()
        self.skipped: tuple[str, ...] = ()
        self.nonfinite_steps = 0
        self.processes = processes
        self._held: list[Found] = []
        self._skipped: tuple[str, ...] = ()

    def state_dict(self) -> dict:
        """All of it as plain values."""
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

    def load_state_dict(self, state: dict) -> None:
        """Go on counting from what `state_dict` gave; LookupError, TypeError or ValueError where it is spoiled."""
        for mean, name in ((self.loss, "loss"), (self.grad_norm, "grad_norm")):
            mean.total, mean.weight = state[name]
        confusion = torch.tensor(state["confusion"])
        if confusion.shape != self.metrics.confusion.shape:
            raise ValueError(f"its confusion matrix is {tuple(confusion.shape)}")
        self.metrics.confusion, self.metrics.top5_hits = confusion, state["top5_hits"]
        self.steps = self.seen = state["steps"]
        self.frames, self.waited = state["frames"], state["waited"]
        self.nonfinite_steps = state.get("nonfinite_steps", 0)
        self.start, self.skipped = time.perf_counter() - state["seconds"], tuple(state["skipped"])

    def batches(
        self,
        loader: Iterable[VideoBatch],
        device: torch.device,
        at_once: Callable[[int], bool] = lambda num_frames: False,
    ) -> Iterator[VideoBatch]:
        """The loader's batches, timing the wait for them, with labels on the device.

        So are the frames of a batch that the model takes `at_once`, which is asked with their number; those of others
        stay for the model to fetch.
        """

        def move(batch: VideoBatch) -> VideoBatch:
            moved = {"labels": to_device(batch.labels, device)}
            if at_once(len(batch.frames)):
                moved["frames"] = to_device(batch.frames, device)
            return batch._replace(**moved)

        for batch in copied_ahead(self._awaited(loader), device, move):
            self.seen += 1
            self._skipped += tuple(batch.skipped)  # a list where PyTorch 2.6 has pinned it
            yield batch

    def _awaited(self, loader: Iterable[VideoBatch]) -> Iterator[VideoBatch]:
        source = iter(loader)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            self.waited += time.perf_counter() - asked
            if batch is None:
                return
            yield batch

    def hold(self, batch: VideoBatch, logits: Tensor, losses: Tensor) -> None:
        """Keep what this process found in a batch until `exchange`."""
        found = Found(losses.detach(), video_logits(logits.detach()), batch.labels, batch.names, len(batch.frames))
        self._held.append(found)

    def exchange(self) -> list[Found]:
        """What all processes hold, the same in each; they must call this together."""
        own = [
            found._replace(losses=found.losses.cpu(), logits=found.logits.float().cpu(), labels=found.labels.cpu())
            for found in self._held
        ]
        self.own_frames = sum(found.frames for found in own)
        gathered = self.processes.gather((own, self._skipped))
        self._held, self._skipped, self.steps = [], (), self.seen
        all_found = []
        for of_one_process, skipped in gathered:
            self.skipped += skipped
            all_found += [found for found in of_one_process if found.names]
        return all_found

    def count(self, all_found: list[Found]) -> None:
        """Take in what was exchanged; videos whose loss is not finite are left out of the figures."""
        for found in all_found:
            finite = found.losses.isfinite()
            if finite.any():
                self.loss.update(float(found.losses[finite].double().mean()), int(finite.sum()))
            self.metrics.update(found.logits[finite], found.labels[finite])
            self.frames += found.frames

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
        """The figures so far; InputError where there is not one video."""
        metrics, seconds = self.metrics, self.seconds
        if not metrics.count and not self.nonfinite_steps:
            raise InputError(f"no video could be read: {self.skipped[0] if self.skipped else 'the list is empty'}")
        return Result(
            loss=self.loss.mean,
            top1=metrics.top1,
            top5=metrics.top5,
            mean_class_accuracy=metrics.mean_class_accuracy,
            videos=metrics.count,
            frames=self.frames,
            seconds=seconds,
            data_wait=self.waited / seconds,
            grad_norm=self.grad_norm.mean,
            skipped=self.skipped,
            peak_memory=peak_memory(),
            nonfinite_steps=self.nonfinite_steps,
            confusion=metrics.confusion,
        )


OnStep = Callable[[int, Meters], None]  # called after each step of the optimizer with the batches done, from 1


def peak_memory() -> int:
    """Bytes: the most that CUDA has had allocated in this process, else the most that the process has occupied."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
