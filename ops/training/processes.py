"""One process or several, as torchrun starts them: `torchrun --nproc_per_node=N main.py ...`.

torchrun tells every process its rank, and ends all of them when one ends badly.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from ops.errors import InputError

TIMEOUT = timedelta(minutes=30)  # a process that waits for slow files must not end the run
T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among the `world_size` of a run; the default is a run of one.

    `gather` and `together` must be called by all of them.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # rank among those of this machine

    @property
    def main(self) -> bool:
        """Whether this is the one that prints, logs and saves."""
        return self.rank == 0

    def gather(self, value: Any) -> list:
        """What each process gives, in the order of their ranks."""
        if self.world_size == 1:
            return [value]
        values = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def together(self, build: Callable[[], T]) -> T:
        """`build()` on rank 0 and, when that has gone well, on all others: what it makes on disk is made once.

        Where it raises InputError or SystemExit, the run ends: the first such process says why, the others say nothing.
        """
        for turn in (True, False):
            failure = None
            if self.main == turn:
                try:
                    result = build()
                except (InputError, SystemExit) as error:
                    failure = error
            codes = self.gather(getattr(failure, "code", 2) if failure else None)
            failed = [rank for rank, code in enumerate(codes) if code is not None]
            if failed and failed[0] == self.rank:
                raise failure
            if failed:
                time.sleep(1)  # the first to leave ends all: not before the message is out
                raise SystemExit(codes[failed[0]])
        return result

    def own_device(self, name: str) -> str:
        """This process's share of the device `name`; InputError where it cannot be shared."""
        if self.world_size == 1 or name == "cpu":
            return name
        if name != "cuda":
            raise InputError(f"--device {name} is one device for {self.world_size} processes; use --device cuda or cpu")
        if self.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"there are {torch.cuda.device_count()} GPUs for more processes than that; start as many"
                " with --nproc_per_node, or use --device cpu"
            )
        return f"cuda:{self.local_rank}"


ALONE = Processes()


@contextmanager
def start() -> Iterator[Processes]:
    """Join the other processes of the run, if torchrun started several; all but rank 0 print nothing.

    InputError gets the rank. A lost connection to another process ends this one in a line and with exit code 1.
    """
    world_size = int(os.environ.get("WORLD_SIZE") or 1)
    if world_size == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    me = Processes(int(os.environ["RANK"]), world_size, int(os.environ.get("LOCAL_RANK", 0)))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=TIMEOUT)
    try:
        with open(os.devnull, "w") as nowhere, nullcontext() if me.main else redirect_stdout(nowhere):
            yield me
    except InputError as error:
        raise InputError(f"rank {me.rank}: {error}") from None
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        if not isinstance(error, dist.DistError) and "gloo" not in reason:
            raise
        raise SystemExit(
            f"rank {me.rank} stops: it lost another process, which tells its reason itself ({reason})"
        ) from None
    time.sleep(0.2)  # gloo's threads need the interpreter's lock to free their last tensors; torch 2.6 holds it below
    dist.destroy_process_group()


def share_statistics(buffers: list[torch.Tensor], weight: float, processes: Processes) -> None:
    """Replace each by its mean over the processes, weighted; one of weight 0 has no say."""
    if processes.world_size == 1 or not buffers:
        return
    flat = weight * torch.cat([buffer.flatten() for buffer in buffers])
    sums = torch.cat([flat, flat.new_tensor([weight])])
    dist.all_reduce(sums)
    means = sums[:-1] / sums[-1]
    for buffer, mean in zip(buffers, means.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))
