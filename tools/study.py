"""The study of docs/results.md: run its cells, check one, and write tables and figures from their logs."""

import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import _path
from tqdm import tqdm

from ops.errors import InputError
from ops.files import write_whole
from ops.options import cli
from ops.options.types import number
from ops.pictures import video as pictures
from tools.studies import figures, report, results
from tools.studies.plan import COST, NETS, Cell, Study, choose_cells
from tools.studies.runner import Job, run_all, run_job

EXAMPLE = """examples:
  python tools/study.py plan --quick                  # the commands, without running them
  python tools/study.py run --quick --jobs 2          # goes on where it was interrupted
  python tools/study.py check t128-slope-g16-e4-s0    # runs one cell again: the same figures?
  python tools/study.py report                        # docs/results.md, docs/results.csv and images/
"""
SEEDS = (0, 1, 2)


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
            command.add_argument("--quick", action="store_true", help="16 representations of 32 and 128 frames only")
            command.add_argument(
                "--seeds", type=number(int, least=0), nargs="+", metavar="S", help="(0 1 2; with --quick 0)"
            )
        if name == "run":
            command.add_argument(
                "--jobs",
                type=number(int, least=1),
                default=os.cpu_count() or 1,
                metavar="N",
                help="cells at a time, each on one thread (one a core)",
            )
    return parser


def make_jobs(study: Study, cells: list[Cell]) -> list[Job]:
    """A job for each cell, and for each data set before the first cell that reads it."""
    jobs: dict[str, Job] = {}
    for cell in cells:
        data = f"data-{cell.data}-s{cell.seed}"
        make = partial(study.make_data, cell.data, cell.seed)
        jobs.setdefault(data, Job(data, make, study.root / "output" / f"{data}.txt"))
        needs = (data, cell.needs.name) if cell.needs else (data,)
        jobs[cell.name] = Job(cell.name, lambda cell=cell: [study.command(cell)], study.output(cell), needs)
    return list(jobs.values())


def make_other_jobs(study: Study, seeds: Sequence[int]) -> list[Job]:
    """Jobs that give something else than accuracy: how gradients agree, what a step costs, pictures of clusters."""
    commands = {f"gradients-{net}-s{seed}": [study.agreement(net, seed)] for net in NETS for seed in seeds}
    commands["cost"] = [["python", "tools/benchmark.py", *COST.split(), "--json", str(study.root / "cost.json")]]
    commands["pictures"] = study.pictures(seeds[0])
    return [
        Job(name, lambda commands=commands: commands, study.root / "output" / f"{name}.txt")
        for name, commands in commands.items()
    ]


def run(study: Study, cells: list[Cell], others: list[Job], at_once: int) -> None:
    """Run what has not been run, and tell how far it has come."""
    jobs = make_jobs(study, cells)
    by_name = {cell.name: cell for cell in cells}
    (study.root / "gradients").mkdir(parents=True, exist_ok=True)
    waiting = {job.name for job in (*jobs, *others) if not job.output.exists()}
    with tqdm(total=len(jobs) + len(others), unit="job", dynamic_ncols=True, disable=None) as bar:

        def tell(job: Job) -> None:
            bar.update()
            if job.name in waiting:
                cell = by_name.get(job.name)
                bar.write(f"{job.name}: " + (f"top-1 {results.validation(study, cell)[0]:.1f} %" if cell else "done"))

        run_all(jobs, at_once, tell)
        run_all(others, 1, tell)  # whose times count
    print(f"all {len(cells)} cells are done; `python tools/study.py report` writes docs/results.md")


def check(study: Study, name: str) -> int:
    """Run a cell again from the same data and starting weights; 0 if its figures come out the same."""
    cells = {cell.name: cell for cell in choose_cells(study.seeds())}
    if name not in cells or not study.output(cells[name]).exists():
        raise InputError(f"there is no cell {name!r} in {study.root} that has been run; `plan` prints the names")
    cell = cells[name]
    with tempfile.TemporaryDirectory() as folder:
        again = Study(study.root, runs=Path(folder))
        if code := run_job(Job(name, lambda: [again.command(cell)], again.output(cell))):
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
    docs = out / "docs"
    cells = results.gather(study, choose_cells(study.seeds()))
    if not cells:
        raise InputError(f"{study.root} holds no cell that has been run; `python tools/study.py run` does it")
    docs.mkdir(parents=True, exist_ok=True)
    results.write_csv(docs / "results.csv", cells)
    places = {"gradients/*.csv": docs / "gradients", "cost.json": docs, "pictures/clusters_*.png": out / "images"}
    for pattern, folder in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        for file in study.root.glob(pattern):
            shutil.copy(file, folder)


def write_report(out: Path) -> None:
    """The page and its figures from the tables in `out`/docs."""
    docs, images = out / "docs", out / "images"
    cells = results.read_csv(docs / "results.csv")
    pairs, cost = results.read_pairs_of(docs / "gradients"), results.read_cost(docs / "cost.json")
    write_whole(docs / "results.md", report.write(cells, pairs, cost).encode())
    figures.draw_sparsity(cells, images / "sparsity.png")
    figures.draw_emptiness(cells, images / "emptiness.png")
    if pairs:
        figures.draw_agreement(pairs, images / "gradient_agreement.png")
    if cost:
        figures.draw_cost(cost, images / "cost.png")
    print(f"wrote {docs / 'results.md'} and its figures in {images}")


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "report":
        pictures.check(args.out / "images" / "sparsity.png")
        if not args.from_docs:
            collect(Study(args.root), args.out)
        write_report(args.out)
        return 0
    study = Study(args.root)
    if args.command == "check":
        return check(study, args.cell)
    seeds = args.seeds or (SEEDS[:1] if args.quick else SEEDS)
    cells, others = choose_cells(seeds, args.quick), [] if args.quick else make_other_jobs(study, seeds)
    if args.command == "run":
        run(study, cells, others, args.jobs)
    else:
        for job in make_jobs(study, cells) + others:
            print(f"# {job.name}", *(shlex.join(command) for command in job.commands()), sep="\n")
    return 0


if __name__ == "__main__":
    cli.run(main)
