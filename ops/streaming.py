"""The stem over any number of frames: what is held are the frames as bytes and the activations of one chunk.

    pass 1     chunk -> activations -> how many signs changed since the frame before
    cut        changes (sum t,) -> clusters C_1 .. C_ng
    pass 2     chunk -> activations, added up:   m[k] = sum over i in C_k of a[i] / |C_k|
    backward   chunk -> activations again, with gradient:   dL/da[i] = dL/dm[k] / |C_k|,  i in C_k

Only frames pass here, no gradient for them; that of the weights is plain autograd's, summed over chunks. The first
chunks' activations stay for pass 2 as far as a budget of memory goes, the others are found again. `slope` needs no
pass 2: the g-1 largest changes so far and the sums of activations between them are kept, and where a larger change
enters the smallest leaves and its neighbours merge. `representative` gradients come from one frame i of each cluster,
drawn evenly, as |C_k| dL/da[i]: right on average, and backward costs g frames, not t.

A BatchNorm in training takes its statistics from a chunk. Neighbouring frames would be a poor sample, so chunk j of k
then holds the frames j, j + k, j + 2k, ... of the batch, in every pass the same. The frame before each of its frames
is in chunk j - 1, so that signs are compared chunk with chunk. Running statistics move in the first pass only, and
over all chunks by one momentum, each frame counting once.

Under autocast the stem runs in its precision, in every pass; sums are float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ops.clustering import Clusters, find_clusters, sign_changes

if TYPE_CHECKING:
    from ops.models import TSN

STEM_GRADS = ("exact", "representative")
AT_ONCE = {"cuda": 8 * 2**30}  # bytes of the stem's activations up to which `auto` does not stream; elsewhere 2 GiB
CHUNK = {"cuda": 64, "mps": 32}  # frames a chunk for `auto`; on a CPU 8, which its cache likes, or 32, see below
KEPT = 64 * 2**20  # bytes of activations kept for pass 2 where the device does not tell what is free


class Frames(Protocol):
    """A (sum t, c, S, S) uint8 tensor, or anything that gives one for a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice) -> Tensor: ...


@dataclass(frozen=True)
class Streaming:
    """Batches of more than `above` frames pass the stem in chunks of `chunk`; the others at once.

    Of pass 1, up to `memory` bytes of activations stay for pass 2.
    """

    chunk: int
    above: int = 0
    representative: bool = False
    memory: int = 0

    def __str__(self) -> str:
        text = f"in chunks of {self.chunk} frames" + ", gradient of one frame a cluster" * self.representative
        return f"batches of up to {self.above} frames at once, longer ones {text}" if self.above else text


def choose_streaming(
    model: TSN, wish: int | str, size: int, representative: bool = False, memory: int | str = "auto"
) -> Streaming | None:
    """What `--stem_chunk` asks for: a number of frames, 0 for None (never stream), or "auto".

    `auto` streams batches whose activations of the stem, as backward needs them, would take more than `AT_ONCE` bytes:
    those of one frame of `size` pixels are counted. Representative gradients are always worth streaming. `memory` is
    `--stem_memory` in bytes; its `auto` is a quarter of what is free on CUDA, else `KEPT`.
    """
    if model.clustering is None or wish == 0:
        return None
    device, training = model.device, model.training
    if memory == "auto":
        memory = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else KEPT
    if wish != "auto":
        return Streaming(int(wish), 0, representative, int(memory))
    chunk = CHUNK.get(device.type, 32 if training_norms(model.train()) else 8)  # batch statistics of 8 frames are poor
    above = 0 if representative else AT_ONCE.get(device.type, 2 * 2**30) // saved_bytes(model.eval(), size)
    model.train(training)
    return Streaming(chunk, max(chunk, above) if above else 0, representative, int(memory))


def saved_bytes(model: TSN, size: int) -> int:
    """Bytes of activations that the stem keeps for backward, for one frame of `size` pixels."""
    saved = {}

    def keep(x: Tensor) -> Tensor:
        if x.ndim == 4 and len(x) == 1:  # neither weights nor statistics
            saved[x.data_ptr()] = x.nbytes
        return x

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        x = model.run_stem(torch.zeros(1, model.base_model.in_channels, size, size))
    return sum(saved.values()) or x.nbytes


def training_norms(model: TSN) -> list[nn.Module]:
    """The stem's BatchNorms that use the statistics of what they see."""
    norms = (module for stage in model.stem_modules for module in stage.modules())
    return [norm for norm in norms if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.training]


class _Chunks:
    """Runs the stem over parts of the frames, which are the same in every pass."""

    def __init__(self, model: TSN, frames: Frames, lengths: Sequence[int], chunk: int):
        self.model, self.frames, self.lengths, self.chunk = model, frames, lengths, chunk
        self.norms, self.seen = training_norms(model), 0
        device = model.device.type  # backward runs outside of the autocast that it has to repeat
        self.autocast = partial(
            torch.autocast, device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        )
        self.strided = bool(self.norms)
        self.parts = self.cut(lengths)

    def cut(self, lengths: Sequence[int]) -> list[slice]:
        """Parts of videos packed one after another: strided over all, or neighbours of one video."""
        total, n = sum(lengths), self.chunk
        if self.strided:
            return [slice(j, total, -(-total // n)) for j in range(-(-total // n))]
        ends = np.cumsum(lengths).tolist()
        return [slice(i, min(i + n, b)) for b, t in zip(ends, lengths, strict=True) for i in range(b - t, b, n)]

    def activations(self, parts: Iterable[slice | Tensor], first: bool = False) -> Iterator[Tensor]:
        """Those of each part, (m, c, h, w); the running statistics move only if it is the `first` pass."""
        fetched = (self.frames[part] for part in parts)
        if (device := self.model.device).type == "cuda":
            fetched = copied_ahead(fetched, device)
        for frames in fetched:
            with self._running_statistics(first * len(frames)), self.autocast():
                x = self.model.run_stem(frames)
            yield x

    @contextmanager
    def _running_statistics(self, new: int) -> Iterator[None]:
        """With momentum p and T frames, r becomes (1-p) r + p * (mean over chunks of their statistics) in the end.

        Chunk by chunk this is the momentum p * new / ((1-p) * T + p * (seen + new)).
        """
        kept, total = [norm.momentum for norm in self.norms], len(self.frames)
        for norm, p in zip(self.norms, kept, strict=True):
            norm.track_running_stats = new > 0
            norm.momentum = p * new / ((1 - p) * total + p * (self.seen + new))
            if new and self.seen:
                norm.num_batches_tracked -= 1  # it counts steps, not chunks
        self.seen += new
        try:
            yield
        finally:
            for norm, p in zip(self.norms, kept, strict=True):
                norm.track_running_stats, norm.momentum = True, p


def copied_ahead(tensors: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """The tensors on a CUDA device; each is copied while the one before it is computed on."""
    computing, copying, ahead = torch.cuda.current_stream(device), torch.cuda.Stream(device), None
    for tensor in tensors:
        copying.wait_stream(computing)  # until the one before the last is done with: the copy may take its memory
        with torch.cuda.stream(copying):
            following = tensor.to(device, non_blocking=True)
        if ahead is not None:
            yield ahead
        computing.wait_stream(copying)
        ahead = following
    if ahead is not None:
        yield ahead


class _Segments:
    """A video cut at its g-1 largest changes so far; (rows, d) sums of activations, O(g) memory."""

    def __init__(self, g: int):
        self.g, self.start, self.changes, self.sums = g, None, None, None

    def add(self, x: Tensor, changes: Tensor, index: Tensor) -> None:
        """The next frames of the video, activations (m, d), changes (m,) and packed numbers (m,)."""
        held = 0 if self.sums is None else len(self.sums)
        if held:
            changes, index = torch.cat([self.changes, changes]), torch.cat([self.start, index])
        largest = changes[1:].sort(descending=True, stable=True).indices[: self.g - 1]
        row = torch.cat([largest.new_zeros(1), largest.sort().values + 1])  # starts, the earlier of equals
        label = torch.searchsorted(row, torch.arange(len(changes), device=x.device), right=True) - 1
        member = (label == torch.arange(len(row), device=x.device)[:, None]).to(x.dtype)  # (rows, held + m)
        sums = member[:, held:] @ x
        self.sums = sums.addmm_(member[:, :held], self.sums) if held else sums
        self.changes, self.start = changes[row], index[row]


def _membership(clusters: Clusters, index: Tensor, dtype: torch.dtype) -> Tensor:
    """1 / |C_k| where frame i is in C_k, else 0, for packed frame numbers (m,) -> (n*g, m)."""
    start, size = clusters.start[:, None], clusters.size[:, None]
    return ((index >= start) & (index < start + size)).to(dtype) / size


def _wide(x: Tensor) -> Tensor:
    """What sums are made of: float32 for activations of lower precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class _StreamedMeans(torch.autograd.Function):
    """The passes at the top of this file; the stem's parameters are inputs so that autograd takes their gradients."""

    @staticmethod
    def forward(ctx, chunks: _Chunks, lengths: Tensor, draw: Sequence[int] | None, memory: int, *parameters: Tensor):
        clustering, parts = chunks.model.clustering, chunks.parts
        g, device = clustering.num_clusters, lengths.device
        numbers = torch.arange(len(chunks.frames), device=device)
        changes, before, segments, kept = torch.zeros_like(numbers), None, [], []
        starts = np.cumsum([0, *chunks.lengths[:-1]]).tolist()
        online = clustering.method == "slope" and not chunks.strided
        for part, x in zip(parts, chunks.activations(parts, first=True), strict=True):  # x (m, c, h, w)
            active = (x > 0).flatten(1)
            if not chunks.strided:
                previous = torch.cat([active[:1] if before is None else before[-1:], active[:-1]])
            elif before is None:
                first = previous = active
            else:
                previous = before[: len(active)]
            changes[part] = (active != previous).sum(1)
            before = active
            if online:
                if part.start in starts:
                    segments.append(_Segments(g))
                segments[-1].add(_wide(x.flatten(1)), changes[part], numbers[part])
            elif (memory := memory - x.nbytes) >= 0:
                kept.append(x)
        if chunks.strided:  # the first chunk's frames follow those of the last
            changes[len(parts) :: len(parts)] = (first[1:] != before[: len(first) - 1]).sum(1)
        changes[starts] = 0
        clusters = find_clusters(changes, lengths, g, clustering.method, clustering.seed)

        means, shape = None, x.shape[1:]
        if online:
            start = torch.cat([segment.start for segment in segments])
            row = torch.searchsorted(start, clusters.start, right=True) - 1
            if torch.equal(start[row], clusters.start):  # else a video without any change, which is cut evenly
                means = torch.cat([segment.sums for segment in segments])[row] / clusters.size[:, None]
        if means is None:
            means = _wide(x.new_zeros(len(clusters.start), x[0].numel()))  # (n*g, d)
            again = chunks.activations(parts[len(kept) : -1][::-1])
            for i, part in reversed([*enumerate(parts)]):  # one order whatever was kept: sums are the same to the bit
                x = kept.pop() if i < len(kept) else x if i == len(parts) - 1 else next(again)
                means.addmm_(_membership(clusters, numbers[part], means.dtype), _wide(x.flatten(1)))
        ctx.chunks, ctx.clusters, ctx.draw = chunks, clusters, draw
        ctx.save_for_backward(*parameters)
        distances = changes.float() / means.shape[1]
        ctx.mark_non_differentiable(clusters.assignment, distances)
        return means.to(x.dtype).unflatten(1, shape), clusters.assignment, distances

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, *_):
        chunks, clusters, parameters = ctx.chunks, ctx.clusters, ctx.saved_tensors
        index = torch.arange(len(chunks.frames), device=grad.device)
        parts, grad = chunks.parts, _wide(grad.flatten(1))  # (n*g, d)
        if ctx.draw is not None:
            share = torch.from_numpy(np.random.default_rng(ctx.draw).random(len(grad), np.float32)).to(grad.device)
            index = clusters.start + (share * clusters.size).long().minimum(clusters.size - 1)  # a frame of each
            parts = chunks.cut([len(index)])
        totals = [torch.zeros_like(p) for p in parameters]
        fetch = parts if ctx.draw is None else [index[part].to(chunks.frames.device) for part in parts]
        activations = chunks.activations(fetch)
        for part in parts:
            with torch.enable_grad():
                x = next(activations)
            wanted = grad[part] if ctx.draw is not None else _membership(clusters, index[part], grad.dtype).T @ grad
            wanted = wanted.view_as(x).to(x.dtype)
            for total, found in zip(totals, torch.autograd.grad(x, parameters, wanted), strict=True):
                total += found
        return None, None, None, None, *totals


def stream(
    model: TSN, frames: Frames, lengths: Tensor, chunk: int, draw: Sequence[int] | None = None, memory: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Stem and clustering of n packed videos, `chunk` frames at a time.

    frames uint8 (sum t, channels, S, S), on any device, lengths (n,) -> means (n*g, c, h, w), assignment (sum t,),
    distances (sum t,), on the model's device: the first two those of `TSN.represent`, the third `sign_distances` of the
    activations. `draw` asks for representative gradients: whole numbers >= 0 of which the choice of frames is a
    function. Memory beside the frames: the stem's activations of one chunk, with gradient, n*g means, and up to
    `memory` bytes of activations kept for pass 2. Raises ValueError for lengths that do not add up, no frame, a chunk
    below 1, or a model without clustering.
    """
    counts = lengths.tolist()
    if model.clustering is None or chunk < 1 or min(counts, default=0) < 1 or sum(counts) != len(frames):
        raise ValueError(
            f"streaming takes a clustering model, a chunk >= 1, not {chunk}, and lengths >= 1 that add up,"
            f" not {counts} for {len(frames)} frames"
        )
    lengths = lengths.to(model.device, torch.int64)
    parameters = [p for stage in model.stem_modules for p in stage.parameters() if p.requires_grad]
    chunks = _Chunks(model, frames, counts, chunk)
    with torch.autocast(lengths.device.type, enabled=False):  # the stem alone runs in the precision asked for
        return _StreamedMeans.apply(chunks, lengths, draw, memory, *parameters)


def stream_changes(model: TSN, frames: Frames, chunk: int) -> tuple[Tensor, int]:
    """Pass 1 alone over one video, by a model in eval mode: its `sign_changes` (t,), and how many signs a frame has."""
    changes, before = [], None
    chunks = _Chunks(model, frames, [len(frames)], chunk)
    for x in chunks.activations(chunks.parts):  # (m, c, h, w)
        joined = x if before is None else torch.cat([before, x])
        changes.append(sign_changes(joined, torch.tensor([len(joined)], device=x.device))[-len(x) :])
        before = x[-1:]
    return torch.cat(changes), before.numel()
