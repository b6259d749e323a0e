"""The parser of `main.py`, and what other programs share with it, made from the declarations in `config.py`."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ops.options.checks import check, check_start
from ops.options.cli import ArgumentParser
from ops.options.config import DATASET_OPTIONS, OPTIONS, Config, names_of
from ops.options.option import ROLES
from ops.options.types import number

EXAMPLE = """examples:
  # the paper's method: all frames, 16 clusters after layer1, temporal shift behind them
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --epochs 40 -b 16 --npb
  # the baseline TSM: 16 sampled frames
  python main.py movingmnist RGB --arch resnet18 --num_segments 16 --shift --cluster none
  # evaluate what was trained; the checkpoint knows its model
  python main.py --evaluate movingmnist RGB --resume checkpoint/NAME/ckpt.best.pth.tar
"""


def add_options(parser: ArgumentParser | argparse._ArgumentGroup, names: Iterable[str], **changes) -> None:
    """Give a parser, or a group of its options, those of `main.py` that have these names.

    `changes` are facts of `ops.options.option.Option` that are different here, a help text for example. What is not
    given on the command line is absent from the parser's result, unless `changes` hold a default; a positional argument
    with a default may be left out.
    """
    for name in names:
        option = replace(OPTIONS[name], **changes)
        words: dict = {"help": option.text, "default": changes.get("default", argparse.SUPPRESS)}
        if option.switch:
            words["action"] = "store_true"
        else:
            words |= {"type": option.type, "choices": option.choices, "metavar": option.metavar}
        if option.many:
            words["nargs"] = "+"
        if not OPTIONS[name].positional:
            parser.add_argument(*option.flags, dest=name, **words)
        elif option.positional:
            parser.add_argument(name, **words)
        else:
            parser.add_argument(name, nargs="?", **words)


def add_prediction_options(parser: ArgumentParser) -> None:
    """Give a parser the options of all programs that show a user's own videos to a trained model."""
    parser.add_argument("--weights", type=Path, required=True, metavar="CKPT", help="a checkpoint that main.py wrote")
    parser.add_argument(
        "--category_file",
        type=Path,
        metavar="FILE",
        help="class names, one per line in the order of "
        "labels (default: the checkpoint's own; of older ones those of the dataset, if it is there)",
    )
    parser.add_argument(
        "--short_side",
        type=number(int, least=0),
        default=256,
        metavar="PX",
        help="shrink the frames of a video file to this short side first, as tools/extract_frames.py "
        "did for training; 0 keeps their size (256)",
    )
    add_options(parser, ["device"], default=None)
    add_options(parser, ["trust_checkpoint", "keep_damaged"], default=False)


def add_dataset_options(parser: ArgumentParser, modality_needed: bool = True) -> argparse._ArgumentGroup:
    """Give a parser the options that say which videos: of all programs that read a dataset. Returns their group."""
    add_options(parser, ["dataset"])
    if modality_needed:
        add_options(parser, ["modality"])
    else:
        add_options(parser, ["modality"], default=None)
    group = parser.add_argument_group("data")
    add_options(group, DATASET_OPTIONS)
    return group


def main_parser() -> ArgumentParser:
    """The parser of `main.py`; what is not given is absent from its result."""
    parser = ArgumentParser(
        prog="main.py",
        usage="%(prog)s dataset modality [options]",
        description="Train and evaluate video classifiers on all frames.",
        epilog=EXAMPLE,
    )
    add_options(parser, [name for name, option in OPTIONS.items() if option.positional])
    for role, about in ROLES.items():
        group = parser.add_argument_group(role, about)
        add_options(group, [name for name in names_of(role) if not OPTIONS[name].positional])
    return parser


def parse(argv: Sequence[str] | None = None) -> tuple[Config, frozenset[str]]:
    """Read the command line -> the config and the names of the options that were given.

    Wrong syntax and values leave with exit code 2; contradictions raise InputError.
    """
    values = vars(main_parser().parse_args(argv))
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    config, given = Config(**values), frozenset(values)
    check_start(config)
    if not config.resume:  # else what the checkpoint says belongs to it: `adopt` looks
        check(config, given)
    return config, given
