"""From a folder of raw videos to a tested model, without extraction; and what a user sees of what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from videos import make_video, write_sound

from ops.data.stores import RawStore
from ops.data.video_file import read_video
from ops.data.video_index import index_path, stamp_of

SMALL = ["--arch", "resnet_thin", "--num_segments", 4, "--epochs", 1, "-b", 4, "--input_size", 32, "--npb"]
SMALL += ["--device", "cpu", "--pretrain", "none", "-j", 0]


@pytest.fixture
def raw(tmp_path, monkeypatch) -> Path:
    """Two classes of four videos, one of them too broken to be read, one with its ending in capitals; and a sound."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, source in (("one", "testsrc2"), ("two", "mandelbrot")):
        for i in range(4):
            make_video(tmp_path / f"raw/{name}/v{i}.mp4", 12 + i, source)
    (tmp_path / "raw/one/v3.mp4").rename(tmp_path / "raw/one/V3.MP4")
    cut = make_video(tmp_path / "raw/one/cut.mkv", 30)
    cut.write_bytes(cut.read_bytes()[:-4000])
    write_sound(tmp_path / "raw/two/sound.mp4")
    return tmp_path / "raw"


def test_two_commands_train_on_raw_videos(run_program, run_main, raw):
    made = run_program("tools/make_lists.py", "folder", "--root", "raw")
    assert made.code == 0 and "note: 8 are video files" in made.out
    assert (raw / "missing.txt").read_text() == (
        "-\tone/cut\tFile ended prematurely\n-\ttwo/sound\tthere are no pictures in it, only sound or the like\n"
    )
    lines = [line for part in ("train", "val") for line in (raw / f"{part}_videofolder.txt").read_text().splitlines()]
    assert sorted(lines) == [
        "one/V3.MP4 15 0",
        *(f"one/v{i} {12 + i} 0" for i in range(3)),
        *(f"two/v{i} {12 + i} 1" for i in range(4)),
    ]
    assert len(list((raw / ".video_index").iterdir())) == 9  # the cut one, too
    trained = run_main("raw", "RGB", *SMALL)
    assert trained.code == 0 and "best top-1" in trained.out, trained
    (best,) = Path("checkpoint").rglob("ckpt.best.pth.tar")
    tested = run_program("test_models.py", "raw", "RGB", "--weights", best, "-j", 0, "--device", "cpu")
    assert tested.code == 0, tested
    checked = run_program("tools/check_dataset.py", "raw", "RGB")
    assert checked.code == 0 and "8 videos in 2 lists, 108 frames read" in checked.out
    assert not Path("cache").exists()


def test_a_raw_pack_of_videos_holds_their_frames(run_program, raw, tmp_path):
    run_program("tools/make_lists.py", "folder", "--root", "raw")
    packed = run_program("tools/pack_frames.py", "raw", "packed", "--raw")
    assert packed.code == 1 and packed.out.startswith(
        "8 videos packed, 0 already there, 2 failed (see packed/failed.txt)"
    )
    pixels = RawStore(tmp_path / "packed/one/v1.npy").pixels
    assert np.array_equal(pixels.transpose(0, 3, 1, 2), next(read_video(raw / "one/v1.mp4", 256, 64)))
    assert run_program("tools/check_dataset.py", "packed", "RGB").code == 0
    assert "video files are packed with --raw only" in run_program("tools/pack_frames.py", "raw", "zips").error


def test_a_file_that_is_changed_or_broken_later_is_named(run_program, run_main, raw):
    run_program("tools/make_lists.py", "folder", "--root", "raw")
    make_video(raw / "two/v0.mp4", 5)
    error = run_main("raw", "RGB", *SMALL).error
    assert "two/v0: list says 12 frames, raw/two/v0.mp4 holds 5" in error
    (raw / "two/v0.mp4").write_bytes(b"no video")
    checked = run_program("tools/check_dataset.py", "raw", "RGB")
    assert checked.code == 1 and "unreadable video" in checked.out
    assert "raw/two/v0.mp4 cannot be decoded: moov atom not found" in run_main("raw", "RGB", *SMALL).error


def test_a_damaged_file_stops_a_run_or_is_skipped(run_program, run_main, raw):
    """It breaks while a run is on: the index says that it is whole."""
    run_program("tools/make_lists.py", "folder", "--root", "raw")
    listed = "".join((raw / f"{part}_videofolder.txt").read_text() for part in ("train", "val"))
    (raw / "train_videofolder.txt").write_text(listed)
    broken = raw / "two/v1.mp4"
    data = bytearray(broken.read_bytes())
    place = data.index(b"mdat") + 600
    data[place : place + 400] = bytes(400)
    broken.write_bytes(data)
    index = index_path(broken)
    index.write_text(json.dumps(json.loads(index.read_text()) | {"stamp": stamp_of(broken)}))
    stopped = run_main("raw", "RGB", *SMALL)
    assert "two/v1.mp4 cannot be decoded: " in stopped.error
    skipped = run_main("raw", "RGB", *SMALL, "--overwrite", "--on_bad_video", "skip")
    assert skipped.code == 0 and "two/v1.mp4 cannot be decoded: " in skipped.out + skipped.err


def test_a_file_that_was_damaged_before_a_run_is_skipped_too(run_program, run_main, raw):
    run_program("tools/make_lists.py", "folder", "--root", "raw")
    listed = "".join((raw / f"{part}_videofolder.txt").read_text() for part in ("train", "val"))
    (raw / "train_videofolder.txt").write_text(listed)
    (raw / "two/v1.mp4").write_bytes(b"no video")
    assert "two/v1.mp4 cannot be decoded: moov atom not found" in run_main("raw", "RGB", *SMALL).error
    skipped = run_main("raw", "RGB", *SMALL, "--on_bad_video", "skip")
    assert skipped.code == 0 and "skipped a video: raw/two/v1.mp4 cannot be decoded" in skipped.out + skipped.err
    (raw / "two/v1.mp4").unlink()
    assert "no folder raw/two/v1" in run_main("raw", "RGB", *SMALL, "--overwrite", "--on_bad_video", "skip").error
