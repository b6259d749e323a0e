"""Processes that load videos and die, or find no memory to share: one line that says so, and no endless wait."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT
from torch.utils.data import get_worker_info

from ops.data.dataset import VideoDataset
from ops.options import cli

WORDS = [
    "movingmnist",
    "RGB",
    "--arch",
    "resnet_thin",
    "--input_size",
    "16",
    "--num_segments",
    "2",
    "-b",
    "2",
    "--device",
    "cpu",
    "--npb",
]
load = VideoDataset.load


@pytest.fixture(autouse=True)
def soon():
    """A test that waits for a worker for ever is ended."""

    def stop(*_):
        raise TimeoutError("the main process waits for its workers")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)


def die(self, epoch, index):
    """Loading a video, but some worker is killed over it."""
    if index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(self, epoch, index)


def share_little(self, epoch, index):
    """Loading a video in a process whose files, those of shared memory included, hold at most 1000 bytes."""
    assert get_worker_info() is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    return load(self, epoch, index)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "change, says",
    [
        (die, ["a process that loads videos was killed", "-j 0", "-b or --num_frames"]),
        (share_little, ["no shared memory (/dev/shm) for a batch of ", "-j 0", "-b or --num_frames", "--shm-size"]),
    ],
)
def test_a_worker_that_fails(run_main, tiny_data, tmp_path, monkeypatch, change, says, workers):
    monkeypatch.setattr(VideoDataset, "load", change)
    ran = run_main(*WORDS, "--root_path", tiny_data, "-j", workers)
    assert all(text in ran.error for text in says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_worker_that_dies_while_its_batch_is_fetched(run_main, tiny_data, monkeypatch, error):
    def fetch(*args):
        raise error

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter._next_data", fetch)
    ran = run_main(*WORDS, "--root_path", tiny_data, "-j", "1")
    assert ran.code == 2
    assert ran.error.startswith("a process that loads videos was killed")


def test_testing_says_so_too(run_main, run_program, tiny_data, monkeypatch):
    assert run_main(*WORDS, "--root_path", tiny_data, "-j", "0", "--epochs", "1", "--root_model", "m").code == 0
    (weights,) = Path("m").glob("*/ckpt.best.pth.tar")
    monkeypatch.setattr(VideoDataset, "load", die)
    ran = run_program(
        "test_models.py", "movingmnist", "--weights", weights, "--root_path", tiny_data, "-j", "1", "--device", "cpu"
    )
    assert "a process that loads videos was killed" in ran.error


def children(pid: int) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@pytest.mark.skipif(not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="needs Linux's /proc")
def test_a_worker_that_is_killed_from_outside(tiny_data, tmp_path):
    """At whatever the main process is: the error is told at once and alone."""
    words = [sys.executable, ROOT / "main.py", *WORDS, "--root_path", tiny_data, "-j", "2", "--epochs", "9999"]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        while "epoch    1" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        found = children(process.pid)
        assert len(found) >= 2
        os.kill(found[0], signal.SIGKILL)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 2 and err.count("\n") == 1
    assert err.startswith("error: a process that loads videos was killed") and "Traceback" not in out
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in found):  # the others went with it
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_shared_memory_that_is_really_full(tiny_data, tmp_path):
    command = 'mount -t tmpfs -o size=256k tmpfs /dev/shm || exit 99; exec "$@"'
    words = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        command,
        "sh",
        sys.executable,
        ROOT / "main.py",
        *WORDS,
        "--root_path",
        tiny_data,
        "-j",
        "1",
        "--input_size",
        "128",
    ]
    ran = subprocess.run(
        words, cwd=tmp_path, text=True, capture_output=True, timeout=60, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if ran.returncode in (1, 99):
        pytest.skip(f"may not mount: {ran.stderr}")
    assert ran.returncode == 2 and ran.stderr.count("error: ") == 1 and "Traceback" not in ran.stderr
    text = ran.stderr.partition("error: ")[2]  # torch 2.6 dies of it and says "ERROR: Unexpected bus error" before
    assert text.startswith(("no shared memory (/dev/shm) for a batch", "a process that loads videos was killed"))
    assert "/dev/shm" in text and "-j 0" in text and text.count("\n") == 1


def test_workers_that_cannot_start(run_main, tiny_data, tmp_path, monkeypatch):
    def no_room(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", no_room)
    ran = run_main(*WORDS, "--root_path", tiny_data, "-j", "1")
    assert ran.error.startswith("cannot start the processes that load videos (No space left on device); take a smaller")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error, says",
    [
        (RuntimeError("Too many open files. Communication with the workers is no longer possible."), "ulimit -n"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. "), "/dev/shm was full"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), "smaller -b"),
        (MemoryError(), "memory ran out"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied", "there"), "there: Permission denied"),
    ],
)
def test_what_a_machine_lacks(capsys, error, says):
    def fail(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        cli.run(fail)
    text = capsys.readouterr().err
    assert end.value.code == 2 and text.startswith("error: ") and text.count("\n") == 1 and says in text


def test_our_own_mistakes_keep_their_traceback():
    def fail(argv):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        cli.run(fail)


def test_a_program_that_ends_leaves_no_worker_behind(tiny_data):
    """Not even one of ours: a script with a loader of its own, alive when Python ends."""
    script = f"""
from pathlib import Path
from functools import partial
from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset
from ops.data.loading import make_loader
from ops.data.lists import read_list
from ops.data.specs import DATASETS
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.views import eval_transform
spec, root = DATASETS["movingmnist"], Path({str(tiny_data)!r})
videos = read_list(root / spec.train_list, root, spec)
data = VideoDataset(videos, root, spec, MODALITIES["RGB"], FrameSampler(4, True), partial(eval_transform, size=32), 0)
loader = make_loader(data, EpochBatches(len(videos), 2), 2, False)
print(len(next(iter(loader)).names))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "2\n"), done
