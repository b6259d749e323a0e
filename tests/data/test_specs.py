"""Where datasets are and what is known of them: the registry, dataset.json, the command line's words."""

import json
from pathlib import Path

import pytest

from ops.data.frame_names import check_template
from ops.data.specs import DATASETS, DatasetSpec, dataset_root, dataset_spec
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


def test_a_dataset_that_describes_itself(tmp_path):
    facts = {"num_class": 3, "image_tmpl": "{:04d}.png", "first_frame": 0, "flip": False, "train_list": "t.txt"}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    assert dataset_spec("mine", tmp_path) == DatasetSpec(3, "{:04d}.png", 0, False, train_list="t.txt")
    assert dataset_spec("mine", tmp_path, num_class=5, val_list=None).num_class == 5  # given words win
    assert dataset_spec("ucf101", tmp_path) == DATASETS["ucf101"]  # a registered name is not redefined


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
