"""Checkpoints in TSM's layout, through the command line: the same network to main.py and to test_models.py."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from archs import ARCHS
from ops.models import build_model
from ops.run.restore import load_model
from ops.training import checkpoint as ckpt

NAMED = "TSM_movingmnist_RGB_thin_shift8_blockres_avg_segment4_e45.pth"
RESULT = re.compile(r"^Testing Results: .*$", re.M)


@pytest.fixture
def run(run_program, tiny_data, monkeypatch):
    """`run(program, *words)` runs main.py or test_models.py on the tiny data.

    `thin` is the thin ResNet, under a name without the underscore that TSM's file names cannot hold. Both programs
    show it the same pixels: frames of 64 pixels are not scaled before 56 pixels of them are cut out.
    """
    monkeypatch.setitem(ARCHS, "thin", replace(ARCHS["resnet_thin"], input_size=56))
    data = ["movingmnist", "RGB", "--root_path", tiny_data, "-j", 0, "--device", "cpu"]
    return lambda program, *words: run_program(program, *data, *words)


@pytest.fixture
def tsm_file(tmp_path, run):
    """`tsm_file(name, **options)` writes a checkpoint as TSM does, of a random network -> its path."""

    def write(name, **options):
        torch.manual_seed(0)
        model = build_model("thin", 4, 4, **{"cluster": "none", "shift": True} | options)
        nn.init.normal_(model.new_fc.weight, 0, 0.5)
        weights = {f"module.{key}": value for key, value in model.state_dict().items()}
        content = {"epoch": 45, "arch": "thin", "state_dict": weights, "best_prec1": torch.tensor(12.5)}
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def result(ran):
    """The line that tells how a checkpoint did."""
    assert ran.code == 0, ran
    (line,) = RESULT.findall(ran.out)
    return line


def test_main_evaluates_what_test_models_tests(run, tsm_file):
    named, unnamed = tsm_file(NAMED), tsm_file("best.pth")
    assert "module.base_model.layer1.0.conv1.net.weight" in torch.load(named)["state_dict"]
    expected = result(run("test_models.py", "--weights", named))
    assert result(run("main.py", "--evaluate", "--resume", named)) == expected
    flags = ["--num_segments", 4, "--shift"]  # the file itself holds its arch
    assert result(run("main.py", "--evaluate", "--resume", unnamed, *flags)) == expected
    assert result(run("main.py", "--evaluate", "--resume", unnamed, *flags, "--shift_div", 4)) != expected


@pytest.mark.parametrize(
    "options",
    [{"shift": False}, {"shift_div": 4, "shift_place": "block"}, {"temporal_pool": True}, {"non_local": True}],
    ids=str,
)
def test_other_networks_of_tsm(run, tsm_file, options):
    name = {
        "shift": "TSM_movingmnist_RGB_thin_avg_segment4_e45.pth",
        "shift_div": "TSM_movingmnist_RGB_thin_shift4_block_avg_segment4_e45.pth",
        "temporal_pool": "TSM_movingmnist_RGB_thin_shift8_blockres_tpool_avg_segment4_e45.pth",
        "non_local": "TSM_movingmnist_RGB_thin_shift8_blockres_avg_segment4_e45_nl.pth",
    }
    path = tsm_file(name[next(iter(options))], **options)
    expected = result(run("test_models.py", "--weights", path))
    assert result(run("main.py", "--evaluate", "--resume", path)) == expected


def test_the_online_form_and_a_file_of_stm(run, tsm_file):
    """Weights do not tell from where they were shifted, and STM is none of TSM's: flags say so."""
    path = tsm_file(NAMED)
    flags = ["--shift_direction", "past"]
    expected = result(run("test_models.py", "--weights", path, *flags))
    assert result(run("main.py", "--evaluate", "--resume", path, *flags)) == expected
    assert result(run("main.py", "--evaluate", "--resume", path)) != expected
    path = tsm_file("best.pth", shift=False, temporal="stm")
    ran = run("test_models.py", "--weights", path, "--test_segments", 4)
    assert ", STM; " in ran.out or ", STM\n" in ran.out, ran
    assert result(run("main.py", "--evaluate", "--resume", path, "--num_segments", 4)) == result(ran)
    words = ["--evaluate", "--resume", path, "--num_segments", 4]
    assert (
        f"--shift True contradicts {path}, whose weights are of shift False" in run("main.py", *words, "--shift").error
    )


def test_tsms_online_model_of_mobilenet(run, tmp_path):
    """A bare state dict that names no shift and has a classifier of its own: flags say what it is."""
    torch.manual_seed(0)
    model = build_model("mobilenetv2", 4, 4, cluster="none")
    nn.init.normal_(model.new_fc.weight, 0, 0.5)
    weights = {key.removeprefix("base_model."): value for key, value in model.state_dict().items()}
    torch.save({key.replace("new_fc.", "classifier."): value for key, value in weights.items()}, tmp_path / "x.pth.tar")
    flags = ["--arch", "mobilenetv2", "--shift", "--shift_direction", "past"]
    tested = run("test_models.py", "--weights", "x.pth.tar", "--test_segments", 4, *flags)
    assert "shift 1/8 blockres from the past" in tested.out
    flags += ["--num_segments", 4, "--cluster", "none"]
    assert "mobilenetv2, 2.23 M parameters, 224 px" in run("main.py", "-e", "--resume", "x.pth.tar", *flags).out
    tuned = run("main.py", *flags, "--tune_from", "x.pth.tar", "--epochs", 1, "--input_size", 32, "-b", 4)
    assert "none new; classifier kept" in tuned.out, tuned


def test_an_unnamed_file_of_tsn(run, tsm_file):
    """It holds its arch, as TSM's program writes it, which knows no clustering."""
    path = tsm_file("best.pth", shift=False)
    expected = result(run("test_models.py", "--weights", path, "--test_segments", 4))
    assert result(run("main.py", "--evaluate", "--resume", path, "--num_segments", 4)) == expected
    clustered = run("main.py", "--evaluate", "--resume", path, "--num_segments", 4, "--cluster", "slope")
    assert result(clustered) != expected  # whoever asks for it gets it: the weights do not contradict


@pytest.mark.parametrize("options", [{"trn_mlps": "shared"}, {"trn_mlps": "per_tuple"}], ids=str)
def test_files_of_trn(run, tsm_file, tmp_path, options):
    """Their name, or their weights and the arch that they hold, tell all; and they are what training starts from."""
    options = {"shift": False, "consensus_type": "TRNmultiscale", "trn_tuples": "seeded"} | options
    named = tsm_file("TRN_movingmnist_RGB_Thin_TRNmultiscale_segment4_best_v0.4.pth.tar", **options)
    unnamed = tsm_file("best.pth", **options)
    expected = result(run("test_models.py", "--weights", named))
    assert expected == result(run("main.py", "--evaluate", "--resume", unnamed))
    assert result(run("test_models.py", "--weights", unnamed, "--trn_tuples", "all")) != expected
    for words, line in (
        (["--consensus_type", "TRN"], "--consensus_type TRN contradicts"),
        (["--num_segments", 8], "--num_segments 8 contradicts"),
    ):
        assert run("main.py", "--evaluate", "--resume", unnamed, *words).error.startswith(line)
    loaded = load_model(str(named))
    assert (loaded.model.num_class, loaded.config.num_segments) == (4, 4)
    head = ["--arch", "thin", "--cluster", "none", "--num_segments", 4, "--consensus_type", "TRNmultiscale"]
    head += ["--trn_mlps", options["trn_mlps"]]
    ran = run("main.py", *head, "--tune_from", named, "--epochs", 1, "-b", 4, "--lr", "1e-30")
    assert ran.code == 0 and "none new; classifier kept" in ran.out, ran


@pytest.mark.parametrize(
    "flags, error",
    [
        ("--cluster slope", "--cluster slope contradicts {}, whose weights are of cluster none; leave --cluster out"),
        (
            "--shift --shift_place block",
            "--shift_place block contradicts {}, whose weights are of shift_place blockres; leave --shift_place out",
        ),
        ("--non_local", "--non_local True contradicts {}, whose weights are of non_local False; leave --non_local out"),
    ],
)
@pytest.mark.parametrize("evaluate", [True, False])
def test_a_flag_against_the_weights(run, tsm_file, flags, error, evaluate):
    path = tsm_file(NAMED)
    words = ["--evaluate"] if evaluate else ["--epochs", 46]
    assert run("main.py", *words, "--resume", path, *flags.split()).error.startswith(error.format(path))


def test_what_neither_name_nor_weights_tell(run, tsm_file):
    path = tsm_file("best.pth")
    for words in (["--evaluate"], ["--epochs", 46]):
        assert "give --num_segments" in run("main.py", *words, "--resume", path, "--shift").error
        text = run("main.py", *words, "--resume", path, "--num_segments", 4).error
        assert f"{path} holds temporal shift and its name does not tell how much; give --shift" in text


@pytest.mark.parametrize("arch", [["thin"], {}, 5, None])
def test_an_arch_that_is_none(run, tsm_file, arch):
    path = tsm_file("best.pth")
    torch.save(torch.load(path) | {"arch": arch}, path)
    words = ["--num_segments", 4, "--shift", "--resume", path, "--evaluate"]
    assert "holds another network" in run("main.py", *words, "--arch", "resnet18").error
    assert "give --arch" in run("main.py", *words).error


def test_training_goes_on_from_a_file_of_tsm(run, tsm_file, tmp_path):
    """A step too small to change anything leaves the network that the file holds, shift in `layer1` included."""
    path = tsm_file(NAMED)
    ran = run("main.py", "--resume", path, "--epochs", 46, "-b", 4, "--lr", "1e-30")
    assert ran.code == 0 and f"weights   {path}, all loaded, epoch 45" in ran.out, ran
    last = tmp_path / "checkpoint/TSM_movingmnist_RGB_thin_shift8_blockres_avg_segment4_e46" / ckpt.LAST
    stored = ckpt.load_checkpoint(last)
    assert stored["config"]["cluster"] == "none" and stored["config"]["shift"] and stored["epoch"] == 46
    assert stored["state_dict"].keys() == ckpt.load_checkpoint(path)["state_dict"].keys()
    weight = "base_model.layer1.0.conv1.net.weight"
    assert torch.equal(stored["state_dict"][weight], ckpt.load_checkpoint(path)["state_dict"][weight])


def test_training_does_not_go_on_with_another_data_set(run, tsm_file):
    path = tsm_file(NAMED.replace("movingmnist", "kinetics"))
    text = run("main.py", "--resume", path, "--epochs", 46).error
    assert text == f"{path} was trained on kinetics, not movingmnist; use --tune_from instead"


def test_momenta_of_tsm_are_not_taken_for_ours(run, tsm_file):
    path = tsm_file(NAMED)
    content = torch.load(path)
    content["optimizer"] = {"state": {}, "param_groups": [{"lr": 0.1, "params": [0]}, {"lr": 0.1, "params": [1]}]}
    torch.save(content, path)
    text = run("main.py", "--resume", path, "--epochs", 46, "-b", 4).error
    assert text.startswith(f"{path} was trained with other parameter groups") and text.endswith("with --tune_from")


def test_figures_of_another_program_are_not_taken_for_ours(run, tsm_file):
    path = tsm_file(NAMED)
    torch.save(torch.load(path) | {"meters": {"steps": 7}}, path)
    ran = run("main.py", "--resume", path, "--epochs", 46, "-b", 4)
    assert ran.code == 0 and f"weights   {path}, all loaded, epoch 45\n" in ran.out, ran


def test_another_modality(run_program, tiny_data, run, tsm_file):
    path = tsm_file(NAMED)
    words = ["movingmnist", "RGBDiff", "--root_path", tiny_data, "-j", 0, "--device", "cpu", "--resume", path]
    for more in (["--evaluate"], ["--epochs", 46]):
        text = run_program("main.py", *words, *more).error
        assert text.startswith(f"modality RGBDiff contradicts {path}, whose weights are of modality RGB; give RGB or")
