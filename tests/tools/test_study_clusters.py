"""tools/study.py --study clusters: its plan and its page."""

from dataclasses import replace
from pathlib import Path

from conftest import ROOT

from ops.options.parsing import parse
from tools.studies.clusters.plan import Clusters
from tools.studies.clusters.report import write
from tools.studies.move4mnist.plan import Cell
from tools.studies.results import Result, read_csv

STUDY = Clusters(Path("study"))
EVEN, SLOPE = Cell("t128", "even", 32, 0), Cell("t128", "slope", 32, 0)


def result(top1: float) -> Result:
    return Result(top1, 0.5, 60.0, "2.6.0", "abc", "2 cores", "2026-11-26")


def test_starting_weights_come_before_what_tunes_them():
    cells = STUDY.choose_cells((0, 1))
    assert [cell.name for cell in cells[:4]] == [
        "easy-random-g16-e7-s0",
        "medium-random-g16-e6-s0",
        "t128-uniform-g16-e4-s0",
        "t128-even-g16-e4-s0",
    ]
    assert len(cells) == len({*cells}) == 2 * (2 + 2 * 3 * 4 + 2 * 6)
    assert len(STUDY.choose_cells((0,), quick=True)) == 2 + 2 * 4 + 2 * 6


def test_commands_are_what_the_program_takes():
    config, _ = parse(STUDY.commands(Cell("t128", "slope-euclidean", 32, 1))[0][2:])
    assert (config.cluster, config.distance, config.num_segments, config.seed) == ("slope", "euclidean", 32, 1)


def test_the_page_compares_with_even_cuts_of_the_same_seed():
    results = {
        EVEN: result(70),
        SLOPE: result(72),
        replace(EVEN, seed=1): result(80),
        replace(SLOPE, seed=1): result(90),
    }
    rows = [line for line in write(results).splitlines() if line.startswith("| slope |")]
    assert rows[0] == "| slope | - | 81.0 ± 12.7 | - | - | +6.0 (+2.0 to +10.0) | - |"


def test_the_page_is_made_of_the_table_beside_it():
    page = write(read_csv(ROOT / "docs/clusters.csv", Clusters))
    assert page == (ROOT / "docs/clusters.md").read_text(), (
        "run `python tools/study.py report --study clusters --from_docs`"
    )
