"""The stem over any number of frames: what is held are the frames as bytes and the activations of one chunk.

Clustering needs the distances of all frames before it knows the clusters, so the stem runs twice:

    pass 1   chunk -> activations -> how many signs changed since the frame before; the last frame is carried over
    cut      changes (t,) -> clusters
    pass 2   chunk -> activations -> added up for the cluster that each frame belongs to

The second pass goes backwards and starts with the chunk that is still there: a video of one chunk is run only once.
"""
from typing import Protocol

import torch
from torch import Tensor

from ops.clustering import find_clusters, sign_changes
from ops.models import TSN


class Frames(Protocol):
    """A (t, c, S, S) uint8 tensor, or anything that gives one for a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice) -> Tensor: ...


@torch.no_grad()
def stream_stem(model: TSN, frames: Frames, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the trunk sees of one video -> means (g, c, h, w), assignment (t,), distances (t,).

    The first two are those of `model.represent(frames, [t])`, the third is `sign_distances` of the stem's activations.
    frames uint8 (t, channels, S, S), on any device; the results are on the model's. Memory beside the frames: the
    stem's activations of `chunk` frames, and g means. Raises ValueError for a model in training, whose BatchNorm would
    see chunks instead of videos, for one without clustering, or for no frame.
    """
    if model.training or model.clustering is None or not len(frames) or chunk < 1:
        raise ValueError("streaming takes a clustering model in eval mode, one frame or more, and a chunk of 1 or more")
    device = model.new_fc.weight.device
    starts = range(0, len(frames), chunk)
    lengths = torch.tensor([len(frames)], device=device)
    changes = torch.zeros(len(frames), dtype=torch.int64, device=device)
    last = None  # activations of the frame before
    for start in starts:
        x = model.run_stem(frames[start : start + chunk].to(device))  # (chunk, c, h, w)
        if last is not None:
            changes[start] = sign_changes(torch.cat([last, x[:1]]), lengths.new_tensor([2]))[1]
        changes[start + 1 : start + chunk] = sign_changes(x, lengths.new_tensor([len(x)]))[1:]
        last = x[-1:].clone()  # or it would keep its whole chunk

    method = model.clustering
    clusters = find_clusters(changes, lengths, method.num_clusters, method.method, method.seed)
    sums = x.new_zeros(method.num_clusters, x[0].numel())  # (g, c*h*w)
    for start in reversed(starts):
        if start != starts[-1]:
            x = model.run_stem(frames[start : start + chunk].to(device))
        frame = torch.arange(start, start + len(x), device=device)
        member = (frame >= clusters.start[:, None]) & (frame < (clusters.start + clusters.size)[:, None])  # (g, chunk)
        sums += member.to(x.dtype) @ x.flatten(1)
    means = (sums / clusters.size[:, None]).unflatten(1, x.shape[1:])
    return means, clusters.assignment, changes.float() / x[0].numel()
