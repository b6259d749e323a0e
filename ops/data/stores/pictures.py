"""Stores that hold a video as pictures, whose names follow the dataset's template: how these become a clip."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ops.data.decoding import decode, picture_size
from ops.data.frame_names import frame_numbers, has_folder_number, name_pattern
from ops.data.specs import DatasetSpec
from ops.data.stores.store import Fault, Store, ViewOf
from ops.data.views import whole_frames
from ops.errors import InputError

Buffer = bytes | memoryview

MOST_NAMES = 1_000_000  # of missing frames that are looked for where a list asks for more


def frame_files(spec: DatasetSpec, path: Path, frames: Iterable[int]) -> list[str]:
    """File names of frames counted from 0 in a folder or zip; for flow those of all x images, then of all y images.

    A template of three fields, as for Something-Something's flow, also takes the folder's number.
    """
    numbers = [spec.first_frame + int(frame) for frame in frames]
    if not spec.is_flow:
        return [spec.image_tmpl.format(number) for number in numbers]
    video = ()
    if has_folder_number(spec.image_tmpl):
        name = path.name.removesuffix(".zip")
        if not name.isdigit():
            raise InputError(f"{path}: template {spec.image_tmpl} needs folders named by a number")
        video = (int(name),)
    return [spec.image_tmpl.format(*video, axis, number) for axis in "xy" for number in numbers]


class PictureStore(Store):
    """A video as pictures that can be asked for by name."""

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all files that are not hidden."""

    @abstractmethod
    def holds(self, name: str) -> bool:
        """Whether a picture is there."""

    @abstractmethod
    def read(self, name: str) -> Buffer:
        """The bytes of a picture; InputError names one that is missing."""

    def frame_files(self, spec: DatasetSpec, frames: Iterable[int]) -> list[str]:
        """As the function of this name; where each video has a first number of its own, it is looked for."""
        if spec.first_frame is None:
            numbers = frame_numbers(spec.image_tmpl, self.names())
            spec = replace(spec, first_frame=numbers[0] if numbers else 1)
        return frame_files(spec, self.path, frames)

    def count(self, spec: DatasetSpec) -> int:
        return len(frame_numbers(spec.image_tmpl, self.names()))

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """As for every store; looks for the last frame only."""
        last = self.frame_files(spec, [num_frames - 1])[-1]
        if self.holds(last):
            return None
        return f"list says {num_frames} frames, {self.kind} holds {self.count(spec)} (no {last} in {self.path})"

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        return self.clip(self.frame_files(spec, frames), view_of, spec.is_flow, spec.keep_damaged)

    def clip(
        self, names: Sequence[str], view_of: ViewOf = whole_frames, grey: bool = False, keep_damaged: bool = False
    ) -> Tensor:
        """Decode the named pictures -> what is seen of them, uint8 (t, c, S, S), c = 1 if all are grey, else 3.

        Only the seen part of a frame is kept; for `grey` and `keep_damaged` see `decode`. Raises InputError for frames
        that are missing, damaged or of two sizes.
        """
        data = self.read(names[0])
        first = picture_size(data, f"{self.path}/{names[0]}")
        view = view_of(*first)
        top, left, height, width = (side // 2 for side in view.box) if view.halved else view.box
        clip = None
        for i, name in enumerate(names):
            size, frame = decode(self.read(name) if i else data, f"{self.path}/{name}", view.halved, grey, keep_damaged)
            if size != first:
                raise InputError(
                    f"{self.path}: {names[0]} is {first[1]}x{first[0]} but {name} is {size[1]}x{size[0]};"
                    " extract the video again"
                )
            frame = frame[top : top + height, left : left + width].reshape(height, width, -1)
            if clip is None:
                clip = np.empty((len(names), *frame.shape), np.uint8)
            elif frame.shape[2] > clip.shape[3]:  # the first coloured one
                clip = np.repeat(clip, 3, axis=3)
            clip[i] = frame  # a grey one fills all three channels
        return view.finish(torch.from_numpy(clip).permute(0, 3, 1, 2))

    def inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        """As for every store; finds all pictures that are wrong, not only the first."""
        try:
            return self._inspect(spec, num_frames)
        except OSError as error:
            return 0, [(f"unreadable {self.kind}", f"{self.path}: {error.strerror or error}")]

    def _inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        found = set(self.names())
        images = 2 if spec.is_flow else 1  # a frame
        wanted = self.frame_files(spec, range(min(num_frames, len(found) + MOST_NAMES)))
        present = [name for name in wanted if name in found]
        held = len([name for name in found if name_pattern(spec.image_tmpl).fullmatch(name)])
        faults, sizes = [], Counter()
        if len(present) < len(wanted) or held != images * num_frames:
            text = f"list says {images * num_frames} images, {self.kind} holds {held}"
            absent = next((name for name in wanted if name not in found), None)
            faults.append(("frame count", f"{text}; first missing {absent}" if absent else text))
        for name in present:
            try:
                size, _ = decode(
                    self.read(name), f"{self.path}/{name}", grey=spec.is_flow, keep_damaged=spec.keep_damaged
                )
                sizes[size] += 1
            except InputError as error:
                faults.append(("unreadable frame", str(error)))
        if len(sizes) > 1:
            text = ", ".join(f"{count} of {width}x{height}" for (height, width), count in sizes.most_common())
            faults.append(("sizes change", f"{self.path}: {text}"))
        return len(present), faults
