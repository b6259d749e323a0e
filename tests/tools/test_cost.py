"""What a model costs: figures that papers print, options and checkpoints of tools/cost.py, and its picture of runs."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from ops.evaluation.cost import costs_of_runs, count, measure
from ops.models import build_model
from ops.options.config import Config, plain
from ops.training import checkpoint as ckpt

TOOL = "tools/cost.py"
THIN = ["--arch", "resnet_thin", "--num_class", "4", "--num_segments", "4"]


def model_of(arch, *args, **kwargs):
    """A model without values, which is built at once."""
    with torch.device("meta"):
        return build_model(arch, *args, **kwargs)


def multiply_adds(costs) -> dict[str, float]:
    """G of each part, and of all."""
    found = {cost.part: cost.multiply_adds / 1e9 for cost in costs}
    return found | {"all": sum(found.values())}


def test_resnet50_costs_what_papers_say():
    """4.09 G a frame with the classifier of ImageNet, TSM on 8 frames 32.7 G, on 16 frames 65.4 G."""
    costs = count(model_of("resnet50", 1000, 1, cluster="none"), 1, 224)
    assert multiply_adds(costs)["all"] == pytest.approx(4.089, abs=5e-4)
    assert sum(cost.parameters for cost in costs) == 25_557_032
    for frames, expected in ((8, 32.7), (16, 65.4)):
        found = multiply_adds(count(model_of("resnet50", 174, frames, cluster="none", shift=True), frames, 224))
        assert found["all"] == pytest.approx(expected, abs=0.05)


def test_full_video_costs_0_786_a_frame_and_3_302_a_cluster():
    model = model_of("resnet50", 174, 8, shift=True)
    few, many = (multiply_adds(count(model, frames, 224)) for frames in (48, 188))
    assert few["stem"] / 48 == pytest.approx(0.786, abs=5e-4) and few["trunk"] / 8 == pytest.approx(3.302, abs=2e-3)
    assert few["stem"] / 48 / (few["stem"] / 48 + few["trunk"] / 8) == pytest.approx(0.192, abs=5e-4)
    assert few["all"] == pytest.approx(64.1, abs=0.05) and many["all"] == pytest.approx(174.2, abs=0.05)
    assert many["trunk"] == few["trunk"] and few["clustering"] == many["clustering"] == 0
    parameters = {cost.part: cost.parameters for cost in count(model, 48, 224)}
    assert parameters == {"stem": 225_344, "clustering": 0, "trunk": 23_282_688, "head": 356_526}


def test_two_places_of_clustering_and_one_of_whole_videos():
    """Of 32 frames 16 pass layer2 in place of 8; K-means multiplies, the paper's clustering does not."""
    one, two = (
        multiply_adds(count(model_of("resnet_thin", 4, 8, cluster_after=places), 32, 64))
        for places in ("layer1", "layer1:16,layer2:8")
    )
    assert two["trunk"] - one["trunk"] == pytest.approx(8 * 516_096 / 1e9)  # 64 places of 9 (12 + 24) + 12, times 24
    assert multiply_adds(count(model_of("resnet_thin", 4, 8, cluster="kmeans"), 32, 64))["clustering"] > 0


def test_a_model_that_is_measured_runs():
    model = build_model("resnet_thin", 4, 4, modality="RGBDiff").eval()
    found = measure(model, 6, 32, 1)
    assert found.frames == 6 and 0 < found.seconds < 60 and found.peak_memory > 2**20


def test_options_and_json(run_program, tmp_path):
    done = run_program(TOOL, *THIN, "--frames", "64", "32", "--json", "c.json")
    lines = done.out.splitlines()
    assert lines[0] == "resnet_thin, RGB, 64 px, 4 cumulative clusters per video after layer1, 4 classes"
    assert [line.split(" | ")[0].strip("| ") for line in lines[3:]] == ["stem", "clustering", "trunk", "head", "all"]
    assert "32 frames" in lines[1] and lines[-1].startswith("| all        |    175,168 |")
    rows = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert [row["frames"] for row in rows] == [32] * 4 + [64] * 4
    assert rows[4]["multiply_adds"] == 2 * rows[0]["multiply_adds"] == 2 * 79_036_416


def test_a_checkpoint_is_measured(run_program, tmp_path):
    config = Config("movingmnist", "RGB", arch="resnet_thin", input_size=32, num_segments=4, cluster="none", shift=True)
    model = build_model(num_class=4, **config.model_options)
    content = {"state_dict": model.state_dict(), "config": plain(config), "num_class": 4}
    ckpt.save_checkpoint(tmp_path / "tsm.pth.tar", content)
    done = run_program(TOOL, "--weights", "tsm.pth.tar", "--measure", "--repeat", "1", "--device", "cpu")
    assert "resnet_thin, RGB, 32 px, 4 sampled frames, 4 classes" in done.out and "ms a video" in done.out, done
    assert "--arch contradicts --weights" in run_program(TOOL, "--weights", "tsm.pth.tar", "--arch", "resnet18").error


def write_run(folder: Path, top1: float, **given) -> None:
    config = Config("movingmnist", "RGB", arch="resnet_thin", num_segments=4, **given)
    folder.mkdir(parents=True)
    (folder / "args.json").write_text(json.dumps(plain(config)))
    frames = 4 if config.cluster == "none" else 32
    rows = f"epoch,split,top1,videos,frames\n0,val,1,10,{10 * frames}\n1,train,2,10,5\n1,val,{top1},10,{10 * frames}\n"
    (folder / "log.csv").write_text(rows)


def test_accuracy_over_cost_of_finished_runs(run_program, tmp_path):
    for seed, top1 in enumerate((60, 70)):
        write_run(tmp_path / f"log/slope{seed}", top1, cluster="slope", seed=seed)
    write_run(tmp_path / "log/tsm", 50, cluster="none", shift=True)
    done = run_program(TOOL, "log/slope0", "log/slope1", "log/tsm", "--picture", "costs.png", "--json", "runs.json")
    assert "| resnet_thin, TSM, 4 frames     |    50.0 |      4 |    175,168 |" in done.out, done
    with Image.open(tmp_path / "costs.png") as picture:
        assert picture.size == (1200, 630)
    runs = json.loads((tmp_path / "runs.json").read_text())["runs"]
    assert [run["top1"] for run in runs] == [60, 70, 50] and runs[0]["frames"] == 32
    assert runs[0]["multiply_adds"] > 2 * runs[2]["multiply_adds"]


def test_only_runs_of_one_method_become_one_mark(tmp_path):
    """Two distances are no two seeds, whose mean would be drawn."""
    given = [{"seed": 1, "suffix": "again"}, {"distance": "cosine"}, {"shift": True, "frame_keep": 0.5}, {}]
    for number, options in enumerate(given):
        write_run(tmp_path / str(number), 50, cluster="slope", **options)
    write_run(tmp_path / "even", 50, cluster="even")
    base = "resnet_thin, slope, 4 clusters"
    told = [run.method for run in costs_of_runs([tmp_path / name for name in ("0", "1", "2", "3", "even")])]
    assert told == [
        f"{base}, distance hamming, frame_keep 1.0, temporal none",
        f"{base}, distance cosine, frame_keep 1.0, temporal none",
        f"{base}, distance hamming, frame_keep 0.5, temporal shift",
        f"{base}, distance hamming, frame_keep 1.0, temporal none",
        "resnet_thin, even, 4 clusters",
    ]


@pytest.mark.parametrize(
    "words, message",
    [
        ([*THIN, "--cluster", "none", "--frames", "8"], "a video has --num_segments 4 frames, not 8"),
        (["--cluster", "none", "--cluster_after", "layer2"], "--cluster_after has no effect"),
        (["--picture", "x.png"], "give their log folders"),
        (["log/nowhere"], "log/nowhere is not the log folder of a run"),
        (["log/nowhere", "--measure"], "leave --weights, --measure and --frames out"),
        (["--modality", "Features"], "Give --feature_dim"),
        (["--arch", "resnet50", "--cluster", "kmeans", "--frames", "2105"], "takes fewer --frames|take fewer --frames"),
    ],
)
def test_what_cannot_be(run_program, words, message):
    assert any(part in run_program(TOOL, *words).error for part in message.split("|"))


def test_a_head_on_features(run_program):
    words = ["--modality", "Features", "--feature_dim", "2048", "--num_class", "10", "--cluster", "none"]
    done = run_program(TOOL, *words, "--num_segments", "64", "--input_size", "7")
    assert done.out.startswith("features, Features, features of width 2048, 64 sampled frames, 10 classes\n"), done
    assert "| head       |     20,490 |   1.311 M | 100.0 |" in done.out, done
