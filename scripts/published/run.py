"""Train and test one row of a published table: what the scripts beside this file have in common."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from ops.errors import InputError
from ops.evaluation import settings
from ops.options import cli, types
from ops.options.config import DATASET_OPTIONS, Config
from ops.options.parsing import main_parser, parse
from ops.run.saving import newest_checkpoint
from ops.training.checkpoint import BEST

WEIGHTS = "github.com/mit-han-lab/temporal-shift-module (Pretrained Models, Kinetics-400, uniform sampling)"
# options of main.py that test_models.py takes, too, and needs where they are given
SHARED = (*DATASET_OPTIONS, "workers", "device", "stem_chunk")


@dataclass(frozen=True)
class Row:
    """One method on one dataset: its published top-1 accuracy in %, and words for main.py and test_models.py."""

    dataset: str
    published: str
    train: list[str]
    test: list[str]


@dataclass(frozen=True)
class Plan:
    """What a row comes down to: the options of its training, and both programs with their words."""

    config: Config
    train: list[str]
    test: list[str]


def read_rows(datasets: str, rows: str, test: str) -> dict[str, Row]:
    """Lines `name accuracy ... options [| test options]`, an accuracy for each dataset -> rows by `dataset-name`."""
    names, table = datasets.split(), {}
    for line in filter(str.strip, rows.splitlines()):
        facts, _, views = line.partition("|")
        name, *facts = facts.split()
        for dataset, published in zip(names, facts, strict=False):
            table[f"{dataset}-{name}"] = Row(dataset, published, facts[len(names) :], test.split() + views.split())
    return table


def parser(script: str, rows: dict[str, Row]) -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog=f"bash {script}",
        usage="%(prog)s ROW [--list] [--dry_run] [--gpus N] [options of main.py]",
        description="Train and test what a row of a published table says. Run again, it goes on where it stopped.\n"
        "Options of main.py win over the row's; with another -b or --accum, and without --lr, the rate is scaled.",
    )
    listing = "\n".join(f"{name:<24}{row.published:>5}" for name, row in rows.items())
    parser.add_argument("row", choices=rows, metavar="ROW", help=f"one of {', '.join(rows)}")
    parser.add_argument(
        "--list",
        action="version",
        version=listing,
        help="show the rows and their published top-1 accuracies in %%, and do nothing",
    )
    parser.add_argument("--dry_run", action="store_true", help="print the commands and do nothing")
    parser.add_argument(
        "--gpus",
        type=types.number(int, least=0),
        default=torch.cuda.device_count(),
        metavar="N",
        help="processes that train, one on each GPU (default: all GPUs)",
    )
    return parser


def as_words(parser: cli.ArgumentParser, values: dict) -> list[str]:
    """Options as they stand on a command line, each once."""
    words = []
    for action in parser._actions:
        if action.option_strings and action.dest in values:
            words.append(f"--{action.dest}")
            if action.nargs == 0:
                continue
            value = "all" if values[action.dest] is None else values[action.dest]
            given = value if isinstance(value, list) else [value]
            words += [f"{v:.12g}" if isinstance(v, float) else str(v) for v in given]
    return words


def make_plan(row: Row, schedule: list[str], extras: list[str]) -> Plan:
    """The commands of a row, with a learning rate in proportion to the videos of a step; InputError as main.py's."""
    place, reader = [row.dataset, "RGB"], main_parser()
    given = vars(reader.parse_args([*place, *extras]))
    values = vars(reader.parse_args([*place, *schedule, *row.train, "--suffix", "published", *extras]))
    usual = vars(reader.parse_args([*place, *schedule]))
    if "lr" not in given:
        values["lr"] = usual["lr"] * values["batch_size"] * values.get("accum", 1) / usual["batch_size"]
    if given.get("lr_type") == "cos" and "lr_steps" not in given:
        values.pop("lr_steps", None)  # the row's schedule is another
    train = [*place, *as_words(reader, values)]
    config, _ = parse(train)
    if not given.keys() & {"resume", "overwrite"}:
        train += ["--resume", "auto"]
    shared = as_words(settings.parser(), {name: given[name] for name in SHARED if name in given})
    test = [*place, "--weights", str(config.run_folder / BEST), *row.test, *shared]
    return Plan(config, ["main.py", *train], ["test_models.py", *test])


def check_data(config: Config, source: str) -> None:
    """Raise InputError where a list is missing; movingmnist is generated."""
    for name in (config.spec.train_list, config.spec.val_list):
        if config.dataset != "movingmnist" and not config.list_file(name).is_file():
            raise InputError(
                f"no list file {config.list_file(name)}: get the videos from {source}, extract their"
                f" frames (tools/extract_frames.py) and make lists (`python tools/make_lists.py {config.dataset}`); or"
                " name their folder with --root_path, or the one above it with $FULL_VIDEO_DATA"
            )


def is_trained(config: Config) -> bool:
    """Whether the run has no epoch left; InputError where it has not begun and lacks the weights to start from."""
    _, stored, _ = newest_checkpoint(config.run_folder, config.trust_checkpoint)
    start = config.tune_from
    if not stored and start and not Path(start).is_file():
        raise InputError(f"no Kinetics weights {start}: get them from {WEIGHTS}, or name yours with --tune_from")
    return bool(stored) and stored.get("epoch", 0) >= config.epochs


def run(command: list[str]) -> int:
    """Show a command and run it to its end, also when a signal comes, so that it can save; its exit code."""
    print(f"$ {shlex.join(command)}", flush=True)
    with subprocess.Popen(command) as child:

        def pass_on(number: int, frame) -> None:
            if number != signal.SIGINT:  # Ctrl-C comes to both
                child.send_signal(number)

        former = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
        child.wait()
    for number, handler in former.items():
        signal.signal(number, handler)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) < 6:
        raise InputError("this is part of the scripts beside it; try `bash scripts/published/something.sh --list`")
    script, datasets, schedule, test, source, rows = argv[:6]
    table = read_rows(datasets, rows, test)
    args, extras = parser(script, table).parse_known_args(argv[6:])
    plan = make_plan(table[args.row], schedule.split(), extras)
    python = [sys.executable]
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={args.gpus}"]
    launcher = [*python, *several] if args.gpus > 1 else python
    commands = {"train": [*launcher, *plan.train], "test": [*python, *plan.test]}
    if args.dry_run:
        print("\n".join(map(shlex.join, commands.values())))
        return 0
    check_data(plan.config, source)
    if is_trained(plan.config) and not plan.config.overwrite:
        print(f"{plan.config.run_folder} is trained to its end: only tested")
        del commands["train"]
    for command in commands.values():
        if code := run(command):
            return code
    print(f"published for {args.row}: {table[args.row].published} %")
    return 0


if __name__ == "__main__":
    cli.run(main)
