"""Which data a checkpoint is of: the names of its classes, digests of its lists and of a half-done epoch's batches."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader

from ops.data.lists import Video
from ops.errors import InputError
from ops.options.checks import changed_options
from ops.options.config import Config
from ops.run.data import category_path, known_class_names


def lines_of(videos: Sequence[Video]) -> list[str]:
    """What a list says of each video, wherever the data set lies."""
    return [f"{video.path} {video.num_frames} {video.label}" for video in videos]


def describe_data(config: Config, loaders: dict[str, DataLoader], content: dict) -> dict:
    """What a checkpoint keeps of the data of a run; `loaders` are those of its splits.

    Class names that nothing tells here are those in the `content` of the checkpoint that the run goes on from.
    """
    lists = {split: "\n".join(lines_of(loader.dataset.videos)) for split, loader in loaders.items()}
    return {
        "class_names": known_class_names(config) or content.get("class_names"),
        "lists": {split: hashlib.sha256(text.encode()).hexdigest() for split, text in lists.items()},
    }


def digest_batches(loader: DataLoader, epoch: int) -> str:
    """A digest of the batches of an epoch of training, those of all processes together."""
    loader.batch_sampler.set_epoch(epoch)
    return loader.batch_sampler.digest(lines_of(loader.dataset.videos))


# ---------------------------------------------------------------- against the data that are here


def stored_class_names(content: dict, num_class: int, path: str | Path) -> list[str] | None:
    """The class names in the content of checkpoint `path`, None where it has none; InputError unless they fit it."""
    names = content.get("class_names")
    if names is not None and (len(names) != num_class or not all(isinstance(name, str) for name in names)):
        raise InputError(
            f"{path} is damaged: it has {num_class} classes and names {len(names)}; use another checkpoint"
        )
    return names


def check_class_names(names: list[str] | None, config: Config, path: str | Path) -> None:
    """InputError where labels stand for other classes in the data set than in checkpoint `path`, as far as known."""
    known = known_class_names(config) if names else None
    if not known or known == names:
        return
    label = next(label for label in range(len(names)) if names[label] != known[label])
    raise InputError(
        f"class {label} is {names[label]!r} for {path} and {known[label]!r} in {category_path(config)}; use the data it"
        " was trained on or, if only names have changed, give a file with its own in --category_file"
    )


def changed_lists(content: dict, data: dict) -> list[str]:
    """The splits whose lists in `data`, as `describe_data` gives them, are others than in a checkpoint's content."""
    before = content.get("lists", {})
    return [split for split, digest in data.get("lists", {}).items() if before.get(split, digest) != digest]


def check_batches(content: dict, config: Config, loader: DataLoader) -> str | None:
    """InputError where the epoch that a checkpoint has half done would go on with other batches.

    Returns what is to be said of one from a version whose checkpoints did not tell: it drew other orders.
    """
    epoch = config.start_epoch
    anew = f"begin the epoch anew with --start_epoch {epoch}"
    if "batches" not in content:
        return (
            f"{config.resume} stands within epoch {epoch} of an earlier version, which drew other batches: some videos"
            f" come twice in it and others not at all, unless you {anew}"
        )
    if content["batches"] != digest_batches(loader, epoch):
        changed = ", ".join(f"--{name}" for name in changed_options(config, content["config"]))
        cause = f"options that changed: {changed}" if changed else "no option changed: it is the lists"
        raise InputError(
            f"{config.resume} stands within epoch {epoch}, whose batches were others ({cause}); go on with what it was"
            f" begun with, or {anew}"
        )
    return None
