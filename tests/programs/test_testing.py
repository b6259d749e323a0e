"""Tests of trained models through the command line: views, fusion, files, TSM's checkpoints, and errors."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock

from archs import ARCHS
from archs.resnet import resnet
from ops.data.categories import read_categories
from ops.errors import InputError
from ops.evaluation.result_files import in_order_of, read_scores
from ops.evaluation.statistics import wilson
from ops.heads import HEADS, Head
from ops.models import build_model
from ops.options.config import Config, plain
from ops.pictures.confusion import colour, confusion_picture, confusion_table
from ops.training import checkpoint as ckpt

THIN = {"arch": "resnet_thin", "input_size": 32, "num_segments": 4, "shift": True}
ON_CPU = ["-j", "0", "--device", "cpu"]
OUTCOME = re.compile(r"Testing Results: Prec@1 (\d+\.\d{3}) Prec@5 (\d+\.\d{3}) Loss (\d+\.\d{5})")


@pytest.fixture
def run_test(run_program):
    """`run_test(*words)` runs the command line of test_models.py in this process, in `tmp_path` -> `Ran`."""
    return lambda *words: run_program("test_models.py", *words, *ON_CPU)


def wake(model, seed=0):
    """Give every weight and statistic a value that matters, so that no part can be left out unnoticed."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.5)
    return model


def save_own(path, seed=0, dataset="movingmnist", modality="RGB", num_class=4, **given):
    """A checkpoint as main.py writes it, of a thin random model."""
    config = Config(dataset, modality, **THIN | given)
    model = wake(build_model(num_class=num_class, **config.model_options), seed)
    content = {"epoch": 1, "arch": config.arch, "state_dict": model.state_dict(), "config": plain(config)}
    ckpt.save_checkpoint(Path(path), content)
    return Path(path)


@pytest.fixture
def clustered(tmp_path):
    return save_own(tmp_path / "clustered.pth.tar")


@pytest.fixture
def sampled(tmp_path):
    return save_own(tmp_path / "sampled.pth.tar", cluster="none")


@pytest.fixture
def on_tiny(run_test, tiny_data):
    """Tests on the tiny data set's validation videos."""
    return lambda *words: run_test("movingmnist", *words, "--root_path", tiny_data)


def finished(ran):
    assert ran.code == 0 and "error" not in ran.err, ran
    return ran


def outcome(ran):
    """The figures in the last line and the mean class accuracy in the one before."""
    *_, before, last = finished(ran).out.splitlines()
    return *map(float, OUTCOME.fullmatch(last).groups()), float(before.rpartition(" ")[2])


def scores_of(path):
    with np.load(path) as file:
        return file["scores"]


def protocol_of(ran):
    return [line.removeprefix("protocol  ") for line in finished(ran).out.splitlines() if line.startswith("protocol")]


# ---------------------------------------------------------------- our own checkpoints


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cluster": "none"},
        {"cluster": "none", "shift": False, "dense_sample": True},
        {"num_frames": 7, "cluster": "slope"},
        {"modality": "RGBDiff", "temporal_pool": True},
        {"modality": "DI", "temporal_max": True, "shift": False},
    ],
    ids=str,
)
def test_one_view_is_what_main_evaluates(on_tiny, run_main, tiny_data, tmp_path, options):
    weights = save_own(tmp_path / "own.pth.tar", **options)
    modality = options.get("modality", "RGB")
    words = ["--evaluate", "movingmnist", modality, "--root_path", tiny_data, "--resume", weights, "-b", 3]
    ours = run_main(*words, *ON_CPU)
    assert outcome(on_tiny("--weights", weights, "-b", 3)) == outcome(ours)
    assert outcome(on_tiny(modality, "--weights", weights, "-b", 1))[:2] == outcome(ours)[:2]
    streamed = on_tiny("--weights", weights, "--stem_chunk", 4)
    assert outcome(streamed)[:2] == outcome(ours)[:2]
    assert ("stem      in chunks of 4 frames" in streamed.out) == (options.get("cluster") != "none")


def test_in_a_process_of_its_own_with_a_worker(run_main, run_process, tmp_path, tiny_data):
    weights = save_own(tmp_path / "own.pth.tar")
    ours = run_main("-e", "movingmnist", "RGB", "--root_path", tiny_data, "--resume", weights, *ON_CPU)
    ran = run_process(
        "movingmnist",
        "--root_path",
        tiny_data,
        "--weights",
        weights,
        "-b",
        "128",
        "-j",
        "1",
        "--device",
        "cpu",
        program="test_models.py",
    )
    assert outcome(ran) == outcome(ours)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.pth.tar", "own_confusion.csv", "own_confusion.png"]


@pytest.mark.parametrize(
    "flags, protocol",
    [
        ("", "4 frames x 1 crop x 1 clip, 32 px, uniform sampling"),
        ("--test_crops 3 --twice_sample --full_res", "4 frames x 3 crops x 2 clips, 36 px, twice sampling"),
        ("--test-crops 5 --dense-sample", "4 frames x 5 crops x 10 clips, 32 px, dense sampling"),
        ("--test_crops 3 --ten_sample", "4 frames x 3 crops x 10 clips, 32 px, ten sampling"),
        ("--test_segments 1", "1 frame x 1 crop x 1 clip, 32 px, uniform sampling"),
    ],
)
def test_protocol_line(on_tiny, sampled, flags, protocol):
    assert protocol_of(on_tiny("--weights", sampled, *flags.split())) == [protocol]


def test_views_of_a_clustered_model_hold_all_frames(on_tiny, clustered, tmp_path):
    ran = on_tiny("--weights", clustered, "--test_crops", 3, "--scores", "s.npz")
    assert protocol_of(ran) == ["all frames x 3 crops x 1 clip, 32 px"]
    assert "4 videos, 80 frames" in ran.out
    finer = on_tiny("--weights", clustered, "--test_crops", 3, "--scores", "f.npz", "--test_segments", 6)
    assert "6 cumulative clusters" in finer.out
    assert not np.allclose(scores_of("s.npz"), scores_of("f.npz"))


def test_other_batches_and_shorter_lists_score_the_same(on_tiny, sampled):
    protocol = ["--weights", sampled, "--twice_sample", "--test_crops", 5]
    finished(on_tiny(*protocol, "--scores", "a.npz", "-b", 4))
    ran = finished(on_tiny(*protocol, "--scores", "b.npz", "-b", 2, "--max_num", 3))
    assert "3 videos of" in ran.out
    np.testing.assert_allclose(scores_of("a.npz")[:3], scores_of("b.npz"), rtol=1e-4, atol=1e-5)


def test_softmax_turns_the_mean_of_views_into_probabilities(on_tiny, sampled):
    for number, flags in enumerate(([], ["--softmax"])):
        finished(on_tiny("--weights", sampled, "--twice_sample", *flags, "--scores", f"{number}.npz"))
    scores, probabilities = (torch.from_numpy(scores_of(f"{number}.npz")) for number in range(2))
    torch.testing.assert_close(probabilities, scores.softmax(1), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- several models


def test_late_fusion(on_tiny, sampled, clustered, tmp_path):
    other = save_own(tmp_path / "diff.pth.tar", seed=1, cluster="none", modality="RGBDiff")
    for name, weights in (("a", sampled), ("b", other), ("c", clustered)):
        finished(on_tiny("--weights", weights, "--scores", f"{name}.npz"))
    a, b, c = (scores_of(f"{name}.npz") for name in "abc")
    ran = on_tiny("--weights", f"{sampled},{other},{clustered}", "--coeff", "1,.5,2", "--scores", "fused.npz", "-b", 3)
    fused = scores_of("fused.npz")
    np.testing.assert_allclose(fused, (a + b / 2 + 2 * c) / 3.5, rtol=1e-4, atol=1e-5)
    assert ran.out.count("\nprotocol") == 3 and "coefficient 0.5" in ran.out and "resnet_thin RGBDiff" in ran.out
    labels = np.load("fused.npz")["labels"]
    assert outcome(ran)[0] == pytest.approx(100 * (fused.argmax(1) == labels).mean(), abs=1e-3)
    finished(on_tiny("RGBDiff", "--weights", f"{sampled},{other}", "--scores", "mean.npz"))
    np.testing.assert_allclose(scores_of("mean.npz"), (a + b) / 2, rtol=1e-4, atol=1e-5)


def test_each_model_its_own_list_and_segments(on_tiny, sampled, tiny_data, tmp_path):
    lines = (tiny_data / "val_videofolder.txt").read_text().splitlines()
    (tmp_path / "two.txt").write_text("\n".join(lines[:2]))
    (tmp_path / "wrong.txt").write_text("\n".join(lines[1::-1]))
    (tmp_path / "a.txt").write_text("val/left_0 20 0\ntrain/left_0 20 0\nval/up_0 20 2\n")
    (tmp_path / "b.txt").write_text("train/left_0 20 0\nval/left_0 20 0\nval/up_0 20 2\n")
    (tmp_path / "c.txt").write_text("val/left_0 20 0\ntrain/left_1 20 0\nval/up_0 20 2\n")
    pair = ["--weights", f"{sampled},{sampled}"]
    ran = on_tiny(*pair, "--test_list", "two.txt", "--test_segments", "4,2")
    assert [line.split()[0] for line in protocol_of(ran)] == ["4", "2"] and "2 videos of two.txt" in ran.out
    assert "fusion needs the same videos" in on_tiny(*pair, "--test_list", "two.txt,wrong.txt").error
    error = on_tiny(*pair, "--test_list", "a.txt,b.txt").error
    assert f"train/left_0 is video 2 for {sampled} and video 1 for {sampled}; fusion needs the same videos in" in error
    assert "accuracy  top-1" in finished(on_tiny(*pair, "--test_list", "a.txt,c.txt")).out  # as of frames and of flow
    error = on_tiny(*pair, "--test_list", "two.txt,val_videofolder.txt").error
    assert "2 videos" in error and "4; fusion" in error


# ---------------------------------------------------------------- files


def test_videos_are_called_by_their_whole_path_where_file_names_repeat(
    run_main, run_test, sampled, tmp_path, tiny_data
):
    """As Breakfast's do over cameras: P03_cereals of cam01 and of webcam01 are two videos."""
    videos = [("left_0", 0), ("down_0", 3), ("right_0", 1), ("up_0", 2)]
    paths = [f"P0{i // 2 + 3}/{('cam01', 'webcam01')[i % 2]}/P0{i // 2 + 3}_cereals" for i in range(4)]
    for path, (video, _) in zip(paths, videos, strict=True):
        shutil.copytree(tiny_data / "val" / video, tmp_path / "cameras" / path)
    lines = [f"{path} 20 {label}\n" for path, (_, label) in zip(paths, videos, strict=True)]
    (tmp_path / "cameras/val_videofolder.txt").write_text("".join(lines))
    (tmp_path / "cameras/reversed.txt").write_text("".join(lines[::-1]))
    data = ["movingmnist", "--root_path", "cameras"]
    words = ["--scores", "tested.npz", "--csv_file", "p.csv", "-b", 3]
    ran = finished(run_test(*data, "--weights", sampled, *words))
    evaluate = ["-e", data[0], "RGB", *data[1:], "--resume", sampled, *ON_CPU]
    evaluated = finished(run_main(*evaluate, "--scores", "evaluated.npz"))
    tested, other = read_scores(Path("tested.npz")), read_scores(Path("evaluated.npz"))
    assert tested.names.tolist() == other.names.tolist() == paths
    assert tested.labels.tolist() == other.labels.tolist() == [label for _, label in videos]
    np.testing.assert_allclose(tested.scores, other.scores, rtol=1e-4, atol=1e-5)
    with open("p.csv", newline="") as file:
        assert [row["video"] for row in csv.DictReader(file)] == paths
    count = int(tested.right.sum())
    line = f"accuracy  top-1 {25 * count:.1f} % ({wilson(count, 4)}), top-5 100.0 % (51.0 to 100.0) of 4 videos; "
    assert ran.out.count(line) == evaluated.out.count(line) == 1
    assert evaluated.out.count("written   evaluated.npz\n") == 1

    finished(run_test(*data, "--weights", sampled, "--test_list", "reversed.txt", "--scores", "reversed.npz"))
    backwards = read_scores(Path("reversed.npz"))
    assert backwards.names.tolist() == paths[::-1]
    again = in_order_of(tested, backwards)
    np.testing.assert_allclose(again.scores, tested.scores, rtol=1e-4, atol=1e-5)


def test_files(on_tiny, sampled, tmp_path, tiny_data):
    ran = on_tiny(
        "--weights",
        sampled,
        "--csv_file",
        "p.csv",
        "--scores",
        "s.npz",
        "--confusion",
        "c",
        "--test_list",
        tiny_data / "train_videofolder.txt",
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path != sampled) == ["c.csv", "c.png", "p.csv", "s.npz"]
    with np.load("s.npz") as file:
        names, labels, scores = file["names"].tolist(), file["labels"], file["scores"]
        assert (file["labels"].dtype, scores.dtype, scores.shape) == (np.int64, np.float32, (8, 4))
    assert names[:2] == ["train/left_0", "train/right_0"]
    classes = ["left", "right", "up", "down"]
    with open("p.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["video", "label", "top1", "top2", "top3", "top4"]
    for row, name, label, score in zip(rows[1:], names, labels, scores, strict=True):
        assert row == [name, classes[label], *(classes[k] for k in np.argsort(-score))]
    with open("c.csv", newline="") as file:
        table = list(csv.reader(file))
    assert table[0][1:] == [row[0] for row in table[1:]] == classes
    counts = np.array([[int(cell) for cell in row[1:]] for row in table[1:]])
    assert counts.sum() == 8 and counts.trace() == round(outcome(ran)[0] * 8 / 100)
    with Image.open("c.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


@pytest.mark.parametrize("num_class", [1, 4, 51, 174])
def test_confusion_picture_shows_every_cell(num_class, tmp_path):
    counts = np.eye(num_class, dtype=int) * 9
    counts[0, -1] += 1
    names = [f"class, {k} " + "and so on " * (k % 9) for k in range(num_class)]
    (tmp_path / "p.png").write_bytes(confusion_picture(counts, names, "title"))
    pixels = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).reshape(-1, 3)
    full = (pixels == colour(np.array(1.0))).all(1).sum()
    assert full > (num_class - 1) * 100
    assert max(Image.open(tmp_path / "p.png").size) < 3200
    rows = list(csv.reader(confusion_table(counts, names).decode().splitlines()))
    assert rows[0][1:] == names and [int(cell) for cell in rows[1][1:]] == counts[0].tolist()


def test_colours_grow_darker_and_nothing_vanishes():
    shades = colour(np.linspace(0, 1, 50)).astype(int).sum(-1)
    assert shades[0] == 3 * 255 and (np.diff(shades) < 0).all()
    assert colour(np.array(1e-4)).sum() < 3 * 250


def test_categories(tmp_path):
    file = tmp_path / "category.txt"
    assert read_categories(file, 2) == ["0", "1"]
    file.write_text("a b\nc\n\n")
    assert read_categories(file, 2) == ["a b", "c"]
    with pytest.raises(InputError, match="names 2 classes, the dataset has 3"):
        read_categories(file, 3)
    with pytest.raises(InputError, match="cannot read"):
        read_categories(tmp_path / "none.txt", 2, needed=True)


# ---------------------------------------------------------------- TSM's checkpoints, against a second implementation


class Shift(nn.Module):
    """An eighth of the channels comes from the next step, another from the one before (Lin et al., figure 1)."""

    def __init__(self, net, steps):
        super().__init__()
        self.net, self.steps = net, steps

    def forward(self, x):
        videos, fold = x.view(-1, self.steps, *x.shape[1:]), x.shape[1] // 8
        ahead = torch.cat([videos[:, 1:], torch.zeros_like(videos[:, :1])], 1)
        behind = torch.cat([torch.zeros_like(videos[:, :1]), videos[:, :-1]], 1)
        moved = torch.cat([ahead[:, :, :fold], behind[:, :, fold : 2 * fold], videos[:, :, 2 * fold :]], 2)
        return self.net(moved.reshape(x.shape))


class Reference(nn.Module):
    """TSM on torchvision's own ResNet, every stage shifted; keys as in its checkpoints."""

    def __init__(self, steps, num_class, channels=3):
        super().__init__()
        self.steps = steps
        self.base_model = ResNet(BasicBlock, [1, 1, 1, 1])
        self.base_model.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        self.base_model.fc = nn.Identity()
        for stage in (self.base_model.layer1, self.base_model.layer2, self.base_model.layer3, self.base_model.layer4):
            stage[0].conv1 = Shift(stage[0].conv1, steps)
        self.new_fc = nn.Linear(512, num_class)

    def forward(self, x):
        """(steps, channels, S, S) -> (K,)."""
        return self.new_fc(self.base_model(x)).mean(0)


def published(path, model, fc="new_fc"):
    weights = {f"module.{key}".replace("new_fc", fc): value for key, value in model.state_dict().items()}
    path.parent.mkdir(exist_ok=True)
    torch.save({"epoch": 45, "arch": "resnet10", "state_dict": weights, "best_prec1": torch.tensor(12.5)}, path)
    return path


def write_videos(root, template, lengths, size, flow=False):
    """Frame folders of smooth noise, and the list that names them with labels 0, 1, ..."""
    rng, lines = np.random.default_rng(0), []
    for label, length in enumerate(lengths):
        folder = root / f"video {label}"
        folder.mkdir(parents=True)
        lines.append(f"{folder.name} {length} {label}\n")
        for number in range(1, length + 1):
            for axis in "xy" if flow else [None]:
                low = Image.fromarray(rng.integers(0, 256, (9, 12) if flow else (9, 12, 3), dtype=np.uint8))
                name = template.format(axis, number) if flow else template.format(number)
                low.resize(size).save(folder / name)
    (root / "val_videofolder.txt").write_text("".join(lines))


@pytest.fixture
def small_arch(monkeypatch):
    """resnet10, made for 56 pixels: scaled to 64."""
    monkeypatch.setitem(ARCHS, "resnet10", resnet(BasicBlock, (1, 1, 1, 1), input_size=56))


TO_TENSOR = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
)


def pil_views(folder, clips, corners, side):
    """All views of a video as PIL and torchvision make them -> (views, steps, 3, side, side)."""
    views = []
    for clip in clips:
        frames = [Image.open(folder / f"{index + 1:06d}.jpg").convert("RGB") for index in clip]
        frames = [transforms.Resize(64, transforms.InterpolationMode.BILINEAR)(frame) for frame in frames]
        for left, top in corners:
            crops = [frame.crop((left, top, left + side, top + side)) for frame in frames]
            views.append(torch.stack([TO_TENSOR(crop) for crop in crops]))
    return torch.stack(views)


# frames are 70 x 50 pixels, scaled to 89 x 64; videos have 7 and 90 frames; 4 segments
MIDDLES = {7: [[0, 2, 4, 6]], 90: [[11, 33, 56, 78]]}
TWICE = {7: [*MIDDLES[7], [0, 1, 3, 5]], 90: [*MIDDLES[90], [0, 22, 45, 67]]}
DENSE = {7: [[0, 2, 4, 6]] * 10, 90: [[s, s + 16, s + 32, s + 48] for s in (0, 2, 5, 8, 11, 14, 17, 20, 23, 26)]}
PROTOCOLS = [
    ("", MIDDLES, [(16, 4)], 56),
    ("--test_crops 3 --twice_sample --full_res", TWICE, [(0, 0), (12, 0), (24, 0)], 64),
    ("--test_crops 3 --twice_sample", TWICE, [(0, 4), (16, 4), (32, 4)], 56),
    ("--test_crops 5", MIDDLES, [(0, 0), (32, 0), (0, 8), (32, 8), (16, 4)], 56),
    ("--dense_sample --full_res", DENSE, [(12, 0)], 64),
]


@pytest.mark.parametrize("flags, clips, corners, side", PROTOCOLS, ids=[case[0] or "1 view" for case in PROTOCOLS])
@torch.inference_mode()
def test_published_checkpoints_score_as_in_tsm(run_test, small_arch, tmp_path, flags, clips, corners, side):
    write_videos(tmp_path / "data", "{:06d}.jpg", [7, 90], (70, 50))
    model = wake(Reference(4, 174)).eval()
    weights = published(tmp_path / "TSM_somethingv2_RGB_resnet10_shift8_blockres_avg_segment4_e45.pth", model)
    finished(run_test("somethingv2", "--root_path", "data", "--weights", weights, *flags.split(), "--scores", "s.npz"))
    for label, length in enumerate([7, 90]):
        views = pil_views(tmp_path / "data" / f"video {label}", clips[length], corners, side)
        expected = torch.stack([model(view) for view in views]).mean(0)
        assert expected.std() > 0.1
        np.testing.assert_allclose(scores_of("s.npz")[label], expected, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_published_flow_with_ten_crops(run_test, small_arch, tmp_path):
    write_videos(tmp_path / "data", "flow_{}_{:05d}.jpg", [15], (64, 64), flow=True)
    model = wake(Reference(2, 101, channels=10)).eval()
    weights = published(tmp_path / "TSM_ucf101_Flow_resnet10_shift8_blockres_avg_segment2_e50/ckpt.pth.tar", model)
    ran = run_test("ucf101", "--root_path", "data", "--weights", weights, "--test_crops", 10, "--scores", "s.npz")
    assert protocol_of(ran) == ["2 frames x 10 crops x 1 clip, 56 px, uniform sampling"]

    def image(axis, number):
        return np.asarray(Image.open(tmp_path / "data/video 0" / f"flow_{axis}_{number:05d}.jpg")).astype(np.float32)

    total = 0
    for top, left in ((0, 0), (0, 8), (8, 0), (8, 8), (4, 4)):
        for mirrored in (False, True):
            steps = []
            for first in (3, 9):  # of 11 places for 5 frames: frames 2 and 8, counted from 0
                stack = [image(axis, first + i)[top : top + 56, left : left + 56] for i in range(5) for axis in "xy"]
                if mirrored:
                    stack = [(255 - s if k % 2 == 0 else s)[:, ::-1] for k, s in enumerate(stack)]
                steps.append(np.stack(stack))
            total += model((torch.from_numpy(np.stack(steps)) / 255 - 0.5) / 0.226)
    np.testing.assert_allclose(scores_of("s.npz")[0], total / 10, rtol=1e-3, atol=1e-3)


def test_published_layouts_and_flags(run_test, small_arch, tmp_path):
    write_videos(tmp_path / "data", "{:06d}.jpg", [7], (64, 64))
    model = wake(Reference(4, 174))
    named = published(tmp_path / "TSM_somethingv2_RGB_resnet10_shift8_blockres_avg_segment4_e45.pth", model)
    unnamed = published(tmp_path / "best.pth", model, fc="base_model.fc")

    def scores(*words):
        finished(run_test("somethingv2", "--root_path", "data", "--scores", "s.npz", *words))
        return scores_of("s.npz")

    expected = scores("--weights", named)
    flags = ["--weights", unnamed, "--shift", "--test_segments", 4]
    assert np.array_equal(scores(*flags), expected)  # the file holds its arch
    assert np.array_equal(scores("RGB", *flags, "--arch", "resnet10", "--shift_div", 8), expected)
    assert not np.array_equal(scores(*flags, "--shift_div", 4), expected)
    assert not np.array_equal(scores("--weights", named, "--shift_div", 4), expected)
    assert not np.allclose(scores("--weights", named, "--test_segments", 2), expected)

    def error(*words):
        return run_test("somethingv2", "--root_path", "data", *words).error

    assert "give --num_segments (of test_models.py: --test_segments)" in error("--weights", unnamed, "--shift")
    assert "holds temporal shift" in error("--weights", unnamed, "--test_segments", 4)
    assert "trained on RGB, not Flow" in error("Flow", "--weights", named)
    assert "holds another network" in error("--weights", named, "--arch", "resnet18")
    assert "another number of classes" in error("--weights", named, "--num_class", 5)


@pytest.mark.parametrize(
    "name, options",
    [
        (
            "TSM_movingmnist_RGB_thin_shift4_block_avg_segment4_e9",
            {"shift": True, "shift_div": 4, "shift_place": "block"},
        ),
        ("TSM_movingmnist_RGB_thin_shift8_blockres_tpool_avg_segment4_e9", {"shift": True, "temporal_pool": True}),
        ("TSM_movingmnist_RGB_thin_shift8_blockres_avg_segment4_e9_dense_nl", {"shift": True, "non_local": True}),
        ("TSM_movingmnist_RGBDiff_thin_avg_segment4_e9", {"modality": "RGBDiff"}),
    ],
)
def test_what_names_tell_is_built(on_tiny, monkeypatch, tmp_path, name, options):
    """The same weights, once with our config inside and once in TSM's layout, score alike."""
    monkeypatch.setitem(ARCHS, "thin", ARCHS["resnet_thin"])
    base = {"arch": "thin", "cluster": "none", "shift": False, "input_size": 64}
    own = save_own(tmp_path / "own.pth", **base | options)
    stored = ckpt.load_checkpoint(own)
    weights = {f"module.{key}": value for key, value in stored["state_dict"].items()}
    torch.save({"state_dict": weights, "arch": "thin"}, tmp_path / f"{name}.pth")
    views = ["--twice_sample", "--full_res"]
    finished(on_tiny("--weights", own, *views, "--scores", "own.npz"))
    finished(on_tiny("--weights", f"{name}.pth", *views, "--scores", "tsm.npz"))
    assert np.array_equal(scores_of("own.npz"), scores_of("tsm.npz"))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--weights {s},{s} --coeff 1", "--coeff has 1 values for 2 --weights"),
        ("--weights {s} --coeff 1,2", "--coeff has 2 values for 1 --weights"),
        ("--weights {s} --coeff one", "'one' is not a number"),
        ("--weights {s} --coeff 0", "--coeff is zero"),
        ("--weights {s},{s},{s} --test_segments 1,2", "--test_segments has 2 values for 3"),
        ("--weights {s},", "empty path"),
        ("--weights nowhere.pth", "no checkpoint nowhere.pth"),
        ("--weights {d}/val_videofolder.txt", "not a readable checkpoint"),
        ("--weights {s} --num_class 5", "another number of classes"),
        ("--weights {s} --test_crops 4", "invalid choice: 4"),
        ("--weights {s} --test_crops 10", "a mirrored video has another label"),
        ("--weights {s} --twice_sample --dense_sample", "not allowed with"),
        ("--weights {c} --twice_sample", "--twice_sample has no meaning for"),
        ("--weights {s},{c} --dense_sample", "--dense_sample has no meaning for"),
        ("Flow --weights {s}", "trained on RGB, not Flow"),
        ("Flow --weights {s},{c}", "trained on RGB, not Flow"),
        ("--weights {s} --arch resnet18", "--arch resnet18 contradicts"),
        ("--weights {s} --scores {s}/a.npz", "a.npz cannot be written"),
        ("--weights {s} --csv_file .", "it is a folder"),
        ("--weights {s} --csv_file a --scores ./a", "name the same file"),
        ("--weights {s} --confusion {s}/a", "give another place with --confusion"),
        ("--weights {s} --test_list nowhere.txt", "no list file"),
        ("--weights {s} --category_file nowhere.txt", "cannot read category file"),
        ("", "the following arguments are required: --weights"),
    ],
)
def test_errors(on_tiny, sampled, clustered, tiny_data, tmp_path, flags, message):
    words = shlex.split(flags.format(s=sampled, c=clustered, d=tiny_data))
    assert message in on_tiny(*words).error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clustered.pth.tar", "sampled.pth.tar"]


class Weighted(Head):
    """A head with a weight for each segment."""

    fixed_segments = True

    def __init__(self, feature_dim, num_class, num_segments):
        super().__init__(feature_dim, num_class, num_segments)
        self.share = nn.Parameter(torch.ones(num_segments))

    def forward(self, x):
        return (x * self.share.softmax(0)[:, None]).sum(1)


def test_a_head_for_its_own_segments_alone(on_tiny, monkeypatch, tmp_path):
    monkeypatch.setitem(HEADS, "weighted", Weighted)
    for cluster in ("none", "slope"):
        weights = save_own(tmp_path / "w.pth", consensus_type="weighted", cluster=cluster)
        expected = outcome(on_tiny("--weights", weights))
        assert outcome(on_tiny("--weights", weights, "--test_segments", 4)) == expected
        assert on_tiny("--weights", weights, "--test_segments", 6).error == (
            f"--test_segments 6 contradicts {weights}: its head, weighted, works only for the 4 segments that it was"
            " trained on; leave --test_segments out"
        )


def test_other_errors_in_checkpoints(on_tiny, tmp_path, sampled):
    stored = ckpt.load_checkpoint(sampled)
    torch.save({"state_dict": stored["state_dict"]}, tmp_path / "bare.pth")
    assert "give --arch" in on_tiny("--weights", "bare.pth").error
    torch.save({"state_dict": stored["state_dict"]}, tmp_path / "TSM_kinetics_RGB_vgg16_avg_segment8_e5.pth")
    assert "arch 'vgg16'" in on_tiny("--weights", "TSM_kinetics_RGB_vgg16_avg_segment8_e5.pth").error
    stored["state_dict"]["new_fc.bias"][0] = float("nan")
    torch.save(stored, tmp_path / "nan.pth")
    assert "not finite" in on_tiny("--weights", "nan.pth", "--scores", "s.npz").error
    assert not list(tmp_path.glob("s.npz*")) and not list(tmp_path.glob("*confusion*"))


def test_no_frame_is_replaced(run_test, own_data, sampled, tmp_path):
    (own_data / "val/left_0/8.jpg").write_bytes(b"spoiled")
    words = ["movingmnist", "--root_path", own_data, "--weights", sampled]
    error = run_test(*words, "--dense_sample", "--scores", "s.npz").error
    assert "left_0/8.jpg" in error and not list(tmp_path.glob("s.npz*"))


def test_no_flip_forbids_ten_crops_of_any_dataset(run_test, tmp_path):
    write_videos(tmp_path / "data", "img_{:06d}.jpg", [5], (64, 64))
    weights = save_own(tmp_path / "w.pth", dataset="ucf101", num_class=101)
    words = ["ucf101", "RGB", "--root_path", "data", "--weights", weights, "--test_crops", 10]
    assert "mirrored video has another label" in run_test(*words, "--no_flip").error
    assert protocol_of(run_test(*words)) == ["all frames x 10 crops x 1 clip, 32 px"]


def test_a_model_trained_with_no_flip_is_shown_no_mirrored_crops(run_test, tmp_path):
    write_videos(tmp_path / "data", "img_{:06d}.jpg", [5], (64, 64))
    weights = save_own(tmp_path / "w.pth", dataset="ucf101", num_class=101, no_flip=True)
    words = ["ucf101", "RGB", "--root_path", "data", "--weights", weights, "--test_crops"]
    assert f"{weights} was trained with --no_flip: a mirrored video has another label" in run_test(*words, 10).error
    assert protocol_of(run_test(*words, 5)) == ["all frames x 5 crops x 1 clip, 32 px"]


def test_help_shows_examples(run_test):
    ran = run_test("--help")
    assert ran.code == 0 and "--test_crops 3 --dense_sample --full_res" in ran.out
