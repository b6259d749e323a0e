"""`tools/check_dataset.py` finds every kind of fault it promises to find, and nothing in a sound dataset."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from tools import check_dataset


@pytest.fixture
def root(tmp_path):
    """Two lists of sound videos of 3 frames, 12 x 8 pixels."""
    folder = tmp_path / "mine"
    for name in ("a b", "c", "d", "e"):
        (folder / name).mkdir(parents=True)
        for i in (1, 2, 3):
            picture = np.random.default_rng(i).integers(0, 255, (8, 12, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / name / f"img_{i:05d}.jpg")
    (folder / "train_videofolder.txt").write_text("a b 3 0\nc 3 1\n")
    (folder / "val_videofolder.txt").write_text("d 3 1\r\ne 3 0\r\n")
    (folder / "dataset.json").write_text(json.dumps({"num_class": 2, "image_tmpl": "img_{:05d}.jpg"}))
    return folder


def check(root, tmp_path, capsys):
    """Run the program -> (exit code, what it printed, rows of problems.csv without header)."""
    table = tmp_path / "problems.csv"
    code = check_dataset.main([str(root), "RGB", "--csv", str(table), "-j", "2"])
    rows = list(csv.reader(table.open(newline="")))[1:] if table.exists() else []
    return code, capsys.readouterr().out, rows


def test_a_sound_dataset(root, tmp_path, capsys):
    (tmp_path / "problems.csv").write_text("of an earlier run")
    code, out, rows = check(root, tmp_path, capsys)
    assert (code, rows) == (0, [])
    assert "4 videos in 2 lists, 12 frames read" in out
    assert "no problems found" in out
    assert not (tmp_path / "problems.csv").exists()


def test_hidden_files_and_other_pictures_are_no_frames(root, tmp_path, capsys):
    for name in ("._img_00001.jpg", ".img_00004.jpg", "cover.jpg", "img_0004.jpg"):
        (root / "c" / name).write_bytes(b"Mac OS X")
    assert check(root, tmp_path, capsys)[0] == 0


def test_every_kind_of_fault(root, tmp_path, capsys):
    (root / "train_videofolder.txt").write_text(
        "a b 3 0\nc 3 1\nc 3 1\nnowhere 3 0\nd 3 1\nbad line\ne 3 2\nfew 3 0\nmany 2 0\nbroken 3 0\nsizes 3 0\n"
    )
    for name, change in (("few", None), ("many", None), ("broken", b"\xff\xd8 no picture"), ("sizes", "small")):
        (root / name).mkdir()
        for i in (1, 2, 3):
            (root / name / f"img_{i:05d}.jpg").write_bytes((root / "c" / f"img_{i:05d}.jpg").read_bytes())
        second = root / name / "img_00002.jpg"
        if name == "few":
            second.unlink()
        elif change == "small":
            Image.new("RGB", (6, 8)).save(second)
        elif change:
            second.write_bytes(change)
    whole = (root / "e/img_00003.jpg").read_bytes()
    (root / "e/img_00003.jpg").write_bytes(whole[: len(whole) // 2])
    code, out, rows = check(root, tmp_path, capsys)
    found = [(file, int(line), kind) for file, line, kind, _ in rows]
    assert found == [
        ("train_videofolder.txt", 3, "duplicate line"),
        ("train_videofolder.txt", 4, "missing folder"),
        ("train_videofolder.txt", 6, "bad line"),
        ("train_videofolder.txt", 7, "bad line"),
        ("train_videofolder.txt", 8, "frame count"),
        ("train_videofolder.txt", 9, "frame count"),
        ("train_videofolder.txt", 10, "unreadable frame"),
        ("train_videofolder.txt", 11, "sizes change"),
        ("val_videofolder.txt", 1, "in two lists"),
        ("val_videofolder.txt", 2, "unreadable frame"),
    ]
    text = {line: what for file, line, _, what in rows if file.startswith("train")}
    assert text["8"] == "few: list says 3 images, folder holds 2; first missing img_00002.jpg"
    assert text["9"] == "many: list says 2 images, folder holds 3"
    assert "img_00002.jpg" in text["10"]
    assert text["11"].endswith("sizes: 2 of 12x8, 1 of 6x8")
    assert code == 1
    assert f"10 problems, all of them in {tmp_path / 'problems.csv'}" in out


def test_what_a_decoder_doubts_is_a_problem_unless_it_is_accepted(root, tmp_path, capsys):
    pytest.importorskip("simplejpeg", reason="PIL says nothing of damage that can be shown")
    data = bytearray((root / "d/img_00002.jpg").read_bytes())
    data[-40:-10] = bytes(30)
    (root / "d/img_00002.jpg").write_bytes(data)
    depth = 100 * np.arange(96, dtype=np.uint16).reshape(8, 12)
    Image.fromarray(depth).save(root / "e/img_00003.jpg", "png")
    code, _, rows = check(root, tmp_path, capsys)
    assert code == 1 and [row[:3] for row in rows] == [
        ["val_videofolder.txt", "1", "unreadable frame"],
        ["val_videofolder.txt", "2", "unreadable frame"],
    ]
    assert "d/img_00002.jpg is damaged (" in rows[0][3] and "over 8 bits per value" in rows[1][3]
    table = tmp_path / "problems.csv"
    assert check_dataset.main([str(root), "RGB", "--csv", str(table), "--keep_damaged"]) == 1
    assert "d/img_00002.jpg" not in table.read_text() and "e/img_00003.jpg" in table.read_text()


def test_flow_images_come_in_pairs(root, tmp_path, capsys):
    for folder in (root / name for name in ("a b", "c", "d", "e")):
        for i in (1, 2, 3):
            (folder / f"img_{i:05d}.jpg").rename(folder / f"flow_x_{i:05d}.jpg")
            Image.new("L", (12, 8)).save(folder / f"flow_y_{i:05d}.jpg")
    (root / "c/flow_y_00002.jpg").unlink()
    table = tmp_path / "problems.csv"
    assert check_dataset.main([str(root), "Flow", "--image_tmpl", "flow_{}_{:05d}.jpg", "--csv", str(table)]) == 1
    rows = list(csv.reader(table.open(newline="")))[1:]
    assert [row[3] for row in rows] == ["c: list says 6 images, folder holds 5; first missing flow_y_00002.jpg"]


@pytest.mark.parametrize("name", ["no\0name", "x" * 300])
def test_names_that_no_file_can_have(root, tmp_path, capsys, name):
    (root / "val_videofolder.txt").write_text(f"{name} 3 1\n")
    code, _, rows = check(root, tmp_path, capsys)
    assert code == 1 and [row[:2] for row in rows] == [["val_videofolder.txt", "1"]]


def test_bad_arguments(root, capsys):
    with pytest.raises(check_dataset.InputError, match="unknown dataset 'nosuch'.*--num_class and --image_tmpl"):
        check_dataset.main(["nosuch", "RGB"])
    with pytest.raises(check_dataset.InputError, match="no list file"):
        check_dataset.main([str(root), "RGB", "--val_list", "none.txt"])
    with pytest.raises(SystemExit):
        check_dataset.main([str(root), "RGB", "-j", "0"])
    assert capsys.readouterr().err == (
        "error: argument -j: 0 must be at least 1 (`check_dataset.py --help` shows the options)\n"
    )
