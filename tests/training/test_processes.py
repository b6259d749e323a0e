"""One process and several: the same weights, the same figures, one voice, and one end."""

import csv
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import call_main
from torch import distributed as dist
from torch import nn

from ops.errors import InputError
from ops.evaluation.result_files import read_scores
from ops.run import training
from ops.training import checkpoint as ckpt
from ops.training import processes as distributed
from ops.training.processes import Processes
from ops.training.sync_norm import synchronise

ROOT = Path(__file__).resolve().parents[2]
TRAIN = shlex.split(
    "movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 --epochs 1 -j 0 --dropout 0"
    " --device cpu --lr 0.01"
)
FROZEN = ["--freeze_stem_bn"]  # together with partial BatchNorm: none trains


def quiet(ran):
    """That all processes ended well and only the first one wrote anything."""
    assert [one.code for one in ran] == [0] * len(ran) and not any("error" in one.err for one in ran), ran
    assert ran[0].out and [one.out for one in ran[1:]] == [""] * (len(ran) - 1)
    return ran[0]


def weights_of(folder):
    (path,) = folder.glob(f"checkpoint/*/{ckpt.LAST}")
    return ckpt.load_checkpoint(path)["state_dict"]


def figures_of(folder):
    """The rows of the log but for times."""
    (path,) = folder.glob("log/*/log.csv")
    with path.open(newline="") as file:
        timed = {"seconds", "data_wait", "frames_per_second", "peak_memory_mb"}
        return [[row[name] for name in row if name not in timed] for row in csv.DictReader(file)]


def furthest(a, b):
    assert a.keys() == b.keys()
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in a if "num_batches" not in key)


@pytest.fixture
def compare(run_main, run_processes, tiny_data, tmp_path):
    """Trains in this process and in several -> the largest difference of weights, after comparing the figures."""

    def compare(number, *words):
        words = [*TRAIN, "--root_path", str(tiny_data), *words]
        alone = [word for word in words if word != "--sync_bn"]  # which is refused in a single process
        assert run_main(*alone, "--root_log", "1/log", "--root_model", "1/checkpoint").code == 0
        quiet(run_processes(number, *words, "--root_log", "n/log", "--root_model", "n/checkpoint"))
        one, many = figures_of(tmp_path / "1"), figures_of(tmp_path / "n")
        assert [row[:2] for row in one] == [row[:2] for row in many]
        for a, b in zip(one, many, strict=True):
            assert [float(value) for value in a[2:]] == pytest.approx([*map(float, b[2:])], rel=2e-4, nan_ok=True)
        return furthest(weights_of(tmp_path / "1"), weights_of(tmp_path / "n"))

    return compare


# ---------------------------------------------------------------- the same results


@pytest.mark.parametrize(
    "number, words",
    [
        (2, "-b 3"),  # 3 + 3 + 2 videos
        (
            3,
            "-b 2 --bucket 2 --cluster slope --stem_chunk 7 --consensus_type TRN",
        ),  # one process without a video in each step
        (2, "-b 3 --accum 2 --gd 0.1 --consensus_type identity"),  # steps of 6 and 2 videos
        (2, "-b 3 --temporal_max"),
        (3, "-b 2 --temporal stm --cluster_after conv1:6,layer2:4"),
    ],
)
def test_several_processes_train_as_one(compare, number, words):
    assert compare(number, *words.split(), *FROZEN) < 1e-6


def test_the_recipe_trains_as_one(compare):
    """All but mixing, for which a process takes its own videos."""
    words = "-b 3 --accum 2 --epochs 2 --optimizer adamw --eps 0.01 --warmup_epochs 1 --layer_decay 0.8 --ema 0.5"
    words += " --label_smoothing 0.1 --class_weights balanced --rand_augment --erasing 0.5 --clip_share 0.5"
    assert compare(2, *words.split(), *FROZEN) < 1e-5


def test_mixing_in_several_processes(run_processes, tiny_data):
    words = [*TRAIN, "--root_path", tiny_data, "-b", "4", "--mixup", "1", "--cutmix", "1", "--ema", "0.9", "--npb"]
    quiet(run_processes(2, *words, "--sync_bn"))


def test_synchronised_batch_norm_trains_as_one_process(compare):
    assert compare(2, "-b", "3", "--npb", "--sync_bn", "--non_local") < 1e-5


def test_videos_that_cannot_be_read_shrink_the_mean(compare, own_data):
    for name in ("up_0", "left_1"):
        (own_data / "train" / name / "7.jpg").write_bytes(b"")
    assert compare(2, "-b", "2", "--on_bad_video", "skip", "--root_path", str(own_data), *FROZEN) < 1e-6


def test_going_on_within_an_epoch(run_processes, tiny_data, tmp_path):
    """Each process draws the dropout masks that it would have drawn."""
    words = [*TRAIN, "--root_path", tiny_data, "-b", "2", "--dropout", "0.5", "--save_every_steps", "3"]
    quiet(run_processes(2, *words))
    whole = weights_of(tmp_path)
    (within,) = tmp_path.glob(f"checkpoint/*/{ckpt.PREVIOUS}")
    assert ckpt.load_checkpoint(within)["meters"]["steps"] == 3
    quiet(run_processes(2, *words, "--resume", within, "--overwrite"))
    assert furthest(whole, weights_of(tmp_path)) == 0


def train_and_tell_masks(*words):
    """Be a process of a run, and leave what its dropout would draw first in a file."""
    train_one_epoch = training.train_one_epoch

    def tell_and_train(*args, **options):
        mask = torch.rand(4, generator=torch.Generator().manual_seed(torch.initial_seed()))
        with open(f"masks{os.environ['RANK']}", "a") as file:
            file.write(f"{mask.tolist()}\n")
        return train_one_epoch(*args, **options)

    training.train_one_epoch = tell_and_train
    call_main(*words)


def test_processes_epochs_and_seeds_have_dropout_masks_of_their_own(run_processes, tiny_data, tmp_path):
    """On the CPU, torch's generator takes the low 32 bits of a seed: what differs above them is lost."""
    for seed in ("0", "4096"):
        words = [*TRAIN, "--root_path", str(tiny_data), "-b", "4", "--epochs", "2", "--seed", seed, "--suffix", seed]
        quiet(run_processes(2, train_and_tell_masks, *words))
    masks = [line for rank in range(2) for line in (tmp_path / f"masks{rank}").read_text().splitlines()]
    assert len(masks) == len({*masks}) == 8


@pytest.mark.parametrize("number, batch_size", [(2, "4"), (2, "3"), (3, "2")], ids=["equal", "2 and 1", "one idle"])
def test_running_means_are_those_of_all_processes(run_main, run_processes, tiny_data, tmp_path, number, batch_size):
    """Means over parts have, weighted by frames, the mean of all as theirs; at no learning rate nothing else moves."""
    words = [*TRAIN, "--root_path", str(tiny_data), "-b", batch_size, "--lr", "1e-12"]
    assert run_main(*words, "--root_model", "1/checkpoint").code == 0
    quiet(run_processes(number, *words, "--root_model", "n/checkpoint"))
    one, two = (weights_of(tmp_path / name)["base_model.bn1.running_mean"] for name in "1n")
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)
    assert one.abs().min() > 0


def test_evaluation_of_an_odd_number_of_videos(run_main, run_processes, own_data, tmp_path):
    data = ["--root_path", str(own_data)]
    lines = (own_data / "val_videofolder.txt").read_text().splitlines()
    (own_data / "val_videofolder.txt").write_text("\n".join(lines[:3]) + "\n")
    assert run_main(*TRAIN, *data, "-b", "8").code == 0
    words = [
        "-e",
        *TRAIN[:2],
        *data,
        "--resume",
        str(next(tmp_path.glob(f"checkpoint/*/{ckpt.LAST}"))),
        "-j",
        "0",
        "--device",
        "cpu",
    ]
    for batch_size in ("2", "8"):
        one = run_main(*words, "-b", batch_size, "--scores", "1.npz")
        two = quiet(run_processes(2, *words, "-b", batch_size, "--scores", "2.npz"))
        scores = [read_scores(tmp_path / name) for name in ("1.npz", "2.npz")]
        assert scores[0].names.tolist() == scores[1].names.tolist() == [line.split()[0] for line in lines[:3]]
        np.testing.assert_allclose(scores[0].scores, scores[1].scores, rtol=1e-4, atol=1e-5)
        assert one.out.splitlines()[-1] == two.out.splitlines()[-1] and "3 videos, 60 frames" in two.out


# ---------------------------------------------------------------- how they end


def test_what_is_wrong_from_the_start_is_said_once(run_processes, tiny_data):
    ran = run_processes(2, *TRAIN, "--root_path", str(tiny_data), "--train_list", "nowhere.txt")
    assert [one.code for one in ran] == [2, 2] and ran[1].err == ""
    assert re.fullmatch(r"error: rank 0: no list file .*nowhere.txt; .*\n", ran[0].err)
    ran = run_processes(2, "movingmnist", "--nonsense")
    assert [one.code for one in ran] == [2, 2] and ran[0].err.startswith("error: ") and ran[1].err == ""


def test_an_error_of_one_process_ends_the_others(run_processes, own_data):
    for folder in (own_data / "train").iterdir():
        if folder.name != "up_0":
            (folder / "7.jpg").write_bytes(b"")
    started = time.monotonic()
    ran = run_processes(2, *TRAIN, "--npb", "--root_path", str(own_data), "-b", "2")
    assert time.monotonic() - started < 60
    told = [one for one in ran if one.code == 2]
    assert told and all(re.fullmatch(r"error: rank [01]: cannot read frame .*7.jpg.*\n", one.err) for one in told)
    lost = [one for one in ran if one.code != 2]
    assert all(one.code == 1 and re.fullmatch(r"rank [01] stops: it lost another .*\n", one.err) for one in lost)


def test_a_loss_that_is_not_finite_is_seen_by_all(run_processes, tiny_data, tmp_path):
    words = [*TRAIN, "--npb", "--root_path", str(tiny_data), "-b", "4", "--lr", "1e30"]
    ran = run_processes(2, *words)
    assert [one.code for one in ran] == [2, 2]
    messages = [re.sub(r"rank \d: ", "", one.err) for one in ran]
    assert messages[0] == messages[1] and re.search(
        r"is (nan|inf) at videos .*, step 2 of epoch 0, lr 1e\+30; lower", messages[0]
    )
    assert not [*tmp_path.glob("checkpoint/*/*")]


def test_a_process_that_is_killed_takes_the_others_along(tiny_data, tmp_path):
    """With torchrun itself."""
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        ROOT / "main.py",
        *TRAIN,
        "--root_path",
        tiny_data,
        "--epochs",
        "100000",
        "-b",
        "4",
    ]
    with (tmp_path / "err").open("w") as err:
        run = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=err, text=True)
    assert any(line.startswith("epoch") for line in run.stdout)
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if environ(path, run.pid)]
    os.kill(children[0], signal.SIGKILL)
    started = time.monotonic()
    run.stdout.read()
    assert run.wait(60) != 0 and time.monotonic() - started < 60
    text = (tmp_path / "err").read_text()
    assert re.search(r"Root Cause.*rank *: 1 .*Signal 9 \(SIGKILL\)", text, re.S), text


def environ(path, parent):
    """Whether a process is rank 1 of those that `parent` started."""
    try:
        stat = (path.parent / "stat").read_text().rsplit(")")[1].split()
        return int(stat[1]) == parent and b"\0RANK=1\0" in b"\0" + path.read_bytes()
    except OSError:
        return False


# ---------------------------------------------------------------- the parts


def test_alone_there_is_nothing_to_exchange(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with distributed.start() as processes:
        assert processes == Processes(0, 1, 0) and processes.main and not dist.is_initialized()
    assert processes.gather("x") == ["x"] and processes.together(lambda: 5) == 5
    assert processes.own_device("cuda:1") == "cuda:1"


def test_devices_are_shared_or_refused():
    assert Processes(1, 2, 1).own_device("cpu") == "cpu"
    for name in ("cuda:0", "mps"):
        with pytest.raises(InputError, match=f"--device {name} is one device for 2 processes; use --device cuda or"):
            Processes(1, 2, 1).own_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there are GPUs")
def test_more_processes_than_gpus():
    with pytest.raises(InputError, match="there are 0 GPUs for more processes"):
        Processes(0, 2, 0).own_device("cuda")


def norms_on_parts(folder, x, cuts):
    """Each process normalises its part of x (8, 6, 3, 3); the first one stores what all give together."""
    with distributed.start() as processes:
        torch.manual_seed(0)
        norm = nn.Sequential(nn.BatchNorm2d(6))
        nn.init.uniform_(norm[0].weight)
        synchronise(norm, torch.device("cpu"))
        part = x.split(cuts)[processes.rank].clone().requires_grad_()
        y = norm(part)
        (y * y.cumsum(1)).sum().backward()
        result = processes.gather((y.detach(), part.grad, norm[0].weight.grad, norm[0].bias.grad))
        if processes.main:
            torch.save((result, norm.state_dict()), folder / "result.pt")


@pytest.mark.parametrize("cuts", [[5, 3, 0]])
def test_synchronised_norm_is_batch_norm_of_all(run_processes, tmp_path, cuts):
    x = torch.randn(8, 6, 3, 3, generator=torch.Generator().manual_seed(1)) * 3 + 10
    ran = run_processes(len(cuts), norms_on_parts, tmp_path, x, cuts)
    assert {one.code for one in ran} == {0}, ran
    parts, state = torch.load(tmp_path / "result.pt")
    torch.manual_seed(0)
    norm = nn.Sequential(nn.BatchNorm2d(6)).double()
    torch.manual_seed(0)
    norm[0].weight.data = nn.init.uniform_(torch.empty(6)).double()
    x = x.double().requires_grad_()
    y = norm(x)
    (y * y.cumsum(1)).sum().backward()
    together = [
        torch.cat([part[0] for part in parts]),
        torch.cat([part[1] for part in parts]),
        sum(part[2] for part in parts),
        sum(part[3] for part in parts),
    ]
    for ours, expected in zip(together, (y, x.grad, norm[0].weight.grad, norm[0].bias.grad), strict=True):
        torch.testing.assert_close(ours.double(), expected.detach(), rtol=1e-4, atol=1e-4)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(state[name].to(value.dtype), value, rtol=1e-5, atol=1e-5)
