"""Weights in the layout of model hubs: a folder with `model.safetensors`, `config.json` and a model card, `README.md`.

`ops/training/checkpoint.py` reads such a folder, or its file of weights, wherever it reads a checkpoint;
`tools/export.py` writes it.
"""

import json
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from ops.errors import InputError

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
KEPT = ("epoch", "best_prec1", "best_epoch", "lists")  # what a checkpoint says beside its options, under "training"


def is_hub(path: str | Path) -> bool:
    """Whether a path names weights in this layout: a folder, or a file of safetensors."""
    return Path(path).is_dir() or Path(path).suffix == ".safetensors"


def check_safetensors(what: str) -> None:
    """InputError where the package is missing."""
    if find_spec("safetensors") is None:
        raise InputError(
            f"{what} takes the package safetensors, not installed here: pip install -r requirements-export.txt"
        )


def read_hub(path: Path) -> dict:
    """What a folder or file of this layout holds, as a checkpoint does; InputError names what cannot be used.

    A file of weights without a `config.json` that `tools/export.py` wrote is a state dict and no more.
    """
    folder, file = (path, path / WEIGHTS) if path.is_dir() else (path.parent, path)
    if not file.is_file():
        raise InputError(f"no checkpoint {file}; give a file of weights, or a folder that tools/export.py wrote")
    check_safetensors(str(file))
    content: dict = {"state_dict": _read_weights(file)}
    about = _read_config(folder / CONFIG)
    if not isinstance(about.get("options"), dict):
        return content
    training = about.get("training", {})
    if not isinstance(training, dict):
        raise InputError(f"{folder / CONFIG} is damaged: its training is {str(training)[:40]!r}; export it again")
    content |= {"config": about["options"], **{name: training[name] for name in KEPT if name in training}}
    for name, place in (("num_class", "num_classes"), ("class_names", "label_names")):
        if place in about:
            content[name] = about[place]
    return content


def _read_weights(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{file} is no readable file of safetensors: {error}; use another one") from None


def _read_config(file: Path) -> dict:
    if not file.is_file():
        return {}
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from None
    return about if isinstance(about, dict) else {}
