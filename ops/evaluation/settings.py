"""The options of `test_models.py`: which models, which views of a video, which files are left."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import InputError
from ops.evaluation.protocols import CROPS
from ops.options import types
from ops.options.cli import ArgumentParser
from ops.options.config import Config
from ops.options.parsing import add_dataset_options, add_options

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
MODEL_FLAGS = (
    "arch",
    "temporal",
    "shift",
    "shift_div",
    "shift_place",
    "shift_direction",
    "non_local",
    "temporal_pool",
)


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
    read = types.number(kind, **bounds)
    return lambda text: tuple(read(part) for part in text.split(","))


def _paths(text: str) -> tuple[str, ...]:
    """An argparse type: paths with commas between them, or one that exists and has commas in it -> tuple."""
    paths = [text] if Path(text).is_file() else text.split(",")
    if not all(paths):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty path between its commas")
    return tuple(map(types.file_path, paths))


def parser() -> ArgumentParser:
    """The parser of `test_models.py`."""
    parser = ArgumentParser(
        prog="test_models.py",
        usage="%(prog)s dataset [modality] --weights FILE[,FILE...] [options]",
        description="Test one model, or several fused, on one or several views of every video.",
        epilog=EXAMPLE,
    )
    data = add_dataset_options(parser, modality_needed=False)
    data.add_argument(
        "--test_list",
        type=_paths,
        metavar="FILE[,FILE]",
        help="list of videos to test on, or one for "
        "each of --weights with the same videos (default: the validation list)",
    )
    data.add_argument("--max_num", type=types.number(int, least=1), metavar="N", help="only the first N of them")
    add_options(data, ["batch_size"], default=8, help="videos per step; the views of each pass one after another")
    add_options(data, ["workers"], default=Config.workers)
    add_options(data, ["device"], default=None)
    add_options(
        data,
        ["stem_chunk"],
        default=Config.stem_chunk,
        help="frames that pass the stem at a time; 0: all; auto: all where they take little memory",
    )

    views = parser.add_argument_group("models and views")
    views.add_argument(
        "--weights",
        type=_paths,
        required=True,
        metavar="FILE[,FILE]",
        help="checkpoints; the scores of several are added up",
    )
    add_options(views, ["trust_checkpoint"])
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
        help="1: centre; 3: along the longer side; 5: corners, centre; 10: these also mirrored (default 1)",
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
        help="sampled frames, or clusters, per clip (default: the checkpoint's)",
    )
    add_options(views, ["trn_tuples"])
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
    add_options(model, MODEL_FLAGS)
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
    confusion = values.pop("confusion") or str(Path(weights[0]).parent / f"{base_name(weights[0])}_confusion")
    own = {name: values.pop(name) for name in [*Settings.__dataclass_fields__] if name in values}
    return Settings(given=values, clips=clips, confusion=confusion, **own, **each)


def base_name(path: str) -> str:
    """A checkpoint's file name without its endings."""
    return Path(path).name.removesuffix(".tar").removesuffix(".pth")
