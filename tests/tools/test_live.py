"""live.py: the same predictions wherever a video comes from, bounded memory, and how it ends."""

import functools
import http.server
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from threading import Thread
from time import sleep

import av
import pytest
from checkpoints import make_checkpoint
from videos import make_video

from tools import live

SPANS = ("--window", 1.6, "--every", 0.5)
LIVE = ("--format", "lavfi")  # FFmpeg's own pictures, which come as fast as they are taken


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """clip.mkv of 40 frames at 10 a second, what predict.py says of it (t.json), slope.pth and past.pth."""
    folder = tmp_path_factory.mktemp("made")
    make_video(folder / "clip.mkv", 40, size="96x72", rate=10)
    make_checkpoint(folder / "slope.pth", cluster="slope")
    make_checkpoint(folder / "past.pth", cluster="none", shift_direction="past")
    return folder


@pytest.fixture
def run(run_program):
    """`run(*words)` runs live.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/live.py")


@pytest.fixture
def predicted(made, run_program):
    """`predicted(weights)` is what predict.py says: (start, end, probabilities sorted) of each window."""

    def predict(weights: str, *words) -> list[tuple]:
        video, out = made / "clip.mkv", ("--timeline", "timeline.json")
        ran = run_program("tools/predict.py", video, "--weights", made / weights, *out, *words)
        assert ran.code == 0, ran.err
        windows = json.loads(Path("timeline.json").read_text())["videos"][0]["windows"]
        return [(one["start"], one["end"], sorted(one["probabilities"], reverse=True)) for one in windows]

    return predict


def written(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def check_same(records: list[dict], expected: list[tuple]) -> None:
    assert [(one["start"], one["end"]) for one in records] == [one[:2] for one in expected]
    for record, (_, _, probabilities) in zip(records, expected, strict=True):
        assert [value for _, value in record["best"]] == pytest.approx(probabilities, abs=1e-4)
        assert (record["class"], record["probability"]) == tuple(record["best"][0])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass


@pytest.fixture
def server(made):
    """The address of a web server that has the files of `made`."""
    handler = functools.partial(Quiet, directory=str(made))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def piped():
    """`piped(content)` makes bytes what standard input gives."""
    before = os.dup(0)

    def pipe(content: bytes) -> None:
        end, begin = os.pipe()
        os.dup2(end, 0)
        os.close(end)

        def write() -> None:
            with open(begin, "wb") as file:
                file.write(content)

        Thread(target=write, daemon=True).start()

    yield pipe
    os.dup2(before, 0)
    os.close(before)


# ---------------------------------------------------------------- what it says


def test_a_file_a_pipe_and_a_web_server_give_what_predict_gives(made, run, predicted, server, piped):
    expected = predicted("slope.pth", "--window", 1.6, "--stride", 0.5)
    assert [one[:2] for one in expected] == [(0, 1.6), (0.5, 2.1), (1, 2.6), (1.5, 3.1), (2, 3.6), (2.4, 4)]
    piped((made / "clip.mkv").read_bytes())
    for name, source in {"file": made / "clip.mkv", "pipe": "-", "http": f"{server}/clip.mkv"}.items():
        ran = run(source, "--weights", made / "slope.pth", *SPANS, "--jsonl", f"{name}.jsonl")
        assert (ran.code, ran.err) == (0, "")
        check_same(written(f"{name}.jsonl"), expected)
        lines = ran.out.splitlines()
        assert lines[0].endswith(": 4 slope clusters of 1.6 s, every 0.5 s; frames that come too fast are waited for")
        assert lines[-1].startswith("40 frames seen, 0 dropped, 6 predictions in ")
        best = written(f"{name}.jsonl")[0]
        assert lines[1].split(maxsplit=4) == ["1.60", "s", f"{100 * best['probability']:.2f}", "%", best["class"]]


def test_online_one_frame_in_one_prediction_out(made, run, predicted):
    expected = predicted("past.pth")
    assert len(expected) == 40
    run(made / "clip.mkv", "--weights", made / "past.pth", "--jsonl", "l.jsonl")
    check_same(written("l.jsonl"), expected)


def test_smoothing_a_threshold_and_a_file_that_is_added_to(made, run):
    words = (made / "clip.mkv", "--weights", made / "slope.pth", *SPANS, "--jsonl", "l.jsonl")
    run(*words)
    plain = written("l.jsonl")
    ran = run(*words, "--smooth", 3, "--threshold", 1)
    smooth = written("l.jsonl")[len(plain) :]
    for i, record in enumerate(smooth):
        last = [dict(one["best"]) for one in plain[max(0, i - 2) : i + 1]]
        for name, value in record["best"]:
            assert value == pytest.approx(sum(one[name] for one in last) / len(last), abs=1e-5)
    assert {record["class"] for record in smooth} == {None}
    assert all(line.endswith("%  -") for line in ran.out.splitlines()[1:-1])


def test_the_frames_are_written_with_what_is_said_of_them(made, run):
    ran = run(made / "clip.mkv", "--weights", made / "slope.pth", *SPANS, "--out", "o.mp4")
    assert ran.code == 0, ran.err
    with av.open("o.mp4") as file:
        frames = list(file.decode(video=0))
    assert [round(frame.time, 2) for frame in frames] == [round(i / 10, 2) for i in range(40)]
    with av.open(str(made / "clip.mkv")) as file:
        before = [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]
    differs = [abs(a - b.to_ndarray(format="rgb24"))[-8:].mean() > 40 for a, b in zip(before, frames, strict=True)]
    assert differs == [False] * 15 + [True] * 25  # said behind the 16th frame


# ---------------------------------------------------------------- how it goes on, and how it ends


def resident() -> float:
    """MB of memory that this process takes now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_is_flat_over_20000_frames(made, run, tmp_path, monkeypatch):
    weights, taken = make_checkpoint(tmp_path / "w.pth", cluster="slope", input_size=16), []
    monkeypatch.setattr(live.Teller, "tell", lambda teller, told: taken.append(resident()))
    source = "testsrc2=s=32x24:r=25:d=800"
    ran = run(source, *LIVE, "--late", "wait", "--retry", 0, "--weights", weights, "--window", "64f", "--every", "64f")
    assert ran.out.splitlines()[-1].startswith("20,000 frames seen, 0 dropped")
    assert len(taken) == 313
    assert taken[-1] - taken[60] < 3  # bytes of 16,000 frames would be 12 MB, their activations 64


def test_frames_that_come_too_fast_are_dropped_and_counted(made, run, monkeypatch):
    shrink = live.shrink

    def shrink_slowly(clip, size):
        sleep(0.05)
        return shrink(clip, size)

    monkeypatch.setattr(live, "shrink", shrink_slowly)
    words = ("--weights", made / "slope.pth", "--window", 2, "--retry", 0, "--jsonl", "l.jsonl")
    ran = run("testsrc2=s=32x24:r=25:d=40", *LIVE, *words)
    assert ran.code == 0, ran.err
    assert "frames that come too fast are dropped" in ran.out
    seen, dropped = (int(word.split()[0].replace(",", "")) for word in ran.out.splitlines()[-1].split(", ")[:2])
    assert seen + dropped == 1000 and dropped > 300
    assert 0 < written("l.jsonl")[-1]["dropped"] <= dropped


@pytest.fixture
def press_ctrl_c(monkeypatch):
    """`press_ctrl_c(name, times)` presses Ctrl-C when a method of `Teller` was called so many times."""

    def when(name: str, times: int) -> None:
        method, called = getattr(live.Teller, name), []

        def call(teller, what) -> None:
            method(teller, what)
            called.append(what)
            if len(called) == times:
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(live.Teller, name, call)

    return when


def test_ctrl_c_ends_cleanly(made, run, press_ctrl_c):
    press_ctrl_c("tell", 3)
    words = ("--weights", made / "slope.pth", "--window", "16f", "--out", "o.mp4", "--jsonl", "l.jsonl")
    ran = run("testsrc2=s=32x24:r=25", *LIVE, "--late", "wait", *words)
    assert (ran.code, ran.err) == (130, "ended by SIGINT\n")
    assert " frames seen, 0 dropped, 3 predictions" in ran.out.splitlines()[-1]
    with av.open("o.mp4") as file:  # whole
        assert len(list(file.decode(video=0))) >= 24
    assert len(written("l.jsonl")) == 3


def test_a_source_that_breaks_is_opened_again(made, run, press_ctrl_c, monkeypatch):
    monkeypatch.setattr(live, "Reader", partial(live.Reader, pause=lambda seconds: None))
    press_ctrl_c("tell_break", 3)
    words = ("--weights", made / "slope.pth", "--window", "16f", "--every", "16f", "--jsonl", "l.jsonl")
    ran = run("testsrc2=s=32x24:r=25:d=1", *LIVE, "--late", "wait", *words)
    assert (ran.code, ran.err) == (130, "it ended; opens it again in 1 s\n" * 3 + "ended by SIGINT\n")
    records = written("l.jsonl")
    assert ["end" in record for record in records] == [True, False] * 3  # the window starts anew
    ends = [record["end"] for record in records[::2]]
    assert ends[0] == 0.64 and ends[1] >= 1.6 and ends[2] >= 2.56


def test_bad_input_is_named(made, run, tmp_path):
    video, weights = made / "clip.mkv", ("--weights", made / "slope.pth")
    flow = make_checkpoint(tmp_path / "flow.pth", modality="Flow")
    for words, part in [
        (("absent.mp4", *weights), "no file absent.mp4; give a file, a camera"),
        ((tmp_path, *weights), "tools/predict.py --timeline takes folders of frames"),
        (("/dev/video77", *weights), "no camera /dev/video77"),
        (("http://127.0.0.1:9/a.mkv", *weights), "http://127.0.0.1:9/a.mkv cannot be decoded: "),
        ((made / "slope.pth", *weights), "slope.pth cannot be decoded: "),
        ((video, "--weights", "absent.pth"), "no checkpoint absent.pth"),
        ((video, "--weights", flow), "this checkpoint sees Flow"),
        ((video, *weights, "--window", 1, "--every", 2), "--every 2 s is longer than --window 1 s"),
        ((video, *weights, "--window", "-1"), "must be above 0"),
        ((video, *weights, "--option", "a"), "'a' is not NAME=VALUE"),
        ((video, *weights, "--out", "o.txt"), "ends in .mp4, .mkv, .mov"),
        ((video, *weights, "--jsonl", made / "slope.pth" / "l.jsonl"), "cannot be written"),
        ((video, *weights, "--format", "abacus"), "--format abacus is none"),
    ]:
        assert part in run(*words).error, words


def test_what_is_read_is_never_written_over(made, run, tmp_path):
    video, weights = tmp_path / "v.mkv", tmp_path / "w.pth"
    video.write_bytes((made / "clip.mkv").read_bytes())
    weights.write_bytes((made / "slope.pth").read_bytes())
    (tmp_path / "link.mkv").symlink_to(video)
    before = video.read_bytes(), weights.read_bytes()
    for words in [("--out", "link.mkv"), ("--jsonl", "v.mkv"), ("--jsonl", weights)]:
        assert "which is read; give another place" in run(video, "--weights", weights, *words).error
    assert (video.read_bytes(), weights.read_bytes()) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is /dev/full")
def test_a_full_disk_is_named(made, run):
    words = ("--weights", made / "slope.pth", "--window", "8f", "--jsonl", "/dev/full")
    assert run(made / "clip.mkv", *words).error == "--jsonl /dev/full cannot be written: No space left on device"


def test_show_needs_an_opencv_with_windows(made, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    error = run(made / "clip.mkv", "--weights", made / "slope.pth", "--show").error
    assert error.startswith("--show needs OpenCV: `pip install opencv-python`; --out FILE.mp4 writes")


def test_help_shows_examples(run):
    assert "python tools/live.py /dev/video0" in run("--help").out
