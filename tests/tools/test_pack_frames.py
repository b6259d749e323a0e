"""tools/pack_frames.py: a packed dataset is the dataset, in one file a video."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from ops.data.decoding import describe_decoder
from ops.errors import InputError
from ops.files import claimed
from tools import check_dataset, pack_frames


@pytest.fixture
def root(tmp_path):
    """Three videos of 3 grey frames, 12 x 8 pixels, and their lists."""
    folder = tmp_path / "mine"
    for number, name in enumerate(("one/a b", "one/c", "two/d.e")):
        (folder / name).mkdir(parents=True)
        for i in (9, 10, 11):
            Image.new("L", (12, 8), 80 * number + i).save(folder / name / f"img_{i}.jpg")
    (folder / "train_videofolder.txt").write_text("one/a b 3 0\none/c 3 0\n")
    (folder / "val_videofolder.txt").write_text("two/d.e 3 1\n")
    (folder / "category.txt").write_text("one\ntwo\n")
    (folder / "dataset.json").write_text(json.dumps({"num_class": 2, "image_tmpl": "img_{}.jpg", "first_frame": 9}))
    return folder


def pack(*words):
    return pack_frames.main([*map(str, words), "-j", "2"])


@pytest.mark.parametrize(("words", "ending"), [((), ".zip"), (("--raw",), ".npy")])
def test_a_packed_dataset_is_a_dataset(root, tmp_path, capsys, words, ending):
    dst = tmp_path / "packed"
    assert pack(root, dst, *words) == 0
    assert capsys.readouterr().out.startswith("3 videos packed, 0 already there, 0 failed, 0.0 MB written; 4 lists")
    assert sorted(str(path.relative_to(dst)) for path in dst.rglob("*") if path.is_file()) == sorted(
        [
            "category.txt",
            "dataset.json",
            "train_videofolder.txt",
            "val_videofolder.txt",
            f"one/a b{ending}",
            f"one/c{ending}",
            f"two/d.e{ending}",
        ]
    )
    assert check_dataset.main([str(dst), "RGB", "--csv", str(tmp_path / "problems.csv")]) == 0
    assert "3 videos in 2 lists, 9 frames read" in capsys.readouterr().out


def test_files_that_are_not_taken_along_are_counted(root, tmp_path, capsys):
    (root / "annotations").mkdir()
    for name in ("annotations/train.csv", "README", "film.mp4", ".DS_Store"):
        (root / name).write_text("")
    pack(root, tmp_path / "packed")
    assert "\nleft out: 3 files that are neither in a folder of frames nor .txt, .json, .csv" in capsys.readouterr().out


def test_one_writer_at_a_time(root, tmp_path):
    (tmp_path / "packed").mkdir()
    with claimed(tmp_path / "packed"), pytest.raises(InputError, match="another run is writing to .*packed"):
        pack(root, tmp_path / "packed")
    assert pack(root, tmp_path / "packed") == 0


def test_members_are_the_files_in_the_order_of_their_numbers(root, tmp_path):
    (root / "one/c/notes.md").write_text("of a camera")
    (root / "one/c/.hidden").write_text("")
    pack(root, tmp_path / "a")
    pack(root, tmp_path / "b")
    with zipfile.ZipFile(tmp_path / "a/one/c.zip") as content:
        assert content.namelist() == ["notes.md", "img_9.jpg", "img_10.jpg", "img_11.jpg"]
        assert {member.compress_type for member in content.infolist()} == {zipfile.ZIP_STORED}
        assert content.read("img_10.jpg") == (root / "one/c/img_10.jpg").read_bytes()
    assert (tmp_path / "a/one/c.zip").read_bytes() == (tmp_path / "b/one/c.zip").read_bytes()


def test_raw_pixels(root, tmp_path):
    Image.new("RGB", (12, 8), (200, 0, 0)).save(root / "one/c/img_11.jpg", quality=100)
    pack(root, tmp_path / "raw", "--raw")
    grey, colour = (np.load(tmp_path / "raw" / f"{name}.npy") for name in ("two/d.e", "one/c"))
    assert grey.shape == (3, 8, 12) and grey[:, 3, 4].tolist() == [169, 170, 171]
    assert colour.shape == (3, 8, 12, 3) and colour[0, 3, 4].tolist() == [89, 89, 89]
    assert colour[2, 3, 4, 0] > 190 and colour[2, 3, 4, 2] < 10


@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_long_videos_are_packed_in_parts(root, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(pack_frames, "CHUNK", chunk)
    pack(root, tmp_path / "raw", "--raw")
    assert np.load(tmp_path / "raw/one/c.npy")[:, 0, 0].tolist() == [89, 90, 91]


def test_names_are_found_out_without_a_description(root, tmp_path):
    (root / "dataset.json").unlink()
    pack(root, tmp_path / "raw", "--raw")
    assert len(np.load(tmp_path / "raw/one/c.npy")) == 3
    pack(root, tmp_path / "last", "--raw", "--image_tmpl", "img_{}.jpg", "--first_frame", "9")
    assert (tmp_path / "raw/one/c.npy").read_bytes() == (tmp_path / "last/one/c.npy").read_bytes()


def test_it_goes_on_where_it_stopped(root, tmp_path, capsys):
    dst = tmp_path / "packed"
    pack(root, dst)
    (dst / "one/c.zip").unlink()
    (dst / "one/c.zip.partial").write_bytes(b"of a killed run")
    before = (dst / "two/d.e.zip").stat().st_mtime_ns
    capsys.readouterr()
    assert pack(root, dst) == 0
    assert capsys.readouterr().out.startswith("1 videos packed, 2 already there, 0 failed")
    assert (dst / "two/d.e.zip").stat().st_mtime_ns == before
    assert zipfile.is_zipfile(dst / "one/c.zip") and not (dst / "one/c.zip.partial").exists()


def test_videos_that_cannot_be_packed_are_named(root, tmp_path, capsys):
    Image.new("L", (12, 9)).save(root / "one/c/img_11.jpg")
    (root / "two/d.e/img_10.jpg").unlink()
    dst = tmp_path / "raw"
    assert pack(root, dst, "--raw") == 1
    assert "1 videos packed, 0 already there, 2 failed (see" in capsys.readouterr().out
    lines = dict(line.split("\t") for line in (dst / "failed.txt").read_text().splitlines())
    assert "img_9.jpg is 12x8 but img_11.jpg is 12x9" in lines[str(root / "one/c")]
    assert "gap: 2 frames up to 11, but no img_10.jpg" in lines[str(root / "two/d.e")]
    assert sorted(path.name for path in dst.rglob("*.npy*")) == ["a b.npy"]
    for name in ("one/c", "two/d.e"):
        Image.new("L", (12, 8)).save(root / name / "img_10.jpg")
        Image.new("L", (12, 8)).save(root / name / "img_11.jpg")
    assert pack(root, dst, "--raw") == 0
    assert not (dst / "failed.txt").exists()


def test_damage_is_packed_only_when_it_is_accepted(root, tmp_path):
    pytest.importorskip("simplejpeg", reason="PIL says nothing of damage that can be shown")
    picture = root / "one/c/img_10.jpg"
    data = picture.read_bytes()
    picture.write_bytes(data[:-2] + bytes(8) + data[-2:])
    assert pack(root, tmp_path / "raw", "--raw") == 1
    assert f"frame {picture} is damaged (" in (tmp_path / "raw/failed.txt").read_text()
    assert pack(root, tmp_path / "raw", "--raw", "--keep_damaged") == 0
    assert (tmp_path / "raw/one/c.npy").is_file()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("{root}/nowhere", "{tmp}/x"), "nowhere is not a folder of frame folders"),
        (("{root}", "{root}/packed"), "is or lies in SRC"),
        (("{root}", "{root}"), "is or lies in SRC"),
        (("{root}/one/c", "{tmp}/x"), "itself holds pictures: give the folder around"),
        (("{root}", "{tmp}/x", "--image_tmpl", "{{}}.jpg"), "are for --raw"),
        (
            ("{root}", "{tmp}/x", "--raw", "--image_tmpl", "flow_{{}}_{{}}.jpg"),
            "pairs of flow images, .*; leave --raw out",
        ),
        (("{root}", "{tmp}/x", "--raw", "--image_tmpl", "img.jpg"), "does not name files by number"),
        (("{tmp}/empty", "{tmp}/x"), "empty holds no folder of frames"),
    ],
)
def test_bad_arguments(root, tmp_path, words, reason):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=reason):
        pack(*(word.format(root=root, tmp=tmp_path) for word in words))
    assert not (tmp_path / "x").exists() and not (root / "packed").exists()


def test_nothing_else_is_replaced(root, tmp_path):
    dst = tmp_path / "packed"
    pack(root, dst)
    with pytest.raises(InputError, match=r"holds packs of the other kind \(one/a b.zip\): give another DST"):
        pack(root, dst, "--raw")
    (dst / "category.txt").write_text("mine")
    with pytest.raises(InputError, match=r"packed/category.txt differs from .*mine/category.txt"):
        pack(root, dst)
    assert (dst / "category.txt").read_text() == "mine"


def test_checks_find_what_is_wrong_with_packs(root, tmp_path, capsys):
    dst, table = tmp_path / "packed", tmp_path / "problems.csv"
    pack(root, dst)
    pack(root, tmp_path / "raw", "--raw")
    (dst / "two/d.e.zip").write_bytes((dst / "two/d.e.zip").read_bytes()[:-9])
    (dst / "one/c.zip").unlink()
    np.save(dst / "one/c.npy", np.zeros((2, 8, 12), np.uint8))
    np.save(dst / "long.npy", np.zeros((2, 8, 12), np.uint8))
    (dst / "film.mp4").write_text("")
    (dst / "train_videofolder.txt").write_text("one/a b 4 0\none/c 3 0\nnowhere 1 1\nlong 1 1\nfilm.mp4 1 1\n")
    capsys.readouterr()
    assert check_dataset.main([str(dst), "RGB", "--csv", str(table)]) == 1
    text = table.read_text()
    for row in (
        'train_videofolder.txt,1,frame count,"one/a b: list says 4 images, zip holds 3; first missing img_12',
        f'train_videofolder.txt,2,frame count,"one/c: list says 3 frames, {dst}/one/c.npy holds 2',
        f'train_videofolder.txt,3,missing folder,"no folder {dst}/nowhere, nor nowhere.zip or nowhere.npy',
        f'train_videofolder.txt,4,frame count,"long: list says 1 frames, {dst}/long.npy holds 2',
        f"train_videofolder.txt,5,unreadable video,{dst}/film.mp4 cannot be decoded: ",
        f"val_videofolder.txt,1,unreadable pack,cannot read {dst}/two/d.e.zip",
    ):
        assert row in text


def test_training_and_evaluation_see_the_same(run_main, tiny_data, tmp_path):
    """main.py prints the same figures for folders, zips and raw packs."""
    words = [
        "movingmnist",
        "RGB",
        "--arch",
        "resnet_thin",
        "--num_segments",
        "4",
        "--epochs",
        "1",
        "-b",
        "4",
        "-j",
        "0",
        "--shift",
        "--device",
        "cpu",
        "--overwrite",
    ]
    said = []
    for name in ("folders", "zips", "raws"):
        root = tiny_data
        if name != "folders":
            root = tmp_path / name
            assert pack(tiny_data, root, *["--raw"] * (name == "raws")) == 0
        ran = run_main(*words, "--root_path", root)
        assert ran.code == 0, ran.err
        assert f"\ndecoder   {describe_decoder()}\n" in ran.out
        (row,) = [
            line.split(",")[2:6]
            for line in next((tmp_path / "log").rglob("log.csv")).read_text().splitlines()
            if line.startswith("0,val")
        ]
        said.append(row)
    assert said[0] == said[1] == said[2]
