"""Compare finished runs in one table, and on demand one picture; or the scores of tests video by video."""

import json
from collections.abc import Sequence
from pathlib import Path

import _path

from ops.errors import InputError
from ops.evaluation.comparison import ACCURACY_KEY, PAIRED_KEY, accuracy_rows, paired_rows, repeated
from ops.evaluation.cost import tell_apart
from ops.evaluation.predict import Prediction, frame_names, hold, left_out, predict, read_folder
from ops.evaluation.result_files import read_scores
from ops.evaluation.runs import summarise
from ops.options import cli
from ops.options.checks import stored_options
from ops.options.config import Config
from ops.options.parsing import add_options
from ops.pictures import video as pictures
from ops.pictures.colours import CLUSTERS
from ops.pictures.text import plotted_line
from ops.run.restore import load_model

EXAMPLE = """example:
  python tools/compare_runs.py log/TSM_movingmnist_*
  python tools/compare_runs.py log/TSM_movingmnist_* --picture runs.png \\
      --video data/movingmnist/val/left_0 --weights checkpoint/NAME/ckpt.best.pth.tar
  # two models on the same videos: is the difference more than chance? Files as test_models.py --scores writes them
  python tools/compare_runs.py --scores slope.npz --against tsm.npz
  # the same over three splits or folds, in the same order; without --against: the mean of one model's splits
  python tools/compare_runs.py --scores slope1.npz slope2.npz slope3.npz --against tsm1.npz tsm2.npz tsm3.npz
"""
CHUNK = 32  # frames sent through a network at a time


def format_table(rows: list[dict[str, str]]) -> str:
    """The rows as a Markdown table whose columns are aligned."""
    columns = list(rows[0])
    lines = [columns, ["-"] * len(columns), *([row[column] for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    lines[1] = ["-" * width for width in widths]
    cells = ([cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {line[0].strip().ljust(widths[0])} | {' | '.join(line[1:])} |" for line in cells)


def compare_scores(files: Sequence[Path], against: Sequence[Path]) -> str:
    """The table of score files, a split each, alone or `against` others on the same videos."""
    if against and len(against) != len(files):
        raise InputError(
            f"--scores has {len(files)} files and --against {len(against)}; give one for each, in the same order"
        )
    first, second = ([read_scores(file) for file in side] for side in (files, against))
    rows, lines, key = accuracy_rows(first), [f"A  {', '.join(map(str, files))}"], ACCURACY_KEY
    if against:
        rows, key = paired_rows(first, second), ACCURACY_KEY + PAIRED_KEY
        lines.append(f"B  {', '.join(map(str, against))}")
    lines += ["", format_table(rows), "", key]
    if number := repeated(first):
        lines.append(f"{number} of the videos are in several files: drawn with all of them, and counted once for p")
    return "\n".join(lines)


def draw(rows: list[dict[str, str]], num_class: int, picture: Path, video: Prediction | None) -> None:
    """Bars of top-1 accuracy and, with `video`, its frames with their clusters and distances."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(pictures.STYLE):
        strip = pictures.Strip(video, 8, curve_height=0.42, least_height=4.2) if video else None
        figure = Figure(figsize=(12, strip.height) if strip else (4.5, 4.2), dpi=150, layout="constrained")
        left, *right = figure.subfigures(1, 2, width_ratios=(4, strip.width)) if strip else [figure]
        axis = left.subplots()
        names = [plotted_line(row["method"], 8, 2) for row in rows]
        bars = axis.barh(range(len(rows)), [float(row["top-1 %"]) for row in rows], color=CLUSTERS[0])
        axis.set_yticks(range(len(rows)), names)
        axis.invert_yaxis()
        axis.bar_label(bars, fmt="%.1f", padding=3)
        axis.axvline(100 / num_class, color="0.5", linestyle=":")
        axis.text(100 / num_class, 1.0, "chance", color="0.4", transform=axis.get_xaxis_transform(), ha="center")
        axis.set(xlim=(0, 112), xlabel="top-1 accuracy on validation videos (%)")
        if strip:
            pictures.draw_video(right[0], strip, f"one video: {video.summary}")
        pictures.save(figure, picture)


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.ArgumentParser(prog="compare_runs.py", description=__doc__, epilog=EXAMPLE)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("runs", nargs="*", default=[], type=Path, help="log folders, in the order of the table's rows")
    what.add_argument(
        "--scores",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE.npz",
        help="instead of runs: what test_models.py or main.py --evaluate wrote with --scores, a file a split or fold",
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        type=Path,
        metavar="FILE.npz",
        help="files of another model on the same videos, in the order of --scores: compared video by video",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw bars of the accuracies (matplotlib)")
    parser.add_argument("--video", type=Path, metavar="FOLDER", help="frame folder to draw beside the bars")
    parser.add_argument("--weights", type=Path, metavar="CKPT", help="checkpoint that cuts --video into clusters")
    add_options(parser, ["trust_checkpoint"], default=False)
    args = parser.parse_args(argv)
    if bool(args.video) != bool(args.weights) or (args.video and not args.picture):
        parser.error("--video and --weights go together, and with --picture")
    if args.against and not args.scores:
        parser.error("--against goes with --scores")
    if args.scores and args.picture:
        parser.error("--picture draws runs, not --scores; leave one of them out")
    if args.scores:
        print(compare_scores(args.scores, args.against))
        return
    if args.picture:
        pictures.check(args.picture)
    rows = [summarise(folder) for folder in args.runs]
    about = [json.loads((folder / "args.json").read_text()) for folder in args.runs]
    for row, method in zip(rows, tell_apart([row["method"] for row in rows], about), strict=True):
        row["method"] = method
    print(format_table(rows))
    if args.picture:
        about = args.runs[0] / "args.json"
        run = stored_options(json.loads(about.read_text()), str(about))
        spec = Config(**{"dataset": "", "modality": "RGB"} | run).spec
        video = None
        if args.video:
            model, config, _ = load_model(str(args.weights), args.trust_checkpoint)
            names = frame_names(args.video, config)
            if others := left_out(args.video, names):
                print(others)
            clips = read_folder(args.video, names, CHUNK, config.frame_size)
            video = predict(model, config, hold(clips), CHUNK)
        draw(rows, spec.num_class, args.picture, video)
        print(f"drew {args.picture}")


if __name__ == "__main__":
    cli.run(main)
