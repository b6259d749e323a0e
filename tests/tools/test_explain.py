"""`tools/explain.py`: maps that are known by hand, and what the program says and draws."""

from functools import partial

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint
from PIL import Image
from torch import nn

from archs.backbone import Backbone
from ops.data.views import Box
from ops.evaluation import explain as explaining
from ops.evaluation.explain import explain
from ops.evaluation.pointing import Turn, cells_of, table, turns_of
from ops.evaluation.predict import hold
from ops.heads import head_of
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.maps import heat_over
from ops.run.restore import load_model

pytest.importorskip("captum", reason="captum is not installed: pip install -r requirements-explain.txt")


class Passing(Backbone):
    """Two stages that leave frames as they are: its maps are the frames."""

    stages, channels, in_channels, feature_dim, first_conv = ("one", "two"), {"one": 3, "two": 3}, 3, 3, ""

    def run_stage(self, stage, x):
        return x

    def stage_modules(self, stage):
        return []


def hand_made() -> TSN:
    """Two sampled frames of 2 x 2 pixels; class 1 likes red and dislikes blue."""
    head = head_of("avg", {})(3, 2, 2)
    model = TSN(Passing(), head, 2, 2, "RGB", ((0.0,) * 3, (1.0,) * 3), {}, 0.5, False)
    with torch.no_grad():
        model.new_fc.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [8.0, 0.0, -16.0]]))
        model.new_fc.bias.copy_(torch.tensor([0.0, 0.5]))
    return model.eval()


@pytest.fixture
def run(run_program):
    """`run(*words)` runs explain.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/explain.py", "--device", "cpu")


def test_the_map_of_a_network_made_by_hand():
    frames = [torch.zeros(3, 2, 2, dtype=torch.uint8) for _ in range(2)]
    frames[0][0, 0, 1] = 255  # red at the upper right of the first frame
    frames[1][2, 1, 0] = 255  # blue at the lower left of the second
    config = Config("mine", "RGB", cluster="none", num_segments=2)
    found = explain(hand_made(), config, frames, 8, label=1)
    # mean over 2 frames and 4 places: one place weighs 1 / 8 of the class's weights 8 and -16
    assert found.maps.tolist() == [[[0, 1], [0, 0]], [[0, 0], [-2, 0]]]
    assert found.added.tolist() == [1, -2] and found.score == -0.5
    assert explain(hand_made(), config, frames, 8).label == 0  # it scores 0


def test_the_class_that_is_asked_for_is_explained():
    frames = [torch.zeros(3, 2, 2, dtype=torch.uint8) for _ in range(2)]
    frames[0][0, 0, 1] = 255
    found = explain(hand_made(), Config("mine", "RGB", cluster="none", num_segments=2), frames, 8, label=0)
    assert found.maps.tolist() == [[[0, 0], [0, 0]]] * 2 and found.score == 0
    found = explain(hand_made(), Config("mine", "RGB", cluster="none", num_segments=2), frames, 8)
    assert (found.label, found.score, found.added.tolist()) == (1, 1.5, [1, 0])


@pytest.mark.parametrize(
    "given",
    [
        {"cluster": "slope"},
        {"cluster": "none"},
        {"cluster": "cumulative", "consensus_type": "identity"},
        {"cluster": "slope", "freeze_backbone": True},
        {"cluster": "slope", "arch": "mobilenetv2"},
        {"cluster": "slope", "modality": "RGBDiff"},
    ],
)
def test_clusters_and_bias_make_up_the_score(given, tmp_path):
    model, config, _ = load_model(str(make_checkpoint(tmp_path / "w.pth", **given)))
    nn.init.constant_(model.new_fc.bias, 0.25)
    frames = hold([torch.randint(0, 255, (12, 3, 64, 64), dtype=torch.uint8)])
    found = explain(model, config, frames, 8, label=2)
    assert found.maps.shape == (4, 2, 2)
    assert found.added.sum() + 0.25 == pytest.approx(found.score, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("head", ["TRN", "TRNmultiscale"])
def test_other_heads_have_maps_too(head, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", consensus_type=head, cluster="slope")
    model, config, _ = load_model(str(weights))
    found = explain(model, config, hold([torch.randint(0, 255, (9, 3, 64, 64), dtype=torch.uint8)]), 8)
    assert found.maps.shape == (4, 2, 2) and np.abs(found.maps).max() > 0


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize("cluster, words", [("slope", " in 4 slope clusters"), ("none", ", 4 of them seen")])
def test_a_video_is_explained_and_drawn(cluster, words, run, tiny_data, tmp_path):
    pytest.importorskip("matplotlib")
    weights = make_checkpoint(tmp_path / "w.pth", cluster=cluster)
    video = tiny_data / "val/left_0"
    ran = run(video, "--weights", weights, "--label", "3", "--out", "new/e.png")
    lines = ran.out.splitlines()
    assert lines[0] == f"{video}: 20 frames{words}"
    assert lines[1].startswith("class 3  ") and ", score " in lines[1]
    assert [line.split()[:3] for line in lines[2:6]] == [["cluster", str(k), "frames"] for k in (1, 2, 3, 4)]
    assert lines[2].split()[3] == ("0" if cluster == "slope" else "2")
    added = sum(float(line.split()[-1]) for line in lines[2:6])
    assert added == pytest.approx(float(lines[6].split(";")[0].split()[-1]), abs=0.003)
    assert lines[-1] == "drew new/e.png" and (ran.code, ran.err) == (0, "")
    with Image.open(tmp_path / "new/e.png") as picture:
        assert picture.width == 2000 and np.asarray(picture.convert("HSV"))[..., 1].max() > 200


def test_long_videos_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from ops.pictures.maps import draw_explanation

    model, config, _ = load_model(str(make_checkpoint(tmp_path / "w.pth", cluster="even")))
    found = explain(model, config, hold([torch.randint(0, 255, (200, 3, 32, 32), dtype=torch.uint8)]), 64)
    draw_explanation(found.video, found.maps, "title", "verdict", tmp_path / "e.png")
    assert (tmp_path / "e.png").stat().st_size > 10_000


def test_the_pointing_game_on_made_videos(run, tiny_data, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", cluster="slope")
    lines = run(tiny_data, "--weights", weights, "--pointing", 3).out.splitlines()
    assert lines[0] == "3 videos; in brackets 95 % intervals" and len(lines) == 7
    assert lines[1].startswith("highest place     on the moving digit: ") and " of 3; by chance " in lines[1]
    assert "largest addition  on the still digit" in lines[4] and "place in cluster  on the moving" in lines[5]
    words = (tiny_data, "--weights", weights, "--pointing", 3, "--label", 1)
    assert "--label has no effect with --pointing" in run(*words).error
    assert "has no move4mnist.json" in run(tiny_data / "val", "--weights", weights, "--pointing", 3).error


@pytest.mark.parametrize(
    "given, words, message",
    [
        ({}, "absent.mp4", "no video file or frame folder absent.mp4"),
        ({}, "{video} --label jump", "--label jump is no class; take a name, such as class 0, or 0 to 3"),
        ({}, "{video} --label 4", "--label 4 is no class"),
        ({}, "{video} --out e.txt", "e.txt"),
        ({}, "{frames} --out clip/1.png", "--out clip/1.png would write over clip/1.png, which is read"),
        ({"cluster_after": "layer1:8,layer2:4"}, "{video}", "clusters after layer1:8,layer2:4"),
        ({"temporal_max": True, "shift": False}, "{video}", "pools its clusters over time"),
    ],
)
def test_bad_input_is_named(given, words, message, run, tiny_data, tmp_path):
    weights = make_checkpoint(tmp_path / "w.pth", cluster="slope", **given)
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/1.png").touch()
    words = words.format(video=tiny_data / "val/left_0", frames="clip").split()
    assert message in run(*words, "--weights", weights).error


def test_without_captum_the_user_is_told(run, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(explaining, "find_spec", lambda name: None)
    weights = make_checkpoint(tmp_path / "w.pth", cluster="slope")
    assert "requirements-explain.txt" in run(tiny_data / "val/left_0", "--weights", weights).error


# ---------------------------------------------------------------- pictures and the pointing game


def test_heat_leaves_a_grey_frame_where_there_is_none():
    frame = torch.tensor([30, 60, 90], dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
    assert heat_over(frame, torch.zeros(2, 2)).unique().tolist() == [60]
    hot = heat_over(frame, torch.ones(2, 2))
    assert hot[:, 0, 0].tolist() == [206, 199, 128]  # three quarters of the brightest heat


def test_cells_hold_the_points_in_them():
    box = Box(top=4, left=4, height=56, width=56)
    points = np.array([[4.0, 4.0], [59.9, 31.0], [2.0, 30.0]])  # the last one is outside of the box
    assert cells_of(points, box, (2, 2)).tolist() == [[True, True], [False, False]]


def test_the_turns_of_a_video():
    maps = np.array([[[0.0, 3.0]], [[2.0, 2.0]], [[-9.0, 1.0]]])  # three clusters of one row of two places
    moving = np.array([[[False, True]], [[False, False]], [[True, False]]])
    still = np.array([[[False, False]], [[True, False]], [[False, False]]])
    games = turns_of(maps, moving, still)
    assert games["highest place"] == [Turn(True, False, pytest.approx(1 / 3), pytest.approx(1 / 6))]
    assert games["largest addition"] == [Turn(False, True, pytest.approx(2 / 3), pytest.approx(1 / 3))]
    assert games["place in cluster"] == [Turn(True, False, 0.5, 0), Turn(False, False, 0.5, 0)]
    lines = table(games, 1).splitlines()
    assert lines[1] == "highest place     on the moving digit: 100.0 % (20.7 to 100.0) of 1; by chance 33.3 %"
    assert lines[5] == "place in cluster  on the moving digit: 50.0 % of 2; by chance 50.0 %"
