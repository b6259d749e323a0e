"""From scores over time to segments: which class is shown from when to when.

A window speaks for the time around its middle, half the way to the middles of the windows before and after it; the
first one from its start, the last one to its end. Neighbouring windows with the same best class are one segment.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ops.live.windows import Told


class Segment(NamedTuple):
    """A class shown from `start` to `end`, in seconds; `score` is its mean probability there."""

    label: int
    start: float
    end: float
    score: float


class LastMean:
    """Probabilities averaged over the last `number` predictions, which is what is known while a video goes on."""

    def __init__(self, number: int):
        self.last: deque[Tensor] = deque(maxlen=number)

    def __call__(self, probabilities: Tensor) -> Tensor:
        self.last.append(probabilities)
        return torch.stack([*self.last]).mean(0)


def centred_means(probabilities: Sequence[Tensor], number: int) -> list[Tensor]:
    """Each averaged with its neighbours, `number` in all, fewer at the ends, (K,) each."""
    before = (number - 1) // 2
    parts = (probabilities[max(0, i - before) : i - before + number] for i in range(len(probabilities)))
    return [torch.stack([*part]).mean(0) for part in parts]


def stretches(told: Sequence[Told]) -> list[tuple[float, float]]:
    """What time each window speaks for, (start, end) in seconds; they follow one another without a gap."""
    middles = [(one.start + one.end) / 2 for one in told]
    inner = [(a + b) / 2 for a, b in zip(middles, middles[1:], strict=False)]
    edges = [told[0].start, *inner, told[-1].end]
    return list(zip(edges, edges[1:], strict=False))


def find_segments(told: Sequence[Told], smooth: int = 1, threshold: float = 0.0) -> list[Segment]:
    """The segments of a video. Windows whose best class stays below `threshold` belong to none."""
    found: list[Segment] = []
    scores: list[float] = []  # of the last segment's windows
    broken = True
    means = centred_means([one.probabilities for one in told], smooth)
    for mean, (start, end) in zip(means, stretches(told), strict=True):
        score, label = (value.item() for value in mean.max(0))
        if score < threshold:
            broken = True
            continue
        if broken or found[-1].label != label:
            found.append(Segment(label, start, end, score))
            scores = [score]
        else:
            scores.append(score)
            found[-1] = Segment(label, found[-1].start, end, sum(scores) / len(scores))
        broken = False
    return found
