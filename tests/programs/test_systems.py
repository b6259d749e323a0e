"""Every system of the published tables, thin, through the command line.

Each learns an easy task, evaluates, goes on in the same bits, passes videos in chunks where it clusters, and trains in
two processes.
"""

import csv
import importlib
import os
import re
import shlex
import socket
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from PIL import Image

from ops.heads import videograph
from ops.heads.classifier import KERAS_NORM
from ops.training import checkpoint as ckpt

RESULT = re.compile(r"Prec@1 ([\d.]+) .*Loss ([\d.]+)")
TRAIN = shlex.split(
    "--epochs 1 -b 4 -j 0 --lr 0.01 --crop_scales 1 --ema 0.8 --gd 5 --pretrain none --device cpu --save_every_steps 30"
)
NORM, ADAM = "--npb --dropout 0", "--optimizer adam --eps 1e-4 --lr 0.003"
FLOW = "--image_tmpl flow_{}_{}.png"
SYSTEMS = {  # name -> what main.py is told; those that cluster do so with six frames, to be quick
    "TSN": f"RGB {NORM} --cluster none",
    "TSM": f"RGB {NORM} --cluster none --shift",
    "TSM online": f"RGB {NORM} --cluster slope --shift --shift_direction past",
    "non-local": f"RGB {NORM} --shift --non_local",
    "STM": f"RGB {NORM} --temporal stm",
    "TRN": f"RGB {NORM} --consensus_type TRN",
    "TRN-Multiscale": f"RGB {NORM} --cluster none --consensus_type TRNmultiscale",
    "an MLP a tuple": f"RGB {NORM} --consensus_type TRNmultiscale --trn_mlps per_tuple --trn_tuples all",
    "MLP": "RGB --npb --consensus_type MLP",
    "ActionVLAD": f"RGB --npb {ADAM} --consensus_type ActionVLAD --input_size 64",
    "ActionVLAD of Breakfast": f"RGB --npb {ADAM} --consensus_type ActionVLAD --vlad_form breakfast --lr 0.001",
    "VideoGraph": f"RGB --npb {ADAM} --consensus_type VideoGraph --lr 0.001 --epochs 2",
    "SI": f"SI {NORM} --cluster none --temporal_max",
    "DI": f"DI {NORM} --temporal_max",
    "OF": f"OF {NORM} --cluster none --temporal_max {FLOW}",
    "DOF": f"DOF {NORM} --cluster none --temporal_max {FLOW}",
    "MobileNetV2": f"RGB {NORM} {ADAM} --arch mobilenetv2_thin --shift --epochs 2",
    "BNInception": f"RGB --freeze_bn --dropout 0 {ADAM} --arch bninception_thin --shift --shift_place block",
}
# those whose like does not train in several processes in another test
IN_PROCESSES = ["an MLP a tuple", "MLP", "ActionVLAD of Breakfast", "VideoGraph", "DI", "MobileNetV2", "BNInception"]
THIN = ["--arch", "resnet_thin"]
SIZE = ["--input_size", "32", "--num_segments", "4"]


def words_of(name, data):
    """What main.py is told for a system."""
    modality, *own = shlex.split(SYSTEMS[name])
    if "none" not in own:
        own += ["--num_frames", 6]
    return ["movingmnist", modality, "--root_path", data, *THIN, *SIZE, *TRAIN, *own]


@pytest.fixture(scope="module")
def brightening(tmp_path_factory):
    """Videos in which red, green, blue or nothing grows brighter, and flow that grows to the right, left, down or up.

    12 training videos are listed 12 times, so that an epoch has many steps; 8 others are for validation.
    """
    root, rng = tmp_path_factory.mktemp("brightening") / "movingmnist", np.random.default_rng(0)
    for part, number in (("train", 12), ("val", 8)):
        lines = []
        for i in range(number):
            label, folder = i % 4, root / part / str(i)
            folder.mkdir(parents=True)
            for t in range(14):
                noise = rng.integers(0, 10, (5, 36, 36))
                noise[:3][label : label + 1] += 40 + 12 * t  # of the last class: nothing
                noise[3 + label // 2] += (20 + 6 * t) * (-1) ** label
                Image.fromarray(noise[:3].transpose(1, 2, 0).astype(np.uint8)).save(folder / f"{t}.jpg")
                for axis, flow in zip("xy", noise[3:], strict=True):
                    Image.fromarray((flow + 123).astype(np.uint8)).save(folder / f"flow_{axis}_{t}.png")
            lines.append(f"{part}/{i} 14 {label}")
        text = "\n".join(lines * (12 if part == "train" else 1)) + "\n"
        (root / f"{part}_videofolder.txt").write_text(text)
    (root / "category.txt").write_text("red\ngreen\nblue\nnone\n")
    return root


def make_thin(patch):
    """VideoGraph narrow, and BatchNorms of heads that need few steps to know their statistics, not some hundred."""
    patch.setattr(videograph, "CHANNELS", 16)
    patch.setattr(videograph, "NODES", 12)
    patch.setitem(KERAS_NORM, "momentum", 0.1)


@pytest.fixture(autouse=True)
def thin(monkeypatch):
    make_thin(monkeypatch)


def weights_of(path):
    return ckpt.load_checkpoint(path)["state_dict"]


def only(folder, name=ckpt.LAST):
    (path,) = folder.glob(f"checkpoint/*/{name}")
    return path


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def figures_of(folder):
    """The last rows of the log, of training and of validation."""
    (path,) = folder.glob("log/*/log.csv")
    with path.open(newline="") as file:
        return [*csv.DictReader(file)][-2:]


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_learns_goes_on_in_the_same_bits_and_evaluates_in_chunks(run_main, run_program, brightening, tmp_path, name):
    words = words_of(name, brightening)
    ran = run_main(*words)
    assert ran.code == 0, ran
    weights, (trained, row) = weights_of(only(tmp_path)), figures_of(tmp_path)
    assert float(trained["top1"]) > 45, trained  # of 144 videos, while they are learnt; chance is 25 +- 4
    if name != "MobileNetV2":  # whose many BatchNorms want some hundred steps to know their statistics
        assert float(row["top1"]) > 40, row
    within = only(tmp_path, ckpt.PREVIOUS)
    assert ckpt.load_checkpoint(within)["meters"]["steps"] == 30
    ran = run_main(*words, "--resume", within, "--overwrite")
    assert ran.code == 0 and same(weights, weights_of(only(tmp_path))), ran
    data = ["movingmnist", "--root_path", brightening, "-j", "0", "--device", "cpu", "-b", "4"]
    data += FLOW.split() if FLOW in SYSTEMS[name] else []
    expected = [pytest.approx(float(row[name]), abs=2e-5) for name in ("top1", "loss")]
    flags = [] if "--cluster none" in SYSTEMS[name] else ["--stem_chunk", 3]
    ran = run_program("test_models.py", *data, "--weights", only(tmp_path), *flags)
    assert ran.code == 0, ran
    assert [float(value) for value in RESULT.search(ran.out).groups()] == expected


def test_mobilenetv2_learns_what_moves_where_in_videos_it_has_not_seen(run_main, run_program, tmp_path):
    """On the quick start's first data set, from differences of frames: frames themselves take it many more epochs."""
    made = "--preset easy --digits glyphs --num_train 700 --num_val 200 -j 1 --out easy"
    assert run_program("tools/make_move4mnist.py", *made.split()).code == 0
    words = "movingmnist RGBDiff --root_path easy --arch mobilenetv2_thin --input_size 32 --num_segments 8"
    words += " --cluster none --shift --shift_div 4 --npb --dropout 0 --crop_scales 1 -j 0 --device cpu"
    words += " -b 8 --optimizer adamw --lr 0.002 --lr_type cos --epochs 4"
    ran = run_main(*words.split())
    assert ran.code == 0, ran
    assert float(figures_of(tmp_path)[1]["top1"]) > 35  # chance is 25 +- 3


def train_all(data, ports):
    """These systems on few videos, one after the other, as one of several processes that meet at a port each time."""
    make_thin(pytest.MonkeyPatch())
    for i, (name, port) in enumerate(zip(IN_PROCESSES, ports, strict=True)):
        os.environ["MASTER_PORT"] = str(port)
        words = [*words_of(name, data), "--train_list", "val_videofolder.txt", "--epochs", 1, "--suffix", i]
        importlib.import_module("main").main([str(word) for word in words])


def test_they_train_in_two_processes(run_processes, brightening, tmp_path):
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in IN_PROCESSES]
        for one in free:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in free]
    ran = run_processes(2, train_all, brightening, ports)
    assert [one.code for one in ran] == [0, 0], ran
    runs = sorted(tmp_path.glob(f"checkpoint/*/{ckpt.LAST}"))
    assert len(runs) == len(IN_PROCESSES)
    for path in runs:
        assert all(value.isfinite().all() for value in weights_of(path).values() if value.is_floating_point())


FEW = shlex.split(
    "movingmnist RGB --arch resnet_thin --input_size 32 --num_segments 4 --epochs 1 -b 2 -j 0 --npb --lr 0.01"
    " --device cpu --save_every_steps 3"
)
BREAKFAST = "--consensus_type ActionVLAD --vlad_form breakfast --cluster none"
STAGES = ["--consensus_type", "ActionVLAD", "--input_size", "64"]


def test_the_two_stages_of_actionvlad(run_main, run_processes, tiny_data, tmp_path):
    """Words come from the training videos, the same in any number of processes; only stage 2 trains them."""
    words = [*FEW, "--root_path", tiny_data, *STAGES]
    ran = run_main(*words, "--vlad_stage", 1, "--freeze_backbone", "--stem_chunk", 3)
    assert ran.code == 0 and ran.out.count("head      ActionVLAD starts from 8 training videos\n") == 1, ran
    first = only(tmp_path)
    assert "ActionVLAD_vlad_stage-1_segment4" in str(first)
    found = {name: weights_of(first)[f"consensus.{name}"] for name in ("words", "assign", "offset")}
    torch.testing.assert_close(found["offset"], -1000 * found["words"].square().sum(1))
    ran = run_main(*words, "--tune_from", first, "--root_model", "two")
    assert ran.code == 0 and "starts from" not in ran.out and "none new; classifier kept" in ran.out, ran
    (second,) = tmp_path.glob(f"two/*/{ckpt.LAST}")
    trained = weights_of(second)["consensus.words"]
    assert not torch.equal(trained, found["words"])
    torch.testing.assert_close(trained, found["words"], rtol=0.1, atol=0.1)

    ran = run_processes(2, *words, "--vlad_stage", 1, "--freeze_backbone", "--stem_chunk", 3, "--root_model", "many")
    assert [one.code for one in ran] == [0, 0] and ran[0].out.count("starts from 8 training videos") == 1, ran
    (many,) = tmp_path.glob(f"many/*/{ckpt.LAST}")
    for name in found:
        torch.testing.assert_close(weights_of(many)[f"consensus.{name}"], found[name])


def test_few_videos_make_few_places(run_main, tiny_data):
    ran = run_main(*FEW, "--root_path", tiny_data, "--consensus_type", "ActionVLAD")
    assert ran.error == (
        "--consensus_type ActionVLAD cannot start from the training list: 64 words want as many places, and the"
        " training videos show 32"
    )


def test_one_video_is_no_batch_for_a_batch_norm_over_videos(run_main, tiny_data):
    ran = run_main(*FEW, "--root_path", tiny_data, *BREAKFAST.split(), "-b", 7)
    assert ran.error.startswith(
        "a batch of this run leaves one video to a process, and --consensus_type ActionVLAD has"
    )
