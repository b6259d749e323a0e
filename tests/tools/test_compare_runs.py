"""`tools/compare_runs.py`: the table of finished runs, from their logs alone; score files video by video."""

import json

import numpy as np
import pytest

from ops.evaluation.result_files import scores_file
from ops.pictures.video import save
from tools import compare_runs

HEADER = "epoch,split,loss,top1,top5,mean_class_accuracy,lr,seconds,videos,frames,data_wait,grad_norm\n"


@pytest.fixture
def runs(tmp_path):
    """A sampled run of one epoch and a clustered one of two."""
    facts = {"dataset": "mine", "modality": "RGB", "num_class": 5, "image_tmpl": "{}.jpg", "num_segments": 8}
    for name, cluster, shift, rows in (
        ("a", "none", True, "0,train,1.5,20,60,20,0.1,60,10,80,0,1\n0,val,1.4,33.333,80,30,0.1,30,3,24,0,nan\n"),
        (
            "b",
            "slope",
            False,
            "0,train,1,20,60,20,0.1,60,10,500,0,1\n1,train,1,20,60,20,0.1,60,10,500,0,1\n"
            "1,val,0.5,66.667,100,50,0.1,24,3,150,0,nan\n",
        ),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "args.json").write_text(json.dumps(facts | {"cluster": cluster, "shift": shift, "extra": 1}))
        (tmp_path / name / "log.csv").write_text(HEADER + rows)
    return tmp_path


def test_the_table(runs, capsys):
    compare_runs.main([str(runs / "a"), str(runs / "b")])
    assert capsys.readouterr().out.splitlines() == [
        "| method        | frames seen | clusters | top-1 % | epochs | minutes |",
        "| ------------- | ----------- | -------- | ------- | ------ | ------- |",
        "| uniform (TSM) |   8 sampled |        - |    33.3 |      1 |     1.5 |",
        "| slope         |          50 |        8 |    66.7 |      2 |     2.4 |",
    ]


def test_runs_of_one_method_are_told_apart(runs, capsys):
    about = json.loads((runs / "b" / "args.json").read_text())
    for name, more in (("c", {"distance": "cosine", "seed": 1}), ("d", {"distance": "hamming"})):
        (runs / name).mkdir()
        (runs / name / "args.json").write_text(json.dumps(about | more))
        (runs / name / "log.csv").write_text((runs / "b" / "log.csv").read_text())
    compare_runs.main([str(runs / name) for name in "acd"])
    rows = [line.split(" | ")[0].strip("| ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows == ["uniform (TSM)", "slope, distance cosine", "slope, distance hamming"]


def test_other_networks_on_sampled_frames(runs, capsys):
    about = json.loads((runs / "a" / "args.json").read_text()) | {"shift": False, "temporal": "stm"}
    (runs / "a" / "args.json").write_text(json.dumps(about))
    compare_runs.main([str(runs / "a")])
    assert "| uniform (STM) |" in capsys.readouterr().out


def test_the_picture_of_an_own_dataset(runs):
    compare_runs.main([str(runs / "a"), str(runs / "b"), "--picture", str(runs / "new" / "bars.png")])
    assert (runs / "new" / "bars.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["slope", "$x_{1$", "a\nb", "_hidden", "\u4e2d" * 99])
def test_every_run_has_a_bar_whatever_its_method_is_called(runs, monkeypatch, method):
    drawn = []
    monkeypatch.setattr(compare_runs.pictures, "save", lambda figure, path: drawn.append(figure) or save(figure, path))
    about = json.loads((runs / "b" / "args.json").read_text())
    (runs / "b" / "args.json").write_text(json.dumps(about | {"cluster": method}))
    compare_runs.main([str(runs / "a"), str(runs / "b"), str(runs / "b"), "--picture", str(runs / "bars.png")])
    (axis,) = drawn[0].axes
    assert [round(bar.get_width(), 1) for bar in axis.patches] == [33.3, 66.7, 66.7]
    assert len(axis.get_yticklabels()) == 3 and axis.get_yticklabels()[0].get_text() == "uniform (TSM)"
    assert axis.yaxis_inverted()  # the first run at the top


def test_bad_runs_and_flags(runs, capsys):
    (runs / "a" / "log.csv").write_text(HEADER)
    with pytest.raises(compare_runs.InputError, match="a is not the log folder of a run that was validated"):
        compare_runs.main([str(runs / "a")])
    with pytest.raises(compare_runs.InputError, match="nowhere is not the log folder"):
        compare_runs.main([str(runs / "nowhere")])
    with pytest.raises(SystemExit):
        compare_runs.main([str(runs / "b"), "--video", "x"])
    assert capsys.readouterr().err.startswith("error: --video and --weights go together, and with --picture")


# ---------------------------------------------------------------- score files

RIGHT = {  # a digit a video: whether each of three splits is named rightly
    "slope": ("1111111110", "1111111100", "1111111111"),
    "tsm": ("1111000000", "1111111001", "1111100011"),
}


@pytest.fixture
def scored(tmp_path, run_program):
    """`scored(*words)` compares files `slope1.npz` to `tsm3.npz` -> cells of the table, other lines."""
    for model, splits in RIGHT.items():
        for number, right in enumerate(splits, 1):
            names = [f"P{number}/cam{place}/cereals" for place in range(10)]
            labels = np.arange(10) % 2
            best = np.where([digit == "1" for digit in right], labels, 1 - labels)
            content = scores_file(names, labels, np.eye(2)[best])
            if model == "tsm":  # in another order
                content = scores_file(names[::-1], labels[::-1], np.eye(2)[best[::-1]])
            (tmp_path / f"{model}{number}.npz").write_bytes(content)

    def compare(*words):
        ran = run_program("tools/compare_runs.py", *words)
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        table = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|")]
        return [table[0], *table[2:]], [line for line in lines if line and not line.startswith("|")]

    return compare


def test_two_score_files(scored):
    (header, row), lines = scored("--scores", "slope1.npz", "--against", "tsm1.npz")
    assert header == ["split", "videos", "A top-1 %", "B top-1 %", "A - B", "only A right", "only B right", "p"]
    # five coins that fall alike: 2 / 2^5; ten draws of 1 or 0: binomial (10, 1/2), 2 to 8 in 97.8 of 100 cases
    assert row == ["1", "10", "90.0 (59.6 to 98.2)", "40.0 (16.8 to 68.7)", "+50.0 (20.0 to 80.0)", "5", "0", "0.0625"]
    assert lines == [
        "A  slope1.npz",
        "B  tsm1.npz",
        "in brackets 95 % intervals: of accuracies Wilson's, of differences from 10000 resamples of the videos in"
        " pairs; p: McNemar's exact test",
    ]


def test_three_splits(scored):
    files = [[f"{model}{number}.npz" for number in (1, 2, 3)] for model in RIGHT]
    rows, lines = scored("--scores", *files[0], "--against", *files[1])
    assert [row[0] for row in rows] == ["split", "1", "2", "3", "mean \u00b1 sd", "all"]
    assert rows[2][4:] == ["+0.0 (-30.0 to 30.0)", "1", "1", "1"] and rows[3][4:] == [
        "+30.0 (0.0 to 60.0)",
        "3",
        "0",
        "0.25",
    ]
    assert rows[4] == ["mean \u00b1 sd", "", "90.0 \u00b1 10.0", "63.3 \u00b1 20.8", "+26.7 \u00b1 25.2", "", "", ""]
    *shares, difference, only_a, only_b, p = rows[5][1:]
    assert shares == ["30", "90.0 (74.4 to 96.5)", "63.3 (45.5 to 78.1)"]
    assert difference == "+26.7 (10.0 to 46.7)" and (only_a, only_b, p) == ("9", "1", "0.0215")  # 2 * 11 / 2^10
    assert lines[:2] == ["A  slope1.npz, slope2.npz, slope3.npz", "B  tsm1.npz, tsm2.npz, tsm3.npz"]

    rows, lines = scored("--scores", *files[0])
    assert rows[0] == ["split", "videos", "top-1 %"] and rows[4:] == [
        ["mean \u00b1 sd", "", "90.0 \u00b1 10.0"],
        ["all", "30", "90.0 (74.4 to 96.5)"],
    ]
    assert lines[1:] == ["in brackets 95 % intervals: of accuracies Wilson's"]


def test_videos_that_several_files_hold_count_once(scored):
    rows, lines = scored("--scores", "slope1.npz", "slope1.npz", "--against", "tsm1.npz", "tsm1.npz")
    assert rows[4] == ["all", "10", "90.0", "40.0", *rows[1][4:]]
    assert lines[-1] == "10 of the videos are in several files: drawn with all of them, and counted once for p"


@pytest.mark.parametrize(
    "words, message",
    [
        (
            "--scores slope1.npz --against tsm2.npz",
            "10 of the 10 videos in slope1.npz, P1/cam0/cereals for one, are not",
        ),
        (
            "--scores slope1.npz slope2.npz --against tsm1.npz",
            "--scores has 2 files and --against 1; give one for each",
        ),
        ("--scores nowhere.npz", "nowhere.npz cannot be read (No such file or directory); take a file that --scores"),
        ("--scores slope1.npz --picture x.png", "--picture draws runs, not --scores"),
        ("run --scores slope1.npz", "--scores: not allowed with argument runs"),
        ("run --against tsm1.npz", "--against goes with --scores"),
        ("", "one of the arguments runs --scores is required"),
    ],
)
def test_what_cannot_be_compared(scored, run_program, words, message):
    assert message in run_program("tools/compare_runs.py", *words.split()).error
