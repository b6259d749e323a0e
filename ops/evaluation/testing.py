"""The options of `test_models.py`: which models, which views of a video, and which of them go together."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader

from archs.resnet import ARCHS
from ops.data.batches import EpochBatches
from ops.data.categories import read_categories
from ops.data.dataset import VideoDataset
from ops.data.lists import Video, read_list
from ops.data.loading import make_loader
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import dataset_file
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.ensemble import Views
from ops.evaluation.protocols import CLIPS, CROPS, ClipSampler, crop_transform
from ops.models import TSN, build_model
from ops.options import config as options
from ops.options import flags
from ops.options.cli import ArgumentParser
from ops.options.config import Config
from ops.run import tsm_names
from ops.temporal.shift import SHIFT_PLACES
from ops.training import checkpoint as ckpt

EXAMPLE = """examples:
  # what was trained, as main.py --evaluate does it; the checkpoint knows its model
  python test_models.py movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar
  # TSM's efficient and accurate settings for Something-Something, from its published file: 8 x 1 x 1 and 8 x 3 x 2
  W=TSM_somethingv2_RGB_resnet50_shift8_blockres_avg_segment8_e45.pth
  python test_models.py somethingv2 --weights $W -b 32
  python test_models.py somethingv2 --weights $W -b 32 --test_crops 3 --twice_sample --full_res
  # the non-local networks' setting for Kinetics: 8 x 3 x 10
  python test_models.py kinetics --weights DENSE.pth --test_crops 3 --dense_sample --full_res
  # late fusion of frames and flow
  python test_models.py ucf101 --weights RGB.pth.tar,FLOW.pth.tar --coeff 1,1.5 --softmax --scores fused.npz
"""
MODEL_FLAGS = ("arch", "shift", "shift_div", "shift_place", "non_local", "temporal_pool")
MODALITY_OF = {modality.channels: name for name, modality in MODALITIES.items()}


@dataclass(frozen=True)
class Settings:
    """The command line of `test_models.py`; `given` holds those options that `ops.options.Config` has too."""

    given: dict
    weights: tuple[str, ...]
    modality: str | None
    coeff: tuple[float, ...]
    test_segments: tuple[int | None, ...]
    test_list: tuple[str | None, ...]
    test_crops: int
    full_res: bool
    clips: str | None  # None: as in validation
    softmax: bool
    max_num: int | None
    batch_size: int
    workers: int
    device: str | None
    stem_chunk: int | str
    csv_file: Path | None
    scores: Path | None
    confusion: str


def _numbers(kind, **bounds):
    """An argparse type: numbers with commas between them -> tuple."""
    read = flags.number(kind, **bounds)
    return lambda text: tuple(read(part) for part in text.split(","))


def _paths(text: str) -> tuple[str, ...]:
    """An argparse type: paths with commas between them, or one that exists and has commas in it -> tuple."""
    paths = (text,) if Path(text).is_file() else tuple(text.split(","))
    if not all(paths):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty path between its commas")
    return paths


def parser() -> ArgumentParser:
    """The parser of `test_models.py`."""
    parser = ArgumentParser(
        prog="test_models.py",
        usage="%(prog)s dataset [modality] --weights FILE[,FILE...] [options]",
        description="Test one model, or several fused, on one or several views of every video.",
        epilog=EXAMPLE,
    )
    data = flags.add_dataset_flags(parser, modality_needed=False)
    data.add_argument(
        "--test_list",
        type=_paths,
        metavar="FILE[,FILE]",
        help="list of videos to test on, or one for "
        "each of --weights with the same videos (default: the validation list)",
    )
    data.add_argument("--max_num", type=flags.number(int, least=1), metavar="N", help="only the first N of them")
    data.add_argument(
        "-b",
        "--batch_size",
        type=flags.number(int, least=1),
        default=8,
        metavar="N",
        help="videos a step; the views of each pass one after another (default 8)",
    )
    data.add_argument(
        "-j",
        "--workers",
        type=flags.number(int, least=0),
        default=Config.workers,
        metavar="N",
        help="processes that load videos (default: one a core, at most 8)",
    )
    data.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: cuda, else mps, else cpu)")

    data.add_argument(
        "--stem_chunk",
        type=flags.stem_chunk,
        default="auto",
        metavar="N|auto",
        help="frames that pass the stem at a time; 0: all; auto: all where they take little memory (default auto)",
    )

    views = parser.add_argument_group("models and views")
    views.add_argument(
        "--weights",
        type=_paths,
        required=True,
        metavar="FILE[,FILE]",
        help="checkpoints; the scores of several are added up",
    )
    views.add_argument(
        "--coeff",
        type=_numbers(float, least=0),
        metavar="C[,C]",
        help="weight of each checkpoint's scores (default: 1 each)",
    )
    views.add_argument(
        "--softmax",
        action="store_true",
        help="turn each model's mean scores into probabilities before models are fused",
    )
    views.add_argument(
        "--test_crops",
        type=int,
        choices=CROPS,
        default=1,
        help="1: centre; 3: left, centre, right; 5: corners, centre; 10: these also mirrored (default 1)",
    )
    views.add_argument(
        "--full_res",
        action="store_true",
        help="crops as high as the scaled frame: 256 pixels where a model was trained on 224",
    )
    views.add_argument(
        "--test_segments",
        type=_numbers(int, least=1),
        metavar="G[,G]",
        help="sampled frames, or clusters, a clip (default: the checkpoint's)",
    )
    sampling = views.add_mutually_exclusive_group()
    sampling.add_argument(
        "--twice_sample", action="store_true", help="2 clips: the middle and the first frames of equal segments"
    )
    sampling.add_argument("--dense_sample", action="store_true", help="10 clips: windows of 64 frames")

    outputs = parser.add_argument_group("files written")
    outputs.add_argument("--csv_file", type=Path, metavar="FILE", help="the five best classes of every video")
    outputs.add_argument(
        "--scores", type=Path, metavar="FILE.npz", help="arrays names, labels and scores (videos, classes)"
    )
    outputs.add_argument(
        "--confusion",
        metavar="STEM",
        help="confusion matrix as STEM.csv and STEM.png (default: <checkpoint>_confusion beside the first checkpoint)",
    )

    model = parser.add_argument_group(
        "model",
        "Only for checkpoints that hold no options and whose name does not\n"
        "follow TSM's convention; what is given here wins over the name.",
    )
    model.add_argument("--arch", choices=ARCHS, default=argparse.SUPPRESS, help="backbone")
    model.add_argument("--shift", action="store_true", default=argparse.SUPPRESS, help="temporal shift")
    model.add_argument(
        "--shift_div",
        type=flags.number(int, least=2),
        default=argparse.SUPPRESS,
        metavar="N",
        help="1/N of the channels shift each way (default 8)",
    )
    model.add_argument(
        "--shift_place",
        choices=SHIFT_PLACES,
        default=argparse.SUPPRESS,
        help="inside residual branches or before whole blocks (default blockres)",
    )
    model.add_argument("--non_local", action="store_true", default=argparse.SUPPRESS, help="non-local blocks")
    model.add_argument("--temporal_pool", action="store_true", default=argparse.SUPPRESS, help="temporal pooling")
    return parser


def parse(argv: Sequence[str] | None = None) -> Settings:
    """Read the command line; InputError for lists of unlike lengths."""
    values = vars(parser().parse_intermixed_args(argv))
    weights = values["weights"]

    def one_each(name: str, default) -> tuple:
        found = values.pop(name)
        if found is None or (len(found) == 1 and name != "coeff"):
            return (found or (default,)) * len(weights)
        if len(found) != len(weights):
            raise InputError(f"--{name} has {len(found)} values for {len(weights)} --weights; give one for each")
        return found

    each = {
        "coeff": one_each("coeff", 1.0),
        "test_segments": one_each("test_segments", None),
        "test_list": one_each("test_list", None),
    }
    if not sum(each["coeff"]):
        raise InputError("--coeff is zero for all --weights; at least one must count")
    clips = next((name for name in ("twice", "dense") if values[f"{name}_sample"]), None)
    del values["twice_sample"], values["dense_sample"]
    confusion = values.pop("confusion") or str(Path(weights[0]).parent / f"{stem(weights[0])}_confusion")
    own = {name: values.pop(name) for name in [*Settings.__dataclass_fields__] if name in values}
    return Settings(given=values, clips=clips, confusion=confusion, **own, **each)


def stem(path: str) -> str:
    """A checkpoint's file name without its endings."""
    return Path(path).name.removesuffix(".tar").removesuffix(".pth")


@dataclass(frozen=True)
class Member:
    """One checkpoint of a test: its model, what it was trained as, and the videos as it is shown them."""

    path: str
    config: Config
    published: bool  # in TSM's layout: no options inside
    model: TSN
    videos: list[Video]
    views: Views

    def describe(self) -> str:
        """Its network in a line."""
        config = self.config
        clustered = f"{config.num_segments} {config.cluster} clusters after {config.cluster_after}"
        parts = [
            f"{config.arch} {config.modality}",
            clustered if config.cluster != "none" else f"{config.num_segments} segments",
            f"shift 1/{config.shift_div} {config.shift_place}" if config.shift else "no shift",
        ]
        parts += ["non-local blocks"] * config.non_local + ["temporal pooling"] * config.temporal_pool
        return f"{self.path}: {', '.join(parts)}"


def load_member(settings: Settings, number: int) -> Member:
    """Rebuild the `number`-th checkpoint's model and find its videos.

    Raises InputError for whatever does not fit: the checkpoint, the flags, the dataset or the protocol.
    """
    path = settings.weights[number]
    stored = ckpt.load_checkpoint(path)
    published = not isinstance(stored.get("config"), dict)
    if published:
        config = _published_config(settings, number, stored, path)
    else:
        given = frozenset(settings.given) - {"dataset"}
        config = Config(modality="RGB", evaluate=True, resume=path, **settings.given)
        config = options.adopt(config, given, stored["config"], path)
    segments, test_list = settings.test_segments[number], settings.test_list[number]
    config = replace(config, num_segments=segments or config.num_segments, val_list=test_list or config.val_list)
    if (
        len(settings.weights) > 1
        and config.image_tmpl
        and (config.image_tmpl.count("{") > 1) != (config.modality == "Flow")
    ):
        config = replace(config, image_tmpl=None)  # it names the frames of the others
    check_views(settings, config, path)
    spec = config.spec
    model = build_model(num_class=spec.num_class, **config.model_options)
    ckpt.load_weights(model, stored["state_dict"], path)
    videos = read_list(config.list_file(spec.val_list), config.root, spec)[: settings.max_num]
    views = Views(CLIPS[settings.clips][1] if settings.clips else 1, settings.test_crops)
    return Member(path, config, published, model, videos, views)


def _published_config(settings: Settings, number: int, stored: dict, path: str) -> Config:
    """What a checkpoint without options is, from flags, else from its keys, else from its name."""
    weights: dict[str, Tensor] = stored["state_dict"]
    named, proven = tsm_names.read_name(path), tsm_names.read_keys(weights)
    kernel = weights.get("base_model.conv1.weight")
    proven |= {"modality": MODALITY_OF.get(kernel.shape[1])} if kernel is not None and kernel.ndim == 4 else {}
    known = {
        name: value
        for found in ({"arch": stored.get("arch")}, named, proven, settings.given)
        for name, value in found.items()
        if value is not None
    }
    known.setdefault("modality", settings.modality or "RGB")
    known.setdefault("num_segments", settings.test_segments[number])
    hint = f"{path} holds no options and its name does not follow TSM's convention (TSM_something_RGB_resnet50_shift8_"
    hint += "blockres_avg_segment8_e45.pth)"
    if "arch" not in known:
        raise InputError(f"{hint}; give --arch and, as it was trained, --test_segments and --shift")
    for name in ("arch", "shift_place"):
        choices = options.CHOICES[name]
        if name in known and known[name] not in choices:
            raise InputError(f"{path} is of {name} {known[name]!r}; here there are only {', '.join(choices)}")
    if known["num_segments"] is None:
        raise InputError(f"{hint}; give --test_segments as it was trained")
    if proven.get("shift") and "shift_div" not in known and "shift" not in settings.given:
        raise InputError(
            f"{path} holds temporal shift and its name does not tell how much; give --shift"
            " [--shift_div N] as it was trained"
        )
    config = Config(cluster="none", evaluate=True, resume=path, **known)
    options.check(config, frozenset(settings.given))
    return config


def check_views(settings: Settings, config: Config, path: str) -> None:
    """Raise InputError where a model cannot be shown the views that were asked for."""
    if settings.clips and config.cluster != "none":
        raise InputError(
            f"--{settings.clips}_sample has no meaning for {path}: it clusters all frames of a video, so"
            " every clip would be the same; leave it out"
        )
    if settings.test_crops == 10 and not config.spec.flip:
        raise InputError(
            f"--test_crops 10 mirrors videos, but in {config.dataset} a mirrored video has another label;"
            " use --test_crops 5"
        )


def categories(config: Config) -> list[str]:
    """The names of a dataset's classes in the order of their labels; the labels themselves if nothing names them."""
    path = config.root / config.spec.category_file
    if config.category_file:
        path = dataset_file(config.root, config.category_file)
    return read_categories(path, config.spec.num_class, needed=bool(config.category_file))


def check_together(settings: Settings, members: Sequence[Member]) -> None:
    """Raise InputError unless all members' lists hold videos of the same labels in the same order, and one of them is
    of the modality that was asked for."""
    first, found = members[0], {member.config.modality for member in members}
    if settings.modality and settings.modality not in found:
        raise InputError(
            f"{', '.join(member.path for member in members)}: trained on {', '.join(sorted(found))}, not"
            f" {settings.modality}; leave {settings.modality} out or use others"
        )
    for member in members[1:]:
        pairs = zip(first.videos, member.videos, strict=False)
        odd = next((i for i, (a, b) in enumerate(pairs) if a.label != b.label), None)
        if len(member.videos) != len(first.videos):
            raise InputError(
                f"the list for {first.path} has {len(first.videos)} videos, that for {member.path}"
                f" {len(member.videos)}; fusion needs the same videos"
            )
        if odd is not None:
            a, b = first.videos[odd], member.videos[odd]
            raise InputError(
                f"video {odd + 1} is {a.path} of label {a.label} for {first.path} and {b.path} of label"
                f" {b.label} for {member.path}; fusion needs the same videos"
            )


def make_test_loader(settings: Settings, member: Member, pin_memory: bool) -> DataLoader:
    """The batches of a member's videos, all views of each.

    One crop of one clip of our own models is what validation shows them. All else is TSM's.
    """
    config, size = member.config, member.config.frame_size
    modality = MODALITIES[config.modality]
    scale = size * 256 // 224
    if settings.test_crops == 1 and not settings.full_res and not member.published:
        transform = partial(eval_transform, size=size)
    else:
        transform = partial(
            crop_transform,
            size=scale if settings.full_res else size,
            scale=scale,
            crops=settings.test_crops,
            flow=config.modality == "Flow",
        )
    if settings.clips or member.published:
        sampler = ClipSampler(settings.clips or "uniform", config.num_segments)
    else:
        sampler = FrameSampler(
            config.num_segments,
            config.cluster != "none",
            config.num_frames,
            dense_sample=config.dense_sample,
            stride=config.frame_stride,
        )
    dataset = VideoDataset(member.videos, config.root, config.spec, modality, sampler, transform, config.seed)
    return make_loader(dataset, EpochBatches(len(member.videos), settings.batch_size), settings.workers, pin_memory)


def describe_protocol(settings: Settings, member: Member) -> str:
    """`frames x crops x clips`, and the side of the crops."""
    config, views = member.config, member.views
    frames = _count(config.num_segments, "frame")
    if config.cluster != "none":
        frames = f"at most {config.num_frames} frames" if config.num_frames else "all frames"
        frames += f" of one in {config.frame_stride}" if config.frame_stride > 1 else ""
    side = config.frame_size * 256 // 224 if settings.full_res else config.frame_size
    sampled = settings.clips or ("dense" if config.dense_sample and not member.published else "uniform")
    how = f", {sampled} sampling" if config.cluster == "none" else ""
    return f"{frames} x {_count(views.crops, 'crop')} x {_count(views.clips, 'clip')}, {side} px{how}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + "s" * (number != 1)
