"""Whole runs through the command line: what they leave, what they print, how they go on and how they fail."""

import csv
import json
import re
import shlex
import shutil
from urllib.error import URLError

import pytest
import torch

from ops.run import saving, setup, training
from ops.training import checkpoint as ckpt
from ops.training.engine import Result

THIN = shlex.split(
    "movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 --epochs 2 -b 4 -j 0 --npb --device cpu"
)
NAME = "TSM_movingmnist_RGB_resnet_thin_cumulative-layer1_avg_segment4_e2"
PUBLISHED_TRAIN = shlex.split(
    "movingmnist RGB --arch resnet18 --num_segments 16 --gd 20 --lr 0.001 --epochs 40 --batch-size 16 -j 16"
    " --dropout 0.8 --consensus_type=avg --eval-freq=1 --shift --shift_div=8 --shift_place=blockres --npb"
)
PUBLISHED_EVALUATE = shlex.split(
    "--evaluate movingmnist RGB --arch resnet18 --num_segments 16 --batch-size 16 -j 16 --consensus_type=avg"
)


@pytest.fixture
def train(run_main, tiny_data):
    """Trains a thin ResNet for 2 epochs on the tiny data; further words come last and win."""

    def run(*words):
        return run_main(*THIN, "--root_path", tiny_data, *words)

    return run


def evaluating(checkpoint, data) -> list:
    """The words that evaluate a checkpoint on generated videos."""
    return ["-e", "movingmnist", "RGB", "--resume", checkpoint, "--root_path", data, "-j", "0", "--device", "cpu"]


def finished(ran):
    assert ran.code == 0 and "error" not in ran.err, ran
    return ran


def scored(top1):
    """What a validation may give."""
    return Result(1.0, top1, 100.0, 25.0, 4, 80, 1.0, 0.0, confusion=torch.eye(4, dtype=torch.int64))


def log_of(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights_of(path):
    return ckpt.load_checkpoint(path)["state_dict"]


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def results(ran):
    """The figures of the last line of an evaluation."""
    match = re.fullmatch(
        r"Testing Results: Prec@1 (\d+\.\d{3}) Prec@5 (\d+\.\d{3}) Loss (\d+\.\d{5})",
        finished(ran).out.splitlines()[-1],
    )
    return tuple(map(float, match.groups()))


# ---------------------------------------------------------------- what a run leaves and prints


def test_a_run_leaves_checkpoints_and_logs(train, tmp_path):
    finished(train("--eval-freq", "1"))
    assert sorted(path.name for path in (tmp_path / "checkpoint" / NAME).iterdir()) == [
        ckpt.BEST,
        ckpt.PREVIOUS,
        ckpt.LAST,
    ]
    log = tmp_path / "log" / NAME
    assert {"log.csv", "args.json"} <= {path.name for path in log.iterdir()} and list(log.glob("events*"))
    assert (log / "log.csv").read_text().startswith("epoch,split,loss,top1,top5,")
    events = b"".join(path.read_bytes() for path in log.glob("events*"))
    assert [events.count(tag) for tag in (b"confusion/val", b"clusters/0", b"clusters/1")] == [2, 2, 0]
    rows = log_of(log)
    assert [(row["epoch"], row["split"]) for row in rows] == [
        ("0", "train"),
        ("0", "val"),
        ("1", "train"),
        ("1", "val"),
    ]
    assert [row["frames"] for row in rows] == ["160", "80"] * 2 and {row["top5"] for row in rows} == {"100.0000"}
    args = json.loads((log / "args.json").read_text())
    assert (args["arch"], args["num_segments"], args["npb"]) == ("resnet_thin", 4, True)
    last = ckpt.load_checkpoint(tmp_path / "checkpoint" / NAME / ckpt.LAST)
    assert last["epoch"] == 2 and last["config"]["cluster"] == "cumulative" and last["arch"] == "resnet_thin"
    assert last["best_prec1"] == max(float(row["top1"]) for row in rows if row["split"] == "val")


def test_the_console_tells_what_is_trained(train):
    out = finished(train("--shift", "--eval-freq", "1")).out
    for text in (
        "8 train videos, 4 val videos, 4 classes",
        "min 20, median 20, max 20",
        "all, 4 cumulative clusters per video after layer1",
        "resnet_thin, 0.18 M parameters, 32 px",
        "shift 1/8 blockres",
        "device    cpu",
        "seed 0",
    ):
        assert text in out
    epochs = [line for line in out.splitlines() if re.match(r"epoch \d  lr .* train loss .* \| val loss", line)]
    assert len(epochs) == 2
    assert re.search(r"^best top-1 \d+\.\d{3}% at epoch [01]: checkpoint/.*/ckpt.best.pth.tar$", out.rstrip(), re.M)


def test_the_last_epoch_is_always_evaluated(train, tmp_path):
    finished(train("--eval-freq", "5"))
    assert [row["split"] for row in log_of(tmp_path / "log" / NAME)] == ["train", "train", "val"]


def test_the_best_epoch_is_the_first_of_equals(train, tmp_path, monkeypatch):
    accuracies = iter([25.0, 50.0, 50.0, 0.0])
    monkeypatch.setattr(training, "evaluate", lambda *args: scored(next(accuracies)))
    ran = finished(train("--epochs", "4", "--eval-freq", "1"))
    assert "best top-1 50.000% at epoch 1: " in ran.out
    (folder,) = (tmp_path / "checkpoint").iterdir()
    assert [ckpt.load_checkpoint(folder / name)["epoch"] for name in (ckpt.BEST, ckpt.LAST)] == [2, 4]


def test_named_folders(train, tmp_path):
    finished(train("--root_log", "l", "--root_model", "m/n", "--suffix", "x", "--epochs", "1"))
    assert (tmp_path / "l" / f"{NAME[:-1]}1_x" / "log.csv").is_file()
    assert (tmp_path / "m/n" / f"{NAME[:-1]}1_x" / ckpt.BEST).is_file()


def test_steps_are_reported_where_there_is_no_terminal(train):
    out = finished(train("-b", "2", "--print-freq", "1", "--epochs", "1")).out
    assert [f"train  step {i}/4" in out for i in range(1, 5)] == [True, True, True, False]


# ---------------------------------------------------------------- the published commands


def test_the_published_commands(run_main, tiny_data, tmp_path):
    """Shortened by a few more words at the end; the evaluation says nothing of shift, for the checkpoint knows."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "movingmnist").symlink_to(tiny_data)
    finished(run_main(*PUBLISHED_TRAIN, "--epochs", "1", "--pretrain", "none", "--input_size", "64", "--device", "cpu"))
    name = "TSM_movingmnist_RGB_resnet18_shift8_blockres_cumulative-layer1_avg_segment16_e1"
    row = log_of(tmp_path / "log" / name)[-1]
    ran = run_main(*PUBLISHED_EVALUATE, f"--resume=checkpoint/{name}/{ckpt.BEST}", "--device", "cpu")
    top1, top5, loss = results(ran)
    assert row["split"] == "val" and (top1, top5) == (float(row["top1"]), float(row["top5"])) and top5 == 100
    assert loss == pytest.approx(float(row["loss"]), abs=1e-5)
    assert "4 videos, 80 frames" in ran.out and "mean class accuracy" in ran.out.splitlines()[-2]
    assert "shift 1/8 blockres" in ran.out and "64 px" in ran.out


def test_in_a_process_of_its_own(run_process, tiny_data, tmp_path):
    """Training with workers; then a spoiled frame is met by a worker: one line, no traceback."""
    words = [*THIN, "-j", "2", "--epochs", "1"]
    ran = finished(run_process(*words, "--root_path", tiny_data))
    assert ran.err == "" and "best top-1" in ran.out
    broken = tmp_path / "broken"
    shutil.copytree(tiny_data, broken)
    frame = broken / "val/up_0/7.jpg"
    frame.write_bytes(frame.read_bytes()[:300])
    ran = run_process(*words, "--root_path", broken, "--overwrite")
    assert "cannot read frame" in ran.error and str(frame) in ran.error and "Traceback" not in ran.out


def test_bad_usage_in_a_process_of_its_own(run_process):
    ran = run_process("movingmnist", "RGB", "--num_segments", "0")
    assert "--num_segments" in ran.error and ran.out == ""


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("workers", ["0", "1"])
def test_going_on_ends_in_the_same_weights(train, tmp_path, monkeypatch, workers):
    """An unbroken run, and one that is cut after the first of 3 epochs, have the same bits at the end."""
    options = ["--epochs", "3", "--shift", "--lr_steps", "1", "--lr", "0.01", "--eval-freq", "1"]
    finished(train(*options, "--suffix", "whole"))
    whole = next((tmp_path / "checkpoint").glob("*whole"))

    save = ckpt.save_checkpoint

    def save_and_stop(path, content, keep=None):
        save(path, content, keep)
        if path.name == ckpt.LAST:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save_checkpoint", save_and_stop)
        assert train(*options, "--suffix", "cut").code == 130
    broken = next((tmp_path / "checkpoint").glob("*cut"))
    assert ckpt.load_checkpoint(broken / ckpt.LAST)["epoch"] == 1
    ran = finished(train("--epochs", "3", "-j", workers, "--resume", broken / ckpt.LAST))
    assert "epochs 1 to 2" in ran.out
    assert same(weights_of(whole / ckpt.LAST), weights_of(broken / ckpt.LAST))
    logs = [log_of(tmp_path / "log" / folder.name) for folder in (whole, broken)]
    figures = [[(r["epoch"], r["split"], r["loss"], r["top1"], r["lr"]) for r in rows] for rows in logs]
    assert figures[0] == figures[1] and len(figures[0]) == 6


def test_a_run_that_ends_between_its_two_checkpoints(train, tmp_path, monkeypatch):
    """Wherever a run is cut, the best accuracy that its last checkpoint tells of is that of the best one."""
    save, saved, accuracies = ckpt.save_checkpoint, [], iter([10.0, 20.0, 30.0])

    def save_and_stop(path, content, keep=None):
        save(path, content, keep)
        saved.append(path.name)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(saving, "save_checkpoint", save_and_stop)
    monkeypatch.setattr(training, "evaluate", lambda *args: scored(next(accuracies)))
    assert train("--epochs", "9", "--eval-freq", "1").code == 130
    (folder,) = (tmp_path / "checkpoint").iterdir()
    last, best = (ckpt.load_checkpoint(folder / name) for name in (ckpt.LAST, ckpt.BEST))
    assert (last["best_prec1"], last["best_epoch"]) == (10.0, 0) and (best["best_prec1"], best["epoch"]) == (20.0, 2)


def test_the_same_run_twice_and_with_other_workers(train, tmp_path):
    for suffix, workers in (("a", "0"), ("b", "0"), ("c", "2")):
        finished(train("--suffix", suffix, "-j", workers))
    a, b, c = (weights_of(tmp_path / "checkpoint" / f"{NAME}_{suffix}" / ckpt.LAST) for suffix in "abc")
    assert same(a, b) and same(a, c)
    finished(train("--suffix", "d", "--seed", "1"))
    assert not same(a, weights_of(tmp_path / "checkpoint" / f"{NAME}_d" / ckpt.LAST))


def test_going_on_with_more_epochs_and_other_rates(train, tmp_path):
    finished(train())
    last = tmp_path / "checkpoint" / NAME / ckpt.LAST
    ran = finished(train("--resume", last, "--epochs", "3", "--lr", "0.5", "--wd", "0", "--momentum", "0.1"))
    assert "epochs 2 to 2" in ran.out and "lr 0.5" in ran.out
    groups = ckpt.load_checkpoint(tmp_path / "checkpoint" / (NAME[:-1] + "3") / ckpt.LAST)["optimizer"]["param_groups"]
    assert {(group["momentum"], group["weight_decay"]) for group in groups} == {(0.1, 0)}


def test_nothing_left_to_train(train, tmp_path):
    finished(train())
    ran = train("--resume", tmp_path / "checkpoint" / NAME / ckpt.LAST)
    assert ran.error == "nothing to train: epoch 2 is next, and --epochs is 2"


def test_going_on_after_tuning(train, tmp_path):
    """A tuned run, whose classifier learns no faster than the rest, goes on like any other."""
    finished(train())
    finished(train("--tune_from", tmp_path / "checkpoint" / NAME / ckpt.LAST, "--suffix", "tuned"))
    tuned = tmp_path / "checkpoint" / f"{NAME}_tuned"
    finished(train("--resume", tuned / ckpt.LAST, "--epochs", "3"))
    groups = ckpt.load_checkpoint(tmp_path / "checkpoint" / f"{NAME[:-1]}3_tuned" / ckpt.LAST)["optimizer"]
    assert {group["lr_mult"] for group in groups["param_groups"]} == {1, 2}  # not 5 and 10


def test_a_tuned_run_begins_and_goes_on_by_the_same_command(train, tmp_path):
    finished(train())
    start = (tmp_path / "checkpoint" / NAME / ckpt.LAST).rename(tmp_path / "start.pth")
    words = ["--tune_from", start, "--suffix", "tuned", "--resume", "auto"]
    assert "start.pth: " in finished(train(*words)).out
    last = tmp_path / "checkpoint" / f"{NAME}_tuned" / ckpt.LAST
    ckpt.save_checkpoint(last, ckpt.load_checkpoint(last) | {"epoch": 1})
    start.unlink()
    assert f"{ckpt.LAST}, all loaded, epoch 1" in finished(train(*words)).out


def test_going_on_with_other_norms_is_refused(run_main, train, tiny_data, tmp_path):
    partial = [word for word in THIN if word != "--npb"]
    finished(run_main(*partial, "--root_path", tiny_data))
    assert "--npb" in train("--resume", tmp_path / "checkpoint" / NAME / ckpt.LAST, "--epochs", "3").error


def test_a_run_of_the_same_name(train, tmp_path):
    finished(train())
    last = tmp_path / "checkpoint" / NAME / ckpt.LAST
    before = last.read_bytes()
    text = train("--seed", "1").error
    assert NAME in text and "--overwrite" in text and "--suffix" in text and "--resume" in text
    assert last.read_bytes() == before
    finished(train("--seed", "1", "--overwrite"))
    assert last.read_bytes() != before


def test_going_on_from_one_run_does_not_overwrite_another(train, tmp_path):
    for suffix in ("one", "two"):
        finished(train("--suffix", suffix, "--epochs", "1"))
    one, two = (tmp_path / "checkpoint" / f"{NAME[:-1]}1_{suffix}" / ckpt.LAST for suffix in ("one", "two"))
    assert "--overwrite" in train("--resume", one, "--suffix", "two", "--epochs", "1", "--start_epoch", "0").error
    assert ckpt.load_checkpoint(two)["config"]["suffix"] == "two"


def test_bad_videos_may_be_skipped_in_training_only(run_main, own_data, tmp_path):
    words = [*THIN, "--root_path", own_data, "--epochs", "1", "-j", "1"]
    frame = own_data / "train/up_0/7.jpg"
    frame.write_bytes(frame.read_bytes()[:100])
    assert str(frame) in run_main(*words, "--suffix", "stopped").error
    ran = finished(run_main(*words, "--on_bad_video", "skip"))
    (line,) = [line for line in ran.out.splitlines() if "skipped a video" in line]
    assert line.startswith("epoch 0 skipped a video: cannot read frame") and str(frame) in line
    rows = log_of(tmp_path / "log" / f"{NAME[:-1]}1")
    assert [(row["split"], row["videos"], row["skipped"]) for row in rows] == [("train", "7", "1"), ("val", "4", "0")]
    frame = own_data / "val/up_0/7.jpg"
    frame.write_bytes(b"")
    assert str(frame) in run_main(*words, "--on_bad_video", "skip", "--suffix", "evaluated").error


def test_nothing_that_can_be_read(run_main, own_data):
    for folder in (own_data / "train").iterdir():
        (folder / "3.jpg").write_bytes(b"")
    ran = run_main(*THIN, "--root_path", own_data, "--on_bad_video", "skip", "-b", "3")
    assert ran.error.startswith("no video could be read: cannot read frame")


# ---------------------------------------------------------------- ways to train


@pytest.mark.parametrize("method", ["cumulative", "slope", "even", "random", "none"])
def test_every_method_trains_and_evaluates_alike(train, run_main, tiny_data, tmp_path, method):
    finished(train("--cluster", method, "--epochs", "1", "--shift", "--seed", "2"))
    (folder,) = (tmp_path / "checkpoint").iterdir()
    rows = log_of(tmp_path / "log" / folder.name)
    assert rows[-1]["frames"] == ("16" if method == "none" else "80")
    top1, _, loss = results(run_main(*evaluating(folder / ckpt.LAST, tiny_data), "-b", "3"))
    assert (top1, loss) == (pytest.approx(float(rows[-1]["top1"])), pytest.approx(float(rows[-1]["loss"]), abs=2e-5))


@pytest.mark.parametrize(
    "words",
    [
        "--consensus_type identity",
        "--temporal_pool --shift --shift_place block",
        "--non_local",
        "--lr_type cos --gd 1",
        "--num_frames 10 --cluster_after conv1",
        "--cluster none --dense_sample",
        "--cluster kmodes --shift",
        "--cluster kmeans --reduce middle",
        "--cluster slope --distance euclidean --reduce random --freeze_stem_bn --stem_chunk 8",
        "--distance cosine --shift --cluster_after conv1:12,layer1:9,layer2:4 --num_segments 4",
        "--num_segments 1",
        "--dense_sample --cluster_start_epoch 1 --epochs 2",
        "--temporal stm --temporal_pool --non_local --cluster_start_epoch 1 --epochs 2",
        "--temporal stm --cluster_after conv1:12,layer1:9,layer2:4 --num_segments 4",
        "--temporal shift --shift_direction past --freeze_stem_bn --stem_chunk 8",
        "--arch mobilenetv2 --shift --pretrain none --freeze_stem_bn --stem_chunk 8",
        "--arch mobilenetv2 --shift --pretrain none --cluster_after expand2:9,expand7:4 --num_segments 4",
        "--arch bninception --shift --shift_place block",
    ],
)
def test_other_options_train_and_evaluate(train, run_main, tiny_data, tmp_path, words):
    finished(train("--epochs", "1", *words.split()))
    (folder,) = (tmp_path / "checkpoint").iterdir()
    top1, _, loss = results(run_main(*evaluating(folder / ckpt.LAST, tiny_data), "-b", "4"))
    row = log_of(tmp_path / "log" / folder.name)[-1]
    assert (top1, loss) == (pytest.approx(float(row["top1"])), pytest.approx(float(row["loss"]), abs=2e-5))


def test_what_training_draws_of_a_video(train, run_main, tiny_data, tmp_path):
    ran = finished(train("--epochs", "1", "--frame_keep", "0.5"))
    assert "clusters per video after layer1; drawn in training: 0.5 of the frames\n" in ran.out
    (folder,) = (tmp_path / "checkpoint").iterdir()
    assert [row["frames"] for row in log_of(tmp_path / "log" / folder.name)] == ["80", "80"]  # of 160 and 80
    words = ["--frame_keep", "0.5", "--clip_share", "0.5", "--clip_speed", "1.5", "--suffix", "all", "--bucket", "2"]
    ran = finished(train("--epochs", "1", *words))
    assert "drawn in training: a part of 0.5 to 1, a speed of 0.67 to 1.5, 0.5 of the frames\n" in ran.out
    train_row, val_row = log_of(tmp_path / "log" / f"{folder.name}_all")
    assert 32 <= int(train_row["frames"]) < 120 and val_row["frames"] == "80"
    assert "drawn" not in run_main(*evaluating(folder / ckpt.LAST, tiny_data)).out


def test_a_frozen_backbone(train, run_main, tiny_data, tmp_path):
    """Only the classifier learns, and nothing else changes; frames may pass in chunks."""
    finished(train("--epochs", "1", "--npb"))
    (start,) = (tmp_path / "checkpoint").iterdir()
    words = ["--epochs", "2", "--tune_from", start / ckpt.LAST, "--freeze_backbone", "--suffix", "x"]
    ran = finished(train(*words, "--stem_chunk", "8"))
    assert ", freeze_backbone True\n" in ran.out
    before, after = (
        ckpt.load_checkpoint(path)["state_dict"]
        for path in (start / ckpt.LAST, *tmp_path.glob(f"checkpoint/*_x/{ckpt.LAST}"))
    )
    assert {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])} == {"new_fc"}
    refused = train(*words, "--temporal", "stm", "--overwrite")  # the file has none
    assert refused.code == 2 and "--freeze_backbone would leave " in refused.err and ".stm." in refused.err


def test_differences_of_augmented_frames(run_main, tiny_data):
    words = ["movingmnist", "RGBDiff", *THIN[2:], "--root_path", tiny_data, "--epochs", "1"]
    finished(run_main(*words, "--rand_augment", "--erasing", "1", "--frame_keep", "0.5", "--clip_speed", "2"))


def test_precision_accumulation_and_buckets(train, tmp_path):
    """A run that goes on keeps the factor of float16, which grows with the steps."""
    words = ["-b", "2", "--accum", "2", "--bucket", "2", "--amp", "fp16"]
    ran = finished(train(*words, "--print-freq", "1", "--suffix", "whole"))
    assert "batch 2 x 2, float16, SGD" in ran.out
    assert re.findall(r"epoch 0 train  step (\d)/4", ran.out) == ["2"]
    finished(train(*words, "--epochs", "1", "--suffix", "half"))
    half, whole = tmp_path / "checkpoint" / f"{NAME[:-1]}1_half", tmp_path / "checkpoint" / f"{NAME}_whole"
    finished(train("--resume", half / ckpt.LAST, "-b", "2", "--suffix", "whole", "--root_model", "on"))
    unbroken, resumed = (ckpt.load_checkpoint(folder / ckpt.LAST) for folder in (whole, tmp_path / "on" / whole.name))
    assert unbroken["scaler"] == resumed["scaler"] != {} and unbroken["scaler"]["scale"] > 1
    assert same(unbroken["state_dict"], resumed["state_dict"])


def test_steps_that_are_not_finite_are_counted(train, tmp_path):
    ran = train("--lr", "1e30", "--skip_nonfinite")
    assert re.search(r"^epoch 0 .* frames/s, 1 steps left out: not finite$", ran.out, re.M)
    assert log_of(tmp_path / "log" / NAME)[0]["nonfinite_steps"] == "1"
    assert "are not finite; the weights are spoiled" in ran.error


def test_clustering_from_a_later_epoch(train, tmp_path):
    ran = finished(train("--cluster_start_epoch", "1", "--eval-freq", "1"))
    assert "training: 4 sampled before epoch 1" in ran.out
    frames = [(row["epoch"], row["split"], row["frames"]) for row in log_of(tmp_path / "log" / NAME)]
    assert frames == [("0", "train", "32"), ("0", "val", "80"), ("1", "train", "160"), ("1", "val", "80")]


def test_tuning_from_a_run_of_the_same_classes(train, tmp_path):
    finished(train())
    last = tmp_path / "checkpoint" / NAME / ckpt.LAST
    ran = finished(train("--tune_from", last, "--suffix", "tuned", "--shift", "--cluster", "slope"))
    loaded = len(weights_of(last))
    assert f"{last}: {loaded} tensors loaded, none new" in ran.out


def test_tuning_from_a_run_of_other_classes(train, tmp_path):
    finished(train())
    stored = ckpt.load_checkpoint(tmp_path / "checkpoint" / NAME / ckpt.LAST)
    stored["state_dict"] |= {"new_fc.weight": torch.ones(7, 96), "new_fc.bias": torch.ones(7)}
    ckpt.save_checkpoint(tmp_path / "other.pth", stored)
    ran = finished(train("--tune_from", tmp_path / "other.pth", "--suffix", "tuned", "--lr", "1e-12"))
    assert f"{len(stored['state_dict']) - 2} tensors loaded, new: new_fc.weight, new_fc.bias" in ran.out
    tuned = weights_of(tmp_path / "checkpoint" / f"{NAME}_tuned" / ckpt.LAST)
    key = "base_model.layer4.0.conv1.weight"
    assert torch.allclose(tuned[key], stored["state_dict"][key]) and tuned["new_fc.weight"].shape == (4, 96)
    text = train("--resume", tmp_path / "other.pth", "--epochs", "3").error
    assert "other.pth was trained on another number of classes" in text and "--tune_from" in text


def test_a_checkpoint_without_config(train, run_main, tiny_data, tmp_path):
    """Bare weights are evaluated by the flags given."""
    finished(train())
    torch.save(weights_of(tmp_path / "checkpoint" / NAME / ckpt.LAST), tmp_path / "bare.pth")
    row = log_of(tmp_path / "log" / NAME)[-1]
    assert results(train("-e", "--resume", tmp_path / "bare.pth"))[0] == float(row["top1"])
    assert (
        "holds another network"
        in run_main(
            "-e",
            "movingmnist",
            "RGB",
            "--arch",
            "resnet18",
            "--num_segments",
            "4",
            "--resume",
            tmp_path / "bare.pth",
            "--root_path",
            tiny_data,
        ).error
    )


def test_a_flag_against_the_checkpoint(train, tmp_path):
    finished(train())
    text = train("-e", "--resume", tmp_path / "checkpoint" / NAME / ckpt.BEST, "--num_segments", "8").error
    assert "--num_segments 8 contradicts" in text and "num_segments 4" in text and ckpt.BEST in text


# ---------------------------------------------------------------- what cannot be used


def test_generated_on_first_use(run_main, tmp_path, monkeypatch):
    calls = []

    def few(root, config, progress):
        calls.append(str(root))
        return make(root, config, num_train=4, num_val=4, workers=1, digits="glyphs", progress=progress)

    make = setup.make_dataset
    monkeypatch.setattr(setup, "make_dataset", few)
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    words = [*THIN, "--epochs", "1"]
    ran = finished(run_main(*words))
    assert calls == ["data/movingmnist"] and "generating Move4MNIST in data/movingmnist" in ran.out
    assert "glyphs" in ran.out and (tmp_path / "data/movingmnist/category.txt").is_file()
    finished(run_main(*words, "--overwrite"))
    assert len(calls) == 1


def test_other_datasets_are_not_generated(run_main):
    text = run_main("jester", "RGB", "--arch", "resnet_thin").error
    assert "no list file data/jester/train_videofolder.txt" in text and "--train_list" in text


def test_a_missing_list_is_not_a_reason_to_generate(run_main, tmp_path):
    assert "no list file mine.txt" in run_main(*THIN, "--train_list", tmp_path / "mine.txt").error.replace(
        str(tmp_path) + "/", ""
    )
    assert not (tmp_path / "data").exists()


def test_missing_folders_and_frames(train, own_data):
    shutil.rmtree(own_data / "train/left_0")
    (own_data / "val/up_0/19.jpg").unlink()
    assert "line 1: train/left_0: no folder" in train("--root_path", own_data).error
    text = train("--root_path", own_data, "--train_list", "val_videofolder.txt").error
    assert "line 3: val/up_0: list says 20 frames, folder holds 19 (no 19.jpg in" in text


def test_a_frame_missing_in_the_middle(train, own_data):
    (own_data / "train/left_0/9.jpg").unlink()
    assert f"no frame {own_data / 'train/left_0/9.jpg'}" in train("--root_path", own_data).error


def test_a_label_out_of_range(train, own_data):
    with (own_data / "train_videofolder.txt").open("a") as file:
        file.write("train/left_0 20 4\n")
    assert "label 4 is out of range, 4 classes have labels 0 to 3" in train("--root_path", own_data).error


def test_a_loss_that_is_no_number(train):
    assert "lower --lr" in train("--lr", "1e30").error


def test_checkpoints_that_cannot_be_read(train, tmp_path):
    (tmp_path / "x.pth").write_text("{}")
    for flag in ("--resume", "--tune_from", "--pretrain"):
        assert "x.pth is not a readable checkpoint" in train(flag, tmp_path / "x.pth").error
        assert "no checkpoint nowhere.pth" in train(flag, "nowhere.pth").error


def test_folders_that_cannot_be_made(train, tmp_path):
    (tmp_path / "file").touch()
    for flag in ("--root_log", "--root_model"):
        ran = train(flag, "file")
        assert "--root_model and --root_log" in ran.error and "epoch 0" not in ran.out


def test_an_absent_device(train):
    assert "--device nonsense cannot be used here" in train("--device", "nonsense").error


def test_imagenet_weights_without_network(run_main, tiny_data, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise URLError("[Errno -3] Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    ran = run_main(*PUBLISHED_TRAIN, "--root_path", tiny_data)
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert ran.code == 2 and len(errors) == 1 and "Traceback" not in ran.err
    for text in (
        "resnet18-f37072fd.pth",
        str(tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth"),
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        "--pretrain none",
        "name resolution",
    ):
        assert text in errors[0]
