"""The processes that load videos: how they take signals, and how they are ended."""

import multiprocessing
import signal

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


def leave_signals_to_main(worker: int = 0) -> None:
    """For a loader's worker: signals to the whole process group are the main process's business.

    Nothing but `kill_workers` ends such a worker that is still at work.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def kill_workers() -> None:
    """End the processes that load data now, whatever they are doing."""
    former = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would take their end for an accident
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    signal.signal(signal.SIGCHLD, former)
