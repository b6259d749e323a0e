"""A model as a graph of its own, which other programs run: `torch.export` traces it, for any number of frames or clips.

    a model that clusters    one video, frames (t, c, S, S), t >= 1  ->  logits (K,), clusters (t,), changes (t,)
    a model of g samples     n clips, frames (n, g, c, S, S), n >= 1 ->  logits (n, K)

Frames are floats as `TSN.to_input` makes them. What runs is the model itself, clustering included; nothing of it is
written a second time here.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ops.clustering import CLUSTERINGS
from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.heads.head import video_logits
from ops.models import TSN

MOST = 2**31 - 1  # frames or clips at once


class VideoGraph(nn.Module):
    """A model that clusters, for one video of any length."""

    outputs, axis = ("logits", "clusters", "changes"), "frames"

    def __init__(self, model: TSN):
        super().__init__()
        self.model = model

    def shape(self, number: int, size: int) -> tuple[int, ...]:
        """What a video of so many frames comes in."""
        return number, self.model.base_model.in_channels, size, size

    def lengths(self, frames: Tensor) -> Tensor:
        return torch.full((1,), frames.shape[0], dtype=torch.int64)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """frames (t, c, S, S) -> logits (K,), the cluster of each frame (t,), how far it is from the one before (t,).

        Distances are in the steps of `frame_changes`: with the Hamming distance, how many signs differ.
        """
        x = self.model.run_stem(frames)
        return self.classify(x, self.model.clustering.look_at(x, self.lengths(frames)))

    def classify(self, x: Tensor, changes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from activations (t, c, h, w) and these distances."""
        means, clusters = self.model.clustering(x, self.lengths(x), seen=changes)
        return video_logits(self.model.classify(means, 1))[0], clusters, changes


class ClipGraph(nn.Module):
    """A model that sees sampled frames, for any number of clips of `num_segments` frames."""

    outputs, axis = ("logits",), "clips"

    def __init__(self, model: TSN):
        super().__init__()
        self.model = model

    def shape(self, number: int, size: int) -> tuple[int, ...]:
        """What so many clips come in."""
        return number, self.model.num_segments, self.model.base_model.in_channels, size, size

    def forward(self, frames: Tensor) -> tuple[Tensor]:
        """frames (n, g, c, S, S) -> logits (n, K)."""
        x = self.model.run_stem(frames.flatten(0, 1))
        return (video_logits(self.model.classify(x, frames.shape[0])),)


Graph = VideoGraph | ClipGraph


def make_graph(model: TSN) -> Graph:
    """What is to be traced of a model in eval mode on the CPU; InputError where no graph can hold it."""
    if MODALITIES[model.modality].features:
        raise InputError("this model sees features, so that a graph would lack the network; take --to safetensors")
    if model.clustering is None:
        return ClipGraph(model)
    method = model.clustering.method
    if CLUSTERINGS[method].whole_videos:
        others = ", ".join(name for name, other in CLUSTERINGS.items() if not other.whole_videos)
        raise InputError(
            f"--cluster {method} groups frames in rounds of its own, which no graph holds (those of {others} can be"
            " had); take --to safetensors"
        )
    return VideoGraph(model)


def trace(graph: Graph, size: int) -> ExportedProgram:
    """The graph for any number of frames, or clips, of `size` pixels.

    Raises InputError where this release of torch cannot follow the model.
    """
    example = torch.zeros(()).expand(graph.shape(2, size))  # it travels with the weights: one number in memory
    with quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                graph, (example,), dynamic_shapes=({0: Dim(graph.axis, min=1, max=MOST)},), strict=False
            )
        except Exception as error:  # torch raises whatever it stumbles over
            raise InputError(f"torch {torch.__version__} cannot trace this model: {first_line(error)}") from None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            module.graph.eliminate_dead_code()  # torch 2.6 cannot read some of what leads nowhere
            for node in module.graph.nodes:
                for name in ("stack_trace", "nn_module_stack", "source_fn_stack"):  # paths and code of this machine
                    node.meta.pop(name, None)
            module.recompile()
    return program


def first_line(error: BaseException) -> str:
    """What an error says, in short; with its cause where that says more."""
    causes = [error]
    while causes[-1].__cause__:
        causes.append(causes[-1].__cause__)
    lines = str(causes[-1]).strip().splitlines()
    return f"{type(causes[-1]).__name__}: {lines[0] if lines else ''}"[:200]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters say about themselves, on stdout and in warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
