"""The README keeps up with the program: its options table, its commands and its links."""
import re
import shlex
from pathlib import Path

import pytest

from ops import flags, options

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PROGRAM = r"[\w/]+\.(?:sh|py)"
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.S) for line in block.splitlines()]


def test_the_options_table_is_what_the_parser_takes():
    table = README.split("### Options")[1].split("\n## ")[0]
    names = "\n".join(row.split("|")[1] for row in re.findall(r"^\|.*$", table, re.M))
    parser = flags.main_parser(dict.fromkeys(vars(options.Config("", ""))))
    taken = {flag for action in parser._actions for flag in action.option_strings}
    assert sorted(re.findall(r"`(--?[a-z_]+)`", names)) == sorted(taken - {"-h", "--help"})


@pytest.mark.parametrize("command", [line for line in COMMANDS if re.match(r"python3? main.py", line)])
def test_training_commands_parse(command):
    options.parse(shlex.split(command, comments=True)[2:])


@pytest.mark.parametrize("script", sorted({word for line in COMMANDS for word in re.findall(PROGRAM, line)}))
def test_programs_named_in_commands_exist(script):
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
