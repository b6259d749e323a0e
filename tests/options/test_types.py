"""What words of the command line may be."""

import argparse

import pytest

from ops.live.spans import Span
from ops.options.types import span


@pytest.mark.parametrize(
    "text, value, said",
    [
        ("2", Span(2.0), "2 s"),
        ("0.5s", Span(0.5), "0.5 s"),
        ("64f", Span(64, True), "64 frames"),
        ("1f", Span(1, True), "1 frame"),
    ],
)
def test_spans_are_seconds_or_frames(text, value, said):
    assert span(text) == value and str(value) == said


@pytest.mark.parametrize("text", ["", "f", "2x", "1.5f", "0", "0f", "-1", "nan", "inf", "1e9"])
def test_other_spans_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        span(text)


def test_parts_of_spans():
    assert Span(2.0).part(4) == Span(0.5)
    assert (Span(64, True).part(4), Span(3, True).part(4)) == (Span(16, True), Span(1, True))
