"""`tools/compare_runs.py`: the table of finished runs, from their logs alone."""

import json

import pytest

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
