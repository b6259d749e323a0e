"""Runs that are killed, asked to end, or find a spoiled file or a full disk go on and end in the same bits."""

import csv
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch

import main
from ops.files import claimed
from ops.run import training
from ops.run.saving import run_folders
from ops.run.setup import how_to_go_on
from ops.training import checkpoint as ckpt
from ops.training.processes import Processes

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


RECIPE = shlex.split(
    "--optimizer adamw --warmup_epochs 1 --layer_decay 0.8 --ema 0.7 --label_smoothing 0.1 --class_weights balanced"
    " --rand_augment --erasing 0.5 --mixup 0.5 --cutmix 1 --frame_keep 0.5 --clip_share 0.5 --clip_speed 1.5"
    " --dropout 0.5 --amp bf16"
)


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


def killed_at(step, words, optimizer=torch.optim.SGD):
    """Run main.py in a child process that dies, as by SIGKILL, in its `step`-th step of all."""
    child = os.fork()
    if child == 0:
        try:
            steps, make_step = count(1), optimizer.step

            def step_or_die(*args, **kwargs):
                if next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return make_step(*args, **kwargs)

            optimizer.step = step_or_die
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


def test_all_of_the_recipe_goes_on(run_main, words, tmp_path):
    """Draws are functions of seed, epoch, video and step, and a checkpoint has both weights."""
    words += RECIPE
    assert run_main(*words, "--root_log", "whole/log", "--root_model", "whole").code == 0
    whole = left_by(tmp_path / "whole", tmp_path / "whole/log")
    words += ["--save_every_steps", "1", "--resume", "auto"]
    killed_at(3, words, torch.optim.AdamW)
    killed_at(4, words, torch.optim.AdamW)  # in epoch 1
    ran = run_main(*words, "-j", "2")
    assert ran.code == 0 and "epoch 1, step 1" in ran.out, ran
    assert_same(whole)
    content = ckpt.load_checkpoint(checkpoint_file())
    assert content["averaged_steps"] == STEPS
    assert not torch.equal(content["unaveraged"]["new_fc.weight"], content["state_dict"]["new_fc.weight"])
    ran = run_main(*words[:-4], "--evaluate", "--resume", checkpoint_file())
    assert f"Prec@1 {float(whole[1]['rows'][-1][3]):.3f}" in ran.out, ran
    error = run_main(*words, "--optimizer", "sgd", "--epochs", "3", "--resume", checkpoint_file()).error
    assert "was trained with --optimizer adamw, whose momenta --optimizer sgd cannot go on with" in error
    more = [*words, "--ema", "0", "--epochs", "3", "--suffix", "more", "--resume", checkpoint_file()]
    assert run_main(*more).code == 0
    (path,) = Path("checkpoint").glob(f"*_more/{ckpt.LAST}")
    assert "unaveraged" not in ckpt.load_checkpoint(path)


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


def test_a_checkpoint_that_another_run_has_written_meanwhile(run_main, words, monkeypatch):
    """The same command twice: the second has read what the first one still goes on to write."""
    assert run_main(*words, "--epochs", "1", "--suffix", "x").code == 0

    @contextmanager
    def claim_after_another(checkpoints, log):
        path = checkpoints / ckpt.LAST
        ckpt.save_checkpoint(path, ckpt.load_checkpoint(path))
        with run_folders(checkpoints, log):
            yield

    monkeypatch.setattr(main, "run_folders", claim_after_another)
    words += ["--epochs", "1", "--suffix", "x", "--resume", "auto", "--start_epoch", "0"]
    assert "was written by another run since this one began" in run_main(*words).error


# ---------------------------------------------------------------- other data


def drop_digest(path):
    content = ckpt.load_checkpoint(path)
    del content["batches"]
    ckpt.save_checkpoint(path, content)


@pytest.mark.parametrize(
    "began, goes_on, says",
    [
        ("", "--seed 1", "--seed 0; leave --seed 1 out"),
        ("", "--train_list reversed.txt", "options that changed: --train_list"),
        ("", "--num_frames 8", "options that changed: --num_frames"),
        ("--bucket 2", "--frame_stride 2", "options that changed: --frame_stride"),
        ("", "--cluster_start_epoch 1", None),  # this epoch is that one: nothing changes
        ("--cluster_start_epoch 1", "--cluster_start_epoch 2 --epochs 3", "--epochs, --cluster_start_epoch"),
    ],
)
def test_within_an_epoch_the_videos_must_stay(run_main, words, tiny_data, tmp_path, began, goes_on, says):
    lines = (tiny_data / "train_videofolder.txt").read_text().splitlines(keepends=True)
    (tmp_path / "reversed.txt").write_text("".join(reversed(lines)))
    killed_at(7, [*words, *began.split(), "--save_every_steps", "1"])
    path = checkpoint_file()
    words = [*words, "--resume", path, "--suffix", "x", *goes_on.split()]
    if says:
        error = run_main(*words).error
        assert f"{path} stands within epoch 1" in error and says in error and "--start_epoch 1" in error
        assert run_main(*words, "--start_epoch", "1").code == 0
    else:
        assert run_main(*words).code == 0


def test_a_list_that_changed_within_an_epoch(run_main, words, own_data):
    words += ["--root_path", own_data]
    killed_at(7, [*words, "--save_every_steps", "1"])
    text = (own_data / "train_videofolder.txt").read_text()
    (own_data / "train_videofolder.txt").write_text(text.replace(" 20 ", " 19 ", 1))
    assert "no option changed: it is the lists" in run_main(*words, "--resume", "auto").error
    ran = run_main(*words, "--resume", "auto", "--start_epoch", "1")
    assert ran.code == 0 and ran.err.startswith(f"warning: the train list is not the one of {checkpoint_file()}"), ran


def test_a_place_within_an_epoch_of_an_earlier_version(run_main, words):
    """It drew other orders, and said nothing of them."""
    killed_at(7, [*words, "--save_every_steps", "1"])
    drop_digest(checkpoint_file())
    ran = run_main(*words, "--resume", "auto")
    assert ran.code == 0 and "warning: " in ran.err and "--start_epoch 1" in ran.err, ran


def validations_of(monkeypatch, *accuracies):
    """Let validations give these accuracies."""
    given, evaluate = iter(accuracies), training.evaluate

    def scored(*args):
        return replace(evaluate(*args), top1=next(given))

    monkeypatch.setattr(training, "evaluate", scored)


def best_line(ran):
    assert ran.code == 0, ran
    line = ran.out.splitlines()[-1]
    assert Path(line.rpartition(": ")[2]).is_file(), line
    return line


def test_the_best_is_one_that_is_there(run_main, words, monkeypatch, own_data):
    """Of a run of another name, of a file that is gone or of another list, it says nothing."""
    words += ["--root_path", own_data]
    validations_of(monkeypatch, 90, 80, 50, 60, 70, 40)
    assert best_line(run_main(*words)).startswith("best top-1 90.000% at epoch 0")
    elsewhere = run_main(*words, "--resume", checkpoint_file(), "--suffix", "x", "--epochs", "3")
    assert best_line(elsewhere).startswith("best top-1 50.000% at epoch 2")
    words += ["--suffix", "x", "--epochs", "3", "--resume", "auto", "--start_epoch", "2"]
    assert best_line(run_main(*words)).startswith("best top-1 60.000% at epoch 2")  # 50, its own, was less
    next(Path("checkpoint").glob(f"*_x/{ckpt.BEST}")).unlink()
    assert best_line(run_main(*words)).startswith("best top-1 70.000%")
    text = (own_data / "val_videofolder.txt").read_text()
    (own_data / "val_videofolder.txt").write_text("".join(text.splitlines(keepends=True)[1:]))
    ran = run_main(*words)
    assert best_line(ran).startswith("best top-1 40.000%") and "warning: the val list" in ran.err


def test_a_class_that_has_another_name_now(run_main, run_program, words, own_data):
    """What an old model says stays what it was; where labels may mean something else, nothing is counted."""
    words += ["--root_path", own_data, "--epochs", "1", "--cluster", "slope"]
    assert run_main(*words).code == 0
    weights, names = checkpoint_file(), (own_data / "category.txt").read_text()
    assert ckpt.load_checkpoint(weights)["class_names"] == names.split()
    show = ["tools/predict.py", own_data / "val/left_0", "--weights", weights]
    before = run_program(*show).out
    renamed = names.split()
    renamed[1] = "sideways"
    (own_data / "category.txt").write_text("\n".join(renamed))
    assert run_program(*show).out == before and "sideways" not in before
    evaluation = [*words, "--evaluate", "--resume", weights]
    testing = ["test_models.py", "movingmnist", "--root_path", own_data, "--weights", weights, "-j", "0"]
    for ran in (
        run_main(*evaluation),
        run_main(*words, "--resume", weights, "--epochs", "2"),
        run_program(*testing),
        run_program("tools/gradient_agreement.py", "movingmnist", "--root_path", own_data, "--weights", weights),
    ):
        assert f"class 1 is {names.split()[1]!r} for {weights} and 'sideways' in {own_data}/category.txt" in ran.error
    (own_data / "former.txt").write_text(names)
    former = ["--category_file", "former.txt"]
    assert run_main(*evaluation, *former).code == run_program(*testing, *former).code == 0


# ---------------------------------------------------------------- what is known at the start, and decorations


def test_names_are_counted_before_training(run_main, words, own_data):
    (own_data / "category.txt").write_text("up\ndown\n")
    ran = run_main(*words, "--root_path", own_data, "--eval_freq", "2")
    assert "names 2 classes, the dataset has 4" in ran.error and "epoch 0" not in ran.out


@pytest.mark.parametrize(
    "more, fits",
    [
        ("-b 7 --num_segments 1", False),  # 7 + 1 videos
        ("-b 8 --num_segments 1", True),
        ("-b 1 --num_segments 2 --temporal_pool", False),
        ("-b 1 --num_segments 2", True),
        ("-b 1 --num_segments 1 --cluster none --shift_place block", False),
        ("-b 7 --num_segments 1 --input_size 64", True),
    ],
)
def test_one_value_of_a_channel_is_found_before_training(run_main, words, more, fits):
    """Maps of one pixel, of one representation of one video: BatchNorm would end the run at the last batch."""
    ran = run_main(*words, "--input_size", "16", *more.split())
    if fits:
        assert ran.code == 0, ran
    else:
        assert "one value of each channel" in ran.error and "epoch 0" not in ran.out


def test_pictures_that_fail_end_no_run(run_main, words, monkeypatch):
    """They are drawn when the epoch is safe, and given up after the first failure."""
    saved = []

    def fail(*args):
        saved.append(ckpt.load_checkpoint(checkpoint_file())["epoch"])
        raise ValueError("no\nroom")

    monkeypatch.setattr(training, "validation_pictures", fail)
    ran = run_main(*words)
    assert ran.code == 0 and ran.err == "warning: no more pictures of validations: no room\n" and saved == [1], ran


def test_logs_and_checkpoints_in_one_folder(run_main, words):
    ran = run_main(*words, "--epochs", "1", "--root_log", "x", "--root_model", "x")
    assert ran.code == 0 and {"log.csv", ckpt.LAST} <= {path.name for path in Path("x").glob("*/*")}, ran


@pytest.mark.parametrize(
    "world_size, local, begins",
    [
        (1, None, "python main.py a RGB"),
        (2, None, "torchrun --nproc_per_node=2 main.py a RGB"),
        (4, "4", "torchrun --nproc_per_node=4 main.py a RGB"),
        (4, "", "torchrun --nproc_per_node=4 main.py a RGB"),
        (
            8,
            "4",
            "torchrun --nproc_per_node=4 --nnodes=2 --rdzv_backend=c10d --rdzv_endpoint=HOST:PORT main.py a RGB",
        ),
    ],
)
def test_the_command_that_goes_on_starts_as_many_processes(monkeypatch, world_size, local, begins):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    command = how_to_go_on(["a", "RGB", "--start_epoch", "3", "--overwrite"], Processes(0, world_size))
    assert command == f"{begins} --resume auto"


@pytest.mark.parametrize("busy", ["checkpoint", "log"])
def test_a_run_that_goes_on_is_not_overwritten(run_main, words, busy):
    """Neither its checkpoints nor its log, whichever of the two another place was given for."""
    assert run_main(*words, "--epochs", "1").code == 0
    files = sorted(path for folder in ("checkpoint", "log") for path in Path(folder).glob("*/*"))
    before = [path.read_bytes() for path in files]
    (folder,) = Path(busy).glob("*")
    with claimed(folder):
        for more in (["--overwrite"], ["--resume", "auto", "--start_epoch", "0"]):
            assert f"another run is writing to {folder}" in run_main(*words, "--epochs", "1", *more).error
    assert [path.read_bytes() for path in files] == before
    assert run_main(*words, "--epochs", "1", "--overwrite").code == 0
