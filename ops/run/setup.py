"""From the command line to a run with everything found in order: its options, model, videos and device."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.files import check_writable
from ops.models import TSN, build_model
from ops.move4mnist.generator import PRESETS, make_dataset
from ops.options.checks import check, check_mixing, check_processes, check_within_epoch
from ops.options.config import Config
from ops.options.parsing import parse
from ops.run.data import known_class_names, load_videos, with_feature_dim
from ops.run.header import describe
from ops.run.identity import changed_lists, check_batches, describe_data
from ops.run.restore import restore
from ops.run.saving import newest_checkpoint, stamp
from ops.run.start import load_start, start_head, warn_of_frozen_norms, weights_source
from ops.streaming import choose_streaming
from ops.training import checkpoint as ckpt
from ops.training.compiling import compile_network
from ops.training.devices import pick_device
from ops.training.hub import is_hub
from ops.training.placement import choose_kernels, place_model
from ops.training.processes import ALONE, Processes
from ops.training.sync_norm import synchronise

Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What a run is made of.

    `loaders` has those of `train` and `val`, to evaluate `val` alone; `content` is that of the checkpoint it goes on
    from, {} for none; with `boost_classifier` the classifier learns faster than the rest. `data` is what its own
    checkpoints say of its data, `last` the stamp of the last checkpoint beside the one that was read. `say` gets what a
    user wants to read, line by line, `warn` what goes wrong without ending the run.
    """

    config: Config
    model: TSN
    loaders: dict[str, DataLoader]
    device: torch.device
    processes: Processes = ALONE
    content: dict = field(default_factory=dict)
    boost_classifier: bool = False
    data: dict = field(default_factory=dict)
    last: tuple[int, ...] | None = None
    say: Say = print
    warn: Say = print


def set_up(argv: Sequence[str] | None, processes: Processes, say: Say, warn: Say) -> Run:
    """Read the command line, build the model, find the data and say what is going to happen."""
    if not processes.main:
        warn = ignore
    config, given = parse(argv)
    check_processes(given, processes)
    last = stamp(checkpoint_folder(config) / ckpt.LAST)
    config, content = find_checkpoint(config, say, warn)
    if content:
        config, model = go_on_from(content, config, given, say)
    else:
        check(config, given)
    check_epochs_left(config)
    check_mixing(config, processes)
    device = pick_device(config.device, config.deterministic, processes)
    if not config.evaluate and processes.main:
        refuse_to_overwrite(config, last)
    if config.scores and processes.main:
        check_writable(Path(config.scores), "--scores")
    loaders = open_data(config, device, processes, say)  # before weights, which may have to be fetched
    if content:
        boost = content.get("boost_classifier", True)  # checkpoints without this fact are TSM's, which boosts
    else:
        config = with_feature_dim(config)
        torch.manual_seed(config.seed)
        model = build_model(num_class=config.spec.num_class, **config.model_options)
        boost = load_start(config, model, say)
    place(config, model, device, processes)
    data = {}
    if not config.evaluate:
        data = describe_data(config, loaders, content)
        check_data(content, data, config, loaders["train"], warn)
        check_shapes(config, model, loaders["train"], processes)
    say(describe(config, model, loaders, device, processes))
    if not content and weights_source(config) == "none":
        warn_of_frozen_norms(config, model, warn)
    if not content and (boost or not config.tune_from):  # else it has learned already
        start_head(config, model, device, say)
    return Run(config, model, loaders, device, processes, content, boost, data, last, say, warn)


def open_data(config: Config, device: torch.device, processes: Processes, say: Say) -> dict[str, DataLoader]:
    """The loaders of the splits that a run needs, after a look at every line of their lists."""
    make_data(config, say)
    if config.category_file or not config.evaluate:
        known_class_names(config)  # else pictures would ask for them hours later
    splits = ["val"] if config.evaluate else ["train", "val"]
    return {split: load_videos(config, split == "train", device, processes) for split in splits}


def ignore(text: str) -> None:
    """A `Say` for processes beside the first, which would say the same."""


def checkpoint_folder(config: Config) -> Path:
    """Where the checkpoint lies that --resume names, or would lie."""
    return config.run_folder if config.resume in (None, "auto") else Path(config.resume).parent


def find_checkpoint(config: Config, say: Say, warn: Say) -> tuple[Config, dict]:
    """What --resume names: its path in the config, and its content, {} for none."""
    if not config.resume:
        return config, {}
    if config.resume != "auto":
        if is_hub(config.resume) and not config.evaluate:
            raise InputError(f"--resume {config.resume} holds weights, not the state of a training; use --tune_from")
        return config, ckpt.load_checkpoint(config.resume, config.trust_checkpoint)
    path, content, problems = newest_checkpoint(config.run_folder, config.trust_checkpoint)
    for problem in problems:
        warn(f"warning: {problem}; goes on from {path}, the one before")
    if path is not None:
        return replace(config, resume=str(path)), content
    if config.evaluate:
        raise InputError(f"--resume auto finds no checkpoint in {config.run_folder}; give its path")
    say(f"resume    no checkpoint in {config.run_folder} yet: a new run")
    return replace(config, resume=None), {}


def go_on_from(content: dict, config: Config, given: frozenset[str], say: Say) -> tuple[Config, TSN]:
    """The model of a checkpoint, and the config completed by it, which begins where the checkpoint ends."""
    config, model, _, published = restore(content, config, given)
    if published:
        content.pop("meters", None)  # another program's
    if "meters" in content and not config.evaluate:
        if "start_epoch" in given:
            del content["meters"]
        else:
            check_within_epoch(config, content)
    if "start_epoch" not in given and not config.evaluate:
        config = replace(config, start_epoch=content.get("epoch", 0))
    place = f", epoch {content['epoch']}" if "epoch" in content else ""
    if "meters" in content:
        place += f", step {content['meters'].get('steps')}"
    say(f"weights   {config.resume}, all loaded{place}")
    return config, model


def check_epochs_left(config: Config) -> None:
    if not config.evaluate and config.start_epoch >= config.epochs:
        raise InputError(f"nothing to train: epoch {config.start_epoch} is next, and --epochs is {config.epochs}")


def check_data(content: dict, data: dict, config: Config, loader: DataLoader, warn: Say) -> None:
    """Compare the `data` of a run with those of the checkpoint it goes on from, if there is one.

    Other lists may be what is wanted, and are told; within an epoch, other batches raise InputError.
    """
    if "meters" in content and (doubt := check_batches(content, config, loader)):
        warn(f"warning: {doubt}")
    for split in changed_lists(content, data):
        warn(f"warning: the {split} list is not the one of {config.resume}: videos, frames or labels differ")


def check_shapes(config: Config, model: TSN, loader: DataLoader, processes: Processes) -> None:
    """InputError where a step, the last one of an epoch perhaps, leaves a BatchNorm one value of each channel.

    There is no variance of one. It takes one representation, one video and frames so small that their last maps are one
    pixel; then one such video passes the network, which is left as it was.
    """
    batches = loader.batch_sampler
    smallest = batches.num_videos % batches.batch_size or min(batches.num_videos, batches.batch_size)
    synchronised = config.sync_bn and processes.world_size > 1
    alone = smallest < 2 * processes.world_size and not synchronised
    if alone and model.consensus.norms_videos:
        raise InputError(
            f"a batch of this run leaves one video to a process, and --consensus_type {config.consensus_type} has a"
            " BatchNorm over videos, which cannot train on one; take another --batch_size"
        )
    if model.consensus.num_segments > 1 or not alone:
        return
    steps, size = model.num_segments, config.frame_size
    frames = torch.zeros(steps, model.base_model.in_channels, size, size)
    before = [buffer.clone() for buffer in model.buffers()]
    try:
        with torch.no_grad():
            model(frames, torch.tensor([steps]))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"a batch of this run leaves one video to a process, of which --num_segments {steps} and frames of"
            f" {size} pixels leave a BatchNorm one value of each channel; take another --batch_size, more"
            " --num_segments or a larger --input_size"
        ) from None
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)


def refuse_to_overwrite(config: Config, last: tuple[int, ...] | None) -> None:
    """InputError where an earlier run of the same name would be lost, or a later part of this one.

    `last` is the stamp of the last checkpoint in the folder of the one that the run goes on from, when that was read.
    """
    file = config.run_folder / ckpt.LAST
    if config.goes_on and stamp(file) != last:
        raise InputError(f"{file} was written by another run since this one began; start again to go on from there")
    for name in (ckpt.LAST, ckpt.PREVIOUS):
        file = config.run_folder / name
        if file.exists() and not config.overwrite and not config.goes_on:
            raise InputError(
                f"{file} is an earlier run of the same name; go on with --resume auto, start anew with --overwrite, or"
                " give this run another name with --suffix"
            )


def place(config: Config, model: TSN, device: torch.device, processes: Processes) -> None:
    """Move the model to its device, in the form that runs there."""
    if config.sync_bn and processes.world_size > 1:
        synchronise(model, device)
    place_model(model, device)
    choose_kernels(config.cluster == "none", config.deterministic)
    model.train(not config.evaluate)
    representative = config.stem_grad == "representative" and not config.evaluate
    model.streaming = choose_streaming(
        model.stem, config.stem_chunk, config.frame_size, representative, config.stem_memory
    )
    if config.compile:
        compile_network(model, device)


def make_data(config: Config, say: Say) -> None:
    """Generate movingmnist where its folder is missing."""
    given = config.root.exists() or config.train_list or config.val_list or MODALITIES[config.modality].features
    if config.dataset != "movingmnist" or given:
        return
    say(f"generating Move4MNIST in {config.root} (once; other presets: tools/make_move4mnist.py --help)")
    bar = partial(tqdm, desc="videos", leave=False, dynamic_ncols=True)
    say(make_dataset(config.root, PRESETS["standard"], progress=bar))


def launcher(processes: Processes) -> list[str]:
    """The words that start as many processes as these, on each machine where there are several."""
    if processes.world_size == 1:
        return ["python"]
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    here = int(local) if local.isdecimal() else processes.world_size
    words = ["torchrun", f"--nproc_per_node={here}"]
    if here < processes.world_size:  # unlike machines are not foreseen by torchrun
        words += [f"--nnodes={processes.world_size // here}", "--rdzv_backend=c10d", "--rdzv_endpoint=HOST:PORT"]
    return words


def how_to_go_on(argv: Sequence[str] | None, processes: Processes = ALONE) -> str:
    """The command that continues this run, with as many processes."""
    words, kept = iter(sys.argv[1:] if argv is None else argv), []
    for word in words:
        flag, equals, _ = word.replace("-", "_").partition("=")
        if flag in ("__resume", "__start_epoch"):
            if not equals:
                next(words)
        elif flag != "__overwrite":
            kept.append(word)
    return shlex.join([*launcher(processes), "main.py", *kept, "--resume", "auto"])
