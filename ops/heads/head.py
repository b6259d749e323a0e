"""What a head is to the rest of the program: from g representations of a video to its logits (TSN's consensus).

A new head is one file here, with a subclass of `Head`, and one line in `ops/heads/__init__.py`.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor, nn


class Head(nn.Module):
    """Turns what a backbone gives for the g representations of each video into logits.

    It is built from the backbone's `feature_dim`, the number of classes K and the number of representations g, and, by
    keyword, from those options of the command line that `options` names; they travel in the checkpoint. A subclass says
    what it takes:

        in_dim            dropout and a linear layer `new_fc` map features to this width before; None: no such layer
        needs_maps        it takes maps as the last stage leaves them, (n, g, d, h, w), not pooled; `in_dim` is None
        before_relu       the last stage leaves them without its last ReLU
        fixed_segments    it works for the g that it was built for only
        draws             it draws in training: `forward` then gets what `draw` gave as a second argument
        starts_from_data  a new one wants to see training videos before the first epoch, by `start_from`
        norms_videos      it holds a BatchNorm over the videos of a batch, which cannot train on a single one
        boosted           `new_fc` is a classifier, which learns faster than a backbone that has learned before
        undecayed         names of its own parameters that weight decay leaves alone; any module may have this
        classifiers       names in a model's state dict, of which the first that is there has a row for each class
        forms, form_option  where the value of an option decides between several heads of one name, these heads

    It gets float32 and computes in it, whatever precision the backbone trains in. Its parameters stand in checkpoints
    under `consensus.`, `new_fc` beside them, as in TSN, TSM and TRN.
    """

    options: tuple[str, ...] = ()
    needs_maps = False
    before_relu = False
    fixed_segments = False
    draws = False
    starts_from_data = False
    norms_videos = False
    boosted = True
    undecayed: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ("new_fc.weight",)
    forms: Mapping[str, type["Head"]] = {}
    form_option: str | None = None

    def __init__(self, feature_dim: int, num_class: int, num_segments: int):
        super().__init__()
        self.num_segments, self.in_dim = num_segments, num_class

    @classmethod
    def problem(cls, num_segments: int, options: Mapping) -> str | None:
        """Why there is no such head for so many representations with these options, None where there is one."""
        return None

    @classmethod
    def read(cls, weights: Mapping[str, Tensor]) -> dict | None:
        """The options that the state dict of a model proves by its names and shapes if this is its head, else None."""
        return None

    def draw(self, rng: np.random.Generator) -> list[Tensor]:
        """What it draws for a batch of training, on the CPU."""
        raise NotImplementedError

    def start_from(self, batches: Iterable[Tensor], rng: np.random.Generator) -> None:
        """Find starting values in what this head gets of training videos, batches of (n, g, ...) as in `forward`.

        It asks for as many batches as it wants, once. Raises ValueError where they are too few.
        """

    def forward(self, x: Tensor) -> Tensor:
        """x (n, g, in_dim) -> logits (n, K), or (n, g, K) to train each representation on the video's label.

        A head that `draws` gets what it drew after x, in training; in testing, and for no video, it does not.
        """
        raise NotImplementedError


def video_logits(logits: Tensor) -> Tensor:
    """Logits to rank the classes of a video by: (n, K) as they are, (n, g, K) averaged -> (n, K)."""
    return logits if logits.ndim == 2 else logits.mean(1)
