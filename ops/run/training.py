"""A run from its first epoch to its last, or from wherever it was stopped."""

from collections.abc import Callable
from functools import partial

import torch

from ops.data.seeds import Purpose, torch_seed
from ops.errors import InputError
from ops.models import TSN
from ops.options.config import plain
from ops.run.identity import changed_lists, digest_batches
from ops.run.log import RunLog
from ops.run.progress import Progress
from ops.run.saving import CheckpointFolder, random_state, restore_random_state
from ops.run.setup import Run
from ops.run.signals import Interrupted, Interrupts
from ops.run.validation_pictures import validation_pictures
from ops.training.averaging import averaged, restore_unaveraged
from ops.training.checkpoint import BEST
from ops.training.engine import evaluate, train_one_epoch
from ops.training.losses import CLASS_WEIGHTS
from ops.training.meters import Found, Meters, Result
from ops.training.mixing import Mixing
from ops.training.optim import SCHEDULES, build_optimizer, load_momenta, set_lr, warmup_share
from ops.training.stepping import make_stepping


class Training:
    """A run from where it stands to its last epoch: train, validate, log, save.

    It stands at the start of `epoch`, or within it after `meters.steps` steps. `keep_scores`, where given, gets what
    all processes found in each validation. Raises InputError where the checkpoint that the run goes on from does not
    fit it.
    """

    def __init__(self, run: Run, keep_scores: Callable[[list[Found]], None] | None = None):
        config, content = run.config, run.content
        self.keep_scores = keep_scores
        self.run, self.config, self.model, self.processes = run, config, run.model, run.processes
        self.optimizer = build_optimizer(run.model, run.boost_classifier, **config.optimizer_options)
        self.average = averaged(run.model, config.ema) if config.ema else None
        restore_unaveraged(run.model, self.average, content, config.resume)
        self.stepping = make_stepping(
            run.model, run.device, config.amp, config.accum, config.skip_nonfinite, run.processes, **self.recipe()
        )
        self.epoch, self.meters = config.start_epoch, self.new_meters()
        self.best, self.best_epoch = best_so_far(run)
        self.batches, self.draws_pictures = "", True
        self.random_states = content.get("random_states", [])
        self.load_state(content)
        self.folder = CheckpointFolder(config.run_folder, config.save_every_steps, config.save_every_minutes)
        if config.overwrite and not config.goes_on and run.processes.main:
            self.folder.clear()
        self.log = None
        if run.processes.main:
            self.log = RunLog(config.log_folder, plain(config), bool(content), config.start_epoch)

    def recipe(self) -> dict:
        """What `Stepping` is told beyond precision and processes."""
        config = self.config
        labels = [video.label for video in self.run.loaders["train"].dataset.videos]
        weights = CLASS_WEIGHTS[config.class_weights](labels, self.model.num_class)
        return {
            "smoothing": config.label_smoothing,
            "class_weights": None if weights is None else weights.to(self.run.device),
            "mixing": Mixing(config.mixup, config.cutmix) if config.mixup or config.cutmix else None,
            "average": self.average,
        }

    @property
    def shown(self) -> TSN:
        """The model that is validated and kept: the mean of the weights over steps, if there is one."""
        return self.model if self.average is None else self.average.module

    def load_state(self, content: dict) -> None:
        """Go on with the momenta, the scale of float16 and the figures of a checkpoint, as far as it has them."""
        path = self.config.resume
        if content.get("scaler") and self.stepping.scaler.is_enabled():
            self.stepping.scaler.load_state_dict(content["scaler"])
        if "optimizer" in content:
            former = (content.get("config") or {}).get("optimizer", "sgd")
            if former != self.config.optimizer:
                raise InputError(
                    f"{path} was trained with --optimizer {former}, whose momenta --optimizer {self.config.optimizer}"
                    " cannot go on with; leave it out, or start anew with --tune_from"
                )
            try:
                load_momenta(self.optimizer, content["optimizer"])
            except (AttributeError, LookupError, TypeError, ValueError):
                raise InputError(
                    f"{path} was trained with other parameter groups (--npb, say); leave such flags out, or start anew"
                    " with --tune_from"
                ) from None
        if "meters" in content:
            try:
                self.meters.load_state_dict(content["meters"])
            except (LookupError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path} says nothing usable of its place in epoch {self.epoch} ({error!r}); begin the epoch anew"
                    f" with --start_epoch {self.epoch}"
                ) from None

    def new_meters(self) -> Meters:
        return Meters(self.model.num_class, self.processes)

    def run_epochs(self) -> None:
        """All epochs that are left; `Interrupted` when a signal ends it early, after saving."""
        tell = self.run.warn if self.processes.main else lambda text: None
        alone = self.processes.world_size == self.config.accum == 1
        with Interrupts(tell, at_once=alone) as self.interrupts:
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
        self.run.say(f"best top-1 {self.best:.3f}% at epoch {self.best_epoch}: {self.config.run_folder / BEST}")

    def run_epoch(self) -> None:
        """Train, and validate where it is time; tell, log and save what came of it."""
        epoch = self.epoch
        title = f"epoch {epoch:>{len(str(self.config.epochs - 1))}}"
        set_lr(self.optimizer, self.rate(self.meters.steps))
        result = self.train(title)
        lr = self.rate(len(self.run.loaders["train"]) - 1)
        self.write_log("train", result, lr)
        for reason in result.skipped:
            self.run.say(f"{title} skipped a video: {reason}")
        line, is_best, validated = f"{title}  lr {lr:.2g}  {one_line('train', result)}", False, None
        if result.nonfinite_steps:
            line += f", {result.nonfinite_steps} steps left out: not finite"
        if (epoch + 1) % self.config.eval_freq == 0 or epoch == self.config.epochs - 1:
            result = validated = self.validate(title)
            self.write_log("val", result, lr)
            line += f" | {one_line('val', result)}"
            is_best = self.best_epoch is None or result.top1 > self.best
            if is_best:
                self.best, self.best_epoch = result.top1, epoch
        self.run.say(line)
        self.epoch, self.meters = epoch + 1, self.new_meters()
        self.save(is_best)
        if validated:
            self.log_pictures(epoch, validated)

    def rate(self, step: int) -> float:
        """The learning rate of the step that begins with the batch number `step` of the epoch, from 0."""
        config, steps = self.config, len(self.run.loaders["train"])
        lr = SCHEDULES[config.lr_type](config.lr, self.epoch, config.epochs, config.lr_steps, config.warmup_epochs)
        return lr * warmup_share(self.epoch * steps + step, config.warmup_epochs * steps)

    def train(self, title: str) -> Result:
        """The epoch, or what is left of it."""
        config, epoch, rank = self.config, self.epoch, self.processes.rank
        loader, device = self.run.loaders["train"], self.run.device
        if self.meters.steps and len(self.random_states) == self.processes.world_size:
            restore_random_state(self.random_states[rank], device)
        else:  # dropout does not depend on what ran before, and each process has masks of its own
            torch.manual_seed(torch_seed(Purpose.DROPOUT, config.seed, epoch, rank))
        self.batches = digest_batches(loader, epoch)
        loader.batch_sampler.set_epoch(epoch, self.meters.steps)
        with self.progress(f"{title} train", "train") as progress:
            return train_one_epoch(
                self.model,
                self.interrupts.batches(loader),
                self.optimizer,
                device,
                clip_gradient=config.gd,
                on_step=partial(self.after_step, progress),
                key=(config.seed, epoch),
                meters=self.meters,
                stepping=self.stepping,
            )

    def validate(self, title: str) -> Result:
        loader, found = self.interrupts.batches(self.run.loaders["val"]), []
        keep = found.extend if self.keep_scores else lambda some: None
        with self.progress(f"{title} val", "val") as progress:
            on_step = partial(self.after_look, progress)
            result = evaluate(self.shown, loader, self.run.device, on_step, self.processes, keep)
        if self.keep_scores:
            self.keep_scores(found)
        return result

    def progress(self, title: str, split: str) -> Progress:
        done = self.meters.steps if split == "train" else 0
        steps, wanted = len(self.run.loaders[split]), self.processes.main
        return Progress(title, steps, self.config.print_freq, self.run.say, done, wanted)

    def write_log(self, split: str, result: Result, lr: float) -> None:
        if self.log and (problem := self.log.write(self.epoch, split, result, lr)):
            self.run.warn(f"warning: {problem}")

    def log_pictures(self, epoch: int, result: Result) -> None:
        """The pictures of a validation, among the TensorBoard events.

        A run does not end for them: where they cannot be drawn it goes on without, and says so once.
        """
        if not self.log or not self.log.events or not self.draws_pictures:
            return
        videos = self.run.loaders["val"].dataset
        names = self.run.data["class_names"] or [str(label) for label in range(self.model.num_class)]
        try:
            self.log.add_pictures(epoch, validation_pictures(self.shown, videos, result, names, f"epoch {epoch}"))
        except Exception as error:  # whatever a library or a file makes of it
            self.draws_pictures = False
            self.run.warn(f"warning: no more pictures of validations: {' '.join(str(error).split()) or repr(error)}")

    def after_step(self, progress: Progress, step: int, meters: Meters) -> None:
        """What the first process's clock and the signals of all processes ask for; all of them do it."""
        progress(step, meters)
        set_lr(self.optimizer, self.rate(step))  # of the next one
        asked = self.processes.gather((self.folder.due(step), self.interrupts.number))
        if asked[0][0]:
            self.save()
        self.interrupts.obey(number for _, number in asked)

    def after_look(self, progress: Progress, step: int, meters: Meters) -> None:
        progress(step, meters)
        self.interrupts.obey(self.processes.gather(self.interrupts.number))

    def save(self, is_best: bool = False) -> None:
        """All that a run needs to go on from here; all processes call it."""
        states = self.processes.gather(random_state(self.run.device)) if self.meters.steps else []
        if not self.processes.main:
            return
        content = {
            "epoch": self.epoch,
            "arch": self.config.arch,
            "num_class": self.model.num_class,
            "state_dict": self.shown.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.stepping.scaler.state_dict(),
            "best_prec1": self.best,
            "best_epoch": self.best_epoch,
            "boost_classifier": self.run.boost_classifier,
            "config": plain(self.config),
            **self.run.data,
        }
        if self.average is not None:
            content |= {"unaveraged": self.model.state_dict(), "averaged_steps": int(self.average.n_averaged)}
        if self.meters.steps:
            content |= {"meters": self.meters.state_dict(), "random_states": states, "batches": self.batches}
        if problem := self.folder.save(content, is_best):
            self.run.warn(f"warning: {problem}; training goes on and saves again later")


def best_so_far(run: Run) -> tuple[float, int | None]:
    """The best accuracy that a run goes on from, and its epoch, None where its first validation is the best so far.

    It must be of this list, and its checkpoint must lie where this run will name it: a run that goes on under another
    name has none of its own yet, and what was best elsewhere stays there.
    """
    content, lists = run.content, changed_lists(run.content, run.data)
    if not run.config.goes_on or not (run.config.run_folder / BEST).is_file() or "val" in lists:
        return 0.0, None
    return content.get("best_prec1", 0.0), content.get("best_epoch")


def one_line(split: str, r: Result) -> str:
    return f"{split} loss {r.loss:.4f} top-1 {r.top1:.2f}% {r.seconds:.0f} s, {r.frames_per_second:.0f} frames/s"
