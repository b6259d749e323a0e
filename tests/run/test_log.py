"""The log folder: a table that grows and is continued, the options, the events."""

import csv
import json
from dataclasses import fields, replace

import pytest

from ops.run import log as run_log
from ops.run.log import RunLog
from ops.training.engine import Result

RESULT = Result(1.23456789, 50.0, 100.0, 33.33333, 8, 160, 2.0, 0.25, 3.5)


def table(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def fill(log, epochs):
    for epoch in epochs:
        for split in ("train", "val"):
            log.write(epoch, split, RESULT, 0.01)
    log.close()


def test_header_and_rows(tmp_path):
    log = RunLog(tmp_path / "new" / "run", {"lr": 0.01})
    assert (tmp_path / "new/run/log.csv").read_text().startswith("epoch,split,loss,top1,top5,")
    fill(log, [0])
    first, second = table(tmp_path / "new/run")
    assert (first["epoch"], first["split"], second["split"]) == ("0", "train", "val")
    expected = {
        "loss": 1.234568,
        "top1": 50,
        "top5": 100,
        "mean_class_accuracy": 33.3333,
        "lr": 0.01,
        "seconds": 2,
        "frames": 160,
        "data_wait": 0.25,
        "grad_norm": 3.5,
    }
    assert {name: float(first[name]) for name in expected} == expected


def test_rows_are_there_at_once(tmp_path):
    log = RunLog(tmp_path, {})
    log.write(0, "train", RESULT, 0.1)
    assert len(table(tmp_path)) == 1
    log.close()


def test_options_command_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["main.py", "movingmnist", "--suffix", "two words"])
    RunLog(tmp_path, {"lr": 0.01, "gd": None}).close()
    about = json.loads((tmp_path / "args.json").read_text())
    assert (about["lr"], about["gd"]) == (0.01, None)
    assert about["command"].endswith("main.py movingmnist --suffix 'two words'")
    assert set(about["versions"]) == {"python", "torch", "torchvision", "numpy", "git"}


def test_a_new_run_starts_a_new_table(tmp_path):
    fill(RunLog(tmp_path, {}), range(3))
    fill(RunLog(tmp_path, {}), range(1))
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "0"]


@pytest.mark.parametrize("first", [0, 1, 2, 3, 5])
def test_going_on_drops_the_rows_that_are_written_anew(tmp_path, first):
    fill(RunLog(tmp_path, {}), range(3))
    before = table(tmp_path)
    RunLog(tmp_path, {}, append=True, first_epoch=first).close()
    assert table(tmp_path) == before[: 2 * first]


def test_going_on_where_there_is_no_table(tmp_path):
    fill(RunLog(tmp_path, {}, append=True, first_epoch=2), [2])
    assert [row["epoch"] for row in table(tmp_path)] == ["2", "2"]


def test_events(tmp_path):
    pytest.importorskip("tensorboardX")
    fill(RunLog(tmp_path, {}), range(2))
    (events,) = tmp_path.glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert all(tag in content for tag in (b"loss/train", b"top1/val", b"lr/train"))


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr(run_log, "SummaryWriter", None)
    fill(RunLog(tmp_path, {}), range(1))
    assert len(table(tmp_path)) == 2 and not list(tmp_path.glob("events*"))


def test_a_full_disk_is_told_and_the_row_comes_with_the_next(tmp_path, monkeypatch):
    log = RunLog(tmp_path, {})

    def full(path, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_log.Path, "replace", full)
        assert f"{tmp_path} could not be written (No space left on device)" in log.write(0, "train", RESULT, 0.1)
    assert table(tmp_path) == []
    assert log.write(1, "train", RESULT, 0.1) is None
    log.close()
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1"]


def test_memory_and_speed(tmp_path):
    log = RunLog(tmp_path, {})
    log.write(0, "train", replace(RESULT, peak_memory=300 * 2**20), 0.1)
    log.close()
    assert [(row["peak_memory_mb"], row["frames_per_second"]) for row in table(tmp_path)] == [("300", "80.0")]


def test_every_figure_of_a_result_has_a_column(tmp_path):
    """Whatever a result may be told apart by, its row tells, the confusion matrix aside."""
    log = RunLog(tmp_path, {})
    log.write(0, "train", RESULT, 0.1)
    for field in fields(Result):
        if field.name != "confusion":
            value = getattr(RESULT, field.name)
            other = ("x.jpg cannot be read",) if field.name == "skipped" else 7 + 2**21
            log.write(0, "train", replace(RESULT, **{field.name: other}), 0.1)
            assert log.rows[-1] != log.rows[0], (field.name, value)
    log.close()
    assert table(tmp_path)[0].keys() == run_log.COLUMNS.keys()


def test_columns_of_another_version_are_kept(tmp_path):
    fill(RunLog(tmp_path, {}), range(1))
    head, *rows = (tmp_path / "log.csv").read_text().splitlines()
    (tmp_path / "log.csv").write_text("\n".join([f"{head},energy", *(f"{row},{7}" for row in rows)]))
    fill(RunLog(tmp_path, {}, append=True, first_epoch=1), [1])
    assert [row["energy"] for row in table(tmp_path)] == ["7", "7", "", ""]


def test_events_that_fail_are_told_once_and_rows_go_on(tmp_path, monkeypatch):
    class Broken:
        def __init__(self, *args, **kwargs):
            pass

        def add_scalar(self, *args):
            raise TypeError("no such\ndescriptor")

    monkeypatch.setattr(run_log, "SummaryWriter", Broken)
    log = RunLog(tmp_path, {})
    told = [log.write(epoch, "train", RESULT, 0.1) for epoch in range(2)]
    assert told == [f"no more TensorBoard events in {tmp_path}: no such descriptor", None]
    assert [row["epoch"] for row in table(tmp_path)] == ["0", "1"]
