"""The README's options table keeps up with the program; its commands and links are in test_docs.py."""

import re
from pathlib import Path

from ops.options import config as options
from ops.options import flags

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_options_table_is_what_the_parser_takes():
    table = README.split("### Options")[1].split("\n## ")[0]
    names = "\n".join(row.split("|")[1] for row in re.findall(r"^\|.*$", table, re.M))
    parser = flags.main_parser(dict.fromkeys(vars(options.Config("", ""))))
    taken = {flag for action in parser._actions for flag in action.option_strings}
    assert sorted(re.findall(r"`(--?[a-z_]+)`", names)) == sorted(taken - {"-h", "--help"})
