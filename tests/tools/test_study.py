"""tools/study.py: the plan holds together, runs go on and repeat, the page says what the tables say."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ops.errors import InputError
from ops.evaluation import settings
from ops.evaluation.gradient_agreement import Pair
from ops.evaluation.statistics import mean_and_spread
from ops.options.parsing import parse
from tools.studies.move4mnist import plan, report
from tools.studies.move4mnist.hypotheses import HYPOTHESES, Hypothesis, judge
from tools.studies.move4mnist.plan import Cell, Move4MNIST, choose_cells
from tools.studies.results import Result, differences, over_seeds, read_cost, read_csv, read_pairs_of, write_csv
from tools.studies.runner import Job, run_all

ROOT = Path(__file__).resolve().parents[2]
ALL = choose_cells((0, 1, 2))
EVEN, SLOPE = Cell("t128", "even", 16, 0), Cell("t128", "slope", 16, 0)


def result(top1: float) -> Result:
    return Result(top1, 0.5, 60.0, "2.6.0", "abc", "2 cores", "2026-11-22")


# ---------------------------------------------------------------- the plan


def test_every_cell_stands_once_behind_what_it_needs():
    assert len({cell.name for cell in ALL}) == len(ALL) == 420
    place = {cell: i for i, cell in enumerate(ALL)}
    assert all(cell.needs is None or place[cell.needs] < place[cell] for cell in ALL)
    assert {cell.data for cell in ALL} == {*plan.SETS}


def test_names_say_what_a_cell_is():
    assert SLOPE.name == "t128-slope-g16-e4-s0"
    assert Cell("t128", "slope", 8, 2, after="conv1").name == "t128-slope-g8-e4-conv1-s2"
    assert Cell("t128", "slope", 8, 1, gradient="representative", g_test=16).name == (
        "t128-slope-g8-e4-representative-test16-s1"
    )
    starts = [SLOPE.start.name, SLOPE.start.start.name, SLOPE.start.start.start]
    assert starts == ["medium-random-g16-e6-s0", "easy-random-g16-e7-s0", None]


def test_commands_are_what_the_programs_take():
    study = Move4MNIST(Path("study"))
    for cell in ALL:
        program_name, *words = study.commands(cell)[0][1:]
        if cell.g_test:
            assert program_name == "test_models.py"
            assert [*settings.parser().parse_args(words).test_segments] == [cell.g_test]
        else:
            config, _ = parse(words)
            assert (config.num_segments, config.seed, config.epochs) == (cell.g, cell.seed, cell.epochs)
            assert config.dense_sample == (cell.method == "dense")
            assert config.cluster == ("none" if cell.method in ("uniform", "dense") else cell.method)


def test_quick_is_part_of_the_whole():
    quick = choose_cells((0,), quick=True)
    assert {*quick} < {*ALL} and len(quick) == 2 + 2 * 7


def test_hypotheses_compare_cells_of_the_plan():
    named = {cell for hypothesis in HYPOTHESES for pair in hypothesis.pairs for cell in pair}
    assert named <= {*ALL}


# ---------------------------------------------------------------- figures and verdicts


def test_means_spreads_and_differences():
    found = {replace(SLOPE, seed=seed): result(90 + seed) for seed in range(3)} | {EVEN: result(80)}
    assert over_seeds(found, EVEN) == {0: 80} and over_seeds(found, SLOPE) == {0: 90, 1: 91, 2: 92}
    assert mean_and_spread([90, 91, 92]) == (91, 1) and mean_and_spread([80]) == (80, 0)
    assert differences(found, SLOPE, EVEN) == [10]
    assert report.accuracy(found, SLOPE) == "91.0 ± 1.0" and report.accuracy(found, Cell("t32", "slope", 4, 0)) == "-"


@pytest.mark.parametrize(
    ("slope", "margin", "word", "held"),
    [
        ((90, 90), 0, "held", 2),
        ((90, 70), 0, "mixed", 1),
        ((70, 80), 0, "failed", 0),
        ((79, 78), -3, "held", 2),
        ((), 0, "not run", 0),
    ],
)
def test_verdicts(slope, margin, word, held):
    found = {replace(EVEN, seed=seed): result(80) for seed in range(2)}
    found |= {replace(SLOPE, seed=seed): result(top1) for seed, top1 in enumerate(slope)}
    verdict = judge(Hypothesis("slope beats even", [(SLOPE, EVEN)], margin), found)
    assert (verdict.word, verdict.held) == (word, held)
    assert verdict.differences == [top1 - 80 for top1 in slope]


def test_tables_are_read_as_written(tmp_path):
    found = {SLOPE: result(93.3333), Cell("t128", "slope", 8, 1, g_test=16): result(50)}
    write_csv(tmp_path / "results.csv", found)
    assert read_csv(tmp_path / "results.csv", Move4MNIST) == found


def test_the_page_is_made_of_the_tables_beside_it():
    docs = ROOT / "docs"
    pairs, cost = read_pairs_of(docs / "gradients"), read_cost(docs / "cost.json")
    page = report.write(read_csv(docs / "results.csv", Move4MNIST), pairs, cost)
    assert page == (docs / "results.md").read_text(), "run `python tools/study.py report --from_docs`"
    for picture in re.findall(r"\((\.\./images/.*?)\)", page):
        assert (docs / picture).is_file()


def test_the_readme_repeats_rows_of_the_page():
    part = (ROOT / "README.md").read_text().split("\n## Results\n")[1].split("\n##")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")]
    assert len(rows) > 5 and {*rows} <= {*(ROOT / "docs/results.md").read_text().splitlines()}


def test_correlations_are_means_over_seeds():
    def pairs(angles):
        return [
            Pair("v", i, i + 1, kind, i / 10, i / 10, i / 10, angle, angle)
            for kind in ("neighbour", "random")
            for i, angle in enumerate(angles)
        ]

    page = report.agreement({("trained", 0): pairs([1, 2, 3]), ("trained", 1): pairs([1, 3, 2])})
    assert "| Hamming distance of signs | 0.75 ± 0.35 | 0.75 ± 0.35 |" in page and "12\npairs" in page


# ---------------------------------------------------------------- running


def job(folder: Path, name: str, code: str, *needs: str) -> Job:
    return Job(name, lambda: [["python", "-c", code]], folder / f"{name}.txt", needs)


def test_jobs_wait_for_what_they_need_and_are_not_run_twice(tmp_path):
    order: list[str] = []
    jobs = [
        job(tmp_path, "b", f"print(open({str(tmp_path / 'a.txt')!r}).read())", "a"),
        job(tmp_path, "a", "print(7)"),
        job(tmp_path, "c", "raise SystemExit(3)"),
    ]
    (tmp_path / "c.txt").write_text("done before")
    run_all(jobs, 2, lambda done: order.append(done.name))
    assert order == ["c", "a", "b"] and (tmp_path / "b.txt").read_text().strip() == "7"
    run_all([job(tmp_path, "a", "raise SystemExit(3)")], 1, lambda done: None)


def test_a_job_that_fails_is_named_with_its_last_line_and_runs_again(tmp_path):
    with pytest.raises(InputError, match="x ended with exit code 3: no luck"):
        run_all([job(tmp_path, "x", "print('no luck'); raise SystemExit(3)")], 1, lambda done: None)
    assert not (tmp_path / "x.txt").exists()
    run_all([job(tmp_path, "x", "print('luck')")], 1, lambda done: None)
    assert (tmp_path / "x.txt").read_text() == "luck\n"


def test_from_data_to_page(run_program, tmp_path, monkeypatch):
    """One cell and a test of it, with small data: run, go on, check, report."""
    trained = Cell("easy", "slope", 4, 7, 1)
    cells = [trained, replace(trained, g_test=8)]
    monkeypatch.setattr(plan, "SETS", plan.SETS | {"easy": (8, 4, "--preset easy")})
    monkeypatch.setattr(Move4MNIST, "choose_cells", lambda study, seeds, quick=False: cells if 7 in seeds else [])
    monkeypatch.setattr(Move4MNIST, "other_commands", lambda study, seeds: {})
    for name in ("main.py", "test_models.py", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    ran = run_program("tools/study.py", "run", "--seeds", "7", "--jobs", "1")
    assert ran.code == 0, ran
    assert "easy-slope-g4-e1-s7: top-1 " in ran.out and ran.out.endswith("writes docs/results.md\n")
    again = run_program("tools/study.py", "run", "--seeds", "7")
    assert again.code == 0 and "top-1" not in again.out
    checked = run_program("tools/study.py", "check", trained.name)
    assert checked.code == 0 and checked.out.endswith("the same\n")
    (tmp_path / "study/pictures/clusters_up.png").write_text("a picture")
    out = tmp_path / "elsewhere"
    assert run_program("tools/study.py", "report", "--out", out).code == 0
    assert {*read_csv(out / "docs/results.csv", Move4MNIST)} == {*cells}
    assert (out / "images/sparsity.png").stat().st_size > 10_000
    assert (out / "images/clusters_up.png").read_text() == "a picture"
    assert "2 cells on Move4MNIST" in (out / "docs/results.md").read_text()


def test_the_plan_is_printed_as_commands(run_program):
    ran = run_program("tools/study.py", "plan", "--quick", "--seeds", "5")
    lines = ran.out.splitlines()
    assert ran.code == 0 and sum(line.startswith("# ") for line in lines) == 16 + 4
    assert all(line.split()[0] in ("#", "python", "rm") for line in lines)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("check nonsense", "there is no cell 'nonsense' in study that has been run"),
        ("report", "study holds no cell that has been run"),
        ("report --from_docs", "docs/results.csv"),
    ],
)
def test_what_is_not_there_is_named(run_program, words, error):
    assert error in run_program("tools/study.py", *words.split()).error
