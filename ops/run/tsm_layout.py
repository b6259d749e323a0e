"""What checkpoints in TSM's layout tell of their network, which they do not describe: by their names and their keys.

Lin, Gan, Han: *TSM*, ICCV 2019. Its training program names a run

    TSM_<dataset>_<modality>_<arch>[_shift<div>_<place>][_tpool]_<consensus>_segment<g>_e<epochs>[_dense][_nl]...

and writes <run>/ckpt.pth.tar; the published files are <run>.pth. Here, `_past` may follow the place of shift. TRN's
files (Zhou et al., ECCV 2018) are alike:

    TRN_<dataset>_<modality>_<arch>_<consensus>_segment<g>_best...pth.tar
"""

import re
from pathlib import Path

from torch import Tensor

from archs import ARCHS
from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.heads import HEADS
from ops.options.checks import contradiction
from ops.options.config import OPTIONS, Config, names_of

SEGMENTS_FLAGS = "--num_segments (of test_models.py: --test_segments)"

CONVENTION = re.compile(
    r"(TSM|TRN)_(?P<dataset>.+?)_(?P<modality>RGBDiff|RGB|Flow)_(?P<arch>[^_]+)"
    r"(_shift(?P<shift_div>\d+)_(?P<shift_place>[^_]+)(?P<past>_past)?)?(?P<temporal_pool>_tpool)?"
    r"_(?P<consensus_type>[^_]+)_segment(?P<num_segments>\d+)_(e\d+|best)(?P<rest>(_[^.]*)?)"
)


def read_name(path: str | Path) -> dict:
    """The dataset and the model's options in a checkpoint's file or folder name; {} if it is none of TSM's.

    Without shift in the name, `shift` is False and nothing is said of its kind.
    """
    path = Path(path)
    found = CONVENTION.match(path.name) or CONVENTION.match(path.absolute().parent.name)
    if not found:
        return {}
    options = {
        "dataset": found["dataset"],
        "modality": found["modality"],
        "arch": known_arch(found["arch"]),
        "num_segments": int(found["num_segments"]),
        "temporal": "none",
        "shift": found["shift_div"] is not None,
        "temporal_pool": found["temporal_pool"] is not None,
        "non_local": "nl" in found["rest"].split("_"),
    }
    if options["shift"]:
        options |= {
            "temporal": "shift",
            "shift_div": int(found["shift_div"]),
            "shift_place": found["shift_place"],
            "shift_direction": "past" if found["past"] else "both",
        }
    return options


def known_arch(name: str) -> str:
    """The name that an arch has here, where another program writes it in other letters (BNInception, say)."""
    return {arch.lower(): arch for arch in ARCHS}.get(name.lower(), name)


MODALITY_OF = {MODALITIES[name].channels: name for name in ("RGB", "Flow", "RGBDiff")}  # those that TSM has


def read_weights(weights: dict[str, Tensor], arch: str | None = None) -> dict:
    """What a state dict proves: modality, shift and its place or STM, where clustering stands, temporal pooling,
    non-local blocks, the head.

    Absent from the result: what it leaves open. A file from a program that wraps no weights in `.net.` may still want
    shift. Where the first layers hold no shift and later ones do, frames are clustered in between. Which layers make a
    stage is that of `arch`, a ResNet where it is not known.
    """
    backbone = ARCHS.get(arch, ARCHS["resnet50"])
    options, mixed = {"non_local": False}, {}  # stage -> whether it holds shift or STM
    temporal = "stm" if any(".stm." in key for key in weights) else "shift"
    for key in weights:
        parts = key.split(".")
        if "nl" in parts:
            options["non_local"] = True
        stage = backbone.stage_of(key.removeprefix("base_model."))
        if parts[0] == "base_model" and stage in backbone.block_stages:
            mixed.setdefault(stage, False)
        for i in (i for i, part in enumerate(parts) if part == "net"):
            if i == len(parts) - 2:  # one convolution, ...conv1.net.weight
                options |= {"temporal": temporal, "shift": temporal == "shift"}
                if temporal == "shift":
                    options["shift_place"] = "blockres"
            elif parts[i - 1].isdecimal() or parts[i - 1] == "block":  # a whole block, ...layer2.0.net.conv1.weight
                options |= {"temporal": "shift", "shift": True, "shift_place": "block"}
            else:  # a whole stage, ...layer2.net.0.conv1.weight
                options["temporal_pool"] = True
                continue
            mixed[stage] = True
    stages = [stage for stage in backbone.block_stages if stage in mixed]
    if any(mixed[stage] for stage in stages):
        first = next(i for i, stage in enumerate(stages) if mixed[stage])
        if first == 0:
            options["cluster"] = "none"
        else:
            options["cluster_after"] = stages[first - 1]
    for name, head in HEADS.items():
        proven = head.read(weights)
        if proven is not None:
            options |= {"consensus_type": name, **proven}
    kernels = [value for key, value in weights.items() if key.startswith("base_model.") and value.ndim == 4]
    if kernels and kernels[0].shape[1] in MODALITY_OF:
        options["modality"] = MODALITY_OF[kernels[0].shape[1]]
    return options


def describe_network(config: Config, given: frozenset[str], content: dict, path: str, num_segments: int | None) -> dict:
    """The model's options of a checkpoint without options: what is `given` on the command line, else what its weights
    prove, else what its name says. TSM's program, which knows no clustering, gives names and stores `arch`.

    `num_segments` is what to take where nothing says it. Raises InputError where a flag contradicts the weights, or
    where something is left open.
    """
    named = read_name(path)
    named.pop("dataset", None)
    arch = known_arch(content["arch"]) if isinstance(content.get("arch"), str) else None
    if named or arch:
        named["cluster"] = "none"
    asked = {name: getattr(config, name) for name in names_of("model") if name in given}
    if {"shift", "temporal"} & asked.keys():
        asked |= {"shift": config.shift, "temporal": config.temporal}
    proven = read_weights(content["state_dict"], {"arch": arch, **named, **asked}["arch"])
    for name, value in asked.items():
        if proven.get(name, value) != value:
            raise contradiction(name, value, path, "whose weights are of", proven[name])
    known = {"arch": arch, "num_segments": num_segments, **named, **proven, **asked}
    hint = (
        f"{path} holds no options and its name does not follow TSM's convention (TSM_something_RGB_resnet50_shift8_"
        "blockres_avg_segment8_e45.pth)"
    )
    if known["arch"] is None:
        raise InputError(f"{hint}; give --arch and, as it was trained, {SEGMENTS_FLAGS} and --shift")
    for name in ("arch", "shift_place"):
        if name in known and known[name] not in OPTIONS[name].choices:
            choices = ", ".join(OPTIONS[name].choices)
            raise InputError(f"{path} is of {name} {known[name]!r}; here there are only {choices}")
    if known["num_segments"] is None:
        raise InputError(f"{hint}; give {SEGMENTS_FLAGS} as it was trained")
    if proven.get("shift") and "shift_div" not in known and not {"shift", "temporal"} & given:
        raise InputError(
            f"{path} holds temporal shift and its name does not tell how much; give --shift [--shift_div N] as it was"
            " trained to main.py or test_models.py, or the file a name that tells (..._shift8_blockres_...)"
        )
    return {"cluster_after": None} | known
