"""TSM's online form: one frame in, one prediction out.

Lin, Gan, Han, ICCV 2019, section 4.2 and figure 1c: with shift from the past alone, what a frame gets from the one
before it is kept, a part of the channels of each shifted layer, so that every frame passes the network once and no
frame is held. As there, a prediction is that of the last frame by itself; it depends on all frames before it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ops.data.modality import MODALITIES
from ops.heads.average import Average, Identity
from ops.live.spans import Clock, Span
from ops.live.windows import Told, probabilities_of
from ops.models import TSN
from ops.temporal.shift import TemporalShift, forget_steps, remember_steps


def can_go_online(model: TSN) -> bool:
    """Whether a model looks at past frames only, by temporal shift, and has scores of each frame by itself."""
    mixing = [module for module in model.base_model.modules() if hasattr(module, "num_segments")]
    past = [module for module in mixing if isinstance(module, TemporalShift) and module.direction == "past"]
    return model.clustering is None and 0 < len(mixing) == len(past) and isinstance(model.consensus, Average | Identity)


class OnlineEngine:
    """Scores of the last frame, from what the shifted layers of a model remember of those before it.

    The model is changed: its shifts remember from now on. Of frames that are fed together `chunk` pass it at a time.
    """

    def __init__(self, model: TSN, every: Span, chunk: int):
        self.model, self.every, self.chunk = model, every, chunk
        self.stack = MODALITIES[model.modality].stack
        remember_steps(model)
        self.restart()

    def restart(self) -> None:
        """As for every engine."""
        forget_steps(self.model)
        self.clock = Clock(Span(1, frames=True), self.every)
        self.frames: list[Tensor] = []  # uint8 (3, S, S), those that the next step needs, too
        self.begins: list[float] = []  # when they are shown
        self.last: Tensor | None = None  # logits of the last step (1, K)
        self.start, self.told = 0.0, -1  # when that step begins; the last frame of the last prediction

    @torch.inference_mode()
    def feed(self, frames: Tensor, times: Sequence[float]) -> list[Told]:
        """As for every engine."""
        told = []
        for start in range(0, len(frames), self.chunk):
            part = slice(start, start + self.chunk)
            told += self._feed(frames[part].expand(-1, 3, -1, -1), times[part])
        return told

    def _feed(self, frames: Tensor, times: Sequence[float]) -> list[Told]:
        self.frames += [*frames]
        self.begins += times
        whole = max(0, len(self.frames) - self.stack + 1)  # steps
        before = len(frames) - whole  # frames that came without a step
        steps = [torch.cat(self.frames[i : i + self.stack]) for i in range(whole)]
        logits = self.model.each_step(torch.stack(steps)) if steps else None  # (whole, K)
        told = []
        for i, time in enumerate(times):
            self.clock.tick(time)
            if i >= before:
                self.last, self.start = logits[i - before : i - before + 1], self.begins[i - before]
                if self.clock.due():
                    told.append(self._tell())
        del self.frames[:whole], self.begins[:whole]
        return told

    @torch.inference_mode()
    def finish(self) -> list[Told]:
        """As for every engine."""
        if self.told == self.clock.number:
            return []
        if self.last is None:  # fewer frames than a step has
            self.start = self.begins[0]
            row = [self.frames[min(k, len(self.frames) - 1)] for k in range(self.stack)]
            self.last = self.model.each_step(torch.cat(row)[None])
        return [self._tell()]

    def _tell(self) -> Told:
        self.told = self.clock.number
        first = max(0, self.told - self.stack + 1)
        return Told(first, self.told, self.start, self.clock.end, probabilities_of(self.last))
