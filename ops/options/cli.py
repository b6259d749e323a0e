"""What every program here does with bad input: one `error:` line on stderr, exit code 2, no traceback."""

import argparse
import difflib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from ops.data.workers import kill_workers
from ops.errors import InputError
from ops.options.types import file_path

RAN_OUT = {  # text of an error that no input names -> what it means, and what helps
    r"DataLoader worker .*(killed by signal|exited unexpectedly)": (
        "a process that loads videos was killed, mostly because memory or /dev/shm was full; take a smaller -j (-j 0"
        " loads in the main process), -b or --num_frames"
    ),
    r"Too many open files|received 0 items of ancdata": (
        "too many open files; take a smaller -j (-j 0 loads in the main process), or raise `ulimit -n`"
    ),
    r"can't allocate memory|out of memory": (
        "memory ran out; take a smaller -b, --num_frames or --input_size, or fewer frames at a time (--stem_chunk, in"
        " training with --freeze_stem_bn)"
    ),
}


OF_TSM = {  # flags of TSM's programs that are not here -> what does it here
    "--gpus": "CUDA_VISIBLE_DEVICES=0,1 or --device cuda:1 choose GPUs; torchrun --nproc_per_node=N trains on several",
    "-p": "it is --print_freq",
    "--no_partialbn": "it is --npb",
    "--flow_prefix": "it is part of --image_tmpl",
    "--store_name": "runs get their names from their options and --suffix",
    "--snapshot_pref": "runs get their names from their options and --suffix",
    "--loss_type": "the loss is the cross-entropy; leave it out",
    "--img_feature_dim": "no head here needs it; leave it out",
    "--crop_fusion_type": "views are averaged; leave it out",
}


class ArgumentParser(argparse.ArgumentParser):
    """argparse with help texts laid out as written, `-` and `_` alike inside flags, and errors in one line.

    Declare flags with `_`; abbreviated flags are not accepted, nor is an empty value (of an unset variable, say) but
    where a flag is said to take any TEXT. In paths, `~` is the home folder also after `=`, where shells leave it.
    """

    def __init__(self, **kwargs):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs)
        self.register("type", Path, _path_of)

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else args
        values, rest = super().parse_known_args([_underscored(word) for word in words], namespace)
        for action in self._actions:
            if getattr(values, action.dest, None) == "" and action.metavar != "TEXT":
                self.error(f"argument {'/'.join(action.option_strings) or action.dest}: its value is empty")
        return values, rest

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments"):
            words = re.split(r"[ =]", message)
            hints = [f"{flag}: {hint}" for flag, hint in OF_TSM.items() if flag in words]
            for word in words:
                if word.startswith("--") and word not in OF_TSM:
                    close = difflib.get_close_matches(word, self._option_string_actions, 1)
                    hints += [f"did you mean {flag}?" for flag in close]
            message = "; ".join([message, *hints])
        self.exit(2, f"error: {' '.join(message.split())} (`{self.prog} --help` shows the options)\n")


def _path_of(text: str) -> Path:
    """An empty one would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("its value is empty")
    return Path(file_path(text))


def _underscored(word: str) -> str:
    """`--batch-size=8` -> `--batch_size=8`; values stay as they are."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value


def run(main: Callable[[Sequence[str] | None], int | None]) -> NoReturn:
    """Call `main(None)` and leave with its exit code; `InputError` becomes one line and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names may hold what the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            code = main(None) or 0
        finally:
            kill_workers()  # else they would first finish what nobody waits for
    except InputError as error:
        message = str(error).rsplit("InputError: ", 1)[-1]  # a loader's worker sends its traceback along
        code = fail(message)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of our output (`| head`) has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if not error.strerror:
            raise
        code = fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    except (RuntimeError, MemoryError) as error:
        text = f"out of memory {error}" if isinstance(error, MemoryError) else str(error)
        meaning = next((said for pattern, said in RAN_OUT.items() if re.search(pattern, text)), None)
        if not meaning:
            raise
        code = fail(f"{meaning} ({text[:200]})")
    sys.exit(code)


def fail(message: str) -> int:
    """Write an error line, with nothing in it that could break the line or steer a terminal; the exit code."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(message.split()))
    print(f"error: {text}", file=sys.stderr)
    return 2
