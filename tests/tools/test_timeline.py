"""Timelines of long videos: what predict.py writes, prints and draws of one and of many."""

import csv
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from checkpoints import make_checkpoint
from PIL import Image
from videos import copy_packets, make_video

from ops.data.stores import FolderStore
from ops.data.views import eval_transform
from ops.run.restore import load_model
from tools import extract_frames, pack_frames

SPANS = ("--window", "16f", "--stride", "6f")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """videos/clip.mp4 of 40 frames at 10 a second, frames/clip of it, {slope,none,past}.pth; not to change."""
    folder = tmp_path_factory.mktemp("made")
    make_video(folder / "videos" / "clip.mp4", 40, size="96x72", rate=10)
    extract_frames.main([str(folder / "videos"), str(folder / "frames"), "--template", "{}.jpg"])
    for method in ("slope", "none"):
        make_checkpoint(folder / f"{method}.pth", cluster=method)
    make_checkpoint(folder / "past.pth", cluster="none", shift_direction="past")
    return folder


@pytest.fixture
def run(run_program):
    """`run(*words)` runs predict.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/predict.py")


def written(path: str | Path) -> dict:
    return json.loads(Path(path).read_text())


@pytest.mark.parametrize("method", ["slope", "none"])
def test_each_window_has_the_scores_of_a_video_of_its_frames(method, made, run):
    ran = run(made / "frames/clip", "--weights", made / f"{method}.pth", "--timeline", "t.json", *SPANS, "--fps", 10)
    assert (ran.code, ran.err) == (0, "")
    (video,) = written("t.json")["videos"]
    assert [window["frames"] for window in video["windows"]] == [[0, 15], [6, 21], [12, 27], [18, 33], [24, 39]]
    assert [window["start"] for window in video["windows"]] == [0, 0.6, 1.2, 1.8, 2.4]
    assert (video["windows"][1]["end"], video["seconds"], video["frames"]) == (2.2, 4, 40)
    model, _, _ = load_model(str(made / f"{method}.pth"))
    for window in video["windows"]:
        first, last = window["frames"]
        names = [f"{i + 1}.jpg" for i in range(first, last + 1)]
        frames = FolderStore(made / "frames/clip").clip(names, partial(eval_transform, rng=None, size=64))
        if method == "none":
            frames = frames[[2, 6, 10, 14]]
        with torch.inference_mode():
            expected = model(frames, torch.tensor([len(frames)]))[0].softmax(0)
        assert window["probabilities"] == pytest.approx(expected.tolist(), abs=1e-4)
        assert ("clusters" in window) == (method == "slope")


def test_a_file_has_its_own_times_and_segments_stand_in_all_outputs(made, run):
    outputs = ("--timeline", "t.json", "--timeline", "t.csv", "--timeline", "t.png")
    pytest.importorskip("matplotlib")
    ran = run(made / "videos/clip.mp4", "--weights", made / "slope.pth", *outputs, "--window", 1.6, "--stride", 0.6)
    assert ran.code == 0, ran.err
    content = written("t.json")
    (video,) = content["videos"]
    assert [window["frames"] for window in video["windows"]] == [[0, 15], [6, 21], [12, 27], [18, 33], [24, 39]]
    assert (content["classes"], content["how"]) == (
        [f"class {i}" for i in range(4)],
        "4 slope clusters of 1.6 s, every 0.6 s",
    )
    rows = list(csv.DictReader(Path("t.csv").read_text().splitlines()))
    assert [(row["class"], float(row["start"]), float(row["end"])) for row in rows] == [
        (segment["class"], segment["start"], segment["end"]) for segment in video["segments"]
    ]
    assert (float(rows[0]["start"]), float(rows[-1]["end"])) == (0, 4)
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"{made}/videos/clip.mp4: 40 frames, 4.0 s, 4 slope clusters of 1.6 s, every 0.6 s: ")
    assert len(lines) == 1 + len(rows) + 3 and lines[-3:] == ["wrote t.json", "wrote t.csv", "wrote t.png"]
    with Image.open("t.png") as image:
        assert image.width == 2000 and 300 < image.height < 500


def test_all_scores_smoothed_and_none_above_the_threshold(made, run):
    run(made / "videos/clip.mp4", "--weights", made / "slope.pth", "--timeline", "t.json", *SPANS, "--threshold", 1)
    assert written("t.json")["videos"][0]["segments"] == []
    ran = run(made / "videos/clip.mp4", "--weights", made / "slope.pth", "--timeline", "t.json", *SPANS, "--smooth", 99)
    assert len(written("t.json")["videos"][0]["segments"]) == 1
    assert ": 1 segment\n" in ran.out


def test_online_every_frame_has_scores(made, run):
    words = ("--weights", made / "past.pth", "--timeline", "t.json")
    assert "online, every 1 frame: " in run(made / "videos/clip.mp4", *words).out
    windows = written("t.json")["videos"][0]["windows"]
    assert [window["frames"] for window in windows] == [[i, i] for i in range(40)]
    run(made / "videos/clip.mp4", *words, "--stride", 0.5)
    assert [window["frames"][1] for window in written("t.json")["videos"][0]["windows"]] == [0, *range(4, 40, 5)]
    run(made / "videos/clip.mp4", *words, *SPANS)
    assert len(written("t.json")["videos"][0]["windows"]) == 5


# ---------------------------------------------------------------- many videos


def test_a_folder_a_list_and_packs(made, run, tmp_path):
    copy_packets([made / "videos/clip.mp4"], tmp_path / "all/b/clip10.mp4")
    copy_packets([made / "videos/clip.mp4"], tmp_path / "all/b/clip9.mp4")
    (tmp_path / "all/b/notes.txt").write_text("none of it")
    copy_packets([made / "videos/clip.mp4"], tmp_path / "all/.trash/clip8.mp4")
    copy_packets([made / "videos/clip.mp4"], tmp_path / "elsewhere/clip11.mp4")
    (tmp_path / "all/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "all/back").symlink_to(tmp_path / "all")
    words = ("--weights", made / "slope.pth", "--timeline", "t.json", *SPANS)
    ran = run("all", *words)
    videos = written("t.json")["videos"]
    names = ["all/b/clip9.mp4", "all/b/clip10.mp4", "all/linked/clip11.mp4"]
    assert [video["video"] for video in videos] == names
    assert videos[0]["windows"] == videos[1]["windows"] and ran.out.count(" segment") == 3
    pack_frames.main([str(made / "frames"), str(tmp_path / "packs"), "--raw"])
    (tmp_path / "list.txt").write_text(f"all/b/clip9 40 0\n{made}/frames/clip 40 1\npacks/clip\n")
    ran = run("list.txt", "all/b/clip10.mp4", *words)
    assert ran.code == 0, ran.err
    videos = written("t.json")["videos"]
    assert [Path(video["video"]).name for video in videos] == ["clip9.mp4", "clip", "clip.npy", "clip10.mp4"]
    assert videos[1]["windows"] == videos[2]["windows"]


def test_many_videos_without_a_timeline_follow_one_another(made, run):
    out = run(made / "videos", made / "frames/clip", "--weights", made / "slope.pth").out
    assert [line.split(":")[0] for line in out.splitlines() if "40 frames" in line] == [
        f"{made}/videos/clip.mp4",
        f"{made}/frames/clip",
    ]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("flags", [(), ("--timeline", "new/t.json", *SPANS)])
def test_a_bad_video_among_many_is_left_out_if_so_wished(made, run, tmp_path, flags):
    good, bad = made / "videos/clip.mp4", tmp_path / "bad.mp4"
    bad.write_bytes(good.read_bytes()[:2000])
    words = (bad, good, "--weights", made / "slope.pth", *flags)
    stopped = run(*words)
    assert stopped.code == 2 and "40 frames" not in stopped.out and not Path("new").exists()
    ran = run(*words, "--on_bad_video", "skip")
    assert ran.code == 2 and f"{good}: 40 frames" in ran.out
    told, last = ran.err.strip().splitlines()[-2:]
    assert told.startswith(f"left out: {bad}") and "1 of 2 videos cannot be read and left out" in last
    assert not flags or [video["video"] for video in written("new/t.json")["videos"]] == [str(good)]
    ran = run(bad, bad, *words[2:], "--on_bad_video", "skip")
    assert ran.code == 2 and ("2 of 2 videos" in ran.err) == (not flags)


def test_bad_input_is_named(made, run, tmp_path):
    video, weights = made / "videos/clip.mp4", ("--weights", made / "slope.pth")
    flow = make_checkpoint(tmp_path / "flow.pth", modality="Flow")
    (tmp_path / "gone.txt").write_text("\nabsent 40 0\n")
    (tmp_path / "bare.txt").write_text("\n")
    for words, part in [
        ((video, *weights, "--window", 2), "--window is for --timeline FILE"),
        ((video, *weights, "--timeline", "t.json", "--window", "2x"), "'2x' is neither seconds"),
        ((video, *weights, "--timeline", "t.json", "--window", 0), "must be above 0"),
        ((video, *weights, "--timeline", "t.json", "--window", 1, "--stride", 2), "--stride 2 s is longer"),
        ((video, *weights, "--timeline", "t.txt"), "cannot draw t.txt"),
        ((video, *weights, "--timeline", made / "slope.pth/t.csv"), "give another place with --timeline"),
        ((video, *weights, "--timeline", "t.png", "--picture", "p.png"), "--timeline FILE.png"),
        ((video, video, *weights, "--picture", "p.png"), "--picture shows one video, and these are 2"),
        ((video, "--weights", flow, "--timeline", "t.json"), "this checkpoint sees Flow"),
        ((video, "absent.mp4", *weights, "--timeline", "t.json"), "no video file or frame folder absent.mp4"),
        (("gone.txt", *weights), "gone.txt:2: no folder absent"),
        (("bare.txt", *weights), "bare.txt is an empty list"),
        ((*[video] * 61, *weights, "--timeline", "t.png"), "t.png would have 61 rows"),
    ]:
        assert part in run(*words).error, words
    assert not list(tmp_path.glob("t.*"))
