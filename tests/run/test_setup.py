"""What a new run starts from: weights, a classifier that is kept or not, and what is said of both."""

import pytest
import torch
from torch import nn

from ops.models import build_model
from ops.options.config import Config, plain
from ops.run.setup import load_start, set_up
from ops.training.processes import ALONE, Processes

THIN = {"arch": "resnet_thin", "num_segments": 4, "num_class": 4, "image_tmpl": "{}.jpg"}
KEPT, BOOSTED = False, True  # a new classifier learns faster than the rest


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def thin(num_class=4, **options):
    """A thin ResNet whose classifier differs from any other's."""
    model = build_model("resnet_thin", num_class, 4, **options)
    if model.new_fc is not None:
        nn.init.normal_(model.new_fc.weight)
    return model


def write(path, dataset=None, **options):
    """A checkpoint of a thin ResNet; with `dataset` as main.py writes it, else bare -> its model."""
    model = thin(**options)
    content = {"state_dict": model.state_dict(), "epoch": 1}
    if dataset is not None:
        content["config"] = plain(Config(dataset, "RGB", arch="resnet_thin"))
    torch.save(content, path)
    return model


def start(dataset, model, **options):
    """`load_start` -> (whether the classifier is boosted, what was said)."""
    said = []
    config = Config(dataset, "RGB", **THIN | options)
    boosted = load_start(config, model, said.append)
    (line,) = said
    return boosted, line


# ---------------------------------------------------------------- --tune_from


@pytest.mark.parametrize(
    "stored, dataset, boosted",
    [
        ("something", "something", KEPT),
        ("something", "somethingv2", BOOSTED),
        ("somethingv2", "something", BOOSTED),
        ("mine", "mine/", KEPT),
        ("data/mine", "mine", KEPT),
        ("mine", "/somewhere/mine", KEPT),
        ("mine", "yours", BOOSTED),
        (None, "mine", KEPT),
    ],
)
def test_the_classifier_is_kept_for_its_own_data_set_and_boosted_where_it_is_new(stored, dataset, boosted):
    source, model = write("x.pth", stored), thin()
    own = model.new_fc.weight.detach().clone()
    said = start(dataset, model, tune_from="x.pth")
    assert said[0] == boosted
    assert torch.equal(model.new_fc.weight, own if boosted else source.new_fc.weight)
    assert torch.equal(model.base_model.conv1.weight, source.base_model.conv1.weight)
    start_of_line, total = "weights   x.pth: ", len(model.state_dict())
    if boosted:
        assert said[1].startswith(f"{start_of_line}{total - 2} tensors loaded, new: new_fc.weight, new_fc.bias; ")
        assert said[1].endswith(f"; classifier new, for it was trained on {stored}")
    else:
        assert said[1].startswith(f"{start_of_line}{total} tensors loaded, none new; classifier kept, for it ")
        nothing_tells = "fits and the file does not say what it was trained on"
        assert said[1].endswith(f"was trained on {stored}" if stored else nothing_tells)


@pytest.mark.parametrize(
    "dataset, boosted", [("something", KEPT), ("somethingv2", BOOSTED), ("kinetics", BOOSTED), ("data/something", KEPT)]
)
def test_files_of_tsm_tell_their_data_set_by_their_names(dataset, boosted):
    """TSM itself keeps V2's classifier for V1, whose name occurs in V2's."""
    name = "TSM_something_RGB_thin_avg_segment4_e45.pth"
    source, model = write(name), thin()
    assert start(dataset, model, tune_from=name)[0] == boosted
    assert torch.equal(model.new_fc.weight, source.new_fc.weight) != boosted


def test_options_inside_win_over_the_name():
    write("TSM_something_RGB_thin_avg_segment4_e45.pth", "jester")
    assert start("something", thin(), tune_from="TSM_something_RGB_thin_avg_segment4_e45.pth")[0] == BOOSTED


@pytest.mark.parametrize(
    "stored, here, boosted",
    [
        ("abcd", "abcd", KEPT),
        ("abcd", "abdc", BOOSTED),
        ("abcdefg", "abcd", BOOSTED),
        (None, "abcd", KEPT),
        ("abcd", None, KEPT),
    ],
)
def test_names_of_classes_tell_data_sets_of_one_name_apart(tmp_path, stored, here, boosted):
    write("x.pth", "mine")
    torch.save(torch.load("x.pth") | {"class_names": stored and [*stored]}, "x.pth")
    (tmp_path / "elsewhere/mine").mkdir(parents=True)
    if here:
        (tmp_path / "elsewhere/mine/category.txt").write_text("\n".join(here))
    found, line = start("elsewhere/mine", thin(), root_path="elsewhere/mine", tune_from="x.pth")
    assert found == boosted
    assert ("classifier new, for it was trained on other classes" in line) == boosted


def test_a_classifier_of_other_classes_is_new_in_the_same_data_set_too():
    write("x.pth", "mine", num_class=7)
    boosted, line = start("mine", thin(), tune_from="x.pth")
    assert boosted and line.endswith("new: new_fc.weight, new_fc.bias; classifier new, for none there fits")


# ---------------------------------------------------------------- other layouts


def test_what_a_file_of_another_program_gives_is_named():
    source, model = thin(), thin()
    weights = {f"backbone.{key}": value for key, value in source.base_model.state_dict().items()}
    weights |= {"cls_head.fc_cls.weight": torch.ones(4, 96), "cls_head.fc_cls.bias": torch.ones(4)}
    torch.save({"state_dict": weights | {"ema.a": torch.ones(1), "ema.b": torch.ones(1)}}, "x.pth")
    boosted, line = start("mine", model, tune_from="x.pth")
    assert torch.equal(model.base_model.layer4[0].conv1.weight, source.base_model.layer4[0].conv1.weight)
    assert not boosted and model.new_fc.weight.eq(1).all() and line.endswith("; left out: ema (2)")
    boosted, line = start("mine", thin(), pretrain="x.pth")
    assert boosted and line == "weights   x.pth; left out: cls_head.fc_cls (2), ema (2)"


# ---------------------------------------------------------------- BatchNorms that never train


@pytest.mark.parametrize(
    "flags, remedy",
    [
        ("", "11 BatchNorms would not train, whose statistics are of no images; add --npb, or start from weights"),
        ("--freeze_stem_bn", "12 BatchNorms would not train"),
        ("--pretrain none --freeze_stem_bn", "; add --npb and leave --freeze_stem_bn out, or start"),
        ("--pretrain none --npb --freeze_stem_bn", " 3 BatchNorms would not train, "),
        ("--pretrain none --freeze_bn", "12 BatchNorms would not train, whose statistics are of no images; leave --f"),
        ("--pretrain none --npb", None),
        ("--npb", None),
        ("--tune_from x.pth", None),
        ("--pretrain x.pth --freeze_stem_bn", None),
    ],
)
def test_frozen_norms_of_random_weights_are_warned_of(tiny_data, flags, remedy):
    write("x.pth", "mine")
    words = (
        f"movingmnist RGB --root_path {tiny_data} --arch resnet_thin --num_segments 4 -b 4 -j 0 --device cpu {flags}"
    )
    said, warned = [], []
    set_up(words.split(), ALONE, said.append, warned.append)
    assert any(line.startswith("weights   " + ("x.pth" if "x.pth" in flags else "random")) for line in said)
    assert len(warned) == (remedy is not None)
    if remedy:
        assert warned[0].startswith("warning: the weights are random, and ") and remedy in warned[0]


def test_one_process_of_several_warns(tiny_data):
    words = f"movingmnist RGB --root_path {tiny_data} --arch resnet_thin --num_segments 4 -b 4 -j 0 --device cpu"
    for rank in (0, 1):
        warned = []
        set_up(words.split(), Processes(rank, 2, rank), lambda text: None, warned.append)
        assert len(warned) == (rank == 0)
