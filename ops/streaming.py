"""The stem over any number of frames: what is held are the frames as bytes and the activations of one chunk.

    changes    chunk -> activations -> how many signs changed since the frame before, or another distance
    cut        changes (sum t,) -> clusters C_1 .. C_ng
    means      chunk -> activations, added up:   m[k] = sum over i in C_k of a[i] / |C_k|
    backward   chunk -> activations again, with gradient:   dL/da[i] = dL/dm[k] / |C_k|,  i in C_k

Only frames pass here, no gradient for them; that of the weights is plain autograd's, summed over chunks. The first
chunks' activations stay for the means as far as a budget of memory goes, the others are computed again. `slope` need
not do that: it keeps the g-1 largest changes so far and the sums of activations between them, and where a larger change
enters, the smallest one leaves and its neighbours merge. `representative` gradients come from one frame i of each
cluster, drawn evenly, as |C_k| dL/da[i]: right on average, and backward costs g frames, not t.

Each frame must pass the stem by itself. A BatchNorm that takes its statistics from what it sees would see a chunk
where it should see the batch, so that such a stem cannot pass in chunks: `can_stream`.

Under autocast the stem runs in its precision, in every pass; sums are float32.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ops.clustering import CLUSTERINGS, DISTANCES, REDUCTIONS, Clusters, TemporalClustering, frame_changes

STEM_GRADS = ("exact", "representative")
AT_ONCE = 2 * 2**30  # bytes of the stem's activations up to which `auto` does not stream; on CUDA a part of its memory
CHUNK = {"cuda": 64, "mps": 32}  # frames in a chunk for `auto`; on a CPU 8, which its cache likes
KEPT = 64 * 2**20  # bytes of activations kept for the means where the device does not tell what is free
ALL_AT_ONCE = "all frames of a batch at once"

Host, Item = TypeVar("Host"), TypeVar("Item")


# ---------------------------------------------------------------- what passes in chunks, and when


class Stem(NamedTuple):
    """The part of a network that every frame passes by itself."""

    run: Callable[[Tensor], Tensor]  # frames (m, channels, S, S) uint8 or float -> activations (m, c, h, w)
    modules: Sequence[nn.Module]  # those that it runs: their parameters get the gradients
    device: torch.device
    in_channels: int

    @property
    def training_norms(self) -> list[nn.Module]:
        """The BatchNorms that take their statistics from what they see."""
        norms = (module for stage in self.modules for module in stage.modules())
        return [norm for norm in norms if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.training]


class Frames(Protocol):
    """A (sum t, c, S, S) uint8 tensor, or anything that gives one for a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice) -> Tensor: ...


@dataclass(frozen=True)
class Streaming:
    """Batches of more than `above` frames pass the stem in chunks of `chunk`; the others at once.

    Up to `memory` bytes of activations stay from the first pass to the second.
    """

    chunk: int
    above: int = 0
    representative: bool = False
    memory: int = 0

    def __str__(self) -> str:
        text = f"in chunks of {self.chunk} frames"
        if self.representative:
            text += ", gradient of one frame per cluster"
        return f"batches of up to {self.above} frames at once, longer ones {text}" if self.above else text


def can_stream(stem: Stem, clustering: TemporalClustering) -> bool:
    """Whether frames may pass in chunks now: each by itself, and cut by what changes from one to the next."""
    return not stem.training_norms and not CLUSTERINGS[clustering.method].whole_videos


def describe_streaming(streaming: Streaming | None, stem: Stem, clustering: TemporalClustering) -> str:
    """How frames pass the stem as it is now, in training or evaluation, for the header of a program."""
    if streaming is None:
        return ALL_AT_ONCE
    if stem.training_norms:
        return f"{ALL_AT_ONCE}; --freeze_stem_bn lets long videos pass in chunks"
    return str(streaming) if can_stream(stem, clustering) else f"{ALL_AT_ONCE}, as {clustering.method} looks at them"


def choose_streaming(
    stem: Stem, wish: int | str, size: int, representative: bool = False, memory: int | str = "auto"
) -> Streaming | None:
    """What `--stem_chunk` asks for: a number of frames, 0 for None (never stream), or "auto".

    `auto` streams batches whose activations of the stem, as backward needs them, would take more than `AT_ONCE` bytes,
    or a quarter of a CUDA device's memory: those of one frame of `size` pixels are counted. Representative gradients
    are always worth streaming. `memory` is `--stem_memory` in bytes; its `auto` is a quarter of what is free on CUDA,
    else `KEPT`. A stem without modules, as there is without clustering, never streams.
    """
    if not stem.modules or wish == 0:
        return None
    device = stem.device
    if memory == "auto":
        memory = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else KEPT
    if wish != "auto":
        return Streaming(int(wish), 0, representative, int(memory))
    chunk, above = CHUNK.get(device.type, 8), 0
    if not representative:
        at_once = torch.cuda.mem_get_info(device)[1] // 4 if device.type == "cuda" else AT_ONCE
        above = max(chunk, at_once // saved_bytes(stem, size))
    return Streaming(chunk, above, representative, int(memory))


def saved_bytes(stem: Stem, size: int) -> int:
    """Bytes of activations that the stem keeps for backward, for one frame of `size` pixels."""
    saved = {}

    def keep(x: Tensor) -> Tensor:
        if x.ndim == 4 and len(x) == 1:  # neither weights nor statistics
            saved[x.data_ptr()] = x.nbytes
        return x

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x)
    with _frozen(stem.training_norms), torch.enable_grad(), hooks:
        x = stem.run(torch.zeros(1, stem.in_channels, size, size))
    return sum(saved.values()) or x.nbytes


@contextmanager
def _frozen(norms: Sequence[nn.Module]) -> Iterator[None]:
    """BatchNorms that train neither take nor keep statistics meanwhile."""
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


# ---------------------------------------------------------------- chunks


class Chunks:
    """Frames of packed videos, cut into chunks of one video each, and the stem that they pass."""

    def __init__(self, stem: Stem, frames: Frames, lengths: Sequence[int], size: int):
        self.stem, self.frames, self.size = stem, frames, size
        bounds = [0, *np.cumsum(lengths).tolist()]
        self.starts = {*bounds[:-1]}  # of videos
        self.parts = [slice(i, min(i + size, end)) for start, end in pairwise(bounds) for i in range(start, end, size)]
        device = stem.device.type  # backward runs outside of the autocast that it has to repeat
        self.autocast = partial(
            torch.autocast, device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        )

    def activations(self, parts: Iterable[slice | Tensor], gradient: bool = False) -> Iterator[Tensor]:
        """The activations of each part of the frames, (m, c, h, w)."""
        device = self.stem.device
        for frames in copied_ahead((self.frames[part] for part in parts), device, partial(to_device, device=device)):
            with self.autocast(), torch.set_grad_enabled(gradient):
                x = self.stem.run(frames)
            yield x


def copied_ahead(items: Iterable[Host], device: torch.device, copy: Callable[[Host], Item]) -> Iterator[Item]:
    """What `copy` makes of each item, on a device; on CUDA it is called while the item before is computed on.

    Each item is asked for one earlier there, and up to three are on the device. `copy` must not wait for the device.
    """
    if device.type != "cuda":
        yield from map(copy, items)
        return
    computing, copying, ahead = torch.cuda.current_stream(device), copying_stream(device), []
    for item in items:
        copying.wait_stream(computing)  # until the one before the last is done with: the copy may take its memory
        with torch.cuda.stream(copying):
            following = copy(item)
        yield from ahead
        computing.wait_stream(copying)
        ahead = [following]
    yield from ahead


@cache
def copying_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all copies: PyTorch keeps memory that was freed for the stream that it was taken on."""
    return torch.cuda.Stream(device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move without waiting: to CUDA from pinned memory, as the host would wait for a copy from other memory."""
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


# ---------------------------------------------------------------- changes


def find_changes(
    chunks: Chunks,
    distance: str,
    see: Callable[[slice, Tensor, Tensor], None],
) -> tuple[Tensor, Tensor]:
    """The `frame_changes` by a distance, (sum t,) int64, and the last frame's activations (1, c, h, w).

    `see` is shown each part of the frames, with its activations (m, c, h, w) and changes (m,).
    """
    device = chunks.stem.device
    changes, before = torch.zeros(len(chunks.frames), dtype=torch.int64, device=device), None
    for part, x in zip(chunks.parts, chunks.activations(chunks.parts), strict=True):  # x (m, c, h, w)
        if part.start in chunks.starts:
            before = x[:1]  # nothing comes before a video's first frame, which is compared with itself
        joined = torch.cat([before, x])
        changes[part] = frame_changes(joined, torch.full((1,), len(joined), device=device), distance)[1:]
        see(part, x, changes[part])
        before = x[-1:].clone()
    return changes, before


# ---------------------------------------------------------------- means


class SecondPass:
    """Means by another run of the stem; what it need not find again are the last activations, and the first ones, which
    were kept up to `memory` bytes while changes were found.
    """

    def __init__(self, chunks: Chunks, memory: int):
        self.chunks, self.memory, self.kept = chunks, memory, {}

    def see(self, part: slice, x: Tensor, changes: Tensor) -> None:
        self.memory -= x.nbytes
        if self.memory >= 0 or part == self.chunks.parts[-1]:
            self.kept[part.start] = x

    def means(self, clusters: Clusters, like: Tensor) -> Tensor:
        """Those of all clusters, (n*g, d), to the bit the same whatever was kept; `like` is one activation."""
        parts, means = self.chunks.parts, _wide(like.new_zeros(len(clusters.start), like.numel()))
        again = self.chunks.activations([part for part in parts if part.start not in self.kept])
        for part in parts:
            x = self.kept.pop(part.start) if part.start in self.kept else next(again)
            means.addmm_(_membership(clusters, part, means), _wide(x.flatten(1)))
        return means


class MeansAtLargest:
    """Means of clusters that start at the g-1 largest changes, added up while these are found."""

    def __init__(self, chunks: Chunks, num_clusters: int):
        self.chunks, self.num_clusters, self.videos = chunks, num_clusters, []

    def see(self, part: slice, x: Tensor, changes: Tensor) -> None:
        if part.start in self.chunks.starts:
            self.videos.append(_Segments(self.num_clusters))
        index = torch.arange(part.start, part.stop, device=x.device)
        self.videos[-1].add(_wide(x.flatten(1)), changes, index)

    def means(self, clusters: Clusters, like: Tensor) -> Tensor:
        """Those of all clusters, (n*g, d); `like` is one activation."""
        start = torch.cat([video.start for video in self.videos])
        row = torch.searchsorted(start, clusters.start, right=True) - 1
        if torch.equal(start[row], clusters.start):  # waits for the device, once a batch
            return torch.cat([video.sums for video in self.videos])[row] / clusters.size[:, None]
        return SecondPass(self.chunks, 0).means(clusters, like)  # a video without any change is cut evenly


class _Segments:
    """A video cut at its g-1 largest changes so far; (rows, d) sums of activations, O(g) memory."""

    def __init__(self, num_clusters: int):
        self.num_clusters, self.start, self.changes, self.sums = num_clusters, None, None, None

    def add(self, x: Tensor, changes: Tensor, index: Tensor) -> None:
        """The next frames of the video, activations (m, d), changes (m,) and packed numbers (m,)."""
        held = 0
        if self.sums is not None:  # each segment so far is as one more frame, its first
            held = len(self.sums)
            changes, index = torch.cat([self.changes, changes]), torch.cat([self.start, index])
        largest = changes[1:].sort(descending=True, stable=True).indices[: self.num_clusters - 1]  # earlier of equals
        row = torch.cat([largest.new_zeros(1), largest.sort().values + 1])  # where segments start now
        label = torch.searchsorted(row, torch.arange(len(changes), device=x.device), right=True) - 1
        member = (label == torch.arange(len(row), device=x.device)[:, None]).to(x.dtype)  # (rows, held + m)
        sums = member[:, held:] @ x
        if held:
            sums.addmm_(member[:, :held], self.sums)
        self.sums, self.changes, self.start = sums, changes[row], index[row]


def _membership(clusters: Clusters, part: slice, like: Tensor) -> Tensor:
    """1 / |C_k| where frame i is in C_k, else 0, for the m frames of a part -> (n*g, m)."""
    start, size = clusters.start[:, None], clusters.size[:, None]
    index = torch.arange(part.start, part.stop, device=like.device)
    return ((index >= start) & (index < start + size)).to(like.dtype) / size


def _wide(x: Tensor) -> Tensor:
    """What sums are made of: float32 for activations of lower precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


# ---------------------------------------------------------------- backward


def exact_gradients(chunks: Chunks, clusters: Clusters, grad: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Activations of every frame, with gradient, and dL/da of each; `grad` is dL/dm (n*g, d)."""
    for part, x in zip(chunks.parts, chunks.activations(chunks.parts, gradient=True), strict=True):
        yield x, _membership(clusters, part, grad).T @ grad


def representative_gradients(
    chunks: Chunks, clusters: Clusters, grad: Tensor, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Activations of one frame of each cluster, with gradient, and |C_k| dL/da = dL/dm of each (n*g, d)."""
    share = to_device(torch.from_numpy(rng.random(len(grad), np.float32)), grad.device)
    drawn = clusters.start + (share * clusters.size).long().minimum(clusters.size - 1)
    parts = drawn.to(chunks.frames.device).split(chunks.size)  # waits for the device: frames are taken on the host
    yield from zip(chunks.activations(parts, gradient=True), grad.split(chunks.size), strict=True)


# ---------------------------------------------------------------- all of it


class _StreamedMeans(torch.autograd.Function):
    """The steps at the top of this file; the stem's parameters are inputs so that autograd takes their gradients."""

    @staticmethod
    def forward(
        ctx,
        chunks: Chunks,
        clustering: TemporalClustering,
        lengths: Tensor,
        rng: np.random.Generator | None,
        memory: int,
        draw: Tensor | None,
        *parameters: Tensor,
    ):
        summing = SecondPass(chunks, memory)
        if CLUSTERINGS[clustering.method].at_largest and REDUCTIONS[clustering.reduce].most is None:
            summing = MeansAtLargest(chunks, clustering.num_clusters)
        changes, last = find_changes(chunks, clustering.distance, summing.see)
        clusters = clustering.find_clusters(changes, lengths)
        assignment, clusters = clusters.assignment, clustering.representatives(clusters, draw)
        means = summing.means(clusters, last).to(last.dtype).unflatten(1, last.shape[1:])  # (n*g, c, h, w)

        ctx.chunks, ctx.clusters, ctx.rng = chunks, clusters, rng
        ctx.save_for_backward(*parameters)
        distances = changes.float() / DISTANCES[clustering.distance].steps(last.numel())
        ctx.mark_non_differentiable(assignment, distances)
        return means, assignment, distances

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_):
        grad = _wide(grad.flatten(1))  # (n*g, d)
        if ctx.rng is None:
            frames = exact_gradients(ctx.chunks, ctx.clusters, grad)
        else:
            frames = representative_gradients(ctx.chunks, ctx.clusters, grad, ctx.rng)
        parameters = ctx.saved_tensors
        totals = [torch.zeros_like(parameter) for parameter in parameters]
        for x, grad_x in frames:
            found = torch.autograd.grad(x, parameters, grad_x.view_as(x).to(x.dtype))
            for total, one in zip(totals, found, strict=True):
                total += one
        return None, None, None, None, None, None, *totals


def stream(
    stem: Stem,
    clustering: TemporalClustering,
    frames: Frames,
    lengths: Tensor,
    chunk: int,
    rng: np.random.Generator | None = None,
    memory: int = 0,
    draw: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Stem and clustering of n packed videos, `chunk` frames at a time.

    frames uint8 (sum t, channels, S, S), on any device, lengths (n,) -> means (n*g, c, h, w), assignment (sum t,),
    distances (sum t,), on the stem's device: what `clustering` makes of the stem's activations of all frames, and their
    `frame_distances`. `rng` asks for representative gradients, whose frames it draws; `draw` is that of
    `TemporalClustering.forward`. Memory beside the frames: the
    stem's activations of one chunk, with gradient, n*g means, and up to `memory` bytes of activations kept from the
    first pass to the second. Raises ValueError for lengths that do not add up, no frame, a chunk below 1, or where
    frames cannot pass in chunks (`can_stream`).
    """
    counts = lengths.tolist()
    if chunk < 1 or min(counts, default=0) < 1 or sum(counts) != len(frames):
        raise ValueError(
            f"streaming takes a chunk >= 1, not {chunk}, and lengths >= 1 that add up, not {counts} for"
            f" {len(frames)} frames"
        )
    if not can_stream(stem, clustering):
        raise ValueError(
            "streaming takes a stem whose BatchNorms do not train, and a clustering by changes between neighbouring"
            f" frames, not {len(stem.training_norms)} that train and {clustering.method!r}"
        )
    lengths = lengths.to(stem.device, torch.int64, non_blocking=True)
    parameters = [p for module in stem.modules for p in module.parameters() if p.requires_grad]
    chunks = Chunks(stem, frames, counts, chunk)
    with torch.autocast(stem.device.type, enabled=False):  # the stem alone runs in the precision asked for
        return _StreamedMeans.apply(chunks, clustering, lengths, rng, memory, draw, *parameters)


def stream_changes(stem: Stem, frames: Frames, chunk: int, distance: str = "hamming") -> tuple[Tensor, int]:
    """The first pass alone over one video: its `frame_changes` (t,), and how many activations a frame has."""
    chunks = Chunks(stem, frames, [len(frames)], chunk)
    changes, last = find_changes(chunks, distance, lambda part, x, changes: None)
    return changes, last.numel()
