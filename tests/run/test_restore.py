"""The one road from a checkpoint to its model, where nothing but the file is at hand."""

import pytest
import torch

from archs import ARCHS
from ops.errors import InputError
from ops.models import build_model
from ops.options.config import Config, plain
from ops.run.restore import load_model, trained_on


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(name, fc="new_fc", **options)` makes a checkpoint in TSM's layout -> (its path, its model)."""
    monkeypatch.setitem(ARCHS, "thin", ARCHS["resnet_thin"])

    def write(name, fc="new_fc", **options):
        model = build_model("thin", 5, 4, cluster="none", **options).eval()
        weights = {f"module.{key}".replace("new_fc", fc): value for key, value in model.state_dict().items()}
        torch.save({"epoch": 45, "arch": "thin", "state_dict": weights}, tmp_path / name)
        return tmp_path / name, model

    return write


@pytest.mark.parametrize("fc", ["new_fc", "base_model.fc"])
@torch.inference_mode()
def test_a_file_whose_name_tells_all(write, fc):
    path, model = write("TSM_ucf101_RGB_thin_shift8_blockres_avg_segment4_e45.pth", fc, shift=True)
    loaded, config, _ = load_model(str(path))
    frames = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded(frames, torch.tensor([4, 4])), model(frames, torch.tensor([4, 4])))
    assert (config.dataset, config.cluster, config.num_segments, loaded.num_class) == ("ucf101", "none", 4, 5)
    assert trained_on(torch.load(path), path) == "ucf101"


@pytest.mark.parametrize(
    "name, options, error",
    [
        ("TSM_ucf101_RGB_thin_avg_segment4_e45.pth", {"shift": True}, "its name does not tell how much; give --shift"),
        ("best.pth", {"shift": True}, "does not say how it was trained; give a checkpoint that main.py wrote"),
        ("TSM_ucf101_RGB_vgg_avg_segment4_e45.pth", {}, "is of arch 'vgg'; here there are only"),
        (
            "TSM_ucf101_RGB_thin_shift99_blockres_avg_segment4_e45.pth",
            {"shift": True},
            "--shift_div 99 shifts no channel",
        ),
    ],
)
def test_a_name_that_does_not_tell_or_cannot_be(write, name, options, error):
    with pytest.raises(InputError, match=error):
        load_model(str(write(name, **options)[0]))


@pytest.mark.parametrize("num_class", [-3, 0, 10**12])
def test_a_number_of_classes_that_cannot_be(tmp_path, num_class):
    config = Config("mine", "RGB", arch="resnet_thin", num_segments=4)
    content = {"state_dict": build_model(num_class=4, **config.model_options).state_dict(), "config": plain(config)}
    torch.save(content | {"num_class": num_class}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="x.pth does not say how it was trained"):
        load_model(str(tmp_path / "x.pth"))
    torch.save(content, tmp_path / "x.pth")
    assert load_model(str(tmp_path / "x.pth"))[0].num_class == 4


def test_options_inside_tell_the_data_set_and_win_over_the_name():
    name = "TSM_ucf101_RGB_thin_avg_segment4_e45.pth"
    assert trained_on({}, name) == "ucf101" and trained_on({"config": None}, name) == "ucf101"
    assert trained_on({"config": plain(Config("mine", "RGB"))}, name) == "mine"
    assert trained_on({"config": {"dataset": 7}}, name) is None
    assert trained_on({"config": {"dataset": ""}}, name) is None and trained_on({}, "best.pth") is None
