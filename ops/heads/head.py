"""What a head is to the rest of the program: from g representations of a video to its logits (TSN's consensus).

A new head is one file here, with a subclass of `Head`, and one line in `ops/heads/__init__.py`.
"""

from torch import Tensor, nn


class Head(nn.Module):
    """Turns what a backbone gives for the g representations of each video into logits.

    It is built from the backbone's `feature_dim`, the number of classes K and the number of representations g, and, by
    keyword, from those model options that `options` names; they travel in the checkpoint. A subclass says what it
    takes:

        in_dim          in between, dropout and a linear layer `new_fc` map features to this width; None: no such layer
        needs_maps      it takes maps as the last stage leaves them, (n, g, d, h, w), not pooled; then `in_dim` is None
        fixed_segments  it works for the g that it was built for only

    It gets float32 and computes in it, whatever precision the backbone trains in. Its parameters stand in checkpoints
    under `consensus.`, `new_fc` beside them, as in TSN, TSM and TRN.
    """

    options: tuple[str, ...] = ()
    needs_maps = False
    fixed_segments = False

    def __init__(self, feature_dim: int, num_class: int, num_segments: int):
        super().__init__()
        self.num_segments, self.in_dim = num_segments, num_class

    def forward(self, x: Tensor) -> Tensor:
        """x (n, g, in_dim) -> logits (n, K), or (n, g, K) to train each representation on the video's label."""
        raise NotImplementedError


def video_logits(logits: Tensor) -> Tensor:
    """Logits to rank the classes of a video by: (n, K) as they are, (n, g, K) averaged -> (n, K)."""
    return logits if logits.ndim == 2 else logits.mean(1)
