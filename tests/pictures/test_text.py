"""Text in pictures: any name in one line that can be drawn and fits."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.pictures.confusion import LONGEST_NAME, LONGEST_TITLE, confusion_picture, confusion_pixels
from ops.pictures.text import drawn_line, one_line, plotted_line

NAMES = {  # a file's or class's name -> what stands in pictures
    "left_0": "left_0",
    "Ba$$in": "Ba$$in",
    "cost $5_ to $6": "cost $5_ to $6",
    r"$x_{1$ \frac{}": r"$x_{1$ \frac{}",
    "_hidden": "_hidden",
    "two\nlines\r\t": r"two\nlines\r\t",
    "\x1b[31mred\x00": r"\x1b[31mred\x00",
    "safe\u202egpj.exe": r"safe\u202egpj.exe",
    "no\ufeffspace\u200d": r"no\ufeffspace\u200d",
    "caf\udce9": r"caf\udce9",  # a byte that is no UTF-8
    "": "",
}


@pytest.mark.parametrize("name, shown", NAMES.items())
def test_names_as_they_are_and_no_character_hidden(name, shown):
    assert drawn_line(name, 12).text == shown


@pytest.mark.parametrize("name, shown", NAMES.items())
def test_matplotlib_is_given_the_same(name, shown):
    pytest.importorskip("matplotlib")
    assert plotted_line(name, 10) == shown


def test_what_has_no_glyph_is_told_by_its_number():
    assert one_line("caf\u00e9 \u4e2d\U0001f600", str.isascii, lambda line: True) == r"caf\xe9 \u4e2d\U0001f600"
    assert one_line("cafe\u0301", lambda c: c != "\u0301", lambda line: True) == "caf\u00e9"  # in one character


@given(st.text(), st.integers(3, 30))
def test_a_line_fits_and_keeps_both_ends(text, longest):
    line = one_line(text, str.isascii, lambda line: len(line) <= longest)
    whole = one_line(text, str.isascii, lambda line: True)
    assert line.isprintable() and len(line) <= longest
    assert line == whole or (len(whole) > longest and len(line) == longest)
    if line != whole:
        head, tail = line[: -(-(longest - 3) // 2)], line[longest - (longest - 3) // 2 :]
        assert line == f"{head}...{tail}" and whole.startswith(head) and whole.endswith(tail)


def test_long_names_in_pixels_and_inches():
    long = "left" * 5000 + "right"
    line = drawn_line(long, 20, 300)
    assert line.width <= 301 and line.text.startswith("leftleft") and line.text.endswith("right")
    assert drawn_line(long, 20, 0).text == "..."
    pytest.importorskip("matplotlib")
    assert 30 < len(plotted_line(long, 10, 3)) < 60


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=400), min_size=1, max_size=4), st.text())
def test_confusion_of_classes_of_any_name(names, title):
    picture = confusion_pixels(np.eye(len(names), dtype=int), names, title)
    assert picture.shape[0] < LONGEST_NAME + 600 and picture.shape[1] < LONGEST_NAME + LONGEST_TITLE + 200


def test_ordinary_confusion_shows_a_name_in_pillows_own_font():
    assert drawn_line("left", 20).font is drawn_line("right", 20).font
    plain, other = (confusion_picture(np.eye(2, dtype=int), ["a", name], "t") for name in ("left", "le$t"))
    assert plain != other


def test_figures_draw_dollars_and_lose_no_glyph(tmp_path):
    pytest.importorskip("matplotlib")
    from ops.pictures.methods import CutVideo, draw_methods
    from ops.pictures.video import draw_prediction

    torch = pytest.importorskip("torch")
    frames = [torch.zeros(3, 4, 4, dtype=torch.uint8)] * 3
    for number, name in enumerate([" ".join(NAMES) + "\u4e2d\u6587", "x" * 9999]):
        video = CutVideo(name, frames, np.arange(3), [0.0, 0.1, 0.2], {"slope": [0, 0, 1]}, None)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of glyphs that it lacks
            draw_methods(video, tmp_path / f"{number}.png")
            draw_prediction(video, name, name, tmp_path / f"{number}.svg")
        assert (tmp_path / f"{number}.png").stat().st_size and (tmp_path / f"{number}.svg").stat().st_size
