"""The declaration of an option: help texts, and the values that could have been given."""

from dataclasses import MISSING

import pytest

from ops.options.option import Option
from ops.options.types import file_path, frame_cap, number


def make(default, **about):
    return Option("speed", default, "how fast", "place", **about)


@pytest.mark.parametrize(
    "option, text",
    [
        (make(3), "how fast (default 3)"),
        (make(30.0), "how fast (default 30)"),
        (make(5e-4), "how fast (default 0.0005)"),
        (make((50.0, 100.0), many=True), "how fast (default 50 100)"),
        (make("auto"), "how fast (default auto)"),
        (make(None), "how fast"),
        (make(False), "how fast"),
        (make(MISSING), "how fast"),
        (Option("speed", 3, "how fast (default: as fast as it can)", "place"), "how fast (default: as fast as it can)"),
    ],
)
def test_help_tells_defaults(option, text):
    assert option.text == text


def test_spellings():
    option = make(3, aliases=("--velocity", "-v"))
    assert option.flags == ["-v", "--speed", "--velocity"]


@pytest.mark.parametrize(
    "option, right, wrong",
    [
        (make(3, type=number(int, least=1)), [1, 9], [0, 1.5, "fast", None, True, (1,)]),
        (make(0.5, type=number(float, most=1)), [0.25, 1], [2, "x", None, float("nan")]),
        (make(None, type=number(int)), [None, 1], ["x"]),
        (make(None, type=frame_cap), [None, 64], [0, "all"]),
        (make(False), [True, False], [1, "yes", None]),
        (make("a", choices={"a": 1, "b": 2}), ["a", "b"], ["c", 1, None, ["a"]]),
        (make(MISSING), ["x"], [None, 3]),
        (make("log", type=file_path), ["x", "~/x"], [None, 3]),
        (make((1.0,), many=True, type=number(float, above=0)), [(1.0, 2.0)], [1.0, (0.0,), None, [1.0]]),
    ],
)
def test_values_that_could_be_given(option, right, wrong):
    assert [value for value in right if not option.accepts(value)] == []
    assert [value for value in wrong if option.accepts(value)] == []


def test_facts_that_an_option_does_not_have():
    with pytest.raises(TypeError, match="colour"):
        make(3, colour="red")
