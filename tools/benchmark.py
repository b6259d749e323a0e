"""Measure speed on this machine: `python tools/benchmark.py clustering` (see --help)."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import _path
import torch

from ops.files import check_writable, write_whole
from ops.options import cli
from tools.benchmarks import Row
from tools.benchmarks.clustering import CLUSTERING
from tools.benchmarks.live import LIVE
from tools.benchmarks.loader import LOADER
from tools.benchmarks.memory import MEMORY
from tools.benchmarks.step import STEP

BENCHMARKS = {"clustering": CLUSTERING, "step": STEP, "memory": MEMORY, "loader": LOADER, "live": LIVE}


def build_parser() -> cli.ArgumentParser:
    def epilog(lines: Sequence[str]) -> str:
        return "example:\n" + "".join(f"  python tools/benchmark.py {line}\n" for line in lines)

    parser = cli.ArgumentParser(
        description="Measure speed on this machine, one table a command.",
        epilog=epilog([benchmark.examples[0] for benchmark in BENCHMARKS.values()]),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, benchmark in BENCHMARKS.items():
        command = commands.add_parser(
            name, help=benchmark.purpose.split(",")[0], description=benchmark.purpose, epilog=epilog(benchmark.examples)
        )
        benchmark.add_options(command)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the table, unrounded, into FILE, too")
        command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (cpu)")
    return parser


def format_table(rows: list[Row]) -> str:
    """The rows as a Markdown table with aligned columns; numbers to three digits."""
    texts = [
        [
            value if isinstance(value, str) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            for value in row.values()
        ]
        for row in rows
    ]
    lines = [list(rows[0]), *texts]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    right = [not isinstance(value, str) for value in rows[0].values()]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, right, strict=True)
        )
        + " |"
        for line in lines
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark, print its table and, if asked to, keep it."""
    args = build_parser().parse_args(argv)
    if args.json:
        check_writable(args.json, "--json")
    rows = BENCHMARKS[args.command].run(args)
    on = f"torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads"
    print(f"{format_table(rows)}\n{on}, {time.strftime('%Y-%m-%d')}")
    if args.json:
        text = json.dumps({"command": args.command, "on": on, "rows": rows}, indent=1) + "\n"
        write_whole(args.json, text.encode())
    return 0


if __name__ == "__main__":
    cli.run(main)
