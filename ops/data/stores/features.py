"""A video as features, which a network has made of its frames: `tools/extract_features.py` writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ops.data.specs import DatasetSpec
from ops.data.stores.store import Fault, Store, ViewOf
from ops.errors import InputError

ENDING = ".features.npy"
SPANS = ".spans.npy"  # beside it, the index of times: int64 (t, 2), the first and the last frame of each row


class FeatureStore(Store):
    """A video as one array of floats: a row for each time step, (t, d) or (t, d, h, w). Others than those asked
    for are not read."""

    kind = "features"

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self.rows = np.load(path, mmap_mode="r").view(np.ndarray)
        except (OSError, ValueError, EOFError, OverflowError) as error:
            raise InputError(f"cannot read {path}: {error}; extract the features again") from None

    def count(self, spec: DatasetSpec) -> int:
        return len(self.rows) if self.rows.ndim else 0

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """As for every store; the features must be of the shape that the dataset says."""
        rows, shape = self.rows, spec.features
        if shape is None:
            return f"{self.path} holds features, not frames; give the modality Features"
        if rows.dtype.kind != "f" or list(rows.shape[1:]) != shape:
            wanted = " x ".join(map(str, shape))
            return (
                f"{self.path} holds {rows.dtype} {rows.shape}, not rows of {wanted} floats as the dataset says; extract"
                " the features again"
            )
        return super().problem(spec, num_frames)

    def load(self, spec: DatasetSpec, frames: Sequence[int], view_of: ViewOf) -> Tensor:
        """Rows by their numbers, float16 (t, d, h, w), as they are; vectors are maps of one place."""
        frames = self.held(spec, frames)
        rows = torch.from_numpy(self.rows[frames].astype(np.float16, copy=False))
        return rows[:, :, None, None] if rows.ndim == 2 else rows

    def inspect(self, spec: DatasetSpec, num_frames: int) -> tuple[int, list[Fault]]:
        """As for every store; finds rows that are no numbers, too."""
        read, faults = super().inspect(spec, num_frames)
        odd = next((row for row in range(read) if not np.isfinite(self.rows[row]).all()), None)
        if odd is not None:
            faults.append(("not finite", f"{self.path}: row {odd} holds what is no number; extract the features again"))
        return read, faults
