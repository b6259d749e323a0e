"""One epoch of training, one pass of evaluation. Plain numbers come back; nothing is printed."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import Tensor

from ops.data.loading import VideoBatch
from ops.errors import InputError
from ops.models import TSN
from ops.training.losses import video_losses
from ops.training.meters import Found, Meters, OnStep, Result
from ops.training.placement import full_precision
from ops.training.processes import ALONE, Processes
from ops.training.stepping import PLAIN, Stepping


def train_one_epoch(
    model: TSN,
    loader: Collection[VideoBatch],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    clip_gradient: float | None = None,
    on_step: OnStep = lambda step, meters: None,
    key: Sequence[int] = (),
    meters: Meters | None = None,
    stepping: Stepping = PLAIN,
) -> Result:
    """One optimizer step every `stepping.accum` batches; `clip_gradient` bounds the norm of the whole gradient.

    The frames that stand for clusters in representative gradients are drawn by `key`, (seed, epoch), the number of the
    batch and the process. Of videos that are mixed, the label that weighs more counts in the accuracies. `meters` may
    hold the figures of the epoch's first batches, where `loader` gives the others.
    Raises InputError when a loss or the gradient stops being finite, before any weight changes.
    """
    model.train()
    meters = meters or Meters(model.num_class, stepping.processes)
    before = stepping.start(model, optimizer)
    for batch in meters.batches(loader, device, model.takes_at_once):
        ends_step = meters.seen % stepping.accum == 0 or meters.seen == len(loader)
        with stepping.gradients(exchange=ends_step):
            mix, targets = stepping.mix((*key, meters.seen)), batch.labels
            logits = stepping.forward(model, batch, (*key, meters.seen), mix)
            if mix is not None:
                targets, batch = mix.targets(targets, model.num_class), batch._replace(labels=mix.heavier(targets))
            losses = stepping.losses(logits.float(), targets)  # (n,)
            stepping.backward(losses)
        meters.hold(batch, logits, losses)
        if not ends_step:
            continue

        all_found = meters.exchange()
        num_videos = sum(len(found.names) for found in all_found)
        norm = stepping.finish_gradient(optimizer, num_videos, clip_gradient)
        nonfinite = nonfinite_losses(all_found)
        if not nonfinite and math.isfinite(norm):
            if num_videos:
                stepping.step(model, optimizer, meters.own_frames)
                meters.grad_norm.update(norm)
        elif stepping.tolerates(nonfinite):
            stepping.undo(model, before)
            meters.nonfinite_steps += 1
        else:
            epoch = f" of epoch {key[1]}" if key else ""
            raise InputError(
                f"{describe_nonfinite(nonfinite, all_found, norm)}, step {meters.steps}{epoch}, lr"
                f" {optimizer.param_groups[0]['lr']:g}; lower --lr or set --gd, or leave such steps out with"
                " --skip_nonfinite"
            )
        stepping.scaler.update()
        meters.count(all_found)
        before = stepping.start(model, optimizer)
        on_step(meters.steps, meters)
    return meters.result()


@torch.inference_mode()
@full_precision()
def evaluate(
    model: TSN,
    loader: Iterable[VideoBatch],
    device: torch.device,
    on_step: OnStep = lambda step, meters: None,
    processes: Processes = ALONE,
    keep: Callable[[list[Found]], None] = lambda found: None,
) -> Result:
    """Logits of every video once, with everything the model has: clustering included; always in full precision.

    `keep` gets what all processes found in each batch, its videos in any order. Raises InputError at logits that are
    not finite.
    """
    model.eval()
    meters = Meters(model.num_class, processes)
    for batch in meters.batches(loader, device, model.takes_at_once):
        logits = model(batch.frames, batch.lengths)
        check_finite(logits, batch.names)
        meters.hold(batch, logits, video_losses(logits, batch.labels))
        all_found = meters.exchange()
        meters.count(all_found)
        keep(all_found)
        on_step(meters.steps, meters)
    return meters.result()


def check_finite(logits: Tensor, names: Sequence[str]) -> None:
    """Raise InputError where a trained model gives logits that are no numbers."""
    if not logits.isfinite().all():
        raise InputError(f"scores of {', '.join(names[:4])}, ... are not finite; the weights are spoiled")


def nonfinite_losses(all_found: list[Found]) -> dict[str, float]:
    """Losses that are not finite, by the video's name."""
    nonfinite = {}
    for found in all_found:
        for name, loss in zip(found.names, found.losses.tolist(), strict=True):
            if not math.isfinite(loss):
                nonfinite[name] = loss
    return nonfinite


def describe_nonfinite(nonfinite: dict[str, float], all_found: list[Found], norm: float = 0.0) -> str:
    """What is not finite, and at which videos."""
    if nonfinite:
        names = list(nonfinite)
        what = f"the loss is {nonfinite[names[0]]}"
    else:
        names = [name for found in all_found for name in found.names]
        what = f"the gradient's norm is {norm}"
    more = ", ..." if len(names) > 4 else ""
    return f"{what} at videos {', '.join(names[:4])}{more}"
