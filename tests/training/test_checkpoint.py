"""Checkpoints: whole or not there, harmless to read, and loaded whatever shift wraps in either model."""

import json
import os
import pickle
import re

import pytest
import torch
from torch import nn

from ops.errors import InputError
from ops.heads import HEADS, Head
from ops.models import build_model
from ops.training import checkpoint as ckpt
from ops.training.checkpoint import load_checkpoint, load_pretrained, load_weights, save_checkpoint


def thin(num_class=4, **options):
    return build_model("resnet_thin", num_class, 4, **options)


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def refused(path):
    with pytest.raises(InputError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------- files


def test_what_is_saved_is_read(tmp_path):
    content = {
        "epoch": 3,
        "state_dict": {"w": torch.arange(3.0)},
        "config": {"arch": "resnet18", "lr_steps": [1, 2]},
        "best_prec1": 12.5,
        "best_epoch": None,
    }
    save_checkpoint(tmp_path / "new" / "folder" / "x.pth", content)
    back = load_checkpoint(tmp_path / "new" / "folder" / "x.pth")
    assert torch.equal(back.pop("state_dict")["w"], content.pop("state_dict")["w"]) and back == content
    assert os.listdir(tmp_path / "new" / "folder") == ["x.pth"]


def test_a_save_that_fails_leaves_the_former_file_and_a_later_one_works(tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    save_checkpoint(path, {"state_dict": {"w": torch.ones(2)}})
    former = path.read_bytes()

    def full_disk(content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="No space"):
            save_checkpoint(path, {"state_dict": {"w": torch.zeros(2)}})
    assert path.read_bytes() == former
    save_checkpoint(path, {"state_dict": {"w": torch.full((2,), 7.0)}})
    assert load_checkpoint(path)["state_dict"]["w"].tolist() == [7, 7] and os.listdir(tmp_path) == ["x.pth"]


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.mark.parametrize(
    "write, reason",
    [
        (
            torch.save,
            "holds more than tensors and plain values ({}.mkdir), which could run code; if you trust its maker,"
            " add --trust_checkpoint",
        ),
        (lambda value, path: path.write_bytes(pickle.dumps(value)), "is not a readable checkpoint"),
    ],
)
def test_a_hostile_pickle_does_not_run(tmp_path, monkeypatch, write, reason):
    monkeypatch.chdir(tmp_path)
    write({"state_dict": {"w": torch.ones(1)}, "config": Hostile()}, tmp_path / "x.pth")
    assert reason.format(os.mkdir.__module__) in refused(tmp_path / "x.pth")
    assert not (tmp_path / "was-run").exists()


def test_a_trusted_file_may_do_what_it_likes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"w": torch.ones(1)}, "config": Hostile()}, tmp_path / "x.pth")
    assert load_checkpoint(tmp_path / "x.pth", trust=True)["state_dict"]["w"].tolist() == [1]
    assert (tmp_path / "was-run").is_dir()


def test_one_spoiled_bit_of_the_weights_is_found(tmp_path):
    save_checkpoint(tmp_path / "x.pth", {"state_dict": {"w": torch.full((100,), 1.5)}})
    data = bytearray((tmp_path / "x.pth").read_bytes())
    data[data.index(torch.full((100,), 1.5).numpy().tobytes()) + 200] ^= 1
    (tmp_path / "x.pth").write_bytes(data)
    assert "its checksum is wrong in" in refused(tmp_path / "x.pth")


def test_the_former_file_is_kept_under_another_name(tmp_path):
    for value in (1, 2, 3):
        save_checkpoint(tmp_path / "x.pth", {"state_dict": {"w": torch.full((2,), value)}}, keep="before.pth")
    kept = {path.name: load_checkpoint(path)["state_dict"]["w"].tolist() for path in tmp_path.iterdir()}
    assert kept == {"x.pth": [3, 3], "before.pth": [2, 2]}


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, part):
    save_checkpoint(tmp_path / "x.pth", {"state_dict": thin().state_dict(), "epoch": 1})
    data = (tmp_path / "x.pth").read_bytes()
    (tmp_path / "x.pth").write_bytes(data[: int(len(data) * part)])
    assert "not a readable checkpoint" in refused(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"state_dict": {"w": [1, 2]}}).encode(),
        b"\x80\x02}q\x00.",
        b"PK\x03\x04",
        b"\x89PNG\r\n\x1a\n" * 9,
        b"\x80\x04\x95",
        b"hello\n",
        bytes(range(256)),
        b"\x80\x02K",
        b"\x80\x02Xab",
        b"(i__main__\nx\n.",
        b"\x80\x02h\x07.",
        b"\x80\x02\x8a\xff",
        b"0.",
        b"\x80\x02N.",
    ],
)
def test_other_files_are_refused(tmp_path, data):
    (tmp_path / "x.pth").write_bytes(data)
    refused(tmp_path / "x.pth")


def test_random_bytes_are_refused(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for i in range(300):
        noise = torch.randint(0, 256, (i,), generator=generator, dtype=torch.uint8).numpy().tobytes()
        (tmp_path / "x.pth").write_bytes(b"\x80\x02" * (i % 2) + noise)
        refused(tmp_path / "x.pth")


def test_missing_files_and_folders_are_refused(tmp_path):
    assert refused(tmp_path / "x.pth").startswith("no checkpoint ")
    assert refused(tmp_path).startswith("no checkpoint ")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"state_dict": {}},
        {"state_dict": [1]},
        {"state_dict": {"w": 1}},
        {"a": torch.ones(1), "b": 2},
        {0: torch.ones(1)},
        torch.ones(2),
    ],
)
def test_other_content_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    refused(tmp_path / "x.pth")


def test_bare_weights_are_a_checkpoint_without_config(tmp_path):
    torch.save({"module.w": torch.ones(1)}, tmp_path / "x.pth")
    content = load_checkpoint(tmp_path / "x.pth")
    assert list(content) == ["state_dict"] and list(content["state_dict"]) == ["w"]


@pytest.mark.parametrize(
    "prefix",
    ["module.", "module.module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module._orig_mod.module."],
)
def test_wrappers_are_taken_off(tmp_path, prefix):
    torch.save({"state_dict": {f"{prefix}w": torch.ones(1), "a._orig_mod.b": torch.ones(1)}}, tmp_path / "x.pth")
    assert [*load_checkpoint(tmp_path / "x.pth")["state_dict"]] == ["w", "a.b"]


def test_wrapped_and_bare_at_once(tmp_path):
    torch.save({"state_dict": {"module.w": torch.ones(1), "w": torch.zeros(1)}}, tmp_path / "x.pth")
    assert "holds a weight twice, as module.w and as w" in refused(tmp_path / "x.pth")


@pytest.mark.parametrize("name", ["model", "model_state", "model_state_dict"])
def test_weights_under_the_names_of_other_programs(tmp_path, name):
    """What else such a file holds means other things there."""
    for path, weights in (("a.pth", {"w": torch.ones(1)}), ("b.pth", {"state_dict": {"module.w": torch.ones(1)}})):
        torch.save({name: weights, "epoch": "last", "optimizer": [1]}, tmp_path / path)
        assert load_checkpoint(tmp_path / path) == {"state_dict": {"w": torch.ones(1)}}
    torch.save({"state_dict": {name: {"w": torch.ones(1)}}, "epoch": 3}, tmp_path / "c.pth")
    assert load_checkpoint(tmp_path / "c.pth") == {"state_dict": {"w": torch.ones(1)}, "epoch": 3}


# ---------------------------------------------------------------- weights into models

VARIANTS = [
    {},
    {"shift": True},
    {"shift": True, "shift_place": "block"},
    {"cluster": "none", "shift": True},
    {"cluster": "none", "shift": True, "shift_place": "block"},
    {"cluster": "none"},
    {"temporal_pool": True, "shift": True},
    {"cluster_after": "conv1", "shift": True},
]


@pytest.mark.parametrize("source", VARIANTS, ids=str)
@pytest.mark.parametrize("target", VARIANTS, ids=str)
def test_wrappers_of_shift_make_no_difference(source, target):
    """A stage that is shifted in the file loads where it is not, and the other way round."""
    source, target = thin(**source), thin(**target)
    assert load_weights(target, source.state_dict(), "test") == []
    assert same_weights(source, target)


def test_wrapped_by_data_parallel(tmp_path):
    source, target = thin(shift=True), thin()
    torch.save({"state_dict": nn.DataParallel(source).state_dict()}, tmp_path / "x.pth")
    weights = torch.load(tmp_path / "x.pth", weights_only=True)["state_dict"]
    assert "module.base_model.layer2.0.conv1.net.weight" in weights
    load_weights(target, load_checkpoint(tmp_path / "x.pth")["state_dict"], "test")
    assert same_weights(source, target)


def test_tsm_calls_the_classifier_fc_without_dropout():
    source, target = thin(), thin()
    nn.init.normal_(source.new_fc.bias)
    renamed = {key.replace("new_fc.", "base_model.fc."): value for key, value in source.state_dict().items()}
    assert load_weights(target, renamed, "test") == [] and same_weights(source, target)


def test_files_without_batchnorm_counters():
    source, target = thin(), thin()
    old = {key: value for key, value in source.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert load_weights(target, old, "test") == [] and same_weights(source, target)


def test_another_architecture_is_refused():
    before = thin()
    target = thin()
    target.load_state_dict(before.state_dict())
    for tune in (False, True):
        with pytest.raises(InputError, match=r"F.pth holds another network \(.*weight.*\); use its"):
            load_weights(target, build_model("resnet18", 4, 4).state_dict(), "F.pth", tune)
    with pytest.raises(InputError, match="F.pth holds another network"):
        load_weights(target, thin(non_local=True).state_dict(), "F.pth")
    with pytest.raises(InputError, match="F.pth holds another network"):
        load_weights(thin(non_local=True), target.state_dict(), "F.pth")
    assert same_weights(target, before)


def test_another_number_of_classes_is_refused():
    with pytest.raises(
        InputError,
        match=re.escape(
            "F.pth was trained on another number of classes: new_fc.weight is "
            "(7, 96) there and (4, 96) here; use its dataset, or --tune_from"
        ),
    ):
        load_weights(thin(4), thin(7).state_dict(), "F.pth")


def test_tuning_keeps_a_new_classifier_only_where_it_must():
    source, target = thin(7), thin(4)
    own = target.new_fc.weight.detach().clone()
    assert load_weights(target, source.state_dict(), "test", tune=True) == ["new_fc.weight", "new_fc.bias"]
    assert torch.equal(target.new_fc.weight, own) and same_weights(source.base_model, target.base_model)
    fitting = thin(7)
    assert load_weights(fitting, source.state_dict(), "test", tune=True) == [] and same_weights(source, fitting)


def test_a_classifier_of_another_data_set_is_not_kept_though_it_fits():
    source, target = thin(), thin()
    own = target.new_fc.weight.detach().clone()
    new = load_weights(target, source.state_dict(), "test", tune=True, keep_head=False)
    assert new == ["new_fc.weight", "new_fc.bias"] and torch.equal(target.new_fc.weight, own)
    assert same_weights(source.base_model, target.base_model)


class Deep(Head):
    """A head of `depth` layers."""

    options = ("depth",)

    def __init__(self, feature_dim, num_class, num_segments, depth):
        super().__init__(feature_dim, num_class, num_segments)
        self.layers = nn.Sequential(*(nn.Linear(num_class, num_class) for _ in range(depth)))

    def forward(self, x):
        return self.layers(x).mean(1)


@pytest.mark.parametrize("depth, other", [(1, 2), (2, 1), (2, 0)])
def test_a_head_with_other_options_is_new_as_a_whole(monkeypatch, depth, other):
    """Layers that fit are of no use without those that do not."""
    monkeypatch.setitem(HEADS, "deep", Deep)
    source, target = (thin(consensus_type="deep", depth=number) for number in (depth, other))
    before = {key: value.clone() for key, value in target.state_dict().items()}
    new = load_weights(target, source.state_dict(), "test", tune=True)
    assert new == [key for key in before if not key.startswith("base_model.")]
    assert all(torch.equal(target.state_dict()[key], before[key]) for key in new)
    with pytest.raises(InputError, match="holds another network"):
        load_weights(target, source.state_dict(), "test")


def test_half_and_double_precision_become_single():
    source, target = thin(), thin()
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        weights = {key: v.to(kind) if v.is_floating_point() else v for key, v in source.state_dict().items()}
        load_weights(target, weights, "test")
        assert {v.dtype for v in target.state_dict().values()} == {torch.float32, torch.int64}
        for key, value in target.state_dict().items():
            assert torch.equal(value, weights[key].to(value.dtype))


@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize("key", ["base_model.layer2.0.conv1.weight", "new_fc.weight"])
def test_whole_numbers_are_no_weights(key, tune):
    """Those of a quantised network, say, which mean nothing without their scale."""
    weights = thin().state_dict()
    weights[key] = weights[key].mul(100).to(torch.int8)
    with pytest.raises(InputError, match=rf"F.pth holds another network \({re.escape(key)} is of int8 there; 1 tens"):
        load_weights(thin(), weights, "F.pth", tune)


def test_a_weight_that_is_there_twice():
    weights = thin().state_dict()
    twice = weights | {"base_model.layer2.0.conv1.net.weight": weights["base_model.layer2.0.conv1.weight"]}
    with pytest.raises(InputError, match=r"holds a weight twice, as .*\.conv1\.weight and as .*\.conv1\.net\.weight;"):
        load_weights(thin(), twice, "F.pth")


@pytest.mark.parametrize("tune", [True, False])
def test_weights_that_are_in_no_network_here_are_not_left_out(tune):
    more = {"base_model.layer2.0.conv3.weight": torch.ones(1)}
    with pytest.raises(InputError, match=r"\(base_model.layer2.0.conv3.weight is not here; 1 tensors differ\)"):
        load_weights(thin(), thin().state_dict() | more, "F.pth", tune)


# ---------------------------------------------------------------- pretrained backbones


def test_pretrained_from_a_run_of_ours(tmp_path):
    source, target = thin(9, shift=True), thin(4)
    save_checkpoint(tmp_path / "x.pth", {"state_dict": source.state_dict(), "epoch": 1})
    load_pretrained(target.base_model, "resnet_thin", str(tmp_path / "x.pth"))
    assert same_weights(source.base_model, target.base_model)


def test_pretrained_with_new_non_local_blocks(tmp_path):
    source, target = thin(), thin(non_local=True)
    torch.save(source.state_dict(), tmp_path / "x.pth")
    load_pretrained(target.base_model, "resnet_thin", str(tmp_path / "x.pth"))
    assert torch.equal(source.base_model.layer2[0].conv1.weight, target.base_model.layer2[0].block.conv1.weight)


def test_pretrained_for_another_network(tmp_path):
    torch.save(thin().state_dict(), tmp_path / "x.pth")
    with pytest.raises(InputError, match="x.pth holds another network"):
        load_pretrained(build_model("resnet18", 4, 4).base_model, "resnet18", str(tmp_path / "x.pth"))


def test_no_imagenet_weights_for_the_thin_resnet():
    with pytest.raises(InputError, match="no ImageNet weights for resnet_thin; use --pretrain none"):
        load_pretrained(thin().base_model, "resnet_thin", "imagenet")


def test_imagenet_weights_from_torchs_folder(tmp_path, monkeypatch):
    """A file put where the error message says is used, without network; old files have no counters."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source, target = build_model("resnet18", 4, 4), build_model("resnet18", 4, 4)
    weights = {
        key.removeprefix("base_model."): value
        for key, value in source.state_dict().items()
        if key.startswith("base_model.") and "num_batches" not in key
    }
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    torch.save(
        weights | {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)},
        tmp_path / "hub/checkpoints/resnet18-f37072fd.pth",
    )
    load_pretrained(target.base_model, "resnet18", "imagenet")
    assert same_weights(source.base_model, target.base_model)


def test_names_of_the_files():
    assert (ckpt.LAST, ckpt.BEST) == ("ckpt.pth.tar", "ckpt.best.pth.tar")


def test_a_loader_that_dies_while_a_checkpoint_is_written_is_no_full_disk(tmp_path, monkeypatch):
    weights = {"state_dict": {"w": torch.ones(1)}}
    ckpt.save_checkpoint(tmp_path / "a.pth", weights | {"epoch": 1})

    def dies(content, file):
        try:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
        finally:
            if content["epoch"] == 3:  # as torch does when it closes a file that is cut short
                raise RuntimeError("unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", dies)
    for epoch in (2, 3):
        with pytest.raises(RuntimeError, match="DataLoader worker"):
            ckpt.save_checkpoint(tmp_path / "a.pth", weights | {"epoch": epoch})
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
    assert ckpt.load_checkpoint(tmp_path / "a.pth")["epoch"] == 1
