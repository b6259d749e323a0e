"""The weights that a new run starts from."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from archs import ARCHS
from ops.data.seeds import Purpose, generator
from ops.data.specs import dataset_name
from ops.errors import InputError
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.text import counted
from ops.run.data import known_class_names, load_videos
from ops.run.restore import trained_on
from ops.training.checkpoint import ADDED, load_checkpoint, load_pretrained, load_weights
from ops.training.layouts import HEAD, summarise, translate
from ops.training.placement import full_precision

Say = Callable[[str], None]


def weights_source(config: Config) -> str:
    """Where a new run's weights come from: a path, "imagenet", or "none" for random ones."""
    return config.tune_from or config.pretrain or ("imagenet" if ARCHS[config.arch].weights else "none")


def load_start(config: Config, model: TSN, say: Say) -> bool:
    """Give a new model the weights it starts from; tells whether the classifier is to learn faster than the rest."""
    if config.tune_from:
        return tune(config, model, say)
    source = weights_source(config)
    if source == "none":
        say("weights   random")
        return False  # a classifier outruns a backbone only where that has learned before
    left_out = load_pretrained(model.base_model, config.arch, source, config.trust_checkpoint)
    check_frozen(config, [name for name in model.state_dict() if any(part in name for part in ADDED)])
    say(f"weights   {source}{name_left_out(left_out)}")
    return True


def tune(config: Config, model: TSN, say: Say) -> bool:
    """`--tune_from`; tells whether the classifier is new and is to learn faster than the rest.

    Classifier and head stay those of the file only for the dataset that it was trained on, or where nothing tells which
    one that was, and only where they fit and no class is known to be another.
    """
    path, content = config.tune_from, load_checkpoint(config.tune_from, config.trust_checkpoint)
    dataset = trained_on(content, path)
    same_dataset = dataset is None or dataset_name(dataset) == dataset_name(config.dataset)
    names, known = content.get("class_names"), known_class_names(config)
    same_classes = not (names and known) or names == known
    weights, left_out = translate(content["state_dict"], model.state_dict(), path)
    new = load_weights(model, weights, path, tune=True, keep_head=same_dataset and same_classes)
    is_new = any(key.startswith(HEAD) for key in new)
    check_frozen(config, [key for key in new if not key.startswith(HEAD)])
    if not same_dataset:
        why = f"new, for it was trained on {dataset}"
    elif not same_classes:
        why = "new, for it was trained on other classes"
    elif is_new:
        why = "new, for none there fits"
    elif dataset is None:
        why = "kept, for it fits and the file does not say what it was trained on"
    else:
        why = f"kept, for it was trained on {dataset}"
    loaded = f"{len(model.state_dict()) - len(new)} tensors loaded, "
    loaded += f"new: {', '.join(new)}" if new else "none new"
    say(f"weights   {path}: {loaded}; classifier {why}{name_left_out(left_out)}")
    return is_new


def check_frozen(config: Config, new: Sequence[str]) -> None:
    """InputError where weights of the backbone that are `new`, by their names, would stay as random as they are."""
    if config.freeze_backbone and new:
        raise InputError(
            f"--freeze_backbone would leave {counted(len(new), 'new tensor')} of the backbone at random, {new[0]} for"
            " one; leave it out, or start from a checkpoint that holds them with --tune_from"
        )


@torch.no_grad()
@full_precision()
def start_head(config: Config, model: TSN, device: torch.device, say: Say) -> None:
    """Let a new head that starts from data see training videos: those of the first epoch, the same in all processes.

    Raises InputError where they do not give it what it wants.
    """
    if not model.consensus.starts_from_data:
        return
    loader = load_videos(config, True, device)
    loader.batch_sampler.set_epoch(config.start_epoch)
    seen = []

    def batches() -> Iterator[Tensor]:
        for batch in loader:
            if batch.names:
                seen.extend(batch.names)
                x, _ = model.represent(batch.frames, batch.lengths)
                yield model.to_head(x, len(batch.names))

    model.eval()
    try:
        model.consensus.start_from(batches(), generator(Purpose.HEAD_START, config.seed))
    except ValueError as error:
        raise InputError(
            f"--consensus_type {config.consensus_type} cannot start from the training list: {error}"
        ) from None
    model.train()
    say(f"head      {config.consensus_type} starts from {counted(len(seen), 'training video')}")


def name_left_out(keys: Sequence[str]) -> str:
    """The end of a line that tells which weights of a file were not loaded."""
    return f"; left out: {summarise(keys)}" if keys else ""


def warn_of_frozen_norms(config: Config, model: TSN, warn: Say) -> None:
    """Tell that BatchNorms which never saw an image would stay as they are."""
    if not model.frozen_norms:
        return
    flags = []
    if not config.npb:
        flags.append("add --npb")
    if config.freeze_stem_bn:
        flags.append("leave --freeze_stem_bn out")
    if config.freeze_bn:
        flags = ["leave --freeze_bn out"]
    if config.freeze_backbone:
        flags = ["leave --freeze_backbone out"]
    warn(
        f"warning: the weights are random, and {len(model.frozen_norms)} BatchNorms would not train, whose statistics"
        f" are of no images; {' and '.join(flags)}, or start from weights with --pretrain or --tune_from"
    )
