"""What every kind of store of frames can do."""

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ops.data.specs import DatasetSpec
from ops.data.views import View, whole_frames
from ops.errors import InputError

ViewOf = Callable[[int, int], View]  # height, width of a video's frames -> what is seen of them
Fault = tuple[str, str]  # its kind, such as "unreadable frame", and what is wrong in one line

CHUNK = 64  # frames that `inspect` reads at a time


class Store(ABC):
    """The frames of one video, whatever they are kept in.

    It is opened for every clip, in many processes, so opening looks at no more than it must. It raises InputError for
    what is no such store. Frames are numbered from 0 here, whatever their files are called.
    """

    kind: str  # how messages call it

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def is_there(cls, path: str) -> bool:
        """Whether `path`, which has the ending of this kind, is such a store; asked before it is opened."""
        return os.path.isfile(path)

    @abstractmethod
    def count(self, spec: DatasetSpec) -> int:
        """How many frames it holds, without decoding them."""

    @abstractmethod
    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        """Read frames by their numbers -> what is seen of them, uint8 (t, c, S, S), c = 1 if all are grey, else 3.

        Of flow, all x fields come first and then all y fields, (2t, 1, S, S). Only what is seen needs to be read and
        kept. Raises InputError, which names the frame, for what is missing or damaged.
        """

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """Why the video cannot have `num_frames` frames, or None; asked for every list line, so it should be quick."""
        held = self.count(spec)
        if held >= num_frames:
            return None
        return f"list says {num_frames} frames, {self.path} holds {held}"

    def held(self, spec: DatasetSpec, frames: Sequence[int]) -> np.ndarray:
        """Frames to be loaded, (t,), as an array of numbers; InputError where the video cannot have them all."""
        frames = np.asarray(frames)
        if problem := self.problem(spec, int(frames.max()) + 1):
            raise InputError(problem)
        return frames

    def inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        """Read every frame of a video that should have `num_frames` -> (frames read, all that is wrong)."""
        held, text = self.count(spec), self.problem(spec, num_frames)
        if text is None and held > num_frames:
            text = f"list says {num_frames} frames, {self.path} holds {held}"
        if text:
            return held, [("frame count", text)]
        for start in range(0, num_frames, CHUNK):
            try:
                self.load(spec, range(start, min(start + CHUNK, num_frames)), whole_frames)
            except InputError as error:
                return start, [("unreadable frame", str(error))]
        return num_frames, []


class MissingStore(Store):
    """What a list line names where nothing is there."""

    kind = "nothing"

    def __init__(self, path: Path, others: Sequence[str]):
        super().__init__(path)
        self.text = f"no folder {path}, nor {' or '.join(others)}, nor a video file of that name"

    def count(self, spec: DatasetSpec) -> int:
        return 0

    def problem(self, spec: DatasetSpec, num_frames: int) -> str:
        return self.text

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        raise InputError(f"{self.text}; put the video there or correct its list line")

    def inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        return 0, [("missing folder", self.text)]


def map_file(path: Path) -> mmap.mmap:
    """A file's bytes, read when they are looked at; ValueError for an empty file."""
    with open(path, "rb", 0) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
