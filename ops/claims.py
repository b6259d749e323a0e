"""Output folders are claimed at the start: two runs never write into the same one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: two runs into one folder are not told apart there
    fcntl = None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a folder, which is there, for oneself; InputError if another process has claimed it.

    The claim ends with the block or with the process, however that ends. Processes forked inside the block share it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another run is writing to {folder}") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


@contextmanager
def growing_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that takes its name when the block ends well, and is gone otherwise.

    One process at a time has it; what a killed one left there is removed.
    """
    growing = out.with_name(out.name + ".partial")
    growing.mkdir(parents=True, exist_ok=True)
    with claimed(growing):
        try:
            for left in growing.iterdir():
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink()
            yield growing
            growing.replace(out)
        finally:
            shutil.rmtree(growing, ignore_errors=True)
