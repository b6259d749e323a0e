"""The command line's parser; how programs end on bad input is in tests/programs/test_bad_input.py."""

from pathlib import Path

import pytest

from ops.options.cli import ArgumentParser


def test_paths_from_home_in_any_program(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    parser = ArgumentParser()
    parser.add_argument("--out", type=Path)
    sub = parser.add_subparsers(dest="command").add_parser("draw")
    sub.add_argument("folder", type=Path)
    sub.add_argument("--title")
    values = parser.parse_args(["--out=~/x", "draw", "~", "--title=~"])
    assert (values.out, values.folder, values.title) == (Path("/home/me/x"), Path("/home/me"), "~")
    assert parser.parse_args(["--out=~nobody_here/x"]).out == Path("~nobody_here/x")


@pytest.mark.parametrize("words", [["--out="], ["a", ""], ["", "b"]])
def test_an_empty_path_is_not_the_current_folder(capsys, words):
    parser = ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("videos", type=Path, nargs="*")
    with pytest.raises(SystemExit):
        parser.parse_args(words)
    assert "its value is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, says",
    [
        ("--gpus 0 1", ["CUDA_VISIBLE_DEVICES", "--device", "torchrun"]),
        ("--gpus=0 -p 5", ["CUDA_VISIBLE_DEVICES", "--print_freq"]),
        ("--no-partialbn", ["it is --npb"]),
    ],
)
def test_flags_of_tsm_that_are_not_here(capsys, words, says):
    with pytest.raises(SystemExit):
        ArgumentParser(prog="main.py").parse_args(words.split())
    error = capsys.readouterr().err
    assert error.startswith("error: unrecognized arguments: ") and error.count("\n") == 1
    assert all(text in error for text in says)


def test_other_words_get_no_hint(capsys):
    with pytest.raises(SystemExit):
        ArgumentParser(prog="main.py").parse_args(["--gpus_of_mine", "0"])
    assert ";" not in capsys.readouterr().err
