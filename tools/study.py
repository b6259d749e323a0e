"""The studies of docs/: run their cells, check one, and write tables and figures from their logs."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import _path
from tqdm import tqdm

from ops.errors import InputError
from ops.options import cli
from ops.options.types import number
from ops.pictures import video as pictures
from tools.studies import results
from tools.studies.base import Cell, Study
from tools.studies.baselines.plan import Baselines
from tools.studies.baselines.report import write_page as write_baselines
from tools.studies.clusters.plan import Clusters
from tools.studies.clusters.report import write_page as write_clusters
from tools.studies.gestures.plan import Gestures
from tools.studies.gestures.report import write_page as write_gestures
from tools.studies.move4mnist.plan import Move4MNIST
from tools.studies.move4mnist.report import write_page as write_move4mnist
from tools.studies.runner import Job, run_all, run_job

PROGRAM = "python tools/study.py"
EXAMPLE = """examples:
  python tools/study.py plan --quick                  # the commands, without running them
  python tools/study.py run --quick --jobs 2          # goes on where it was interrupted
  python tools/study.py check t128-slope-g16-e4-s0    # runs one cell again: the same figures?
  python tools/study.py report                        # docs/results.md, docs/results.csv and images/
  python tools/study.py run --study gestures --videos videos/egogestar --seeds 0 --jobs 2
  python tools/study.py report --study gestures       # docs/gestures.md, docs/gestures.csv and images/
  python tools/study.py run --study baselines         # docs/baselines.md: the systems of the published tables
"""


class Kind(NamedTuple):
    """A study: its plan, and what writes its page and figures from the tables in a folder's docs/."""

    study: type[Study]
    write_page: Callable[[Path], None]


KINDS = (
    Kind(Move4MNIST, write_move4mnist),
    Kind(Clusters, write_clusters),
    Kind(Gestures, write_gestures),
    Kind(Baselines, write_baselines),
)
STUDIES = {kind.study.name: kind for kind in KINDS}


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="study.py", description=__doc__, epilog=EXAMPLE)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {
        "plan": "print every job's name and commands",
        "run": "run the cells that have not been run",
        "check": "run one cell again and compare",
        "report": "write tables and figures",
    }
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".", epilog=EXAMPLE)
        command.add_argument("--study", choices=STUDIES, default="move4mnist", help="which one (move4mnist)")
        command.add_argument(
            "--root",
            type=Path,
            default=Path("study"),
            metavar="DIR",
            help="where data sets, runs and their output lie (study)",
        )
        if name == "check":
            command.add_argument("cell", help="its name, as `plan` prints it")
        if name == "report":
            command.add_argument(
                "--out", type=Path, default=Path("."), metavar="DIR", help="the folder that holds docs/ and images/ (.)"
            )
            command.add_argument("--from_docs", action="store_true", help="take the figures from docs/, not from logs")
        if name in ("plan", "run"):
            command.add_argument("--quick", action="store_true", help="few cells of one seed, which show the most")
            command.add_argument(
                "--seeds", type=number(int, least=0), nargs="+", metavar="S", help="(the study's; with --quick 0)"
            )
            command.add_argument(
                "--videos",
                type=Path,
                metavar="DIR",
                help="with --study gestures: the folder of EgoGestAR's videos, docs/data.md says how to get them",
            )
        if name == "run":
            command.add_argument(
                "--jobs",
                type=number(int, least=1),
                default=os.cpu_count() or 1,
                metavar="N",
                help="cells at a time, each on one thread (one per core)",
            )
    return parser


def run(study: Study, cells: Sequence[Cell], others: Sequence[Job], at_once: int) -> None:
    """Run what has not been run, and tell how far it has come."""
    jobs = study.jobs(cells)
    by_name = {cell.name: cell for cell in cells}
    for pattern in study.files:
        (study.root / pattern).parent.mkdir(parents=True, exist_ok=True)
    waiting = {job.name for job in (*jobs, *others) if not job.output.exists()}
    with tqdm(total=len(jobs) + len(others), unit="job", dynamic_ncols=True, disable=None) as bar:

        def tell(job: Job) -> None:
            bar.update()
            if job.name in waiting:
                cell = by_name.get(job.name)
                bar.write(f"{job.name}: " + (f"top-1 {results.validation(study, cell)[0]:.1f} %" if cell else "done"))

        run_all(jobs, at_once, tell)
        run_all(others, 1, tell)  # whose times count
    print(f"all {len(cells)} cells are done; `{PROGRAM} report --study {study.name}` writes docs/{study.page}.md")


def check(study: Study, name: str) -> int:
    """Run a cell again from the same data and starting weights; 0 if its figures come out the same."""
    cells = {cell.name: cell for cell in study.choose_cells(study.seeds_run())}
    if name not in cells or not study.output(cells[name]).exists():
        raise InputError(f"there is no cell {name!r} in {study.root} that has been run; `plan` prints the names")
    cell = cells[name]
    with tempfile.TemporaryDirectory() as folder:
        again = replace(study, runs=Path(folder))
        if code := run_job(Job(name, lambda: again.commands(cell), again.output(cell))):
            raise InputError(
                f"{name} ended with exit code {code} this time; {study.root} must hold its data and starting weights"
            )
        found = {"before": results.validation(study, cell), "again": results.validation(again, cell)}
    for when, (top1, loss) in found.items():
        print(f"{when:6}  top-1 {top1:.4f} %  loss {loss:.6f}")
    same = found["before"] == found["again"]
    print("the same" if same else "not the same")
    return 0 if same else 1


def collect(study: Study, out: Path) -> None:
    """Bring what the page is made of from logs into `out`/docs and `out`/images."""
    cells = results.gather(study, study.choose_cells(study.seeds_run()))
    if not cells:
        raise InputError(f"{study.root} holds no cell that has been run; `{PROGRAM} run --study {study.name}` does it")
    (out / "docs").mkdir(parents=True, exist_ok=True)
    results.write_csv(out / "docs" / f"{study.page}.csv", cells)
    for pattern, folder in study.files.items():
        (out / folder).mkdir(parents=True, exist_ok=True)
        for file in study.root.glob(pattern):
            shutil.copy(file, out / folder)


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    kind = STUDIES[args.study]
    if args.command == "report":
        pictures.check(args.out / "images" / "study.png")
        if not args.from_docs:
            collect(kind.study(args.root), args.out)
        kind.write_page(args.out)
        print(f"wrote {args.out / 'docs' / kind.study.page}.md and its figures in {args.out / 'images'}")
        return 0
    if args.command == "check":
        return check(kind.study(args.root), args.cell)
    if args.videos and not kind.study.takes_videos:
        raise InputError(f"--videos {args.videos}: the study {args.study} makes its videos itself; leave it out")
    study = kind.study(args.root, videos=args.videos or (Path("VIDEOS") if args.command == "plan" else None))
    seeds = args.seeds or (study.seeds[:1] if args.quick else study.seeds)
    cells, others = study.choose_cells(seeds, args.quick), [] if args.quick else study.other_jobs(seeds)
    if args.command == "run":
        run(study, cells, others, args.jobs)
    else:
        for job in study.jobs(cells) + others:
            print(f"# {job.name}", *(shlex.join(command) for command in job.commands()), sep="\n")
    return 0


if __name__ == "__main__":
    cli.run(main)
