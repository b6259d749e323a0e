"""What whoever runs a model elsewhere has to know: what goes in, what comes out, what the classes are.

`describe` says it as plain values, which travel in the metadata of graphs and in the `config.json` of folders for hubs.
"""

from collections.abc import Sequence

from archs import ARCHS
from ops.data.modality import MODALITIES
from ops.models import TSN
from ops.options.config import Config


def summary(config: Config) -> str:
    """The network in words."""
    frames = f"{config.num_segments} sampled frames" if config.cluster == "none" else config.describe_clusters()
    return f"{config.arch} on {config.modality}, {frames}, {config.describe_temporal()}, {config.consensus_type} head"


def frames_text(config: Config) -> str:
    """Which frames of a video a model sees."""
    g = config.num_segments
    if config.cluster != "none":
        some = "all frames of a video"
        if config.frame_stride > 1:
            some = f"one frame in {config.frame_stride}, from the first"
        if config.num_frames:
            some += f", or of more than {config.num_frames} so many, evenly spaced"
        return f"{some}, in order"
    if config.dense_sample:
        return f"{g} frames evenly spaced in the middle 64 of a video, as ops/data/sampling.py draws them"
    return f"of a video of t frames those of the numbers (2 k + 1) t // {2 * g}, k = 0 .. {g - 1}, counted from 0"


def describe(model: TSN, config: Config, class_names: Sequence[str] | None) -> dict:
    """What goes in and comes out, and what the classes are, as plain values by name.

    `config` is one of evaluation, as `load_model` gives it; classes without names get their numbers.
    """
    modality, arch, size = MODALITIES[config.modality], ARCHS[config.arch], config.frame_size
    mean, std = modality.statistics(arch.mean, arch.std)
    channels = model.base_model.in_channels
    if config.cluster == "none":
        shape = f"(clips, {config.num_segments}, {channels}, {size}, {size})"
        outputs = "logits (clips, classes)"
    else:
        shape = f"(frames, {channels}, {size}, {size})"
        outputs = "logits (classes), clusters (frames) from 0, changes (frames): the distance to the frame before"
        if config.distance == "hamming":
            outputs += ", as a number of signs"
    return {
        "model": summary(config),
        "modality": config.modality,
        "input": f"frames, float32 {shape}",
        "frames": frames_text(config),
        "channels": modality.channel_text,
        "normalisation": "(value - mean) / std",
        "mean": list(mean),
        "std": list(std),
        "size": size,
        "view": f"the centre: the shorter side is scaled to {size * 256 // 224} pixels, then {size} x {size} are cut",
        "output": outputs,
        "classes": list(class_names or (str(label) for label in range(model.num_class))),
    }
