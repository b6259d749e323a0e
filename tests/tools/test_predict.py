"""One video through a trained model: streaming, video files, frame folders, and the pictures of them."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from PIL import Image
from videos import make_video

from ops.data.stores import FolderStore
from ops.data.video_file import read_video
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.predict import Prediction, Steps, category_names, frame_names, left_out
from ops.options.config import Config
from ops.pictures import video as pictures
from ops.run.restore import load_model
from tools import compare_runs, extract_frames


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with clip.mp4 of 40 frames, the same as a frame folder clip, and slope.pth, none.pth; not to change."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "videos").mkdir()
    make_video(folder / "videos" / "clip.mp4", 40, size="96x72", rate=10)
    extract_frames.main([str(folder / "videos"), str(folder / "frames"), "--template", "{}.jpg"])
    for method in ("slope", "none"):
        make_checkpoint(folder / f"{method}.pth", cluster=method)
    return folder


@pytest.fixture
def run(run_program):
    """`run(*words)` runs predict.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/predict.py")


# ---------------------------------------------------------------- frames


def test_a_video_file_gives_the_frames_that_training_extracts(made):
    clips = list(read_video(made / "videos" / "clip.mp4", 256, 16))
    assert [tuple(clip.shape) for clip in clips] == [(16, 3, 72, 96), (16, 3, 72, 96), (8, 3, 72, 96)]
    assert clips[0].dtype == torch.uint8
    extracted = FolderStore(made / "frames" / "clip").clip([f"{i}.jpg" for i in range(1, 41)])
    assert (torch.cat(clips).float() - extracted).abs().median() < 3  # but for sharp edges of colours, which JPEGs blur


@pytest.mark.parametrize(("short_side", "shape"), [(256, (256, 341)), (64, (64, 85)), (0, (258, 344))])
def test_large_frames_of_a_video_file_are_shrunk(short_side, shape, tmp_path):
    video = make_video(tmp_path / "a #1.mkv", 3, size="344x258")
    (clip,) = read_video(video, short_side, 8)
    assert clip.shape == (3, 3, *shape)


def test_a_reader_may_leave_early(made):
    clips = read_video(made / "videos" / "clip.mp4", 256, 2)
    assert next(clips).shape[0] == 2
    clips.close()


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("v2_10.png", "v2_9.png", "v2_100.png", "v2_1.png", ".hidden.png", "notes.txt"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, "png")
    names = frame_names(tmp_path, Config("mine", "RGB"))
    assert names == ["v2_1.png", "v2_9.png", "v2_10.png", "v2_100.png"]
    assert left_out(tmp_path, names) == f"{tmp_path}: left out 1 of its files, which are not named as frames"


def test_other_pictures_beside_frames_named_as_in_training_are_left_out(tmp_path):
    for name in ("img_000002.jpg", "img_000001.jpg", "flow_x_00001.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    names = frame_names(tmp_path, Config("ucf101", "RGB"))
    assert names == ["img_000001.jpg", "img_000002.jpg"]
    assert "left out 1 of" in left_out(tmp_path, names)
    (tmp_path / "flow_x_00001.jpg").rename(tmp_path / ".flow_x_00001.jpg")
    assert left_out(tmp_path, names) == ""
    (tmp_path / ".flow_x_00001.jpg").rename(tmp_path / "flow_x_00001.jpg")
    with pytest.raises(InputError, match="named in 2 ways: flow_x_00001.jpg, img_000001.jpg"):
        frame_names(tmp_path, Config("movingmnist", "RGB"))


def test_steps_are_stacks_of_neighbouring_frames():
    frames = [torch.full((3, 2, 2), i, dtype=torch.uint8) for i in range(5)]
    read = []
    steps = Steps(frames, np.array([0, 2, 4]), 2, read.append)
    assert len(steps) == 3 and steps[:2].shape == (2, 6, 2, 2)
    assert steps[0:9][:, ::3, 0, 0].tolist() == [[0, 1], [2, 3], [4, 4]]  # past the end the last frame is repeated
    assert read == [2, 3]


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize("method", ["slope", "none"])
def test_a_folder_is_classified_as_in_evaluation(method, made, run):
    model, config, _ = load_model(str(made / f"{method}.pth"))
    names = [f"{i}.jpg" for i in range(1, 41)]
    frames = FolderStore(made / "frames" / "clip").clip(names, partial(eval_transform, rng=None, size=64))
    if method == "none":
        frames = frames[[5, 15, 25, 35]]
    with torch.inference_mode():
        expected = model(frames, torch.tensor([len(frames)]))[0].softmax(0).sort(descending=True)
    ran = run(made / "frames" / "clip", "--weights", made / f"{method}.pth", "--chunk", 7, "--device", "cpu")
    lines = ran.out.splitlines()
    words = " in 4 slope clusters" if method == "slope" else ", 4 of them seen"
    assert lines[0] == f"{made}/frames/clip: 40 frames{words}"
    shown = [line.split() for line in lines[1:]]
    assert [f"{rank} class {label}".split() for rank, label in enumerate(expected.indices.tolist(), 1)] == [
        line[:3] for line in shown
    ]
    assert [float(line[3]) for line in shown] == pytest.approx((100 * expected.values).tolist(), abs=0.01)
    assert (ran.code, ran.err) == (0, "")


def test_a_file_is_classified_as_its_extracted_frames(made, run):
    words = ["--weights", made / "slope.pth"]
    file, folder = run(made / "videos" / "clip.mp4", *words), run(made / "frames" / "clip", *words)
    assert file.out.splitlines()[0] == f"{made}/videos/clip.mp4: 40 frames in 4 slope clusters"
    first, second = (
        {line.split()[2]: float(line.split()[3]) for line in ran.out.splitlines()[1:]} for ran in (file, folder)
    )
    assert first == pytest.approx(second, abs=5)  # JPEG's loss


def test_five_of_many_classes_and_one_frame(made, run, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", dataset="mine", image_tmpl="{}.png", num_class=7)
    (tmp_path / "one").mkdir()
    Image.new("L", (70, 80), 99).save(tmp_path / "one" / "frame.png")
    lines = run(tmp_path / "one", "--weights", weights).out.splitlines()
    assert lines[0] == f"{tmp_path}/one: 1 frame in 1 cumulative cluster" and len(lines) == 6


def test_class_names(made, run, tmp_path, tiny_data):
    weights = make_checkpoint(tmp_path / "w.pth", root_path=str(tiny_data), cluster="slope")
    lines = run(tiny_data / "val" / "left_0", "--weights", weights).out.splitlines()
    assert {line.split()[1] for line in lines[1:]} == {"up", "down", "left", "right"}
    file = tmp_path / "names.txt"
    file.write_text("walk\nrun fast\n\nsit\nfall\n")
    out = run(tiny_data / "val" / "left_0", "--weights", weights, "--category_file", file).out
    assert "run fast  " in out and "walk      " in out
    file.write_text("walk\nrun\n")
    error = run(made / "frames" / "clip", "--weights", weights, "--category_file", file).error
    assert "names 2 classes" in error
    assert category_names(Config("unknown", "RGB"), 2, None) == ["class 0", "class 1"]


@pytest.mark.parametrize("method", ["cumulative", "none"])
@pytest.mark.parametrize("modality", ["RGBDiff", "DI"])
def test_steps_of_several_frames(modality, method, made, run, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", modality=modality, cluster=method)
    ran = run(made / "frames" / "clip", "--weights", weights, "--picture", "p.png", "--chunk", 9)
    assert ran.code == 0 and ran.out.startswith(f"{made}/frames/clip: 40 frames")


@pytest.mark.parametrize("modality", ["Flow", "OF", "DOF"])
def test_flow(modality, made, run, tmp_path):
    rng = np.random.default_rng(0)
    for axis in "xy":
        for number in range(5, 20):
            name = tmp_path / "clip" / f"flow_{axis}_{number}.png"
            name.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(90, 166, (40, 50)).astype(np.uint8)).save(name)
    weights = make_checkpoint(tmp_path / "w.pth", modality=modality, image_tmpl="flow_{}_{}.png", cluster="slope")
    ran = run("clip", "--weights", weights, "--picture", "p.png", "--chunk", 4)
    assert ran.code == 0 and ran.out.startswith("clip: 15 frames")
    assert Image.open(tmp_path / "p.png").width > 300
    assert "holds no optical flow named flow_{}_{}.png" in run(made / "frames/clip", "--weights", weights).error


def test_capped_models_see_some_frames(made, run, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", num_frames=10)
    out = run(made / "frames" / "clip", "--weights", weights, "--picture", "p.png").out
    assert out.startswith(f"{made}/frames/clip: 40 frames, 10 of them seen in 4 cumulative clusters")


def test_consensus_of_each_representation(made, run, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", consensus_type="identity")
    lines = run(made / "frames" / "clip", "--weights", weights).out.splitlines()[1:]
    assert sum(float(line.split()[3]) for line in lines) == pytest.approx(100, abs=0.05)


# ---------------------------------------------------------------- bad input


def test_a_broken_video_is_refused_with_its_reason(made, run, tmp_path):
    whole = make_video(tmp_path / "v.avi", 40, size="96x72").read_bytes()
    (tmp_path / "text.mp4").write_text("no video at all")
    assert "text.mp4 cannot be decoded: " in run("text.mp4", "--weights", made / "slope.pth").error
    (tmp_path / "spoiled.avi").write_bytes(whole[: len(whole) // 2] + bytes(500) + whole[len(whole) // 2 + 500 :])
    assert "spoiled.avi cannot be decoded: " in run("spoiled.avi", "--weights", made / "slope.pth").error


@pytest.mark.parametrize("flag", ["--picture", "--timeline"])
def test_a_frame_of_the_video_is_not_drawn_over(flag, made, run, tmp_path):
    (tmp_path / "clip").mkdir()
    frame = tmp_path / "clip" / "1.png"
    Image.new("RGB", (8, 8)).save(frame)
    before = frame.read_bytes()
    ran = run("clip", "--weights", made / "slope.pth", flag, "clip/1.png")
    assert f"{flag} clip/1.png would write over clip/1.png, which is read" in ran.error
    assert frame.read_bytes() == before
    assert run("clip", "--weights", made / "slope.pth", flag, "clip.png").code == 0


def test_bad_input_is_named(made, run, tmp_path):
    video, weights = made / "videos" / "clip.mp4", ["--weights", made / "slope.pth"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "unequal").mkdir()
    for number, size in ((1, 8), (2, 8), (3, 9)):
        Image.new("RGB", (size, 8)).save(tmp_path / "unequal" / f"{number}.png")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "bare.pth")
    flow = make_checkpoint(tmp_path / "flow.pth", modality="Flow")
    for words, part in [
        (["absent.mp4", *weights], "no video file or frame folder absent.mp4"),
        (["empty", *weights], "empty holds no frames"),
        (["unequal", *weights, "--chunk", 2], "1.png is 8x8 but 3.png is 9x8"),
        ([video, "--weights", "absent.pth"], "no checkpoint absent.pth"),
        ([video, "--weights", "bare.pth"], "bare.pth does not say how it was trained"),
        ([video, "--weights", flow], "optical flow"),
        ([video], "--weights"),
        ([video, *weights, "--chunk", 0], "--chunk"),
        ([video, *weights, "--picture", "p.txt"], "p.txt"),
        ([video, *weights, "--picture", made / "slope.pth" / "p.png"], "cannot write"),
        ([video, *weights, "--category_file", "absent"], "absent"),
        ([video, *weights, "--device", "abacus"], "--device abacus"),
    ]:
        assert part in run(*words).error


def test_help_shows_examples(run):
    assert "python tools/predict.py holiday.mp4" in run("--help").out


# ---------------------------------------------------------------- pictures


def example(t: int, g: int = 6, method: str = "slope") -> Prediction:
    """A prediction on `t` frames as a model might make it."""
    frames = [torch.full((3, 8, 8), i % 256, dtype=torch.uint8) for i in range(t)]
    if method == "none":
        return Prediction(frames, np.arange(g) * t // g, None, None, method, torch.ones(4) / 4)
    assignment = [i * g // t for i in range(t)]
    return Prediction(frames, np.arange(t), assignment, np.linspace(0, 0.3, t).tolist(), method, torch.ones(4) / 4)


@pytest.mark.parametrize("method", ["slope", "none"])
@pytest.mark.parametrize("t", [1, 4, 32, 128, 5000])
def test_pictures_of_any_length(t, method, tmp_path):
    pytest.importorskip("matplotlib")
    pictures.draw_prediction(example(t, min(t, 6), method), "name", "verdict", tmp_path / "new" / "p.png")
    with Image.open(tmp_path / "new" / "p.png") as image:
        assert image.width == 2000 and 200 < image.height < 2000


def test_every_frame_of_short_videos_is_shown_and_few_of_long_ones():
    strip = pictures.Strip(example(128), 10)
    assert (strip.rows, strip.columns, strip.shown.tolist()) == (4, 32, [*range(128)])
    strip = pictures.Strip(example(5000), 10)
    assert (strip.rows, strip.columns, strip.shown.tolist()) == (1, 5000, [*range(125, 5000, 250)])
    strip = pictures.Strip(example(5000, 5, "none"), 10)
    assert strip.shown.tolist() == [0, 1000, 2000, 3000, 4000]


@pytest.mark.parametrize("t", [30, 100, 600])
def test_every_cut_is_on_the_curve(t):
    figure_of = pytest.importorskip("matplotlib.figure").Figure
    video = example(t)
    figure = figure_of()
    pictures.draw_video(figure, pictures.Strip(video, 10), "title")
    dots = {x for axis in figure.axes for line in axis.lines if line.get_marker() == "o" for x in line.get_xdata()}
    assert sorted(dots) == [i - 0.5 for i in range(1, t) if video.assignment[i] != video.assignment[i - 1]]


def test_without_matplotlib_the_user_is_told(made, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = run(made / "frames" / "clip", "--weights", made / "slope.pth", "--picture", "p.png").error
    assert "requirements-plot.txt" in error


def test_compare_runs_draws_the_same_picture(made, tmp_path):
    pytest.importorskip("matplotlib")
    log = tmp_path / "run"
    log.mkdir()
    (log / "args.json").write_text('{"dataset": "movingmnist", "cluster": "slope", "shift": true, "num_segments": 4}')
    (log / "log.csv").write_text("epoch,split,videos,frames,top1,seconds\n0,val,2,80,50.0,60\n")
    compare_runs.main(
        [
            str(log),
            "--picture",
            str(tmp_path / "p.png"),
            "--video",
            str(made / "frames" / "clip"),
            "--weights",
            str(made / "slope.pth"),
        ]
    )
    with Image.open(tmp_path / "p.png") as image:
        assert image.size[0] == 1800
