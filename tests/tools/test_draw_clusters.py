"""Pictures of videos cut by several methods, and of one method's cuts in several data sets."""

import json
import shutil
import sys
from argparse import Namespace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from ops.clustering import find_clusters, frame_changes
from ops.evaluation import cuts
from ops.evaluation.cuts import cut_video
from ops.evaluation.predict import Steps
from ops.models import build_model
from ops.move4mnist.generator import Kind, facts_of
from ops.options.config import Config, plain
from ops.pictures import methods as cluster_pictures
from ops.pictures.colours import CLUSTERS, CUT
from ops.pictures.methods import SHOWS, CutVideo, draw_comparison, draw_methods, transitions
from ops.run.restore import load_model
from ops.streaming import stream_changes
from ops.training import checkpoint as ckpt
from tools import draw_clusters

to_hex = pytest.importorskip("matplotlib.colors").to_hex

CHANGES = [0, 5, 5, 5, 1, 9, 1, 10]  # of 50 signs
STARTS = {"slope": [0, 5, 7], "cumulative": [0, 3, 5], "even": [0, 2, 5]}  # of 3 clusters


def make_checkpoint(path, **given):
    """An untrained model, as main.py would save it."""
    config = Config(**{"dataset": "movingmnist", "modality": "RGB", "arch": "resnet_thin", "num_segments": 4} | given)
    torch.manual_seed(0)
    model = build_model(num_class=4, **config.model_options)
    ckpt.save_checkpoint(path, {"state_dict": model.state_dict(), "config": plain(config)})
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("weights") / "w.pth")


@pytest.fixture
def run(run_program, weights):
    """`run(*words)` runs the program with `weights` in the empty folder `tmp_path` -> `Ran`."""
    return lambda *words: run_program("tools/draw_clusters.py", *words, "--weights", weights, "--device", "cpu")


@pytest.fixture
def figures(monkeypatch):
    """The figures that would have been saved."""
    saved = []
    monkeypatch.setattr(cluster_pictures, "save", lambda figure, path: saved.append(figure))
    return saved


def video(changes, starts, kinds=None):
    """A video of frames of one pixel, cut by each method where `starts` says."""
    t = len(changes)
    labels = {name: (np.searchsorted(at, range(t), side="right") - 1).tolist() for name, at in starts.items()}
    frames = [torch.full((3, 1, 1), i % 256, dtype=torch.uint8) for i in range(t)]
    return CutVideo("title", frames, np.arange(t), [n / 50 for n in changes], labels, kinds)


def axes_named(figure, name):
    """All axes with this label, from the top row down."""
    return [axis for axis in figure.axes if axis.get_ylabel() == name]


def spans(axis):
    """[first frame, frame after the last, colour] of each stretch of a band."""
    boxes = [(patch.get_path().transformed(patch.get_patch_transform()).get_extents(), patch) for patch in axis.patches]
    return [[round(box.x0 + 0.5), round(box.x1 + 0.5), to_hex(patch.get_facecolor()).upper()] for box, patch in boxes]


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("chunk", [1, 3, 20, 64])
def test_changes_in_chunks_are_those_of_all_frames_at_once(weights, chunk):
    model, *_ = load_model(str(weights))
    frames = torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        x = model.run_stem(frames)
        changes, signs = stream_changes(model.stem, frames, chunk)
    assert changes.tolist() == frame_changes(x, torch.tensor([20])).tolist() and changes.sum() > 0
    assert signs == x[0].numel()


def test_every_method_cuts_the_same_distances(monkeypatch):
    monkeypatch.setattr(cuts, "stream_changes", lambda *args: (torch.tensor(CHANGES), 50))
    frames = [torch.zeros(3, 1, 1, dtype=torch.uint8)] * 16
    kinds = np.arange(16) % 4
    model = Namespace(stem=None, clustering=Namespace(distance="hamming", seed=0))
    cut = cut_video(model, Steps(frames, np.arange(0, 16, 2), 1, None), STARTS, 3, 32, "title", kinds)
    assert cut.distances == [n / 50 for n in CHANGES]
    assert cut.kinds.tolist() == [0, 2] * 4  # of the frames that are seen
    for method, label in cut.assignments.items():
        assert label == find_clusters(torch.tensor(CHANGES), torch.tensor([8]), 3, method).assignment.tolist()
        assert [label.index(k) for k in range(3)] == STARTS[method]


def test_bands_and_curve(figures):
    kinds = np.array([0, 0, 1, 2, 2, 3, 3, 0])
    draw_methods(video(CHANGES, STARTS, kinds), None)
    for method, starts in STARTS.items():
        (band,) = axes_named(figures[0], method)
        assert spans(band) == [[a, b, colour] for a, b, colour in zip(starts, [*starts[1:], 8], CLUSTERS, strict=False)]
        assert [text.get_text() for text in band.texts] == ["1", "2", "3"]
    shows = [SHOWS[kind][1] for kind in Kind]
    edges = [[0, 2, 0], [2, 3, 1], [3, 5, 2], [5, 7, 3], [7, 8, 0]]
    assert spans(axes_named(figures[0], "shows")[0]) == [[a, b, shows[kind]] for a, b, kind in edges]
    (curve,) = axes_named(figures[0], "distance\n(%)")[0].lines
    assert curve.get_xdata().tolist() == [i - 0.5 for i in range(1, 8)]
    assert curve.get_ydata() == pytest.approx([2 * n for n in CHANGES[1:]])


def test_every_video_has_a_file_of_its_own():
    names = ["Ba$$in", "Ba in", "ba_in", "Ba_in_2", "a/b", "\u4e2d", "x" * 999]
    expected = ["Ba_in", "Ba_in_2", "ba_in_3", "Ba_in_2_2", "a_b", "\u4e2d", "x" * 60]
    assert draw_clusters.file_names(names) == expected


@pytest.mark.parametrize("t", [50, 300])
def test_bands_go_on_in_the_next_row(figures, t):
    draw_methods(video([1] * t, {"slope": [0, 10, 20, 35]}), None)
    bands = axes_named(figures[0], "slope")
    assert len(bands) == (3 if t == 50 else 1) and not axes_named(figures[0], "shows")
    colours = [colour for band in bands for a, b, colour in spans(band) for _ in range(a, b)]
    assert colours == [CLUSTERS[k] for k, n in enumerate([10, 10, 15, t - 35]) for _ in range(n)]


def test_what_changes_between_frames():
    kinds = [
        Kind.MAIN,
        Kind.MAIN,
        Kind.DISTRACTOR,
        Kind.BACKGROUND,
        Kind.BACKGROUND,
        Kind.BLACK,
        Kind.BLACK,
        Kind.MAIN,
        Kind.BLACK,
        Kind.DISTRACTOR,
        Kind.DISTRACTOR,
        Kind.BLACK,
    ]
    black, still = "to or from black", "only background changes"
    assert transitions(np.array(kinds)).tolist() == [
        "digit moves",
        "another digit",
        "digit comes or goes",
        still,
        black,
        still,
        black,
        black,
        black,
        still,
        black,
    ]


def test_comparison_counts_what_takes_the_cuts(figures):
    kinds = np.array([0, 0, 1, 2, 2, 3, 3, 0])
    draw_comparison([video(CHANGES, STARTS, kinds), video([0, 25] * 20, {"even": [0, 11, 20]})], None)
    first, second = axes_named(figures[0], "distance (%)")
    assert first.get_ylim() == second.get_ylim() == (0, pytest.approx(59))
    words = [text.get_text() for part in figures[0].subfigs for text in (*part.texts, *part.legends[0].texts)]
    assert {"2 cuts by slope", "2 to or from black", "2 cuts by even"} <= {*words}
    assert sorted(x for line in first.lines[1:] for x in line.get_xdata()) == [4.5, 6.5]
    (dots,) = second.lines[1:]
    assert dots.get_xdata().tolist() == [10.5, 19.5] and dots.get_color() == CUT


@pytest.mark.parametrize("kinds", [None, np.array([2])])
def test_videos_without_a_cut(figures, kinds):
    one = video([0], {"slope": [0]}, kinds)
    draw_methods(one, None)
    draw_comparison([one], None)
    assert len(figures) == 2


# ---------------------------------------------------------------- the command line


def test_a_picture_of_each_class(run, tiny_data, tmp_path):
    ran = run(tiny_data)
    names = [f"images/clusters_{name}.png" for name in ("left", "right", "up", "down")]
    assert (ran.code, ran.err, ran.out.splitlines()) == (0, "", [f"drew {name}" for name in names])
    assert sorted(path.name for path in tmp_path.glob("images/*")) == sorted(name.split("/")[1] for name in names)
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (2000, 538)


def test_what_is_read_is_what_is_drawn(run, figures, tiny_data, weights, tmp_path):
    ran = run(
        tiny_data,
        "--val_list",
        "train_videofolder.txt",
        "--videos",
        "train/up_1",
        "--methods",
        "even",
        "slope",
        "--num_segments",
        5,
    )
    assert ran.out == "drew images/clusters_train_up_1.png\n"
    band, shows = (axes_named(figures[0], name)[0] for name in ("even", "shows"))
    assert [a for a, _, _ in spans(band)] == [0, 4, 8, 12, 16]
    kinds = facts_of(tiny_data, "train/up_1").kinds
    assert [colour for a, b, colour in spans(shows) for _ in range(a, b)] == [SHOWS[kind][1] for kind in kinds]
    assert figures[0].texts[0].get_text() == "up (train/up_1): 20 frames"


def test_data_sets_are_compared(run, tiny_data, own_data, tmp_path):
    (own_data / "move4mnist.json").unlink()
    ran = run(tiny_data, "--compare", own_data, "--out", "new/pictures", "--titles", "known", "unknown")
    assert (ran.code, ran.out) == (0, "drew new/pictures/clusters_compare.png\n")
    with Image.open(tmp_path / "new/pictures/clusters_compare.png") as picture:
        assert picture.size == (2000, 1014)


def test_one_video_for_all_data_sets_or_one_each(run, figures, tiny_data):
    for words, names in ((["val/up_0"], ["up", "up"]), (["val/up_0", "val/down_0"], ["up", "down"])):
        run(tiny_data, "--compare", tiny_data, "--videos", *words)
        titles = [part.texts[0].get_text() for part in figures.pop().subfigs]
        assert titles == [f"movingmnist (val/{name}_0): 20 frames" for name in names]


def test_capped_models_and_data_that_describes_itself(run_program, figures, tiny_data, own_data, tmp_path):
    other = {"dataset": "elsewhere", "num_class": 9, "image_tmpl": "{}.x"}
    capped = make_checkpoint(tmp_path / "capped.pth", num_frames=10, **other)
    (own_data / "dataset.json").write_text('{"num_class": 4, "image_tmpl": "{}.jpg", "first_frame": 0}')
    ran = run_program("tools/draw_clusters.py", own_data, "--weights", capped, "--videos", "val/left_0")
    assert ran.code == 0 and "10 of them seen" in figures[0].texts[0].get_text()
    kinds = facts_of(tiny_data, "val/left_0").kinds[1::2]
    shows = axes_named(figures[0], "shows")[0]
    assert [colour for a, b, colour in spans(shows) for _ in range(a, b)] == [SHOWS[kind][1] for kind in kinds]


# ---------------------------------------------------------------- bad input


def test_bad_input_is_named(run, run_program, own_data, tmp_path):
    draw = partial(run_program, "tools/draw_clusters.py", own_data, "--weights")
    assert "does not cluster" in draw(make_checkpoint(tmp_path / "none.pth", cluster="none")).error
    assert "sees optical flow" in draw(make_checkpoint(tmp_path / "flow.pth", modality="Flow")).error
    about = json.loads((own_data / "move4mnist.json").read_text())
    about["config"]["num_frames"] = 21
    (own_data / "move4mnist.json").write_text(json.dumps(about))
    assert "tells of 21 frames but the list says that val/left_0 has 20" in run(own_data).error
    (own_data / "move4mnist.json").write_text("spoiled")
    assert "move4mnist.json does not say how the videos were made" in run(own_data).error
    shutil.rmtree(own_data / "val/left_0")
    assert "no folder" in run(own_data).error
    assert not (tmp_path / "images").exists()


def test_without_matplotlib_the_user_is_told(run, tiny_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "requirements-plot.txt" in run(tiny_data).error


def test_help_shows_examples(run):
    assert "python tools/draw_clusters.py data/movingmnist" in run("--help").out
