"""How far a loop has come: a bar in a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable

from tqdm import tqdm

from ops.training.meters import Meters


class Progress:
    """A tqdm bar in a terminal, lines to `say` every `print_freq` steps elsewhere; `done` steps were made before.

    The bar is there only where it is `wanted`.
    """

    def __init__(
        self,
        title: str,
        steps: int,
        print_freq: int,
        say: Callable[[str], None],
        done: int = 0,
        wanted: bool = True,
    ):
        self.title, self.steps, self.print_freq, self.say, self.done = title, steps, print_freq, say, done
        self.live = wanted and sys.stderr.isatty()
        self.bar = tqdm(total=steps, initial=done, desc=title, leave=False, disable=not self.live, dynamic_ncols=True)

    def __call__(self, step: int, meters: Meters) -> None:
        before, self.done = self.done, step
        self.bar.update(step - before)
        if step // self.print_freq == before // self.print_freq and step != self.steps:
            return
        figures = (
            f"loss {meters.loss.mean:.4f}  top-1 {meters.metrics.top1:.2f}%  {meters.frames_per_second:.0f}"
            f" frames/s  data wait {meters.data_wait:.0%}"
        )
        if self.live:
            self.bar.set_postfix_str(figures)
        elif step != self.steps:
            self.say(f"{self.title}  step {step}/{self.steps}  {figures}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error) -> None:
        self.bar.close()
