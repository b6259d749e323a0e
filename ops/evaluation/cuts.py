"""One video cut by several clusterings on the same activations."""

from collections.abc import Sequence

import numpy as np
import torch

from ops.clustering import find_clusters
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
    """Cut a video by each method, by one pass of the stem of a model in eval mode; `kinds` are those of all frames."""
    changes, signs = stream_changes(model.stem, steps, chunk)
    lengths = torch.tensor([len(steps)], device=changes.device)
    labels = {method: find_clusters(changes, lengths, num_clusters, method).assignment for method in methods}
    return CutVideo(
        title,
        steps.frames,
        steps.first,
        (changes.double() / signs).tolist(),
        {method: label.tolist() for method, label in labels.items()},
        None if kinds is None else kinds[steps.first],
    )
