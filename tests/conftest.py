"""What several test files need: a tiny data set, and programs run in this process or in one of their own."""

import functools
import importlib
import importlib.util
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

import hypothesis
import pytest
import torch

from ops.move4mnist.generator import PRESETS, make_dataset
from ops.options import cli

ROOT = Path(__file__).resolve().parents[1]
TINY = replace(PRESETS["standard"], num_frames=20, main=(8, 10), distractor=(3, 4))

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "torchvision"])

torch.set_num_threads(1)
hypothesis.settings.register_profile("no_clock", deadline=None)
hypothesis.settings.load_profile("no_clock")


class Ran(NamedTuple):
    """How a program ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The text of its only error line, after checking that there is just this one, and exit code 2."""
        assert self.code == 2, self
        assert self.err.startswith("error: ") and self.err.count("\n") == 1 and self.err.endswith("\n"), self.err
        return self.err[len("error: ") : -1]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """Indexes of video files go to a folder of the tests, not to the user's."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A movingmnist folder of 8 training and 4 validation videos of 20 frames; not to be written to."""
    folder = tmp_path_factory.mktemp("tiny") / "movingmnist"
    make_dataset(folder, TINY, num_train=8, num_val=4, workers=1, digits="glyphs")
    return folder


@pytest.fixture
def own_data(tiny_data, tmp_path) -> Path:
    """A copy of `tiny_data` that a test may spoil."""
    return Path(shutil.copytree(tiny_data, tmp_path / "own" / "movingmnist"))


@functools.cache
def load_program(name: str) -> ModuleType:
    """The module of `main.py` or `tools/predict.py`; test_models.py under another name than its tests have."""
    if name != "test_models.py":
        return importlib.import_module(name.removesuffix(".py").replace("/", "."))
    spec = importlib.util.spec_from_file_location("test_models_program", ROOT / name)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


@pytest.fixture
def run_program(capsys, tmp_path, monkeypatch):
    """`run_program(name, *words)` runs a program's command line in this process, in the folder `tmp_path` -> `Ran`."""
    monkeypatch.chdir(tmp_path)

    def run(name, *words) -> Ran:
        monkeypatch.setattr(sys, "argv", [Path(name).name, *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.run(load_program(name).main)
        return Ran(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def run_main(run_program):
    """`run_main(*words)` is `run_program` of main.py."""
    return functools.partial(run_program, "main.py")


@pytest.fixture
def run_process(tmp_path):
    """`run_process(*words)` runs a program, main.py, as a user does, in a process of its own in `tmp_path` -> `Ran`."""

    def run(*words, program="main.py") -> Ran:
        done = subprocess.run(
            [sys.executable, ROOT / program, *map(str, words)],
            cwd=tmp_path,
            text=True,
            capture_output=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def be_one_of(rank: int, number: int, port: int, folder: Path, function, args) -> NoReturn:
    """Be one process of those that torchrun would start, with its output in files."""
    os.environ.update(
        RANK=str(rank), WORLD_SIZE=str(number), LOCAL_RANK=str(rank), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        file = os.open(f"{rank}{stream.name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, stream.fileno())
    torch.set_num_threads(1)
    try:
        function(*args)
        code = 0
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)  # a child's own end would first break the queues of its threads


def call_main(*words) -> NoReturn:
    sys.argv = ["main.py", *words]
    cli.run(importlib.import_module("main").main)


@pytest.fixture
def run_processes(tmp_path):
    """`run_processes(number, *words)` runs main.py in processes in `tmp_path` as torchrun does -> a `Ran` each.

    Instead of words, it takes a function of a module and its arguments.
    """

    def run(number: int, *words) -> list[Ran]:
        function, args = (words[0], words[1:]) if callable(words[0]) else (call_main, [*map(str, words)])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        some = [
            FORKS.Process(target=be_one_of, args=(rank, number, port, tmp_path, function, args))
            for rank in range(number)
        ]
        for process in some:
            process.start()
        for process in some:
            process.join(60)
            process.kill()
        files = [[tmp_path / f"{rank}<{name}>" for name in ("stdout", "stderr")] for rank in range(number)]
        return [
            Ran(process.exitcode, *(file.read_text() for file in pair))
            for process, pair in zip(some, files, strict=True)
        ]

    return run
