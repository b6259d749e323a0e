"""What a model costs: parameters and multiply-adds of its parts for one video, and time and memory where it runs.

Multiply-adds are counted by PyTorch's own `FlopCounterMode` while tensors without values pass the network: those of
convolutions and matrix products. It counts two operations a multiply-add; here they are one, as in papers. What it does
not count are comparisons, additions, normalisation and activation; of the paper's clustering nothing is left, which is
why its time is measured.
"""

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ops.clustering import CLUSTERINGS
from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.models import TSN, build_model
from ops.options.checks import stored_options
from ops.options.config import OPTIONS, Config, names_of, plain
from ops.run.data import with_feature_dim
from ops.run.log import read_table
from ops.training.meters import peak_memory
from ops.training.placement import full_precision

PARTS = ("stem", "clustering", "trunk", "head")
SAMPLING = {"none": "TSN", "shift": "TSM", "stm": "STM"}  # what networks on sampled frames are called
MOST = 2**31  # bytes of activations on which a clustering of whole videos is run to be counted


class Cost(NamedTuple):
    """What a part of a model costs for one video of so many frames."""

    part: str
    parameters: int
    frames: int
    multiply_adds: int


class Measured(NamedTuple):
    """How a whole model runs on one video."""

    frames: int
    seconds: float  # of the median run
    peak_memory: int  # bytes: the most on CUDA, else in this process, so far


def count(model: TSN, frames: int, size: int) -> list[Cost]:
    """Parameters and multiply-adds of each of `PARTS` for one video of `frames` frames of `size` pixels.

    The model, on a CPU, loses its weights: it is moved to where tensors have no values. Raises InputError where a
    clustering that looks at whole videos would need too much memory to be counted.
    """
    model.eval().to("meta")
    clustering, parameters = model.clustering, _parameters(model)
    if clustering is None and frames != model.num_segments:
        raise InputError(f"without clustering a video has --num_segments {model.num_segments} frames, not {frames}")
    x = torch.empty(frames, model.base_model.in_channels, size, size, device="meta")
    x, stem = _counted(model.run_stem, x)
    merging = 0
    if clustering is not None:
        merging = _of_clustering(model, frames, x)
        x = x[:1].expand(clustering.num_clusters, *x.shape[1:])
    x, trunk = _counted(lambda x: _trunk(model, x), x)
    _, head = _counted(lambda x: _head(model, x), x)
    counts = zip(PARTS, (stem, merging, trunk, head), strict=True)
    return [Cost(part, parameters[part], frames, number) for part, number in counts]


def _parameters(model: TSN) -> dict[str, int]:
    """The number of parameters of each part."""

    def number(modules: list[nn.Module | None]) -> int:
        return sum(parameter.numel() for module in modules if module for parameter in module.parameters())

    stem, backbone = number(model.stem_modules), number([model.base_model])
    head = number([model.new_fc, model.consensus])
    return {"stem": stem, "clustering": 0, "trunk": backbone - stem, "head": head}


def _counted(run, x: Tensor) -> tuple[Tensor, int]:
    """What comes of x, and with how many multiply-adds."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        x = run(x)
    return x, counter.get_total_flops() // 2


def _of_clustering(model: TSN, frames: int, x: Tensor) -> int:
    """The multiply-adds of the first clustering, of activations like x (t, c, h, w), which must have values here.

    What does not look at whole videos compares and adds: that can be told from one place of a map.
    """
    clustering = model.clustering
    if not CLUSTERINGS[clustering.method].whole_videos:
        x = x[:, :, :1, :1]
    elif x.nbytes > MOST:
        raise InputError(
            f"--cluster {clustering.method} on {frames} frames looks at {x.nbytes / 2**30:.1f} GiB of activations at"
            " once, too many to run it here; take fewer --frames"
        )
    values = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    return _counted(lambda x: clustering(x, torch.tensor([frames]))[0], values)[1]


def _trunk(model: TSN, x: Tensor) -> Tensor:
    """(g, c, h, w) -> what the head takes, (g', d) or (g', d, h, w); later places of clustering keep as many."""
    for stage in model.trunk_stages:
        x = model.base_model.run_stage(stage, x)
        if stage in model.cascade:
            x = x[: model.cascade[stage].num_clusters]
    return x if model.consensus.needs_maps else model.base_model.pool(x)


def _head(model: TSN, x: Tensor) -> Tensor:
    if model.new_fc is not None:
        x = model.new_fc(x)
    return model.consensus(x[None])


@torch.inference_mode()
@full_precision()
def measure(model: TSN, frames: int, size: int, repeat: int) -> Measured:
    """Time one video of random frames through a model in eval mode, where it is: the median of some runs after one."""
    source, channels = MODALITIES[model.modality], model.base_model.in_channels
    if source.features:
        video = torch.rand(frames, channels, size, size).half()
    else:
        loaded = source.stack * (2 if source.flow else 3)
        video = torch.randint(0, 256, (frames, loaded, size, size), dtype=torch.uint8)
    lengths, seconds = torch.tensor([frames]), []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        model(video, lengths).cpu()  # which waits for the device
        seconds.append(time.perf_counter() - start)
    return Measured(frames, statistics.median(seconds[1:]), peak_memory())


# ---------------------------------------------------------------- finished runs


class RunCost(NamedTuple):
    """A finished run: how well it did in its last validation, and what its model costs for a video of that list."""

    method: str
    top1: float  # percent
    frames: float  # of a video, the mean
    parameters: int
    multiply_adds: int


def costs_of_runs(folders: Sequence[Path]) -> list[RunCost]:
    """What the log folders of runs tell, whose methods are called alike where no more than seeds and lists differ.

    InputError where a folder is none of a run that was validated.
    """
    found = [_cost_of_run(folder) for folder in folders]
    told = tell_apart([run.method for _, run in found], [plain(config) for config, _ in found])
    return [run._replace(method=method) for method, (_, run) in zip(told, found, strict=True)]


def _cost_of_run(folder: Path) -> tuple[Config, RunCost]:
    """A run's config, and what its log folder tells."""
    about = folder / "args.json"
    try:
        config = Config(**stored_options(json.loads(about.read_text()), str(about)))
        last = [row for row in read_table(folder / "log.csv") if row["split"] == "val"][-1]
        top1, frames = float(last["top1"]), int(last["frames"]) / int(last["videos"])
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        raise InputError(f"{folder} is not the log folder of a run that was validated: {error}") from None
    config = with_feature_dim(config)
    size = (config.spec.features or [])[1:2] or [config.frame_size]  # of maps, their height
    costs = count(build_model(num_class=config.spec.num_class, **config.model_options), round(frames), *size)
    return config, RunCost(
        method_of(config),
        top1,
        frames,
        sum(cost.parameters for cost in costs),
        sum(cost.multiply_adds for cost in costs),
    )


def tell_apart(methods: Sequence[str], options: Sequence[Mapping]) -> list[str]:
    """Names of runs: what their methods are called and, of several of one name, the options in which these differ.

    Seeds, lists and places do not count. `options` are those of each run, by their names.
    """
    counting = {"dataset", "modality", *names_of("model", "protocol", "training")} - {"seed", "suffix", "shift"}
    values = [{name: str(own.get(name, OPTIONS[name].default)) for name in sorted(counting)} for own in options]
    told = []
    for own, method in zip(values, methods, strict=True):
        alike = [other for other, name in zip(values, methods, strict=True) if name == method]
        differing = [name for name in own if any(other[name] != own[name] for other in alike)]
        told.append(", ".join([method, *(f"{name} {own[name]}" for name in differing)]))
    return told


def method_of(config: Config) -> str:
    """What a run is, in a few words."""
    if config.cluster == "none":
        words = [f"{SAMPLING[config.temporal]}, {config.num_segments} frames"]
    else:
        words = [f"{config.cluster}, {config.num_segments} clusters"]
    if config.consensus_type != "avg":
        words.append(config.consensus_type)
    return ", ".join([config.arch, *words])
