"""How an option is declared: once, as a field of a dataclass, with all that is to be known of it."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, field
from typing import Any

from ops.options.types import file_path

ROLES = {  # what an option is about -> what becomes of it where there is a checkpoint; the groups of --help
    "data": "What the data set is.\n"
    "--resume goes on with the checkpoint's; --evaluate takes what is given here, or the data set's own.",
    "protocol": "How videos are shown.\n--resume and --evaluate take the checkpoint's where nothing else is given.",
    "model": "What weights are made for.\n--resume and --evaluate take the checkpoint's; nothing else may be given.",
    "training": "How the model is trained.\n--resume goes on with the checkpoint's where nothing else is given.",
    "place": "Where a run happens, on what, and what it starts from.\nNone of these comes from a checkpoint.",
}


@dataclass(frozen=True)
class Option:
    """All that is to be known of an option.

    `default` is MISSING for a positional argument and False for a switch. `role` is one of `ROLES`. `type` reads a word
    as argparse types do; without it and without `choices` a word stands for itself. `many` takes several words for a
    tuple. An option that is `fixed_within_epoch` decides what the steps of an epoch are, and may not change within it.
    """

    name: str
    default: Any
    help: str
    role: str
    type: Callable[[str], Any] | None = None
    choices: Collection[str] | None = None
    metavar: str | None = None
    aliases: tuple[str, ...] = ()
    many: bool = False
    fixed_within_epoch: bool = False

    @property
    def positional(self) -> bool:
        return self.default is MISSING

    @property
    def switch(self) -> bool:
        return self.default is False

    @property
    def flags(self) -> list[str]:
        """All spellings, one-letter ones first."""
        return sorted([f"--{self.name}", *self.aliases], key=lambda flag: flag.startswith("--"))

    @property
    def text(self) -> str:
        """The help text, with the default where that tells something and the text does not."""
        if self.positional or self.switch or self.default is None or "(default" in self.help:
            return self.help
        values = self.default if self.many else [self.default]
        return f"{self.help} (default {' '.join(f'{v:g}' if isinstance(v, float) else str(v) for v in values)})"

    def accepts(self, value: object) -> bool:
        """Whether some words on the command line, or none, stand for this value."""
        if value is None and self.default is None:
            return True
        if self.many:
            return isinstance(value, tuple) and all(map(self._accepts_one, value))
        return self._accepts_one(value)

    def _accepts_one(self, value: object) -> bool:
        if self.switch:
            return isinstance(value, bool)
        if self.choices:
            return value in [*self.choices]
        if self.type in (None, file_path):
            return isinstance(value, str)
        try:
            return self.type(str(value)) == value
        except argparse.ArgumentTypeError:
            return False


def option(default: Any, help: str, role: str, **about) -> Any:
    """A field of a dataclass that is an option of the command line; `about` are further facts of `Option`."""
    return field(default=default, metadata={"help": help, "role": role, **about})
