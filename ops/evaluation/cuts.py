"""One video cut by several clusterings on the same activations."""

from collections.abc import Sequence

import numpy as np
import torch

from ops.clustering import CLUSTERINGS, find_clusters, sign_changes
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

    The stem runs once for each measure of the methods.
    """
    changes, signs = stream_changes(model.stem, steps, chunk)
    lengths = torch.tensor([len(steps)], device=changes.device)
    seen = {sign_changes: changes}  # what methods look at
    labels = {}
    for method in methods:
        measure = CLUSTERINGS[method].measure
        if measure is None:
            seen[measure] = model.run_stem(steps[:]).flatten(1)
        elif measure not in seen:
            seen[measure], _ = stream_changes(model.stem, steps, chunk, measure)
        labels[method] = find_clusters(seen[measure], lengths, num_clusters, method).assignment
    return CutVideo(
        title,
        steps.frames,
        steps.first,
        (changes.double() / signs).tolist(),
        {method: label.tolist() for method, label in labels.items()},
        None if kinds is None else kinds[steps.first],
    )
