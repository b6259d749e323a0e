"""Models taken elsewhere as a user would: graphs that answer alike, folders that load back, and what is refused."""

import json
import os
import stat
from functools import partial

import numpy as np
import pytest
import torch
from conftest import ROOT
from networks import know_tiny, tiny_checkpoint

from ops.export import formats, operators
from ops.run.restore import load_model


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    know_tiny(monkeypatch)


@pytest.fixture
def run(run_program):
    """`run(*words)` runs export.py's command line in the empty folder `tmp_path` -> `Ran`."""
    return partial(run_program, "tools/export.py")


@pytest.fixture
def needs_onnx():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="of requirements-export.txt")


@pytest.fixture
def needs_safetensors():
    pytest.importorskip("safetensors", reason="of requirements-export.txt")


# ---------------------------------------------------------------- graphs


def test_onnx_of_a_model_that_clusters(run, tiny_data, tmp_path, monkeypatch, needs_onnx):
    import onnxruntime

    monkeypatch.setattr(operators, "LONGEST", 5)  # a graph for 32 frames is written faster
    weights = tiny_checkpoint(tmp_path / "w.pth")
    ran = run("--weights", weights, "--to", "onnx", "--out", "m.onnx", "--root_path", tiny_data, "--clips", 2)
    lines = [line.split() for line in ran.out.splitlines()]
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("model     tiny on RGB, 4 cumulative clusters per video after first, shift 1/8 blockres")
    assert [line[:2] for line in lines[2:-1]] == [
        *(["noise", str(t)] for t in (1, 2, 4, 5, 11)),
        ["still", "6"],
        *(["val/left_0", "20"], ["val/up_0", "20"]),
    ]
    assert all(line[3:] == ["same", "same"] and float(line[2]) < 1e-4 for line in lines[2:-1])
    assert lines[-1][:2] == ["wrote", "m.onnx,"] and {*os.listdir(tmp_path)} == {"w.pth", "m.onnx"}

    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (entry,) = session.get_inputs()
    assert entry.name == "frames" and entry.shape[1:] == [3, 16, 16] and entry.shape[0] == "frames"
    assert [output.name for output in session.get_outputs()] == ["logits", "clusters", "changes"]
    about = session.get_modelmeta().custom_metadata_map
    assert about["input"] == "frames, float32 (frames, 3, 16, 16)"
    assert about["frames"] == "all frames of a video, in order"
    assert about["channels"] == "red, green, blue of a frame, byte / 255"
    assert json.loads(about["mean"]) == [0.485, 0.456, 0.406] and about["normalisation"] == "(value - mean) / std"
    assert json.loads(about["classes"]) == ["left", "right", "up", "down"]
    assert str(ROOT).encode() not in (tmp_path / "m.onnx").read_bytes()

    frames = np.random.default_rng(0).random((7, 3, 16, 16), np.float32)
    logits, clusters, _ = session.run(None, {"frames": frames})
    with torch.inference_mode():
        model = load_model(weights).model
        assert torch.from_numpy(logits) == pytest.approx(model(torch.from_numpy(frames), torch.tensor([7]))[0])
    assert clusters[0] == 0 and clusters[-1] == 3


def test_torch_export_of_a_model_of_sampled_frames(run, tmp_path):
    weights = tiny_checkpoint(tmp_path / "w.pth", cluster="none", modality="RGBDiff")
    ran = run("--weights", weights, "--to", "torch_export", "--out", "m.pt2")
    assert "clips     made ones only: no list file data/movingmnist/val_videofolder.txt" in ran.out
    assert [line.split()[:2] for line in ran.out.splitlines()[3:-1]] == [["noise", str(n)] for n in (1, 2, 3)]
    assert str(ROOT).encode() not in (tmp_path / "m.pt2").read_bytes()
    files = {"about.json": ""}
    program = torch.export.load(tmp_path / "m.pt2", extra_files=files)
    assert json.loads(files["about.json"])["input"] == "frames, float32 (clips, 4, 15, 16, 16)"
    frames = torch.randn(2, 4, 15, 16, 16)
    with torch.inference_mode():
        expected = load_model(weights).model(frames.flatten(0, 1), torch.tensor([4, 4]))
    torch.testing.assert_close(program.module()(frames)[0].detach(), expected)


def test_a_graph_that_answers_otherwise_is_not_kept(run, tmp_path, monkeypatch):
    weights = tiny_checkpoint(tmp_path / "w.pth")
    wrong = formats.FORMATS["torch_export"]._replace(
        open=lambda path: lambda frames: [torch.zeros(4), *torch.zeros(2, len(frames), dtype=torch.int64)]
    )
    monkeypatch.setitem(formats.FORMATS, "torch_export", wrong)
    ran = run("--weights", weights, "--to", "torch_export", "--out", "m.pt2", "--clips", 0)
    assert ran.error == "the graph does not answer as the model does on 6 of 6 clips; m.pt2 was not kept"
    assert " other " in ran.out and os.listdir(tmp_path) == ["w.pth"]
    monkeypatch.setitem(formats.FORMATS, "torch_export", wrong._replace(open=lambda path: 1 / 0))
    error = run("--weights", weights, "--to", "torch_export", "--out", "m.pt2", "--clips", 0).error
    assert error == "the graph does not run (ZeroDivisionError: division by zero); nothing was kept"
    assert os.listdir(tmp_path) == ["w.pth"]


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("name", ["models/mine", "models/mine/model.safetensors"])
def test_a_folder_loads_back_bit_for_bit(name, run, tmp_path, needs_safetensors):
    weights = tiny_checkpoint(tmp_path / "w.pth", suffix="secret", root_path="/home/me/data", cluster="slope")
    ran = run("--weights", weights, "--to", "safetensors", "--out", "models/mine", "--license", "cc-by-4.0")
    assert ran.out.endswith(
        "wrote     models/mine: model.safetensors, config.json, README.md; all 6 tensors load back bit for bit\n"
    )
    before, after = load_model(weights), load_model(tmp_path / name)
    assert after.class_names == ["left", "right", "up", "down"] and before.config.cluster == after.config.cluster
    own, others = before.model.state_dict(), after.model.state_dict()
    assert own.keys() == others.keys() and all(torch.equal(own[key], others[key]) for key in own)
    frames = torch.randint(0, 256, (9, 3, 16, 16), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(*(loaded.model(frames, torch.tensor([9])) for loaded in (before, after)))


def test_what_a_folder_says(run, tmp_path, needs_safetensors):
    folder = tmp_path / "mine"
    weights = tiny_checkpoint(tmp_path / "w.pth", suffix="secret", root_path="/home/me/data", val_list="/home/me/v.txt")
    run("--weights", weights, "--to", "safetensors", "--out", folder)
    config = json.loads((folder / "config.json").read_text())
    assert (config["architecture"], config["num_classes"]) == ("tiny", 4)
    assert config["training"] == {"epoch": 3, "best_prec1": 62.5, "best_epoch": 2}
    assert config["options"]["num_segments"] == 4 and config["options"]["val_list"] == "v.txt"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown\n") and "value: 62.500" in card.split("\n---\n")[0]
    for said in (
        "load_model('mine')",
        "Top-1 62.50 % on the validation list (v.txt) after epoch 3",
        "| a frame | float32 (3, 16, 16) |",
        "| mean | 0.485, 0.456, 0.406 |",
        "| dataset | movingmnist |",
        "| started from weights | none |",
        "3. down",
        "It is not said under which licence",
    ):
        assert said in card
    for text in (card, json.dumps(config)):
        assert "/home" not in text and "secret" not in text
    umask = os.umask(0)
    os.umask(umask)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o666 & ~umask}


def test_the_head_of_a_card_is_yaml(run, tmp_path, needs_safetensors):
    yaml = pytest.importorskip("yaml", reason="a reader of YAML is no requirement")
    weights = tiny_checkpoint(tmp_path / "w.pth", dataset='a: "b" #c', image_tmpl="{}.jpg", num_class=4)
    run("--weights", weights, "--to", "safetensors", "--out", "m", "--license", "mit")
    head = yaml.safe_load((tmp_path / "m/README.md").read_text().split("---\n")[1])
    assert head["license"] == "mit" and head["model-index"][0]["results"][0]["dataset"]["name"] == 'a: "b" #c'


def test_weights_that_were_not_the_measured_ones_claim_nothing(run, tmp_path, needs_safetensors):
    weights = tiny_checkpoint(tmp_path / "w.pth")
    content = torch.load(weights)
    torch.save(content | {"epoch": 5}, weights)
    run("--weights", weights, "--to", "safetensors", "--out", "m")
    card = (tmp_path / "m/README.md").read_text()
    assert "have not been measured" in card and "model-index" not in card and "62.5" not in card


def test_programs_take_a_folder_in_place_of_a_checkpoint(
    run, run_program, run_main, tiny_data, tmp_path, needs_safetensors
):
    weights = tiny_checkpoint(tmp_path / "w.pth")
    run("--weights", weights, "--to", "safetensors", "--out", "m")
    data = ["movingmnist", "--root_path", tiny_data]
    lines = [
        run_program("test_models.py", *data, "--weights", path, "-j", 0, "--device", "cpu").out.splitlines()[-1]
        for path in (weights, "m", "m/model.safetensors")
    ]
    assert lines[0].startswith("Testing Results") and len({*lines}) == 1
    words = [*data[:1], "RGB", *data[1:], "--resume", "m", "-j", 0, "--device", "cpu"]
    assert run_main(*words, "--evaluate").out.splitlines()[-1][:40] == lines[0][:40]
    assert "holds weights, not the state of a training; use --tune_from" in run_main(*words).error
    (tmp_path / "m/config.json").unlink()  # a state dict is left: weights to start from
    assert "does not say how it was trained" in run("--weights", "m", "--to", "safetensors", "--out", "n").error
    more = "--arch tiny --num_segments 4 --epochs 1 -b 4 -j 0 --device cpu --tune_from m/model.safetensors"
    assert run_main(*data[:1], "RGB", *data[1:], *more.split()).code == 0


# ---------------------------------------------------------------- bad input


def test_bad_input_is_named(run, tmp_path, monkeypatch, needs_safetensors):
    weights = tiny_checkpoint(tmp_path / "w.pth")
    kmeans = tiny_checkpoint(tmp_path / "k.pth", cluster="kmeans")
    for name in ("there.pt2", "a_file"):
        (tmp_path / name).touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").touch()
    (tmp_path / "link").symlink_to("full")
    (tmp_path / "spoiled.safetensors").write_bytes(b"no weights at all")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "bare.pth")
    graph, folder = ["--to", "torch_export", "--out", "m.pt2"], ["--to", "safetensors", "--out", "m"]
    for words, part in [
        ([weights, "--to", "tflite", "--out", "m"], "invalid choice: 'tflite'"),
        (
            [weights, "--to", "torch_export", "--out", "m.onnx"],
            "--to torch_export writes a file *.pt2; give --out m.pt2",
        ),
        ([weights, "--to", "torch_export", "--out", "there.pt2"], "there.pt2 is there already"),
        ([weights, "--to", "torch_export", "--out", "."], "writes a file *.pt2; give --out model.pt2"),
        ([weights, "--to", "safetensors", "--out", "a_file"], "a_file is a file"),
        ([weights, "--to", "safetensors", "--out", "..", "--overwrite"], "name a folder in it, such as ../model"),
        ([weights, "--to", "safetensors", "--out", "link", "--overwrite"], "link is a link"),
        ([weights, "--to", "safetensors", "--out", "full", "--overwrite"], "full holds other files (thesis.tex, say)"),
        ([weights, *graph, "--license", "mit"], "--license has no effect with --to torch_export"),
        ([weights, *folder, "--clips", 2], "--clips has no effect with --to safetensors"),
        ([weights, *graph, "--root_path", "nowhere"], "nowhere"),
        ([weights, *graph, "--clips", -1], "--clips"),
        ([kmeans, *graph], "--cluster kmeans groups frames in rounds"),
        (["absent.pth", *graph], "no checkpoint absent.pth"),
        (["full", *graph], "no checkpoint full/model.safetensors"),
        (["spoiled.safetensors", *graph], "spoiled.safetensors is no readable file of safetensors"),
        (["bare.pth", *folder], "bare.pth does not say how it was trained"),
    ]:
        assert part in run("--weights", *words).error
    monkeypatch.setattr(formats, "find_spec", lambda package: None)
    error = run("--weights", weights, "--to", "onnx", "--out", "m.onnx").error
    assert error == (
        "--to onnx takes onnx, onnxscript, onnxruntime, not installed here: pip install -r requirements-export.txt"
    )


def test_what_onnx_lacks_is_told_in_one_line(run, tmp_path, monkeypatch, needs_onnx):
    weights = tiny_checkpoint(tmp_path / "w.pth", cluster="none")

    def refuse(*args, **kwargs):
        raise RuntimeError("conversion failed") from LookupError("no igamma\nin ONNX")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    error = run("--weights", weights, "--to", "onnx", "--out", "m.onnx", "--clips", 0).error
    assert error.startswith(f"torch {torch.__version__} cannot write this model as ONNX with the packages installed (")
    assert "(LookupError: no igamma); docs/export.md says" in error
    assert os.listdir(tmp_path) == ["w.pth"]


def test_overwrite_replaces_a_folder(run, tmp_path, needs_safetensors):
    weights = tiny_checkpoint(tmp_path / "w.pth")
    words = ["--weights", weights, "--to", "safetensors", "--out", "m"]
    assert run(*words).code == 0 and "m is there already" in run(*words).error
    assert run(*words, "--overwrite").code == 0 and len(os.listdir(tmp_path / "m")) == 3


def test_help_shows_examples(run):
    assert "python tools/export.py --weights checkpoint/NAME/ckpt.best.pth.tar --to onnx" in run("--help").out
