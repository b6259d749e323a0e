"""Where datasets are and what is known of them: the registry, dataset.json, the command line's words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ops.data.frame_names import check_template
from ops.data.specs import DATASETS, DatasetSpec, dataset_file, dataset_name, dataset_root, dataset_spec
from ops.errors import InputError


def test_the_registry_holds_the_published_facts():
    facts = {name: (s.num_class, s.image_tmpl.format(7), s.first_frame, s.flip) for name, s in DATASETS.items()}
    assert facts == {
        "movingmnist": (4, "7.jpg", 0, False),
        "ucf101": (101, "img_000007.jpg", 1, True),
        "hmdb51": (51, "img_00007.jpg", 1, True),
        "breakfast": (10, "img_000007.jpg", 1, True),
        "something": (174, "00007.jpg", 1, False),
        "somethingv2": (174, "000007.jpg", 1, False),
        "jester": (27, "00007.jpg", 1, False),
        "kinetics": (400, "img_00007.jpg", 1, True),
        "egogestar": (10, "img_00007.jpg", 1, False),
    }


def test_where_a_dataset_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    assert dataset_root("ucf101") == Path("data/ucf101")
    assert dataset_root("ucf101", "there") == Path("there")
    monkeypatch.setenv("FULL_VIDEO_DATA", "/big/disk")
    assert dataset_root("ucf101") == Path("/big/disk/ucf101")
    (tmp_path / "mine").mkdir()
    assert dataset_root("mine") == Path("/big/disk/mine")
    (tmp_path / "mine/dataset.json").write_text("{}")
    assert dataset_root("mine") == Path("mine")
    assert dataset_root("mine", "there") == Path("there")


def test_a_dataset_is_called_the_same_however_it_is_given(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    given = ["mine", "mine/", "data/mine", "../mine", ".", str(tmp_path / "mine"), f"{tmp_path}/mine/"]
    assert {dataset_name(name) for name in given} == {"mine"}
    assert dataset_name("something") != dataset_name("somethingv2")


def test_a_folder_here_that_is_called_like_a_known_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    (tmp_path / "ucf101").mkdir()
    assert dataset_root("ucf101") == Path("data/ucf101")
    (tmp_path / "ucf101/dataset.json").write_text("{}")
    with pytest.raises(InputError, match="say which is meant: ./ucf101, or --root_path data/ucf101"):
        dataset_root("ucf101")
    assert dataset_root("./ucf101") == Path("ucf101")
    assert dataset_root("ucf101", "data/ucf101") == Path("data/ucf101")


def test_a_description_wins_over_the_registry_and_flags_over_both(tmp_path):
    (tmp_path / "dataset.json").write_text('{"num_class": 3, "first_frame": null, "keep_damaged": true}', "utf-8-sig")
    spec = dataset_spec("ucf101", tmp_path, image_tmpl="{}.png")
    assert (spec.num_class, spec.first_frame, spec.keep_damaged, spec.image_tmpl) == (3, None, True, "{}.png")
    assert dataset_spec("ucf101", tmp_path, num_class=2).num_class == 2
    assert dataset_spec("ucf101", tmp_path / "nowhere") == DATASETS["ucf101"]


def test_plain_names_are_files_of_the_dataset_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path("data")
    (tmp_path / "data/lists").mkdir(parents=True)
    assert dataset_file(root, "a.txt") == Path("data/a.txt")
    (tmp_path / "a.txt").touch()
    assert dataset_file(root, "a.txt") == Path("a.txt")
    (tmp_path / "data/a.txt").touch()
    assert dataset_file(root, "a.txt") == Path("data/a.txt")
    assert dataset_file(root, "./a.txt") == Path("a.txt")
    assert dataset_file(root, str(tmp_path / "a.txt")) == tmp_path / "a.txt"
    (tmp_path / "data/lists/b.txt").touch()
    assert dataset_file(root, "lists/b.txt") == Path("data/lists/b.txt")


def test_a_dataset_that_describes_itself(tmp_path):
    facts = {"num_class": 3, "image_tmpl": "{:04d}.png", "first_frame": 0, "flip": False, "train_list": "t.txt"}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    assert dataset_spec("mine", tmp_path) == DatasetSpec(3, "{:04d}.png", 0, False, train_list="t.txt")
    assert dataset_spec("mine", tmp_path, num_class=5, val_list=None).num_class == 5  # given words win
    assert dataset_spec("ucf101", tmp_path) == replace(DATASETS["ucf101"], **facts)  # what lies there is nearer


def test_a_dataset_described_by_words_alone(tmp_path):
    assert dataset_spec("mine", tmp_path, num_class=3, image_tmpl="{}.jpg", flip=False) == DatasetSpec(
        3, "{}.jpg", flip=False
    )
    with pytest.raises(InputError, match="unknown dataset 'mine': known are movingmnist, .*give --image_tmpl and"):
        dataset_spec("mine", tmp_path, num_class=3)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot read .*dataset.json as JSON"),
        ("[1]", "must be an object with fields among num_class, image_tmpl"),
        ('{"classes": 3}', "must be an object with fields among"),
        ('{"num_class": "3", "image_tmpl": "{}.jpg"}', "num_class is '3', must be of type int"),
        ('{"num_class": true, "image_tmpl": "{}.jpg"}', "num_class is True, must be of type int"),
        ('{"num_class": 0, "image_tmpl": "{}.jpg"}', "num_class is 0, must be at least 1"),
        ('{"num_class": 2, "image_tmpl": "frame.jpg"}', "'frame.jpg' does not name files by number"),
        ('{"num_class": 2, "image_tmpl": "{}.jpg", "flow_tmpl": 3}', "flow_tmpl is 3, must be of type str"),
    ],
)
def test_bad_descriptions(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=message):
        dataset_spec("mine", tmp_path)


def test_templates():
    for good in ("{}.jpg", "img_{:05d}.jpg", "{0:06d}.png"):
        check_template(good)
    for bad in ("", "img.jpg", "{}{}.jpg", "{name}.jpg", "{:05s}.jpg", "{.jpg", "a/{}.jpg", "{!r:>3z}.jpg", "{0[2]}"):
        with pytest.raises(InputError, match="does not name files by number; give one such as 'img_"):
            check_template(bad)
    for good in ("flow_{}_{:05d}.jpg", "{:06d}-{}_{:05d}.jpg"):
        check_template(good, flow=True)
    for bad in ("{}.jpg", "{:05d}_{}.jpg", "{}_{}_{}_{}.jpg"):
        with pytest.raises(InputError, match="give one such as 'flow_"):
            check_template(bad, flow=True)


def test_flow_images():
    assert dataset_spec("ucf101", Path(), "Flow").image_tmpl == "flow_{}_{:05d}.jpg"
    assert dataset_spec("ucf101", Path(), "Flow", image_tmpl="{}{:d}.png").image_tmpl == "{}{:d}.png"
    assert dataset_spec("ucf101", Path(), "RGBDiff").image_tmpl == "img_{:06d}.jpg"
    with pytest.raises(InputError, match="how the flow images of breakfast are named is not known; give --image_tmpl"):
        dataset_spec("breakfast", Path(), "Flow")
