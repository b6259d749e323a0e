"""Which options go together, with each other and with those inside a checkpoint."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from archs import ARCHS
from ops.clustering import CLUSTERINGS
from ops.data.modality import MODALITIES
from ops.data.specs import dataset_name
from ops.errors import InputError
from ops.heads import HEADS, head_of, known_options, options_of
from ops.models import cluster_places
from ops.options.config import OPTIONS, Config, names_of, plain
from ops.temporal import TEMPORAL
from ops.training.processes import Processes

# ---------------------------------------------------------------- with each other


class Idle(NamedTuple):
    """Options that have no effect in some case, and how the error line goes on from there."""

    names: tuple[str, ...]
    case: Callable[[Config], bool]
    text: str
    passes_default: bool = False  # whether the default may be given all the same


WITHOUT_EFFECT = (
    Idle(
        (
            "num_frames",
            "frame_stride",
            "cluster_after",
            "reduce",
            "cluster_start_epoch",
            "freeze_stem_bn",
            "stem_chunk",
            "stem_memory",
            "stem_grad",
            "frame_keep",
        ),
        lambda config: config.cluster == "none",
        "with --cluster none; leave one of them out",
        passes_default=True,
    ),
    Idle(
        ("distance",),
        lambda config: config.cluster == "none" or not CLUSTERINGS[config.cluster].by_distance,
        "but with --cluster slope and cumulative; leave it out",
        passes_default=True,
    ),
    Idle(
        ("clip_speed",),
        lambda config: config.cluster == "none" and not config.dense_sample,
        "with --cluster none, which samples as many frames at any speed; leave one of them out, or see --clip_share",
        passes_default=True,
    ),
    Idle(
        ("shift_div", "shift_place", "shift_direction"),
        lambda config: config.temporal != "shift",
        "without --shift; add --shift or leave it out",
    ),
    Idle(
        ("input_size", "crop_scales", "no_flip", "rand_augment", "erasing"),
        lambda config: MODALITIES[config.modality].features,
        "with Features, which are no pictures any more; leave it out",
    ),
    Idle(
        ("feature_dim",),
        lambda config: not MODALITIES[config.modality].features,
        "but with the modality Features; leave it out",
    ),
    Idle(("lr_steps",), lambda config: config.lr_type == "cos", "with --lr_type cos; leave one of them out"),
    Idle(("eps",), lambda config: config.optimizer == "sgd", "with --optimizer sgd; leave one of them out"),
    Idle(
        ("npb", "freeze_stem_bn", "sync_bn"),
        lambda config: config.freeze_bn,
        "with --freeze_bn, which trains no BatchNorm; leave one of them out",
        passes_default=True,
    ),
    Idle(
        ("layer_decay", "stem_grad"),
        lambda config: config.freeze_backbone,
        "with --freeze_backbone; leave one of them out",
        passes_default=True,
    ),
    Idle(("stem_memory",), lambda config: config.stem_chunk == 0, "with --stem_chunk 0; leave one of them out"),
)


def check(config: Config, given: frozenset[str]) -> None:
    """Raise InputError where options contradict each other or `given` ones would have no effect."""
    check_suffix(config)
    check_arch(config)
    check_shift(config)
    check_effect(config, given)
    check_sampling(config, given)
    check_stages(config)
    check_head(config, given)
    check_stem(config)
    check_sync_bn(config)
    check_epochs(config, given)
    check_recipe(config)


def check_start(config: Config) -> None:
    """InputError unless weights come from one place, and from one at all where they are to be evaluated."""
    if config.evaluate and not config.resume:
        raise InputError("--evaluate needs the checkpoint to evaluate: add --resume PATH")
    names = ["resume", "tune_from", "pretrain"]
    if config.resume == "auto":  # where there is no checkpoint yet, a new run starts from the others
        names.remove("resume")
    sources = [f"--{name} {getattr(config, name)}" for name in names if getattr(config, name)]
    if len(sources) > 1 and sources[1:] != ["--pretrain none"]:
        raise InputError(f"{' and '.join(sources)} contradict each other: weights come from one place")


def check_suffix(config: Config) -> None:
    if config.suffix and Path(config.suffix).name != config.suffix:
        raise InputError(f"--suffix {config.suffix!r} is part of a folder's name and cannot hold a path")


def check_arch(config: Config) -> None:
    """Features pass the backbone of their own, and nothing else does."""
    takes = {source.arch: name for name, source in MODALITIES.items() if source.arch}
    own = MODALITIES[config.modality].arch
    if own and config.arch != own:
        raise InputError(f"--arch {config.arch} takes frames, not {config.modality}; leave --arch out")
    if not own and config.arch in takes:
        raise InputError(f"--arch {config.arch} takes {takes[config.arch]} alone, not {config.modality}; take another")


def check_shift(config: Config) -> None:
    """`--shift` and `--temporal` are one option, and not every backbone has both places for shift."""
    if config.shift and config.temporal != "shift":
        raise InputError(
            f"--shift is --temporal shift and contradicts --temporal {config.temporal}; leave one of them out"
        )
    places = ARCHS[config.arch].shift_places
    if config.shift and config.shift_place not in places:
        raise InputError(
            f"--shift_place {config.shift_place} finds no place in --arch {config.arch}; take --shift_place"
            f" {' or '.join(places)}"
        )


def check_effect(config: Config, given: frozenset[str]) -> None:
    for names, case, text, passes_default in WITHOUT_EFFECT:
        if not case(config):
            continue
        for name in names:
            if name in given and not (passes_default and getattr(config, name) == OPTIONS[name].default):
                raise InputError(f"--{name} has no effect {text}")


def check_sampling(config: Config, given: frozenset[str]) -> None:
    if "dense_sample" in given and config.cluster != "none" and not config.cluster_start_epoch:
        raise InputError("--dense_sample samples frames where clustering sees all of them; add --cluster none")


def check_stages(config: Config) -> None:
    """What mixes time needs stages of the backbone, behind the clustering if there is one."""
    arch = ARCHS[config.arch]
    trunk, place = arch.stages, f"with --arch {config.arch}"
    if config.cluster != "none":
        try:
            places = cluster_places(config.cluster_after, config.num_segments, arch.stages)
        except ValueError as error:
            note = f"; {arch.cut_note}" if arch.cut_note and "is no stage" in str(error) else ""
            raise InputError(
                f"--cluster_after {config.cluster_after} does not fit --arch {config.arch}: {error}{note}"
            ) from None
        trunk = arch.stages[arch.stages.index(next(iter(places))) + 1 :]
        place = f"behind --cluster_after {config.cluster_after}"
        if config.temporal_pool and len(places) > 1:
            raise InputError("--temporal_pool takes one place of --cluster_after; leave one of them out")
    if config.temporal_max and not arch.block_stages:
        raise InputError(f"--temporal_max finds no stage to work in {place}")
    if config.temporal_max and arch.block_stages[-1] not in trunk:
        raise InputError(f"--temporal_max takes place in {arch.block_stages[-1]}, which must stand {place}")
    if config.temporal_max and config.cluster != "none" and arch.block_stages[-1] in places:
        raise InputError(f"--temporal_max leaves nothing to cluster after {arch.block_stages[-1]}; take another place")
    if config.temporal_max and config.temporal in TEMPORAL:
        flag = "--shift" if config.shift else f"--temporal {config.temporal}"
        raise InputError(f"--temporal_max leaves one representation, which {flag} cannot mix; leave one of them out")
    wanted = {}
    if config.temporal in TEMPORAL:
        wanted["shift" if config.shift else f"temporal {config.temporal}"] = TEMPORAL[config.temporal].stages(arch)
    if config.non_local:
        wanted["non_local"] = arch.non_local_stages
    stage = arch.temporal_pool_stage
    if config.temporal_pool and stage is None:
        wanted["temporal_pool"] = ()
    for name, stages in wanted.items():
        if not stages:
            raise InputError(f"--{name} finds no stage to work in with --arch {config.arch}")
        if not {*stages} & {*trunk}:
            raise InputError(f"--{name} finds no stage to work in {place}")
    if config.temporal_pool and stage not in trunk:
        raise InputError(f"--temporal_pool comes before {stage}, but --cluster_after is {config.cluster_after}")


def check_head(config: Config, given: frozenset[str]) -> None:
    """What only some heads have, and what only some can do."""
    name, options = config.consensus_type, vars(config)
    head, chosen_by = head_of(name, options), HEADS[name].form_option
    what = f"--consensus_type {name}"
    if chosen_by:
        what += f" --{chosen_by} {options[chosen_by]}"
    idle = known_options() - options_of(name, options)
    if head.needs_maps or head.takes_features:
        idle |= {"dropout"}
    for option in sorted(idle & given):
        raise InputError(f"--{option} has no effect with {what}; leave it out")
    if head.before_relu and not ARCHS[config.arch].drops_relu:
        raise InputError(
            f"{what} takes maps before their last ReLU, which --arch {config.arch} cannot give; take another of either"
        )
    steps = config.num_segments
    if config.temporal_pool:
        steps = -(-steps // 2)
    if problem := head.problem(steps, options):
        raise InputError(f"{what} {problem}")


def check_stem(config: Config) -> None:
    """How the stem runs: in chunks or not, and with which gradient."""
    if config.stem_grad == "representative" and config.stem_chunk == 0:
        raise InputError("--stem_grad representative is for a stem in chunks; leave --stem_chunk 0 out")
    if config.freeze_stem_bn or config.freeze_bn or config.freeze_backbone or config.evaluate:
        return
    for name, other in (("stem_chunk", "auto"), ("stem_grad", "exact")):
        if getattr(config, name) not in (other, 0):
            raise InputError(
                f"--{name} {getattr(config, name)} trains a stem in chunks, in which BatchNorms cannot train; add"
                f" --freeze_stem_bn, or take --{name} {other}"
            )


def check_sync_bn(config: Config) -> None:
    if not config.sync_bn:
        return
    if config.freeze_backbone:
        raise InputError("--sync_bn finds no BatchNorm that trains with --freeze_backbone; leave one of them out")
    if config.freeze_stem_bn and not config.npb:
        raise InputError("--sync_bn finds no BatchNorm that trains: add --npb, or leave out --freeze_stem_bn")


def check_epochs(config: Config, given: frozenset[str]) -> None:
    if config.cluster_start_epoch >= config.epochs and "cluster_start_epoch" in given and not config.evaluate:
        raise InputError(
            f"--cluster_start_epoch {config.cluster_start_epoch} lies beyond --epochs {config.epochs}:"
            " the run would never train on clusters"
        )
    if config.warmup_epochs >= config.epochs and not config.evaluate:
        raise InputError(
            f"--warmup_epochs {config.warmup_epochs} leaves nothing of --epochs {config.epochs} to train at the full"
            " rate; take fewer"
        )


def check_recipe(config: Config) -> None:
    if config.rand_augment and MODALITIES[config.modality].flow:
        raise InputError("--rand_augment changes colours and shapes, which flow fields do not have; leave it out")
    if config.momentum == 1 and config.optimizer != "sgd":
        raise InputError(f"--momentum 1 is no beta of --optimizer {config.optimizer}; take one below 1")


def check_processes(given: frozenset[str], processes: Processes) -> None:
    """InputError where `given` options need several processes and this is the only one."""
    if "sync_bn" in given and processes.world_size == 1:
        raise InputError("--sync_bn has no effect in a single process; leave it out, or start several with torchrun")


def check_mixing(config: Config, processes: Processes) -> None:
    """InputError where videos are to be mixed and a process may have one alone."""
    for name in ("mixup", "cutmix"):
        if getattr(config, name) and config.batch_size < 2 * processes.world_size:
            raise InputError(
                f"--{name} mixes two videos of a process's batch, and --batch_size {config.batch_size} gives some of"
                f" {processes.world_size} one alone; take at least {2 * processes.world_size}"
            )


# ---------------------------------------------------------------- with a checkpoint


def adopt(config: Config, given: frozenset[str], stored: dict, path: str) -> Config:
    """Complete a config with the one inside checkpoint `path`, `stored`.

    For evaluation the model and the way videos are shown come from the file, for going on with training everything
    but places. Raises InputError where a given flag contradicts the model in the file.
    """
    stored = stored_options(stored, path)
    for name in names_of("model"):
        if name in given and name in stored and getattr(config, name) != stored[name]:
            raise contradiction(name, getattr(config, name), path, "which was trained with", stored[name])
    check_dataset(config, stored.get("dataset"), path)
    wanted = names_of("model", "protocol") if config.evaluate else names_of("model", "protocol", "training", "data")
    taken = {name: stored[name] for name in wanted if name in stored and name not in given}
    config = replace(config, **taken)
    check(config, given)
    return config


def contradiction(name: str, asked: object, path: str, origin: str, value: object) -> InputError:
    """The error that an option's `asked` value is not the `value` of checkpoint `path`."""
    flag, remedy = f"--{name} {asked}", f"leave --{name} out"
    if OPTIONS[name].positional:
        flag, remedy = f"{name} {asked}", f"give {value}"
    return InputError(f"{flag} contradicts {path}, {origin} {name} {value}; {remedy} or use another checkpoint")


def check_dataset(config: Config, trained_on: str | None, path: str) -> None:
    """InputError where training would go on with another dataset than that of checkpoint `path`, None if unknown."""
    if trained_on and not config.evaluate and dataset_name(trained_on) != dataset_name(config.dataset):
        raise InputError(f"{path} was trained on {trained_on}, not {config.dataset}; use --tune_from instead")


def stored_options(stored: dict, path: str) -> dict:
    """The options among what file `path` holds; InputError unless each could have been given as a flag."""
    found = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items() if name in OPTIONS}
    if "shift" in found and "temporal" not in found:  # of a version that knew no other than shift
        found["temporal"] = "shift" if found["shift"] else "none"
    for name, value in found.items():
        option = OPTIONS[name]
        if not option.accepts(value):
            remedy = "that cannot be, use another checkpoint"
            if option.choices:
                remedy = f"here there are only {', '.join(option.choices)}"
            raise InputError(f"{path} was trained with {name} {str(value)[:80]!r}; {remedy}")
    return found


def changed_options(config: Config, stored: dict) -> list[str]:
    """The names of options that decide what is trained how, and were others in the config that a checkpoint stores."""
    own = plain(config)
    return [name for name in names_of("data", "protocol", "training") if stored.get(name, own[name]) != own[name]]


def check_within_epoch(config: Config, stored: dict) -> None:
    """InputError where the epoch that checkpoint `stored` has half done would go on with other batches or steps."""
    for name, option in OPTIONS.items():
        own, former = getattr(config, name), stored["config"].get(name, option.default)
        if option.fixed_within_epoch and own != former:
            raise InputError(
                f"{config.resume} stands within epoch {stored['epoch']}, which was cut with"
                f" --{name} {former}; leave --{name} {own} out, or begin the epoch anew with"
                f" --start_epoch {stored['epoch']}"
            )
