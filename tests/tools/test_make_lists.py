"""tools/make_lists.py: every annotation format in the official layout, what is counted, and what is refused."""

import errno
import json
import os
from functools import partial
from pathlib import Path

import pytest

from ops.data.lists import read_list
from ops.data.prepare import annotations
from ops.data.prepare.annotations import EGOGESTAR, EGOGESTAR_FOLDS, PARSERS, parse_breakfast, parse_egogestar
from ops.data.prepare.discovery import FrameCounter, guess_first, guess_template
from ops.data.specs import DATASETS, DatasetSpec, dataset_root, dataset_spec
from ops.errors import InputError
from ops.files import claimed

TRAIN, VAL, TEST = "train_videofolder.txt", "val_videofolder.txt", "test_videofolder.txt"
FIELDS = ["num_class", "image_tmpl", "first_frame", "flip", "train_list", "val_list", "category_file"]


@pytest.fixture
def run(run_program, monkeypatch):
    """`run(*words)` runs the program in this process, in the empty folder `tmp_path`."""
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    return partial(run_program, "tools/make_lists.py")


def write(path: Path, text: str) -> None:
    """A text file, line ends as given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def frames(folder: Path, number: int, template: str, first: int = 1) -> None:
    """A folder of empty files that are named as frames are."""
    folder.mkdir(parents=True)
    for i in range(first, first + number):
        (folder / template.format(i)).touch()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def lists_in(root: Path) -> list[str]:
    """What the program left in the dataset's folder."""
    return sorted(path.name for path in root.iterdir() if path.is_file())


# --- ucf101 ----------------------------------------------------------------------------------------------------------

UCF = [
    "ApplyEyeMakeup",
    "Archery",
    *(f"Class{i:03d}" for i in range(3, 37)),
    "HandstandPushups",
    *(f"Class{i:03d}" for i in range(38, 102)),
]


@pytest.fixture
def ucf(tmp_path):
    """A little of UCF101: CRLF files, numbers from 1, one class's files in other case than its folder."""
    root = tmp_path / "data/ucf101"
    splits = root / "ucfTrainTestlist"
    write(splits / "classInd.txt", "".join(f"{i} {name}\r\n" for i, name in enumerate(UCF, 1)))
    write(
        splits / "trainlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
        "Archery/v_Archery_g08_c02.avi 2\r\n"
        "HandstandPushups/v_HandStandPushups_g08_c01.avi 37\r\n",
    )
    write(
        splits / "testlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\r\nHandstandPushups/v_HandStandPushups_g01_c01.avi\r\n\r\n",
    )
    write(splits / "trainlist02.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi 1\r\n")
    write(splits / "testlist02.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\r\n")
    for i, name in enumerate(
        [
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01",
            "Archery/v_Archery_g08_c02",
            "HandstandPushups/v_HandstandPushups_g08_c01",
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01",
            "HandstandPushups/v_HandstandPushups_g01_c01",
        ]
    ):
        frames(root / "frames" / name, 5 + i, "img_{:06d}.jpg")
    return root


def test_ucf101(ucf, run):
    ran = run("ucf101")
    assert ran.code == 0 and not ran.err
    assert lines(ucf / TRAIN) == [
        "frames/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01 5 0",
        "frames/Archery/v_Archery_g08_c02 6 1",
        "frames/HandstandPushups/v_HandstandPushups_g08_c01 7 36",
    ]
    assert lines(ucf / VAL) == [
        "frames/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01 8 0",
        "frames/HandstandPushups/v_HandstandPushups_g01_c01 9 36",
    ]
    assert lines(ucf / "category.txt") == UCF
    assert lists_in(ucf) == ["category.txt", TRAIN, VAL]
    assert "train             3       9537          3          0\n" in ran.out
    assert "val               2       3783          2          0\n" in ran.out
    assert "warning: val: 2 videos, but 3783 are official" in ran.out
    assert ran.out.endswith("next: python main.py ucf101 RGB\n")
    assert len(read_list(ucf / TRAIN, ucf, DATASETS["ucf101"])) == 3  # what main.py reads them with


def test_ucf101_second_split_in_another_folder(ucf, run, tmp_path):
    other = ucf.rename(tmp_path / "my ucf")
    ran = run("ucf101", "--split", "2", "--root", other)
    assert lines(other / "train_split2_videofolder.txt") == ["frames/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01 8 0"]
    assert lines(other / "val_split2_videofolder.txt") == ["frames/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01 5 0"]
    assert not (other / TRAIN).exists()
    assert ran.out.endswith(
        f"next: python main.py ucf101 RGB --root_path '{other}' --train_list"
        " train_split2_videofolder.txt --val_list val_split2_videofolder.txt\n"
    )


def test_data_folder_from_the_environment(ucf, run, monkeypatch, tmp_path):
    ucf.parent.rename(tmp_path / "sets")
    monkeypatch.setenv("FULL_VIDEO_DATA", str(tmp_path / "sets"))
    assert run("ucf101").out.endswith("next: python main.py ucf101 RGB\n")
    assert (tmp_path / "sets/ucf101" / TRAIN).exists()


def test_missing_and_broken_videos(ucf, run):
    first, second = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01", "HandstandPushups/v_HandstandPushups_g01_c01"
    (ucf / "frames" / first / "img_000003.jpg").unlink()
    (ucf / "frames" / second).rename(ucf / "elsewhere")
    ran = run("ucf101")
    assert ran.code == 0
    assert lines(ucf / "missing.txt") == [
        f"train\t{first}\tgap: 4 frames up to 5, but no img_000003.jpg",
        "val\tHandstandPushups/v_HandStandPushups_g01_c01\tno folder",
    ]
    assert len(lines(ucf / TRAIN)) == 2 and len(lines(ucf / VAL)) == 1
    assert "train             3       9537          2          1\n" in ran.out
    assert "warning: 2 videos are missing or broken and stand in no list, see missing.txt" in ran.out
    (ucf / "frames" / first / "img_000003.jpg").touch()
    (ucf / "elsewhere").rename(ucf / "frames" / second)
    assert "missing or broken" not in run("ucf101").out
    assert not (ucf / "missing.txt").exists()


def test_a_split_without_videos_gets_no_list(ucf, run):
    run("ucf101")
    for name in (
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01",
        "Archery/v_Archery_g08_c02",
        "HandstandPushups/v_HandstandPushups_g08_c01",
    ):
        (ucf / "frames" / name).rename(ucf / Path(name).name)
    ran = run("ucf101")
    assert lists_in(ucf) == ["category.txt", "missing.txt", VAL]
    assert f"warning: train: no video found, so there is no {TRAIN}" in ran.out
    assert ran.out.endswith("next: python main.py ucf101 RGB --evaluate --resume CHECKPOINT\n")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("classInd.txt", "1 ApplyEyeMakeup\r\n3 Archery\r\n", "classInd.txt: line 2: '3 Archery' is not `2 ClassName`"),
        ("classInd.txt", "1 ApplyEyeMakeup\r\n", "classInd.txt: 1 classes, ucf101 has 101;"),
        (
            "trainlist01.txt",
            "\r\nArchery/v_Archery_g08_c02.avi 3\r\n",
            "trainlist01.txt: line 2: 'Archery/v_Archery_g08_c02.avi 3' must end in the class's number, 2",
        ),
        ("trainlist01.txt", "Archery\r\n", "trainlist01.txt: line 1: 'Archery' is not `ClassName/file.avi label`"),
        (
            "testlist01.txt",
            "Archer/v_1.avi\n",
            "testlist01.txt: line 1: 'Archer/v_1.avi' is not `ClassName/file.avi` with",
        ),
        ("testlist01.txt", "Archery/v_\xe9.avi\n", None),
    ],
)
def test_malformed_ucf101(ucf, run, name, content, message):
    if message is None:
        (ucf / "ucfTrainTestlist" / name).write_bytes(b"Archery/1.avi\nArchery/\xe9.avi\n")
        message = "testlist01.txt: line 2: not UTF-8 text"
    else:
        write(ucf / "ucfTrainTestlist" / name, content)
    assert message in run("ucf101").error
    assert lists_in(ucf) == []


def test_nothing_found(ucf, run):
    (ucf / "frames").rename(ucf / "stills")
    assert (
        "not one of 5 videos has its frames in data/ucf101 (the first of 5 problems: ApplyEyeMakeup/v_ApplyEye"
        "Makeup_g08_c01: no folder); extract them" in run("ucf101").error
    )
    error = run("ucf101", "--frames", ucf / "stills", "--image_tmpl", "image_{:05d}.jpg").error
    assert "ApplyEyeMakeup_g08_c01: no image_{:05d}.jpg in it, but img_000001.jpg" in error
    assert lists_in(ucf) == []


def test_places_that_are_refused(ucf, run, tmp_path):
    assert run("ucf101", "--root", "nowhere").error.startswith("no folder nowhere;")
    assert run("ucf101", "--frames", "nowhere").error == "--frames: no folder nowhere"
    error = run("ucf101", "--frames", tmp_path).error
    assert error.startswith(f"--frames {tmp_path} is not in data/ucf101, to which lists are relative; link it there:")
    assert "no classInd.txt in nowhere" in run("ucf101", "--annotations", "nowhere").error
    (ucf / "ucfTrainTestlist/testlist02.txt").unlink()
    assert "no testlist02.txt in data/ucf101/ucfTrainTestlist" in run("ucf101", "--split", "2").error
    assert "invalid choice: '4'" in run("ucf101", "--split", "4").error
    for template in ("img.jpg", "{}_{}.jpg", "{:5d}.jpg", "{x}.jpg", "{:05d", "a/{:05d}.jpg"):
        assert f"--image_tmpl {template!r}: " in run("ucf101", "--image_tmpl", template).error
    assert lists_in(ucf) == []


def test_frames_may_be_a_link(ucf, run, tmp_path):
    (ucf / "frames").rename(tmp_path / "large disk")
    (ucf / "frames").symlink_to(tmp_path / "large disk")
    assert run("ucf101").code == 0
    assert lines(ucf / TRAIN)[0] == "frames/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01 5 0"


def test_lists_are_written_all_or_none(ucf, run, monkeypatch):
    whole = Path.write_text

    def full_disk(path, text, **kwargs):
        if VAL in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, text, **kwargs)

    (ucf / VAL).mkdir()  # in the way
    assert run("ucf101").error == f"cannot write data/ucf101/{VAL}: a folder of this name is there"
    assert lists_in(ucf) == []
    (ucf / VAL).rmdir()
    write(ucf / TRAIN, "old\n")
    monkeypatch.setattr(Path, "write_text", full_disk)
    assert run("ucf101").error == "cannot write into data/ucf101: No space left on device"
    assert lists_in(ucf) == [TRAIN] and lines(ucf / TRAIN) == ["old"]


# --- hmdb51 ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hmdb(tmp_path):
    """Of HMDB51 the class brush_hair and a fifty others; lines end in a blank, names hold anything but blanks."""
    root = tmp_path / "data/hmdb51"
    splits = root / "testTrainMulti_7030_splits"
    for i in range(50):
        write(splits / f"class{i:02d}_test_split1.txt", f"clip_of_{i}.avi 0 \n")
    write(
        splits / "brush_hair_test_split1.txt",
        "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \n"
        "A&B_#1_(x);[y]+@~!_brush_hair_u_cm_np1_ri_goo_0.avi 2 \n"
        "unused_brush_hair_u_nm_np1_ba_goo_1.avi 0 \n",
    )
    write(splits / "class49_test_split1.txt", "clip_of_49.avi 1 \n")
    write(splits / "brush_hair_test_split2.txt", "unused_brush_hair_u_nm_np1_ba_goo_1.avi 1 \n")
    for i, name in enumerate(
        [
            "April_09_brush_hair_u_nm_np1_ba_goo_0",
            "unused_brush_hair_u_nm_np1_ba_goo_1",
            "A&B_#1_(x);[y]+@~!_brush_hair_u_cm_np1_ri_goo_0",
        ]
    ):
        frames(root / "brush_hair" / name, 3 + i, "img_{:05d}.jpg")
    frames(root / "class49/clip_of_49", 2, "img_{:05d}.jpg")
    return root


def test_hmdb51(hmdb, run):
    ran = run("hmdb51")
    assert ran.code == 0 and "train             2       3570          2          0\n" in ran.out
    assert lines(hmdb / TRAIN) == [
        "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0 3 0",
        "class49/clip_of_49 2 50",
    ]
    assert lines(hmdb / VAL) == ["brush_hair/A&B_#1_(x);[y]+@~!_brush_hair_u_cm_np1_ri_goo_0 5 0"]
    assert lines(hmdb / "category.txt") == ["brush_hair", *(f"class{i:02d}" for i in range(50))]
    assert len(read_list(hmdb / VAL, hmdb, DATASETS["hmdb51"])) == 1


def test_malformed_hmdb51(hmdb, run):
    assert "testTrainMulti_7030_splits/*_test_split2.txt: 1 classes, hmdb51 has 51" in run("hmdb51", "--split", 2).error
    assert "no <class>_test_split3.txt in" in run("hmdb51", "--split", 3).error
    write(hmdb / "testTrainMulti_7030_splits/brush_hair_test_split1.txt", "a.avi 1 \nb.avi 3 \n")
    assert "brush_hair_test_split1.txt: line 2: 'b.avi 3' is not `file.avi 0|1|2`" in run("hmdb51").error
    assert lists_in(hmdb) == []


# --- breakfast -------------------------------------------------------------------------------------------------------


@pytest.fixture
def breakfast(tmp_path):
    root = tmp_path / "data/breakfast"
    for i, name in enumerate(
        [
            "P03/cam01/P03_cereals",
            "P03/stereo/P03_cereals_ch0",
            "P03/stereo/P03_cereals_ch1",
            "P16/webcam01/P16_scrambledegg",
            "P46/cam02/P46_tea",
            "P47/cam01/P47_tea",
            "P54/stereo/P54_salat_ch1",
            "P54/cam01/P54_juice",
            "P02/cam01/P02_milk",
            "P54/cam01/P54_toast",
        ]
    ):
        frames(root / name, 2 + i, "img_{:06d}.jpg")
    return root


def test_breakfast_default_split(breakfast, run):
    ran = run("breakfast")
    assert lines(breakfast / TRAIN) == [
        "P03/cam01/P03_cereals 2 0",
        "P03/stereo/P03_cereals_ch0 3 0",
        "P16/webcam01/P16_scrambledegg 5 8",
        "P46/cam02/P46_tea 6 9",
    ]
    assert lines(breakfast / VAL) == ["P47/cam01/P47_tea 7 9", "P54/cam01/P54_juice 9 3"]
    assert lines(breakfast / "category.txt") == [
        "cereals",
        "coffee",
        "friedegg",
        "juice",
        "milk",
        "pancake",
        "salat",
        "sandwich",
        "scrambledegg",
        "tea",
    ]
    assert lines(breakfast / "missing.txt") == [
        "-\tP02/cam01/P02_milk\tperson P02 is not one of P03 to P54",
        "-\tP54/cam01/P54_toast\t'toast' is none of the ten activities",
        "-\tP54/stereo/P54_salat_ch1\tchannel 0 of this stereo video is not there",
    ]
    assert ran.out.startswith("breakfast split timeception: 10 classes")
    assert "val               2        355          2          0\n" in ran.out
    assert "warning: train: 4 videos, but 1357 are official" in ran.out
    assert "channel 0 only, 2 folders of the other channel left out" in ran.out
    assert ran.out.endswith("next: python main.py breakfast RGB\n")


def test_breakfast_fold(breakfast, run):
    ran = run("breakfast", "--split", "s1")
    assert lines(breakfast / "val_split1_videofolder.txt") == [
        "P03/cam01/P03_cereals 2 0",
        "P03/stereo/P03_cereals_ch0 3 0",
    ]
    assert [line.split("/")[0] for line in lines(breakfast / "train_split1_videofolder.txt")] == [
        "P16",
        "P46",
        "P47",
        "P54",
    ]
    assert ran.out.endswith("--train_list train_split1_videofolder.txt --val_list val_split1_videofolder.txt\n")


@pytest.mark.parametrize(
    "split, persons, official",
    [
        ("s1", range(3, 16), (1460, 252)),
        ("s2", range(16, 29), (1261, 451)),
        ("s3", range(29, 42), (1279, 433)),
        ("s4", range(42, 55), (1136, 576)),
        ("timeception", range(47, 55), (1357, 355)),
    ],
)
def test_breakfast_splits_by_person(split, persons, official):
    annotation, problems = parse_breakfast([f"P{i:02d}/cam01/P{i:02d}_milk" for i in range(3, 55)], split)
    assert [item.names[0] for item in annotation.splits["val"]] == [f"P{i:02d}_milk" for i in persons]
    assert len(annotation.splits["train"]) == 52 - len(persons) and not problems
    assert annotation.official == dict(zip(("train", "val"), official, strict=True))


def test_breakfast_without_videos(tmp_path, run):
    (tmp_path / "data/breakfast/P03").mkdir(parents=True)
    assert "no folder named like P03_cereals or P03_cereals_ch0 below data/breakfast" in run("breakfast").error


# --- something, jester -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dataset, prefix, images, number",
    [
        ("something", "something-something-v1", "20bn-something-something-v1", 174),
        ("jester", "jester-v1", "20bn-jester-v1", 27),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_semicolons(tmp_path, run, dataset, prefix, images, number, end):
    root = tmp_path / "data" / dataset
    labels = ["Zooming, quickly", 'Approaching "it"', *(f"Label {i:03d}" for i in range(number - 2))]
    write(root / f"{prefix}-labels.csv", end.join(labels))  # the last line without an end
    write(root / f"{prefix}-train.csv", f"100218;Zooming, quickly{end}24413;Label 001{end}")
    write(root / f"{prefix}-validation.csv", f'7;"Approaching ""it"""{end}{end}')
    write(root / f"{prefix}-test.csv", f"42{end}43{end}")
    for video, num_frames in (("100218", 4), ("24413", 5), ("7", 6), ("42", 7)):
        frames(root / images / video, num_frames, "{:05d}.jpg")
    ran = run(dataset)
    assert lines(root / TRAIN) == [f"{images}/100218 4 {number - 1}", f"{images}/24413 5 2"]
    assert lines(root / VAL) == [f"{images}/7 6 0"]
    assert lines(root / "category.txt") == sorted(labels)  # the last is "Zooming, quickly"
    assert not (root / TEST).exists()
    assert "note: the test set has no labels" in ran.out
    write(root / "test-answers.csv", f"42;Label 000{end}43;Label 001{end}")
    assert "test              2" in run(dataset).out
    assert lines(root / TEST) == [f"{images}/42 7 1"]
    assert lines(root / "missing.txt") == ["test\t43\tno folder"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("train.csv", "1;Label 001\n2,Label 001\n", "train.csv: line 2: '2,Label 001' is not `id;label`"),
        ("train.csv", "1;Label 001\n2\n", "train.csv: line 2: '2' is not `id;label`"),
        ("validation.csv", "1;Label\n", "validation.csv: line 1: 'Label' is not in the labels file"),
        ("validation.csv", '1;"Label', "validation.csv: line 1: unexpected end of data"),
        ("labels.csv", "Label 001\nLabel 001\n", "labels.csv: line 2: 'Label 001' is not one new label"),
        ("labels.csv", "Label 001\n", "labels.csv: 1 classes, jester has 27"),
        ("validation.csv", None, "no jester-v1-validation.csv or validation.csv in data/jester/labels"),
    ],
)
def test_malformed_semicolons(tmp_path, run, name, content, message):
    root = tmp_path / "data/jester"
    write(root / "labels/labels.csv", "".join(f"Label {i:03d}\n" for i in range(27)))
    write(root / "labels/train.csv", "1;Label 001\n")
    write(root / "labels/validation.csv", "2;Label 001\n")
    frames(root / "frames/1", 2, "{:05d}.jpg")
    if content is None:
        (root / "labels" / name).unlink()
    else:
        write(root / "labels" / name, content)
    assert message in run("jester").error
    assert lists_in(root) == []


# --- somethingv2 -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ssv2(tmp_path):
    root = tmp_path / "data/somethingv2"
    labels = {
        "Holding something next to something": "1",
        "Approaching something with your camera": "0",
        "Putting number of something onto something": "2",
    }
    labels |= {f"Something {i}": str(i) for i in range(3, 174)}
    train = [
        {
            "id": "78687",
            "label": "holding potato next to vicks vaporub bottle",
            "template": "Holding [something] next to [something]",
            "placeholders": ["potato", "vaporub"],
        },
        {
            "id": "42326",
            "label": "putting 3 coins, two onto a table",
            "template": "Putting [number of] [something] onto [something]",
            "placeholders": ["3", "coins", "table"],
        },
    ]
    val = [
        {
            "id": "74225",
            "label": "approaching lamp with your camera",
            "template": "Approaching [something] with your camera",
            "placeholders": ["lamp"],
        }
    ]
    for name, content in {"labels": labels, "train": train, "validation": val, "test": [{"id": "1420"}]}.items():
        write(root / f"something-something-v2-{name}.json", json.dumps(content, indent=1))
    for video, num_frames in (("78687", 3), ("42326", 4), ("74225", 5), ("1420", 6)):
        frames(root / "frames" / video, num_frames, "{:06d}.jpg")
    return root


def test_somethingv2(ssv2, run):
    ran = run("somethingv2")
    assert lines(ssv2 / TRAIN) == ["frames/78687 3 1", "frames/42326 4 2"]
    assert lines(ssv2 / VAL) == ["frames/74225 5 0"]
    assert lines(ssv2 / "category.txt")[:4] == [
        "Approaching something with your camera",
        "Holding something next to something",
        "Putting number of something onto something",
        "Something 3",
    ]
    assert "note: the test set has no labels" in ran.out and not (ssv2 / TEST).exists()
    assert "warning: train: 2 videos, but 168913 are official" in ran.out
    write(ssv2 / "test-answers.csv", "1420;Something 173\n")
    assert "note:" not in run("somethingv2").out
    assert lines(ssv2 / TEST) == ["frames/1420 6 173"]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("labels", '{"a": "0",\n"b" "1"}', "v2-labels.json: line 2: Expecting ':' delimiter"),
        ("labels", '{"a": "nought"}', 'v2-labels.json: is not an object of `"label": "id"`'),
        ("labels", '["a"]', 'v2-labels.json: is not an object of `"label": "id"`'),
        ("labels", '{"a": "0"}', "v2-labels.json: 1 classes, somethingv2 has 174"),
        ("labels", json.dumps({f"Something {i}": i + 1 for i in range(174)}), "ids are not 0 to 173, each once"),
        ("train", '{"id": "1"}', "v2-train.json: is not a list of items"),
        ("train", '[{"id": "1"}]', "v2-train.json: item 1 lacks `id` or `template`: {'id': '1'}"),
        (
            "validation",
            '[{"id": "1", "template": "[Anything]"}]',
            "v2-validation.json: item 1 (id 1): template 'Anything' is not in something-something-v2-labels.json",
        ),
    ],
)
def test_malformed_somethingv2(ssv2, run, name, content, message):
    write(ssv2 / f"something-something-v2-{name}.json", content)
    assert message in run("somethingv2").error
    assert not list(ssv2.glob("*.txt"))


# --- kinetics --------------------------------------------------------------------------------------------------------

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\r\n"


@pytest.fixture
def kinetics(tmp_path):
    """Kinetics in the first release's form; every class has one training video, most of them are not there."""
    root = tmp_path / "data/kinetics"
    rows = [
        '"massaging person\'s head",-a_B-12,84,94,train,0',
        "passing American football (in game),dE-_f,0,10,train,0",
        '"a, quoted label",zz9,7,17,train,1',
    ]
    rows += [f"zumba {i:03d},id{i},1,11,train,0" for i in range(397)]
    write(root / "annotations/kinetics_train.csv", HEADER + "\r\n".join(rows) + "\r\n")
    write(root / "annotations/kinetics_val.csv", HEADER + "zumba 396,QQ,000123,133,val,0\r\n")
    frames(root / "frames/massaging_persons_head/-a_B-12_84", 3, "img_{:05d}.jpg")
    frames(root / "frames/train/passing American football (in game)/dE-_f_000000_000010", 4, "img_{:05d}.jpg")
    frames(root / "frames/a,_quoted_label/zz9_000007_000017", 5, "img_{:05d}.jpg")
    frames(root / "frames/val/QQ_000123_000133", 6, "img_{:05d}.jpg")
    return root


def test_kinetics(kinetics, run):
    ran = run("kinetics")
    assert lines(kinetics / TRAIN) == [
        "frames/massaging_persons_head/-a_B-12_84 3 1",
        "frames/train/passing American football (in game)/dE-_f_000000_000010 4 2",
        "frames/a,_quoted_label/zz9_000007_000017 5 0",
    ]
    assert lines(kinetics / VAL) == ["frames/val/QQ_000123_000133 6 399"]
    assert lines(kinetics / "category.txt")[:4] == [
        "a, quoted label",
        "massaging person's head",
        "passing American football (in game)",
        "zumba 000",
    ]
    assert lines(kinetics / "missing.txt")[0] == "train\tzumba_000/id0_1\tno folder"
    assert "warning: 397 videos are missing or broken" in ran.out
    assert "train           400          -          3        397\n" in ran.out
    assert len(read_list(kinetics / TRAIN, kinetics, DATASETS["kinetics"])) == 3


def test_kinetics_test_set(kinetics, run):
    write(kinetics / "annotations/kinetics_test.csv", "youtube_id,time_start,time_end,split\r\nTT,1,11,test\r\n")
    assert "note: the test set has no labels" in run("kinetics").out
    assert not (kinetics / TEST).exists()
    write(
        kinetics / "annotations/kinetics_test.csv",
        "label,youtube_id,time_start,time_end,split\r\nzumba 000,QQ,123,133,test\r\n",
    )
    (kinetics / "frames/val").rename(kinetics / "frames/test")
    assert f"warning: val: no video found, so there is no {VAL}" in run("kinetics").out
    assert lines(kinetics / TEST) == ["frames/test/QQ_000123_000133 6 3"]


@pytest.mark.parametrize(
    "content, message",
    [
        (
            "label,youtube_id\n",
            "kinetics_val.csv: line 1: the header must name label, youtube_id, time_start, time_end",
        ),
        ("", "kinetics_val.csv: line 1: the header must name"),
        (HEADER + "zumba 001,a\n", "kinetics_val.csv: line 2: 'zumba 001,a' does not fit the header"),
        (
            HEADER + "\nzumba 001,a,b,c,val,0\n",
            "kinetics_val.csv: line 3: 'zumba 001,a,b,c,val,0' does not fit the header",
        ),
        (HEADER + "zumba 001,,1,11,val,0\n", "kinetics_val.csv: line 2: label or youtube_id is empty"),
        (HEADER + "zumba,a,1,11,val,0\n", "401 classes, kinetics has 400; for a part of a dataset use"),
    ],
)
def test_malformed_kinetics(kinetics, run, content, message):
    write(kinetics / "annotations/kinetics_val.csv", content)
    assert message in run("kinetics").error
    assert lists_in(kinetics) == []


# --- egogestar -------------------------------------------------------------------------------------------------------


@pytest.fixture
def egogestar(tmp_path):
    """Two of EgoGestAR's videos of every class, as extracted, and of the class that is in no fold."""
    root = tmp_path / "data/egogestar"
    for name in (*EGOGESTAR, "unclassified"):
        for i in (1, 2):
            frames(root / f"testvideo/testvideo_{name}_{i}", 2 + i, "img_{:05d}.jpg")
    return root


def test_egogestar(egogestar, run):
    ran = run("egogestar")
    assert ran.code == 0 and "train           160        160         15        145\n" in ran.out
    assert "val              57         57          5         52\n" in ran.out
    assert "note: in no fold, and so in no list: the class unclassified" in ran.out
    assert lines(egogestar / TRAIN)[:2] == ["testvideo/testvideo_up_1 3 0", "testvideo/testvideo_down_1 3 1"]
    assert lines(egogestar / VAL)[0] == "testvideo/testvideo_up_2 4 0"
    assert lines(egogestar / "category.txt") == EGOGESTAR
    assert lines(egogestar / "missing.txt")[0] == "train\ttestvideo/testvideo_up_3\tno folder"
    assert ran.out.endswith("next: python main.py egogestar RGB\n")
    read_list(egogestar / VAL, egogestar, DATASETS["egogestar"])


def test_egogestar_folds_have_lists_of_their_own(egogestar, run):
    (egogestar / "testvideo").rename(egogestar / "frames")  # the folders may lie anywhere in FRAMES
    ran = run("egogestar", "--split", "fold3")
    assert lines(egogestar / "val_fold3_videofolder.txt")[0] == "frames/testvideo_up_1 3 0"
    assert ran.out.endswith("--train_list train_fold3_videofolder.txt --val_list val_fold3_videofolder.txt\n")


def test_egogestar_folds_part_videos_and_scenes():
    rows = (Path(annotations.__file__).parent / "egogestar.csv").read_text().splitlines()[1:]
    scenes = {fold: {row.split(",")[4] for row in rows if row.split(",")[3] == fold} for fold in "0123"}
    assert sum(map(len, scenes.values())) == len(set().union(*scenes.values())) == 41
    found = {fold: parse_egogestar(Path(), None, fold).splits for fold in EGOGESTAR_FOLDS}
    assert [len(splits["val"]) for splits in found.values()] == [57, 58, 53, 49]
    assert all(len(splits["train"]) + len(splits["val"]) == 217 for splits in found.values())
    assert len({item.title for splits in found.values() for item in splits["val"]}) == 217


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "egogestar.csv: line 1: '' is not 'file,class,frames,fold,scene'"),
        ("file,class,frames,fold,scene\na.mp4,up,9,4,1\n", "egogestar.csv: line 2: 'a.mp4,up,9,4,1' is not"),
        ("file,class,frames,fold,scene\na.mp4,wave,9,0,1\n", "egogestar.csv: line 2: 'a.mp4,wave,9,0,1' is not"),
    ],
)
def test_malformed_egogestar(egogestar, run, content, message):
    write(egogestar / "mine/egogestar.csv", content)
    assert message in run("egogestar", "--annotations", egogestar / "mine").error
    assert lists_in(egogestar) == []


# --- folder ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """Two classes of ten and five videos at different depths, names with blanks, `#` and unicode."""
    root = tmp_path / "my data"
    for i in range(10):
        frames(root / f"frames/wave hand/day {i % 2}/clip #{i}", 3 + i, "img_{:05d}.jpg")
    for i in range(5):
        frames(root / f"frames/jump/é{i}", 2, "img_{:05d}.jpg")
    return root


def test_folder(own, run):
    ran = run("folder", "--root", "my data")
    assert ran.code == 0
    assert lines(own / "category.txt") == ["jump", "wave hand"]
    train, val = lines(own / TRAIN), lines(own / VAL)
    assert [sum(line.endswith(f" {label}") for line in val) for label in (0, 1)] == [1, 2]
    assert [sum(line.endswith(f" {label}") for line in train) for label in (0, 1)] == [4, 8]
    assert sorted(train + val) == sorted(
        [f"frames/jump/é{i} 2 0" for i in range(5)]
        + [f"frames/wave hand/day {i % 2}/clip #{i} {3 + i} 1" for i in range(10)]
    )
    text = (own / "dataset.json").read_text()
    assert list(json.loads(text)) == FIELDS
    assert json.loads(text) == {
        "num_class": 2,
        "image_tmpl": "img_{:05d}.jpg",
        "first_frame": 1,
        "flip": True,
        "train_list": TRAIN,
        "val_list": VAL,
        "category_file": "category.txt",
    }
    assert ran.out.endswith("next: python main.py './my data' RGB\n")
    spec = dataset_spec("./my data", dataset_root("./my data"))  # as main.py reads it
    assert spec == DatasetSpec(2, "img_{:05d}.jpg")
    assert len(read_list(own / TRAIN, own, spec)) == 12


def test_folder_keeps_what_a_user_wrote_into_the_description(own, run):
    assert run("folder", "--root", own).code == 0
    path = own / "dataset.json"
    by_hand = {"short_side": 320, "keep_damaged": True}
    path.write_text(json.dumps(json.loads(path.read_text()) | by_hand | {"num_class": 9}))
    ran = run("folder", "--root", own)
    assert "note: keep_damaged, short_side of the dataset.json that was there: as before" in ran.out
    facts = json.loads(path.read_text())
    assert [*facts] == [*FIELDS, "keep_damaged", "short_side"]
    assert facts["short_side"] == 320 and facts["keep_damaged"] is True and facts["num_class"] == 2
    path.write_text("{")
    ran = run("folder", "--root", own)
    assert ran.code == 2 and "dataset.json as JSON" in ran.err


def test_folder_split_is_stable(own, run):
    run("folder", "--root", own)
    first = lines(own / VAL)
    assert first == [
        "frames/jump/é1 2 0",
        "frames/wave hand/day 0/clip #2 5 1",
        "frames/wave hand/day 0/clip #4 7 1",
    ]
    run("folder", "--root", own, "--seed", "1")
    assert lines(own / VAL) != first
    for i in range(3):
        frames(own / f"frames/abseil/{i}", 2, "img_{:05d}.jpg")  # a new class does not change the others' split
    run("folder", "--root", own, "--no_flip")
    assert [line[:-1] for line in lines(own / VAL)[1:]] == [line[:-1] for line in first]
    assert json.loads((own / "dataset.json").read_text())["flip"] is False
    run("folder", "--root", own, "--val_fraction", "0.5")
    assert len(lines(own / VAL)) == 2 + 3 + 5


def test_folder_given_train_and_val(tmp_path, run):
    for i, name in enumerate(["train/b/x/1", "train/a/2", "val/a/3", "val/b/4", "test/b/5"]):
        frames(tmp_path / name, 2 + i, "{}.png", first=0)
    ran = run("folder", "--root", tmp_path)
    assert lines(tmp_path / TRAIN) == ["train/a/2 3 0", "train/b/x/1 2 1"]
    assert lines(tmp_path / VAL) == ["val/a/3 4 0", "val/b/4 5 1"]
    assert lines(tmp_path / TEST) == ["test/b/5 6 1"]
    spec = json.loads((tmp_path / "dataset.json").read_text())
    assert (spec["image_tmpl"], spec["first_frame"]) == ("{}.png", 0)
    assert "note: test has no video of a" in ran.out
    assert ran.out.endswith(f"next: python main.py {tmp_path} RGB\n")
    assert "is split into train and val already" in run("folder", "--root", tmp_path, "--val_fraction", "0.1").error
    frames(tmp_path / "val/c/6", 2, "{}.png", first=0)
    assert f"{tmp_path}/val/c: no such class in {tmp_path}/train" in run("folder", "--root", tmp_path).error
    (tmp_path / "videos").mkdir()
    assert "train and val stand beside videos" in run("folder", "--root", tmp_path).error


def test_folder_broken_videos(own, run):
    (own / "frames/jump/é0/img_00001.jpg").unlink()
    (own / "frames/wave hand/empty").mkdir()
    frames(own / "frames/flat", 3, "img_{:05d}.jpg")
    frames(own / "frames/once/only", 3, "img_{:05d}.jpg")
    ran = run("folder", "--root", own)
    assert lines(own / "category.txt") == ["jump", "once", "wave hand"]
    assert lines(own / "missing.txt") == [
        "-\tflat\tframes lie in the class's own folder, not in one a video",
        "-\twave hand/empty\tno pictures in it",
        "-\tjump/é0\tfirst frame is img_00002.jpg, not img_00001.jpg",
    ]
    assert f"note: flat has no sound video in {own}/frames, so it is no class" in ran.out
    assert "note: val has no video of once" in ran.out
    assert "frames/once/only 3 1" in lines(own / TRAIN)


def test_folder_names_that_no_list_can_hold(own, run):
    (own / "frames/jump/é0").rename(own / "frames/jump/ends in a blank ")
    (own / "frames/jump/é1").rename(own / "frames/jump/two\nlines")
    os.mkdir(os.fsencode(own / "frames") + b"/caf\xe9")
    frames(own / "frames/caf\udce9/video", 2, "img_{:05d}.jpg")
    assert run("folder", "--root", own).code == 0
    reason = "the name has blanks at its ends, or characters that break lines or are not Unicode"
    assert sorted(lines(own / "missing.txt")) == [
        f"-\tcaf\\udce9\t{reason}",
        f"train\tjump/ends in a blank \t{reason}",
        f"train\tjump/two\\nlines\t{reason}",
    ]
    assert lines(own / "category.txt") == ["jump", "wave hand"]
    listed = lines(own / TRAIN) + lines(own / VAL)
    assert len(listed) == 13 and not any("blank" in line or "two" in line for line in listed)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--val_fraction", "1"], "argument --val_fraction: '1' is not a number between 0 and 1"),
        (["--val_fraction", "nan"], "argument --val_fraction: 'nan' is not a number between 0 and 1"),
        (["--first_frame", "-1"], "--first_frame"),
        (
            ["--image_tmpl", "frame_{:05d}.jpg"],
            "0 classes with sound videos, 2 or more are needed (the first of 15 problems"
            ": jump/é0: no frame_{:05d}.jpg in it, but img_00001.jpg)",
        ),
        (["--frames", "my data/frames/jump"], "no <class>/<video>/<frames> in my data/frames/jump (the first of 5"),
        (["--frames", "my data/frames/wave hand/day 0/clip #0"], "no <class>/<video>/<frames> in"),
    ],
)
def test_folder_refusals(own, run, words, message):
    assert message in run("folder", "--root", "my data", *words).error
    assert lists_in(own) == []


def test_folder_ambiguous_template(own, run):
    frames(own / "frames/jump/flow", 2, "flow_x_{:05d}.jpg")
    error = run("folder", "--root", "my data").error
    assert error.startswith("my data/frames: frames are named in 2 ways: flow_x_{:05d}.jpg (jump/flow/flow_x_0000")
    assert error.endswith("choose one with --image_tmpl")
    assert lists_in(own) == []
    assert run("folder", "--root", "my data", "--image_tmpl", "img_{:05d}.jpg").code == 0
    assert lines(own / "missing.txt") == ["-\tjump/flow\tno img_{:05d}.jpg in it, but flow_x_00001.jpg"]


def test_links_in_circles(own, run):
    (own / "frames/jump/again").symlink_to(own / "frames")
    assert run("folder", "--root", own).code == 0
    assert len(lines(own / TRAIN) + lines(own / VAL)) == 15


# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names, template, first",
    [
        (["img_00001.jpg", "img_00002.jpg"], "img_{:05d}.jpg", 1),
        (["1.jpg", "9.jpg", "10.jpg", "Thumbs.db", "cover.jpg"], "{}.jpg", 1),
        (["0.jpg", "1.jpg"], "{}.jpg", 0),
        (["99.png", "100.png", "01.png"], "{:02d}.png", 1),
        (["v1_07.JPG"], "v1_{:02d}.JPG", 7),
        (["a{b}_01.jpg"], "a{{b}}_{:02d}.jpg", 1),
        (["frame (1).jpg", "frame (2).jpg"], "frame ({}).jpg", 1),
        (["00001_rgb.jpg", "00002_rgb.jpg"], "{:05d}_rgb.jpg", 1),
        (["00001_rgb2.jpg", "00002_rgb2.jpg"], "{:05d}_rgb2.jpg", 1),
        (["7_of_9.jpg"], "7_of_{}.jpg", 9),
        (["1.jpg", "._1.jpg", ".2.jpg"], "{}.jpg", 1),
    ],
)
def test_guess(tmp_path, names, template, first):
    (tmp_path / "video").mkdir()
    for name in names:
        (tmp_path / "video" / name).touch()
    assert guess_template(tmp_path, ["video"]) == template
    assert guess_first(tmp_path, ["video"], template) == first


@pytest.mark.parametrize("names", [["1.jpg", "00002.jpg"], ["001.jpg", "0002.jpg"], ["1.jpg", "2.png"]])
def test_guess_is_ambiguous(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="named in 2 ways"):
        guess_template(tmp_path, ["."])


def test_first_frame_is_that_of_most_videos(tmp_path):
    for name, first in (("a", 0), ("b", 1), ("c", 1)):
        frames(tmp_path / name, 3, "{}.jpg", first)
    assert guess_first(tmp_path, ["a", "b", "c"], "{}.jpg") == 1
    assert FrameCounter("{}.jpg", 1).count(str(tmp_path / "a")) == (0, "first frame is 0.jpg, not 1.jpg")


def test_videos_may_begin_at_numbers_of_their_own(tmp_path, run):
    """As clips that keep the numbers of the long video they were cut from."""
    for label, name in enumerate("ab"):
        for i in range(3):
            frames(tmp_path / f"d/{name}/v{i}", 4, "frame_{:06d}.jpg", 1000 * (3 * label + i))
    said = run("folder", "--root", "d").out
    assert "frames frame_{:06d}.jpg, every video begins with its own, in d" in said
    spec = dataset_spec("./d", tmp_path / "d")
    assert spec.first_frame is None and not (tmp_path / "d/missing.txt").exists()
    videos = read_list(tmp_path / "d" / TRAIN, tmp_path / "d", spec) + read_list(
        tmp_path / "d" / VAL, tmp_path / "d", spec
    )
    assert sorted(video.path for video in videos) == [f"{name}/v{i}" for name in "ab" for i in range(3)]
    (tmp_path / "d/a/v1/frame_001002.jpg").unlink()
    run("folder", "--root", "d", "--first_frame", "own")
    assert lines(tmp_path / "d/missing.txt") == ["-\ta/v1\tgap: 3 frames up to 1003, but no frame_001002.jpg"]


def test_a_folder_that_cannot_be_written_is_named_with_a_way_out(own, run, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    for name in ("write_text", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    assert run("folder", "--root", "my data").error == (
        "cannot write into my data: Read-only file system; give --root a folder of your own that links to the frames:"
        f" mkdir MINE && ln -s '{own}/frames' MINE/frames"
    )


def test_pictures_that_are_no_frames_are_counted(own, run):
    for name in ("jump/é0/cover.jpg", "jump/é1/img_1.png", "wave hand/day 0/clip #0/thumbs/img_00001.jpg"):
        (own / "frames" / name).parent.mkdir(exist_ok=True)
        (own / "frames" / name).touch()
    ran = run("folder", "--root", "my data", "--image_tmpl", "img_{:05d}.jpg")
    assert "\nnote: 2 pictures are not named img_{:05d}.jpg, so they are no frames\n" in ran.out
    inside, outside = "wave hand/day 0/clip #0/thumbs", "wave hand/day 0/clip #0"
    assert lines(own / "missing.txt") == [f"-\t{inside}\tlies inside {outside}, which holds pictures itself"]


def test_one_writer_at_a_time(own, run):
    with claimed(own):
        assert run("folder", "--root", "my data").error == "another run is writing to my data"
    assert lists_in(own) == [] and run("folder", "--root", "my data").code == 0


def test_hidden_files_and_folders_are_left_alone(own, run):
    """As macOS leaves them on other disks."""
    for picture in list(own.rglob("*.jpg")):
        (picture.parent / f"._{picture.name}").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")
    frames(own / "frames/jump/.Trashes/old", 2, "img_{:05d}.jpg")
    assert run("folder", "--root", "my data").code == 0
    assert not (own / "missing.txt").exists() and len(lines(own / TRAIN) + lines(own / VAL)) == 15


@pytest.mark.parametrize(
    "template, names, counted",
    [
        ("img_{:05d}.jpg", ["img_00001.jpg", "img_00002.jpg", "flow_x_00001.jpg", "img_3.jpg"], (2, "")),
        ("{:02d}.jpg", [f"{i:02d}.jpg" for i in range(1, 121)], (120, "")),
        ("{}.jpg", [f"{i}.jpg" for i in (1, 2, 4)], (0, "gap: 3 frames up to 4, but no 3.jpg")),
        ("{:03d}.jpg", ["001.jpg", "003.jpg"], (0, "gap: 2 frames up to 3, but no 002.jpg")),
        ("{}.jpg", ["01.jpg"], (0, "no {}.jpg in it, but 01.jpg")),
        ("{}.jpg", [], (0, "no {}.jpg in it, it is empty")),
    ],
)
def test_count(tmp_path, template, names, counted):
    for name in names:
        (tmp_path / name).touch()
    assert FrameCounter(template, 1).count(str(tmp_path)) == counted


# --- the program -----------------------------------------------------------------------------------------------------


def test_help_shows_an_example_for_each_dataset(run):
    general = run("--help").out
    for name in [*PARSERS, "breakfast", "folder"]:
        ran = run(name, "--help")
        assert ran.code == 0 and f"example:\n  python tools/make_lists.py {name}" in ran.out
        assert f"  python tools/make_lists.py {name}" in general
    assert run().code == 2


def test_as_a_program(own, run_process):
    done = run_process("folder", "--root", own, program="tools/make_lists.py")
    assert done.code == 0 and not done.err
