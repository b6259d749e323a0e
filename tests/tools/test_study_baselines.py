"""tools/study.py --study baselines: its plan, and its page."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from ops.options.parsing import parse
from tools.studies.baselines.hypotheses import HYPOTHESES
from tools.studies.baselines.plan import SYSTEMS, BaselineResult, Baselines, Cell
from tools.studies.baselines.report import write
from tools.studies.results import read_csv, write_csv

STUDY = Baselines(Path("study"))
ALL = STUDY.choose_cells((0, 1, 2))


def test_every_cell_stands_once_behind_what_it_needs():
    assert len({cell.name for cell in ALL}) == len(ALL) == 249
    place = {cell: i for i, cell in enumerate(ALL)}
    assert all(cell.needs is None or place[cell.needs] < place[cell] for cell in ALL)
    assert {cell.system for cell in ALL} == {*SYSTEMS}
    assert len(STUDY.choose_cells((0,), quick=True)) == 8


def line_of(system, cut):
    cells = [Cell("t128", system, cut, 1)]
    while cells[-1].needs:
        cells.append(cells[-1].needs)
    return [cell.name for cell in cells[1:]]


@pytest.mark.parametrize(
    ("system", "cut", "line"),
    [
        ("trn", "none", ["medium-trn-none-s1", "easy-trn-none-s1"]),
        ("stm", "slope", ["medium-stm-random-s1", "easy-stm-random-s1"]),
        ("actionvlad", "none", ["medium-actionvlad-none-s1", "medium-tsm-none-s1", "easy-tsm-none-s1"]),
        ("videograph", "slope", ["medium-tsm-random-s1", "easy-tsm-random-s1"]),
    ],
)
def test_each_system_goes_its_own_way(system, cut, line):
    assert line_of(system, cut) == line


def test_commands_are_what_the_program_takes():
    for cell in STUDY.choose_cells((2,)):
        config, _ = parse(STUDY.commands(cell)[0][2:])
        assert (config.cluster, config.seed, config.num_segments) == (cell.cut, 2, 16)
        assert bool(config.tune_from) == (cell.needs is not None)
        assert config.npb and config.epochs == {"easy": 7, "medium": 6, "t128": 4}[cell.data]


def test_hypotheses_compare_cells_of_the_plan():
    assert {cell for hypothesis in HYPOTHESES for pair in hypothesis.pairs for cell in pair} <= {*ALL}


def test_from_cells_to_the_page(tmp_path):
    slope, sampled = Cell("t128", "tsm", "slope", 0), Cell("t128", "tsm", "none", 0)
    found = {
        replace(cell, seed=seed): BaselineResult(
            top1 + seed, 0.5, 60.0, "2.6.0", "abc", "2 cores", "2026-11-26", 175_168
        )
        for cell, top1 in ((slope, 80.0), (sampled, 40.0))
        for seed in (0, 1)
    }
    write_csv(tmp_path / "table.csv", found)
    assert read_csv(tmp_path / "table.csv", Baselines) == found
    page = write(found)
    assert "| TSM | 175,168 | 16 | - | 40.5 ± 0.7 | - | 80.5 ± 0.7 |" in page
    assert "| DI, temporal maximum | - | 16 windows of 10 |" in page and "**held** | +40.0 (+40.0 to +40.0)" in page


def test_the_page_is_made_of_the_table_beside_it():
    docs = ROOT / "docs"
    page = write(read_csv(docs / "baselines_table.csv", Baselines))
    assert page == (docs / "baselines_table.md").read_text(), "run `python tools/study.py report --from_docs`"
