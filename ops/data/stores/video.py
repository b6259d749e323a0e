"""A video as a video file, decoded by ffmpeg while it is read."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ops.data.ffmpeg import find_ffmpeg
from ops.data.specs import DatasetSpec
from ops.data.stores.store import Store, ViewOf
from ops.data.video_file import read_video
from ops.errors import InputError

CHUNK = 32  # frames that are decoded at a time


class VideoStore(Store):
    """The frames of a video file, shrunk to a short side, for those who read them forward, by one thread.

    Some of the last frames are held. Asked for one before them, it decodes the file anew from its beginning. So it is
    none of `STORES`, whose clips are read anywhere.
    """

    kind = "video file"

    def __init__(self, path: Path, short_side: int):
        super().__init__(path)
        self.short_side, self.total = short_side, None
        self._begin()

    def _begin(self) -> None:
        self.clips = read_video(find_ffmpeg()[0], self.path, self.short_side, CHUNK)
        self.held, self.end = [], 0  # the last frames that were decoded, and how many there were in all

    def count(self, spec: DatasetSpec) -> int:
        """Decodes the whole file the first time."""
        if self.total is None:
            self.total = sum(len(clip) for clip in read_video(find_ffmpeg()[0], self.path, self.short_side, CHUNK))
        return self.total

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        """As for every store, of frames in the order of time."""
        clip = torch.stack([self._frame(int(number)) for number in frames])  # (t, 3, H, W)
        return view_of(*clip.shape[2:])(clip)

    def _frame(self, number: int) -> Tensor:
        if number < self.end - len(self.held):
            self._begin()
        while number >= self.end:
            clip = next(self.clips, None)
            if clip is None:
                raise InputError(f"{self.path} has {self.end} frames, and frame {number} is asked for")
            self.held, self.end = [*self.held[-CHUNK:], *clip], self.end + len(clip)
        return self.held[number - self.end]
