"""Compare finished runs: one table, and on demand one picture."""
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402

from ops import checkpoint as ckpt  # noqa: E402
from ops import cli  # noqa: E402
from ops.dataset_config import DATASETS  # noqa: E402
from ops.models import build_model  # noqa: E402
from ops.options import Config  # noqa: E402

EXAMPLE = """example:
  python tools/compare_runs.py log/TSM_movingmnist_*
  python tools/compare_runs.py log/TSM_movingmnist_* --picture runs.png \\
      --video data/movingmnist/val/left_0 --weights checkpoint/NAME/ckpt.best.pth.tar
"""
COLUMNS = ("method", "frames seen", "clusters", "top-1 %", "epochs", "minutes")
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")  # Okabe and Ito: colour-blind safe


def summarise(folder: Path) -> dict[str, str]:
    """One row of the table from a run's log folder: its last validation, and the minutes of all its epochs."""
    try:
        options = json.loads((folder / "args.json").read_text())
        with (folder / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        last = [row for row in rows if row["split"] == "val"][-1]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise cli.InputError(f"{folder} is not the log folder of a run that was validated: {error}") from None
    sampled = options["cluster"] == "none"
    seen = int(last["frames"]) / int(last["videos"])
    values = (
        f"uniform ({'TSM' if options['shift'] else 'TSN'})" if sampled else options["cluster"],
        f"{seen:.0f}" + " sampled" * sampled,
        "-" if sampled else str(options["num_segments"]),
        f"{float(last['top1']):.1f}",
        str(len({row["epoch"] for row in rows})),
        f"{sum(float(row['seconds']) for row in rows) / 60:.1f}",
    )
    return dict(zip(COLUMNS, values, strict=True))


def format_table(rows: list[dict[str, str]]) -> str:
    """The rows as a Markdown table whose columns are aligned."""
    lines = [COLUMNS, ["-"] * len(COLUMNS), *([row[column] for column in COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    lines[1] = ["-" * width for width in widths]
    cells = ([cell.rjust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {line[0].strip().ljust(widths[0])} | {' | '.join(line[1:])} |" for line in cells)


def cut_video(weights: Path, folder: Path) -> tuple[list, list[int], str]:
    """A video's frames as arrays, the cluster that a trained model puts each in, and the model's clustering method."""
    from ops.dataset import load_clip
    from ops.transforms import eval_transform

    stored = ckpt.load_checkpoint(weights)
    if not stored.get("config"):
        raise cli.InputError(f"{weights} carries no config; give a checkpoint that main.py wrote")
    config = Config(**stored["config"])
    if config.cluster == "none":
        raise cli.InputError(f"{weights} was trained without clustering, there are no clusters to draw")
    spec = DATASETS[config.dataset]
    model = build_model(num_class=spec.num_class, **config.model_options).eval()
    ckpt.load_weights(model, stored["state_dict"], str(weights))
    count = sum(1 for _ in folder.glob("*" + Path(spec.image_tmpl).suffix)) if folder.is_dir() else 0
    if not count:
        raise cli.InputError(f"--video {folder} holds no frames {spec.image_tmpl}")
    clip = load_clip(folder, [spec.image_tmpl.format(spec.first_frame + i) for i in range(count)])
    with torch.inference_mode():
        shown = eval_transform(clip, None, config.frame_size).expand(-1, 3, -1, -1)
        _, assignment = model.represent(shown, torch.tensor([count]))
    return list(clip.permute(0, 2, 3, 1).numpy()), assignment.tolist(), config.cluster


def draw(rows: list[dict[str, str]], num_class: int, picture: Path, video: tuple[list, list[int], str] | None) -> None:
    """Bars of top-1 accuracy and, with `video`, its frames in reading order with a coloured band under each cluster."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(12 if video else 4.5, 4.2), dpi=150, layout="constrained")
    left, *right = figure.subfigures(1, 2, width_ratios=(1, 2)) if video is not None else [figure]
    axis = left.subplots()
    names, accuracies = [row["method"] for row in rows], [float(row["top-1 %"]) for row in rows]
    bars = axis.barh(names[::-1], accuracies[::-1], color=COLOURS[0])
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.axvline(100 / num_class, color="0.5", linestyle=":")
    axis.text(100 / num_class, 1.0, "chance", color="0.4", transform=axis.get_xaxis_transform(), ha="center")
    axis.set(xlim=(0, 112), xlabel="top-1 accuracy on validation videos (%)")
    axis.spines[["top", "right"]].set_visible(False)
    if video is not None:
        frames, assignment, method = video
        columns = max(16, -(-len(frames) // 8))
        rows = -(-len(frames) // columns)
        grid = right[0].subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0, "hspace": 0})
        right[0].suptitle(f"one video: {len(frames)} frames in {max(assignment) + 1} clusters ({method})", fontsize=10)
        for cell in grid.flat:
            cell.axis("off")
        for cell, frame, cluster in zip(grid.flat, frames, assignment, strict=False):
            height, width = frame.shape[:2]
            cell.imshow(frame.squeeze(), cmap="gray", vmin=0, vmax=255, aspect="auto")
            cell.set(xlim=(0, width), ylim=(height * 1.2, 0))
            cell.fill_between([0, width], height, height * 1.14, color=COLOURS[cluster % len(COLOURS)], linewidth=0)
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture)
    except (OSError, ValueError) as error:
        raise cli.InputError(f"--picture {picture} cannot be written: {error}") from None


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.ArgumentParser(prog="compare_runs.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("runs", nargs="+", type=Path, help="log folders, in the order of the table's rows")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw bars of the accuracies (matplotlib)")
    parser.add_argument("--video", type=Path, metavar="FOLDER", help="frame folder to draw beside the bars")
    parser.add_argument("--weights", type=Path, metavar="CKPT", help="checkpoint that cuts --video into clusters")
    args = parser.parse_args(argv)
    if bool(args.video) != bool(args.weights) or (args.video and not args.picture):
        parser.error("--video and --weights go together, and with --picture")
    rows = [summarise(folder) for folder in args.runs]
    print(format_table(rows))
    if args.picture:
        dataset = json.loads((args.runs[0] / "args.json").read_text())["dataset"]
        video = cut_video(args.weights, args.video) if args.video else None
        draw(rows, DATASETS[dataset].num_class, args.picture, video)
        print(f"drew {args.picture}")


if __name__ == "__main__":
    cli.run(main)
