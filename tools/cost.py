"""Count what a model costs: parameters and multiply-adds of its parts, on demand time and memory; or compare runs."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import _path
import torch

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.evaluation.cost import PARTS, Cost, Measured, RunCost, costs_of_runs, count, measure
from ops.files import check_writable, write_whole
from ops.models import TSN, build_model
from ops.options import cli
from ops.options.checks import check
from ops.options.config import OPTIONS, Config, names_of
from ops.options.parsing import add_options
from ops.options.types import number
from ops.pictures import video as pictures
from ops.pictures.cost import draw_costs
from ops.run.header import describe_size
from ops.run.restore import load_model
from ops.streaming import choose_streaming
from ops.training.devices import pick_device
from ops.training.placement import place_model

EXAMPLE = """examples:
  # ResNet-50 with 8 clusters of videos of 48 and of 188 frames; TSM on 8 frames
  python tools/cost.py --num_segments 8 --shift --frames 48 188
  python tools/cost.py --num_segments 8 --shift --cluster none
  # a model that was trained, also timed on this machine
  python tools/cost.py --weights checkpoint/NAME/ckpt.best.pth.tar --frames 128 --measure
  # accuracy over cost of finished runs
  python tools/cost.py --picture costs.png log/TSM_movingmnist_*

Everything is for one video. A multiply-add is one operation, as in papers (other counters call it two). PyTorch's own
counter sees convolutions and matrix products; comparing and adding, which is all that the paper's clustering does, it
does not count: --measure times it. Without clustering there is no stem: all frames are sampled, and pass the trunk.
Of a run, top-1 and the mean number of frames are those of its last validation.
"""
MODEL = [name for name in names_of("model") if not OPTIONS[name].positional]
FRAMES = 48  # 4 s of Something-Something


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="cost.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="log folders of finished runs, instead of a model"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw accuracy over cost of runs (matplotlib)")
    parser.add_argument("--weights", type=Path, metavar="CKPT", help="the model of a checkpoint that main.py wrote")
    parser.add_argument(
        "--frames",
        nargs="+",
        type=number(int, least=1),
        metavar="T",
        help=f"frames of a video ({FRAMES}; without clustering --num_segments)",
    )
    parser.add_argument(
        "--measure", action="store_true", help="run the model, too: milliseconds and peak memory a video"
    )
    parser.add_argument(
        "--repeat", type=number(int, least=1), default=3, metavar="N", help="runs of --measure, after a first one (3)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, unrounded, there, too")
    add_options(parser, ["device"], default=None, help="where --measure runs the model (cuda, else mps, else cpu)")
    add_options(parser, ["trust_checkpoint"], default=False)
    model = parser.add_argument_group("model", "As of main.py.")
    model.add_argument("--modality", choices=MODALITIES, default=argparse.SUPPRESS, help="what the network sees (RGB)")
    add_options(model, MODEL)
    side = "side of the frames in pixels, or of the maps of Features in places"
    add_options(model, ["input_size"], help=side, type=number(int, least=1))
    add_options(model, ["num_class"], help="number of classes (174)")
    return parser


def read_model(args: argparse.Namespace) -> tuple[TSN, Config]:
    """The model of the options or of --weights, on the CPU in eval mode, and its config."""
    given = {name: getattr(args, name) for name in ("modality", *MODEL, "input_size", "num_class") if name in args}
    if args.weights:
        if given:
            raise InputError(
                f"--{next(iter(given))} contradicts --weights, which says what its model is; leave one out"
            )
        model, config, _ = load_model(str(args.weights), args.trust_checkpoint)
        return model, config
    config = Config(**{"dataset": "", "modality": "RGB", "num_class": 174} | given)
    features = MODALITIES[config.modality].features
    check(config, frozenset(given) - ({"input_size"} if features else set()))
    if features and not config.feature_dim:
        raise InputError("how wide are the features? Give --feature_dim")
    return build_model(num_class=config.num_class, **config.model_options).eval(), config


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, the first to the left, all others to the right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    cells = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def amount(number: int) -> str:
    """A number to four digits in units of a thousand, a million or 10^9: `37.73 G`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.4g} {name}"
    return str(number)


def cost_table(counts: Sequence[Sequence[Cost]]) -> str:
    """A row a part, and their sum; for each number of frames multiply-adds and the shares in them."""
    header, rows = ["part", "parameters"], [[part] for part in (*PARTS, "all")]
    parameters = [cost.parameters for cost in counts[0]]
    for row, of_part in zip(rows, (*parameters, sum(parameters)), strict=True):
        row.append(f"{of_part:,}")
    for costs in counts:
        header += [f"{costs[0].frames} frames", "%"]
        numbers = [cost.multiply_adds for cost in costs]
        for row, of_part in zip(rows, (*numbers, sum(numbers)), strict=True):
            row += [amount(of_part), f"{100 * of_part / sum(numbers):.1f}"]
    return table(header, rows)


def run_table(runs: Sequence[RunCost]) -> str:
    header = ["method", "top-1 %", "frames", "parameters", "multiply-adds"]
    rows = [
        [run.method, f"{run.top1:.1f}", f"{run.frames:.4g}", f"{run.parameters:,}", amount(run.multiply_adds)]
        for run in runs
    ]
    return table(header, rows)


def compare(args: argparse.Namespace) -> dict:
    """Runs instead of a model -> what --json keeps."""
    if args.picture:
        pictures.check(args.picture)
    runs = costs_of_runs(args.runs)
    print(run_table(runs))
    if args.picture:
        draw_costs([(run.method, run.multiply_adds, run.top1) for run in runs], args.picture)
        print(f"drew {args.picture}")
    return {"runs": [{"folder": str(folder)} | run._asdict() for folder, run in zip(args.runs, runs, strict=True)]}


def cost(args: argparse.Namespace) -> dict:
    """A model -> what --json keeps."""
    device = pick_device(args.device) if args.measure else None
    model, config = read_model(args)
    clusters = config.cluster != "none"
    frames = sorted({*(args.frames or [FRAMES if clusters else config.num_segments])})
    how = config.describe_clusters() if clusters else f"{config.num_segments} sampled frames"
    print(f"{config.arch}, {config.modality}, {describe_size(config)}, {how}, {model.num_class} classes")
    measured: list[Measured] = []
    if args.measure:  # first: counting takes the weights away
        place_model(model, device)
        model.streaming = choose_streaming(model.stem, "auto", config.frame_size)
        measured = [measure(model, number, config.frame_size, args.repeat) for number in frames]
    counts = [count(model, number, config.frame_size) for number in frames]
    print(cost_table(counts))
    for one in measured:
        print(f"{one.frames} frames: {1000 * one.seconds:.4g} ms a video, peak memory {one.peak_memory / 2**20:.0f} MB")
    on = f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {time.strftime('%Y-%m-%d')}"
    if measured:
        print(f"median of {args.repeat} runs; {on}")
    return {
        "arch": config.arch,
        "num_class": model.num_class,
        "size": config.frame_size,
        "cluster": config.cluster,
        "num_segments": config.num_segments,
        "rows": [part._asdict() for costs in counts for part in costs],
        "measured": [one._asdict() for one in measured],
        "on": on if measured else None,
    }


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    if args.runs and (args.weights or args.measure or args.frames):
        raise InputError("runs tell of their models and frames themselves; leave --weights, --measure and --frames out")
    if args.picture and not args.runs:
        raise InputError("--picture draws finished runs; give their log folders, too")
    if args.device and not args.measure:
        raise InputError("--device has no effect without --measure; leave it out")
    if args.json:
        check_writable(args.json, "--json")
    figures = compare(args) if args.runs else cost(args)
    if args.json:
        write_whole(args.json, (json.dumps(figures, indent=1) + "\n").encode())


if __name__ == "__main__":
    cli.run(main)
