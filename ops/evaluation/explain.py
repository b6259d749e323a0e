"""Where and when a model looks: Grad-CAM of each representation, and what each adds to the score of a class.

Selvaraju et al., *Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization*, ICCV 2017. With
A[k, c, x, y] the maps that the last stage leaves of representation k, and S the score of a class, the map of k is

    M[k, x, y] = sum over c of  mean over places of dS / dA[k, c]  *  A[k, c, x, y]

computed by captum. The paper's ReLU is left to who draws it. What representation k adds to the score is the sum of M[k]
over places. Where a head averages over places and representations and a linear layer gives the scores (`avg`), these
sums and the layer's bias make up the score exactly; with another head they are its first-order part.
"""

from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ops.errors import InputError
from ops.evaluation.predict import Prediction, make_steps
from ops.heads.head import video_logits
from ops.models import TSN
from ops.options.config import Config
from ops.training.placement import full_precision


class Explanation(NamedTuple):
    """What of a video speaks for a class."""

    video: Prediction  # where a model samples frames, each is a cluster of its own
    label: int
    score: float  # of the class, before the softmax
    maps: np.ndarray  # (g, h, w), of either sign
    summary: str  # of the video, in words

    @property
    def added(self) -> np.ndarray:
        """What each representation adds to the score, (g,)."""
        return self.maps.sum((1, 2))


class Trunk(nn.Module):
    """The stages behind the clustering as a module, whose output captum watches."""

    def __init__(self, model: TSN):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """What the trunk sees of one video, (g, c, h, w) -> maps (g, d, h, w)."""
        return self.model.run_trunk(x, 1)


def check_explainable(model: TSN, config: Config) -> None:
    """InputError where the last stage has no map for each cluster, or captum is not installed."""
    if find_spec("captum") is None:
        raise InputError("explanations need captum: `pip install -r requirements-explain.txt`")
    if model.cascade:
        raise InputError(f"{config.resume} clusters after {config.cluster_after}; explanations take one clustering")
    if config.temporal_pool or config.temporal_max:
        raise InputError(f"{config.resume} pools its clusters over time before the end; none has a map of its own")


@full_precision()
def explain(model: TSN, config: Config, frames: list[Tensor], chunk: int, label: int | None = None) -> Explanation:
    """What of a video of `frames`, as `hold` gives them, speaks for a class, or for the best one where `label` is None.

    The model is in eval mode; its weights are left as they are.
    """
    from captum.attr import LayerGradCam

    steps = make_steps(config, frames)
    with torch.no_grad():
        if model.clustering is None:
            x, assignment, distances = model.run_stem(steps[:]), range(len(steps)), [0.0] * len(steps)
        else:
            x, clusters, changes = model.cut(steps, torch.tensor([len(steps)]), chunk)
            assignment, distances = clusters.tolist(), changes.tolist()
        logits = video_logits(model.classify(x, 1))[0]  # (K,)
    if not logits.isfinite().all():
        raise InputError("the scores are not finite; the weights are spoiled")
    label = int(logits.argmax()) if label is None else label
    trunk = Trunk(model)

    def scores(x: Tensor) -> Tensor:
        """(g, c, h, w) -> (1, K)."""
        return video_logits(model.consensus(model.pool_maps(trunk(x))[None]))

    given = x.clone().requires_grad_()  # gradients flow also where all weights are frozen
    maps = LayerGradCam(scores, trunk).attribute(given, label)[:, 0]  # (g, 1, h, w) -> (g, h, w)
    video = Prediction(
        frames, steps.first, [*assignment], distances, config.cluster, logits.softmax(0).cpu(), config.distance
    )
    shown = video if model.clustering else video._replace(assignment=None)
    return Explanation(video, label, float(logits[label]), maps.detach().cpu().numpy(), shown.summary)
