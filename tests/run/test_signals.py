"""Signals wait for the end of a step, and end a wait for data at once."""

import multiprocessing
import os
import signal
import time

import pytest

from ops.data.workers import kill_workers, leave_signals_to_main
from ops.run.signals import Interrupted, Interrupts


@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGUSR1", 143), ("SIGINT", 130)])
def test_a_step_is_finished(name, code):
    number, former, done = signal.Signals[name], signal.getsignal(signal.Signals[name]), []
    with pytest.raises(Interrupted, match=name) as ended, Interrupts() as interrupts:
        for batch in interrupts.batches("abc"):
            if batch == "b":
                os.kill(os.getpid(), number)
            done.append(batch)
    assert done == ["a", "b"] and ended.value.exit_code == code
    assert signal.getsignal(number) == former


def test_a_wait_is_not():
    def slow():
        yield 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    start = time.monotonic()
    with pytest.raises(Interrupted), Interrupts() as interrupts:
        list(interrupts.batches(slow()))
    assert time.monotonic() - start < 30


def test_a_signal_in_the_last_step_is_not_forgotten():
    with pytest.raises(Interrupted), Interrupts() as interrupts:
        for _ in interrupts.batches("a"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_it_tells_what_happens_once():
    told = []
    with pytest.raises(Interrupted, match="SIGTERM"), Interrupts(told.append) as interrupts:
        for _ in interrupts.batches("ab"):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGUSR1)
    assert told == ["SIGTERM: ends after this step"]


def test_a_second_ctrl_c_leaves_at_once():
    def run():
        with Interrupts() as interrupts:
            for _ in interrupts.batches("a"):
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                os._exit(1)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGINT


def test_without_a_signal_everything_passes():
    with Interrupts() as interrupts:
        assert list(interrupts.batches(range(5))) == [0, 1, 2, 3, 4]
        assert list(interrupts.batches([])) == []


def test_workers_are_killed_though_they_ignore_signals():
    def work(ready):
        leave_signals_to_main()
        ready.set()
        time.sleep(600)

    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=work, args=(ready,))
    process.start()
    assert ready.wait(60)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(process.pid, number)
    process.join(0.2)
    assert process.is_alive()
    kill_workers()
    assert process.exitcode == -signal.SIGKILL
