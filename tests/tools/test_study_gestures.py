"""tools/study.py --study gestures: its plan, comparisons video by video, held frames, and from videos to the page."""

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from videos import make_video

from ops.evaluation import settings
from ops.options.parsing import parse
from tools.studies.gestures import plan
from tools.studies.gestures.cuts import METHODS
from tools.studies.gestures.hold_frames import hold, hold_list
from tools.studies.gestures.hypotheses import HYPOTHESES, Hypothesis, judge
from tools.studies.gestures.pairing import difference, score
from tools.studies.gestures.plan import Cell, GestureResult, Gestures
from tools.studies.gestures.report import Cuts, covering_half, write
from tools.studies.results import read_csv, write_csv

STUDY = Gestures(Path("study"), videos=Path("videos"))
ALL = STUDY.choose_cells((0, 1))
UNIFORM, SLOPE = Cell("gestures", "uniform", 16, 0, 0), Cell("gestures", "slope", 16, 0, 0)


def result(hits: str) -> GestureResult:
    right = hits.count("x")
    where = ("2.6.0", "abc", "2 cores", "2026-11-26")
    return GestureResult(100 * right / len(hits), 0.5, 60.0, *where, right, len(hits), 90.0, 2560, hits)


# ---------------------------------------------------------------- the plan


def test_what_matters_most_comes_first():
    assert len(ALL) == len({cell.name for cell in ALL}) == 2 * 4 * 80
    assert [cell.name for cell in ALL[:6]] == [
        "gestures-uniform-g16-e25-f0-s0",
        "gestures-cumulative-g16-e25-f0-s0",
        "gestures-cumulative-g16-e25-keep0.5-f0-s0",
        "gestures-slope-g16-e25-f0-s0",
        "gestures-even-g16-e25-f0-s0",
        "gestures-uniform-g16-e25-f1-s0",
    ]
    assert STUDY.choose_cells((0,), quick=True) == ALL[:20]
    assert [cell.seed for cell in ALL] == [0] * 320 + [1] * 320


def test_commands_are_what_the_programs_take():
    for cell in STUDY.choose_cells((1,)):
        if cell.fold == 1:
            train, test = STUDY.commands(cell)
            config, _ = parse(train[2:])
            assert (config.num_segments, config.seed, config.epochs) == (cell.g, 1, cell.epochs), cell
            assert (config.frame_keep, config.no_flip, config.val_list) == (
                cell.keep,
                True,
                "val_fold1_videofolder.txt",
            )
            tested = settings.parse(test[2:])
            assert tested.weights == (f"study/checkpoint/{config.store_name}/ckpt.best.pth.tar",)
            assert str(tested.scores) == f"study/output/{cell.name}.npz"


def test_weights_for_frames_are_trained_on_move4mnist_first():
    cell = Cell("rgb", "uniform", 16, 0, 1)
    assert [job.name for job in STUDY.jobs([cell])] == ["data-gestures", "data-rgb-s1", cell.name]
    made = STUDY.make_data("rgb-s1")
    trained = [parse(command[2:])[0] for command in made if command[1] == "main.py"]
    assert [(config.root.name, config.cluster, config.seed) for config in trained] == [
        ("easy", "random", 1),
        ("medium", "random", 1),
    ]
    config, _ = parse(STUDY.commands(cell)[0][2:])
    assert config.modality == "RGB" and config.root == Path("study/data/gestures")
    assert config.tune_from == f"study/data/rgb-s1/{trained[1].store_name}/ckpt.best.pth.tar"
    assert trained[1].tune_from == f"study/data/rgb-s1/{trained[0].store_name}/ckpt.best.pth.tar"


def test_hypotheses_compare_cells_of_the_plan():
    assert {cell for hypothesis in HYPOTHESES for pair in hypothesis.pairs for cell in pair} <= {*ALL}


def test_the_same_videos_are_asked_for_by_name(run_program):
    ran = run_program("tools/study.py", "run", "--study", "gestures", "--quick", "--jobs", "1")
    assert ran.error.startswith(
        "the gestures are made of your own copy of EgoGestAR's videos: give its folder with --v"
    )
    assert (
        "--videos here: the study move4mnist makes its videos"
        in run_program("tools/study.py", "plan", "--videos", "here").error
    )
    lines = run_program("tools/study.py", "plan", "--study", "gestures", "--quick").out.splitlines()
    assert sum(line.startswith("# ") for line in lines) == 21
    assert lines[1] == "python tools/extract_frames.py VIDEOS study/data/gestures-frames --short_side 48 -j 1"


# ---------------------------------------------------------------- held frames


def test_ends_are_held_before_and_behind():
    frames = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    found = {tuple(hold(frames, 3, np.random.default_rng(seed)).ravel().tolist()) for seed in range(50)}
    assert found == {(*[0] * before, 0, 1, 2, *[2] * (6 - before)) for before in range(7)}
    assert hold_list("a b/c 3 7\n", 4) == "a b/c 12 7\n"


# ---------------------------------------------------------------- video by video


def test_accuracies_and_differences_are_over_videos_of_folds_and_seeds():
    results = {
        UNIFORM: result("xx.."),
        replace(UNIFORM, fold=2): result("x."),
        replace(UNIFORM, seed=1): result("x..."),
        SLOPE: result("xxx."),
        replace(SLOPE, fold=1): result("...."),
    }
    assert score(results, UNIFORM).percent == pytest.approx(250 / 6) and score(results, UNIFORM).videos == 6
    assert score(results, UNIFORM).seeds == 2
    assert score(results, replace(UNIFORM, g=4)) is None
    found = difference(results, SLOPE, UNIFORM)  # fold 0, seed 0 alone was run with both
    assert (found.points, found.p, found.videos) == (25, (1.0,), 4)
    assert found.interval.low == 0 and found.interval.high == 75
    assert difference(results, SLOPE, replace(UNIFORM, g=4)) is None


@pytest.mark.parametrize(
    ("hits", "low", "high", "word"),
    [
        ("x" * 40, 5, 200, "held"),
        ("x" * 40, -5, 5, "failed"),
        ("x" * 20 + "." * 20, -5, 5, "held"),
        ("x" * 20 + "." * 20, 0, 5, "open"),  # no difference is none of being better
        ("x" * 21 + "." * 19, -200, 2, "open"),
        ("", 0, 5, "not run"),
    ],
)
def test_verdicts(hits, low, high, word):
    results = {UNIFORM: result("x" * 20 + "." * 20)} | ({SLOPE: result(hits)} if hits else {})
    assert judge(Hypothesis("", [(SLOPE, UNIFORM)], low, high), results).word == word


def test_a_hypothesis_is_open_while_cells_are_missing():
    results = {UNIFORM: result("." * 40), SLOPE: result("x" * 40)}
    pairs = [(SLOPE, UNIFORM), (replace(SLOPE, g=8), UNIFORM)]
    assert judge(Hypothesis("", pairs[:1]), results).word == "held"
    assert judge(Hypothesis("", pairs), results).word == "open"


def test_tables_are_read_as_written(tmp_path):
    found = {UNIFORM: result("xx.."), replace(SLOPE, keep=0.5, extra="mixup"): result("....")}
    write_csv(tmp_path / "gestures.csv", found)
    assert read_csv(tmp_path / "gestures.csv", Gestures) == found


def test_half_of_the_frames():
    assert [covering_half(np.array(sizes)) for sizes in ([1, 1, 8], [2, 2, 2, 2], [1, 1, 1])] == [1, 2, 2]


def test_the_page_tells_of_cells_that_were_run():
    page = write({UNIFORM: result("x" * 57), SLOPE: result("x" * 30 + "." * 27)}, None)
    assert "| uniform | sampled | 100.0 (57 videos) |" in page and page.count("Not run yet.") == 7
    row = next(line for line in page.splitlines() if line.startswith("| slope | all |"))
    assert "| 52.6 (57 videos) |" in row and "| -47.4 |" in row
    assert "±" not in row  # one fold has no spread


def test_the_page_is_made_of_the_tables_beside_it():
    docs = ROOT / "docs"
    page = write(read_csv(docs / "gestures.csv", Gestures), Cuts.read(docs / "gestures_cuts.csv"))
    assert page == (docs / "gestures.md").read_text(), "run `python tools/study.py report --study gestures --from_docs`"
    for picture in re.findall(r"\((\.\./images/.*?)\)", page):
        assert (docs / picture).is_file()


# ---------------------------------------------------------------- from videos to the page


@pytest.fixture
def videos(tmp_path) -> Path:
    """A few videos of EgoGestAR's names: noise, 24 frames."""
    folder = tmp_path / "egogestar/testvideo"
    folder.mkdir(parents=True)
    first = folder / "testvideo_up_2.mp4"
    make_video(first, 24, "mandelbrot")
    for name in ("up_7", "left_2", "up_1", "up_3", "left_1", "left_3", "up_5", "left_5"):
        shutil.copy(first, folder / f"testvideo_{name}.mp4")
    return folder.parent


def test_from_videos_to_the_page(run_program, tmp_path, videos, monkeypatch):
    """Every command of two cells, run in this process; then report, from logs and from tables."""
    monkeypatch.setattr(plan, "SIZE", 16)
    monkeypatch.setattr(plan, "NETWORK", plan.NETWORK.replace("48", "16"))
    cells = [Cell("gestures", "slope", 4, 0, 5, epochs=1), Cell("held", "cumulative", 4, 0, 5, 0.25, epochs=1)]
    monkeypatch.setattr(Gestures, "choose_cells", lambda study, seeds, quick=False: cells)
    study = Gestures(tmp_path / "study", videos=videos)
    (tmp_path / "study/output").mkdir(parents=True)
    for job in study.jobs(cells):
        for command in job.commands():
            if command[0] == "rm":
                shutil.rmtree(command[-1])
                continue
            program, *words = command[1:]
            if program == "-m":
                program, words = f"{words[0].replace('.', '/')}.py", words[1:]
            ran = run_program(program, *words)
            assert ran.code == 0, (command, ran)
        job.output.touch()
    assert [job.name for job in study.jobs(cells)] == ["data-gestures", cells[0].name, "data-held", cells[1].name]
    lists = (tmp_path / "study/data/held/val_videofolder.txt").read_text().splitlines()
    assert "testvideo/testvideo_up_2 96 0" in lists and len(lists) >= 2

    table = tmp_path / "study/gestures/gestures_cuts.csv"
    table.parent.mkdir()
    weights = study.weights(cells[0])
    ran = run_program("tools/studies/gestures/cuts.py", study.data("gestures"), weights, "--csv", table)
    assert ran.code == 0, ran
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(METHODS) * len(lists)
    assert all(sum(map(int, row["sizes"].split())) == 19 for row in rows)  # steps of 6 frames
    assert all(len(row["sizes"].split()) == 4 for row in rows)

    assert run_program("tools/study.py", "report", "--study", "gestures", "--root", tmp_path / "study").code == 0
    found = read_csv(tmp_path / "docs/gestures.csv", Gestures)
    assert {*found} == {*cells} and all(one.videos == len(lists) == len(one.hits) for one in found.values())
    page = (tmp_path / "docs/gestures.md").read_text()
    assert "2 cells on" in page and "| slope | even |" in page
    assert (tmp_path / "images/gestures_cuts.png").stat().st_size > 5_000
    again = run_program("tools/study.py", "report", "--study", "gestures", "--from_docs")
    assert again.code == 0 and (tmp_path / "docs/gestures.md").read_text() == page


def test_the_readme_repeats_figures_of_the_page():
    """Each row of its table has figures of one row of the page."""
    part = (ROOT / "README.md").read_text().split("\n### On real videos\n")[1].split("\n## ")[0]
    lines = [line.split("|", 2)[2] for line in part.splitlines() if line.startswith("| ")][2:]
    page = (ROOT / "docs/gestures.md").read_text().splitlines()
    assert len(lines) == 9
    for line in lines:
        figures = re.findall(r"[+-]?[\d,]*\d(?:\.\d+)?", line)
        assert any(all(figure in row for figure in figures) for row in page), line
