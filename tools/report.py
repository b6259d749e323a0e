"""Write one HTML page on finished runs: curves, accuracy per class, confusions, and the videos behind them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _path
from tqdm import tqdm

from ops.errors import InputError
from ops.evaluation.report import Source, complete, gather, read_source, short_names
from ops.evaluation.report_strips import Cutter, make_strips, with_cutter
from ops.evaluation.result_files import in_order_of
from ops.files import check_apart, check_writable, write_whole
from ops.options import cli
from ops.options.parsing import add_options
from ops.options.types import number
from ops.pictures.report_page import fill_page
from ops.pictures.text import counted
from ops.training.devices import pick_device

EXAMPLE = """examples:
  # runs that were trained with --scores FILE.npz: curves, confusions and videos
  python tools/report.py log/TSM_movingmnist_* --out report.html
  # a run and what test_models.py --scores has written of it
  python tools/report.py log/NAME=scores.npz --out report.html
  # scores alone; the checkpoint tells how the videos are cut
  python tools/report.py slope.npz tsm.npz --weights slope.pth.tar tsm.pth.tar --data data/mine --out report.html

The page needs no network and no server: it is one file, which may be sent. Frames of the videos come from the data set
of the runs, clusters from their best checkpoints, if these are there; the page says what was missing.
"""
LARGE = 20_000_000  # bytes of a page that is slow to open


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="report.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="LOG_OR_SCORES",
        help="log folders, files of scores, or LOG=SCORES.npz for both of one run, in the order of the page",
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE.html", help="(report.html)")
    parser.add_argument("--title", default="Report", metavar="TEXT", help="of the page")
    parser.add_argument("--names", nargs="+", metavar="TEXT", help="of the runs (what tells their folders apart)")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="the data set's folder (where the runs were trained on it)"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        type=Path,
        metavar="CKPT",
        help="a checkpoint for each run, which cuts its videos into clusters (the best one of each log folder's run)",
    )
    parser.add_argument(
        "--category_file", type=Path, metavar="FILE", help="class names (those of the checkpoints or the data set)"
    )
    parser.add_argument(
        "--strips",
        type=number(int, least=0),
        default=200,
        metavar="N",
        help="videos that are shown with frames and clusters, the most wrong ones of each cell first (200)",
    )
    parser.add_argument("--no_clusters", action="store_true", help="frames only, which needs no checkpoint")
    add_options(parser, ["device"], default=None)
    add_options(parser, ["trust_checkpoint"], default=False)
    return parser


def read_sources(args) -> list[Source]:
    """The runs as they were given; InputError where names or checkpoints are not one for each."""
    sources = [read_source(text) for text in args.runs]
    check_one_each(sources)
    for flag, values in (("--names", args.names), ("--weights", args.weights)):
        if values and len(values) != len(sources):
            raise InputError(f"{flag} has {len(values)} values for {counted(len(sources), 'run')}; give one for each")
    names = args.names or short_names([source.name for source in sources])
    sources = [replace(source, name=name) for source, name in zip(sources, names, strict=True)]
    if args.weights:
        sources = [replace(source, weights=file) for source, file in zip(sources, args.weights, strict=True)]
    return sources


def check_one_each(sources: Sequence[Source]) -> None:
    """InputError where two runs have the same file of scores, which one of them has written over."""
    seen: dict[Path, Path] = {}
    for source in sources:
        if source.folder and source.scored:
            other = seen.setdefault(source.scored.file.resolve(), source.folder)
            if other.resolve() != source.folder.resolve():
                raise InputError(
                    f"{other} and {source.folder} have one file of scores, {source.scored.file}, which is of the later"
                    " one; give each its own as LOG=FILE.npz"
                )


def draw_strips(
    told: dict, sources: Sequence[Source], cutters: Sequence[Cutter | None], strips: int, clusters: bool
) -> None:
    """Put frames and, if wanted, clusters of the most wrong videos into what is told of each set of runs."""
    for place in told["sets"]:
        members = place["runs"]
        first = sources[members[0]].scored
        own = [replace(sources[run], scored=in_order_of(first, sources[run].scored)) for run in members]
        with tqdm(total=min(strips, len(first.names)), desc="videos", leave=False, disable=None) as bar:
            found = make_strips(own, strips, [cutters[run] for run in members], bar.update)
        place["strips"], place["note"] = found
        if lacking := [
            sources[run].name for run in members if clusters and place["strips"] and not sources[run].weights
        ]:
            place["note"] += (
                f" No clusters of {', '.join(lacking)}, as no checkpoint was found; name it with --weights."
            )


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    check_writable(args.out, "--out")
    if args.data and not args.data.is_dir():
        raise InputError(f"--data {args.data} is no folder; give a data set's, with its lists")
    given = [file for text in args.runs for file in (text, text.rpartition("=")[2])]
    check_apart(args.out, "--out", [*given, *(args.weights or []), *filter(None, [args.category_file])])
    sources, device = read_sources(args), pick_device(args.device)
    cutters: list[Cutter | None] = [None] * len(sources)
    if args.strips and not args.no_clusters:
        pairs = [with_cutter(source, device, args.trust_checkpoint) for source in sources]
        sources, cutters = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    sources = complete(sources, args.data, args.category_file)
    told = gather(sources)
    draw_strips(told, sources, cutters, args.strips, not args.no_clusters)
    page = fill_page(told, args.title)
    write_whole(args.out, page)
    scored = sum(source.scored is not None for source in sources)
    print(f"{counted(len(sources), 'run')}, {scored} with scores, {counted(len(told['sets']), 'set')} of videos")
    for place in told["sets"]:
        if place["note"]:
            print(place["note"].strip())
    if len(page) > LARGE:
        print(f"the page has {len(page) / 1e6:.0f} MB and will open slowly; take a smaller --strips than {args.strips}")
    print(f"wrote {args.out} ({len(page) / 1e6:.1f} MB)")


if __name__ == "__main__":
    cli.run(main)
