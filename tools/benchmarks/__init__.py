"""What the sub-commands of `tools/benchmark.py` share: a table's row, fair timing, bounds of their options."""
import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ops import cli, flags

Row = dict[str, str | float]  # column -> text or number
positive = flags.number(int, least=1)


class Benchmark(NamedTuple):
    """A sub-command: `run` takes the parsed options and gives the table."""

    purpose: str
    examples: tuple[str, ...]
    add_options: Callable[[cli.ArgumentParser], None]
    run: Callable[[argparse.Namespace], list[Row]]


def best_ms(functions: dict[str, Callable[[], Any]], repeat: int) -> dict[str, float]:
    """Milliseconds of each function's fastest call of `repeat`, after one that does not count.

    They take turns, so that a machine that is busy for a while slows all of them.
    """
    best = dict.fromkeys(functions, float("inf"))
    for turn in range(repeat + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            result = function()
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()
            elapsed = 1000 * (time.perf_counter() - start)
            del result  # or the next function would not find its memory free
            if turn:
                best[name] = min(best[name], elapsed)
    return best
