"""Signals that ask a run to end: they wait until a step is whole."""

import signal
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from ops.data.workers import SIGNALS, kill_workers

Item = TypeVar("Item")


class Interrupted(BaseException):  # no Exception, which a loader that is waited for would take for its own
    """A signal has asked the run to end; its exit code is 130 after Ctrl-C, else that of SIGTERM, 143."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


class Interrupts:
    """While entered, SIGTERM, SIGUSR1 and Ctrl-C raise `Interrupted`, but only from inside `batches`.

    So what is done with a batch is always finished, and a wait for one is not. A second Ctrl-C ends the process at
    once. `tell` gets a line of text when a signal comes. Where a run may not end between any two batches, without
    `at_once`, only `obey` raises.
    """

    def __init__(self, tell: Callable[[str], None] = lambda text: None, at_once: bool = True):
        self.tell, self.at_once, self.number, self.waiting = tell, at_once, None, False

    def __enter__(self) -> "Interrupts":
        self.former = {number: signal.signal(number, self._come) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def _come(self, number: int, frame) -> None:
        if self.number is None:
            self.number = number
            if number == signal.SIGINT:
                signal.signal(number, signal.SIG_DFL)
            text = f"{signal.Signals(number).name}: ends after this step"
            if number == signal.SIGINT:
                text += " (Ctrl-C again leaves at once)"
            self.tell(text)
        if self.waiting:
            kill_workers()  # now: one that hands a batch over would complain
            raise Interrupted(self.number)

    def obey(self, numbers: Iterable[int | None]) -> None:
        """Raise `Interrupted` if there is a signal among those that have come to the processes of the run."""
        for number in numbers:
            if number is not None and not self.at_once:
                raise Interrupted(number)

    def batches(self, loader: Collection[Item]) -> Collection[Item]:
        """The loader with batches that raise `Interrupted` instead of the next one when a signal has come."""
        return _Watched(loader, self) if self.at_once else loader

    def watch(self, loader: Iterable[Item]) -> Iterator[Item]:
        source = iter(loader)
        while True:
            try:
                self.waiting = True
                if self.number is not None:
                    raise Interrupted(self.number)
                batch = next(source)
            except StopIteration:
                return
            finally:
                self.waiting = False
            yield batch


class _Watched:
    """A loader whose batches are watched over by `Interrupts`."""

    def __init__(self, loader: Collection[Item], interrupts: Interrupts):
        self.loader, self.interrupts = loader, interrupts

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Item]:
        return self.interrupts.watch(self.loader)
