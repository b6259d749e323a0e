"""The options of `main.py` as one frozen `Config`, and which of them may go together."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch

from archs.resnet import ARCHS, STAGES
from ops.clustering import CLUSTERINGS
from ops.data.modality import MODALITIES
from ops.data.specs import DatasetSpec, dataset_root, dataset_spec
from ops.errors import InputError
from ops.heads.average import CONSENSUS
from ops.options import flags
from ops.streaming import STEM_GRADS
from ops.temporal.shift import SHIFT_PLACES
from ops.training.optim import SCHEDULES
from ops.training.processes import ALONE, Processes


@dataclass(frozen=True)
class Config:
    """All options of a run; plain values, so that a checkpoint can carry them."""

    dataset: str
    modality: str
    root_path: str | None = None
    train_list: str | None = None
    val_list: str | None = None
    image_tmpl: str | None = None
    first_frame: int | None = None
    num_class: int | None = None
    category_file: str | None = None
    no_flip: bool = False
    on_bad_video: str = "stop"
    crop_scales: tuple[float, ...] | None = None
    arch: str = "resnet50"
    pretrain: str | None = None
    tune_from: str | None = None
    num_segments: int = 8
    num_frames: int | None = None
    frame_stride: int = 1
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
    freeze_stem_bn: bool = False
    stem_chunk: int | str = "auto"
    stem_memory: int | str = "auto"
    stem_grad: str = "exact"
    accum: int = 1
    bucket: int = 1
    amp: str | None = None
    sync_bn: bool = False
    compile: bool = False
    skip_nonfinite: bool = False
    print_freq: int = 20
    eval_freq: int = 5
    save_every_steps: int = 0
    save_every_minutes: float = 30.0
    workers: int = max(1, min(8, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    seed: int = 0
    device: str | None = None
    deterministic: bool = False
    resume: str | None = None
    trust_checkpoint: bool = False
    evaluate: bool = False
    suffix: str | None = None
    overwrite: bool = False
    root_log: str = "log"
    root_model: str = "checkpoint"

    @property
    def store_name(self) -> str:
        """The run's folder name, TSM's with the clustering added."""
        parts = ["TSM", Path(self.dataset).name, self.modality, self.arch]
        if self.shift:
            parts.append(f"shift{self.shift_div}_{self.shift_place}")
        if self.cluster != "none":
            parts.append(f"{self.cluster}-{self.cluster_after}")
        parts += [self.consensus_type, f"segment{self.num_segments}", f"e{self.epochs}"]
        parts += ["cos"] * (self.lr_type == "cos") + ["dense"] * self.dense_sample + ["nl"] * self.non_local
        return "_".join(parts + ([self.suffix] if self.suffix else []))

    @property
    def run_folder(self) -> Path:
        """Where the run's checkpoints go."""
        return Path(self.root_model) / self.store_name

    @property
    def goes_on(self) -> bool:
        """Whether the checkpoint of --resume is this run's own."""
        return bool(self.resume) and Path(self.resume).resolve().parent == self.run_folder.resolve()

    @property
    def log_folder(self) -> Path:
        return Path(self.root_log) / self.store_name

    @property
    def root(self) -> Path:
        """The dataset's folder, which holds its lists and frames."""
        return dataset_root(self.dataset, self.root_path)

    @property
    def spec(self) -> DatasetSpec:
        """The dataset's facts with the command line's put in; InputError where some are missing."""
        given = {name: getattr(self, name) for name in SPEC_FIELDS}
        return dataset_spec(self.dataset, self.root, self.modality, flip=False if self.no_flip else None, **given)

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
        return {name: getattr(self, name) for name in MODEL_FIELDS} | {
            "dropout": self.dropout,
            "partial_bn": not self.npb,
            "freeze_stem_bn": self.freeze_stem_bn,
            "seed": self.seed,
        }


# what a checkpoint's weights were made for: a flag may not contradict it
MODEL_FIELDS = (
    "modality",
    "arch",
    "num_segments",
    "cluster",
    "cluster_after",
    "shift",
    "shift_div",
    "shift_place",
    "temporal_pool",
    "non_local",
    "consensus_type",
)
SPEC_FIELDS = ("train_list", "val_list", "image_tmpl", "first_frame", "num_class", "category_file")
CHOICES = {
    "modality": MODALITIES,
    "arch": ARCHS,
    "cluster": (*CLUSTERINGS, "none"),
    "cluster_after": STAGES,
    "shift_place": SHIFT_PLACES,
    "consensus_type": CONSENSUS,
    "lr_type": SCHEDULES,
    "stem_grad": STEM_GRADS,
}
# how videos are shown to the model: taken from the checkpoint, but another protocol may be asked for
PROTOCOL_FIELDS = ("input_size", "num_frames", "frame_stride", "dense_sample", "seed")
# where and on what a run happens: never taken from a checkpoint
PLACE_FIELDS = (
    "dataset",
    "root_path",
    *SPEC_FIELDS,
    "no_flip",
    "workers",
    "device",
    "resume",
    "evaluate",
    "overwrite",
    "root_log",
    "root_model",
    "start_epoch",
    "print_freq",
    "tune_from",
    "pretrain",
    "trust_checkpoint",
    "compile",
)


def parse(argv: Sequence[str] | None = None) -> tuple[Config, frozenset[str]]:
    """Read the command line -> the config and the names of the options that were given.

    Wrong syntax and values leave with exit code 2; contradictions raise InputError.
    """
    values = vars(flags.main_parser(asdict(Config("", ""))).parse_args(argv))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    config, given = Config(**values), frozenset(values)
    if config.evaluate and not config.resume:
        raise InputError("--evaluate needs the checkpoint to evaluate: add --resume PATH")
    names = ("resume", "tune_from", "pretrain")[config.resume == "auto" :]  # auto: a new run starts from the others
    sources = [f"--{name} {values[name]}" for name in names if values.get(name)]
    if len(sources) > 1 and sources[1:] != ["--pretrain none"]:
        raise InputError(f"{' and '.join(sources)} contradict each other: weights come from one place")
    if not config.resume:
        check(config, given)
    return config, given


def check(config: Config, given: frozenset[str]) -> None:
    """Raise InputError where options contradict each other or `given` ones would have no effect."""
    if config.suffix and Path(config.suffix).name != config.suffix:
        raise InputError(f"--suffix {config.suffix!r} is part of a folder's name and cannot hold a path")
    if config.cluster == "none":
        for name in (
            "num_frames",
            "frame_stride",
            "cluster_after",
            "cluster_start_epoch",
            "freeze_stem_bn",
            "stem_chunk",
            "stem_memory",
            "stem_grad",
        ):
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
    if config.stem_grad == "representative" and config.stem_chunk == 0:
        raise InputError("--stem_grad representative is for a stem in chunks; leave --stem_chunk 0 out")
    if config.sync_bn and config.freeze_stem_bn and not config.npb:
        raise InputError("--sync_bn finds no BatchNorm that trains: add --npb, or leave out --freeze_stem_bn")
    if not config.freeze_stem_bn and not config.evaluate:
        for name, other in (("stem_chunk", "auto"), ("stem_grad", "exact")):
            if getattr(config, name) not in (other, 0):
                raise InputError(
                    f"--{name} {getattr(config, name)} trains a stem in chunks, in which BatchNorms cannot train;"
                    f" add --freeze_stem_bn, or take --{name} {other}"
                )
    if not config.shift:
        for name in ("shift_div", "shift_place"):
            if name in given:
                raise InputError(f"--{name} has no effect without --shift; add --shift or leave it out")
    if config.cluster_start_epoch >= config.epochs and "cluster_start_epoch" in given and not config.evaluate:
        raise InputError(
            f"--cluster_start_epoch {config.cluster_start_epoch} lies beyond --epochs {config.epochs}:"
            " the run would never train on clusters"
        )


def stored_options(stored: dict, path: str) -> dict:
    """The options among what file `path` holds; InputError unless each could have been given as a flag."""
    names = {field.name for field in fields(Config)}
    stored = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in names}
    for action in flags.main_parser(asdict(Config("", "")))._actions:
        name, known = action.dest, action.choices
        if name not in stored or (stored[name] is None and Config.__dataclass_fields__[name].default is None):
            continue
        value = stored[name]
        if isinstance(value, tuple) != (action.nargs == "+") or not all(
            _could_be_given(action, part) for part in (value if isinstance(value, tuple) else [value])
        ):
            remedy = f"here there are only {', '.join(known)}" if known else "that cannot be, use another checkpoint"
            raise InputError(f"{path} was trained with {name} {str(value)[:80]!r}; {remedy}")
    return stored


def _could_be_given(action: argparse.Action, value: object) -> bool:
    """Whether some word after a flag stands for this value."""
    if action.nargs == 0:
        return isinstance(value, bool)
    if action.choices:
        return value in [*action.choices]
    try:
        return isinstance(value, str) if action.type is None else action.type(str(value)) == value
    except argparse.ArgumentTypeError:
        return False


def adopt(config: Config, given: frozenset[str], stored: dict | None, path: str) -> Config:
    """Complete a config with the one inside checkpoint `path`: `stored`, or None if it carries none.

    For evaluation the model and the way videos are shown come from the file, for going on with training everything
    but places. Raises InputError where a given flag contradicts the model in the file.
    """
    if stored is None:
        check(config, given)
        return config
    stored = stored_options(stored, path)
    for name in sorted(given & {*MODEL_FIELDS} & {*stored}):
        if getattr(config, name) != stored[name]:
            raise InputError(
                f"--{name} {getattr(config, name)} contradicts {path}, which was trained with {name} {stored[name]};"
                f" leave --{name} out or use another checkpoint"
            )
    wanted = {*MODEL_FIELDS, *PROTOCOL_FIELDS} if config.evaluate else {*stored} - {*PLACE_FIELDS}
    if not config.evaluate and Path(stored.get("dataset", config.dataset)).name != Path(config.dataset).name:
        raise InputError(f"{path} was trained on {stored['dataset']}, not {config.dataset}; use --tune_from instead")
    config = replace(config, **{name: v for name, v in stored.items() if name in wanted - given})
    check(config, given)
    return config


def pick_device(name: str | None, deterministic: bool = False, processes: Processes = ALONE) -> torch.device:
    """The named device, else cuda, else mps, else cpu; of several GPUs this process's. InputError if it is not there.

    With `deterministic`, operations that may give other bits the next time are replaced by slower ones.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
        torch.use_deterministic_algorithms(True)
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    name = processes.own_device(name)
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
