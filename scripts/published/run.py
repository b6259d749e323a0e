"""Train and test one row of a published table: what the scripts beside this file have in common."""

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from ops.data.frame_names import is_flow
from ops.data.modality import MODALITIES
from ops.data.specs import DATASETS
from ops.errors import InputError
from ops.evaluation import settings
from ops.evaluation.cost import count
from ops.evaluation.protocols import CLIPS
from ops.models import build_model
from ops.options import cli, types
from ops.options.config import DATASET_OPTIONS, Config
from ops.options.parsing import main_parser, parse
from ops.run.data import listed_videos
from ops.run.saving import newest_checkpoint
from ops.training.checkpoint import BEST

WEIGHTS = "github.com/mit-han-lab/temporal-shift-module (Pretrained Models, Kinetics-400, uniform sampling)"
# options of main.py that test_models.py takes, too, and needs where they are given
SHARED = (*DATASET_OPTIONS, "workers", "device", "stem_chunk")
# those that tools/extract_features.py takes where a head trains on features: of these, the first go there alone
OF_FRAMES, OF_BOTH = (*DATASET_OPTIONS, "arch", "input_size"), ("workers", "device", "trust_checkpoint")


@dataclass(frozen=True)
class Row:
    """One method on one dataset: its published top-1 accuracy in %, and words for the programs.

    Each of `train` is a modality and words for main.py. With words for tools/extract_features.py to `extract`, it sees
    what that makes of the dataset's frames.
    """

    dataset: str
    published: str
    extract: list[str]
    train: list[list[str]]
    test: list[str]


@dataclass(frozen=True)
class Plan:
    """What a row comes down to: the options of its trainings and of the frames they need, and programs with words."""

    configs: list[Config]
    frames: list[Config]
    extract: list[list[str]]
    train: list[list[str]]
    test: list[str]


def read_rows(datasets: str, rows: str) -> dict[str, Row]:
    """Lines `name accuracies [extraction >] training [+ training ...] | test` -> rows by `dataset-name`.

    There is an accuracy for each dataset, `-` where none is known and `.` where the line is not of that dataset.
    Extraction, training and test are options of tools/extract_features.py, main.py and test_models.py; a training may
    begin with its modality, which else is RGB.
    """
    names, table = datasets.split(), {}
    for line in filter(str.strip, rows.splitlines()):
        facts, _, test = line.partition("|")
        name, *facts = facts.split()
        published, words = facts[: len(names)], " ".join(facts[len(names) :])
        extract, _, trainings = words.rpartition(">")
        train = [part.split() for part in trainings.split("+")]
        train = [["RGB", *part] if part[0].startswith("-") else part for part in train]
        for dataset, accuracy in zip(names, published, strict=True):
            if accuracy != ".":
                table[f"{dataset}-{name}"] = Row(dataset, accuracy, extract.split(), train, test.split())
    return table


def parser(script: str, rows: dict[str, Row], frames: int) -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog=f"bash {script}",
        usage="%(prog)s ROW [--list] [--costs] [--dry_run] [--gpus N] [options of main.py]",
        description="Train and test what a row of a published table says. Run again, it goes on where it stopped.\n"
        "Options of main.py win over the row's; with another -b or --accum, and without --lr, the rate is scaled.",
    )
    listing = "\n".join(f"{name:<28}{row.published:>5}" for name, row in rows.items())
    parser.add_argument("row", choices=rows, metavar="ROW", help=f"one of {', '.join(rows)}")
    parser.add_argument(
        "--list",
        action="version",
        version=listing,
        help="show the rows and their published top-1 accuracies in %%, and do nothing",
    )
    parser.add_argument(
        "--costs",
        action=ShowCosts,
        rows=rows,
        frames=frames,
        help="show the views of the rows' tests, and parameters and multiply-adds of one view of a video of"
        f" {frames} frames, and do nothing",
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


# ---------------------------------------------------------------- commands


def make_plan(row: Row, extras: list[str]) -> Plan:
    """The commands of a row; InputError as main.py's."""
    given = vars(main_parser().parse_args([row.dataset, row.train[0][0], *extras]))
    dataset, extract, frames = row.dataset, [], []
    del given["dataset"], given["modality"]
    if row.extract:
        of_frames = {name: given[name] for name in (*OF_FRAMES, *OF_BOTH) if name in given}
        if "workers" in given:
            of_frames["workers"] = max(1, given["workers"])  # threads there
        weights = ["--weights", given.pop("pretrain")] if "pretrain" in given else []
        facts = {name: value for name, value in of_frames.items() if name in DATASET_OPTIONS}
        frames = [Config(dataset, "RGB", **facts)]
        dataset = f"{frames[0].root}_features"
        words = [*row.extract, *weights, *as_words(main_parser(), of_frames), "--out", dataset]
        extract = [["tools/extract_features.py", row.dataset, "RGB", *words]]
        given = {name: value for name, value in given.items() if name not in OF_FRAMES}
    trainings = [make_training(dataset, modality, words, given) for modality, *words in row.train]
    configs = [parse(words)[0] for words in trainings]
    if not given.keys() & {"resume", "overwrite"}:
        trainings = [[*words, "--resume", "auto"] for words in trainings]
    place = [dataset, configs[0].modality] if len(configs) == 1 else [dataset]
    weights = ",".join(str(config.run_folder / BEST) for config in configs)
    shared = as_words(settings.parser(), {name: given[name] for name in SHARED if name in given})
    test = ["test_models.py", *place, "--weights", weights, *row.test, *shared]
    return Plan(configs, frames or configs, extract, [["main.py", *words] for words in trainings], test)


def make_training(dataset: str, modality: str, words: list[str], given: dict) -> list[str]:
    """The words of main.py for a training, with options that are `given`; its rate goes with the videos of a step."""
    place, reader = [dataset, modality], main_parser()
    usual = vars(reader.parse_args([*place, *words]))
    values = usual | {"suffix": "published"} | given
    if "lr" not in given:
        values["lr"] *= videos_of_a_step(values) / videos_of_a_step(usual)
    if given.get("lr_type") == "cos" and "lr_steps" not in given:
        values.pop("lr_steps", None)  # the row's schedule is another
    for one, other in (("tune_from", "pretrain"), ("pretrain", "tune_from")):
        if one in given and other not in given:
            values.pop(other, None)  # weights come from one place
    if "image_tmpl" in given and is_flow(given["image_tmpl"]) != MODALITIES[modality].flow:
        del values["image_tmpl"]  # a row may see both frames and flow
    return [*place, *as_words(reader, values)]


def videos_of_a_step(values: dict) -> int:
    return values["batch_size"] * values.get("accum", 1)


def check_data(config: Config, source: str) -> None:
    """Raise InputError where a list, or flow that is needed, is missing; movingmnist is generated."""
    for name in (config.spec.train_list, config.spec.val_list):
        if config.dataset != "movingmnist" and not config.list_file(name).is_file():
            raise InputError(
                f"no list file {config.list_file(name)}: get the videos from {source}, extract their"
                f" frames (tools/extract_frames.py) and make lists (`python tools/make_lists.py {config.dataset}`); or"
                " name their folder with --root_path, or the one above it with $FULL_VIDEO_DATA"
            )
    if not MODALITIES[config.modality].flow:
        return
    try:
        listed_videos(config)
    except InputError as error:
        raise InputError(
            f"{error}. This row sees optical flow, too: make it with `python tools/extract_flow.py {config.root}"
            f" {config.root}`, or name its pictures with --image_tmpl"
        ) from None


def is_trained(config: Config) -> bool:
    """Whether the run has no epoch left; InputError where it has not begun and lacks the weights to start from."""
    _, stored, _ = newest_checkpoint(config.run_folder, config.trust_checkpoint)
    start = config.tune_from
    if not stored and start and not Path(start).is_file():
        raise InputError(f"no Kinetics weights {start}: get them from {WEIGHTS}, or name yours with --tune_from")
    return bool(stored) and stored.get("epoch", 0) >= config.epochs


# ---------------------------------------------------------------- costs


@cache
def count_all(frames: int, side: int, **options) -> tuple[int, int]:
    """Parameters of a model, and its multiply-adds for one video."""
    with torch.device("meta"):
        model = build_model(**options)
    parts = count(model, frames, side)
    return sum(part.parameters for part in parts), sum(part.multiply_adds for part in parts)


def cost_of(row: Row, frames: int) -> tuple[str, ...]:
    """What the test of a row shows its model, and what that costs, in words; all frames of a video are `frames`."""
    test = settings.parse([row.dataset, "--weights", ",".join("x" for _ in row.train), *row.test])
    parameters = multiply_adds = 0
    for (modality, *words), segments in zip(row.train, test.test_segments, strict=True):
        if row.extract:  # the network that makes the features counts, too
            place = row.extract.index("--arch")
            modality, words = "RGB", [*row.extract[place : place + 2], *words]
        config, _ = parse([row.dataset, modality, *words])
        config = replace(config, num_segments=segments or config.num_segments)
        seen = config.num_segments if config.cluster == "none" else frames
        side = config.frame_size * 256 // 224 if test.full_res else config.frame_size
        own, ran = count_all(seen, side, num_class=DATASETS[row.dataset].num_class, **config.model_options)
        parameters, multiply_adds = parameters + own, multiply_adds + ran
    clips = CLIPS[test.clips][1] if test.clips else 1
    views = f"{len(row.train)} x {seen}" if len(row.train) > 1 else f"{seen}"
    return views, f"{test.test_crops} x {clips}, {side} px", f"{parameters:,}", f"{multiply_adds / 1e9:.4g}"


def cost_table(rows: dict[str, Row], frames: int) -> str:
    """A Markdown table of rows."""
    lines = [("row", "frames", "crops x clips", "parameters", "G multiply-adds a view"), ("---",) * 5]
    lines += [(f"`{name}`", *cost_of(row, frames)) for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class ShowCosts(argparse.Action):
    """`--costs`: print the table and end, as --help does."""

    def __init__(self, *, rows: dict[str, Row], frames: int, **about):
        super().__init__(nargs=0, **about)
        self.rows, self.frames = rows, frames

    def __call__(self, parser, *_) -> NoReturn:
        print(cost_table(self.rows, self.frames))
        parser.exit()


# ---------------------------------------------------------------- run


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
    if len(argv) < 5:
        raise InputError("this is part of the scripts beside it; try `bash scripts/published/something.sh --list`")
    script, datasets, frames, source, lines = argv[:5]
    table = read_rows(datasets, lines)
    args, extras = parser(script, table, int(frames)).parse_known_args(argv[5:])
    plan, python = make_plan(table[args.row], extras), [sys.executable]
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={args.gpus}"]
    launcher = [*python, *several] if args.gpus > 1 else python
    before, trainings = [[*python, *words] for words in plan.extract], [[*launcher, *words] for words in plan.train]
    after = [*python, *plan.test]
    if args.dry_run:
        print("\n".join(map(shlex.join, [*before, *trainings, after])))
        return 0
    for config in plan.frames:
        check_data(config, source)
    left = []
    for config, command in zip(plan.configs, trainings, strict=True):
        if is_trained(config) and not config.overwrite:
            print(f"{config.run_folder} is trained to its end: only tested")
        else:
            left.append(command)
    for command in [*(before if left else []), *left, after]:
        if code := run(command):
            return code
    print(f"published for {args.row}: {table[args.row].published} %")
    return 0


if __name__ == "__main__":
    cli.run(main)
