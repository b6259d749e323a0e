"""The study of docs/results.md: run its cells, check one, and write tables and figures from their logs."""
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import os  # noqa: E402
import shlex  # noqa: E402
import tempfile  # noqa: E402
from functools import partial  # noqa: E402

from tqdm import tqdm  # noqa: E402

from ops import cli  # noqa: E402
from ops.flags import number  # noqa: E402
from tools.studies.plan import Cell, Study, choose_cells  # noqa: E402
from tools.studies.results import validation  # noqa: E402
from tools.studies.runner import Job, run_all, run_job  # noqa: E402

EXAMPLE = """examples:
  python tools/study.py plan --quick                  # the commands, without running them
  python tools/study.py run --quick --jobs 2          # goes on where it was interrupted
  python tools/study.py check t128-slope-g16-e4-s0    # runs one cell again: the same number?
  python tools/study.py report                        # docs/results.md, docs/results.csv and images/
"""


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="study.py", description=__doc__, epilog=EXAMPLE)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    helps = {"plan": "print every cell's name and command", "run": "run the cells that have not been run",
             "check": "run one cell again and compare", "report": "write tables and figures"}  # fmt: skip
    for name, text in helps.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".", epilog=EXAMPLE)
        command.add_argument("--root", type=Path, default=Path("study"), metavar="DIR",
                             help="where data sets, runs and their output lie (study)")  # fmt: skip
        if name == "check":
            command.add_argument("cell", help="its name, as `plan` prints it")
        if name == "report":
            command.add_argument("--out", type=Path, default=Path("."), metavar="DIR",
                                 help="the folder that holds docs/ and images/ (.)")  # fmt: skip
            command.add_argument("--from_csv", action="store_true", help="take docs/results.csv, not logs")
        if name in ("plan", "run"):
            command.add_argument("--quick", action="store_true", help="16 representations of 32 and 128 frames only")
            command.add_argument("--seeds", type=number(int, least=0), nargs="+", metavar="S", help="(0 1 2; with "
                                 "--quick 0)")  # fmt: skip
        if name == "run":
            command.add_argument("--jobs", type=number(int, least=1), default=os.cpu_count() or 1, metavar="N",
                                 help="cells at a time, each on one thread (one a core)")  # fmt: skip
    return parser


def make_jobs(study: Study, cells: list[Cell]) -> list[Job]:
    """A job for each cell, and for each data set before the first cell that reads it."""
    jobs: dict[str, Job] = {}
    for cell in cells:
        data = f"data-{cell.data}-s{cell.seed}"
        jobs.setdefault(data, Job(data, partial(study.make_data, cell.data, cell.seed),
                                  study.root / "output" / f"{data}.txt"))  # fmt: skip
        needs = (data, cell.needs.name) if cell.needs else (data,)
        jobs[cell.name] = Job(cell.name, lambda cell=cell: [study.command(cell)], study.output(cell), needs)
    return list(jobs.values())


def run(study: Study, cells: list[Cell], at_once: int) -> None:
    jobs = make_jobs(study, cells)
    by_name = {cell.name: cell for cell in cells}
    with tqdm(total=len(jobs), unit="job", dynamic_ncols=True, disable=None) as bar:
        waiting = [job for job in jobs if not job.output.exists()]
        bar.update(len(jobs) - len(waiting))

        def tell(job: Job) -> None:
            if job in waiting:
                bar.update()
                result = f"top-1 {validation(study, by_name[job.name])[0]:.1f} %" if job.name in by_name else "made"
                bar.write(f"{job.name}: {result}")

        run_all(jobs, at_once, tell)
    print(f"all {len(cells)} cells are done; `python tools/study.py report` writes docs/results.md")


def check(study: Study, name: str) -> int:
    """Run a cell again from the same data and starting weights; 0 if its figures come out the same."""
    cells = {cell.name: cell for cell in choose_cells(range(100))}
    if name not in cells or not study.output(cells[name]).exists():
        raise cli.InputError(f"there is no cell {name!r} in {study.root} that has been run; `plan` prints the names")
    cell = cells[name]
    with tempfile.TemporaryDirectory() as folder:
        again = Study(study.root, runs=Path(folder))
        job = Job(name, lambda: [again.command(cell)], again.output(cell))
        if code := run_job(job):
            raise cli.InputError(f"{name} ended with exit code {code} this time")
        figures = {"before": validation(study, cell), "again": validation(again, cell)}
    for when, (top1, loss) in figures.items():
        print(f"{when:6} top-1 {top1:.4f} %  loss {loss:.6f}")
    same = figures["before"] == figures["again"]
    print("the same" if same else "not the same")
    return 0 if same else 1


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    study = Study(args.root)
    if args.command == "check":
        return check(study, args.cell)
    if args.command == "report":
        raise NotImplementedError
    cells = choose_cells(args.seeds or ((0,) if args.quick else (0, 1, 2)), args.quick)
    if args.command == "run":
        run(study, cells, args.jobs)
    else:
        for job in make_jobs(study, cells):
            print(f"# {job.name}", *(shlex.join(command) for command in job.commands()), sep="\n")
    return 0


if __name__ == "__main__":
    cli.run(main)
