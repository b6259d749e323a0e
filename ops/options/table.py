"""docs/options.md, made from the declarations: `python -m ops.options.table > docs/options.md`."""

import sys

from ops.options.config import OPTIONS
from ops.options.option import ROLES, Option

HEAD = """\
# The options of main.py

<!-- made by `python -m ops.options.table > docs/options.md` from ops/options/config.py: change it there -->

`main.py dataset modality [options]`. In flags, `-` and `_` are alike: `--batch-size` is `--batch_size`.

A checkpoint carries all options of its run. What `--resume PATH`, and with it `--evaluate`, take from there is said
above each table. Every other program lists its options with `--help`.
"""


def cell(text: str) -> str:
    """Plain text as a cell of a Markdown table shows it."""
    return text.replace("|", r"\|").replace("<", "&lt;")


def row(option: Option) -> str:
    """An option's line: its spellings, what may follow them, and what it means."""
    words = [f"`{name}`" for name in ([option.name] if option.positional else option.flags)]
    if option.choices:
        words.append(f"`{cell('|'.join(option.choices))}`")
    elif option.metavar:
        words.append(f"`{cell(option.metavar)}`")
    return f"| {' '.join(words)} | {cell(option.text)} |"


def section(title: str, about: str, options: list[Option]) -> str:
    return "\n".join([f"\n## {title}\n", about, "", "| option | meaning |", "|---|---|", *map(row, options), ""])


def page() -> str:
    """All of docs/options.md."""
    arguments = [option for option in OPTIONS.values() if option.positional]
    parts = [HEAD, section("Arguments", "Which videos, and what of them the network sees.", arguments)]
    for role, about in ROLES.items():
        options = [option for option in OPTIONS.values() if option.role == role and not option.positional]
        parts.append(section(role.capitalize(), about.replace("\n", " "), options))
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
