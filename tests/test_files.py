"""Output folders have one writer at a time, whatever becomes of it."""

import os
import signal
import subprocess
import sys

import pytest

from ops.errors import InputError
from ops.files import claimed, growing_folder

HOLD = "import sys, time; from pathlib import Path; from ops.files import claimed\n"
HOLD += "with claimed(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"


def test_a_folder_is_claimed_once_at_a_time(tmp_path):
    with claimed(tmp_path):
        with pytest.raises(InputError, match=f"another run is writing to {tmp_path}"), claimed(tmp_path):
            pass
        (tmp_path / "other").mkdir()
        with claimed(tmp_path / "other"):
            pass
    with claimed(tmp_path):
        pass


def test_a_killed_process_claims_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "mine\n"
    with pytest.raises(InputError, match="another run"), claimed(tmp_path):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with claimed(tmp_path):
        pass


def test_a_growing_folder_appears_when_it_is_whole(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "out.partial/of a killed run").mkdir(parents=True)
    with growing_folder(out) as growing:
        (growing / "a").write_text("a")
        assert not out.exists()
        with pytest.raises(InputError, match="another run is writing to .*out.partial"), growing_folder(out):
            pass
        assert (growing / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and os.listdir(out) == ["a"]
    with pytest.raises(KeyError), growing_folder(tmp_path / "other") as growing:
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
