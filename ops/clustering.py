"""Temporal clustering of activations: every frame is seen, only one mean per cluster goes on.

Liu, Pintea, Karimi Nejadasl, Booij, van Gemert: *No frame left behind: Full Video Action Recognition*, CVPR 2021,
arXiv 2103.15395. Frames with the same signs in every layer pass the same linear map of a ReLU network, so their
gradients agree and one mean may stand for them; the signs of one layer are a good proxy (how good: docs/method.md). A
video is therefore cut in time where the signs change most:

    d[i] = share of signs that differ between frames i-1 and i          (Hamming distance, in [0, 1])
    slope       cuts at the g-1 largest d[i]
    cumulative  cuts where D[i] = d[1] + ... + d[i] passes k/g of its total, k = 1 .. g-1
    even, random   ignore the frames: the paper's controls

Frames of n videos lie packed one after another, (sum t, c, h, w), with `lengths` (n,); nothing is padded. In reading
order: `frame_changes` finds the distances, one of `CLUSTERINGS` the cuts, `cluster_means` the means, and
`TemporalClustering` is the layer of a network that does all three. What others would put in the place of distance, cuts
and means, to be compared with, stands in `ops/alternatives.py`.

Deviations from the published code, on purpose:

  - a video of t >= g frames gives g non-empty clusters that cover every frame once (the published cumulative variant
    never emits the last one and repeats the one before);
  - any number of frames works; where t < g, frames are repeated;
  - ties go to the earlier frame, and a video without any change is cut evenly;
  - clustering is part of the model, in evaluation as in training.

Distances are counted in integers, so cuts do not depend on the device, the precision of a sum, or on the other videos
of the batch. Rounding keeps signs: activations in bfloat16 have the signs, distances and cuts of the float32 ones they
were rounded from. Only what underflows loses its sign: below 5e-41 in bfloat16, below 3e-8 in float16.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ops import alternatives
from ops.alternatives import Reduction

AUTOCAST = [kind for kind in ("cpu", "cuda", "mps") if torch.amp.is_autocast_available(kind)]
BLOCK_ELEMENTS = 2**21  # activations compared at once on a CPU: their signs fit its cache


# ---------------------------------------------------------------- distances


def differing_signs(x: Tensor) -> Tensor:
    """How many signs differ from each frame to the next, (m+1, d) -> (m,) int64."""
    active = x > 0
    return (active[1:] != active[:-1]).sum(1, dtype=torch.int32).long()


class Distance(NamedTuple):
    """A distance between neighbouring frames, as an entry of `DISTANCES` and so a choice of `--distance`.

    `between(x)` gives it from each frame to the next, activations (m+1, d) -> (m,) int64 >= 0, and may not look beyond
    the two frames, as videos pass in chunks. A fraction is given in steps: `steps(d)` of them make 1. `text` says what
    it is in pictures, where it stands in `percent` or as it is.
    """

    between: Callable[[Tensor], Tensor]
    steps: Callable[[int], int]
    text: str
    percent: bool = True


DISTANCES = {
    "hamming": Distance(differing_signs, lambda d: max(1, d), "share of signs that differ"),
    "euclidean": Distance(
        alternatives.euclidean, lambda d: alternatives.UNIT, "Euclidean, of activations", percent=False
    ),
    "cosine": Distance(alternatives.cosine, lambda d: alternatives.COSINE_UNIT, "1 - cosine of activations"),
}


def frame_changes(x: Tensor, lengths: Tensor, distance: str = "hamming") -> Tensor:
    """How far each frame is from the one before it in the same video, by one of `DISTANCES`, in its steps.

    x (sum t, ...), lengths (n,) -> (sum t,) int64, 0 at every video's first frame. No gradient. Raises ValueError where
    the distance gives another thing than a whole number for each frame.
    """
    x = _in_memory_order(x.detach()).flatten(1)  # (sum t, d)
    if in_export():
        before = torch.arange(-1, x.shape[0], device=x.device).clamp(min=0)  # the first frame stands before itself
        changes = _checked(distance, DISTANCES[distance].between(x[before]), x.shape[0])
    else:
        changes = _changes_in_blocks(x, distance)
    return changes.index_fill(0, lengths.cumsum(0) - lengths, 0)


def in_export() -> bool:
    """Whether `torch.export` makes a graph of what runs: then no value can be looked at, and the graph has to serve
    any number of frames, so that no loop may depend on it. With `torch.compile` it is False."""
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()


def _changes_in_blocks(x: Tensor, distance: str) -> Tensor:
    """Distances of frames (m, d) from the one before, 0 for the first -> (m,) int64."""
    changes = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    elements = BLOCK_ELEMENTS if x.device.type == "cpu" else 2**28
    block = max(1, elements // max(1, x.shape[1]))  # frames compared at once
    for start in range(1, len(x), block):
        part = x[start - 1 : start + block]  # begins with the frame before the block
        changes[start : start + block] = _checked(distance, DISTANCES[distance].between(part), len(part) - 1)
    return changes


def _checked(distance: str, changes: Tensor, number: int) -> Tensor:
    """What a distance gave, ValueError unless it is a whole number >= 0 for each of so many frames."""
    if not isinstance(changes, Tensor) or changes.dtype != torch.int64 or changes.shape != (number,):
        raise ValueError(
            f"distance {distance!r} must give an int64 for each of {number} frames, not {_describe(changes)}"
        )
    if changes.device.type == "cpu" and not in_export() and number and int(changes.min()) < 0:
        raise ValueError(f"distance {distance!r} gave {int(changes.min())}; it must be at least 0")
    return changes


def _in_memory_order(x: Tensor) -> Tensor:
    """Frames with their values in the order of memory, which need not be copied: (m, h, w, c) for channels_last."""
    if x.ndim == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1)
    return x


def frame_distances(x: Tensor, lengths: Tensor, distance: str = "hamming") -> Tensor:
    """`frame_changes` in the distance's own unit, (sum t, ...) -> (sum t,) float."""
    return frame_changes(x, lengths, distance).float() / DISTANCES[distance].steps(x[:1].numel())


# ---------------------------------------------------------------- cuts


class Layout(NamedTuple):
    """Where the frames of a packed batch belong, and how many clusters each video is to be cut into."""

    lengths: Tensor  # (n,) frames of each video, t
    clusters: Tensor  # (n,) clusters of each video: g, or t where the video has fewer frames than that
    first: Tensor  # (n,) packed index of each video's first frame
    video: Tensor  # (sum t,) video of each frame
    position: Tensor  # (sum t,) number of each frame within its own video


def packed_layout(lengths: Tensor, total: int, num_clusters: int) -> Layout:
    """The layout of `total` packed frames; `lengths` (n,) int64 on the device that the frames are on."""
    frame, end = torch.arange(total, device=lengths.device), lengths.cumsum(0)
    first, video = end - lengths, torch.searchsorted(end, frame, right=True)
    position = frame - first[video]
    return Layout(lengths, lengths.clamp(max=num_clusters), first, video, position)


def even_labels(changes: Tensor, layout: Layout, seed: int) -> Tensor:
    """Cluster k starts at frame floor(k * t / g)."""
    g, t = layout.clusters[layout.video], layout.lengths[layout.video]
    return ((layout.position + 1) * g - 1) // t


def slope_labels(changes: Tensor, layout: Layout, seed: int) -> Tensor:
    """Clusters start at the g-1 frames with the largest change (Liu et al.)."""
    return _labels_from_largest(changes, layout)


def random_labels(changes: Tensor, layout: Layout, seed: int) -> Tensor:
    """Clusters start at g-1 frames drawn uniformly; the draw is a hash of `seed` and of the video's own changes."""
    words = _hash(changes + _hash(layout.position + 1))
    video_hash = torch.full_like(layout.lengths, seed % 2**31).index_add_(0, layout.video, words)
    video_hash = _hash((video_hash ^ (video_hash >> 31)) & 0x7FFFFFFF)
    return _labels_from_largest(_hash(video_hash[layout.video] ^ _hash(layout.position + 1)), layout)


def cumulative_labels(changes: Tensor, layout: Layout, seed: int) -> Tensor:
    """Cluster k starts where the running sum of changes passes k/g of its total (Liu et al.).

    A jump across several thresholds delays the later starts by one frame each, and every later cluster keeps a frame.
    """
    g, t, position = layout.clusters[layout.video], layout.lengths[layout.video], layout.position
    running = _running_sum(changes, layout)
    total = running[layout.first + layout.lengths - 1][layout.video].clamp(min=1)
    thresholds_passed = ((running * g + total - 1) // total - 1).clamp(min=0)  # how many k > 0 have running > k/g total
    # one new cluster per frame at most: labels[i] = min over j <= i of thresholds_passed[j] + (i - j), in one video;
    # of 5 frames and g = 3, thresholds_passed 0 2 2 2 2 gives the labels 0 1 2 2 2
    ahead = position + 2 * changes.shape[0] * layout.video  # with an offset per video, which cummin cannot carry over
    labels = torch.cummin(thresholds_passed - ahead, 0).values + ahead
    return torch.maximum(labels, position + g - t)


def in_each_video(group: Callable[[Tensor, int, int], Tensor]) -> Callable[[Tensor, Layout, int], Tensor]:
    """Labels of a packed batch from a function that groups one video's activations, (t, d), g, seed -> (t,).

    Its products are found in float32, also where a network trains in lower precision: groups are those of testing.
    """

    def labels(x: Tensor, layout: Layout, seed: int) -> Tensor:
        videos = zip(x.split(layout.lengths.tolist()), layout.clusters.tolist(), strict=True)
        with without_autocast(x.device):
            return torch.cat([group(video, clusters, seed) for video, clusters in videos])

    return labels


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Around what runs in float32 whatever autocast says."""
    return torch.autocast(device.type, enabled=False) if device.type in AUTOCAST else nullcontext()


class Clustering(NamedTuple):
    """A way to cluster the frames of videos, as an entry of `CLUSTERINGS` and so a choice of `--cluster`.

    `labels(changes, layout, seed)` tells the cluster of each frame within its own video, (sum t,) int64, from
    `frame_changes`. Each video of the `Layout` has at least as many frames as clusters. Its labels must begin with 0,
    stay or grow by one from frame to frame, and end with its number of clusters - 1; else `find_clusters` raises
    ValueError.

    `at_largest` says that clusters start at the g-1 largest changes: they are then known while frames come in, which
    saves a pass over videos in chunks. `by_distance` says whether it matters which of `DISTANCES` the changes are.

    A method of `whole_videos` is given the activations (sum t, d) in place of changes, and videos pass as a whole. Its
    labels may lie in any order, as long as no cluster is empty: they are sorted by the mean time of their frames.
    """

    labels: Callable[[Tensor, Layout, int], Tensor]
    at_largest: bool = False
    by_distance: bool = True
    whole_videos: bool = False
    of_signs: bool = False  # it looks at signs, whatever the distance


CLUSTERINGS = {
    "cumulative": Clustering(cumulative_labels),
    "slope": Clustering(slope_labels, at_largest=True),
    "even": Clustering(even_labels, by_distance=False),
    "random": Clustering(random_labels, by_distance=False),
    "kmodes": Clustering(in_each_video(alternatives.kmodes), by_distance=False, whole_videos=True, of_signs=True),
    "kmeans": Clustering(in_each_video(alternatives.kmeans), by_distance=False, whole_videos=True),
}


def _labels_from_largest(score: Tensor, layout: Layout) -> Tensor:
    """Labels when the first frame and the g-1 others with the largest score >= 0 start a cluster; earlier wins ties."""
    top = score.max() + 1
    score = torch.where(layout.position == 0, top, score)
    order = torch.sort(layout.video * (top + 1) - score, stable=True).indices  # by video, then score, then time
    rank = layout.position  # place k of each video now holds its k-th largest
    starts = torch.zeros_like(score).index_add_(0, order, (rank < layout.clusters[layout.video]).to(score.dtype))
    return _running_sum(starts, layout) - 1


def _running_sum(values: Tensor, layout: Layout) -> Tensor:
    """Cumulative sum within each video, (sum t,) int64 -> (sum t,)."""
    total = values.cumsum(0)
    return total - (total - values)[layout.first][layout.video]


def _hash(x: Tensor) -> Tensor:
    """Scrambles integers >= 0 into [0, 2**31)."""
    for _ in range(2):
        x = (((x ^ (x >> 16)) & 0x7FFFFFFF) * 0x45D9F3B) & 0x7FFFFFFF
    return x ^ (x >> 16)


class Clusters(NamedTuple):
    """The clusters of a packed batch."""

    assignment: Tensor  # (sum t,) cluster of each frame within its own video; for t < g the first that shows it
    start: Tensor  # (n*g,) packed index of each cluster's first frame; where there is an order, its place in that
    size: Tensor  # (n*g,) frames of each cluster
    order: Tensor | None = None  # (sum t,) packed indices of frames, cluster after cluster; None: they lie so


def find_clusters(seen: Tensor, lengths: Tensor, num_clusters: int, method: str, seed: int = 0) -> Clusters:
    """Cluster the frames of every video by a method of `CLUSTERINGS`.

    `seen` is what the method looks at: changes (sum t,) int64 by `frame_changes`, or activations (sum t, d); lengths
    (n,) -> `Clusters`. A video without any change is cut evenly. For t < g, cluster k is frame floor(k * t / g) alone.
    `seed` matters to methods that draw. No gradient, and, but for methods of whole videos, no wait for the device.
    Raises ValueError where the method's answer is no clustering; off the CPU only its shape is looked at, as its values
    would have to be waited for.
    """
    n, g = len(lengths), num_clusters
    clustering, layout = CLUSTERINGS[method], packed_layout(lengths, seen.shape[0], g)
    labels = clustering.labels(seen, layout, seed)
    _check_labels(method, labels, layout)
    if clustering.whole_videos:
        labels = _by_mean_time(labels, layout)
        changes, looked_at = torch.zeros_like(layout.video), seen > 0 if clustering.of_signs else seen
        changes[1:] = (looked_at[1:] != looked_at[:-1]).any(1)
        changes = changes.index_fill(0, layout.first, 0)
    else:
        changes = seen
    still = torch.zeros_like(lengths).index_add_(0, layout.video, changes) == 0
    labels = torch.where(still[layout.video], even_labels(changes, layout, seed), labels)
    order = torch.sort(layout.video * g + labels, stable=True).indices if clustering.whole_videos else None

    size = torch.zeros(n * g, dtype=torch.int64, device=lengths.device)
    size = size.index_add_(0, layout.video * g + labels, torch.ones_like(labels)).view(n, g)
    start = size.cumsum(1) - size

    short = lengths < g  # those show frame floor(k * t / g) as cluster k
    shown = torch.arange(g, device=lengths.device) * lengths[:, None] // g  # (n, g)
    start = layout.first[:, None] + torch.where(short[:, None], shown, start)
    size = torch.where(short[:, None], 1, size)
    first_shown_by = -(-layout.position * g // lengths[layout.video])
    assignment = torch.where(short[layout.video], first_shown_by, labels)
    return Clusters(assignment, start.flatten(), size.flatten(), order)


def _by_mean_time(labels: Tensor, layout: Layout) -> Tensor:
    """Number each video's clusters by the mean time of their frames; of equals the one that begins earlier is first."""
    videos = []
    for video, g in zip(labels.cpu().split(layout.lengths.tolist()), layout.clusters.tolist(), strict=True):
        members = [(video == k).nonzero().flatten().tolist() for k in range(g)]
        order = sorted(range(g), key=lambda k: (Fraction(sum(members[k]), len(members[k])), members[k][0]))
        videos.append(torch.tensor(order).argsort()[video])
    return torch.cat(videos).to(labels.device)


def _describe(answer: object) -> str:
    """What a function gave, in short."""
    if isinstance(answer, Tensor):
        return f"{answer.dtype} {tuple(answer.shape)}"
    return f"a {type(answer).__name__}"


def _check_labels(method: str, labels: Tensor, layout: Layout) -> None:
    """Raise ValueError where a method's answer leaves a cluster empty, runs backwards, or is no answer at all."""
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != layout.video.shape:
        wanted = f"an int64 label for each of {layout.video.shape[0]} frames"
        raise ValueError(f"clustering {method!r} must give {wanted}, not {_describe(labels)}")
    if labels.device.type != "cpu" or in_export():
        return
    whole = CLUSTERINGS[method].whole_videos
    for video, g in zip(labels.split(layout.lengths.tolist()), layout.clusters.tolist(), strict=True):
        found = video.unique() if whole else video.unique_consecutive()
        if not torch.equal(found, torch.arange(g)):
            order = "" if whole else " in order of time"
            raise ValueError(
                f"clustering {method!r} must cut a video of {len(video)} frames into {g} clusters, labelled from 0 to"
                f" {g - 1}{order}, none of them empty; it gave {video.tolist()}"
            )


# ---------------------------------------------------------------- means


def _slice_means(x: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Means for the CPU, where a loop over clusters is fastest; their slices cover x in order.

    Clusters of a video with t < g that show the same frame share its slice.
    """
    frames = dict(zip(start.tolist(), size.tolist(), strict=True))  # of each slice that starts there
    wide = torch.promote_types(x.dtype, torch.float32)
    slices = zip(frames, x.split([*frames.values()]), strict=True)
    means = {first: part.sum(0, dtype=wide) / len(part) for first, part in slices}
    return torch.stack([means[first] for first in start.tolist()]).to(x.dtype)


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


def _product_means(x: Tensor, start: Tensor, size: Tensor) -> Tensor:
    """Means for exported graphs: one product, of the share that each frame has in each cluster and the frames."""
    place = torch.arange(x.shape[0], device=x.device) - start[:, None]  # (n*g, sum t)
    wide = torch.promote_types(x.dtype, torch.float32)
    share = ((place >= 0) & (place < size[:, None])).to(wide) / size[:, None]
    return (share @ x.flatten(1).to(wide)).to(x.dtype).unflatten(1, x.shape[1:])


def cluster_means(x: Tensor, clusters: Clusters) -> Tensor:
    """Mean activation of every cluster, x (sum t, ...) -> (n*g, ...); gradients reach every frame."""
    if clusters.order is not None:
        x = x[clusters.order]
    means = _slice_means if x.device.type in ("cpu", "mps") else _SegmentMeans.apply
    if in_export():
        means = _product_means
    return means(x, clusters.start, clusters.size)


def means_of_some(x: Tensor, clusters: Clusters, most: int) -> Tensor:
    """Mean activation of a part of every cluster, at most so many frames, which start and size tell; as above."""
    place = torch.arange(most, device=x.device)
    frames = clusters.start[:, None] + place.minimum(clusters.size[:, None] - 1)  # (n*g, most)
    if clusters.order is not None:
        frames = clusters.order[frames]
    wide = torch.promote_types(x.dtype, torch.float32)
    share = (place < clusters.size[:, None]).to(wide) / clusters.size[:, None]
    with without_autocast(x.device):
        return torch.einsum("nm,nm...->n...", share, x[frames].to(wide)).to(x.dtype)


REDUCTIONS = {
    "mean": Reduction(alternatives.all_frames),
    "all": Reduction(alternatives.all_frames),
    "random": Reduction(alternatives.one_frame, most=1, draws=True),
    "middle": Reduction(alternatives.middle_frames, most=4),
}


# ---------------------------------------------------------------- the layer


class TemporalClustering(nn.Module):
    """Replace the frames of every video by the means of `num_clusters` clusters in time.

    Usable in any network that works frame by frame up to here:

        >>> clustering = TemporalClustering(8, "slope")
        >>> means, assignment = clustering(torch.randn(30, 64, 56, 56).relu(), torch.tensor([10, 20]))
        >>> means.shape, assignment.shape
        (torch.Size([16, 64, 56, 56]), torch.Size([30]))

    `method`, `distance` and `reduce` are of `CLUSTERINGS`, `DISTANCES` and `REDUCTIONS`. Raises ValueError for others,
    fewer than one cluster, a method that gives no cut (see `find_clusters`), or lengths that do not add up to the
    frames given (the last only where `lengths` is on the CPU: elsewhere the check would wait for the device).
    """

    def __init__(
        self,
        num_clusters: int,
        method: str = "cumulative",
        seed: int = 0,
        distance: str = "hamming",
        reduce: str = "mean",
    ):
        super().__init__()
        if num_clusters < 1:
            raise ValueError(f"num_clusters is {num_clusters}, must be at least 1")
        known = {"clustering": (method, CLUSTERINGS), "distance": (distance, DISTANCES), "reduce": (reduce, REDUCTIONS)}
        for what, (name, names) in known.items():
            if name not in names:
                raise ValueError(f"unknown {what} {name!r}, choose one of {', '.join(names)}")
        self.num_clusters, self.method, self.seed = num_clusters, method, seed
        self.distance, self.reduce = distance, reduce

    @torch.compiler.disable  # lengths would become part of the graph; this is as fast without one
    def forward(
        self, x: Tensor, lengths: Tensor, draw: Tensor | None = None, seen: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (sum t, c, h, w), lengths (n,) integers >= 1 -> means (n*g, c, h, w), assignment (sum t,) in [0, g).

        `draw` (n*g,) in [0, 1) tells in training which frame stands for each cluster with `reduce` "random"; without
        it torch's own generator does. `seen` is what `look_at` would give, where it is known already.
        """
        known = lengths.device.type == "cpu" and not in_export()
        if known and (int(lengths.sum()) != len(x) or int(lengths.min()) < 1):
            raise ValueError(f"lengths {lengths.tolist()} must be positive and add up to the {len(x)} frames given")
        lengths = lengths.to(x.device, torch.int64, non_blocking=True)
        clusters = self.find_clusters(self.look_at(x, lengths) if seen is None else seen, lengths)
        rows, most = _in_memory_order(x), REDUCTIONS[self.reduce].most
        if most is None:
            means = cluster_means(rows, clusters)
        else:
            means = means_of_some(rows, self.representatives(clusters, draw), most)
        if rows is not x:
            means = means.permute(0, 3, 1, 2)
        return means, clusters.assignment

    def look_at(self, x: Tensor, lengths: Tensor) -> Tensor:
        """What the method looks at, for `find_clusters`: changes (sum t,), or activations (sum t, d)."""
        if CLUSTERINGS[self.method].whole_videos:
            return x.detach().flatten(1)
        return frame_changes(x, lengths, self.distance)

    def find_clusters(self, seen: Tensor, lengths: Tensor) -> Clusters:
        """The function of this name with the method, seed and number of clusters of this layer."""
        return find_clusters(seen, lengths, self.num_clusters, self.method, self.seed)

    def representatives(self, clusters: Clusters, draw: Tensor | None = None) -> Clusters:
        """The part of each cluster whose mean stands for it; `draw` as in `forward`."""
        reduction = REDUCTIONS[self.reduce]
        if not self.training:
            draw = None
        elif reduction.draws and draw is None:
            draw = torch.rand(len(clusters.start), device=clusters.start.device)
        start, size = reduction.pick(clusters.start, clusters.size, draw)
        return clusters._replace(start=start, size=size)

    def extra_repr(self) -> str:
        return f"{self.num_clusters}, {self.method!r}, distance={self.distance!r}, reduce={self.reduce!r}"
