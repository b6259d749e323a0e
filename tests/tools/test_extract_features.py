"""Features of videos by tools/extract_features.py, and heads that main.py and test_models.py train and test on them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from videos import make_video

from ops.data.specs import DATASETS
from ops.data.stores import open_store
from ops.data.video_file import read_video
from ops.data.views import eval_transform
from ops.evaluation.features import ReadAhead, _spans
from ops.models import build_model
from ops.options.config import Config, plain
from ops.training import checkpoint as ckpt

TOOL = "tools/extract_features.py"
THIN = ["--weights", "none", "--arch", "resnet_thin", "--input_size", "32"]
SMALL = ["-b", "4", "-j", "0", "--device", "cpu"]


def make_checkpoint(path: Path, number: int = 1, **given) -> Path:
    """An untrained model as main.py saves it; another number, other weights."""
    given = {"num_segments": 4, "arch": "resnet_thin", "input_size": 32} | given
    config = Config("movingmnist", "RGB", **given)
    torch.manual_seed(number)
    model = build_model(num_class=4, **config.model_options)
    ckpt.save_checkpoint(path, {"state_dict": model.state_dict(), "config": plain(config), "num_class": 4})
    return path


def frames_of(folder: Path) -> torch.Tensor:
    """All frames of a video as a network of 32 pixels sees them."""
    clip = open_store(folder).load(DATASETS["movingmnist"], range(20), lambda h, w: eval_transform(h, w, None, 32))
    return clip.expand(-1, 3, -1, -1)


@pytest.fixture
def extract(run_program, tiny_data):
    """`extract(*words)` runs the tool on the tiny data set -> what it said."""

    def run(*words, data=("movingmnist", "RGB", "--root_path", tiny_data)):
        return run_program(TOOL, *data, "--device", "cpu", "-j", "2", *words)

    return run


def test_vectors_of_frames_are_those_of_the_network(extract, tiny_data, tmp_path):
    done = extract(*THIN, "--at", "pool", "--out", "f", "--chunk", "7")
    assert done.out == "12 videos written, 0 already there, in f: rows of 96 float16, 240 in all\n", done
    rows = np.load(tmp_path / "f/val/left_0.features.npy")
    torch.manual_seed(0)
    model = build_model("resnet_thin", 1, 1, cluster="none").eval()
    with torch.inference_mode():
        x = model.to_input(frames_of(tiny_data / "val/left_0"))
        for stage in model.base_model.stages:
            x = model.base_model.run_stage(stage, x)
    expected = x.mean((2, 3)).numpy()
    assert rows.dtype == np.float16 and rows.shape == (20, 96)
    np.testing.assert_allclose(rows, expected, rtol=2e-3, atol=1e-4)
    spans = np.load(tmp_path / "f/val/left_0.spans.npy")
    assert spans.dtype == np.int64 and spans.tolist() == [[i, i] for i in range(20)]


def test_a_head_trains_resumes_and_is_tested_on_vectors(extract, run_program, tmp_path):
    extract(*THIN, "--at", "pool", "--out", "f")
    words = ["f", "Features", "--cluster", "none", "--num_segments", "8", "--lr", "0.1", *SMALL]
    run = run_program("main.py", *words, "--epochs", "2")
    assert "model     features, 0.00 M parameters, features of width 96, no shift" in run.out and not run.code, run
    straight = ckpt.load_checkpoint(str(next(tmp_path.glob("checkpoint/*_e2/ckpt.pth.tar"))))
    run_program("main.py", *words, "--epochs", "1", "--suffix", "half")
    (half,) = tmp_path.glob("checkpoint/*_half/ckpt.pth.tar")
    run = run_program("main.py", *words, "--epochs", "2", "--resume", half, "--suffix", "whole")
    resumed = ckpt.load_checkpoint(str(next(tmp_path.glob("checkpoint/*_whole/ckpt.pth.tar"))))
    assert straight["state_dict"].keys() == {"new_fc.weight", "new_fc.bias"}
    for name, value in straight["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name])
    tested = run_program("test_models.py", "f", "--weights", half, "-j", "0", "--device", "cpu", "--twice_sample")
    assert "8 frames x 1 crop x 2 clips, features" in tested.out and tested.code == 0, tested
    assert (tmp_path / "log").is_dir() and (tmp_path / "f/category.txt").read_text().split()[0] == "left"
    assert "cannot be cropped" in run_program("test_models.py", "f", "--weights", half, "--test_crops", "3").error


def test_maps_of_64_frames_that_short_videos_repeat(extract, run_main, tmp_path):
    done = extract(*THIN, "--at", "layer4", "--frames", "64", "--out", "maps")
    assert "rows of 96 x 1 x 1 float16, 768 in all" in done.out, done
    rows, spans = (np.load(tmp_path / f"maps/train/up_0.{name}.npy") for name in ("features", "spans"))
    assert rows.shape == (64, 96, 1, 1) and spans[:, 0].tolist() == [i * 20 // 64 for i in range(64)]
    assert (rows[0] == rows[3]).all() and (rows[0] != rows[4]).any()
    assert "left_0 64 0" in (tmp_path / "maps/val_videofolder.txt").read_text()
    run = run_main("maps", "Features", "--cluster", "kmodes", "--num_segments", "4", "--epochs", "1", *SMALL)
    assert run.code == 0, run  # maps may be compared by signs


def test_maps_before_their_last_relu_are_for_actionvlad_alone(extract, run_main, tmp_path):
    thin = [*THIN, "--input_size", "64"]
    done = extract(*thin, "--at", "layer4", "--frames", "8", "--before_relu", "--out", "open")
    assert "rows of 96 x 2 x 2 float16" in done.out, done
    extract(*thin, "--at", "layer4", "--frames", "8", "--out", "closed")
    before, after = (np.load(tmp_path / f"{name}/train/up_0.features.npy") for name in ("open", "closed"))
    assert before.min() < 0 and np.array_equal(before.clip(0), after)
    words = ["Features", "--cluster", "none", "--num_segments", "8", "--epochs", "1", *SMALL]
    run = run_main("open", *words, "--consensus_type", "ActionVLAD", "--vlad_stage", "1")
    assert run.code == 0 and "ActionVLAD starts from 8 training videos" in run.out, run
    assert (
        "from before the last ReLU, and --consensus_type avg takes those from behind it"
        in run_main("open", *words).error
    )
    error = run_main("closed", *words, "--consensus_type", "ActionVLAD").error
    assert (
        error.startswith("closed holds features from behind the last ReLU")
        and "extract them with --before_relu" in error
    )
    refused = extract(*thin, "--at", "layer4", "--frames", "8", "--out", "open").error
    assert "holds features of at layer4 before its last ReLU, not layer4" in refused


@pytest.mark.parametrize("at, shape", [("clusters", (4, 96)), ("layer4", (4, 96, 1, 1))])
def test_clusters_come_with_their_first_and_last_frame(extract, tiny_data, tmp_path, at, shape):
    weights = make_checkpoint(tmp_path / "slope.pth.tar", cluster="slope", shift=True)
    done = extract("--weights", weights, "--at", at, "--out", "c", "--chunk", "6")
    assert done.code == 0, done
    rows, spans = (np.load(tmp_path / f"c/val/right_0.{name}.npy") for name in ("features", "spans"))
    model = build_model("resnet_thin", 4, 4, cluster="slope", shift=True).eval()
    model.load_state_dict(torch.load(weights)["state_dict"])
    with torch.inference_mode():
        frames = frames_of(tiny_data / "val/right_0")
        x, assignment = model.represent(frames, torch.tensor([20]))
        for stage in model.trunk_stages:
            x = model.base_model.run_stage(stage, x)
    assert rows.shape == shape
    np.testing.assert_allclose(rows.reshape(4, 96), x.mean((2, 3)).numpy(), rtol=2e-3, atol=1e-3)
    starts = [assignment.tolist().index(k) for k in range(4)]
    assert spans.tolist() == [[start, end - 1] for start, end in zip(starts, [*starts[1:], 20], strict=True)]


def test_a_model_that_mixes_frames_gives_those_that_it_was_trained_on(extract, tmp_path):
    weights = make_checkpoint(tmp_path / "tsm.pth.tar", cluster="none", shift=True)
    assert "48 in all" in extract("--weights", weights, "--at", "pool", "--out", "t").out
    assert np.load(tmp_path / "t/val/left_0.spans.npy")[:, 0].tolist() == [2, 7, 12, 17]
    done = extract("--weights", weights, "--at", "pool", "--frames", "64", "--out", "u")
    assert "mixes 4 frames in time; leave --frames out" in done.error


def test_the_same_command_goes_on_and_another_network_is_refused(extract, tmp_path):
    words = [*THIN, "--at", "pool", "--out", "f"]
    extract(*words)
    (tmp_path / "f/val/up_0.features.npy").unlink()
    (tmp_path / "f/val/.up_0.features.npy.00000000.partial").write_text("what a killed program left")
    kept = (tmp_path / "f/val/down_0.features.npy").stat().st_mtime_ns
    assert extract(*words).out.startswith("1 videos written, 11 already there")
    assert (tmp_path / "f/val/down_0.features.npy").stat().st_mtime_ns == kept
    assert not [*tmp_path.rglob("*.partial")]
    assert "holds features of at pool, not layer4" in extract(*THIN, "--at", "layer4", "--out", "f").error
    assert "holds features of frames all, not 8" in extract(*words, "--frames", "8").error


def test_other_weights_in_the_same_folder_and_frames_of_another_size_are_told_apart(extract, run_program, tmp_path):
    pytest.importorskip("safetensors", reason="of requirements-export.txt")
    for number, name in enumerate(("a", "b"), 1):
        weights = make_checkpoint(tmp_path / f"{name}.pth.tar", number, cluster="slope")
        words = ("--weights", weights, "--to", "safetensors", "--out", "m", "--overwrite")
        assert run_program("tools/export.py", *words).code == 0
        ran = extract("--weights", "m", "--at", "clusters", "--out", "f")
        assert ran.code == 0 if name == "a" else "holds features of weights" in ran.error
    make_video(tmp_path / "videos/a.mp4", 3)
    words = (*THIN, "--at", "pool", "--out", "g")
    assert extract(*words, data=("videos", "RGB")).code == 0
    assert "of short_side 256, not 32" in extract(*words, "--short_side", 32, data=("videos", "RGB")).error
    record = json.loads((tmp_path / "g/features.json").read_text())
    del record["short_side"]  # as it was written before
    (tmp_path / "g/features.json").write_text(json.dumps(record))
    assert extract(*words, data=("videos", "RGB")).out.startswith("0 videos written, 1 already there")


def test_a_video_that_cannot_be_read_ends_it_and_leaves_nothing_of_itself(extract, own_data, tmp_path):
    (own_data / "val/up_0/13.jpg").write_bytes(b"\xff\xd8 no picture")
    data = ("movingmnist", "RGB", "--root_path", own_data)
    done = extract(*THIN, "--at", "pool", "--out", "f", "--chunk", "4", data=data)
    assert "up_0/13.jpg" in done.error
    assert not [*tmp_path.glob("f/val/*up_0*")] and not (tmp_path / "f/dataset.json").exists()


def test_a_folder_without_lists(extract, tiny_data, tmp_path):
    shutil.copytree(tiny_data / "val", tmp_path / "holidays")
    done = extract(*THIN, "--at", "pool", "--frames", "2", data=("holidays", "RGB"))
    assert (
        done.out
        == f"4 videos written, 0 already there, in {tmp_path}/holidays_features: rows of 96 float16, 8 in all\n"
    )
    assert sorted(path.name for path in (tmp_path / "holidays_features").iterdir())[0] == "down_0.features.npy"
    assert json.loads((tmp_path / "holidays_features/features.json").read_text())["frames"] == 2
    assert "already there" in extract(*THIN, "--at", "pool", "--frames", "2", data=("holidays", "RGB")).out
    (tmp_path / "holidays/up_0/7.jpg").unlink()
    assert "gap" in extract(*THIN, "--at", "pool", "--out", "g", data=("holidays", "RGB")).error


@pytest.mark.parametrize("frames, words", [("all", []), ("5", []), ("all", ["--weights", "slope.pth.tar"])])
def test_a_folder_of_video_files_gives_what_their_frames_give(run_program, tmp_path, frames, words):
    make_checkpoint(tmp_path / "slope.pth.tar", cluster="slope")
    video = make_video(tmp_path / "videos/a/clip.mp4", 90, size="96x72", rate=10)
    (tmp_path / "frames/a/clip").mkdir(parents=True)
    for i, frame in enumerate(torch.cat(list(read_video(video, 256, 64))).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(frame).save(tmp_path / f"frames/a/clip/{i}.png")
    words = [*(words or THIN), "--at", "clusters" if words else "pool", "--frames", frames, "--device", "cpu"]
    done = run_program(TOOL, "videos", "RGB", *words, "--out", "f", "--chunk", "20")
    assert done.out.startswith("1 videos written"), done
    run_program(TOOL, "frames", "RGB", *words, "--out", "g")
    of_file, of_frames = np.load(tmp_path / "f/a/clip.mp4.features.npy"), np.load(tmp_path / "g/a/clip.features.npy")
    np.testing.assert_allclose(of_file, of_frames, rtol=1e-2, atol=1e-3)
    assert len(of_file) == {"all": 4 if "slope.pth.tar" in words else 90, "5": 5}[frames]
    spans = [np.load(tmp_path / name).tolist() for name in ("f/a/clip.mp4.spans.npy", "g/a/clip.spans.npy")]
    assert spans[0] == spans[1]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--weights", "slope.pth.tar", "--at", "pool"], "take --at clusters"),
        (["--weights", "tsn.pth.tar", "--at", "clusters"], "does not cluster; take --at pool"),
        (["--weights", "pooled.pth.tar", "--at", "pool"], "makes 2 time steps of 4 inside of its network"),
        (["--weights", "nowhere.pth.tar", "--at", "pool"], "nowhere.pth.tar"),
        (["--weights", "imagenet", "--arch", "resnet_thin", "--at", "pool"], "no ImageNet weights for resnet_thin"),
        (["--weights", "none", "--arch", "features", "--at", "pool"], "takes features, and makes none"),
        (["--weights", "none", "--arch", "resnet_thin", "--at", "pool", "--before_relu"], "--at pool keeps vectors"),
        (
            ["--weights", "none", "--arch", "bninception", "--at", "layer4", "--before_relu"],
            "cannot end before its last",
        ),
        (["--weights", "none", "--arch", "resnet_thin", "--at", "pool", "--out", "DATA"], "is the dataset itself"),
    ],
)
def test_what_cannot_be(extract, tiny_data, tmp_path, words, message):
    for name, given in (("slope", {"cluster": "slope"}), ("tsn", {}), ("pooled", {"temporal_pool": True})):
        if f"{name}.pth.tar" in words:
            make_checkpoint(tmp_path / f"{name}.pth.tar", **({"cluster": "none"} | given))
    done = extract(*(str(tiny_data) if word == "DATA" else word for word in words))
    assert message in done.error


def test_lists_of_one_name_are_refused(extract, tiny_data, tmp_path):
    """In one folder, the second would take the place of the first: training would be on the videos of the test."""
    words = []
    for split in ("train", "val"):
        file = tmp_path / split / "list.txt"
        file.parent.mkdir()
        file.write_text(next(tiny_data.glob(f"{split}*.txt")).read_text())
        words += [f"--{split}_list", file]
    assert "list.txt have one name" in extract(*THIN, "--at", "pool", "--out", "f", *words).error


def test_features_and_frames_are_not_taken_for_each_other(extract, run_program, tiny_data, tmp_path):
    extract(*THIN, "--at", "pool", "--out", "f")
    on_vectors = ["f", "Features", *SMALL]
    assert "whose signs hardly tell frames apart" in run_program("main.py", *on_vectors).error
    assert "takes frames, not Features" in run_program("main.py", *on_vectors, "--arch", "resnet18").error
    assert "holds features, not frames" in run_program("main.py", "f", "RGB", *SMALL).error
    on_frames = run_program("main.py", "movingmnist", "Features", "--root_path", tiny_data, *SMALL)
    assert "holds no features" in on_frames.error
    for flag in ("--shift", "--temporal_max"):
        assert "finds no stage" in run_program("main.py", *on_vectors, "--cluster", "none", flag).error
    assert (
        "features of width 96, and --feature_dim says 8"
        in run_program("main.py", *on_vectors, "--cluster", "even", "--feature_dim", "8").error
    )
    assert "--input_size has no effect with Features" in run_program("main.py", *on_vectors, "--input_size", "32").error
    np.save(tmp_path / "f/val/up_0.features.npy", np.zeros((20, 95), np.float16))
    assert "not rows of 96 floats as the dataset says" in run_program("main.py", *on_vectors, "--cluster", "even").error
    np.save(tmp_path / "f/val/up_0.features.npy", np.full((20, 96), np.inf, np.float16))
    checked = run_program("tools/check_dataset.py", "f", "Features")
    assert checked.code == 1 and "row 0 holds what is no number" in checked.out


def test_spans_of_clusters_that_are_not_contiguous_few_or_merged_again():
    assert _spans(np.array([0, 1, 0, 1, 1]), 2, []).tolist() == [[0, 2], [1, 4]]
    assert _spans(np.array([0, 2]), 4, []).tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]  # 2 frames, 4 clusters
    assert _spans(np.array([0, 0, 1, 2]), 3, [np.array([0, 1, 1])]).tolist() == [[0, 1], [2, 3]]


def test_what_is_read_ahead_is_what_is_asked_for():
    read = []

    class Numbers:
        def __len__(self):
            return 10

        def __getitem__(self, part):
            read.append((part.start, part.stop))
            return torch.arange(10)[part]

    with ReadAhead(Numbers(), 2) as ahead:
        for part in (slice(0, 4), slice(4, 8), slice(8, 12), slice(4, 8), slice(None)):
            assert ahead[part].tolist() == list(range(10))[part]
    assert read[:3] == [(0, 4), (4, 8), (8, 10)]
