"""One video cut by several clusterings on the same activations."""

from collections.abc import Sequence

import numpy as np
import torch

from ops.clustering import CLUSTERINGS, DISTANCES, find_clusters
from ops.evaluation.predict import Steps
from ops.models import TSN
from ops.pictures.methods import CutVideo
from ops.streaming import stream_changes
from ops.training.placement import full_precision


@torch.inference_mode()
@full_precision()
def cut_video(
    model: TSN,
    steps: Steps,
    methods: Sequence[str],
    num_clusters: int,
    chunk: int,
    title: str,
    kinds: np.ndarray | None = None,
) -> CutVideo:
    """Cut a video by each method, on the activations of a model in eval mode; `kinds` are those of all frames.

    The stem runs once for all methods that look at distances, and once for those that look at whole videos.
    """
    distance, seed = model.clustering.distance, model.clustering.seed
    changes, values = stream_changes(model.stem, steps, chunk, distance)
    lengths = torch.tensor([len(steps)], device=changes.device)
    seen, labels = {False: changes}, {}  # what methods look at, by whether they look at whole videos
    for method in methods:
        whole = CLUSTERINGS[method].whole_videos
        if whole not in seen:
            seen[whole] = model.run_stem(steps[:]).flatten(1)
        labels[method] = find_clusters(seen[whole], lengths, num_clusters, method, seed).assignment
    return CutVideo(
        title,
        steps.frames,
        steps.first,
        (changes.double() / DISTANCES[distance].steps(values)).tolist(),
        {method: label.tolist() for method, label in labels.items()},
        None if kinds is None else kinds[steps.first],
        distance,
    )
