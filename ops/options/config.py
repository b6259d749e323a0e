"""The options of `main.py`: each is declared here, once, and nowhere else.

From a field of `Config` come its flag, its help text and its row in docs/options.md; from its role comes what --resume
and --evaluate take from a checkpoint. A new option is a new field. Which options do not go together is said in
`ops/options/checks.py`.
"""

import os
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from archs import ARCHS
from ops.clustering import CLUSTERINGS, DISTANCES, REDUCTIONS
from ops.data.modality import MODALITIES
from ops.data.specs import DATASETS, DatasetSpec, dataset_file, dataset_name, dataset_root, dataset_spec
from ops.heads import HEADS, known_options, options_of
from ops.heads.actionvlad import VLAD_FORMS
from ops.heads.trn import TRN_MLPS, TRN_TUPLES
from ops.options.option import Option, option
from ops.options.types import file_path, frame_cap, number, stem_chunk, stem_memory
from ops.streaming import STEM_GRADS
from ops.temporal import TEMPORAL
from ops.temporal.shift import DIRECTIONS, SHIFT_PLACES
from ops.training.losses import CLASS_WEIGHTS
from ops.training.optim import OPTIMIZERS, SCHEDULES
from ops.training.stepping import AMP


def default_workers() -> int:
    """One process a core, at most 8, where torchrun starts several that train: each its share."""
    trains = os.environ.get("LOCAL_WORLD_SIZE", "")
    share = (os.cpu_count() or 1) // max(1, int(trains) if trains.isdecimal() else 1)
    return max(1, min(8, share))


@dataclass(frozen=True)
class Config:
    """All options of a run; plain values, so that a checkpoint can carry them."""

    dataset: str = option(
        MISSING,
        f"one of {', '.join(DATASETS)}; or your own: a folder with a dataset.json, or any name with --root_path,"
        " --image_tmpl and --num_class",
        role="place",
        type=file_path,
    )
    modality: str = option(
        MISSING,
        "what the network sees: frames (RGB, SI), differences between frames (RGBDiff), pairs of flow images (Flow:"
        " 5 at a time, OF: 1), or dynamic images, of 10 frames (DI) or 10 pairs (DOF); Features: what"
        " tools/extract_features.py has made of frames",
        role="model",
        choices=MODALITIES,
    )

    # data: the facts of a DatasetSpec
    train_list: str | None = option(
        None, "list of training videos, lines `path num_frames label`", role="data", type=file_path, metavar="FILE"
    )
    val_list: str | None = option(None, "list of validation videos", role="data", type=file_path, metavar="FILE")
    image_tmpl: str | None = option(
        None,
        "how frames are named, for example 'img_{:05d}.jpg' (default: as the dataset's)",
        role="data",
        metavar="TEMPLATE",
    )
    first_frame: int | None = option(
        None,
        "number of a video's first frame (default: as the dataset's; own datasets 1)",
        role="data",
        type=number(int, least=0),
        metavar="N",
    )
    num_class: int | None = option(
        None,
        "number of classes (default: as the dataset's)",
        role="data",
        type=number(int, least=1),
        metavar="K",
    )
    category_file: str | None = option(
        None,
        "class names, one per line in the order of labels (default category.txt)",
        role="data",
        type=file_path,
        metavar="FILE",
    )

    # protocol
    no_flip: bool = option(
        False, "never mirror videos in training: for classes such as left and right", role="protocol"
    )
    num_frames: int | None = option(
        None,
        "frames of a video that clustering sees: all, or at most N evenly spaced (default all)",
        role="protocol",
        type=frame_cap,
        metavar="all|N",
    )
    frame_stride: int = option(
        1, "clustering sees every N-th frame of a video", role="protocol", type=number(int, least=1), metavar="N"
    )
    dense_sample: bool = option(False, "with --cluster none: sample within a window of 64 frames", role="protocol")
    input_size: int | None = option(
        None,
        "side of the square clips in pixels (default: the arch's, 224; thin ones 64)",
        role="protocol",
        type=number(int, least=16),
        metavar="S",
    )
    trn_tuples: str = option(
        "seeded",
        "of TRNmultiscale in testing: three seeded tuples of representations a scale, or all",
        role="protocol",
        choices=TRN_TUPLES,
    )
    seed: int = option(
        0,
        "seed of weights, order, crops and random clusters",
        role="protocol",
        type=number(int, least=0, most=2**32 - 1),
        metavar="N",
        fixed_within_epoch=True,
    )

    # model
    arch: str | None = option(
        None, "backbone (default: resnet50; for Features, features, which is none)", role="model", choices=ARCHS
    )
    feature_dim: int | None = option(
        None,
        "how wide Features are (default: as the dataset says)",
        role="model",
        type=number(int, least=1),
        metavar="D",
    )
    num_segments: int = option(
        8,
        "clusters per video, g; with --cluster none the number of sampled frames",
        role="model",
        type=number(int, least=1),
        metavar="G",
    )
    cluster: str = option(
        "cumulative",
        "how a video's frames are clustered: cut in time, or grouped wherever they are (kmodes, kmeans); none: TSN, and"
        " TSM with --shift",
        role="model",
        choices=(*CLUSTERINGS, "none"),
    )
    cluster_after: str | None = option(
        None,
        "last stage that sees every frame (default: the arch's; of ResNets layer1); several places and their numbers of"
        " clusters cluster one after the other, as layer1:32,layer2:16",
        role="model",
        metavar="STAGE[:G,...]",
    )
    distance: str = option(
        "hamming",
        "how slope and cumulative compare neighbouring frames: by the share of signs that differ (the paper's), or by"
        " their activations",
        role="model",
        choices=DISTANCES,
    )
    reduce: str = option(
        "mean",
        "what stands for a cluster: the mean of all its frames (also: all), one random frame in training and the middle"
        " one in testing, or the mean of the middle four",
        role="model",
        choices=REDUCTIONS,
    )
    temporal: str | None = option(
        None,
        "what mixes the steps of a video inside the backbone, behind the clustering: temporal shift (TSM), or the"
        " modules of STM in place of 3x3 convolutions (default: none, or what --shift says)",
        role="model",
        choices=(*TEMPORAL, "none"),
    )
    shift: bool = option(False, "the same as --temporal shift", role="model")
    shift_div: int = option(
        8, "1/N of the channels shift each way", role="model", type=number(int, least=2), metavar="N"
    )
    shift_place: str = option(
        "blockres", "shift inside residual branches or before whole blocks", role="model", choices=SHIFT_PLACES
    )
    shift_direction: str = option(
        "both",
        "shift from the next and the previous step, or from the previous one only (TSM's online form)",
        role="model",
        choices=DIRECTIONS,
    )
    temporal_pool: bool = option(False, "halve the time steps before layer2", role="model")
    temporal_max: bool = option(
        False,
        "one representation per video before the last residual block: of each activation the largest over time",
        role="model",
    )
    non_local: bool = option(False, "non-local blocks in layer2 and layer3", role="model")
    consensus_type: str = option(
        "avg",
        "avg: a video's scores are the mean over its representations; identity: every representation is trained by"
        " itself; TRN, TRNmultiscale: an MLP over their features, one or several; ActionVLAD: visual words of all their"
        " places; VideoGraph: a graph of actions over time; MLP: two layers on the mean of their features",
        role="model",
        choices=HEADS,
    )
    trn_mlps: str = option(
        "shared",
        "of TRNmultiscale: one MLP for all tuples of a scale, or one for each of its three",
        role="model",
        choices=TRN_MLPS,
    )
    vlad_form: str = option(
        "paper",
        "of ActionVLAD: the paper's, or the one that VideoGraph's authors compare with on Breakfast",
        role="model",
        choices=VLAD_FORMS,
    )

    # training
    epochs: int = option(120, "epochs in all", role="training", type=number(int, least=1), metavar="N")
    batch_size: int = option(
        128,
        "videos per batch, of all processes together",
        role="training",
        type=number(int, least=1),
        metavar="N",
        aliases=("-b",),
        fixed_within_epoch=True,
    )
    accum: int = option(
        1,
        "batches per step: their loss is the mean over all their videos",
        role="training",
        type=number(int, least=1),
        metavar="K",
        fixed_within_epoch=True,
    )
    bucket: int = option(
        1,
        "shuffle such that batches hold videos of similar length, sorted within N batches; 1: do not",
        role="training",
        type=number(int, least=1),
        metavar="N",
        fixed_within_epoch=True,
    )
    lr: float = option(
        0.001,
        "learning rate",
        role="training",
        type=number(float, above=0),
        metavar="LR",
        aliases=("--learning_rate",),
    )
    lr_type: str = option("step", "schedule of the learning rate", role="training", choices=SCHEDULES)
    lr_steps: tuple[float, ...] = option(
        (50.0, 100.0),
        "epochs after which `step` divides the rate by 10",
        role="training",
        type=number(float, least=0),
        metavar="E",
        many=True,
    )
    warmup_epochs: int = option(
        0,
        "epochs in which the rate rises from nothing, step by step; `cos` begins after them",
        role="training",
        type=number(int, least=0),
        metavar="E",
    )
    optimizer: str = option("sgd", "how gradients move the weights", role="training", choices=OPTIMIZERS)
    momentum: float = option(
        0.9, "momentum of SGD; first beta of Adam", role="training", type=number(float, least=0, most=1), metavar="M"
    )
    eps: float = option(
        1e-8, "what Adam adds to its divisor", role="training", type=number(float, above=0), metavar="EPS"
    )
    layer_decay: float = option(
        1.0,
        "the rate of a backbone's stage as a share of the next one's",
        role="training",
        type=number(float, above=0, most=1),
        metavar="D",
    )
    wd: float = option(
        5e-4,
        "weight decay",
        role="training",
        type=number(float, least=0),
        metavar="W",
        aliases=("--weight_decay",),
    )
    gd: float | None = option(
        None,
        "largest norm of the gradient (default: no limit)",
        role="training",
        type=number(float, above=0),
        metavar="NORM",
        aliases=("--clip_gradient",),
    )
    dropout: float = option(
        0.5, "dropout before the classifier", role="training", type=number(float, least=0, most=1), metavar="P"
    )
    vlad_stage: int = option(
        2,
        "of ActionVLAD's paper: in stage 1 its words stay as K-means found them, in stage 2 they train",
        role="training",
        type=number(int, least=1, most=2),
        metavar="1|2",
    )
    npb: bool = option(
        False, "train all BatchNorms; without it only the first (TSN's partial BatchNorm)", role="training"
    )
    freeze_backbone: bool = option(False, "train the classifier and the head alone", role="training")
    freeze_stem_bn: bool = option(False, "train none of the BatchNorms that see every frame", role="training")
    freeze_bn: bool = option(
        False,
        "train no BatchNorm of the backbone, with clustering or without: they keep the statistics and weights that they"
        " start with, as those must that are folded into convolutions",
        role="training",
    )
    sync_bn: bool = option(False, "BatchNorm takes its statistics from the videos of all processes", role="training")
    cluster_start_epoch: int = option(
        0,
        "train on num_segments sampled frames before this epoch",
        role="training",
        type=number(int, least=0),
        metavar="E",
    )
    stem_chunk: int | str = option(
        "auto",
        "frames that pass the stem at a time, so that memory does not grow with a video (in training with"
        " --freeze_stem_bn or --freeze_bn only); 0: all; auto: all where they take little memory",
        role="training",
        type=stem_chunk,
        metavar="N|auto",
    )
    stem_memory: int | str = option(
        "auto",
        "of a stem in chunks, activations kept so that a second pass need not find them again; auto: a quarter of what"
        " is free on CUDA, else 64M",
        role="training",
        type=stem_memory,
        metavar="SIZE|auto",
    )
    stem_grad: str = option(
        "exact",
        "gradient of a stem in chunks: exact, or estimated from one random frame per cluster",
        role="training",
        choices=STEM_GRADS,
    )
    crop_scales: tuple[float, ...] | None = option(
        None,
        "sides of training crops, as shares of the frame's shorter side (default: TSN's, 1 .875 .75 .66; without the"
        " last for Flow and RGBDiff)",
        role="training",
        type=number(float, above=0, most=1),
        metavar="S",
        many=True,
    )
    label_smoothing: float = option(
        0.0,
        "share of a label that is spread over all classes",
        role="training",
        type=number(float, least=0, most=1),
        metavar="P",
    )
    class_weights: str = option(
        "none",
        "balanced: classes weigh alike in the loss, however many videos of the training list they have",
        role="training",
        choices=CLASS_WEIGHTS,
    )
    ema: float = option(
        0.0,
        "validate and keep a running mean of the weights, of which each step leaves this share; 0: do not",
        role="training",
        type=number(float, least=0, most=0.999999),
        metavar="DECAY",
    )
    mixup: float = option(
        0.0,
        "train on sums of two videos' representations, in shares from Beta(ALPHA, ALPHA); 0: do not",
        role="training",
        type=number(float, least=0),
        metavar="ALPHA",
    )
    cutmix: float = option(
        0.0,
        "train on representations with a box of another video's, of a share from Beta(ALPHA, ALPHA); 0: do not",
        role="training",
        type=number(float, least=0),
        metavar="ALPHA",
    )
    rand_augment: bool = option(
        False, "two operations of RandAugment on colours or shapes, the same for all frames of a clip", role="training"
    )
    erasing: float = option(
        0.0,
        "share of training clips of which a box is erased, the same in all frames",
        role="training",
        type=number(float, least=0, most=1),
        metavar="P",
    )
    frame_keep: float = option(
        1.0,
        "share of a video's frames, drawn anew in each epoch, that clustering sees in training; evaluation sees all",
        role="training",
        type=number(float, above=0, most=1),
        metavar="P",
    )
    clip_share: float = option(
        1.0,
        "training sees a contiguous part of a video, of a share drawn from P to 1 and beginning anywhere",
        role="training",
        type=number(float, above=0, most=1),
        metavar="P",
    )
    clip_speed: float = option(
        1.0,
        "training sees a video at a speed drawn from 1/S to S: of its frames some are left out, or repeated",
        role="training",
        type=number(float, least=1),
        metavar="S",
    )
    on_bad_video: str = option(
        "stop",
        "what a frame that cannot be read does to training: stop it, or skip the video and report it; evaluation"
        " always stops",
        role="training",
        choices=("stop", "skip"),
    )
    skip_nonfinite: bool = option(
        False,
        "leave out steps whose loss or gradient is not finite, and count them, instead of stopping",
        role="training",
    )
    amp: str | None = option(
        None,
        "precision of training (default: bf16 on a CUDA GPU that has it, else off)",
        role="training",
        choices=AMP,
    )
    deterministic: bool = option(False, "the same bits every time on CUDA, too; slower", role="training")
    eval_freq: int = option(
        5, "epochs between two validations", role="training", type=number(int, least=1), metavar="N"
    )
    save_every_steps: int = option(
        0,
        "save after every N-th step of an epoch, besides its end; 0: never",
        role="training",
        type=number(int, least=0),
        metavar="N",
    )
    save_every_minutes: float = option(
        30.0,
        "save when the last time was M minutes ago, too; 0: never",
        role="training",
        type=number(float, least=0),
        metavar="M",
    )
    suffix: str | None = option(None, "added to the run's name", role="training", metavar="TEXT")

    # place
    root_path: str | None = option(
        None,
        "the dataset's own folder with lists and frames (default $FULL_VIDEO_DATA/<dataset>, else data/<dataset>;"
        " movingmnist is generated there when missing)",
        role="place",
        type=file_path,
        metavar="DIR",
    )
    keep_damaged: bool = option(
        False, "take damaged frames as far as they can be seen, instead of an error", role="place"
    )
    resume: str | None = option(
        None,
        "checkpoint to go on from, or to evaluate; auto: this run's newest, if there is one",
        role="place",
        type=file_path,
        metavar="PATH|auto",
    )
    evaluate: bool = option(
        False, "evaluate the model of --resume on the validation list", role="place", aliases=("-e",)
    )
    scores: str | None = option(
        None,
        "write the paths, labels and scores of all validation videos there, in training those of the last validation,"
        " for tools/compare_runs.py and tools/report.py",
        role="place",
        type=file_path,
        metavar="FILE.npz",
    )
    tune_from: str | None = option(
        None,
        "start from a checkpoint's weights; the classifier of another dataset starts anew",
        role="place",
        type=file_path,
        metavar="PATH",
    )
    pretrain: str | None = option(
        None,
        "backbone weights: imagenet, none, or a file (default imagenet where the arch has them)",
        role="place",
        type=file_path,
        metavar="imagenet|none|PATH",
    )
    trust_checkpoint: bool = option(
        False, "load checkpoint files that hold more than tensors and plain values, and may run code", role="place"
    )
    start_epoch: int = option(
        0,
        "number of the first epoch (default 0; after --resume: the next one)",
        role="place",
        type=number(int, least=0),
        metavar="E",
    )
    overwrite: bool = option(False, "replace an earlier run of the same name", role="place")
    root_log: str = option("log", "where log/<run> goes", role="place", type=file_path, metavar="DIR")
    root_model: str = option("checkpoint", "where checkpoint/<run> goes", role="place", type=file_path, metavar="DIR")
    device: str | None = option(
        None, "cpu, cuda, cuda:1, mps (default: cuda, else mps, else cpu)", role="place", metavar="DEVICE"
    )
    workers: int = option(
        default_workers(),
        "processes that load videos, for each that trains; 0: that one does (default: one per core, at most 8)",
        role="place",
        type=number(int, least=0),
        metavar="N",
        aliases=("-j",),
    )
    compile: bool = option(False, "compile the network, which costs minutes at the start", role="place")
    print_freq: int = option(20, "steps between two reports", role="place", type=number(int, least=1), metavar="N")

    def __post_init__(self):
        if self.arch is None and self.modality in MODALITIES:
            object.__setattr__(self, "arch", MODALITIES[self.modality].arch or "resnet50")
        if self.cluster_after is None and self.arch in ARCHS:
            object.__setattr__(self, "cluster_after", ARCHS[self.arch].cluster_after)
        if self.temporal is None:
            object.__setattr__(self, "temporal", "shift" if self.shift else "none")
        elif self.temporal == "shift":
            object.__setattr__(self, "shift", True)

    @property
    def store_name(self) -> str:
        """The run's folder name, TSM's with the clustering added."""
        parts = ["TSM", dataset_name(self.dataset), self.modality, self.arch]
        if self.temporal == "shift":
            parts.append(f"shift{self.shift_div}_{self.shift_place}")
            if self.shift_direction != "both":
                parts.append(self.shift_direction)
        elif self.temporal != "none":
            parts.append(self.temporal)
        if self.cluster != "none":
            parts.append(f"{self.cluster}-{self.cluster_after.replace(':', '').replace(',', '-')}")
            parts += [
                getattr(self, name) for name in ("distance", "reduce") if getattr(self, name) != OPTIONS[name].default
            ]
        if self.temporal_max:
            parts.append("tmax")
        parts.append(self.consensus_type)
        for name in sorted(options_of(self.consensus_type, vars(self)) & OPTIONS.keys()):
            if getattr(self, name) != OPTIONS[name].default:
                parts.append(f"{name}-{getattr(self, name)}")
        parts += [f"segment{self.num_segments}", f"e{self.epochs}"]
        if self.lr_type == "cos":
            parts.append("cos")
        if self.dense_sample:
            parts.append("dense")
        if self.non_local:
            parts.append("nl")
        if self.suffix:
            parts.append(self.suffix)
        return "_".join(parts)

    def describe_clusters(self) -> str:
        """How frames are clustered, in words."""
        text = f"{self.num_segments} {self.cluster} clusters per video after {self.cluster_after}"
        if self.distance != "hamming":
            text += f", {self.distance} distance"
        return text if self.reduce in ("mean", "all") else f"{text}, {self.reduce} frame of each"

    def describe_temporal(self) -> str:
        """What mixes the steps of a video in the backbone, in words."""
        if self.temporal != "shift":
            return "no shift" if self.temporal == "none" else self.temporal.upper()
        text = f"shift 1/{self.shift_div} {self.shift_place}"
        return text if self.shift_direction == "both" else f"{text} from the {self.shift_direction}"

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
        given = {name: getattr(self, name) for name in names_of("data")}
        if self.no_flip:
            given["flip"] = False
        if self.keep_damaged:
            given["keep_damaged"] = True
        return dataset_spec(self.dataset, self.root, self.modality, **given)

    def list_file(self, name: str) -> Path:
        """A list as given, see `dataset_file`, or the dataset's own inside its folder."""
        return dataset_file(self.root, name) if name in (self.train_list, self.val_list) else self.root / name

    @property
    def frame_size(self) -> int:
        """Side of the square clips in pixels."""
        return self.input_size or ARCHS[self.arch].input_size

    @property
    def model_options(self) -> dict:
        """What `ops.models.build_model` takes besides the number of classes."""
        return {name: getattr(self, name) for name in {*names_of("model"), *known_options() & OPTIONS.keys()}} | {
            "dropout": self.dropout,
            "partial_bn": not self.npb,
            "freeze_stem_bn": self.freeze_stem_bn,
            "freeze_bn": self.freeze_bn,
            "freeze_backbone": self.freeze_backbone,
            "seed": self.seed,
        }

    @property
    def optimizer_options(self) -> dict:
        """What `ops.training.optim.build_optimizer` takes besides the model."""
        return {name: getattr(self, name) for name in ("optimizer", "lr", "momentum", "wd", "eps", "layer_decay")}


OPTIONS = {field.name: Option(field.name, field.default, **field.metadata) for field in fields(Config)}


def names_of(*roles: str) -> tuple[str, ...]:
    """The names of all options of these roles."""
    return tuple(name for name, option in OPTIONS.items() if option.role in roles)


# what says which videos there are and how they are read: options of all programs that read a data set
DATASET_OPTIONS = ("root_path", *names_of("data"), "no_flip", "keep_damaged")


def plain(config: Config) -> dict:
    """The config as a dict of plain values, for checkpoints and args.json."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
