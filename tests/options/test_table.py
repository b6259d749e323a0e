"""docs/options.md is what the declarations say."""

import re

from conftest import ROOT

from ops.options import table
from ops.options.option import Option
from ops.options.parsing import main_parser

PAGE = ROOT / "docs/options.md"


def test_the_page_is_that_of_the_code():
    remedy = "run `python -m ops.options.table > docs/options.md`"
    assert PAGE.read_text() == table.page(), remedy


def test_the_page_has_every_flag_of_the_parser():
    names = "\n".join(row.split("|")[1] for row in re.findall(r"^\|.*$", PAGE.read_text(), re.M))
    taken = {flag for action in main_parser()._actions for flag in action.option_strings}
    assert sorted(re.findall(r"`(--?[a-z_]+)`", names)) == sorted(taken - {"-h", "--help"})


def test_a_row():
    option = Option("speed", 3, "how <fast>", "place", metavar="N|auto", aliases=("-v",))
    assert table.row(option) == r"| `-v` `--speed` `N\|auto` | how &lt;fast> (default 3) |"
