"""Where other programs keep a network's weights and what they call them; here, names are torchvision's and TSM's.

All that is known of other programs stands in the tables. What they know of classes goes to `new_fc`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from ops.errors import InputError

CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "weights",
)  # where a file keeps its state dict
PREFIXES = ("base_model.", "model.", "backbone.", "encoder.", "encoder_q.", "net.", "network.")  # of a backbone's names
RENAMED = (
    (r"\bconv(\d)\.conv\.", r"conv\1."),  # MMAction2 keeps a convolution and its normalisation in one module
    (r"\bconv(\d)\.bn\.", r"bn\1."),
    (r"\bdownsample\.conv\.", "downsample.0."),
    (r"\bdownsample\.bn\.", "downsample.1."),
    (r"^(fc|classifier(\.1)?|cls_head\.fc_cls|head\.fc)\.", "new_fc."),  # torchvision, MMAction2, MMPretrain
)
NESTED = re.compile(r"\bfeatures\.(\d+)\.conv\.(\d(?:\.\d)?)\.")  # torchvision's MobileNetV2: layers within layers
FLAT = {"0.0": "0", "0.1": "1", "1.0": "3", "1.1": "4", "2": "6", "3": "7"}  # place of a layer there and here
FLAT_FIRST = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}  # in the first block, which does not expand
OTHERS = (  # of whose networks none is here
    (r"\bs\d\.pathway\d", "SlowFast"),
    (r"\bmultipathway_blocks\.|\bblocks\.\d\.res_blocks\.", "PyTorchVideo"),
    (r"\bres\d\.\d+\.conv\d\.norm\.", "Detectron2"),
    (r"\bembedder\.embedder\.|\bencoder\.stages\.", "Hugging Face"),
    (r"\bpatch_embed\b|\bcls_token\b|\.attn\.", "a vision transformer"),
)
HEAD = ("new_fc.", "consensus.")  # what depends on the classes, by the beginning of its keys


def find_weights(content: dict) -> dict:
    """The state dict in what a file holds: all of it, or what stands under one of CONTAINERS, however deep."""
    for name in CONTAINERS:
        if isinstance(content.get(name), dict):
            return find_weights(content[name])
    return content


def unwrapped(key: str) -> str:
    """A weight's name without what DataParallel and torch.compile put before it, in any order and number."""
    key = key.replace("_orig_mod.", "")
    while key.startswith("module."):
        key = key.removeprefix("module.")
    return key


def rename(weights: dict[str, Tensor], name: Callable[[str], str], source: str) -> dict[str, Tensor]:
    """Weights under other names; InputError where two of file `source` get the same."""
    origins = {}
    for key in weights:
        if (other := origins.setdefault(name(key), key)) != key:
            raise InputError(f"{source} holds a weight twice, as {other} and as {key}; use another checkpoint")
    return {new: weights[key] for new, key in origins.items()}


def with_base_model(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that TSM's training program gives them: those of its online model lack the first part."""
    if {"features.0.0.weight", "classifier.weight"} <= weights.keys():
        return {f"base_model.{key}": value for key, value in weights.items()}
    return weights


def plain_name(key: str) -> str:
    """A weight's name without the wrappers of shift, which hold no weights; the classifier has one name."""
    key = re.sub(r"\bbase_model\.(fc|classifier)\.", "new_fc.", key)  # TSM's layout when trained without dropout
    return key.replace(".net.", ".").replace(".block.", ".")


def flat_name(key: str) -> str:
    """A weight of torchvision's MobileNetV2 under its name in TSM, whose blocks are flat sequences."""

    def flat(found: re.Match) -> str:
        block, layer = found.groups()
        return f"features.{block}.conv.{(FLAT_FIRST if block == '1' else FLAT).get(layer, layer)}."

    return NESTED.sub(flat, key)


def _plain_flat_name(key: str) -> str:
    return plain_name(flat_name(key))


def _nests(keys: Iterable[str]) -> bool:
    return any("." in found[2] for key in keys if (found := NESTED.search(key)))


def translate(weights: dict[str, Tensor], target: Iterable[str], source: str) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of any layout under the plain names of a model's or backbone's keys `target`, and which have no place.

    What has no place goes, unless it looks like a part of the network, which then is another one. Raises InputError
    naming `source` where nothing but a classifier has a place, or two weights claim one.
    """
    places = {}
    for name in map(plain_name, target):
        places |= {name: name, name.removeprefix("base_model."): name}
    name_of = plain_name
    if _nests(weights) and not _nests(places):
        name_of = _plain_flat_name
    parts = {name.split(".")[0] for name in places if not name.startswith((*HEAD, "base_model."))}
    taken, homeless = {}, []  # name here -> key there
    for key in weights:
        names = [*_names(name_of(key))]
        name = next((places[name] for name in names if name in places), None)
        if name is None:
            homeless.append(key)
            name = names[-1]
            if not name.startswith(HEAD) and name.split(".")[0] not in parts:
                continue
        if name in taken:
            raise InputError(f"{source} holds several networks: {taken[name]} and {key} are both {name} here")
        taken[name] = key
    if all(name.startswith(HEAD) for name in taken):
        remedy = misfit_of(weights)
        raise InputError(
            f"{source} holds another network (no name of its {len(weights)} tensors is known here); {remedy}"
        )
    return {name: weights[key] for name, key in taken.items()}, homeless


def _names(name: str) -> Iterator[str]:
    """What a weight may be called here: literally at first, at last without all prefixes and renamed."""
    while True:
        yield name
        renamed = name
        for pattern, ours in RENAMED:
            renamed = re.sub(pattern, ours, renamed)
        yield renamed
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return
        name = name.removeprefix(prefix)


def misfit_of(weights: dict[str, Tensor]) -> str:
    """The end of an error line: whose network it is that fits none here, or what to do where that is not known."""
    for pattern, program in OTHERS:
        if any(re.search(pattern, key) for key in weights):
            return f"its names are those of {program}, whose networks are not here"
    if any(value.ndim == 5 and ".nl." not in key for key, value in weights.items()):
        return "its convolutions are 3-D, and those here 2-D"
    return "use its flags"


def summarise(keys: Iterable[str]) -> str:
    """Names of weights in a few words: the modules that they are of, and how many there are of each."""
    counts = Counter(key.rpartition(".")[0] or key for key in keys)
    if len(counts) > 4:
        counts = Counter(key.split(".")[0] for key in keys)
    return ", ".join(f"{name} ({count})" for name, count in counts.items())
