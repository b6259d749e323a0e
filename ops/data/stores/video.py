"""A video as the file it came in."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from ops.data.specs import DatasetSpec
from ops.data.stores.store import Fault, Store, ViewOf
from ops.data.video_file import VideoFile
from ops.data.video_index import VideoIndex, read_index
from ops.errors import InputError

AHEAD = 4  # frames that are decoded rather than jumped over: after a jump, a decoder has as many to fill up again


class Lost(Exception):
    """The frames that came are not those that the index says."""


class VideoStore(Store):
    """A video file. Neighbouring frames are decoded in one pass; for others it goes to the key frame before them.

    It stays open where it was left, so that a long video may be asked for part by part, and is closed when the store is
    no longer used.
    """

    kind = "video file"

    def __init__(self, path: Path):
        super().__init__(path)
        self.file: VideoFile | None = None
        self.next = 0  # the number of the frame that comes next

    def __del__(self):
        self.close()

    def close(self) -> None:
        """Let go of the file; it is opened again when frames are asked for."""
        file, self.file = self.file, None
        if file is not None:
            file.close()

    @cached_property
    def index(self) -> VideoIndex:
        return read_index(self.path)

    def count(self, spec: DatasetSpec) -> int:
        """As for every store; where it is not known yet, the file is decoded once. InputError for a damaged one."""
        if self.index.damage and not spec.keep_damaged:
            raise InputError(f"{self.path} cannot be decoded: {self.index.damage}")
        return self.index.frames

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """As for every store; its frames cannot be flow."""
        if spec.is_flow:
            return f"{self.path} is a video file, which cannot be flow; tools/extract_flow.py makes flow of it"
        return super().problem(spec, num_frames)

    def inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        """As for every store; a file that cannot be decoded is one fault."""
        try:
            return super().inspect(spec, num_frames)
        except InputError as error:
            return 0, [("unreadable video", str(error))]
        finally:
            self.close()

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        if spec.is_flow:
            raise InputError(self.problem(spec, 1))
        numbers, places = np.unique(np.asarray(frames), return_inverse=True)
        clip, done = None, 0
        for frame in self._frames(numbers.tolist(), spec.keep_damaged):
            pixels = self.file.pixels(frame, spec.short_side)
            if clip is None:
                view = view_of(*pixels.shape[:2])
                top, left, height, width = view.box
                clip = np.empty((len(numbers), height, width, 3), np.uint8)
            clip[done] = pixels[top : top + height, left : left + width]
            done += 1
        if done < len(numbers):
            self.close()
            raise InputError(f"list says {numbers[-1] + 1} or more frames, {self.path} holds {self.count(spec)}")
        if len(places) > len(numbers) or (np.diff(places) < 0).any():  # else all are in their places
            clip = clip[places]
        return view.finish(torch.from_numpy(clip).permute(0, 3, 1, 2))

    def _frames(self, numbers: list[int], keep_damaged: bool) -> Iterator[av.VideoFrame]:
        """Frames by their numbers, which grow; fewer where the file ends before."""
        if self.file is None or self.file.keep_damaged != keep_damaged:
            self.close()
            self.file, self.next = VideoFile(self.path, keep_damaged), 0
        given, apart = 0, numbers[0] != self.next or numbers[-1] - numbers[0] >= len(numbers)
        if apart and self.index.times and numbers[-1] < self.index.frames:
            try:
                for frame in self._search(numbers):
                    yield frame
                    given += 1
            except (Lost, InputError):  # then from the first frame on
                self._restart()
            finally:
                self.file.skip, self.file.keep_damaged = None, keep_damaged
        if given < len(numbers):
            yield from self._count(numbers[given:])

    def _restart(self) -> None:
        self.file.restart()
        self.next = 0

    def _count(self, numbers: list[int]) -> Iterator[av.VideoFrame]:
        """Frames by counting all that come."""
        if numbers[0] < self.next:
            self._restart()
        wanted = iter(numbers)
        number = next(wanted)
        for frame in self.file.frames():
            self.next += 1
            if self.next > number:
                yield frame
                number = next(wanted, None)
                if number is None:
                    return

    def _search(self, numbers: list[int]) -> Iterator[av.VideoFrame]:
        """Frames by their times, from the last key frame before each; `Lost` where others come.

        Of the frames in between only those are decoded that others refer to. What is damaged there does not matter.
        """
        times, keys = self.index.times, self.index.keys
        number_of = {time: number for number, time in enumerate(times)}
        wanted = {times[number] for number in numbers}
        last = times[numbers[-1]]  # what comes behind it is decoded, so that a next call can go on

        def skip(packet: av.Packet) -> bool:
            return packet.pts is not None and packet.pts < last and packet.pts not in wanted

        self.file.skip, self.file.keep_damaged = skip, True
        for number in numbers:
            place = bisect_right(keys, number) - 1
            if number < self.next or place >= 0 and keys[place] > self.next + AHEAD:
                self._go(place)
            for frame in self.file.frames():
                found = number_of.get(frame.pts)
                if found is None or found > number:
                    raise Lost
                self.next = found + 1
                if found == number:
                    break
            else:
                raise Lost
            if frame.is_corrupt:
                raise Lost
            yield frame

    def _go(self, place: int) -> None:
        """Stand before the key frame at `place` in the index, or an earlier one."""
        times, keys = self.index.times, self.index.keys
        key_times = {times[key]: key for key in keys}
        while place >= 0:
            landed = self.file.seek(times[keys[place]])
            if landed is not None and landed <= times[keys[place]] and landed in key_times:
                self.next = key_times[landed]
                return
            place -= 1
        self._restart()
