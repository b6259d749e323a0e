"""A run from its first epoch to its last, or from wherever it was stopped."""

from collections.abc import Callable
from functools import partial

import torch
from torch.utils.data import DataLoader

from ops.errors import InputError
from ops.evaluation.testing import categories
from ops.models import TSN
from ops.options.config import Config, plain
from ops.pictures.confusion import confusion_pixels
from ops.pictures.strip import draw_video
from ops.run.log import RunLog
from ops.run.progress import Progress
from ops.run.saving import CheckpointFolder, random_state, restore_random_state
from ops.run.signals import Interrupted, Interrupts
from ops.training import checkpoint as ckpt
from ops.training.engine import evaluate, train_one_epoch
from ops.training.meters import Meters, Result
from ops.training.optim import SCHEDULES, build_sgd, load_momenta, set_lr
from ops.training.processes import ALONE, Processes
from ops.training.stepping import make_stepping

Say = Callable[[str], None]


class Training:
    """A run from where it stands to its last epoch: train, validate, log, save.

    It stands at the start of `epoch`, or within it after `meters.steps` steps. `stored` is the content of a checkpoint
    to go on from, {} for none; `boost` lets the classifier learn faster. `say` gets a line for each epoch, `warn` what
    goes wrong without ending the run. Raises InputError where momenta do not fit the model.
    """

    def __init__(
        self,
        config: Config,
        model: TSN,
        loaders: dict[str, DataLoader],
        device: torch.device,
        stored: dict,
        boost: bool,
        processes: Processes = ALONE,
        say: Say = print,
        warn: Say = print,
    ):
        self.config, self.model, self.loaders, self.device, self.boost = config, model, loaders, device, boost
        self.processes, self.say, self.warn = processes, say, warn
        self.optimizer = build_sgd(model, config.lr, config.momentum, config.wd, boost)
        self.stepping = make_stepping(model, device, config.amp, config.accum, config.skip_nonfinite, processes)
        if stored.get("scaler") and self.stepping.scaler.is_enabled():
            self.stepping.scaler.load_state_dict(stored["scaler"])
        if "optimizer" in stored:
            try:
                load_momenta(self.optimizer, stored["optimizer"])
            except (AttributeError, LookupError, TypeError, ValueError):
                raise InputError(
                    f"{config.resume} was trained with other parameter groups (--npb, say);"
                    " leave such flags out, or start anew with --tune_from"
                ) from None
        self.epoch, self.best = config.start_epoch, stored.get("best_prec1", 0.0)
        self.best_epoch, self.random_states = stored.get("best_epoch"), stored.get("random_states", [])
        self.meters = self.new_meters()
        if "meters" in stored:
            try:
                self.meters.load_state_dict(stored["meters"])
            except (LookupError, TypeError, ValueError) as error:
                raise InputError(
                    f"{config.resume} says nothing usable of its place in epoch {self.epoch} ({error!r});"
                    f" begin the epoch anew with --start_epoch {self.epoch}"
                ) from None
        self.folder = CheckpointFolder(config.run_folder, config.save_every_steps, config.save_every_minutes)
        if config.overwrite and not config.goes_on and processes.main:
            self.folder.clear()
        self.log = None
        if processes.main:
            self.log = RunLog(config.log_folder, plain(config), bool(stored), config.start_epoch)

    def new_meters(self) -> Meters:
        return Meters(self.model.num_class, self.processes)

    def run(self) -> None:
        """All epochs that are left; `Interrupted` when a signal ends it early, after saving."""
        alone = self.processes.world_size == self.config.accum == 1
        with Interrupts(self.warn if self.processes.main else lambda text: None, at_once=alone) as self.interrupts:
            try:
                while self.epoch < self.config.epochs:
                    self.run_epoch()
            except Interrupted:
                self.save()
                raise
        if self.log:
            self.log.close()
        if self.folder.problem:
            raise InputError(f"{self.folder.problem}; make room and go on with --resume auto")
        self.say(f"best top-1 {self.best:.3f}% at epoch {self.best_epoch}: {self.config.run_folder / ckpt.BEST}")

    def run_epoch(self) -> None:
        config, epoch = self.config, self.epoch
        title = f"epoch {epoch:>{len(str(config.epochs - 1))}}"
        lr = SCHEDULES[config.lr_type](config.lr, epoch, config.epochs, config.lr_steps)
        set_lr(self.optimizer, lr)
        rank = self.processes.rank
        if self.meters.steps and len(self.random_states) == self.processes.world_size:
            restore_random_state(self.random_states[rank], self.device)
        else:  # dropout does not depend on what ran before, and each process has masks of its own
            torch.manual_seed((rank << 52) + (config.seed << 20) + epoch)
        self.loaders["train"].batch_sampler.set_epoch(epoch, self.meters.steps)
        with self.progress(f"{title} train", "train") as progress:
            result = train_one_epoch(
                self.model,
                self.interrupts.batches(self.loaders["train"]),
                self.optimizer,
                self.device,
                config.gd,
                partial(self.after_step, progress),
                (config.seed, epoch),
                self.meters,
                self.stepping,
            )
        self.write_log("train", result, lr)
        for reason in result.skipped:
            self.say(f"{title} skipped a video: {reason}")
        line, is_best = f"{title}  lr {lr:.2g}  {one_line('train', result)}", False
        if result.nonfinite_steps:
            line += f", {result.nonfinite_steps} steps left out: not finite"
        if (epoch + 1) % config.eval_freq == 0 or epoch == config.epochs - 1:
            with self.progress(f"{title} val", "val") as progress:
                result = evaluate(
                    self.model,
                    self.interrupts.batches(self.loaders["val"]),
                    self.device,
                    partial(self.after_look, progress),
                    self.processes,
                )
            self.write_log("val", result, lr)
            self.draw(result)
            line += f" | {one_line('val', result)}"
            is_best = self.best_epoch is None or result.top1 > self.best
            if is_best:
                self.best, self.best_epoch = result.top1, epoch
        self.say(line)
        self.epoch, self.meters = epoch + 1, self.new_meters()
        self.save(is_best)

    def progress(self, title: str, split: str) -> Progress:
        done = self.meters.steps if split == "train" else 0
        return Progress(title, len(self.loaders[split]), self.config.print_freq, done, self.processes.main)

    def write_log(self, split: str, result: Result, lr: float) -> None:
        if self.log and (problem := self.log.write(self.epoch, split, result, lr)):
            self.warn(f"warning: {problem}; the next row brings it along")

    def draw(self, result: Result) -> None:
        """Pictures of a validation: the confusion matrix, and the clusters of up to four videos, always the same."""
        if not self.log or not self.log.events:
            return
        counts, names = result.confusion.numpy(), categories(self.config)
        pictures = {"confusion/val": confusion_pixels(counts, names, f"epoch {self.epoch}")}
        videos = self.loaders["val"].dataset
        if self.model.clustering:
            few = max(1, min(4, len(videos) // 25))  # a small part of the validation's time
            for i in range(few):
                pictures[f"clusters/{i}"] = draw_video(self.model, videos, (2 * i + 1) * len(videos) // (2 * few))
        self.log.draw(self.epoch, pictures)

    def after_step(self, progress: Progress, step: int, meters: Meters) -> None:
        """What the first process's clock and the signals of all processes ask for; all of them do it."""
        progress(step, meters)
        asked = self.processes.gather((self.folder.due(step), self.interrupts.number))
        if asked[0][0]:
            self.save()
        self.interrupts.obey(number for _, number in asked)

    def after_look(self, progress: Progress, step: int, meters: Meters) -> None:
        progress(step, meters)
        self.interrupts.obey(self.processes.gather(self.interrupts.number))

    def save(self, is_best: bool = False) -> None:
        """All that a run needs to go on from here; all processes call it."""
        states = self.processes.gather(random_state(self.device)) if self.meters.steps else []
        if not self.processes.main:
            return
        content = {
            "epoch": self.epoch,
            "arch": self.config.arch,
            "state_dict": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.stepping.scaler.state_dict(),
            "best_prec1": self.best,
            "best_epoch": self.best_epoch,
            "boost_classifier": self.boost,
            "config": plain(self.config),
        }
        if self.meters.steps:
            content |= {"meters": self.meters.state_dict(), "random_states": states}
        if problem := self.folder.save(content, is_best):
            self.warn(f"warning: {problem}; training goes on and saves again later")


def one_line(split: str, r: Result) -> str:
    return f"{split} loss {r.loss:.4f} top-1 {r.top1:.2f}% {r.seconds:.0f} s, {r.frames_per_second:.0f} frames/s"
