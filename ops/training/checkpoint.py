"""Checkpoints that describe themselves: TSM's keys, the whole config inside, written at once or not at all."""

import os
import re
import warnings
import zipfile
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from archs import ARCHS
from archs.backbone import Backbone
from ops.errors import InputError
from ops.models import TSN
from ops.training.hub import is_hub, read_hub
from ops.training.layouts import (
    HEAD,
    find_weights,
    misfit_of,
    plain_name,
    rename,
    translate,
    unwrapped,
    with_base_model,
)

ADDED = (".nl.", ".stm.")  # what stands in names of weights that may be added to a network in tuning it
LAST, PREVIOUS, BEST = "ckpt.pth.tar", "ckpt.prev.pth.tar", "ckpt.best.pth.tar"
FACTS = {  # what a checkpoint may say beside its weights
    "config": (dict, type(None)),
    "epoch": int,
    "num_class": int,
    "best_prec1": (int, float, Tensor),
    "best_epoch": (int, type(None)),
    "optimizer": dict,
    "boost_classifier": bool,
    "meters": dict,
    "random_states": list,
    "scaler": dict,
    "unaveraged": dict,
    "averaged_steps": int,
    "class_names": (list, type(None)),
    "lists": dict,
    "batches": str,
}


def save_checkpoint(path: Path, content: dict, keep: str | None = None) -> None:
    """Write to a temporary name, flush to disk and rename, so that a file under `path` is always whole.

    A former file is renamed to `keep` beside it. The checksum inside is the CRC-32 of every record of torch's zip
    format. Raises OSError where the disk does not take it; then the former files are as they were, and so they are
    where a loader's process dies meanwhile, whose RuntimeError comes at any place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            path.replace(path.with_name(keep))
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch wraps what a full disk tells it
        partial.unlink(missing_ok=True)
        for cause in (error, error.__context__):
            if "DataLoader worker" in str(cause):
                raise cause from None
        if isinstance(error, OSError):
            raise
        raise OSError(str(error).splitlines()[0]) from error
    folder = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when the folder is
    os.fsync(folder)
    os.close(folder)


class _Counter:
    """A file that only counts."""

    def __init__(self):
        self.size = 0

    def write(self, part: bytes) -> int:
        self.size += len(part)
        return len(part)

    def flush(self) -> None:
        pass


def size_of(content: dict) -> int:
    """Bytes that `content` takes as a file."""
    counter = _Counter()
    torch.save(content, counter)
    return counter.size


def load_checkpoint(path: str | Path, trust: bool = False) -> dict:
    """Read a checkpoint to the CPU; InputError names a file that cannot be used.

    Tensors and plain values only, unless the user trusts the file: others can run code. A bare state dict, and one
    that another program put under another name, are taken as a checkpoint without config. A folder that
    tools/export.py wrote, or its file of safetensors, is as good.
    """
    path = Path(path)
    content = read_hub(path) if is_hub(path) else _read_file(path, trust)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    weights = find_weights(content)
    odd = [key for key, value in weights.items() if not (isinstance(key, str) and _is_plain(value))]
    if odd or not weights:
        found = ", ".join(f"{key!s:.40} of {type(weights[key]).__name__}" for key in odd[:3]) or "nothing"
        raise InputError(
            f"{path} holds no weights under `state_dict` or another name that is known, but {found}; give a checkpoint"
            " that a training run wrote"
        )
    if "state_dict" not in content:
        content = {}
    wrong = [name for name, kind in FACTS.items() if name in content and not _is_of(content[name], kind)]
    if wrong or content.get("epoch", 0) < 0:
        name = (wrong or ["epoch"])[0]
        raise InputError(f"{path} is damaged: its {name} is {str(content[name])[:40]!r}; use another checkpoint")
    return content | {"state_dict": with_base_model(rename(weights, unwrapped, str(path)))}


def _read_file(path: Path, trust: bool) -> object:
    """What torch finds in a file."""
    if not path.is_file():
        raise InputError(f"no checkpoint {path}; give the path of a .pth or .pth.tar file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as records:
                    if spoiled := records.testzip():
                        raise ValueError(f"its checksum is wrong in {spoiled}")
            return torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # torch raises whatever a spoiled file makes it stumble over
        reason = str(error) if "checksum" in str(error) else "it is damaged, or another kind of file"
        problem = f"{path} is not a readable checkpoint of tensors and plain values: {reason}"
        if more := re.search(r"GLOBAL (\S+)", str(error)):
            problem = (
                f"{path} holds more than tensors and plain values ({more[1]}), which could run code; if you"
                " trust its maker, add --trust_checkpoint"
            )
        raise InputError(problem) from None


def _is_of(value: object, kind: type | tuple[type, ...]) -> bool:
    """`isinstance`, but that a truth value is no number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _is_plain(value: object) -> bool:
    """Whether it is a tensor whose numbers are there to be copied."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_complex() or value.is_meta)
    )


def load_weights(
    model: TSN | Backbone, weights: dict[str, Tensor], source: str, tune: bool = False, keep_head: bool = True
) -> list[str]:
    """Copy weights into a model whatever shift wraps in either; returns the model's keys that keep their values.

    Everything must fit, with three exceptions under `tune`: the classifier and head, which are one thing, keep their
    initial values where the file's are others or `keep_head` is False; so do non-local blocks and modules of STM that
    the file does not have; and the first convolution is spread over the channels of another modality. Raises InputError
    naming `source` otherwise.
    """
    target = model.state_dict()
    name_of = plain_name
    if target.keys() == weights.keys():  # the same network: nothing is wrapped otherwise
        name_of = str
    given = rename(weights, name_of, source)
    unlike, odd, fitting, new = [], [], {}, set()
    if tune and not (keep_head and _same_head(given, {name_of(key): value for key, value in target.items()})):
        given = {name: value for name, value in given.items() if not name.startswith(HEAD)}
        new = {key for key in target if key.startswith(HEAD)}
    for key, value in target.items():
        if key in new:
            continue
        found = given.pop(name_of(key), None)
        if tune and found is not None and key == f"{model.first_conv}.weight":
            found = _fit_channels(found, value.shape[1])
        if found is not None and found.shape == (1, *value.shape) and value.ndim == 1:
            found = found[0]  # BatchNorms of old conversions from Caffe
        if found is None:
            if tune and any(part in key for part in ADDED):
                new.add(key)
            elif not key.endswith(".num_batches_tracked"):  # older files lack it, and nothing here reads it
                odd.append(f"no {key} there")
        elif found.shape != value.shape:
            unlike.append(f"{key} is {tuple(found.shape)} there and {tuple(value.shape)} here")
        elif value.is_floating_point() and not found.is_floating_point():
            odd.append(f"{key} is of {str(found.dtype).removeprefix('torch.')} there")
        else:
            fitting[key] = found
    if unlike and all(problem.startswith("new_fc.") for problem in unlike) and not odd:
        raise InputError(
            f"{source} was trained on another number of classes: {unlike[0]}; use its dataset, or --tune_from of"
            " main.py to train on another"
        )
    problems = [*unlike, *odd, *(f"{name} is not here" for name in given)]
    if problems:
        count = "1 tensor differs" if len(problems) == 1 else f"{len(problems)} tensors differ"
        remedy = misfit_of(weights)
        if not tune and not any(key.startswith("base_model.") for key in weights):
            remedy += "; its names are not TSM's, and only --pretrain and --tune_from of main.py know others"
        raise InputError(f"{source} holds another network ({problems[0]}; {count}); {remedy}")
    model.load_state_dict(fitting, strict=False)
    return [key for key in target if key in new]


def _same_head(given: dict[str, Tensor], target: dict[str, Tensor]) -> bool:
    """Whether the classifiers and heads of two state dicts under the same names hold the same tensors."""
    shapes = [
        {name: value.shape for name, value in weights.items() if name.startswith(HEAD)} for weights in (given, target)
    ]
    return shapes[0] == shapes[1]


def _fit_channels(kernel: Tensor, channels: int) -> Tensor:
    """A first convolution for other input: the mean over RGB in every channel (TSN's surgery for Flow and RGBDiff)."""
    if kernel.ndim != 4 or kernel.shape[1] == channels or not kernel.is_floating_point():
        return kernel
    return kernel.mean(1, keepdim=True).expand(-1, channels, -1, -1)


def load_pretrained(backbone: Backbone, arch: str, source: str, trust: bool = False) -> list[str]:
    """Fill a backbone with ImageNet weights (`source` "imagenet": torchvision's) or with those of a file.

    Returns the names of those weights of the file that are none of a backbone. Raises InputError when they cannot be
    had or do not fit: the message names the file wanted and where to put it.
    """
    weights = _imagenet_weights(arch) if source == "imagenet" else load_checkpoint(source, trust)["state_dict"]
    weights, left_out = translate(weights, backbone.state_dict(), source)
    load_weights(backbone, weights, f"--pretrain {source}", tune=True)  # non-local blocks and STM are new
    return left_out


def _imagenet_weights(arch: str) -> dict[str, Tensor]:
    name = ARCHS[arch].weights
    if name is None:
        raise InputError(f"there are no ImageNet weights for {arch}; use --pretrain none")
    entry = torchvision.models.get_weight(name)
    file = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rsplit("/", 1)[-1]
    try:
        return entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, a refused or broken download, a spoiled file
        raise InputError(
            f"cannot get ImageNet weights of {arch} ({error}); put the file {file.name} from {entry.url} at {file},"
            " or train from scratch with --pretrain none, or from a file with --pretrain PATH"
        ) from None
