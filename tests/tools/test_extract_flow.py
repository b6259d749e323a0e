"""tools/extract_flow.py on textures that move in known ways, and on videos and folders that are not as they should."""

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from videos import make_video

from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.modality import MODALITIES
from ops.data.sampling import FrameSampler
from ops.data.specs import DatasetSpec
from ops.data.views import whole_frames
from tools import extract_flow

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed: pip install -r requirements-flow.txt")
WAVES = np.random.default_rng(0).uniform(-0.35, 0.35, (40, 2)), np.random.default_rng(1).uniform(0, 7, 40)


def texture(x, y):
    """The grey level at places of a smooth random texture, any shape -> the same shape."""
    frequencies, phases = WAVES
    waves = sum(np.sin(fx * x + fy * y + phase) for (fx, fy), phase in zip(frequencies, phases, strict=True))
    return np.clip(128 + 18 * waves, 0, 255).round().astype(np.uint8)


def make_frames(folder, motion, num_frames=3, size=(96, 128), template="img_{:05d}.png", first=1):
    """Frames of a texture that moves by `motion`, (u, v) pixels a frame; they need not be whole numbers."""
    folder.mkdir(parents=True)
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    for t in range(num_frames):
        Image.fromarray(texture(x - motion[0] * t, y - motion[1] * t)).save(folder / template.format(first + t))
    return folder


def field(folder, number, bound=20.0, template="flow_{}_{:05d}.jpg"):
    """u and v in pixels, (2, H, W), as levels are defined: 0 is -bound, 255 is bound."""
    levels = [np.asarray(Image.open(folder / template.format(axis, number)), float) for axis in "xy"]
    return np.stack(levels) * 2 * bound / 255 - bound


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def extract(run_program):
    """`extract(*words)` runs the program's command line in this process, in `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/extract_flow.py")


METHODS = [
    "dis",
    pytest.param("tvl1", marks=pytest.mark.skipif(not hasattr(cv2, "optflow"), reason="no contrib build")),
]


@pytest.mark.parametrize("method", METHODS)
def test_known_motion(extract, tmp_path, method):
    """Half a level is 0.08 pixels at a bound of 20, and JPEGs may be off by a level, 0.16, or two."""
    motions = {"right": (3, 0), "up": (0, -2), "both": (-5, 4), "parts": (1.5, -0.25), "still": (0, 0)}
    for name, motion in motions.items():
        make_frames(tmp_path / "src" / name, motion)
    done = extract("src", "dst", "--method", method)
    assert (done.code, done.err) == (0, "")
    assert done.out == "flow of 5 videos computed, 0 already there, 0 failed, 30 pictures written\n"
    for name, motion in motions.items():
        for number in (1, 2, 3):
            error = field(tmp_path / "dst" / name, number) - np.array(motion)[:, None, None]
            assert np.median(np.hypot(*error)) < 0.3
            assert np.percentile(np.hypot(*error), 90) < 0.5, name


def test_motion_beyond_the_bound_is_cut_off(extract, tmp_path):
    make_frames(tmp_path / "src/v", (-5, 1), 2)
    assert extract("src", "dst", "--bound", 4, "--template", "f_{}_{}.png").code == 0
    u, v = field(tmp_path / "dst/v", 1, 4, "f_{}_{}.png")
    assert np.median(u) == -4 and abs(np.median(v) - 1) < 0.1
    assert extract("src", "wide", "--bound", 40, "--template", "f_{}_{}.png").code == 0
    assert np.median(field(tmp_path / "wide/v", 1, 40, "f_{}_{}.png")[0]) == pytest.approx(-5, abs=0.3)


@pytest.mark.parametrize("last, count", [("repeat", 4), ("none", 3)])
def test_flow_is_numbered_as_the_frames(extract, tmp_path, last, count):
    make_frames(tmp_path / "src/class/0042", (1, 0), 4, (32, 40), "{}.jpg", first=7)
    done = extract("src", "dst", "--template", "{:06d}-{}_{:05d}.jpg", "--last", last)
    assert f"{2 * count} pictures written" in done.out
    folder = tmp_path / "dst/class/0042"
    assert names(folder) == [f"000042-{axis}_{number:05d}.jpg" for axis in "xy" for number in range(7, 7 + count)]
    pictures = [(folder / f"000042-x_{number:05d}.jpg").read_bytes() for number in range(7, 7 + count)]
    assert (pictures[-1] == pictures[-2]) == (last == "repeat")


def test_flow_beside_the_frames_is_what_the_loader_reads(extract, tmp_path):
    make_frames(tmp_path / "data/v", (4, -2), 12, (64, 64), "img_{:05d}.jpg")
    before = {path: path.read_bytes() for path in (tmp_path / "data/v").iterdir()}
    for again in (False, True):  # flow is not taken for frames
        done = extract("data", "data", "-j", 2)
        assert done.out.startswith(f"flow of {1 - again} videos computed, {int(again)} already there, 0 failed")
    assert {path: path.read_bytes() for path in before} == before
    assert names(tmp_path / "data") == ["flow.json", "v"] and len(names(tmp_path / "data/v")) == 3 * 12
    spec = DatasetSpec(2, "flow_{}_{:05d}.jpg")

    def view(height, width, rng):
        return whole_frames(height, width)

    for modality, scale in (("OF", 1), ("DOF", 0)):
        words = (tmp_path / "data", spec, MODALITIES[modality], FrameSampler(1, True), view, 0)
        clip = VideoDataset([Video("v", 12, 0)], *words)[0, 0][0]
        moved = MODALITIES[modality].to_float(clip)[0].flatten(1).median(1).values * 40 - 20 * scale
        np.testing.assert_allclose(moved, [4 * scale, -2 * scale], atol=0.3 if scale else 3)


def test_a_video_file_is_as_its_frames(extract, run_program, tmp_path):
    make_video(tmp_path / "src/a class/v.1.mp4", 5, "mandelbrot", "96x64")
    run_program("tools/extract_frames.py", "src", "frames", "--short_side", 48, "--first", 3)
    for source in ("src", "frames"):
        done = extract(source, f"of_{source}", "--short_side", 48, "--first", 3)
        assert (done.code, done.err) == (0, "")
    video, frames = tmp_path / "of_src/a class/v.1", tmp_path / "of_frames/a class/v.1"
    assert names(video) == names(frames) == [f"flow_{axis}_{k:05d}.jpg" for axis in "xy" for k in range(3, 8)]
    for name in names(video):  # to within what JPEGs round
        levels = [np.asarray(Image.open(folder / name), float) for folder in (video, frames)]
        assert np.abs(levels[0] - levels[1]).mean() < 1


def test_large_frames_are_shrunk_and_their_motion_with_them(extract, tmp_path):
    make_frames(tmp_path / "src/v", (6, 0), 2, (128, 160))
    extract("src", "dst", "--short_side", 64)
    flow = field(tmp_path / "dst/v", 1)
    assert flow.shape == (2, 64, 80) and np.median(flow[0]) == pytest.approx(3, abs=0.3)


def test_an_interrupted_run_goes_on(extract, tmp_path, monkeypatch):
    for name in "ab":
        make_frames(tmp_path / "src" / name, (1, 0), 3, (32, 32))
    real = extract_flow.flow_fields

    def interrupted(frames, method):
        frames = list(frames)
        yield from real(frames, method)
        if (tmp_path / "dst/a").exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extract_flow, "flow_fields", interrupted)
        done = extract("src", "dst", "-j", 1)
    assert (done.code, done.err) == (130, "interrupted\n")
    assert names(tmp_path / "dst") == ["a", "flow.json"]
    when = {path: path.stat().st_mtime_ns for path in (tmp_path / "dst/a").iterdir()}
    assert extract("src", "dst").out == "flow of 1 videos computed, 1 already there, 0 failed, 6 pictures written\n"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "dst/a").iterdir()} == when
    assert names(tmp_path / "dst") == ["a", "b", "flow.json"]


def test_beside_frames_the_first_picture_comes_last(extract, tmp_path, monkeypatch):
    """So a folder that a killed run was moving files to is seen to be unfinished."""
    make_frames(tmp_path / "data/v", (1, 0), 3, (32, 32))
    real, moved = os.replace, []

    def replace(source, target):
        if len(moved) == 3:
            raise KeyboardInterrupt
        moved.append(Path(target).name)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(extract_flow.os, "replace", replace)
        assert extract("data", "data").code == 130
    assert moved and "flow_x_00001.jpg" not in moved
    assert extract("data", "data").out.startswith("flow of 1 videos computed, 0 already there")
    assert len(names(tmp_path / "data/v")) == 3 + 6


def test_broken_videos_are_listed_and_get_no_flow(extract, tmp_path):
    src = tmp_path / "src"
    for name in ("good", "gap", "sizes", "cut", "ways"):
        make_frames(src / name, (1, 0), 4, (32, 40))
    make_frames(src / "single", (1, 0), 1, (32, 40))
    (src / "gap/img_00003.png").unlink()
    make_frames(tmp_path / "other", (1, 0), 4, (32, 32))
    shutil.copy(tmp_path / "other/img_00004.png", src / "sizes/img_00004.png")
    (src / "cut/img_00002.png").write_bytes((src / "cut/img_00002.png").read_bytes()[:300])
    (src / "ways/img_00004.png").rename(src / "ways/frame4.png")
    done = extract("src", "dst")
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("flow of 1 videos computed, 0 already there, 5 failed (see dst/flow_failed.txt), 8 pict")
    assert names(tmp_path / "dst") == ["flow.json", "flow_failed.txt", "good"]
    failed = dict(line.split("\t") for line in (tmp_path / "dst/flow_failed.txt").read_text().splitlines())
    assert failed["gap"] == "has a gap: frame 3 is missing of 1 to 4"
    assert failed["sizes"] == "img_00001.png is 40x32 but img_00004.png is 32x32"
    assert failed["single"] == "has a single frame, which does not move"
    assert "named in 2 ways: frame4.png, img_00001.png" in failed["ways"]
    assert "img_00002.png" in failed["cut"]
    video = make_video(tmp_path / "videos/v.avi", 30)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert extract("videos", "dst2").code == 1 and names(tmp_path / "dst2") == ["flow.json", "flow_failed.txt"]
    video.unlink()
    make_video(video, 3)
    assert extract("videos", "dst2").code == 0 and names(tmp_path / "dst2") == ["flow.json", "v"]


def test_flow_made_otherwise_is_not_mixed(extract, tmp_path):
    make_frames(tmp_path / "src/v", (1, 0), 2, (32, 32))
    extract("src", "dst")
    assert json.loads((tmp_path / "dst/flow.json").read_text())["opencv"] == cv2.__version__
    error = extract("src", "dst", "--bound", 15, "--quality", 90).error
    assert "dst holds flow made otherwise: --bound 20.0 there, 15.0 now; --quality 95 there, 90 now" in error
    (tmp_path / "dst/flow.json").unlink()
    (tmp_path / "dst/v/flow_x_00001.jpg").unlink()  # what is left of it could be anyone's
    assert "dst holds flow of these videos but no flow.json" in extract("src", "dst").error


def test_a_preview(extract, tmp_path):
    make_frames(tmp_path / "src/v", (3, 0), 9, (48, 64))
    done = extract("src", "dst", "--preview", "p.png")
    assert done.out.endswith("drew p.png\n")
    with Image.open(tmp_path / "p.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (272, 1116, 3)
    red, green, blue = np.median(pixels[150:260, 10:150], (0, 1))  # to the right, by about the most there is
    assert red == 255 and max(green, blue) < 60


def test_without_opencv(extract, tmp_path, monkeypatch):
    make_frames(tmp_path / "src/v", (1, 0), 2, (32, 32))
    if not hasattr(cv2, "optflow"):
        assert "has no TV-L1, which is in its contrib build" in extract("src", "dst", "--method", "tvl1").error
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "pip install -r requirements-flow.txt" in extract("src", "dst").error
    assert not (tmp_path / "dst").exists()


BAD = {
    "nowhere d": "nowhere is not a folder of videos or frame folders",
    "bare d": "bare holds neither video files (--ext mp4,",
    "src/v d": "v itself holds pictures: give the folder above it",
    "nested d": "v/w lies inside v, which holds pictures itself; move it elsewhere",
    "src d --template flow_{:05d}.jpg": "'flow_{:05d}.jpg' does not name files by number",
    "src d --template flow_{}_{:05d}.gif": "must end in .jpg or .png",
    "src d --template {:06d}-{}_{:05d}.jpg": "needs folders named by a number, and v is not",
    "src d --bound 0": "--bound",
    "src d --method farneback": "--method",
    "src d --quality 101": "--quality",
    "src d --preview p.pdf": "p.pdf: must end in .png",
    "src d --preview src": "src cannot be written",
    "src d -j 0": "-j",
    "src": "DST",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_values_end_in_one_line_and_write_nothing(words, extract, tmp_path):
    for name in ("src/v/1.jpg", "nested/v/1.jpg", "nested/v/w/1.jpg", "bare/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    done = extract(*words.split())
    assert BAD[words] in done.error and done.out == "" and not (tmp_path / "d").exists()


def test_help_shows_an_example(extract):
    done = extract("--help")
    assert (
        done.code == 0 and "python tools/extract_flow.py data/ucf101 data/ucf101" in done.out and "%(" not in done.out
    )
