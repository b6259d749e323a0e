"""What TSM's checkpoints tell about their network, which they do not describe: their names and their keys.

Lin, Gan, Han: *TSM*, ICCV 2019. Its training program names a run

    TSM_<dataset>_<modality>_<arch>[_shift<div>_<place>][_tpool]_<consensus>_segment<g>_e<epochs>[_dense][_nl]...

and writes <run>/ckpt.pth.tar; the published files are <run>.pth.
"""

import re
from collections.abc import Iterable
from pathlib import Path

CONVENTION = re.compile(
    r"TSM_(?P<dataset>.+?)_(?P<modality>RGBDiff|RGB|Flow)_(?P<arch>[^_]+)"
    r"(_shift(?P<shift_div>\d+)_(?P<shift_place>[^_]+))?(?P<temporal_pool>_tpool)?"
    r"_(?P<consensus_type>[^_]+)_segment(?P<num_segments>\d+)_e\d+(?P<rest>(_[^.]*)?)"
)


def read_name(path: str | Path) -> dict:
    """The options of `ops.models.build_model` in a checkpoint's file or folder name; {} if it is none of TSM's.

    Without shift in the name, `shift` is False and nothing is said of its kind.
    """
    path = Path(path)
    found = CONVENTION.match(path.name) or CONVENTION.match(path.absolute().parent.name)
    if not found:
        return {}
    options = {
        "modality": found["modality"],
        "arch": found["arch"],
        "num_segments": int(found["num_segments"]),
        "shift": found["shift_div"] is not None,
        "temporal_pool": found["temporal_pool"] is not None,
        "non_local": "nl" in found["rest"].split("_"),
    }
    if options["shift"]:
        options |= {"shift_div": int(found["shift_div"]), "shift_place": found["shift_place"]}
    return options


def read_keys(keys: Iterable[str]) -> dict:
    """What the keys of a state dict prove: shift and its place, temporal pooling, non-local blocks.

    Absent from the result: what they leave open. A file from a program that wraps no weights in `.net.` may still want
    shift.
    """
    options = {"non_local": False}
    for key in keys:
        parts = key.split(".")
        if "nl" in parts:
            options["non_local"] = True
        for i in (i for i, part in enumerate(parts) if part == "net"):
            if i == len(parts) - 2:  # one convolution, ...conv1.net.weight
                options |= {"shift": True, "shift_place": "blockres"}
            elif parts[i - 1].isdecimal() or parts[i - 1] == "block":  # a whole block, ...layer2.0.net.conv1.weight
                options |= {"shift": True, "shift_place": "block"}
            else:  # a whole stage, ...layer2.net.0.conv1.weight
                options["temporal_pool"] = True
    return options
