"""Runs that are killed, asked to end, or find a spoiled file or a full disk go on and end in the same bits."""

import csv
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
import torch

import main
from ops.run import training
from ops.training import checkpoint as ckpt

ROOT = Path(__file__).resolve().parents[2]
THIN = shlex.split(
    "movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 --epochs 2 -b 2 -j 0 --npb"
    " --device cpu --shift --lr 0.01 --eval_freq 1"
)
STEPS = 8  # 2 epochs of 8 videos by twos


@pytest.fixture
def words(tiny_data):
    return [*THIN, "--root_path", str(tiny_data)]


@pytest.fixture(scope="module")
def whole(tiny_data, tmp_path_factory):
    """Weights and log of the unbroken run."""
    folder = tmp_path_factory.mktemp("whole")
    main.main([*THIN, "--root_path", str(tiny_data), "--root_log", str(folder / "log"), "--root_model", str(folder)])
    return left_by(folder, folder / "log")


def left_by(models, logs):
    """The last weights and best figures of the only run in these folders, and what its log says."""
    (run,) = [path.parent for path in models.glob(f"*/{ckpt.LAST}")]
    last, best = (ckpt.load_checkpoint(run / name) for name in (ckpt.LAST, ckpt.BEST))
    with (logs / run.name / "log.csv").open(newline="") as file:
        columns = ("epoch", "split", "loss", "top1", "top5", "lr", "videos", "frames", "grad_norm")
        rows = [[row[name] for name in columns] for row in csv.DictReader(file)]
    return last["state_dict"], {"rows": rows, "epoch": last["epoch"], "best": (best["epoch"], best["best_prec1"])}


def assert_same(whole):
    weights, figures = left_by(Path("checkpoint"), Path("log"))
    assert figures == whole[1]
    assert weights.keys() == whole[0].keys() and all(torch.equal(weights[key], whole[0][key]) for key in weights)


def checkpoint_file(name=ckpt.LAST):
    (path,) = Path("checkpoint").glob(f"*/{name}")
    return path


def killed_at(step, words):
    """Run main.py in a child process that dies, as by SIGKILL, in its `step`-th step of all."""
    child = os.fork()
    if child == 0:
        try:
            steps, make_step = count(1), torch.optim.SGD.step

            def step_or_die(*args, **kwargs):
                if next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return make_step(*args, **kwargs)

            torch.optim.SGD.step = step_or_die
            main.main([str(word) for word in words])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# ---------------------------------------------------------------- killed


@pytest.mark.parametrize("step", random.Random(0).sample(range(1, STEPS + 1), 5))
def test_killed_at_any_step(run_main, words, whole, step):
    """Steps 1 and 5 are the first of an epoch; a run that was killed before it saved begins anew."""
    words += ["--save_every_steps", "1", "--resume", "auto"]
    killed_at(step, words)
    ran = run_main(*words, "-j", step % 3)
    assert ran.code == 0, ran
    assert ("no checkpoint" in ran.out) == (step == 1)
    assert_same(whole)


def test_killed_between_saves_and_killed_again(run_main, words, whole):
    words += ["--save_every_steps", "3", "--resume", "auto"]
    for step in (4, 3, 2):
        killed_at(step, words)
    ran = run_main(*words)
    assert ran.code == 0 and "epoch 1" in ran.out, ran
    assert_same(whole)


def test_within_an_epoch_the_batches_must_stay(run_main, words):
    killed_at(7, [*words, "--save_every_steps", "1"])
    path = checkpoint_file()
    ran = run_main(*words, "--resume", path, "-b", "4")
    assert f"{path} stands within epoch 1" in ran.error and "--batch_size 4" in ran.error
    assert "epoch 1, step 2" in run_main(*words, "--resume", path).out
    killed_at(7, [*words, "--save_every_steps", "1", "--overwrite"])
    assert run_main(*words, "--resume", path, "-b", "4", "--start_epoch", "1", "--epochs", "3").code == 0


def test_the_data_stay_what_they_were(run_main, words, tiny_data, tmp_path):
    """A list, and that videos are not mirrored: going on asks for neither again, evaluation for the list."""
    lines = (tiny_data / "val_videofolder.txt").read_text().splitlines(keepends=True)
    (tmp_path / "three.txt").write_text("".join(lines[:3]))
    more = ["--epochs", "1", "--no_flip", "--val_list", "three.txt", "--suffix", "x"]
    assert "3 val videos" in run_main(*words, *more).out
    path = checkpoint_file()
    ran = run_main("movingmnist", "RGB", "--root_path", tiny_data, "--resume", path, "--epochs", "2", "-j", "0")
    assert ran.code == 0 and "3 val videos" in ran.out, ran
    (last,) = Path("checkpoint").glob(f"*_e2_x/{ckpt.LAST}")
    stored = ckpt.load_checkpoint(last)["config"]
    assert (stored["no_flip"], stored["val_list"]) == (True, "three.txt")
    evaluation = ["movingmnist", "RGB", "--root_path", tiny_data, "-j", "0", "-e", "--resume", path]
    assert "4 val videos" in run_main(*evaluation).out
    assert "3 val videos" in run_main(*evaluation, "--val_list", "three.txt").out


def test_a_place_that_cannot_be_read(run_main, words, tmp_path):
    killed_at(3, [*words, "--save_every_steps", "1"])
    stored = ckpt.load_checkpoint(checkpoint_file())
    for meters in ({}, stored["meters"] | {"loss": 3}, stored["meters"] | {"confusion": [[1], [2, 3]]}):
        torch.save(stored | {"meters": meters}, tmp_path / "x.pth")
        assert "--start_epoch 0" in run_main(*words, "--resume", tmp_path / "x.pth", "--suffix", "x").error
    torch.save(stored | {"meters": 5}, tmp_path / "x.pth")
    assert "meters" in run_main(*words, "--resume", tmp_path / "x.pth", "--suffix", "x").error


# ---------------------------------------------------------------- asked to end


@pytest.mark.parametrize("where", ["train", "val"])
def test_a_signal_in_training_and_in_validation(run_main, words, whole, monkeypatch, where):
    function = "train_one_epoch" if where == "train" else "evaluate"
    run, calls = getattr(training, function), count()

    def interrupted(model, loader, *args, **options):
        def batches():
            for batch in loader:
                if next(calls) == 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        return run(model, batches(), *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(training, function, interrupted)
        ran = run_main(*words, "--overwrite")
    step = 2 if where == "train" else 4
    assert ran.code == 143 and ran.err.count("\n") == 2, ran
    assert ran.err.startswith("SIGTERM: ends after this step\n")
    assert f"ended by SIGTERM in epoch 0 after step {step} of 4, saved in {checkpoint_file()}; " in ran.err
    command = ran.err.strip().partition("go on with: python main.py ")[2]
    assert "--overwrite" not in command and command.endswith("--resume auto")
    ran = run_main(*shlex.split(command))
    assert ran.code == 0 and f"epoch 0, step {step}" in ran.out, ran
    assert_same(whole)


def test_a_signal_under_load_with_many_workers(words, whole, tmp_path, monkeypatch):
    """The whole process group gets it, as from a scheduler; the step is finished, nobody stays, nothing is printed
    but what happened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as here: sums of several threads have other bits
    command = [sys.executable, ROOT / "main.py", *words, "-j", "4"]
    run = subprocess.Popen(
        [*command, "--print_freq", "1"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    for line in run.stdout:
        if "step 1/4" in line:
            break
    os.killpg(run.pid, signal.SIGTERM)
    start = time.monotonic()
    out, err = run.communicate(timeout=60)
    assert run.returncode == 143 and time.monotonic() - start < 30, err
    assert err.count("\n") == 2 and "go on with: python main.py movingmnist RGB" in err, err
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)
    subprocess.run([*command, "--resume", "auto"], check=True, capture_output=True)
    assert_same(whole)


# ---------------------------------------------------------------- spoiled files and full disks


def test_a_spoiled_newest_checkpoint_is_named_and_the_one_before_taken(run_main, words, whole):
    killed_at(7, [*words, "--save_every_steps", "1"])
    path = checkpoint_file()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    ran = run_main(*words, "--resume", "auto")
    assert ran.code == 0, ran
    assert ran.err.startswith(f"warning: {path} is not a readable checkpoint") and ran.err.count("\n") == 1
    assert f"goes on from {path.with_name(ckpt.PREVIOUS)}" in ran.err and "epoch 1, step 1" in ran.out
    assert_same(whole)


def test_a_disk_that_is_full_for_a_while(run_main, words, whole, monkeypatch):
    """Only the saves within epoch 0 find it full."""
    fsync, calls = os.fsync, count()

    def full(file):
        if next(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    ran = run_main(*words, "--save_every_steps", "1")
    assert ran.code == 0 and ran.err.count("\n") == 2, ran
    assert ran.err.startswith("warning: checkpoint/") and "No space left on device): it takes" in ran.err
    assert not list(Path("checkpoint").glob("*/*.partial"))
    assert_same(whole)


def test_a_disk_that_is_full_in_the_end(run_main, words, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = run_main(*words)
    assert ran.code == 2 and ran.err.splitlines()[-1].startswith("error: checkpoint/")
    assert "go on with --resume auto" in ran.err and not list(Path("checkpoint").glob("*/*"))


# ---------------------------------------------------------------- other files


def test_nothing_to_go_on_from(run_main, words):
    assert "--resume auto finds no checkpoint" in run_main(*words, "--evaluate", "--resume", "auto").error


def test_evaluating_the_newest(run_main, words):
    assert run_main(*words, "--epochs", "1").code == 0
    ran = run_main(*words, "--epochs", "1", "--evaluate", "--resume", "auto")
    assert ran.code == 0 and "Testing Results" in ran.out, ran


def test_files_of_more_than_tensors_need_trust(run_main, words, tmp_path):
    assert run_main(*words, "--epochs", "1").code == 0
    stored = ckpt.load_checkpoint(checkpoint_file())
    torch.save(stored | {"notes": Path("x")}, tmp_path / "mixed.pth")
    assert "mixed.pth holds more than tensors" in run_main(*words, "--resume", tmp_path / "mixed.pth").error
    ran = run_main(*words, "--resume", tmp_path / "mixed.pth", "--trust_checkpoint")
    assert ran.code == 0, ran


def test_overwriting_removes_what_was_there(run_main, words, monkeypatch):
    assert run_main(*words).code == 0
    killed_at(2, [*words, "--overwrite"])
    assert not list(Path("checkpoint").glob("*/*"))
