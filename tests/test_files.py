"""Output folders have one writer at a time, whatever becomes of it; files are whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ops.errors import InputError
from ops.files import (
    as_csv,
    check_apart,
    check_writable,
    claimed,
    growing_folder,
    remove_partial,
    whole_file,
    write_whole,
)

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


def test_two_that_write_one_file_do_not_mix(tmp_path, monkeypatch):
    """The second writes all of it while the first is still writing."""
    path, write_bytes = tmp_path / "new" / "a.csv", Path.write_bytes

    def slowly(trial, content):
        write_bytes(trial, content[:4])
        if content.startswith(b"first"):
            write_whole(path, b"second, and longer")
            assert path.read_bytes() == b"second, and longer"
        write_bytes(trial, content)

    monkeypatch.setattr(Path, "write_bytes", slowly)
    write_whole(path, b"first")
    assert path.read_bytes() == b"first" and os.listdir(path.parent) == ["a.csv"]


def test_a_file_that_cannot_be_written_leaves_the_former_one(tmp_path, monkeypatch):
    path, write_bytes = tmp_path / "a.csv", Path.write_bytes
    write_whole(path, b"former")

    def fill_the_disk(trial, content):
        write_bytes(trial, content[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(InputError, match="a.csv cannot be written: No space left on device"):
        write_whole(path, b"another")
    assert path.read_bytes() == b"former" and os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("name", ["a.csv", "a" * 251 + ".csv", "\u4e2d" * 83 + ".csv", "\U0001f600" * 62 + ".csv"])
def test_files_of_any_name(tmp_path, name):
    check_writable(tmp_path / name, "--csv")
    check_writable(tmp_path / "new" / name / name, "--csv")
    assert os.listdir(tmp_path) == []
    write_whole(tmp_path / name, b"a")
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask  # as of any other file
    with pytest.raises(InputError, match="cannot be written .*; give another place with --csv"):
        check_writable(tmp_path / name / "below", "--csv")


def test_any_name_in_a_table():
    assert as_csv([["a", 'b"\n'], ["caf\udce9", 1]]) == b'a,"b""\n"\ncaf\\udce9,1\n'


def test_csv_keeps_what_is_none_empty_and_writes_zeros_and_odd_bytes_as_text():
    assert as_csv([["a", None, 1, 0.5], ["b\0", "c,d", "\udcff", ""]]) == b'a,,1,0.5\nb\\x00,"c,d",\\udcff,\n'


def test_a_file_that_grows_appears_when_it_is_whole(tmp_path):
    with whole_file(tmp_path / "new/a.npy") as file:
        file.write(b"one")
        assert not (tmp_path / "new/a.npy").exists()
        file.write(b"two")
    assert (tmp_path / "new/a.npy").read_bytes() == b"onetwo"
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "new/b.npy") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    (tmp_path / "new/.c.npy.0.partial").touch()
    remove_partial(tmp_path)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npy"]


def test_what_is_read_is_not_written_over(tmp_path):
    read = tmp_path / "a.npz"
    read.write_text("scores")
    (tmp_path / "b.html").symlink_to(read)
    for path in (read, tmp_path / "b.html"):
        with pytest.raises(InputError, match="--out .* would write over .*a.npz, which is read; give another place"):
            check_apart(path, "--out", ["rtsp://a/b", read])
    check_apart(tmp_path / "new.html", "--out", [read, "absent"])
