"""A video as raw pixels in one file."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ops.data.specs import DatasetSpec
from ops.data.stores.store import Store, ViewOf, map_file
from ops.errors import InputError


class RawStore(Store):
    """A video as pixels in one file, of which the seen part alone is read, by way of a memory map."""

    kind = "raw pack"
    # as numpy and tools/pack_frames.py write it
    HEADER = re.compile(
        rb"\x93NUMPY\x01\x00..\{'descr': '\|u1', 'fortran_order': False, 'shape': \(([0-9, ]+)\), \} *\n", re.DOTALL
    )

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self.pixels = self._map()
        except (OSError, ValueError, EOFError, OverflowError) as error:
            raise InputError(f"cannot read {path}: {error}; pack the video again") from None
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or not all(shape):
            raise InputError(
                f"{path} holds {self.pixels.dtype} {shape}, not uint8 (t, H, W) or (t, H, W, 3); pack the video again"
            )

    def _map(self) -> np.ndarray:
        """The file as an array; numpy's own way takes half as long as reading the frames of a small video."""
        content = map_file(self.path)
        header = self.HEADER.match(content)
        if header is None:
            return np.load(self.path, mmap_mode="r").view(np.ndarray)
        shape = [int(size) for size in header[1].split(b",") if size.strip()]
        return np.frombuffer(content, np.uint8, math.prod(shape), header.end()).reshape(shape)

    def count(self, spec: DatasetSpec) -> int:
        return len(self.pixels)

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """As for every store; its frames cannot be flow."""
        if spec.is_flow:
            return f"{self.path} holds raw frames, which cannot be flow; pack flow without --raw"
        return super().problem(spec, num_frames)

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        frames = self.held(spec, frames)
        view = view_of(*self.pixels.shape[1:3])
        top, left, height, width = view.box
        seen = self.pixels[:, top : top + height, left : left + width]
        clip = torch.from_numpy(seen[frames])  # (t, h, w) or (t, h, w, 3)
        return view.finish(clip[:, None] if clip.ndim == 3 else clip.permute(0, 3, 1, 2))
