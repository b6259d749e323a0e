"""What a run says before it begins: what is trained on what, and how."""

import statistics

import torch
from torch.utils.data import DataLoader

from ops.data.decoding import describe_decoder
from ops.data.modality import MODALITIES
from ops.models import TSN
from ops.options.config import OPTIONS, Config
from ops.pictures.text import counted
from ops.streaming import describe_streaming
from ops.training.optim import OPTIMIZERS
from ops.training.processes import Processes
from ops.training.stepping import choose_amp

RECIPE = (  # options that a header names where they are used
    "freeze_backbone",
    "layer_decay",
    "warmup_epochs",
    "ema",
    "label_smoothing",
    "class_weights",
    "mixup",
    "cutmix",
    "rand_augment",
    "erasing",
)


def lay_out(lines: dict[str, str]) -> str:
    """Lines `name   text`, one below the other."""
    return "\n".join(f"{name:<9} {text}" for name, text in lines.items())


def describe(
    config: Config, model: TSN, loaders: dict[str, DataLoader], device: torch.device, processes: Processes
) -> str:
    """The header of a run; `loaders` are those of its splits."""
    splits = {split: loader.dataset.videos for split, loader in loaders.items()}
    sizes = ", ".join(f"{len(videos)} {split} videos" for split, videos in splits.items())
    frames = [video.num_frames for videos in splits.values() for video in videos]
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    lines = {"data": f"{config.dataset} {config.modality} in {config.root}: {sizes}, {model.num_class} classes"}
    if not MODALITIES[config.modality].features:
        lines["decoder"] = describe_decoder()
    lines |= {
        "frames": f"min {min(frames)}, median {statistics.median(frames):g}, max {max(frames)} per video; seen:"
        f" {describe_seen(config)}",
        "model": f"{config.arch}, {parameters:.2f} M parameters, {describe_size(config)}, {config.describe_temporal()}",
        "device": describe_device(device, processes),
    }
    if model.clustering:
        lines["stem"] = describe_streaming(model.streaming, model.stem, model.clustering)
    if not config.evaluate:
        lines["training"] = describe_training(config, device)
    return lay_out(lines)


def describe_size(config: Config) -> str:
    """How large the frames are that a network sees, or how wide features are."""
    if MODALITIES[config.modality].features:
        return f"features of width {config.feature_dim}"
    return f"{config.frame_size} px"


def describe_seen(config: Config) -> str:
    """Which frames of a video the model sees, and what becomes of them."""
    drawn = "" if config.evaluate else describe_drawn(config)
    if config.cluster == "none":
        return f"{config.num_segments} sampled{' densely' if config.dense_sample else ''}{drawn}"
    some = []
    if config.num_frames:
        some.append(f"at most {config.num_frames}")
    if config.frame_stride > 1:
        some.append(f"one in {config.frame_stride}")
    text = " of ".join(some) or "all"
    text += f", {config.describe_clusters()}"
    if config.cluster_start_epoch and not config.evaluate:
        text += f" (training: {config.num_segments} sampled before epoch {config.cluster_start_epoch})"
    return text + drawn


def describe_drawn(config: Config) -> str:
    """What training draws of a video anew in each epoch; nothing where it does not."""
    some = []
    if config.clip_share < 1:
        some.append(f"a part of {config.clip_share:g} to 1")
    if config.clip_speed > 1:
        some.append(f"a speed of {1 / config.clip_speed:.2g} to {config.clip_speed:g}")
    if config.frame_keep < 1:
        some.append(f"{config.frame_keep:g} of the frames")
    return f"; drawn in training: {', '.join(some)}" if some else ""


def describe_device(device: torch.device, processes: Processes) -> str:
    text = str(device)
    if device.type == "cpu":
        text += f", {counted(torch.get_num_threads(), 'thread')}"
    if processes.world_size > 1:
        text += f", {processes.world_size} processes"
    return text


def describe_training(config: Config, device: torch.device) -> str:
    batch = f"batch {config.batch_size}"
    if config.accum > 1:
        batch += f" x {config.accum}"
    precision = choose_amp(config.amp, device)
    if precision is not None:
        batch += f", {str(precision).removeprefix('torch.')}"
    return (
        f"epochs {config.start_epoch} to {config.epochs - 1}, {batch}, {OPTIMIZERS[config.optimizer].title} lr"
        f" {config.lr:g} ({config.lr_type}), wd {config.wd:g}, dropout {config.dropout:g}, seed {config.seed}"
        + "".join(
            f", {name} {getattr(config, name)}" for name in RECIPE if getattr(config, name) != OPTIONS[name].default
        )
    )
