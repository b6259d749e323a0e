"""The loss of a video: cross-entropy, with smoothed labels and with weights of classes where they are asked for."""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def video_losses(logits: Tensor, targets: Tensor, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of each video, (n,), in nats: of logits (n, K), or the mean over representations of (n, g, K).

    `targets` are labels (n,), or the shares of classes in a mixed video, (n, K). Of them `smoothing` is spread over all
    classes (Szegedy et al., CVPR 2016). `weights` (K,) multiply what each class adds.
    """
    shape = logits.shape[:-1]  # (n,) or (n, g)
    if logits.ndim == 3:
        targets = targets.repeat_interleave(shape[1], 0)
    losses = F.cross_entropy(logits.flatten(0, -2), targets, weights, reduction="none", label_smoothing=smoothing)
    return losses.view(shape).flatten(1).mean(1) if len(shape) > 1 else losses


def balanced_weights(labels: Sequence[int], num_class: int) -> Tensor:
    """Weights (K,) with which all classes that occur weigh the same, and a video 1 on average.

    A class with m of N videos has N / (C m), where C classes occur; one without any has 1.
    """
    videos = Counter(labels)
    return torch.tensor([len(labels) / (len(videos) * videos[k]) if k in videos else 1.0 for k in range(num_class)])


CLASS_WEIGHTS: dict[str, Callable[[Sequence[int], int], Tensor | None]] = {
    "none": lambda labels, num_class: None,
    "balanced": balanced_weights,
}
