"""A checkpoint knows its data: class names and lists are compared where it meets a data set again."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ops.data.lists import Video
from ops.errors import InputError
from ops.options.config import Config
from ops.run.identity import changed_lists, check_class_names, describe_data, stored_class_names

NAMES = ["up", "down", "left", "right"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "category.txt").write_text("\n".join(NAMES))
    return Config("movingmnist", "RGB", root_path=str(tmp_path))


def of_lists(**lists):
    """Loaders of splits, as far as their videos go."""
    return {split: SimpleNamespace(dataset=SimpleNamespace(videos=videos)) for split, videos in lists.items()}


def test_class_names_are_those_of_the_file(config, tmp_path):
    assert describe_data(config, {}, {})["class_names"] == NAMES
    (tmp_path / "category.txt").unlink()
    assert describe_data(config, {}, {})["class_names"] is None
    assert describe_data(config, {}, {"class_names": NAMES})["class_names"] == NAMES  # of the checkpoint gone on from
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    assert describe_data(replace(config, category_file="names.txt"), {}, {})["class_names"] == ["a", "b", "c", "d"]


def test_labels_that_stand_for_other_classes(config, tmp_path):
    check_class_names(NAMES, config, "w.pth")
    check_class_names(None, config, "w.pth")
    with pytest.raises(InputError) as error:
        check_class_names(["up", "left", "down", "right"], config, "w.pth")
    assert f"class 1 is 'left' for w.pth and 'down' in {tmp_path / 'category.txt'}" in str(error.value)
    (tmp_path / "category.txt").unlink()
    check_class_names(["a", "b", "c", "d"], config, "w.pth")  # here nothing names them


def test_names_in_a_damaged_checkpoint():
    assert stored_class_names({}, 2, "w.pth") is None and stored_class_names({"class_names": None}, 2, "w.pth") is None
    assert stored_class_names({"class_names": ["a", "b"]}, 2, "w.pth") == ["a", "b"]
    for names in (["a"], ["a", 3]):
        with pytest.raises(InputError, match="w.pth is damaged"):
            stored_class_names({"class_names": names}, 2, "w.pth")


def test_what_makes_another_list(config):
    videos = [Video("a", 5, 0), Video("b", 6, 1)]
    content = describe_data(config, of_lists(train=videos, val=videos), {})
    others = [videos[:1], videos[::-1], [replace(videos[0], num_frames=4), videos[1]], [videos[0], Video("b", 6, 2)]]
    for other in others:
        assert changed_lists(content, describe_data(config, of_lists(train=videos, val=other), {})) == ["val"]
    assert changed_lists(content, describe_data(config, of_lists(train=[*videos], val=[*videos]), {})) == []
    assert changed_lists({}, content) == []  # of an earlier version
