"""The one road from a checkpoint to its model, for our files and for those in TSM's layout."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ops.errors import InputError
from ops.heads import HEADS
from ops.models import TSN, build_model
from ops.options.checks import adopt, check, check_dataset
from ops.options.config import Config, names_of
from ops.run.data import with_feature_dim
from ops.run.identity import check_class_names, stored_class_names
from ops.run.tsm_layout import describe_network, read_name, read_weights
from ops.training.checkpoint import load_checkpoint, load_weights
from ops.training.layouts import plain_name


class Restored(NamedTuple):
    """What a checkpoint holds."""

    config: Config  # of the command line, completed by the checkpoint's own
    model: TSN  # with its weights
    content: dict  # the file's: epoch, optimizer, ...
    published: bool  # it is in TSM's layout: no options inside


def restore(content: dict, config: Config, given: frozenset[str], **changes) -> Restored:
    """Rebuild the model of the checkpoint `config.resume`, whose `content` has been loaded.

    `config` is the command line's, and `given` names those of its options that were given there; the others are
    completed by the checkpoint, as `ops.options.checks.adopt` says. `changes` that are not None then override the
    config, even with what the model was not trained for. Raises InputError for whatever does not fit together.
    """
    path, published = config.resume, not isinstance(content.get("config"), dict)
    if published:
        check_dataset(config, trained_on(content, path), path)
        network = describe_network(config, given, content, path, changes.get("num_segments"))
        config = replace(config, **network)
        check(config, given)
    else:
        config = adopt(config, given, content["config"], path)
    trained = config.num_segments
    config = replace(config, **{name: value for name, value in changes.items() if value is not None})
    if config.num_segments != trained and HEADS[config.consensus_type].fixed_segments:
        raise InputError(
            f"--test_segments {config.num_segments} contradicts {path}: its head, {config.consensus_type}, works only"
            f" for the {trained} segments that it was trained on; leave --test_segments out"
        )
    if config.num_segments != trained and ":" in config.cluster_after:
        raise InputError(
            f"--test_segments {config.num_segments} contradicts {path}: it clusters after {config.cluster_after}; leave"
            " --test_segments out"
        )
    config = with_feature_dim(config)
    num_class = config.spec.num_class
    model = _rebuild(config, num_class, content)
    check_class_names(stored_class_names(content, num_class, path), config, path)
    return Restored(config, model, content, published)


class Loaded(NamedTuple):
    """What a checkpoint tells by itself."""

    model: TSN  # in eval mode
    config: Config  # how it was trained
    class_names: list[str] | None


def load_model(path: str | Path, trust: bool = False) -> Loaded:
    """The model of a checkpoint, how it was trained and what its classes are; nothing but the file is needed.

    `path` names a file that main.py or TSM's program wrote, or a folder that tools/export.py wrote. With `trust` the
    file may run code. Raises InputError where it does not say how it was trained.
    """
    return build_loaded(load_checkpoint(path, trust), str(path))


def build_loaded(content: dict, path: str) -> Loaded:
    """`load_model` of checkpoint `path`, whose content has been read."""
    num_class = count_classes(content)
    stored = content.get("config")
    if isinstance(stored, dict) and num_class and {"dataset", "modality"} <= stored.keys():
        config = Config(stored["dataset"], stored["modality"], evaluate=True, resume=path)
        place = {name: stored[name] for name in ("root_path", "no_flip", *names_of("data")) if name in stored}
        config = replace(adopt(config, frozenset(), stored, path), **place)
    elif not stored and num_class and "dataset" in read_name(path):
        named = read_name(path) | read_weights(content["state_dict"])
        config = Config(named["dataset"], named["modality"], cluster="none", evaluate=True, resume=path)
        config = replace(config, **describe_network(config, frozenset(), content, path, None))
        check(config, frozenset())
    else:
        raise InputError(f"{path} does not say how it was trained; give a checkpoint that main.py wrote")
    model = _rebuild(config, num_class, content).eval()
    return Loaded(model, config, stored_class_names(content, num_class, path))


def trained_on(content: dict, path: str) -> str | None:
    """The dataset that checkpoint `path` was trained on, None if neither its options nor its name tell."""
    stored = content.get("config")
    told = stored if isinstance(stored, dict) else read_name(path)
    dataset = told.get("dataset")
    return dataset if isinstance(dataset, str) and dataset else None


def count_classes(content: dict) -> int | None:
    """The number of classes of a checkpoint's model, None if it does not tell, or tells what cannot be."""
    weights = content["state_dict"]
    if "num_class" in content:
        most = sum(value.numel() for value in weights.values())  # every class has a weight
        return content["num_class"] if 0 < content["num_class"] <= most else None
    head = HEADS[read_weights(weights).get("consensus_type", Config.consensus_type)]
    named = {plain_name(key): value for key, value in weights.items()}
    for name in head.classifiers:
        if name in named and named[name].ndim == 2:
            return len(named[name])
    return None


def _rebuild(config: Config, num_class: int, content: dict) -> TSN:
    model = build_model(num_class=num_class, **config.model_options)
    load_weights(model, content["state_dict"], config.resume)
    return model
