"""Names of frames: which files are pictures, and templates there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.data.frame_names import by_number, frame_numbers, is_flow, is_picture, name_pattern


@pytest.mark.parametrize("name", ["1.jpg", "a.JPEG", "b.png", "c.webp", "d.TIF"])
def test_pictures(name):
    assert is_picture(name) and not is_picture("." + name) and not is_picture("._" + name)


def test_no_pictures():
    assert not any(map(is_picture, ["Thumbs.db", "v.mp4", "jpg", "notes.txt", "1.jpg.partial"]))


def test_the_order_of_numbers():
    assert sorted(["v2_10.png", "v2_9.png", "v1_11.png", "a.png"], key=by_number) == [
        "a.png",
        "v1_11.png",
        "v2_9.png",
        "v2_10.png",
    ]


@given(
    st.sampled_from(["{}.jpg", "img_{:05d}.jpg", "{:02d}.png", "a{{b}}_{:d}.jpg", "{:5d}.jpg"]), st.integers(0, 10**7)
)
def test_a_template_takes_back_what_it_gives(template, number):
    assert not is_flow(template)
    assert frame_numbers(template, [template.format(number), "other.txt"]) == [number]


@pytest.mark.parametrize("template, video", [("flow_{}_{:05d}.jpg", ()), ("{:06d}-{}_{:05d}.jpg", (12,))])
def test_flow_has_two_files_of_each_frame(template, video):
    names = [template.format(*video, axis, number) for axis in "xy" for number in (3, 1, 123456)]
    assert is_flow(template)
    assert frame_numbers(template, [*names, "img_00001.jpg"]) == [1, 3, 123456]


@pytest.mark.parametrize("name", ["img_1.jpg", "img_000001.jpg", "img_00001.jpg.bak", "._img_00001.jpg"])
def test_names_of_another_width_or_kind_are_not_taken(name):
    assert not name_pattern("img_{:05d}.jpg").fullmatch(name)
