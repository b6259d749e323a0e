"""The flags of the programs: names, types and help texts. What they mean together stands in `ops/options/config.py`."""

import argparse

from archs.resnet import ARCHS, STAGES
from ops.clustering import CLUSTERINGS
from ops.data.modality import MODALITIES
from ops.data.specs import DATASETS
from ops.heads.average import CONSENSUS
from ops.options.cli import ArgumentParser
from ops.streaming import STEM_GRADS
from ops.temporal.shift import SHIFT_PLACES
from ops.training.optim import SCHEDULES
from ops.training.stepping import AMP

EXAMPLE = """examples:
  # the paper's method: all frames, 16 clusters after layer1, temporal shift behind them
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --epochs 40 -b 16 --npb
  # the baseline TSM: 16 sampled frames
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --cluster none
  # evaluate what was trained; the checkpoint knows its model
  python main.py --evaluate movingmnist RGB --resume checkpoint/NAME/ckpt.best.pth.tar
"""


def number(kind, least=None, most=None, above=None):
    """An argparse type: a number within bounds, with an error that names them."""

    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if (
            not (
                (least is None or value >= least)
                and (most is None or value <= most)
                and (above is None or value > above)
            )
            or value in (float("inf"), float("-inf"))
            or value != value
        ):
            bounds = [f"at least {least}"] * (least is not None) + [f"above {above}"] * (above is not None)
            bounds += [f"at most {most}"] * (most is not None)
            raise argparse.ArgumentTypeError(f"{text} must be {' and '.join(bounds)}")
        if kind is int and most is None and value >= 2**31:
            raise argparse.ArgumentTypeError(f"{text} is too large")
        return value

    return read


def _frame_cap(text: str) -> int | None:
    return None if text == "all" else number(int, least=1)(text)


def stem_chunk(text: str) -> int | str:
    """An argparse type: auto, or a number of frames with 0 for none."""
    return text if text == "auto" else number(int, least=0)(text)


def stem_memory(text: str) -> int | str:
    """An argparse type: auto, or bytes as 2G, 512M, 64k or plainly -> bytes."""
    digits, unit = text.rstrip("kKMG"), text[len(text.rstrip("kKMG")) :]
    if text != "auto" and (not digits.isdecimal() or len(unit) > 1):
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a size such as 2G, 512M or 0")
    return text if text == "auto" else int(digits) << {"": 0, "K": 10, "M": 20, "G": 30}[unit.upper()]


def add_dataset_flags(parser: ArgumentParser, modality_needed: bool = True):
    """The flags that say which videos: shared by all programs that read a dataset. Returns their group."""
    parser.add_argument(
        "dataset",
        help=f"one of {', '.join(DATASETS)}; or your own: a folder with a dataset.json, or "
        "any name with --root_path, --image_tmpl and --num_class",
    )
    parser.add_argument(
        "modality",
        choices=MODALITIES,
        nargs=None if modality_needed else "?",
        help="what the network sees: frames, pairs of flow images, or differences between frames",
    )
    group = parser.add_argument_group("data")

    def add(flag: str, text: str, **kwargs):
        group.add_argument(flag, default=argparse.SUPPRESS, help=text, **kwargs)

    add(
        "--root_path",
        "the dataset's own folder with lists and frames (default $FULL_VIDEO_DATA/<dataset>, else "
        "data/<dataset>; movingmnist is generated there when missing)",
        metavar="DIR",
    )
    add("--train_list", "list of training videos, lines `path num_frames label`", metavar="FILE")
    add("--val_list", "list of validation videos", metavar="FILE")
    add(
        "--image_tmpl",
        "how frames are named, for example 'img_{:05d}.jpg' (default: as the dataset's)",
        metavar="TEMPLATE",
    )
    add(
        "--first_frame",
        "number of a video's first frame (default: as the dataset's; own datasets 1)",
        type=number(int, least=0),
        metavar="N",
    )
    add("--num_class", "number of classes (default: as the dataset's)", type=number(int, least=1), metavar="K")
    add("--category_file", "class names, one a line in the order of labels (default category.txt)", metavar="FILE")
    add("--no_flip", "never mirror videos in training: for classes such as left and right", action="store_true")
    return group


def main_parser(defaults: dict) -> ArgumentParser:
    """The parser of `main.py`; what is not given is absent from its result. `defaults` are for the help texts."""
    parser = ArgumentParser(
        prog="main.py",
        usage="%(prog)s dataset modality [options]",
        description="Train and evaluate video classifiers on all frames.",
        epilog=EXAMPLE,
    )

    def add(group, flags: str, text: str, **kwargs):
        names = flags.split()
        name = next(name for name in names if name.startswith("--")).lstrip("-")
        if kwargs.get("action") != "store_true" and "(default" not in text and defaults[name] is not None:
            default = defaults[name]
            text += f" (default {' '.join(f'{v:g}' for v in default) if isinstance(default, tuple) else default})"
        group.add_argument(*names, dest=name, default=argparse.SUPPRESS, help=text, **kwargs)

    data = add_dataset_flags(parser)
    add(
        data,
        "--num_frames",
        "frames of a video that clustering sees: all, or at most N evenly spaced (default all)",
        type=_frame_cap,
        metavar="all|N",
    )
    add(data, "--frame_stride", "of a video, clustering sees every N-th frame", type=number(int, least=1), metavar="N")
    add(data, "--dense_sample", "with --cluster none: sample within a window of 64 frames", action="store_true")
    add(
        data,
        "--input_size",
        "side of the square clips in pixels (default: the arch's, 224; resnet_thin 64)",
        type=number(int, least=16),
        metavar="S",
    )
    add(
        data,
        "--crop_scales",
        "sides of training crops, as shares of the frame's shorter side (default: TSN's, 1 .875 "
        ".75 .66; without the last for Flow and RGBDiff)",
        nargs="+",
        type=number(float, above=0, most=1),
        metavar="S",
    )
    add(
        data,
        "--on_bad_video",
        "what a frame that cannot be read does to training: stop it, or skip the video and "
        "report it; evaluation always stops",
        choices=["stop", "skip"],
    )
    add(
        data,
        "-j --workers",
        "processes that load videos, for each that trains; 0: that one does (default: one a core, at most 8)",
        type=number(int, least=0),
        metavar="N",
    )

    model = parser.add_argument_group("model")
    add(model, "--arch", "backbone", choices=ARCHS)
    add(
        model,
        "--num_segments",
        "clusters a video, g; with --cluster none the number of sampled frames",
        type=number(int, least=1),
        metavar="G",
    )
    add(
        model,
        "--cluster",
        "how videos are cut in time; none: TSN, and TSM with --shift",
        choices=[*CLUSTERINGS, "none"],
    )
    add(model, "--cluster_after", "last stage that sees every frame", choices=STAGES)
    add(
        model,
        "--cluster_start_epoch",
        "train on num_segments sampled frames before this epoch",
        type=number(int, least=0),
        metavar="E",
    )
    add(model, "--shift", "temporal shift behind the clustering", action="store_true")
    add(model, "--shift_div", "1/N of the channels shift each way", type=number(int, least=2), metavar="N")
    add(model, "--shift_place", "shift inside residual branches or before whole blocks", choices=SHIFT_PLACES)
    add(model, "--temporal_pool", "halve the time steps before layer2", action="store_true")
    add(model, "--non_local", "non-local blocks in layer2 and layer3", action="store_true")
    add(
        model,
        "--consensus_type",
        "avg: mean score of a video; identity: every representation is trained by itself",
        choices=CONSENSUS,
    )
    add(model, "--dropout", "before the classifier", type=number(float, least=0, most=1), metavar="P")
    add(
        model,
        "--pretrain",
        "backbone weights: imagenet, none, or a file (default imagenet where the arch has them)",
        metavar="imagenet|none|PATH",
    )
    add(
        model,
        "--tune_from",
        "start from a checkpoint's weights; a classifier of other classes starts anew",
        metavar="PATH",
    )

    train = parser.add_argument_group("training")
    add(train, "--epochs", "epochs in all", type=number(int, least=1), metavar="N")
    add(
        train,
        "--start_epoch",
        "number of the first epoch (after --resume: the next one)",
        type=number(int, least=0),
        metavar="E",
    )
    add(train, "-b --batch_size", "videos a batch, of all processes together", type=number(int, least=1), metavar="N")
    add(train, "--lr --learning_rate", "learning rate", type=number(float, above=0), metavar="LR")
    add(train, "--lr_type", "schedule", choices=SCHEDULES)
    add(
        train,
        "--lr_steps",
        "epochs after which `step` divides the rate by 10",
        nargs="+",
        type=number(float, least=0),
        metavar="E",
    )
    add(train, "--momentum", "of SGD", type=number(float, least=0, most=1), metavar="M")
    add(train, "--wd --weight_decay", "weight decay", type=number(float, least=0), metavar="W")
    add(
        train,
        "--gd --clip_gradient",
        "largest norm of the gradient (default: no limit)",
        type=number(float, above=0),
        metavar="NORM",
    )
    add(
        train, "--npb", "train all BatchNorms; without it only the first (TSN's partial BatchNorm)", action="store_true"
    )
    add(train, "--freeze_stem_bn", "train none of the BatchNorms that see every frame", action="store_true")
    add(
        train,
        "--stem_chunk",
        "frames that pass the stem at a time, so that memory does not grow with a video (in training with "
        "--freeze_stem_bn only); 0: all; auto: all where they take little memory",
        type=stem_chunk,
        metavar="N|auto",
    )
    add(
        train,
        "--stem_memory",
        "of a stem in chunks, activations kept so that a second pass need not find them again; "
        "auto: a quarter of what is free on CUDA, else 64M",
        type=stem_memory,
        metavar="SIZE|auto",
    )
    add(
        train,
        "--stem_grad",
        "gradient of a stem in chunks: exact, or estimated from one random frame per cluster",
        choices=STEM_GRADS,
    )
    add(
        train,
        "--accum",
        "batches that make a step: their loss is the mean over all their videos",
        type=number(int, least=1),
        metavar="K",
    )
    add(
        train,
        "--bucket",
        "shuffle such that batches hold videos of similar length, sorted within N batches; 1: do not",
        type=number(int, least=1),
        metavar="N",
    )
    add(train, "--amp", "precision of training (default: bf16 on a CUDA GPU that has it, else off)", choices=AMP)
    add(train, "--sync_bn", "BatchNorm takes its statistics from the videos of all processes", action="store_true")
    add(train, "--compile", "compile the network, which costs minutes at the start", action="store_true")
    add(
        train,
        "--skip_nonfinite",
        "leave out steps whose loss or gradient is not finite, and count them, instead of stopping",
        action="store_true",
    )
    add(
        train,
        "--seed",
        "of weights, order, crops and random clusters",
        type=number(int, least=0, most=2**32 - 1),
        metavar="N",
    )
    add(train, "--deterministic", "the same bits every time on CUDA, too; slower", action="store_true")
    add(train, "--device", "cpu, cuda, cuda:1, mps (default: cuda, else mps, else cpu)", metavar="DEVICE")

    run = parser.add_argument_group("run")
    add(run, "-e --evaluate", "evaluate the model of --resume on the validation list", action="store_true")
    add(
        run,
        "--resume",
        "checkpoint to go on from, or to evaluate; auto: this run's newest, if there is one; options "
        "not given are the checkpoint's",
        metavar="PATH|auto",
    )
    add(
        run,
        "--trust_checkpoint",
        "load checkpoint files that hold more than tensors and plain values, and may run code",
        action="store_true",
    )
    add(
        run,
        "--save_every_steps",
        "save after every N-th step of an epoch, besides its end; 0: never",
        type=number(int, least=0),
        metavar="N",
    )
    add(
        run,
        "--save_every_minutes",
        "save when the last time was M minutes ago, too; 0: never",
        type=number(float, least=0),
        metavar="M",
    )
    add(run, "--print_freq", "steps between two reports", type=number(int, least=1), metavar="N")
    add(run, "--eval_freq", "epochs between two validations", type=number(int, least=1), metavar="N")
    add(run, "--suffix", "added to the run's name", metavar="TEXT")
    add(run, "--overwrite", "replace an earlier run of the same name", action="store_true")
    add(run, "--root_log", "where log/<run> goes", metavar="DIR")
    add(run, "--root_model", "where checkpoint/<run> goes", metavar="DIR")
    return parser
