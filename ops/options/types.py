"""What a word on the command line may be: argparse types, each with an error that says what is wrong."""

import argparse
import math
import os
from collections.abc import Callable

from ops.live.spans import Span


def number(
    kind: type, least: float | None = None, most: float | None = None, above: float | None = None
) -> Callable[[str], float]:
    """An argparse type: a number within bounds, with an error that names them."""
    bounds = {"at least": least, "above": above, "at most": most}
    wanted = " and ".join(f"{name} {bound}" for name, bound in bounds.items() if bound is not None)

    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        fits = (
            (least is None or value >= least)
            and (most is None or value <= most)
            and (above is None or value > above)
            and (kind is int or math.isfinite(value))
        )
        if not fits:
            raise argparse.ArgumentTypeError(f"{text} must be {wanted or 'a finite number'}")
        if kind is int and most is None and value >= 2**31:
            raise argparse.ArgumentTypeError(f"{text} is too large")
        return value

    return read


def file_path(text: str) -> str:
    """An argparse type: a path, in which `~` is the home folder also where no shell has seen to that."""
    return os.path.expanduser(text)


def frame_cap(text: str) -> int | None:
    """An argparse type: a number of frames, or all -> None."""
    return None if text == "all" else number(int, least=1)(text)


def stem_chunk(text: str) -> int | str:
    """An argparse type: auto, or a number of frames with 0 for none."""
    return text if text == "auto" else number(int, least=0)(text)


def stem_memory(text: str) -> int | str:
    """An argparse type: auto, or bytes as 2G, 512M, 64k or plainly -> bytes."""
    if text == "auto":
        return text
    digits = text.rstrip("kKMG")
    unit = text[len(digits) :]
    if not digits.isdecimal() or len(unit) > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a size such as 2G, 512M or 0")
    return int(digits) << {"": 0, "K": 10, "M": 20, "G": 30}[unit.upper()]


def span(text: str) -> Span:
    """An argparse type: seconds as 2, 0.5 or 2s, or frames as 16f."""
    frames = text.endswith("f")
    digits = text[:-1] if frames or text.endswith("s") else text
    try:
        length = (int if frames else float)(digits)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither seconds, such as 2 or 0.5, nor frames, such as 16f"
        ) from None
    if not 0 < length < 1e6:
        raise argparse.ArgumentTypeError(f"{text} must be above 0, and below a million")
    return Span(length, frames)
