"""What the sub-commands of `tools/benchmark.py` share: a table's row, fair timing, bounds of their options."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from ops.data.specs import DatasetSpec
from ops.options import cli
from ops.options.types import number

Row = dict[str, str | float]  # column -> text or number
positive = number(int, least=1)


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


def write_video(folder: Path, spec: DatasetSpec, num_frames: int, width: int, height: int, mode: str = "RGB") -> None:
    """A smooth random picture that moves, with some noise, as a folder of JPEGs of the size of a film's."""
    rng = np.random.default_rng(0)
    step, colours = 2, len(mode)
    size = (width + step * num_frames, height + num_frames)
    picture = np.zeros((size[1], size[0], colours))
    for cell, weight in ((64, 0.6), (16, 0.3), (4, 0.1)):
        coarse = rng.integers(0, 256, (size[1] // cell + 2, size[0] // cell + 2, colours), np.uint8).squeeze()
        layer = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        picture += weight * np.asarray(layer, float).reshape(picture.shape)
    folder.mkdir()
    for i in range(num_frames):
        frame = picture[i : i + height, step * i : step * i + width]
        frame = (frame + rng.normal(0, 2, frame.shape)).clip(0, 255).astype(np.uint8).squeeze()
        Image.fromarray(frame).save(folder / spec.image_tmpl.format(spec.first_frame + i), quality=95)
