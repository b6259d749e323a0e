"""Train and evaluate full-video action recognition models: `python main.py --help`."""

import shlex
import statistics
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from archs.resnet import ARCHS
from ops.data.batches import EpochBatches
from ops.data.dataset import FrameFolders, make_loader
from ops.data.decoding import describe_decoder
from ops.data.lists import Video, read_list
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import DatasetSpec
from ops.data.views import eval_transform, train_transform
from ops.errors import InputError
from ops.evaluation.testing import categories
from ops.models import TSN, build_model
from ops.move4mnist.generator import PRESETS, make_dataset
from ops.options import cli
from ops.options import config as options
from ops.options.config import Config
from ops.run.progress import Progress
from ops.run.saving import new_folders, newest_checkpoint
from ops.run.signals import Interrupted
from ops.run.training import Training
from ops.streaming import choose_streaming, describe_streaming
from ops.training import checkpoint as ckpt
from ops.training import processes as distributed
from ops.training.engine import Result, evaluate
from ops.training.processes import Processes
from ops.training.stepping import choose_amp, compile_network
from ops.training.sync_norm import synchronise


def make_data(config: Config) -> None:
    """Generate movingmnist where its folder is missing."""
    if config.dataset != "movingmnist" or config.root.exists() or config.train_list or config.val_list:
        return
    print(f"generating Move4MNIST in {config.root} (once; other presets: tools/make_move4mnist.py --help)", flush=True)
    summary = make_dataset(
        config.root, PRESETS["standard"], progress=partial(tqdm, desc="videos", leave=False, dynamic_ncols=True)
    )
    print(summary, flush=True)


def make_split(config: Config, spec: DatasetSpec, train: bool, device: torch.device, processes: Processes):
    """The videos of a split and the loader of their clips."""
    videos = read_list(config.list_file(spec.train_list if train else spec.val_list), config.root, spec)
    sampler = FrameSampler(
        config.num_segments,
        config.cluster != "none",
        config.num_frames,
        config.cluster_start_epoch,
        config.dense_sample,
        train,
        config.frame_stride,
    )
    modality = MODALITIES[config.modality]
    transform = partial(eval_transform, size=config.frame_size)
    if train:
        scales = config.crop_scales or modality.crop_scales
        transform = partial(
            train_transform, size=config.frame_size, flip=spec.flip, scales=scales, flow=config.modality == "Flow"
        )
    dataset = FrameFolders(
        videos, config.root, spec, modality, sampler, transform, config.seed, train and config.on_bad_video == "skip"
    )
    batches = EpochBatches(
        len(videos),
        config.batch_size,
        config.seed if train else None,
        dataset.frame_counts,
        (processes.rank, processes.number),
        config.bucket,
    )
    return videos, make_loader(dataset, batches, config.workers, pin_memory=device.type == "cuda")


def describe(
    config: Config, splits: dict[str, list[Video]], model: TSN, device: torch.device, processes: Processes
) -> str:
    """The header: what is trained on what."""
    counts = [video.num_frames for videos in splits.values() for video in videos]
    shown = f"all, {config.num_segments} {config.cluster} clusters a video after {config.cluster_after}"
    if config.cluster == "none":
        shown = f"{config.num_segments} sampled" + " densely" * config.dense_sample
    else:
        some = [f"at most {config.num_frames}"] * bool(config.num_frames)
        some += [f"one in {config.frame_stride}"] * (config.frame_stride > 1)
        shown = shown.replace("all", " of ".join(some) or "all")
    if config.cluster_start_epoch and config.cluster != "none" and not config.evaluate:
        shown += f" (training: {config.num_segments} sampled before epoch {config.cluster_start_epoch})"
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    lines = {
        "data": f"{config.dataset} {config.modality} in {config.root}: "
        + ", ".join(f"{len(videos)} {split} videos" for split, videos in splits.items())
        + f", {model.new_fc.out_features} classes",
        "decoder": describe_decoder(),
        "frames": f"min {min(counts)}, median {statistics.median(counts):g}, max {max(counts)} a video; seen: {shown}",
        "model": f"{config.arch}, {parameters:.2f} M parameters, {config.frame_size} px, "
        + (f"shift 1/{config.shift_div} {config.shift_place}" if config.shift else "no shift"),
        "device": (f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device))
        + f", {processes.number} processes" * (processes.number > 1),
    }
    if model.clustering:
        lines["stem"] = describe_streaming(model.streaming, model.stem, model.clustering)
    if not config.evaluate:
        precision = choose_amp(config.amp, device)
        lines["training"] = (
            f"epochs {config.start_epoch} to {config.epochs - 1}, batch {config.batch_size}"
            + f" x {config.accum}" * (config.accum > 1)
            + f", {precision}".replace("torch.", "") * (precision is not None)
            + f", SGD lr {config.lr:g} "
            f"({config.lr_type}), wd {config.wd:g}, dropout {config.dropout:g}, seed {config.seed}"
        )
    return "\n".join(f"{name:<9} {text}" for name, text in lines.items())


def load_start(config: Config, model: TSN, stored: dict) -> bool:
    """Give the model the weights it starts from; tells whether the classifier is to learn faster than the rest."""
    if stored:
        ckpt.load_weights(model, stored["state_dict"], config.resume)
        place = f", epoch {stored['epoch']}" if "epoch" in stored else ""
        place += f", step {stored['meters'].get('steps')}" if "meters" in stored else ""
        print(f"weights   {config.resume}, all loaded{place}")
        return stored.get("boost_classifier", True)
    if config.tune_from:
        source = ckpt.load_checkpoint(config.tune_from, config.trust_checkpoint)
        kept = ckpt.load_weights(model, source["state_dict"], config.tune_from, tune=True)
        loaded = len(model.state_dict()) - len(kept)
        print(
            f"weights   {config.tune_from}: {loaded} tensors loaded, "
            + (f"new: {', '.join(kept)}" if kept else "none new")
        )
        return (source.get("config") or {}).get("dataset", "") != config.dataset
    source = config.pretrain or ("imagenet" if ARCHS[config.arch].weights else "none")
    if source != "none":
        ckpt.load_pretrained(model.base_model, config.arch, source, config.trust_checkpoint)
    print(f"weights   {'random' if source == 'none' else source}")
    return source != "none"  # a classifier outruns a backbone only where that has learned before


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def print_evaluation(r: Result) -> None:
    print(
        f"{r.videos} videos, {r.frames} frames in {r.seconds:.1f} s, peak memory {r.peak_memory / 2**20:.0f} MB; "
        f"mean class accuracy {r.mean_class_accuracy:.3f}"
    )
    print(f"Testing Results: Prec@1 {r.top1:.3f} Prec@5 {r.top5:.3f} Loss {r.loss:.5f}")


def refuse_to_overwrite(config: Config) -> None:
    old = [file for name in (ckpt.LAST, ckpt.PREVIOUS) if (file := config.run_folder / name).exists()]
    if old and not config.overwrite and not config.goes_on:
        raise InputError(
            f"{old[0]} is an earlier run of the same name; go on with --resume auto, start anew with"
            " --overwrite, or give this run another name with --suffix"
        )


def refuse_to_cut_anew(config: Config, stored: dict) -> None:
    """InputError where an epoch that is half done would go on with other batches or steps."""
    for name in ("batch_size", "bucket", "accum"):
        own, former = getattr(config, name), stored["config"].get(name, Config.__dataclass_fields__[name].default)
        if own != former:
            raise InputError(
                f"{config.resume} stands within epoch {stored['epoch']}, which was cut with"
                f" --{name} {former}; leave --{name} {own} out, or begin the epoch anew with"
                f" --start_epoch {stored['epoch']}"
            )


def find_start(config: Config, given: frozenset[str]) -> tuple[Config, dict]:
    """What --resume asks for: the checkpoint's content, {} for none, and the config completed by it."""
    if config.resume == "auto":
        path, stored, problems = newest_checkpoint(config.run_folder, config.trust_checkpoint)
        for problem in problems:
            warn(f"warning: {problem}; goes on from {path}, the one before")
        if path is None and config.evaluate:
            raise InputError(f"--resume auto finds no checkpoint in {config.run_folder}; give its path")
        config = replace(config, resume=path and str(path))
    else:
        stored = ckpt.load_checkpoint(config.resume, config.trust_checkpoint)
    if not stored:
        options.check(config, given)
        print(f"resume    no checkpoint in {config.run_folder} yet: a new run")
        return config, stored
    config = options.adopt(config, given, stored.get("config"), config.resume)
    if "meters" in stored and not config.evaluate:
        if "start_epoch" in given:
            del stored["meters"]
        else:
            refuse_to_cut_anew(config, stored)
    if "start_epoch" not in given and not config.evaluate:
        config = replace(config, start_epoch=stored.get("epoch", 0))
    return config, stored


def how_to_go_on(argv: Sequence[str] | None) -> str:
    """The command that continues this run."""
    words, kept = iter(sys.argv[1:] if argv is None else argv), []
    for word in words:
        flag, equals, _ = word.replace("-", "_").partition("=")
        if flag in ("__resume", "__start_epoch"):
            equals or next(words)
        elif flag != "__overwrite":
            kept.append(word)
    return shlex.join(["python", "main.py", *kept, "--resume", "auto"])


class Run(NamedTuple):
    """What a run works with once everything is found in order."""

    config: Config
    model: TSN
    loaders: dict[str, DataLoader]
    device: torch.device
    stored: dict
    boost: bool


def prepare(argv: Sequence[str] | None, processes: Processes) -> Run:
    """Read the command line, build the model, find the data and say what is going to happen."""
    config, given = options.parse(argv)
    stored: dict = {}
    if config.resume:
        config, stored = find_start(config, given)
    if not config.evaluate and config.start_epoch >= config.epochs:
        raise InputError(f"nothing to train: epoch {config.start_epoch} is next, and --epochs is {config.epochs}")
    device = options.pick_device(config.device, config.deterministic, processes)
    if not config.evaluate and processes.main:
        refuse_to_overwrite(config)
    spec = config.spec
    torch.manual_seed(config.seed)
    model = build_model(num_class=spec.num_class, **config.model_options)
    boost = load_start(config, model, stored)
    place_model(config, model, device, processes)
    make_data(config)
    if config.category_file:
        categories(config)  # the checkpoint will name the file
    splits, loaders = {}, {}
    for split in ["val"] if config.evaluate else ["train", "val"]:
        splits[split], loaders[split] = make_split(config, spec, split == "train", device, processes)
    print(describe(config, splits, model, device, processes), flush=True)
    return Run(config, model, loaders, device, stored, boost)


def place_model(config: Config, model: TSN, device: torch.device, processes: Processes) -> None:
    """Move the model to its device, in the form that runs there."""
    if config.sync_bn and processes.number > 1:
        synchronise(model)
    model.to(device, memory_format=torch.channels_last if device.type == "cuda" else torch.preserve_format)
    model.train(not config.evaluate)
    model.streaming = choose_streaming(
        model.stem,
        config.stem_chunk,
        config.frame_size,
        config.stem_grad == "representative" and not config.evaluate,
        config.stem_memory,
    )
    if config.compile:
        compile_network(model, device)


def main(argv: Sequence[str] | None = None) -> int:
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # -j is the user's choice
    with distributed.start() as processes:
        run = processes.together(partial(prepare, argv, processes))
        return (evaluate_once if run.config.evaluate else train)(run, processes, argv)


def evaluate_once(run: Run, processes: Processes, argv: Sequence[str] | None) -> int:
    """`--evaluate`."""
    with Progress("evaluate", len(run.loaders["val"]), run.config.print_freq, wanted=processes.main) as progress:
        print_evaluation(evaluate(run.model, run.loaders["val"], run.device, progress, processes))
    return 0


def train(run: Run, processes: Processes, argv: Sequence[str] | None) -> int:
    """A run to its end, or until a signal; its exit code."""
    config = run.config
    with new_folders(config.run_folder, config.log_folder) if processes.main else nullcontext():
        training = Training(*run, processes, partial(print, flush=True), warn)
        try:
            training.run()
        except Interrupted as signal:
            place = f"epoch {training.epoch} after step {training.meters.steps} of {len(run.loaders['train'])}"
            saved = "could not save" if training.folder.problem else f"saved in {config.run_folder / ckpt.LAST}"
            if processes.main:
                warn(f"ended by {signal} in {place}, {saved}; go on with: {how_to_go_on(argv)}")
            return signal.exit_code
    return 0


if __name__ == "__main__":
    cli.run(main)
