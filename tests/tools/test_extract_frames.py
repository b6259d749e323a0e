"""tools/extract_frames.py on small real videos, whole and broken."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from videos import blink, copy_packets, make_video, write_sound

from ops.data.video_file import read_video
from tools import extract_frames

PROGRAM = Path(extract_frames.__file__)
ODD_NAMES = (
    'it\'s; 50%d & (#1) "ü" 東!.mp4',
    "-dash %05d .AVI",
    "$(touch hacked) `x` *.mkv",
    "v.1.mov",
    "v.2.mpg",
    "v.3.webm",
)


def frames_in(folder):
    """Folder -> sorted names of what lies in it, for every folder that holds files."""
    return {str(Path(top).relative_to(folder)): sorted(files) for top, _, files in os.walk(folder) if files}


def greys(folder):
    return [round(float(np.asarray(Image.open(path).convert("L")).mean())) for path in sorted(folder.iterdir())]


@pytest.fixture
def extract(run_program):
    """`extract(*words)` runs the program's command line in this process, in `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/extract_frames.py")


def test_folders_mirror_the_videos_and_a_second_run_does_nothing(extract, tmp_path):
    sources = ("testsrc2", "mandelbrot", "life", "testsrc2", "mandelbrot", "life")
    for i, (name, source) in enumerate(zip(ODD_NAMES, sources, strict=True)):
        make_video(tmp_path / "src" / "a class" / name, 3 + i, source)
    make_video(tmp_path / "src/top.mp4")
    (tmp_path / "src/.hidden.mp4").write_text("a Mac's companion file")
    (tmp_path / "src/notes.txt").write_text("not a video")
    done = extract("src", "dst", "--template", "{:06d}.jpg", "-j", 2)
    assert (done.code, done.err) == (0, "")
    left_out = "left out by their names: 1 hidden, 1 .txt; --ext says which endings are videos'\n"
    assert done.out == f"7 videos extracted, 0 already there, 0 failed, 39 frames written\n{left_out}"
    expected = {
        f"a class/{os.path.splitext(name)[0]}": [f"{k:06d}.jpg" for k in range(1, 4 + i)]
        for i, name in enumerate(ODD_NAMES)
    }
    expected |= {"top": [f"{k:06d}.jpg" for k in range(1, 7)], ".": ["frames.json"]}
    assert frames_in(tmp_path / "dst") == expected
    assert {path.name for path in tmp_path.iterdir()} == {"src", "dst"}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = extract("src", "dst/", "--template={:06d}.jpg")
    assert (again.code, again.out) == (
        0,
        f"0 videos extracted, 7 already there, 0 failed, 0 frames written\n{left_out}",
    )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path != tmp_path / "dst"} == {
        path: when for path, when in before.items() if path != tmp_path / "dst"
    }


def is_each_frame_once(folder, num_frames=20):
    levels = greys(folder)
    return len(levels) == num_frames and np.allclose(levels, np.arange(num_frames) * 10 * 255 / 219, atol=4)


@pytest.mark.parametrize("name", ["v.mp4", "v.avi", "v.webm", "v.mkv", "v.mov", "v.mpg"])
def test_every_frame_comes_once_and_in_order(name, extract, tmp_path):
    blink(tmp_path / "src" / name)
    assert extract("src", "dst", "--template", "{:02d}.jpg", "--first", 0).code == 0
    assert is_each_frame_once(tmp_path / "dst/v")
    assert sorted(os.listdir(tmp_path / "dst/v")) == [f"{i:02d}.jpg" for i in range(20)]


@pytest.mark.parametrize("rate", [1, 5, 12, 15, 24, 60])
def test_every_frame_comes_once_at_any_rate(rate, extract, tmp_path):
    blink(tmp_path / "src/a.mp4", rate=rate)
    blink(tmp_path / "src/b.mkv", rate=rate)
    assert extract("src", "dst").code == 0
    assert is_each_frame_once(tmp_path / "dst/a") and is_each_frame_once(tmp_path / "dst/b")


CLOCKS = {
    "gap": [3600 * n + 450000 * (n > 9) for n in range(20)],
    "slower": [900 * n * n for n in range(20)],
    "bunched": [n // 3 * 9000 + n % 3 * 90 for n in range(20)],
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_variable_frame_rate_neither_doubles_nor_drops(clock, extract, tmp_path):
    blink(tmp_path / "src/v.mkv", times=CLOCKS[clock], time_base=Fraction(1, 90000))
    assert extract("src", "dst").code == 0 and is_each_frame_once(tmp_path / "dst/v")


@pytest.mark.parametrize(("rate", "expected"), [(5, 10), (12.5, 25), (50, 100)])
def test_fps(rate, expected, extract, tmp_path):
    make_video(tmp_path / "src/v.mp4", 50)
    assert extract("src", "dst", "--fps", rate).code == 0
    assert len(os.listdir(tmp_path / "dst/v")) == expected


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ("160x120", 60, (80, 60)),
        ("90x160", 60, (60, 107)),
        ("100x100", 60, (60, 60)),
        ("64x48", 60, (64, 48)),
        ("64x50", 0, (64, 50)),
    ],
)
def test_short_side_shrinks_and_never_enlarges(size, side, expected, extract, tmp_path):
    make_video(tmp_path / "src/v.mkv", 2, size=size)
    extract("src", "dst", "--short_side", side)
    with Image.open(tmp_path / "dst/v/img_00002.jpg") as frame:
        assert frame.size == expected


@pytest.mark.parametrize("side", [0, 40])
def test_a_change_of_size_inside_a_video_keeps_all_frames_in_one_size(side, extract, tmp_path):
    parts = [make_video(tmp_path / "a.webm", 6), make_video(tmp_path / "b.webm", 5, size="128x96")]
    copy_packets(parts, tmp_path / "src/v.webm")
    extract("src", "dst", "--short_side", side)
    sizes = [Image.open(path).size for path in (tmp_path / "dst/v").iterdir()]
    assert sizes == [(64, 48) if side == 0 else (53, 40)] * 11


def test_quality_is_that_of_the_jpegs(extract, tmp_path):
    make_video(tmp_path / "src/v.mp4", 2)
    tables = []
    for quality in (1, 2, 8):
        extract("src", f"dst{quality}", "--quality", quality)
        with Image.open(tmp_path / f"dst{quality}/v/img_00001.jpg") as frame:
            tables.append(frame.quantization[0][1])
    assert tables == [2, 4, 16]


def test_broken_videos_are_listed_and_leave_nothing(extract, tmp_path):
    src = tmp_path / "src"
    for name in ("a.avi", "b.mkv", "c.webm", "d.mpg", "e.mp4"):
        path = make_video(src / "cut" / name, 30)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    data = bytearray(make_video(src / "bits.avi", 30).read_bytes())
    half = len(data) // 2
    data[half : half + 100] = bytes(byte * 7 + 13 & 255 for byte in data[half : half + 100])
    (src / "bits.avi").write_bytes(data)
    (src / "empty.mp4").write_bytes(b"")
    (src / "text #1.avi").write_text("no video\n")
    write_sound(src / "sound.mp4")
    make_video(src / "good.mp4")
    done = extract("src", "dst")
    assert (done.code, done.err) == (1, "")
    assert done.out == "1 videos extracted, 0 already there, 9 failed (see dst/failed.txt), 6 frames written\n"
    assert set(frames_in(tmp_path / "dst")) == {".", "good"}
    assert sorted(os.listdir(tmp_path / "dst")) == ["failed.txt", "frames.json", "good"]
    listed = dict(line.split("\t") for line in (tmp_path / "dst/failed.txt").read_text().splitlines())
    assert list(listed) == [
        "bits.avi",
        "cut/a.avi",
        "cut/b.mkv",
        "cut/c.webm",
        "cut/d.mpg",
        "cut/e.mp4",
        "empty.mp4",
        "sound.mp4",
        "text #1.avi",
    ]
    assert listed["cut/b.mkv"] == "File ended prematurely" and listed["cut/e.mp4"] == "moov atom not found"
    assert listed["sound.mp4"] == "there are no pictures in it, only sound or the like"
    assert "Invalid data" in listed["text #1.avi"]

    kept = extract("src", "dst", "--keep_damaged")
    assert kept.code == 1 and kept.out.startswith("5 videos extracted, 1 already there, 4 failed")
    assert [line.split("\t")[0] for line in sorted((tmp_path / "dst/damaged.txt").read_text().splitlines())] == [
        "bits.avi",
        "cut/a.avi",
        "cut/b.mkv",
        "cut/c.webm",
        "cut/d.mpg",
    ]
    assert len(os.listdir(tmp_path / "dst/bits")) == 30 and 10 < len(os.listdir(tmp_path / "dst/cut/b")) < 30

    for name in ("cut/e.mp4", "empty.mp4", "sound.mp4", "text #1.avi"):
        (src / name).unlink()
        make_video(src / name, 2)
    assert extract("src", "dst").code == 0 and not (tmp_path / "dst/failed.txt").exists()


def test_other_files_are_counted_by_their_endings(extract, tmp_path):
    make_video(tmp_path / "src/a.mp4", 2)
    make_video(tmp_path / "src/b.flv", 2)
    for name in ("x/c.RM", "x/d.rm", "e.vob", "notes", ".DS_Store"):
        (tmp_path / "src" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "src" / name).write_text("")
    assert extract("src", "dst").out == (
        "2 videos extracted, 0 already there, 0 failed, 4 frames written\n"
        "left out by their names: 2 .rm, 1 .vob, 1 hidden, 1 no ending; --ext says which endings are videos'\n"
    )
    assert "--ext mp4); left out by their names: 2 .rm;" in extract("src/x", "d", "--ext", "mp4").error


def test_complaints_are_no_damage_where_every_picture_is_whole(extract, tmp_path):
    """A part cut out without decoding refers to what was cut off, and says so; noise in the sound is not seen."""
    gops = "open-gop=1:bframes=5:b-pyramid=normal:keyint=24:min-keyint=24:scenecut=0:ref=4"
    full = make_video(
        tmp_path / "full.mp4", 144, size="160x96", rate=24, codec="libx264", options={"x264-params": gops}
    )
    cut = copy_packets([full], tmp_path / "src/cut.mkv", start=1.0)
    done = extract("src", "dst")
    assert done.code == 0 and done.out.startswith("1 videos extracted, 0 already there, 0 failed, ")
    assert not (tmp_path / "dst/failed.txt").exists()
    clips = list(read_video(cut, 256, 16))
    assert sum(map(len, clips)) == len(os.listdir(tmp_path / "dst/cut"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_goes_on(how, extract, tmp_path):
    make_video(tmp_path / "src/a.mp4")
    long = make_video(tmp_path / "src/b.avi", 400, size="640x480")
    os.link(long, tmp_path / "src/c.avi")
    words = [sys.executable, str(PROGRAM), "src", "dst", "--quality", "1", "-j", "1"]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        text=True,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # sh ignores it
    while process.poll() is None and len(list((tmp_path / "dst").glob(".partial/*/*/*"))) < 7:
        time.sleep(0.005)
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)  # Ctrl-C reaches the whole group
    _, err = process.communicate()
    assert process.returncode == {signal.SIGKILL: -9}.get(how, 130)
    assert err == ("" if how == signal.SIGKILL else "interrupted\n")
    assert {path.name for path in (tmp_path / "dst").glob("[!.]*")} == {"a", "frames.json"}
    assert (tmp_path / "dst/.partial").exists() == (how == signal.SIGKILL)
    done = extract("src", "dst", "--quality", 1)
    assert done.out == "2 videos extracted, 1 already there, 0 failed, 800 frames written\n"
    assert [len(os.listdir(tmp_path / "dst" / name)) for name in "abc"] == [6, 400, 400]
    assert not (tmp_path / "dst/.partial").exists()


def test_one_run_at_a_time(extract, tmp_path):
    make_video(tmp_path / "src/a.mp4", 2)
    (tmp_path / "dst/.partial/others").mkdir(parents=True)
    handle = os.open(tmp_path / "dst", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert extract("src", "dst").error == "another run is writing to dst"
    assert (tmp_path / "dst/.partial/others").exists()
    os.close(handle)
    assert extract("src", "dst").code == 0


def test_a_full_disk_ends_the_run(extract, tmp_path, monkeypatch):
    def write(self, video, work):
        raise OSError(errno.ENOSPC, "No space left on device", str(work / "img_00001.jpg"))

    make_video(tmp_path / "src/a.mp4", 2)
    monkeypatch.setattr(extract_frames.Extractor, "write", write)
    assert extract("src", "dst").error == "no space left for dst/a; with more of it, the same command continues"
    assert os.listdir(tmp_path / "dst") == ["frames.json"]


def test_frames_made_otherwise_are_not_mixed(extract, tmp_path):
    make_video(tmp_path / "src/a.mp4", 2)
    extract("src", "dst", "--fps", 10)
    record = json.loads((tmp_path / "dst/frames.json").read_text())
    assert record.pop("PyAV") == av.__version__ and record.pop("FFmpeg")
    assert record == {"template": "img_{:05d}.jpg", "first": 1, "short_side": 256, "fps": 10.0, "quality": 2}
    make_video(tmp_path / "src/b.mp4", 2)
    error = extract("src", "dst", "--short_side", 128).error
    assert "dst holds frames made otherwise: --short_side 256 there, 128 now; --fps 10.0 there, (every frame)" in error
    assert not (tmp_path / "dst/b").exists()
    (tmp_path / "dst/frames.json").write_text("{}")
    assert "frames.json is damaged" in extract("src", "dst", "--fps", 10).error
    (tmp_path / "dst/frames.json").unlink()
    assert "no frames.json" in extract("src", "dst", "--fps", 10).error


def test_a_folder_of_the_users_own_is_left_alone(extract, tmp_path):
    make_video(tmp_path / "src/a.mp4", 2)
    (tmp_path / "dst/a").mkdir(parents=True)
    (tmp_path / "dst/a/mine.txt").write_text("mine")
    assert extract("src", "dst").error.startswith("dst/a holds something else")
    assert frames_in(tmp_path / "dst") == {".": ["frames.json"], "a": ["mine.txt"]}
    (tmp_path / "dst/a/mine.txt").unlink()
    assert extract("src", "dst").code == 0


def test_a_link_to_a_folder_is_followed_but_never_in_a_circle(extract, tmp_path):
    make_video(tmp_path / "elsewhere/a.mp4", 2)
    (tmp_path / "src").mkdir()
    (tmp_path / "src/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/up").symlink_to(tmp_path / "elsewhere")
    assert extract("src", "dst").code == 0 and set(frames_in(tmp_path / "dst")) == {".", "linked/a"}


BAD = {
    "nowhere d": "nowhere is not a folder",
    "src/a.mp4 d": "src/a.mp4 is not a folder",
    "src src": "are both",
    "bare d": "bare holds no video file",
    "src d --ext ,": "--ext ,",
    "clash d": "a.avi and a.mp4 would both become d/a",
    "nested d": "the frames of a/b.mp4 would lie inside those of a.avi",
    "src src/a.mp4": "src/a.mp4: ",
    "src d --template img_%05d.jpg": "'img_%05d.jpg'",
    "src d --template {:05d}.png": "'{:05d}.png'",
    "src d --template {:05d}_{:05d}.jpg": "--template",
    "src d --template x/{:05d}.jpg": "--template",
    "src d --template {:05s}.jpg": "--template",
    "src d --template {a}.jpg": "--template",
    "src d --template .{}.jpg": "--template",
    "src d --first -1": "--first",
    "src d --short_side -1": "--short_side",
    "src d --short_side big": "'big'",
    "src d --fps 0": "--fps",
    "src d --fps nan": "--fps",
    "src d --fps x": "'x'",
    "src d --quality 0": "0 is not between 1 and 31",
    "src d --quality 32": "--quality",
    "src d -j 0": "-j",
    "src": "DST",
    "src d --temp x": "--temp",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_values_end_in_one_line_and_write_nothing(words, extract, tmp_path):
    for name in ("src/a.mp4", "clash/a.mp4", "clash/a.avi", "nested/a.avi", "nested/a/b.mp4", "bare/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    before = frames_in(tmp_path)
    done = extract(*words.split())
    assert BAD[words] in done.error and done.out == ""
    assert frames_in(tmp_path) == before and not (tmp_path / "d").exists()


def test_help_shows_an_example(extract):
    done = extract("--help")
    assert done.code == 0 and "python tools/extract_frames.py videos" in done.out and "%(" not in done.out
