"""Running means, top-k accuracy and the confusion matrix."""

import torch
from torch import Tensor


class RunningMean:
    """Mean of values that come with weights; nan while empty."""

    def __init__(self):
        self.total, self.weight = 0.0, 0

    def update(self, value: float, weight: int = 1) -> None:
        self.total += value * weight
        self.weight += weight

    @property
    def mean(self) -> float:
        return self.total / self.weight if self.weight else float("nan")


class VideoMetrics:
    """Top-1, top-5 and mean class accuracy in percent, over videos given batch by batch."""

    def __init__(self, num_class: int):
        self.confusion = torch.zeros(num_class, num_class, dtype=torch.int64)
        self.top5_hits = 0

    def update(self, scores: Tensor, labels: Tensor) -> None:
        """scores (n, K), labels (n,)."""
        scores, labels = scores.detach().float().cpu(), labels.cpu()
        ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices  # (n, 5), fewer with fewer classes
        self.top5_hits += int((ranked == labels[:, None]).sum())
        self.confusion.index_put_((labels, ranked[:, 0]), torch.ones_like(labels), accumulate=True)

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def top1(self) -> float:
        return 100 * int(self.confusion.diagonal().sum()) / max(1, self.count)

    @property
    def top5(self) -> float:
        """Share of videos whose label is among the five best scores; clamped to the number of classes."""
        return 100 * self.top5_hits / max(1, self.count)

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over the classes that occur of the share of their videos that are right."""
        videos = self.confusion.sum(1)
        seen = videos > 0
        recall = self.confusion.diagonal()[seen].double() / videos[seen]
        return 100 * float(recall.mean()) if seen.any() else 0.0
