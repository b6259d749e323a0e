"""The command line of `main.py` as one frozen `Config`."""
import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from archs.resnet import ARCHS, STAGES
from ops.cli import ArgumentParser, InputError
from ops.clustering import CLUSTERINGS
from ops.consensus import CONSENSUS
from ops.dataset_config import DATASETS, DatasetSpec
from ops.optim import SCHEDULES
from ops.temporal_shift import SHIFT_PLACES

EXAMPLE = """examples:
  # the paper's method: all frames, 16 clusters after layer1, temporal shift behind them
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --epochs 40 -b 16 --npb
  # the baseline TSM: 16 sampled frames
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --cluster none
  # evaluate what was trained; the checkpoint knows its model
  python main.py --evaluate movingmnist RGB --resume checkpoint/NAME/ckpt.best.pth.tar
"""


@dataclass(frozen=True)
class Config:
    """All options of a run; plain values, so that a checkpoint can carry them."""

    dataset: str
    modality: str
    root_path: str | None = None
    train_list: str | None = None
    val_list: str | None = None
    arch: str = "resnet50"
    pretrain: str | None = None
    tune_from: str | None = None
    num_segments: int = 8
    num_frames: int | None = None
    cluster: str = "cumulative"
    cluster_after: str = "layer1"
    cluster_start_epoch: int = 0
    shift: bool = False
    shift_div: int = 8
    shift_place: str = "blockres"
    temporal_pool: bool = False
    non_local: bool = False
    dense_sample: bool = False
    consensus_type: str = "avg"
    dropout: float = 0.5
    input_size: int | None = None
    epochs: int = 120
    start_epoch: int = 0
    batch_size: int = 128
    lr: float = 0.001
    lr_type: str = "step"
    lr_steps: tuple[float, ...] = (50.0, 100.0)
    momentum: float = 0.9
    wd: float = 5e-4
    gd: float | None = None
    npb: bool = False
    print_freq: int = 20
    eval_freq: int = 5
    workers: int = min(8, os.cpu_count() or 1)
    seed: int = 0
    device: str | None = None
    resume: str | None = None
    evaluate: bool = False
    suffix: str | None = None
    overwrite: bool = False
    root_log: str = "log"
    root_model: str = "checkpoint"

    @property
    def store_name(self) -> str:
        """The run's folder name, TSM's with the clustering added."""
        parts = ["TSM", self.dataset, self.modality, self.arch]
        if self.shift:
            parts.append(f"shift{self.shift_div}_{self.shift_place}")
        if self.cluster != "none":
            parts.append(f"{self.cluster}-{self.cluster_after}")
        parts += [self.consensus_type, f"segment{self.num_segments}", f"e{self.epochs}"]
        parts += ["cos"] * (self.lr_type == "cos") + ["dense"] * self.dense_sample + ["nl"] * self.non_local
        return "_".join(parts + ([self.suffix] if self.suffix else []))

    @property
    def root(self) -> Path:
        """The dataset's folder: --root_path, else $FULL_VIDEO_DATA/<dataset>, else data/<dataset>."""
        return Path(self.root_path or os.path.join(os.environ.get("FULL_VIDEO_DATA") or "data", self.dataset))

    def list_file(self, name: str) -> Path:
        """A list as given if that is a file, else inside the dataset's folder."""
        return Path(name) if name in (self.train_list, self.val_list) and Path(name).is_file() else self.root / name

    @property
    def frame_size(self) -> int:
        """Side of the square clips in pixels."""
        return self.input_size or ARCHS[self.arch].input_size

    @property
    def model_options(self) -> dict:
        """What `ops.models.build_model` takes besides the number of classes."""
        return {name: getattr(self, name) for name in MODEL_FIELDS if name != "modality"} | {
            "dropout": self.dropout, "partial_bn": not self.npb, "seed": self.seed,
        }  # fmt: skip


# what a checkpoint's weights were made for: a flag may not contradict it
MODEL_FIELDS = (
    "modality", "arch", "num_segments", "cluster", "cluster_after", "shift", "shift_div", "shift_place",
    "temporal_pool", "non_local", "consensus_type",
)  # fmt: skip
CHOICES = {"arch": ARCHS, "cluster": (*CLUSTERINGS, "none"), "cluster_after": STAGES, "shift_place": SHIFT_PLACES,
           "consensus_type": CONSENSUS, "lr_type": SCHEDULES}  # fmt: skip
# how videos are shown to the model: taken from the checkpoint, but another protocol may be asked for
PROTOCOL_FIELDS = ("input_size", "num_frames", "dense_sample", "seed")
# where and on what a run happens: never taken from a checkpoint
PLACE_FIELDS = (
    "dataset", "root_path", "train_list", "val_list", "workers", "device", "resume", "evaluate", "overwrite",
    "root_log", "root_model", "start_epoch", "print_freq", "tune_from", "pretrain",
)  # fmt: skip


def _number(kind, least=None, most=None, above=None):
    """An argparse type: a number within bounds, with an error that names them."""

    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (
            (least is None or value >= least) and (most is None or value <= most) and (above is None or value > above)
        ) or value in (float("inf"), float("-inf")) or value != value:
            bounds = [f"at least {least}"] * (least is not None) + [f"above {above}"] * (above is not None)
            bounds += [f"at most {most}"] * (most is not None)
            raise argparse.ArgumentTypeError(f"{text} must be {' and '.join(bounds)}")
        return value

    return read


def _frame_cap(text: str) -> int | None:
    return None if text == "all" else _number(int, least=1)(text)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="main.py",
        usage="%(prog)s dataset modality [options]",
        description="Train and evaluate video classifiers on all frames.",
        epilog=EXAMPLE,
    )
    defaults = {field.name: field.default for field in fields(Config)}

    def add(group, flags: str, text: str, **kwargs):
        names = flags.split()
        name = next(name for name in names if name.startswith("--")).lstrip("-")
        if kwargs.get("action") != "store_true" and "(default" not in text and defaults[name] is not None:
            default = defaults[name]
            text += f" (default {' '.join(f'{v:g}' for v in default) if isinstance(default, tuple) else default})"
        group.add_argument(*names, dest=name, default=argparse.SUPPRESS, help=text, **kwargs)

    parser.add_argument("dataset", choices=DATASETS, metavar="dataset", help=f"one of {', '.join(DATASETS)}")
    parser.add_argument("modality", choices=["RGB"], help="what the frames are")

    data = parser.add_argument_group("data")
    add(data, "--root_path", "the dataset's own folder with lists and frames (default $FULL_VIDEO_DATA/<dataset>, "
        "else data/<dataset>; movingmnist is generated there when missing)", metavar="DIR")  # fmt: skip
    add(data, "--train_list", "list of training videos, lines `path num_frames label`", metavar="FILE")
    add(data, "--val_list", "list of validation videos", metavar="FILE")
    add(data, "--num_frames", "frames of a video that clustering sees: all, or at most N evenly spaced (default all)",
        type=_frame_cap, metavar="all|N")  # fmt: skip
    add(data, "--dense_sample", "with --cluster none: sample within a window of 64 frames", action="store_true")
    add(data, "--input_size", "side of the square clips in pixels (default: the arch's, 224; resnet_thin 64)",
        type=_number(int, least=16), metavar="S")  # fmt: skip
    add(data, "-j --workers", "processes that load videos; 0: the main one does (default: one a core, at most 8)",
        type=_number(int, least=0), metavar="N")  # fmt: skip

    model = parser.add_argument_group("model")
    add(model, "--arch", "backbone", choices=ARCHS)
    add(model, "--num_segments", "clusters a video, g; with --cluster none the number of sampled frames",
        type=_number(int, least=1), metavar="G")  # fmt: skip
    add(model, "--cluster", "how videos are cut in time; none: TSN, and TSM with --shift",
        choices=[*CLUSTERINGS, "none"])  # fmt: skip
    add(model, "--cluster_after", "last stage that sees every frame", choices=STAGES)
    add(model, "--cluster_start_epoch", "train on num_segments sampled frames before this epoch",
        type=_number(int, least=0), metavar="E")  # fmt: skip
    add(model, "--shift", "temporal shift behind the clustering", action="store_true")
    add(model, "--shift_div", "1/N of the channels shift each way", type=_number(int, least=2), metavar="N")
    add(model, "--shift_place", "shift inside residual branches or before whole blocks", choices=SHIFT_PLACES)
    add(model, "--temporal_pool", "halve the time steps before layer2", action="store_true")
    add(model, "--non_local", "non-local blocks in layer2 and layer3", action="store_true")
    add(model, "--consensus_type", "avg: mean score of a video; identity: every representation is trained by itself",
        choices=CONSENSUS)  # fmt: skip
    add(model, "--dropout", "before the classifier", type=_number(float, least=0, most=1), metavar="P")
    add(model, "--pretrain", "backbone weights: imagenet, none, or a file (default imagenet where the arch has them)",
        metavar="imagenet|none|PATH")  # fmt: skip
    add(model, "--tune_from", "start from a checkpoint's weights; a classifier of other classes starts anew",
        metavar="PATH")  # fmt: skip

    train = parser.add_argument_group("training")
    add(train, "--epochs", "epochs in all", type=_number(int, least=1), metavar="N")
    add(train, "--start_epoch", "number of the first epoch (after --resume: the next one)",
        type=_number(int, least=0), metavar="E")  # fmt: skip
    add(train, "-b --batch_size", "videos a step", type=_number(int, least=1), metavar="N")
    add(train, "--lr --learning_rate", "learning rate", type=_number(float, above=0), metavar="LR")
    add(train, "--lr_type", "schedule", choices=SCHEDULES)
    add(train, "--lr_steps", "epochs after which `step` divides the rate by 10", nargs="+",
        type=_number(float, least=0), metavar="E")  # fmt: skip
    add(train, "--momentum", "of SGD", type=_number(float, least=0, most=1), metavar="M")
    add(train, "--wd --weight_decay", "weight decay", type=_number(float, least=0), metavar="W")
    add(train, "--gd --clip_gradient", "largest norm of the gradient (default: no limit)", type=_number(float, above=0),
        metavar="NORM")  # fmt: skip
    add(train, "--npb", "train all BatchNorms; without it only the first (TSN's partial BatchNorm)",
        action="store_true")  # fmt: skip
    add(train, "--seed", "of weights, order, crops and random clusters", type=_number(int, least=0, most=2**32 - 1),
        metavar="N")  # fmt: skip
    add(train, "--device", "cpu, cuda, cuda:1, mps (default: cuda, else mps, else cpu)", metavar="DEVICE")

    run = parser.add_argument_group("run")
    add(run, "-e --evaluate", "evaluate the model of --resume on the validation list", action="store_true")
    add(run, "--resume", "checkpoint to go on from, or to evaluate; options not given are the checkpoint's",
        metavar="PATH")  # fmt: skip
    add(run, "--print_freq", "steps between two reports", type=_number(int, least=1), metavar="N")
    add(run, "--eval_freq", "epochs between two validations", type=_number(int, least=1), metavar="N")
    add(run, "--suffix", "added to the run's name", metavar="TEXT")
    add(run, "--overwrite", "replace an earlier run of the same name", action="store_true")
    add(run, "--root_log", "where log/<run> goes", metavar="DIR")
    add(run, "--root_model", "where checkpoint/<run> goes", metavar="DIR")
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[Config, frozenset[str]]:
    """Read the command line -> the config and the names of the options that were given.

    Wrong syntax and values leave with exit code 2; contradictions raise InputError.
    """
    values = vars(_parser().parse_args(argv))
    if "lr_steps" in values:
        values["lr_steps"] = tuple(values["lr_steps"])
    config, given = Config(**values), frozenset(values)
    if config.evaluate and not config.resume:
        raise InputError("--evaluate needs the checkpoint to evaluate: add --resume PATH")
    sources = [f"--{name} {values[name]}" for name in ("resume", "tune_from", "pretrain") if values.get(name)]
    if len(sources) > 1 and sources[1:] != ["--pretrain none"]:
        raise InputError(f"{' and '.join(sources)} contradict each other: weights come from one place")
    if config.suffix and Path(config.suffix).name != config.suffix:
        raise InputError(f"--suffix {config.suffix!r} is part of a folder's name and cannot hold a path")
    if not config.resume:
        check(config, given)
    return config, given


def check(config: Config, given: frozenset[str]) -> None:
    """Raise InputError where options contradict each other or `given` ones would have no effect."""
    if config.cluster == "none":
        for name in ("num_frames", "cluster_after", "cluster_start_epoch"):
            if name in given and getattr(config, name) != Config.__dataclass_fields__[name].default:
                raise InputError(f"--{name} has no effect with --cluster none; leave one of them out")
    elif "dense_sample" in given and not config.cluster_start_epoch:
        raise InputError("--dense_sample samples frames where clustering sees all of them; add --cluster none")
    if config.cluster != "none":
        trunk = STAGES[STAGES.index(config.cluster_after) + 1 :]
        for name, stages in (("shift", trunk), ("non_local", {"layer2", "layer3"} & {*trunk})):
            if getattr(config, name) and not stages:
                raise InputError(f"--{name} finds no stage to work in behind --cluster_after {config.cluster_after}")
        if config.temporal_pool and "layer2" not in trunk:
            raise InputError(f"--temporal_pool comes before layer2, but --cluster_after is {config.cluster_after}")
    if not config.shift:
        for name in ("shift_div", "shift_place"):
            if name in given:
                raise InputError(f"--{name} has no effect without --shift; add --shift or leave it out")
    if config.cluster_start_epoch >= config.epochs and "cluster_start_epoch" in given and not config.evaluate:
        raise InputError(
            f"--cluster_start_epoch {config.cluster_start_epoch} lies beyond --epochs {config.epochs}:"
            " the run would never train on clusters"
        )


def adopt(config: Config, given: frozenset[str], stored: dict | None, path: str) -> Config:
    """Complete a config with the one inside checkpoint `path`: `stored`, or None if it carries none.

    For evaluation the model and the way videos are shown come from the file, for going on with training everything
    but places. Raises InputError where a given flag contradicts the model in the file.
    """
    if stored is None:
        check(config, given)
        return config
    names = {field.name for field in fields(Config)}
    stored = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in names}
    for name, known in CHOICES.items():
        if stored.get(name, getattr(config, name)) not in known:
            raise InputError(f"{path} was trained with {name} {stored[name]!r}; here there are only {', '.join(known)}")
    for name in sorted(given & {*MODEL_FIELDS} & {*stored}):
        if getattr(config, name) != stored[name]:
            raise InputError(
                f"--{name} {getattr(config, name)} contradicts {path}, which was trained with {name} {stored[name]};"
                f" leave --{name} out or use another checkpoint"
            )
    wanted = {*MODEL_FIELDS, *PROTOCOL_FIELDS} if config.evaluate else names - {*PLACE_FIELDS}
    if not config.evaluate and stored.get("dataset", config.dataset) != config.dataset:
        raise InputError(f"{path} was trained on {stored['dataset']}, not {config.dataset}; use --tune_from instead")
    config = replace(config, **{name: v for name, v in stored.items() if name in wanted - given})
    check(config, given)
    return config


def spec_of(config: Config) -> DatasetSpec:
    """The dataset's facts with the command line's lists put in."""
    lists = {name: getattr(config, name) for name in ("train_list", "val_list") if getattr(config, name)}
    return replace(DATASETS[config.dataset], **lists)


def pick_device(name: str | None) -> torch.device:
    """The named device, else cuda, else mps, else cpu; InputError if it is not there."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.ones(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise InputError(f"--device {name} cannot be used here ({reason}); use --device cpu or leave it out") from None
    return device


def plain(config: Config) -> dict:
    """The config as a dict of plain values, for checkpoints and args.json."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
