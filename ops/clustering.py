"""Temporal clustering of activations: every frame is seen, only one mean per cluster goes on.

Liu, Pintea, Karimi Nejadasl, Booij, van Gemert: *No frame left behind: Full Video Action Recognition*, CVPR 2021,
arXiv 2103.15395. Frames with the same signs in every layer pass the same linear map of a ReLU network, so their
gradients agree and one mean may stand for them; the signs of one layer tell most of it (how much: docs/method.md). A
video is therefore cut in time where the signs change most:

    d[i] = share of signs that differ between frames i-1 and i          (Hamming distance, in [0, 1])
    slope       cuts at the g-1 largest d[i]
    cumulative  cuts where D[i] = d[1] + ... + d[i] passes k/g of its total, k = 1 .. g-1
    even, random   cut without looking: the paper's controls

Frames of n videos lie packed one after another, (sum t, c, h, w), with `lengths` (n,); nothing is padded.

Deviations from the published code, on purpose: a video of t >= g frames always gives g non-empty clusters that cover
every frame once (the published cumulative variant never emits the last one and repeats the one before); frame counts
are free; ties go to the earlier frame and a video without any change is cut evenly; t < g repeats frames; clustering
is part of the model, in evaluation as in training. Distances are counted in integers, so cuts do not depend on the
device, the precision of a sum, or on the other videos of the batch. Rounding keeps signs: activations in bfloat16 have
the signs, distances and cuts of the float32 ones they were rounded from. Only what underflows loses its sign: below
5e-41 in bfloat16, below 3e-8 in float16.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCK_ELEMENTS = 2**22  # activations compared at once on a CPU: their signs fit its cache


class Layout(NamedTuple):
    """Where the frames of a packed batch belong."""

    lengths: Tensor  # (n,) frames of each video
    first: Tensor  # (n,) packed index of each video's first frame
    video: Tensor  # (sum t,) video of each frame
    position: Tensor  # (sum t,) number of each frame within its own video


def packed_layout(lengths: Tensor, total: int) -> Layout:
    """The layout of `total` packed frames; `lengths` (n,) int64 on the device that the frames are on."""
    first = lengths.cumsum(0) - lengths
    video = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths, output_size=total)
    return Layout(lengths, first, video, torch.arange(total, device=lengths.device) - first[video])


def sign_changes(x: Tensor, lengths: Tensor) -> Tensor:
    """How many signs differ between each frame and the one before it in the same video.

    x (sum t, ...), lengths (n,) -> (sum t,) int64, 0 at every video's first frame. No gradient.
    """
    x = x.detach().flatten(1)
    if x.device.type == "cpu":
        changes = _blockwise_changes(x)
    else:
        active = x > 0
        changes = nn.functional.pad((active[1:] != active[:-1]).sum(1), (1, 0))
    return changes.index_fill(0, lengths.cumsum(0) - lengths, 0)


def _blockwise_changes(x: Tensor) -> Tensor:
    """`sign_changes` of one long video on a CPU, nearly as fast as it is read: (t, d) -> (t,); entry 0 is undefined.

    Blocks of frames pass through the same memory of one byte a sign, so that it stays in cache. Bytes are compared,
    and then added, eight at a time as one int64: where signs differ a byte is 1, and a sum of up to 255 fits a byte.
    """
    t, d = x.shape
    words = -(-max(1, d) // 8)
    parts = -(-words // 255)
    words = -(-words // parts)  # a frame: `parts` rows of `words` <= 255 int64, the rest zeros
    block = max(1, min(t, BLOCK_ELEMENTS // max(1, d)))
    signs = torch.zeros(block + 1, parts, words, dtype=torch.int64)  # the frame before the block comes first
    differ = torch.empty_like(signs[1:])
    active = signs.view(torch.bool).flatten(1)[:, :d]  # (block + 1, d), the same memory
    changes = torch.empty(t, dtype=torch.int64)
    for start in range(0, t, block):
        b = min(block, t - start)
        frames = x[start : start + b]
        if frames.numel() and frames.amin() >= 0:
            active[1 : b + 1].copy_(frames)  # not 0 is greater than 0, which a copy finds at the speed of memory
        else:
            torch.gt(frames, 0, out=active[1 : b + 1])
        torch.bitwise_xor(signs[1 : b + 1], signs[:b], out=differ[:b])
        changes[start : start + b] = differ[:b].sum(2).view(torch.uint8).sum(1)  # (b, parts) -> (b, 8 * parts) -> (b,)
        signs[0] = signs[b]
    return changes


def sign_distances(x: Tensor, lengths: Tensor) -> Tensor:
    """Hamming distance d[i] of the signs of neighbouring frames, (sum t, ...) -> (sum t,) in [0, 1]; d[0] = 0."""
    return sign_changes(x, lengths).float() / max(1, x[:1].numel())


def even_labels(changes: Tensor, at: Layout, g: int, seed: int) -> Tensor:
    """Cluster k starts at frame floor(k * t / g)."""
    return ((at.position + 1) * g - 1) // at.lengths[at.video]


def slope_labels(changes: Tensor, at: Layout, g: int, seed: int) -> Tensor:
    """Clusters start at the g-1 frames with the largest change (Liu et al.)."""
    return _labels_from_largest(changes, at, g)


def random_labels(changes: Tensor, at: Layout, g: int, seed: int) -> Tensor:
    """Clusters start at g-1 frames drawn uniformly; the draw is a hash of `seed` and of the video's own changes."""
    words = _hash(changes + _hash(at.position + 1))
    video_hash = torch.full_like(at.lengths, seed % 2**31).index_add_(0, at.video, words)
    video_hash = _hash((video_hash ^ (video_hash >> 31)) & 0x7FFFFFFF)
    return _labels_from_largest(_hash(video_hash[at.video] ^ _hash(at.position + 1)), at, g)


def cumulative_labels(changes: Tensor, at: Layout, g: int, seed: int) -> Tensor:
    """Cluster k starts where the running sum of changes passes k/g of its total (Liu et al.).

    A jump across several thresholds delays the later starts by one frame each, and every later cluster keeps a frame.
    """
    running = _running_sum(changes, at)
    total = running[at.first + at.lengths - 1][at.video].clamp(min=1)
    label = ((running * g + total - 1) // total - 1).clamp(min=0)  # thresholds passed
    apart = at.video * (len(changes) + g)  # keeps the running minimum of one video away from the next
    label = torch.cummin(label - at.position - apart, 0).values + at.position + apart  # grows by at most one a frame
    return torch.maximum(label, at.position + g - at.lengths[at.video])


CLUSTERINGS = {"cumulative": cumulative_labels, "slope": slope_labels, "even": even_labels, "random": random_labels}


def _labels_from_largest(score: Tensor, at: Layout, g: int) -> Tensor:
    """Labels when the first frame and the g-1 others with the largest score >= 0 start a cluster; earlier wins ties."""
    top = score.max() + 1
    score = torch.where(at.position == 0, top, score)
    order = torch.sort(at.video * (top + 1) - score, stable=True).indices  # by video, then score, then time
    starts = torch.zeros_like(score).scatter_(0, order, (at.position < g).to(score.dtype))  # rank = position
    return _running_sum(starts, at) - 1


def _running_sum(values: Tensor, at: Layout) -> Tensor:
    """Cumulative sum within each video, (sum t,) int64 -> (sum t,)."""
    total = values.cumsum(0)
    return total - (total - values)[at.first][at.video]


def _hash(x: Tensor) -> Tensor:
    """Scrambles integers >= 0 into [0, 2**31)."""
    for _ in range(2):
        x = (((x ^ (x >> 16)) & 0x7FFFFFFF) * 0x45D9F3B) & 0x7FFFFFFF
    return x ^ (x >> 16)


class Clusters(NamedTuple):
    """A packed batch cut in time."""

    assignment: Tensor  # (sum t,) cluster of each frame within its own video; for t < g the first that shows it
    start: Tensor  # (n*g,) packed index of each cluster's first frame
    size: Tensor  # (n*g,) frames of each cluster


def find_clusters(changes: Tensor, lengths: Tensor, num_clusters: int, method: str, seed: int = 0) -> Clusters:
    """Cut every video into `num_clusters` contiguous clusters.

    changes (sum t,) int64 from `sign_changes`, lengths (n,) -> `Clusters`. For t < g, cluster k is frame
    floor(k * t / g) alone. `seed` matters to method `random` only. No gradient, no wait for the host.
    """
    g = num_clusters
    at = packed_layout(lengths, len(changes))
    even = even_labels(changes, at, g, seed)
    total = torch.zeros_like(lengths).index_add_(0, at.video, changes)
    label = torch.where(total[at.video] == 0, even, CLUSTERINGS[method](changes, at, g, seed))

    short = lengths < g
    t = lengths[at.video]
    label = torch.where(short[at.video], (at.position * g + t - 1) // t, label)

    size = torch.zeros(len(lengths) * g, dtype=torch.int64, device=changes.device)
    size = size.index_add_(0, at.video * g + label, torch.ones_like(label)).view(-1, g)  # (n, g)
    repeated = torch.arange(g, device=changes.device) * lengths[:, None] // g  # (n, g) frame shown when t < g
    start = at.first[:, None] + torch.where(short[:, None], repeated, size.cumsum(1) - size)
    size = torch.where(short[:, None], 1, size)
    return Clusters(label, start.flatten(), size.flatten())


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """`like.new_empty(shape)`; on a CPU in huge pages where the system has them, as numpy asks for and torch does not.

    A first touch of 4 kB pages takes longer than all else here.
    """
    if like.device.type != "cpu":
        return like.new_empty(shape)
    return torch.from_numpy(np.empty(math.prod(shape) * like.element_size(), np.uint8)).view(like.dtype).view(shape)


class _SliceMeans(torch.autograd.Function):
    """Means of slices for the CPU: one pass over x forward, one over its gradient backward.

    The slices cover x in order; only those of videos with t < g repeat, one frame each.
    """

    @staticmethod
    def forward(ctx, x: Tensor, start: Tensor, size: Tensor) -> Tensor:
        ctx.slices = [slice(a, a + b) for a, b in zip(start.tolist(), size.tolist(), strict=True)]
        ctx.shape = x.shape
        means = _empty((len(ctx.slices), *x.shape[1:]), x)
        for frames, mean in zip(ctx.slices, means, strict=True):
            torch.mean(x[frames], 0, out=mean)
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        grad_x = _empty(ctx.shape, grad)
        before = None
        for frames, g in zip(ctx.slices, grad, strict=True):
            part = grad_x[frames]
            if frames == before:
                part += g
            else:
                torch.div(g.expand_as(part), len(part), out=part)
            before = frames
        return grad_x, None, None


class _SegmentMeans(torch.autograd.Function):
    """Means for accelerators: no loop, no wait for the host, deterministic, work linear in frames both ways.

    Of the clusters that show one frame (t < g), the last one stands for all: the others are empty segments.
    """

    @staticmethod
    def forward(ctx, x: Tensor, start: Tensor, size: Tensor) -> Tensor:
        ctx.shape, ctx.dtype = x.shape, torch.promote_types(x.dtype, torch.float32)
        last = torch.searchsorted(start, start, right=True) - 1  # (n*g,)
        ctx.save_for_backward(start, size, last)
        held = torch.where(last == torch.arange(len(last), device=last.device), size, 0)
        sums = torch.segment_reduce(x.flatten(1).to(ctx.dtype), "sum", lengths=held, axis=0, unsafe=True)  # (n*g, d)
        return (sums[last] / size[:, None]).to(x.dtype).unflatten(1, x.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        start, size, last = ctx.saved_tensors
        shows = torch.zeros_like(size).index_add_(0, last, torch.ones_like(size))
        each = grad.flatten(1).to(ctx.dtype) / size[:, None]
        each = torch.segment_reduce(each, "sum", lengths=shows, axis=0, unsafe=True).to(grad.dtype)  # (n*g, d)
        cluster = torch.searchsorted(start, torch.arange(ctx.shape[0], device=start.device), right=True) - 1
        return each[cluster].view(ctx.shape), None, None


def cluster_means(x: Tensor, clusters: Clusters) -> Tensor:
    """Mean activation of every cluster, x (sum t, ...) -> (n*g, ...); gradients reach every frame."""
    means = _SliceMeans if x.device.type in ("cpu", "mps") else _SegmentMeans
    return means.apply(x, clusters.start, clusters.size)


class TemporalClustering(nn.Module):
    """Replace the frames of every video by the means of `num_clusters` clusters in time.

    Usable in any network that works frame by frame up to here:

        >>> clustering = TemporalClustering(8, "slope")
        >>> means, assignment = clustering(torch.randn(30, 64, 56, 56).relu(), torch.tensor([10, 20]))
        >>> means.shape, assignment.shape
        (torch.Size([16, 64, 56, 56]), torch.Size([30]))

    Raises ValueError for fewer than one cluster, an unknown method, or lengths that do not add up to the frames given
    (the last only where `lengths` is on the CPU: elsewhere the check would wait for the device).
    """

    def __init__(self, num_clusters: int, method: str = "cumulative", seed: int = 0):
        super().__init__()
        if num_clusters < 1:
            raise ValueError(f"num_clusters is {num_clusters}, must be at least 1")
        if method not in CLUSTERINGS:
            raise ValueError(f"unknown clustering {method!r}, choose one of {', '.join(CLUSTERINGS)}")
        self.num_clusters, self.method, self.seed = num_clusters, method, seed

    @torch.compiler.disable  # lengths would become part of the graph; this is as fast without one
    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x (sum t, c, h, w), lengths (n,) integers >= 1 -> means (n*g, c, h, w), assignment (sum t,) in [0, g)."""
        if lengths.device.type == "cpu" and (int(lengths.sum()) != len(x) or int(lengths.min()) < 1):
            raise ValueError(f"lengths {lengths.tolist()} must be positive and add up to the {len(x)} frames given")
        lengths = lengths.to(x.device, torch.int64, non_blocking=True)
        last = x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
        x = x.permute(0, 2, 3, 1) if last else x  # a frame's values in the order of memory, whatever that is
        changes = sign_changes(x, lengths)
        clusters = find_clusters(changes, lengths, self.num_clusters, self.method, self.seed)
        means = cluster_means(x, clusters)
        return means.permute(0, 3, 1, 2) if last else means, clusters.assignment

    def extra_repr(self) -> str:
        return f"{self.num_clusters}, {self.method!r}"
