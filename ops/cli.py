"""What every program here does with bad input: one `error:` line on stderr, exit code 2, no traceback."""
import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from ops.interrupt import kill_workers


class InputError(Exception):
    """Something the user gave (a file, line, flag or value) cannot be used; the message names it and the remedy."""


class ArgumentParser(argparse.ArgumentParser):
    """argparse with help texts laid out as written, `-` and `_` alike inside flags, and errors in one line.

    Declare flags with `_`; abbreviated flags are not accepted.
    """

    def __init__(self, **kwargs):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs)

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([_underscored(word) for word in words], namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())} (`{self.prog} --help` shows the options)\n")


def _underscored(word: str) -> str:
    """`--batch-size=8` -> `--batch_size=8`; values stay as they are."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def run(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Call `main(None)` and leave with its exit code; `InputError` becomes one line and exit code 2."""
    try:
        code = main(None) or 0
    except InputError as error:
        message = str(error).rsplit("InputError: ", 1)[-1]  # a loader's worker sends its traceback along
        print("error: " + " ".join(message.split()), file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of our output (`| head`) has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code:
        kill_workers()
    sys.exit(code)
