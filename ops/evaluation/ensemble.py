"""Scores of videos from several views of each, and from several models."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ops.data.loading import VideoBatch
from ops.heads.head import video_logits
from ops.models import TSN
from ops.training.engine import check_finite
from ops.training.meters import Meters, OnStep
from ops.training.placement import full_precision


@dataclass(frozen=True)
class Views:
    """How many views a loaded video holds: `clips` one after another, in each `crops` one below another."""

    clips: int = 1
    crops: int = 1

    @property
    def count(self) -> int:
        return self.clips * self.crops


def view_scores(model: TSN, batch: VideoBatch, views: Views, softmax: bool) -> Tensor:
    """Mean over views of a model's scores -> (n, K); with `softmax` turned into probabilities, as in TSM's tests.

    batch.frames (clips * sum t, channels, crops * S, S), batch.lengths (n,) = clips * t. One view of the batch passes
    the model at a time, so that views cost time but no memory.
    """
    lengths, total = batch.lengths // views.clips, 0.0
    for crop in batch.frames.unflatten(2, (views.crops, -1)).unbind(2):  # (clips * sum t, channels, S, S)
        for k in range(views.clips):
            # videos of several clips are all of one length
            view = crop if views.clips == 1 else crop.unflatten(0, (len(lengths), views.clips, -1))[:, k].flatten(0, 1)
            total = total + video_logits(model(view.contiguous(), lengths))  # (n, K)
    return (total / views.count).softmax(1) if softmax else total / views.count


def fuse(scores: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    """Weighted mean of several models' scores, each (n, K) -> (n, K)."""
    total = sum(c * s for c, s in zip(coefficients, scores, strict=True))
    return total / sum(coefficients)


@torch.inference_mode()
@full_precision()
def score_videos(
    models: Sequence[TSN],
    loaders: Sequence[Iterable[VideoBatch]],
    views: Sequence[Views],
    coefficients: Sequence[float],
    softmax: bool,
    device: torch.device,
    on_step: OnStep = lambda step, meters: None,
) -> tuple[Meters, Tensor]:
    """Every video once by every model; loaders give the same videos in the same batches -> figures, scores (videos, K).

    The loss is that of the fused scores, with `softmax` of the fused probabilities.
    """
    meters = Meters(models[0].num_class)
    gathered = []
    for model in models:
        model.eval()
    batches = zip(*(meters.batches(loader, device) for loader in loaders), strict=True)
    for step, parts in enumerate(batches, 1):
        scores = fuse(
            [view_scores(model, part, view, softmax) for model, part, view in zip(models, parts, views, strict=True)],
            coefficients,
        )
        check_finite(scores, parts[0].names)
        labels = parts[0].labels
        logs = scores.clamp_min(1e-30).log() if softmax else scores.log_softmax(1)
        meters.hold(parts[0], scores, F.nll_loss(logs, labels, reduction="none"))
        meters.count(meters.exchange())
        meters.frames += sum(len(part.frames) for part in parts[1:])
        gathered.append(scores.float().cpu())
        on_step(step, meters)
    return meters, torch.cat(gathered)
