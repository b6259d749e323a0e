"""The timeline of a video: what a model says of its windows, and the segments these make, as JSON, CSV and pictures.

What is kept of a video while it is read: the engine's window, some frames for a picture, and K numbers a window.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.files import as_csv, write_whole
from ops.live.online import OnlineEngine, can_go_online
from ops.live.segments import Segment, centred_means, find_segments, stretches
from ops.live.spans import Span, check_spans
from ops.live.windows import Engine, Told, WindowEngine
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.text import counted
from ops.pictures.timeline import Bar, Timeline
from ops.run.data import make_sampler

WINDOW = Span(2.0)
FORMS = (".json", ".csv")  # of files beside pictures


def check_modality(config: Config, what: str) -> None:
    """InputError where a model sees another thing than frames that come one by one; `what` is what cannot be done."""
    source = MODALITIES[config.modality]
    if source.flow or source.features:
        raise InputError(
            f"{what} shows a model frames as they come, and this checkpoint sees {config.modality}, which must be"
            " computed first; give one for frames (RGB, SI), their differences (RGBDiff) or dynamic images (DI)"
        )


def make_engine(
    model: TSN, config: Config, window: Span | None, every: Span | None, flag: str, chunk: int
) -> tuple[Engine, str]:
    """What predicts while frames come in, and what it does in words; `flag` is what `every` is called.

    A model that can goes online where no `window` is given; else `WINDOW` is taken, and a quarter of it for `every`.
    """
    if window is None and can_go_online(model):
        every = every or Span(1, frames=True)
        return OnlineEngine(model, every, chunk), f"online, every {every}"
    window = window or WINDOW
    every = every or window.part(4)
    check_spans(window, every, flag)
    seen = f"{model.num_segments} sampled frames"
    if model.clustering is not None:
        seen = f"{model.num_segments} {model.clustering.method} clusters"
    return WindowEngine(model, make_sampler(config), window, every, chunk), f"{seen} of {window}, every {every}"


class SomeFrames:
    """Evenly spaced frames of a video whose length is not known: `most` at most, and half as many at least."""

    def __init__(self, most: int):
        self.most, self.step, self.seen = most, 1, 0
        self.kept: list[tuple[float, Tensor]] = []

    def see(self, frames: Tensor, times: Sequence[float]) -> None:
        """The next frames, uint8 (m, c, S, S), and their times."""
        for frame, time in zip(frames, times, strict=True):
            if self.seen % self.step == 0:
                self.kept.append((time, frame.expand(3, -1, -1).clone()))
                if len(self.kept) > self.most:
                    del self.kept[1::2]
                    self.step *= 2
            self.seen += 1


@dataclass(frozen=True)
class VideoTimeline:
    """What a model says of a video over time; at least one window."""

    name: str
    frames: int
    told: list[Told]
    segments: list[Segment]
    smooth: int
    some_frames: list[tuple[float, Tensor]]

    @property
    def seconds(self) -> float:
        return self.told[-1].end

    @property
    def summary(self) -> str:
        """How long it is, in words."""
        return f"{counted(self.frames, 'frame')}, {self.seconds:.1f} s"


def read_timeline(
    name: str, clips: Iterable[tuple[Tensor, Sequence[float]]], engine: Engine, smooth: int, threshold: float, most: int
) -> VideoTimeline:
    """Show a video to an engine, clips (m, c, S, S) with their times; `most` of its frames are kept for a picture.

    InputError where there is no frame in it.
    """
    engine.restart()
    told: list[Told] = []
    some = SomeFrames(most)
    frames = 0
    for clip, times in clips:
        if most:
            some.see(clip, times)
        told += engine.feed(clip, times)
        frames += len(clip)
    told += engine.finish()
    if not told:
        raise InputError(f"{name} holds no frames")
    return VideoTimeline(name, frames, told, find_segments(told, smooth, threshold), smooth, some.kept)


# ---------------------------------------------------------------- files


def as_json(videos: Sequence[VideoTimeline], classes: Sequence[str], facts: dict) -> bytes:
    """Everything: of each window the probabilities of all classes in their order, and when its clusters begin."""
    content = {**facts, "classes": [*classes], "videos": [_facts_of(video, classes) for video in videos]}
    return (json.dumps(content, indent=None, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def _facts_of(video: VideoTimeline, classes: Sequence[str]) -> dict:
    windows = []
    for one in video.told:
        facts = {
            "start": round(one.start, 3),
            "end": round(one.end, 3),
            "frames": [one.first, one.last],
            "probabilities": [round(value, 6) for value in one.probabilities.tolist()],
        }
        if one.clusters:
            facts["clusters"] = [round(time, 3) for time, _ in one.clusters]
        windows.append(facts)
    segments = [
        {"class": classes[s.label], "start": round(s.start, 3), "end": round(s.end, 3), "score": round(s.score, 4)}
        for s in video.segments
    ]
    return {
        "video": video.name,
        "frames": video.frames,
        "seconds": round(video.seconds, 3),
        "segments": segments,
        "windows": windows,
    }


def segment_rows(videos: Sequence[VideoTimeline], classes: Sequence[str]) -> bytes:
    """A line of CSV for each segment."""
    rows = [
        (video.name, classes[s.label], f"{s.start:.3f}", f"{s.end:.3f}", f"{s.score:.4f}")
        for video in videos
        for s in video.segments
    ]
    return as_csv([("video", "class", "start", "end", "score"), *rows])


def write_tables(videos: Sequence[VideoTimeline], classes: Sequence[str], facts: dict, path: Path) -> None:
    """Write a .json or a .csv."""
    is_json = path.suffix.lower() == ".json"
    write_whole(path, as_json(videos, classes, facts) if is_json else segment_rows(videos, classes))


def drawn(video: VideoTimeline, title: str) -> Timeline:
    """What `draw_timelines` takes."""
    spoken = stretches(video.told)
    means = centred_means([one.probabilities for one in video.told], video.smooth)
    cuts = None
    if video.told[0].clusters:
        cuts = [time for one, part in zip(video.told, spoken, strict=True) for time in _cuts_within(one, *part)]
    return Timeline(
        title,
        video.told[0].start,
        video.told[-1].end,
        video.some_frames,
        [(start + end) / 2 for start, end in spoken],
        np.asarray(torch.stack(means)),
        [Bar(s.label, s.start, s.end) for s in video.segments],
        cuts,
    )


def _cuts_within(one: Told, start: float, end: float) -> list[float]:
    """When clusters of a window begin, but the first, in the time that it speaks for."""
    return [time for time, _ in one.clusters[1:] if start <= time < end]
