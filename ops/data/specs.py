"""What the program knows of each dataset: one frozen `DatasetSpec` per name, or a `dataset.json` beside the lists."""

import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import NoneType
from typing import get_args

from ops.data.frame_names import check_template, is_flow
from ops.data.modality import MODALITIES
from ops.errors import InputError

TRAIN_LIST, VAL_LIST = "train_videofolder.txt", "val_videofolder.txt"
DESCRIPTION = "dataset.json"


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset's classes, frame names and list files.

    `image_tmpl` names a frame, `flow_tmpl` a frame of optical flow in direction x or y, `first_frame` is the number of
    the first one, None where each video has its own. `flip` tells whether a mirrored video keeps its label. Lists lie
    in the dataset's folder and give paths relative to it; `category_file` there names the classes, one per line in the
    order of their labels. With `keep_damaged` frames that are damaged are taken as far as they can be seen. Frames of
    video files are shrunk to `short_side` where they are larger, as tools/extract_frames.py does; 0 keeps their size.

    Where there are `features` in place of frames, this is the shape of a time step: [d] of vectors, [d, h, w] of maps;
    `before_relu` are maps without the last ReLU of the network that made them.
    """

    num_class: int
    image_tmpl: str
    first_frame: int | None = 1
    flip: bool = True
    train_list: str = TRAIN_LIST
    val_list: str = VAL_LIST
    category_file: str = "category.txt"
    flow_tmpl: str | None = None
    keep_damaged: bool = False
    short_side: int = 256
    features: list | None = None
    before_relu: bool = False

    @property
    def is_flow(self) -> bool:
        """Whether the files are pairs of optical flow images."""
        return is_flow(self.image_tmpl)


DATASETS = {
    "movingmnist": DatasetSpec(4, "{}.jpg", first_frame=0, flip=False),
    "ucf101": DatasetSpec(101, "img_{:06d}.jpg", flow_tmpl="flow_{}_{:05d}.jpg"),
    "hmdb51": DatasetSpec(51, "img_{:05d}.jpg", flow_tmpl="flow_{}_{:05d}.jpg"),
    "breakfast": DatasetSpec(10, "img_{:06d}.jpg"),
    "something": DatasetSpec(174, "{:05d}.jpg", flip=False, flow_tmpl="{:06d}-{}_{:05d}.jpg"),
    "somethingv2": DatasetSpec(174, "{:06d}.jpg", flip=False),
    "jester": DatasetSpec(27, "{:05d}.jpg", flip=False),
    "kinetics": DatasetSpec(400, "img_{:05d}.jpg"),
    "egogestar": DatasetSpec(10, "img_{:05d}.jpg", flip=False),
}


def dataset_root(dataset: str, root_path: str | None = None) -> Path:
    """A dataset's folder: `root_path`, else `dataset` itself if it is a folder that describes itself, else
    $FULL_VIDEO_DATA/<dataset>, else data/<dataset>."""
    if root_path:
        return Path(root_path)
    elsewhere = Path(os.environ.get("FULL_VIDEO_DATA") or "data") / dataset
    if not (Path(dataset) / DESCRIPTION).is_file():
        return elsewhere
    if dataset in DATASETS:
        raise InputError(
            f"{dataset} is a known dataset, expected in {elsewhere}, and a folder here that has a {DESCRIPTION}; say"
            f" which is meant: {os.path.join(os.curdir, dataset)}, or --root_path {elsewhere}"
        )
    return Path(dataset)


def dataset_name(dataset: str) -> str:
    """What a dataset is called, whichever way it was given: `mine`, `mine/`, `data/mine` and `.` within it are one."""
    return Path(os.path.abspath(dataset)).name


def dataset_file(root: Path, name: str) -> Path:
    """A file of the dataset in `root`, or any file by its path; a plain name is looked for in `root` first."""
    beside = root / name
    if Path(name).is_file() and (Path(name).name != name or not beside.is_file()):
        return Path(name)
    return beside


def dataset_spec(dataset: str, root: Path, modality: str = "RGB", **given) -> DatasetSpec:
    """The facts of a dataset: those registered under its name, those in `root`/dataset.json, and `given` ones.

    Later ones win; `given` fields that are None are not given. For modalities of optical flow, `image_tmpl` becomes the
    template of flow images. Raises InputError for facts that are missing or impossible.
    """
    given = {name: value for name, value in given.items() if value is not None}
    facts = read_description(root / DESCRIPTION) | given
    if facts.get("features") is not None:
        facts = {"image_tmpl": "{}.jpg"} | facts  # of the frames that they were made of; nothing reads these
    if dataset in DATASETS:
        spec = replace(DATASETS[dataset], **facts)
    else:
        missing = [f"--{name}" for name in ("num_class", "image_tmpl") if name not in facts]
        if missing:
            found = ""
            if Path(dataset).is_dir():
                found = f", a folder without {DESCRIPTION}"
            elif "/" in dataset:
                found = ", and there is no such folder"
            raise InputError(
                f"unknown dataset {dataset!r}{found}: known are {', '.join(DATASETS)}; for your own give"
                f" {' and '.join(missing)} and --root_path, or a folder with a {DESCRIPTION}"
                " (`tools/make_lists.py folder` writes one)"
            )
        spec = DatasetSpec(**facts)
    check_features(spec.features, modality, root)
    flow = MODALITIES[modality].flow
    if flow and "image_tmpl" not in given:
        if spec.flow_tmpl is None:
            raise InputError(
                f"how the flow images of {dataset} are named is not known; give --image_tmpl, for example"
                " 'flow_{}_{:05d}.jpg'"
            )
        spec = replace(spec, image_tmpl=spec.flow_tmpl)
    check_template(spec.image_tmpl, flow)
    for name, least in (("num_class", 1), ("first_frame", 0), ("short_side", 0)):
        if getattr(spec, name) is not None and getattr(spec, name) < least:
            raise InputError(f"{name} is {getattr(spec, name)}, must be at least {least}")
    return spec


def check_features(shape: list | None, modality: str, root: Path) -> None:
    """InputError where a dataset holds features and the modality wants frames, or the other way round."""
    wanted = MODALITIES[modality].features
    if shape is None and wanted:
        raise InputError(
            f"{root} holds no features: there is no {DESCRIPTION} in it that tells their shape; make some with"
            " tools/extract_features.py, and give the folder where it wrote them"
        )
    if shape is not None and not wanted:
        raise InputError(
            f"{root} holds features, not frames, as its {DESCRIPTION} says; give the modality Features, or the dataset"
            " that they were made of"
        )
    sizes = shape or [1]
    if len(sizes) not in (1, 3) or not all(type(size) is int and size > 0 for size in sizes):
        raise InputError(f"{root / DESCRIPTION}: features is {shape}, must be [d] for vectors or [d, h, w] for maps")


def read_description(path: Path) -> dict:
    """The fields in a dataset.json, {} where there is none; InputError for unknown fields or wrong types."""
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path} as JSON: {error}") from None
    types = {field.name: field.type for field in fields(DatasetSpec)}
    if not isinstance(facts, dict) or not facts.keys() <= types.keys():
        raise InputError(f"{path} must be an object with fields among {', '.join(types)}")
    for name, value in facts.items():
        wanted = get_args(types[name]) or (types[name],)
        if type(value) not in wanted:
            words = " or ".join("null" if kind is NoneType else kind.__name__ for kind in wanted)
            raise InputError(f"{path}: {name} is {value!r}, must be of type {words}")
    return facts
