"""The command line's parser; how programs end on bad input is in tests/programs/test_bad_input.py."""

from pathlib import Path

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
