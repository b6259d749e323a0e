"""When a run saves, what it keeps, and which of its files it goes on from."""

import copy
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from ops.data.workers import kill_workers
from ops.errors import InputError
from ops.files import claimed
from ops.training.checkpoint import BEST, LAST, PREVIOUS, load_checkpoint, save_checkpoint, size_of


class CheckpointFolder:
    """The checkpoints of one run: the last, the one before it, and the best.

    Between the ends of epochs, `due` asks for one every `steps` steps and every `minutes` minutes; 0: never.
    """

    def __init__(self, path: Path, steps: int = 0, minutes: float = 0.0):
        self.path, self.steps, self.minutes = path, steps, minutes
        self.saved_at, self.step, self.problem, self.best = time.monotonic(), 0, None, None

    def clear(self) -> None:
        """Remove the checkpoints of an earlier run."""
        for name in (LAST, PREVIOUS, BEST):
            (self.path / name).unlink(missing_ok=True)

    def due(self, step: int) -> bool:
        """Whether to save after step `step` of an epoch; steps may be left out, as by `--accum`."""
        before, self.step = self.step if self.step < step else 0, step
        late = self.minutes and time.monotonic() - self.saved_at >= 60 * self.minutes
        return bool(late or self.steps and step // self.steps > before // self.steps)

    def save(self, content: dict, best: bool = False) -> str | None:
        """Save as the last checkpoint, and first as the best one if it is; returns what went wrong with the disk.

        The former files are whole in any case, and a best one that could not be written is tried again the next time.
        """
        self.saved_at = time.monotonic()
        self.best = content if best else self.best
        try:
            if self.best:  # first, so that a run that ends here finds it again when it goes on
                save_checkpoint(self.path / BEST, self.best)
                self.best = None
            save_checkpoint(self.path / LAST, content, keep=PREVIOUS)
            self.problem = None
        except OSError as error:
            if self.best is content:
                self.best = copy.deepcopy(content)  # weights go on changing
            free = shutil.disk_usage(self.path).free
            self.problem = (
                f"{self.path / LAST} could not be written ({error.strerror or error}): it takes"
                f" {size_of(content) / 1e6:.1f} MB, {free / 1e6:.1f} MB are free there"
            )
        return self.problem


@contextmanager
def run_folders(checkpoints: Path, log: Path) -> Iterator[None]:
    """Have both folders of a run for oneself; those that are new go again if nothing comes of the run.

    So do empty folders around them. Raises InputError where they cannot be made, or another run is writing there.
    """
    new, mine = [], True
    try:
        for folder in (checkpoints, log):
            try:
                new += [path for path in (folder, *folder.parents) if not path.exists()]
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"cannot make {folder}: {error.strerror}; see --root_model and --root_log") from None
        mine = False  # until it is claimed
        with ExitStack() as claims:
            for folder in {path.resolve(): path for path in (checkpoints, log)}.values():  # perhaps one and the same
                claims.enter_context(claimed(folder))
            mine = True
            yield
    finally:
        if mine:
            with suppress(RuntimeError):  # a loader's process that died is told of at any place: here, and not below
                kill_workers()
            remove_traces(checkpoints, log, new)


def remove_traces(checkpoints: Path, log: Path, new: list[Path]) -> None:
    """Remove the `new` ones among the folders of a run that left no checkpoint and no figures."""
    with suppress(OSError):
        if any(checkpoints.glob("ckpt*")) or (log / "log.csv").read_bytes().count(b"\n") > 1:
            return
    if log in new:
        shutil.rmtree(log, ignore_errors=True)
    for path in new:  # from the inside out
        with suppress(OSError):
            path.rmdir()


def stamp(path: Path) -> tuple[int, ...] | None:
    """Tells one writing of a file from the next; None where there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None


def newest_checkpoint(folder: Path, trust: bool = False) -> tuple[Path | None, dict, list[str]]:
    """The newest checkpoint of a run's folder that can be read, its content, and why newer ones cannot.

    None and {} where there is none at all; InputError where none of them can be read.
    """
    problems = []
    for path in (folder / LAST, folder / PREVIOUS):
        if path.exists():
            try:
                return path, load_checkpoint(path, trust), problems
            except InputError as error:
                problems.append(str(error))
    if problems:
        raise InputError(f"{'; '.join(problems)}; give another checkpoint with --resume, or --overwrite them")
    return None, {}, problems


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of the generators that training draws from: dropout's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Set the generators to what `random_state` gave; those of a device that it does not know stay as they are."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
