"""Whether an exported graph answers as the model does: on made and on real clips of many lengths.

Classes, and the cluster of every frame, must be the same, and logits differ by rounding only. Where frames are compared
by signs that lie at 0 within rounding, the graph may count one sign more or less than the model, which can move a cut
between two places that were as good as equal. Then the graph must have cut as this program cuts with the graph's own
counts, to the frame, and its logits must be those of the model with these cuts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ops.export.formats import Run
from ops.export.graph import ClipGraph, Graph, VideoGraph
from ops.options.config import Config
from ops.run.data import open_videos

RELATIVE, ABSOLUTE = 1e-4, 1e-5  # by how much logits may differ: a share of the largest, and at any rate
SHARE = 1e-3  # of the distances of a video, by how much those of the graph may differ


class Clip(NamedTuple):
    """What a graph is tried on."""

    name: str
    frames: Tensor  # float, as the graph takes them in


class Row(NamedTuple):
    """How a graph answered for a clip."""

    name: str
    number: int  # of frames, or of clips
    difference: float  # the largest of a logit
    same_class: bool
    cuts: str  # "same", "other" or what is to be said of them; "" of a model that does not cut
    good: bool


def made_clips(graph: Graph, size: int) -> Iterator[Clip]:
    """Clips of noise of several lengths, fewer frames than clusters among them, and one without any change."""
    model, g = graph.model, graph.model.num_segments
    generator = torch.Generator().manual_seed(0)
    numbers = (1, 2, 3) if isinstance(graph, ClipGraph) else sorted({1, max(1, g // 2), g, g + 1, 2 * g + 3})
    for number in numbers:
        frames = torch.rand(graph.shape(number, size), generator=generator)
        yield Clip("noise", _normalise(frames, model.input_mean, model.input_std))
    if isinstance(graph, VideoGraph):
        frames = torch.rand(graph.shape(1, size), generator=generator).expand(graph.shape(g + 2, size))
        yield Clip("still", _normalise(frames, model.input_mean, model.input_std))


def real_clips(graph: Graph, config: Config, number: int) -> Iterator[Clip]:
    """Some videos of the validation list, as evaluation shows them; InputError where they cannot be had."""
    videos = open_videos(config)
    for index in sorted({place * len(videos) // number for place in range(number)}):
        frames, _, name = videos[0, index]
        frames = graph.model.to_input(frames)
        yield Clip(name, frames if isinstance(graph, VideoGraph) else frames[None])


def _normalise(frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return ((frames - mean) / std).contiguous()


def compare(graph: Graph, run: Run, clip: Clip) -> Row:
    """One clip through the model and through what was exported."""
    with torch.no_grad():
        own, found = graph(clip.frames), run(clip.frames)
        cuts = ""
        if isinstance(graph, VideoGraph):
            own, cuts = _with_cuts(graph, clip, own, found)
        logits, others = own[0], found[0]
        difference = float((logits - others).abs().max())
        same_class = torch.equal(logits.argmax(-1), others.argmax(-1))
        near = difference <= RELATIVE * float(logits.abs().max()) + ABSOLUTE
    return Row(clip.name, len(clip.frames), difference, same_class, cuts, near and same_class and cuts != "other")


def _with_cuts(graph: VideoGraph, clip: Clip, own: Sequence[Tensor], found: Sequence[Tensor]) -> tuple:
    """What the model is to be compared by, and what is to be said of the cuts."""
    if torch.equal(own[1], found[1]):
        return own, "same"
    if (own[2] - found[2]).abs().max() > SHARE * own[2].max():
        return own, "other"
    again = graph.classify(graph.model.run_stem(clip.frames), found[2])
    moved = int((own[1] != found[1]).sum())
    return (again, f"{moved} frames: rounding") if torch.equal(again[1], found[1]) else (own, "other")


def lay_out(rows: Sequence[Row], axis: str) -> str:
    """Rows as a table, one below the other."""
    head = ("clip", axis, "largest difference", "class", "cuts")
    cells = [
        (row.name, str(row.number), f"{row.difference:.1e}", "same" if row.same_class else "other", row.cuts)
        for row in rows
    ]
    columns = [column for column in zip(head, *cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    )
