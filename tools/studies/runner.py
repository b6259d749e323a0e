"""Runs many commands, several at a time, in an order that respects what each needs, and goes on where it stopped."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from ops.errors import InputError


class Job(NamedTuple):
    """Commands in a row; what they print goes to `output`, which appears when all have succeeded."""

    name: str
    commands: Callable[[], list[list[str]]]  # asked for when the job starts
    output: Path
    needs: tuple[str, ...] = ()  # jobs that must be done before


def run_job(job: Job) -> int:
    """Run the commands with this Python on one thread; the exit code of the first that fails, else 0."""
    job.output.parent.mkdir(parents=True, exist_ok=True)
    partial = job.output.with_name(job.output.name + ".partial")
    with partial.open("w") as out:
        for command in job.commands():
            words = [sys.executable, *command[1:]] if command[0] == "python" else command
            code = subprocess.run(
                words,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            ).returncode
            if code:
                return code
    partial.replace(job.output)
    return 0


def run_all(jobs: Iterable[Job], at_once: int, on_done: Callable[[Job], object]) -> None:
    """Run all jobs that have no output yet, `at_once` at a time; `on_done` hears of each, also of those done before.

    Raises InputError for a job that fails, after those that run beside it have ended.
    """
    done, waiting, running = set(), list(jobs), {}
    with ThreadPoolExecutor(at_once) as pool:
        while waiting or running:
            for job in [job for job in waiting if job.output.exists()]:
                waiting.remove(job)
                done.add(job.name)
                on_done(job)
            ready = [job for job in waiting if done.issuperset(job.needs)]
            for job in ready[: at_once - len(running)]:
                waiting.remove(job)
                running[pool.submit(run_job, job)] = job
            if not running and waiting:
                raise ValueError(f"{waiting[0].name} needs {waiting[0].needs}, which is not among the jobs")
            finished: set[Future] = wait(running, return_when=FIRST_COMPLETED).done
            for future in finished:
                job = running.pop(future)
                if code := future.result():
                    partial = job.output.with_name(job.output.name + ".partial")
                    last = partial.read_text(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
                    raise InputError(
                        f"{job.name} ended with exit code {code}: {last[0]} (all of it: {partial});"
                        " run the same command again to go on"
                    )
                done.add(job.name)
                on_done(job)
