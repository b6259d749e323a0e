"""From the options of a run to its videos: which frames are loaded, what is seen of them, how they come in batches."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from ops.clustering import CLUSTERINGS
from ops.data.batches import EpochBatches
from ops.data.categories import read_categories
from ops.data.dataset import VideoDataset
from ops.data.lists import Video, read_list
from ops.data.loading import make_loader
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import dataset_file
from ops.data.views import eval_transform, train_transform
from ops.errors import InputError
from ops.heads import head_of
from ops.options.config import Config
from ops.training.processes import ALONE, Processes


def make_sampler(config: Config, train: bool = False) -> FrameSampler:
    """Which frames of a video are loaded."""
    return FrameSampler(
        config.num_segments,
        clustering=config.cluster != "none",
        cap=config.num_frames,
        cluster_start_epoch=config.cluster_start_epoch,
        dense_sample=config.dense_sample,
        train=train,
        stride=config.frame_stride,
        clip_share=config.clip_share,
        clip_speed=config.clip_speed,
        keep=config.frame_keep,
    )


def with_feature_dim(config: Config) -> Config:
    """The config completed by the width of the dataset's features, where there are such in place of frames.

    Raises InputError where it is of another width, has a head that takes others, or clusters by what they do not have.
    """
    shape = config.spec.features
    if shape is None:
        return config
    if config.feature_dim not in (None, shape[0]):
        origin = f"{config.resume} was trained on" if config.resume else "--feature_dim says"
        raise InputError(
            f"{config.root} holds features of width {shape[0]}, and {origin} {config.feature_dim}; use features of the"
            " same network"
        )
    wanted = head_of(config.consensus_type, vars(config)).before_relu
    if wanted != config.spec.before_relu:
        told = ("behind", "without"), ("before", "with")
        (there, _), (place, flag) = told[not wanted], told[wanted]
        raise InputError(
            f"{config.root} holds features from {there} the last ReLU, and --consensus_type {config.consensus_type}"
            f" takes those from {place} it; extract them {flag} --before_relu, or take another head"
        )
    clustering = CLUSTERINGS.get(config.cluster)
    signs = clustering and (clustering.of_signs or clustering.by_distance and config.distance == "hamming")
    if signs and len(shape) == 1:
        raise InputError(
            f"{config.root} holds vectors, means over places, whose signs hardly tell frames apart, and --cluster"
            f" {config.cluster} looks at signs; take --cluster none, even or kmeans, or --distance euclidean or cosine"
        )
    return replace(config, feature_dim=shape[0])


def listed_videos(config: Config, train: bool = False) -> list[Video]:
    """The videos of the training or validation list; InputError names what is wrong with it."""
    spec = config.spec
    bad_stay = train and config.on_bad_video == "skip"
    return read_list(config.list_file(spec.train_list if train else spec.val_list), config.root, spec, bad_stay)


def open_videos(config: Config, train: bool = False) -> VideoDataset:
    """The videos of a list as a run shows them to its model."""
    spec, modality = config.spec, MODALITIES[config.modality]
    transform = partial(eval_transform, size=config.frame_size)
    if train:
        transform = partial(
            train_transform,
            size=config.frame_size,
            flip=spec.flip,
            scales=config.crop_scales or modality.crop_scales,
            flow=modality.flow,
            augment=config.rand_augment,
            erasing=config.erasing,
        )
    skip_bad = train and config.on_bad_video == "skip"
    videos, sampler = listed_videos(config, train), make_sampler(config, train)
    return VideoDataset(videos, config.root, spec, modality, sampler, transform, config.seed, skip_bad)


def load_videos(config: Config, train: bool, device: torch.device, processes: Processes = ALONE) -> DataLoader:
    """Batches of a list's videos: shuffled to train on, of each this process's share."""
    videos = open_videos(config, train)
    batches = EpochBatches(
        len(videos),
        config.batch_size,
        config.seed if train else None,
        videos.frame_counts,
        (processes.rank, processes.world_size),
        config.bucket,
    )
    return make_loader(videos, batches, config.workers, device.type == "cuda", config.frame_size**2)


def category_path(config: Config) -> Path:
    """Where the names of a dataset's classes are looked for."""
    if config.category_file:
        return dataset_file(config.root, config.category_file)
    return config.root / config.spec.category_file


def known_class_names(config: Config) -> list[str] | None:
    """The names of a dataset's classes in the order of their labels; None if nothing names them."""
    path = category_path(config)
    if not config.category_file and not path.is_file():
        return None
    return read_categories(path, config.spec.num_class, needed=True)


def class_names(config: Config) -> list[str]:
    """The names of a dataset's classes in the order of their labels; the labels themselves if nothing names them."""
    return known_class_names(config) or [str(label) for label in range(config.spec.num_class)]
