"""Where frames come from: what a word means, what waits and what is dropped, what happens when a source breaks."""

import os
from threading import Thread

import pytest
from videos import blink, make_video

from ops.errors import InputError
from ops.live import sources
from ops.live.sources import Broken, LiveStream, Reader, Seen, find_source

ENDLESS = "testsrc2=s=32x24:r=25"  # FFmpeg's own pictures


def take_all(reader: Reader, most: int = 8) -> list:
    found = []
    while (taken := reader.take(most)) is not None:
        found += taken if isinstance(taken, list) else [taken]
    return found


# ---------------------------------------------------------------- what a word means


@pytest.mark.parametrize(
    "word, address, live",
    [
        ("-", "pipe:0", False),
        ("rtsp://host/stream", "rtsp://host/stream", True),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234", True),
        ("http://host/film.mkv", "http://host/film.mkv", False),
        ("HTTPS://host/film.mkv", "HTTPS://host/film.mkv", False),
    ],
)
def test_addresses(word, address, live):
    source = find_source(word)
    assert (source.address, source.live, source.paced) == (address, live, False)


def test_files_cameras_and_devices(tmp_path, monkeypatch):
    video = make_video(tmp_path / "a: b.mkv", 2)
    assert (find_source(str(video)).address, find_source(str(video)).paced) == (f"file:{video}", True)
    os.mkfifo(tmp_path / "fifo")
    assert not find_source(str(tmp_path / "fifo")).paced
    monkeypatch.setattr(sources, "CAMERAS", str(tmp_path / "video"))
    (tmp_path / "video0").touch()
    camera = find_source(str(tmp_path / "video0"), options={"video_size": "640x480"})
    assert (camera.format, camera.live, camera.options) == ("v4l2", True, {"video_size": "640x480"})
    assert find_source(ENDLESS, "lavfi").live


@pytest.mark.parametrize(
    "word, form, message",
    [
        ("/dev/video77", None, "no camera /dev/video77"),
        ("absent.mp4", None, "no file absent.mp4"),
        (".", None, r"\. is a folder; tools/predict.py --timeline takes"),
        ("a", "abacus", "--format abacus is none"),
    ],
)
def test_what_is_none_is_refused(word, form, message):
    with pytest.raises(InputError, match=message):
        find_source(word, form)


# ---------------------------------------------------------------- frames


def test_a_file_waits_and_loses_nothing(tmp_path):
    video = blink(tmp_path / "v.mkv", 20)
    with Reader(find_source(str(video)), drop=False, room=3) as reader:
        found = take_all(reader, 2)
    assert len(found) == 20 and all(isinstance(seen, Seen) for seen in found) and reader.dropped == 0
    assert [round(seen.time, 2) for seen in found] == [round(i / 25, 2) for i in range(20)]
    levels = [int(seen.stream.pixels(seen.frame, 0)[..., 0].mean()) for seen in found]
    assert levels == sorted(levels) and len(set(levels)) == 20


def test_of_what_cannot_wait_the_oldest_are_dropped_and_counted():
    with Reader(find_source(f"{ENDLESS}:d=4", "lavfi"), drop=True, room=3) as reader:
        reader.thread.join(20)  # nobody takes a frame
        found = take_all(reader)
    assert [round(seen.time * 25) for seen in found] == [97, 98, 99]
    assert reader.dropped == 97


def test_a_file_that_does_not_wait_is_played_at_its_own_speed(tmp_path):
    now, pauses = [0.0], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    video = blink(tmp_path / "v.mkv", 5, rate=10)
    with Reader(find_source(str(video)), drop=True, clock=lambda: now[0], pause=pause) as reader:
        assert len(take_all(reader)) == 5
    assert pauses == pytest.approx([0, 0.1, 0.1, 0.1, 0.1])


def test_leaving_ends_the_thread():
    with Reader(find_source(ENDLESS, "lavfi"), drop=False, room=2) as reader:
        assert len(reader.take(2)) > 0
    reader.thread.join(10)
    assert not reader.thread.is_alive()


# ---------------------------------------------------------------- sources that break


def test_the_end_of_what_is_live_is_a_break_and_times_go_on(monkeypatch):
    now, pauses = [100.0], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    source = find_source(f"{ENDLESS}:d=0.2", "lavfi")
    found, opened = [], []

    class Failing(LiveStream):
        def __init__(self, *words):
            opened.append(len(opened))
            if len(opened) in (3, 4, 5):
                raise InputError("no route to host")
            super().__init__(*words)

    monkeypatch.setattr(sources, "LiveStream", Failing)
    reader = Reader(source, drop=False, retries=3, clock=lambda: now[0], pause=pause)
    with reader, pytest.raises(InputError, match="no route to host"):
        while (taken := reader.take(8)) is not None:
            found += [taken] if isinstance(taken, Broken) else taken
    kinds = ["break" if isinstance(one, Broken) else round(one.time, 2) for one in found]
    first = [0, 0.04, 0.08, 0.12, 0.16]
    second = [round(1.16 + time, 2) for time in first]  # 1 s after the last frame
    assert kinds == [*first, "break", *second, "break", "break", "break"]
    assert [one.reason for one in found if isinstance(one, Broken)] == [
        "it ended",
        "it ended",
        *["no route to host"] * 2,
    ]
    assert pauses == [1, 1, 2, 4]


def test_what_cannot_be_opened_at_first_is_told_at_once():
    with pytest.raises(InputError, match="rtsp://127.0.0.1:9/x cannot be decoded: "):
        Reader(find_source("rtsp://127.0.0.1:9/x"), drop=True, retries=5).__enter__()


def test_a_damaged_file_ends_with_its_reason_or_goes_on(tmp_path):
    whole = make_video(tmp_path / "v.avi", 40, size="96x72").read_bytes()
    spoiled = tmp_path / "spoiled.avi"
    spoiled.write_bytes(whole[: len(whole) // 2] + bytes(500) + whole[len(whole) // 2 + 500 :])
    with Reader(find_source(str(spoiled)), drop=False) as reader, pytest.raises(InputError, match="--keep_damaged"):
        take_all(reader)
    with Reader(find_source(str(spoiled)), drop=False, keep_damaged=True) as reader:
        assert len(take_all(reader)) > 20
    assert reader.damage


def test_a_pipe_that_cannot_be_searched_says_what_to_send(tmp_path):
    video = make_video(tmp_path / "v.mp4", 20, "nullsrc,geq=lum=random(1)*255:cb=128:cr=128", "160x120")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = Thread(target=fifo.write_bytes, args=(video.read_bytes(),), daemon=True)
    writer.start()
    message = "must be Matroska, MPEG-TS, or MP4 with its index in front"
    with pytest.raises(InputError, match=message), Reader(find_source(str(fifo)), drop=False) as reader:
        take_all(reader)
