"""The page of options keeps up with the program; commands and links of all pages are in test_docs.py."""

import re
from pathlib import Path

from ops.options import config as options
from ops.options import flags

ROOT = Path(__file__).resolve().parents[2]


def test_the_options_page_is_what_the_parser_takes():
    table = (ROOT / "docs/options.md").read_text()
    names = "\n".join(row.split("|")[1] for row in re.findall(r"^\|.*$", table, re.M))
    parser = flags.main_parser(dict.fromkeys(vars(options.Config("", ""))))
    taken = {flag for action in parser._actions for flag in action.option_strings}
    assert sorted(re.findall(r"`(--?[a-z_]+)`", names)) == sorted(taken - {"-h", "--help"})
