"""What a network makes of a video, to be kept: maps or vectors of its frames, or of the clusters they merge into.

    layer4     maps as the last stage leaves them (of a ResNet: layer4), (rows, d, h, w)
    pool       their means over places, (rows, d)
    clusters   the same of a model that clusters, a row a cluster

Every row has a span: the first and the last frame that it is made of. Frames pass the network in chunks, so memory does
not grow with a video.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.stores import Store
from ops.data.stores.features import ENDING, SPANS
from ops.errors import InputError
from ops.files import whole_file, write_whole
from ops.models import TSN
from ops.streaming import Frames
from ops.training.placement import full_precision

PLACES = ("layer4", "pool", "clusters")


class Rows(NamedTuple):
    """Some of a video's features, in the order of time."""

    values: Tensor  # float16 (m, d) or (m, d, h, w), on the host
    steps: np.ndarray  # int64 (m, 2), the first and the last time step that each is made of


# ---------------------------------------------------------------- the network


@torch.inference_mode()
def check_place(model: TSN, at: str, source: str) -> None:
    """Raise InputError where the model of `source` has no such features."""
    clusters = model.clustering is not None
    if clusters and at == "pool":
        raise InputError(f"{source} clusters: its vectors are those of clusters; take --at clusters")
    if not clusters and at == "clusters":
        raise InputError(f"{source} does not cluster; take --at pool or --at layer4")
    rows = len(_trunk_of(model, torch.rand(_entering(model), *_stem_shape(model)))[0])
    if rows != model.num_segments:
        raise InputError(
            f"{source} makes {rows} time steps of {model.num_segments} inside of its network, so that no row belongs to"
            " a frame or a cluster; give a model without"
        )


@torch.inference_mode()
@full_precision()
def mixes_time(model: TSN) -> bool:
    """Whether the model, in eval mode, mixes frames that do not cluster: by shift, say. Then the order matters."""
    if model.clustering is not None or model.num_segments == 1:
        return False
    frames = torch.rand(model.num_segments, *_stem_shape(model), generator=torch.Generator().manual_seed(0))
    forth, back = (_trunk_of(model, x)[0] for x in (frames, frames.flip(0)))
    return not torch.allclose(forth, back.flip(0), rtol=1e-3, atol=1e-5)


def rows_of(model: TSN, steps: Frames, at: str, chunk: int) -> Iterator[Rows]:
    """The features of one video by a model in eval mode, which is asked for what `check_place` allows.

    `steps` are time steps as loaded, uint8 (t, channels, S, S). Without clustering a row stands for a step, and `chunk`
    of them come at a time; a model that `mixes_time` wants all of its num_segments in one.
    """
    if model.clustering is None:
        for start in range(0, len(steps), chunk):
            number = np.arange(start, min(start + chunk, len(steps)))
            x, _ = _trunk_of(model, model.run_stem(steps[start : start + chunk]))
            yield Rows(_kept(model, x, at), np.stack([number, number], 1))
        return
    means, assignment, _ = model.cut(steps, torch.tensor([len(steps)]), chunk)
    x, merged = _trunk_of(model, means)
    yield Rows(_kept(model, x, at), _spans(assignment.cpu().numpy(), len(means), merged))


def _entering(model: TSN) -> int:
    """Representations of a video that enter the trunk."""
    return model.clustering.num_clusters if model.clustering else model.num_segments


def _stem_shape(model: TSN) -> tuple[int, ...]:
    """What a small frame becomes by the stem, (c, h, w)."""
    return model.run_stem(torch.zeros(1, model.base_model.in_channels, 64, 64)).shape[1:]


def _trunk_of(model: TSN, x: Tensor) -> tuple[Tensor, list[np.ndarray]]:
    """One video's representations through the trunk, (m, c, h, w) -> (r, d, h, w), and where later places of clustering
    put those before them, (m,) each."""
    x, merged = x.to(model.device), []
    for stage in model.trunk_stages:
        x = model.base_model.run_stage(stage, x)
        if stage in model.cascade:
            x, assignment = model.cascade[stage](x, torch.tensor([len(x)]))
            merged.append(assignment.cpu().numpy())
    return x, merged


def _kept(model: TSN, x: Tensor, at: str) -> Tensor:
    """(m, d, h, w) as it is kept."""
    return (x if at == "layer4" else model.base_model.pool(x)).half().cpu()


def _spans(assignment: np.ndarray, num_clusters: int, merged: list[np.ndarray]) -> np.ndarray:
    """First and last step of each cluster (g, 2), from the cluster of each step (t,) and of each cluster in turn."""
    spans, shown = np.empty((num_clusters, 2), np.int64), len(assignment)
    for k in range(num_clusters):
        members = np.flatnonzero(assignment == k)
        if not len(members):  # fewer steps than clusters: some show a step again
            members = np.array([k * shown // num_clusters])
        spans[k] = members[0], members[-1]
    for later in merged:
        groups = [spans[later == k] for k in range(later.max() + 1)]
        spans = np.array([[group[:, 0].min(), group[:, 1].max()] for group in groups])
    return spans


# ---------------------------------------------------------------- one video


class VideoSteps:
    """The time steps of a video in a store, read when a slice asks for them: those that begin at frames `first` (t,).

    `on_read` hears how many steps were read.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        video: Video,
        store: Store,
        first: np.ndarray,
        on_read: Callable[[int], object] = lambda steps: None,
    ):
        self.dataset, self.video, self.store, self.first, self.on_read = dataset, video, store, first, on_read

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, part: slice) -> Tensor:
        clip = self.dataset.clip(self.store, self.video, self.first[part], None)  # evaluation draws nothing
        self.on_read(len(clip))
        return clip

    def frames(self, spans: np.ndarray) -> np.ndarray:
        """Spans of steps as spans of frames, counted from 0, int64 (m, 2) both."""
        last = self.first[spans[:, 1]] + self.dataset.modality.stack - 1
        return np.stack([self.first[spans[:, 0]], np.minimum(last, self.video.num_frames - 1)], 1)


class ReadAhead:
    """Steps that are read by `threads` before they are asked for, where slices follow one another."""

    def __init__(self, steps: Frames, threads: int):
        self.steps, self.pool, self.threads = steps, ThreadPoolExecutor(threads), threads
        self.reading: dict[tuple[int, int], Future[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, part: slice) -> Tensor:
        start, stop, _ = part.indices(len(self))
        size = max(1, stop - start)
        starts = range(start, min(len(self), stop + self.threads * size), size)
        wanted = [(start, stop), *((i, min(i + size, len(self))) for i in starts[1:])]
        for passed in self.reading.keys() - {*wanted}:
            self.reading.pop(passed).cancel()
        for place in wanted:
            if place not in self.reading:
                self.reading[place] = self.pool.submit(self.steps.__getitem__, slice(*place))
        return self.reading.pop((start, stop)).result()

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(self, *error) -> None:
        self.pool.shutdown(cancel_futures=True)


@torch.inference_mode()
@full_precision()
def write_features(model: TSN, steps: VideoSteps, at: str, chunk: int, threads: int, path: Path) -> None:
    """Write the features of a video and their spans.

    They are `path` with the endings of `ops/data/stores/features.py`; the features come last, and are whole or not
    there. Raises InputError where one is no number of float16.
    """
    num_rows = len(steps) if model.clustering is None else model.num_segments
    spans: list[np.ndarray] = []
    with whole_file(Path(f"{path}{ENDING}")) as file, ReadAhead(steps, threads) as ahead:
        for values, some in rows_of(model, ahead, at, chunk):
            if not values.isfinite().all():
                raise InputError(
                    f"{steps.video.path}: a feature is none, or beyond what float16 can hold; the weights are spoiled"
                )
            if not spans:
                header = {"descr": "<f2", "fortran_order": False, "shape": (num_rows, *values.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(values.numpy().astype("<f2", copy=False).tobytes())
            spans.append(steps.frames(some))
        index = io.BytesIO()
        np.save(index, np.concatenate(spans))
        write_whole(Path(f"{path}{SPANS}"), index.getvalue())
