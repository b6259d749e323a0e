"""A run's checkpoints: when they are due, which are kept, which one is gone on from."""

import os
import resource
import signal

import pytest
import torch

from ops.errors import InputError
from ops.run import saving
from ops.run.saving import CheckpointFolder, newest_checkpoint, random_state, restore_random_state
from ops.training.checkpoint import BEST, LAST, PREVIOUS, load_checkpoint, size_of

CPU = torch.device("cpu")


def content(epoch):
    return {"epoch": epoch, "state_dict": {"w": torch.full((50,), float(epoch))}}


def epochs(folder):
    return {path.name: load_checkpoint(path)["epoch"] for path in folder.iterdir()}


def spoil(path):
    """Turn one bit in the middle of the weights."""
    data = bytearray(path.read_bytes())
    place = data.index(torch.full((50,), float(load_checkpoint(path)["epoch"])).numpy().tobytes()) + 101
    data[place] ^= 4
    path.write_bytes(data)


def test_the_last_two_and_the_best_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in range(1, 6):
        assert folder.save(content(epoch), best=epoch == 2) is None
    assert epochs(tmp_path) == {LAST: 5, PREVIOUS: 4, BEST: 2}
    folder.clear()
    assert list(tmp_path.iterdir()) == []


def test_due_by_steps():
    folder = CheckpointFolder(None, steps=3)
    assert [step for step in range(1, 11) if folder.due(step)] == [3, 6, 9]
    assert [step for step in range(1, 6) if folder.due(step)] == [3]  # of the next epoch
    folder = CheckpointFolder(None, steps=6)
    assert [step for step in (4, 8, 12, 16, 20) if folder.due(step)] == [8, 12, 20]
    assert not any(CheckpointFolder(None).due(step) for step in range(1, 10))


def test_due_by_minutes(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    folder = CheckpointFolder(tmp_path, minutes=2)
    seen = []
    for step in range(1, 9):
        now[0] += 50
        seen.append(folder.due(step))
        if seen[-1]:
            folder.save(content(step))
    assert seen == [False, False, True, False, False, True, False, False]


def test_the_newest_that_is_whole(tmp_path):
    assert newest_checkpoint(tmp_path) == (None, {}, [])
    folder = CheckpointFolder(tmp_path)
    for epoch in (1, 2, 3):
        folder.save(content(epoch))
    path, found, problems = newest_checkpoint(tmp_path)
    assert (path, found["epoch"], problems) == (tmp_path / LAST, 3, [])
    spoil(tmp_path / LAST)
    path, found, problems = newest_checkpoint(tmp_path)
    assert (path, found["epoch"]) == (tmp_path / PREVIOUS, 2)
    (problem,) = problems
    assert str(tmp_path / LAST) in problem and "checksum is wrong" in problem
    (tmp_path / LAST).unlink()  # the moment between the two renames of a save
    assert newest_checkpoint(tmp_path)[1]["epoch"] == 2
    (tmp_path / PREVIOUS).write_bytes((tmp_path / PREVIOUS).read_bytes()[:500])
    with pytest.raises(InputError, match="--overwrite"):
        newest_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_former_files_and_the_next_save_works(tmp_path):
    """A limit on the size of files is as good as a full disk; the child process that has it saves twice."""
    folder = CheckpointFolder(tmp_path)
    folder.save(content(1))
    folder.save(content(2))
    large = content(3) | {"more": torch.zeros(10**6)}
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
            problem = folder.save(large, best=True)
            wanted = f"it takes {size_of(large) / 1e6:.1f} MB"
            whole = epochs(tmp_path) == {LAST: 2, PREVIOUS: 1}
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            told = LAST in problem and wanted in problem and "MB are free" in problem and folder.problem == problem
            large["state_dict"]["w"].fill_(9)  # as training goes on
            saved = folder.save(content(4)) is None and not folder.problem
            os._exit(0 if told and whole and saved else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert epochs(tmp_path) == {LAST: 4, PREVIOUS: 2, BEST: 3}
    assert load_checkpoint(tmp_path / BEST)["state_dict"]["w"].tolist() == [3] * 50
    assert size_of(large) == (tmp_path / BEST).stat().st_size == pytest.approx(4e6, rel=0.01)


def test_random_state():
    torch.manual_seed(3)
    torch.rand(5)
    state, expected = random_state(CPU), torch.rand(7)
    torch.manual_seed(8)
    restore_random_state(state, CPU)
    assert torch.equal(torch.rand(7), expected)


def test_a_process_that_dies_does_not_keep_the_traces(tmp_path, monkeypatch):
    """Torch tells of it by an exception wherever the main process is, in the midst of removing, too."""
    pending = [RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")]

    def tell(*args):
        if pending:
            raise pending.pop()

    monkeypatch.setattr(saving, "kill_workers", tell)
    with pytest.raises(ConnectionResetError), saving.run_folders(tmp_path / "models/run", tmp_path / "logs/run"):
        raise ConnectionResetError("the process that loads videos has gone")
    assert list(tmp_path.iterdir()) == []
