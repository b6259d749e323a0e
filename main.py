"""Train and evaluate full-video action recognition models: `python main.py --help`."""
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from archs.resnet import ARCHS
from ops import checkpoint as ckpt
from ops import cli, distributed, options
from ops.batches import EpochBatches
from ops.dataset import FrameFolders, Video, make_loader, read_list
from ops.dataset_config import DatasetSpec
from ops.distributed import Processes
from ops.engine import Result, evaluate, train_one_epoch
from ops.modality import MODALITIES
from ops.models import TSN, build_model
from ops.move4mnist import PRESETS, make_dataset
from ops.optim import SCHEDULES, build_sgd, load_momenta, set_lr
from ops.options import Config
from ops.progress import Progress
from ops.run_log import RunLog
from ops.sampling import FrameSampler
from ops.stepping import choose_amp, compile_network, make_stepping
from ops.streaming import choose_streaming
from ops.sync_norm import synchronise
from ops.transforms import eval_transform, train_transform


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
        config.num_segments, config.cluster != "none", config.num_frames, config.cluster_start_epoch,
        config.dense_sample, train, config.frame_stride,
    )  # fmt: skip
    modality = MODALITIES[config.modality]
    transform = partial(eval_transform, size=config.frame_size)
    if train:
        scales = config.crop_scales or modality.crop_scales
        transform = partial(
            train_transform, size=config.frame_size, flip=spec.flip, scales=scales, flow=config.modality == "Flow"
        )
    dataset = FrameFolders(videos, config.root, spec, modality, sampler, transform, config.seed,
                           train and config.on_bad_video == "skip")  # fmt: skip
    batches = EpochBatches(len(videos), config.batch_size, config.seed if train else None, dataset.frame_counts,
                           (processes.rank, processes.number), config.bucket)  # fmt: skip
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
        "frames": f"min {min(counts)}, median {statistics.median(counts):g}, max {max(counts)} a video; seen: {shown}",
        "model": f"{config.arch}, {parameters:.2f} M parameters, {config.frame_size} px, "
        + (f"shift 1/{config.shift_div} {config.shift_place}" if config.shift else "no shift"),
        "device": (f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device))
        + f", {processes.number} processes" * (processes.number > 1),
    }  # fmt: skip
    if model.clustering:
        lines["stem"] = str(model.streaming or "all frames of a batch at once")
    if not config.evaluate:
        precision = choose_amp(config.amp, device)
        lines["training"] = (
            f"epochs {config.start_epoch} to {config.epochs - 1}, batch {config.batch_size}"
            + f" x {config.accum}" * (config.accum > 1)
            + f", {precision}".replace("torch.", "") * (precision is not None) + f", SGD lr {config.lr:g} "
            f"({config.lr_type}), wd {config.wd:g}, dropout {config.dropout:g}, seed {config.seed}"
        )
    return "\n".join(f"{name:<9} {text}" for name, text in lines.items())


def load_start(config: Config, model: TSN, stored: dict | None) -> bool:
    """Give the model the weights it starts from; tells whether the classifier is to learn faster than the rest."""
    if stored is not None:
        ckpt.load_weights(model, stored["state_dict"], config.resume)
        print(f"weights   {config.resume}, all loaded" + (f", epoch {stored['epoch']}" if "epoch" in stored else ""))
        return stored.get("boost_classifier", True)
    if config.tune_from:
        source = ckpt.load_checkpoint(config.tune_from)
        kept = ckpt.load_weights(model, source["state_dict"], config.tune_from, tune=True)
        loaded = len(model.state_dict()) - len(kept)
        print(f"weights   {config.tune_from}: {loaded} tensors loaded, "
              + (f"new: {', '.join(kept)}" if kept else "none new"))  # fmt: skip
        return (source.get("config") or {}).get("dataset", "") != config.dataset
    source = config.pretrain or ("imagenet" if ARCHS[config.arch].weights else "none")
    if source != "none":
        ckpt.load_pretrained(model.base_model, config.arch, source)
    print(f"weights   {'random' if source == 'none' else source}")
    return source != "none"  # a classifier outruns a backbone only where that has learned before


def train(
    config: Config, model: TSN, loaders: dict, device: torch.device, stored: dict | None, boost: bool,
    processes: Processes,
) -> None:
    """All epochs: train, validate, log, save."""
    optimizer = build_sgd(model, config.lr, config.momentum, config.wd, boost)
    stepping = make_stepping(model, device, config.amp, config.accum, config.skip_nonfinite, processes)
    best, best_epoch = 0.0, None
    if stored is not None:
        best, best_epoch = stored.get("best_prec1", 0.0), stored.get("best_epoch")
        if stored.get("scaler") and stepping.scaler.is_enabled():
            stepping.scaler.load_state_dict(stored["scaler"])
        if "optimizer" in stored:
            try:
                load_momenta(optimizer, stored["optimizer"])
            except (KeyError, TypeError, ValueError):
                raise cli.InputError(f"{config.resume} was trained with other parameter groups (--npb, say);"
                                     " leave such flags out, or start anew with --tune_from") from None  # fmt: skip
    folder = Path(config.root_model) / config.store_name
    for place in (folder, Path(config.root_log) / config.store_name):
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cli.InputError(f"cannot make {place}: {error.strerror}; see --root_model and --root_log") from None
    if processes.main:
        log = RunLog(Path(config.root_log) / config.store_name, options.plain(config), stored is not None,
                     config.start_epoch)  # fmt: skip
    for epoch in range(config.start_epoch, config.epochs):
        # dropout does not depend on what ran before; processes have masks of their own
        torch.manual_seed((processes.rank << 52) + (config.seed << 20) + epoch)
        lr = SCHEDULES[config.lr_type](config.lr, epoch, config.epochs, config.lr_steps)
        set_lr(optimizer, lr)
        loaders["train"].batch_sampler.set_epoch(epoch)
        title = f"epoch {epoch:>{len(str(config.epochs - 1))}}"
        with Progress(f"{title} train", len(loaders["train"]), config.print_freq, processes.main) as progress:
            draw = (config.seed, epoch)
            result = train_one_epoch(model, loaders["train"], optimizer, device, config.gd, progress, draw, stepping)
        if processes.main:
            log.write(epoch, "train", result, lr)
        for reason in result.skipped:
            print(f"{title} skipped a video: {reason}")
        line = f"{title}  lr {lr:.2g}  {one_line('train', result)}"
        if result.nonfinite_steps:
            line += f", {result.nonfinite_steps} steps left out: not finite"
        is_best = False
        if (epoch + 1) % config.eval_freq == 0 or epoch == config.epochs - 1:
            with Progress(f"{title} val", len(loaders["val"]), config.print_freq, processes.main) as progress:
                result = evaluate(model, loaders["val"], device, progress, processes)
            if processes.main:
                log.write(epoch, "val", result, lr)
            line += f" | {one_line('val', result)}"
            is_best = best_epoch is None or result.top1 > best
            if is_best:
                best, best_epoch = result.top1, epoch
        print(line, flush=True)
        if not processes.main:
            continue
        content = {"epoch": epoch + 1, "arch": config.arch, "state_dict": model.state_dict(),
                   "optimizer": optimizer.state_dict(), "scaler": stepping.scaler.state_dict(), "best_prec1": best,
                   "best_epoch": best_epoch,
                   "boost_classifier": boost, "config": options.plain(config)}  # fmt: skip
        if is_best:  # first, so that a run that ends here finds it again when it goes on
            ckpt.save_checkpoint(folder / ckpt.BEST, content)
        ckpt.save_checkpoint(folder / ckpt.LAST, content)
    if processes.main:
        log.close()
    print(f"best top-1 {best:.3f}% at epoch {best_epoch}: {folder / ckpt.BEST}")


def one_line(split: str, r: Result) -> str:
    return f"{split} loss {r.loss:.4f} top-1 {r.top1:.2f}% {r.seconds:.0f} s, {r.frames_per_second:.0f} frames/s"


def print_evaluation(r: Result) -> None:
    print(f"{r.videos} videos, {r.frames} frames in {r.seconds:.1f} s; mean class accuracy {r.mean_class_accuracy:.3f}")
    print(f"Testing Results: Prec@1 {r.top1:.3f} Prec@5 {r.top5:.3f} Loss {r.loss:.5f}")


def refuse_to_overwrite(config: Config) -> None:
    old = Path(config.root_model) / config.store_name / ckpt.LAST
    going_on = config.resume and Path(config.resume).resolve().parent == old.resolve().parent
    if old.exists() and not config.overwrite and not going_on:
        raise cli.InputError(f"{old} is an earlier run of the same name; go on with --resume {old}, start anew with"
                             " --overwrite, or give this run another name with --suffix")  # fmt: skip


class Run(NamedTuple):
    """What a run works with once everything is found in order."""

    config: Config
    model: TSN
    loaders: dict[str, DataLoader]
    device: torch.device
    stored: dict | None
    boost: bool


def prepare(argv: Sequence[str] | None, processes: Processes) -> Run:
    """Read the command line, build the model, find the data and say what is going to happen."""
    config, given = options.parse(argv)
    stored = None
    if config.resume:
        stored = ckpt.load_checkpoint(config.resume)
        config = options.adopt(config, given, stored.get("config"), config.resume)
        if "start_epoch" not in given and not config.evaluate:
            config = replace(config, start_epoch=stored.get("epoch", 0))
    if not config.evaluate and config.start_epoch >= config.epochs:
        raise cli.InputError(f"nothing to train: epoch {config.start_epoch} is next, and --epochs is {config.epochs}")
    device = options.pick_device(config.device, processes)
    if not config.evaluate and processes.main:
        refuse_to_overwrite(config)
    spec = config.spec
    torch.manual_seed(config.seed)
    model = build_model(num_class=spec.num_class, **config.model_options)
    boost = load_start(config, model, stored)
    place_model(config, model, device, processes)
    make_data(config)
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
    chunk = config.stem_chunk
    if chunk == "auto" and config.sync_bn and not config.freeze_stem_bn:
        chunk = 0  # processes would wait for each other in different numbers of chunks
    model.streaming = choose_streaming(
        model, chunk, config.frame_size, config.stem_grad == "representative" and not config.evaluate,
        config.stem_memory,
    )  # fmt: skip
    if config.compile:
        compile_network(model, device)


def main(argv: Sequence[str] | None = None) -> None:
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # -j is the user's choice
    with distributed.start() as processes:
        config, model, loaders, device, stored, boost = processes.together(partial(prepare, argv, processes))
        if config.evaluate:
            with Progress("evaluate", len(loaders["val"]), config.print_freq, processes.main) as progress:
                print_evaluation(evaluate(model, loaders["val"], device, progress, processes))
        else:
            train(config, model, loaders, device, stored, boost, processes)


if __name__ == "__main__":
    cli.run(main)
