"""Lengths of time on a video that goes on, in seconds or in frames, and when a prediction is due."""

from math import floor
from typing import NamedTuple

from ops.errors import InputError

TOLERANCE = 0.005  # seconds by which times of frames are rounded in some files; a quarter of a frame where that is less

LONG = 1.0  # seconds that a frame lasts at most


class Span(NamedTuple):
    """So many seconds, or so many frames."""

    length: float
    frames: bool = False

    def __str__(self) -> str:
        if not self.frames:
            return f"{self.length:g} s"
        return f"{self.length:,} frame" + ("s" if self.length > 1 else "")

    def part(self, number: int) -> "Span":
        """One of `number` equal parts; of frames at least one."""
        return self._replace(length=max(1, self.length // number) if self.frames else self.length / number)


def check_spans(window: Span, every: Span, flag: str) -> None:
    """InputError where frames between two windows would not be seen; `flag` is what `every` is called."""
    if window.frames == every.frames and every.length > window.length:
        raise InputError(
            f"{flag} {every} is longer than --window {window}: the frames in between would not be seen; give {flag} at"
            " most the window"
        )


class Clock:
    """The frames of a video that goes on as they come: which are within the window, and which predictions are due.

    A frame lasts as long as the time since the one before, but not more than twice as long as that one, or than `LONG`,
    which is what is left of a pause. The first prediction is due when the window is full, each other one `every` so
    much later; so with a window of 8 frames and one every 4, behind frames 7, 11, 15 and so on, counted from 0.
    """

    def __init__(self, window: Span, every: Span):
        self.window, self.every = window, every
        self.number = -1  # of the last frame
        self.time = self.lasts = self.first_time = 0.0
        self.next: float | None = None  # where the next prediction is due, on the scale of `every`

    def tick(self, time: float) -> None:
        """The next frame has come, with its time in seconds, which does not run backwards."""
        if self.number < 0:
            self.first_time = time
        else:
            gap = time - self.time
            most = 2 * self.lasts if self.lasts else LONG
            self.lasts = min(gap, most, LONG)
        self.number, self.time = self.number + 1, time

    @property
    def end(self) -> float:
        """When the last frame ends, in seconds."""
        return self.time + self.lasts

    def _now(self, span: Span) -> float:
        """The end of the last frame on the scale of a span, rounded up a little where it is one of times."""
        return self.number + 1 if span.frames else self.end + min(TOLERANCE, self.lasts / 4)

    def is_past(self, number: int, time: float) -> bool:
        """Whether a frame before this one lies before the window that ends with the last frame."""
        if self.window.frames:
            return number <= self.number - self.window.length
        return number < self.number and time < self.end - self.window.length - min(TOLERANCE, self.lasts / 4)

    def due(self) -> bool:
        """Whether a prediction is due behind the last frame; asked once a frame, it then waits for the next one."""
        if self.next is None:
            begin = 0 if self.window.frames else self.first_time
            if self._now(self.window) - begin < self.window.length:
                return False
            self.next = self.number + 1 if self.every.frames else self.end
        now = self._now(self.every)
        if now < self.next:
            return False
        self.next += self.every.length * (floor((now - self.next) / self.every.length) + 1)
        return True
