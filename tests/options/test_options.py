"""The command line: every flag in every spelling, and one line that tells what is wrong."""

import shlex
from dataclasses import fields, replace

import pytest
import torch

from ops.errors import InputError
from ops.options.config import MODEL_FIELDS, PLACE_FIELDS, PROTOCOL_FIELDS, Config, adopt, parse, pick_device, plain

DATA = ["movingmnist", "RGB"]

# every option with a value that is not its default: name -> (words on the command line, value in the config)
OPTIONS = {
    "root_path": ("some/data", "some/data"),
    "train_list": ("a.txt", "a.txt"),
    "val_list": ("b.txt", "b.txt"),
    "image_tmpl": ("f{:03d}.png", "f{:03d}.png"),
    "first_frame": ("0", 0),
    "num_class": ("12", 12),
    "category_file": ("names.txt", "names.txt"),
    "no_flip": (None, True),
    "on_bad_video": ("skip", "skip"),
    "crop_scales": ("1 0.875", (1.0, 0.875)),
    "arch": ("resnet_thin", "resnet_thin"),
    "pretrain": ("none", "none"),
    "tune_from": ("x.pth", "x.pth"),
    "num_segments": ("16", 16),
    "num_frames": ("64", 64),
    "cluster": ("slope", "slope"),
    "cluster_after": ("layer2", "layer2"),
    "cluster_start_epoch": ("6", 6),
    "shift": (None, True),
    "shift_div": ("4", 4),
    "shift_place": ("block", "block"),
    "temporal_pool": (None, True),
    "non_local": (None, True),
    "dense_sample": (None, True),
    "consensus_type": ("identity", "identity"),
    "dropout": ("0.8", 0.8),
    "input_size": ("112", 112),
    "epochs": ("40", 40),
    "start_epoch": ("3", 3),
    "batch_size": ("16", 16),
    "lr": ("0.01", 0.01),
    "lr_type": ("cos", "cos"),
    "lr_steps": ("20 40", (20.0, 40.0)),
    "momentum": ("0.8", 0.8),
    "wd": ("1e-4", 1e-4),
    "gd": ("20", 20.0),
    "npb": (None, True),
    "freeze_stem_bn": (None, True),
    "stem_chunk": ("8", 8),
    "stem_memory": ("2M", 2**21),
    "stem_grad": ("representative", "representative"),
    "frame_stride": ("2", 2),
    "accum": ("4", 4),
    "bucket": ("8", 8),
    "amp": ("bf16", "bf16"),
    "sync_bn": (None, True),
    "compile": (None, True),
    "skip_nonfinite": (None, True),
    "print_freq": ("5", 5),
    "eval_freq": ("1", 1),
    "workers": ("0", 0),
    "seed": ("7", 7),
    "device": ("cpu", "cpu"),
    "resume": ("c.pth", "c.pth"),
    "evaluate": (None, True),
    "suffix": ("again", "again"),
    "overwrite": (None, True),
    "root_log": ("l", "l"),
    "root_model": ("m", "m"),
    "deterministic": (None, True),
    "trust_checkpoint": (None, True),
    "save_every_steps": ("9", 9),
    "save_every_minutes": ("0.5", 0.5),
}
ALIASES = {
    "-j": "workers",
    "-b": "batch_size",
    "-e": "evaluate",
    "--learning_rate": "lr",
    "--weight_decay": "wd",
    "--clip_gradient": "gd",
}
NEEDS = {
    "shift_div": ["--shift"],
    "shift_place": ["--shift"],
    "dense_sample": ["--cluster=none"],
    "evaluate": ["--resume=c.pth"],
    "stem_chunk": ["--freeze_stem_bn"],
    "stem_grad": ["--freeze_stem_bn"],
}


def value_of(name, *words):
    return getattr(parse([*DATA, *NEEDS.get(name, []), *words])[0], name)


def usage_error(capsys, *words):
    """The error line of a command line that cannot be read."""
    with pytest.raises(SystemExit) as end:
        parse(words)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def contradiction(*words):
    with pytest.raises(InputError) as error:
        parse([*DATA, *words])
    assert "\n" not in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------- reading


def test_the_table_above_is_complete():
    assert {"dataset", "modality", *OPTIONS} == {field.name for field in fields(Config)}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_in_every_spelling(name):
    text, expected = OPTIONS[name]
    values = [] if text is None else text.split()
    assert getattr(Config(*DATA), name) != expected
    flags = {f"--{name}", f"--{name.replace('_', '-')}"}
    for alias in (alias for alias, target in ALIASES.items() if target == name):
        flags |= {alias, alias[:2] + alias[2:].replace("_", "-")}
    for flag in flags:
        assert value_of(name, flag, *values) == expected
        if len(values) == 1 and flag.startswith("--"):
            assert value_of(name, f"{flag}={text}") == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_what_was_given_is_known(name):
    text, _ = OPTIONS[name]
    needed = NEEDS.get(name, [])
    _, given = parse([*DATA, *needed, f"--{name}", *(text.split() if text else [])])
    assert given == {"dataset", "modality", name} | {word[2:].partition("=")[0] for word in needed}


def test_flags_may_stand_anywhere():
    for words in (["--evaluate", *DATA, "--resume", "x"], [*DATA, "--resume", "x", "-e"], ["-e", "--resume=x", *DATA]):
        config, _ = parse(words)
        assert (config.dataset, config.modality, config.evaluate, config.resume) == ("movingmnist", "RGB", True, "x")


def test_dashes_in_values_stay():
    assert value_of("suffix", "--suffix=a-b_c") == "a-b_c" and value_of("root_path", "--root-path", "a-b") == "a-b"


def test_the_published_commands():
    train, _ = parse(
        shlex.split(
            "movingmnist RGB --arch resnet18 --num_segments 16 --gd 20 --lr 0.001 --epochs 40 --batch-size 16 -j 16"
            " --dropout 0.8 --consensus_type=avg --eval-freq=1 --shift --shift_div=8 --shift_place=blockres --npb"
        )
    )
    assert train == Config(
        "movingmnist",
        "RGB",
        arch="resnet18",
        num_segments=16,
        gd=20,
        lr=0.001,
        epochs=40,
        batch_size=16,
        workers=16,
        dropout=0.8,
        consensus_type="avg",
        eval_freq=1,
        shift=True,
        shift_div=8,
        shift_place="blockres",
        npb=True,
    )
    assert (train.cluster, train.cluster_after, train.num_frames) == ("cumulative", "layer1", None)
    evaluation, _ = parse(
        shlex.split(
            "--evaluate movingmnist RGB --arch resnet18 --num_segments 16 --batch-size 16 -j 16 --consensus_type=avg"
            " --resume=path_to_the_best_model.pth"
        )
    )
    assert evaluation.evaluate and evaluation.resume == "path_to_the_best_model.pth" and not evaluation.shift


def test_tsm_defaults():
    config = parse(DATA)[0]
    assert (
        config.arch,
        config.num_segments,
        config.dropout,
        config.epochs,
        config.batch_size,
        config.lr,
        config.lr_type,
        config.lr_steps,
        config.momentum,
        config.wd,
        config.gd,
        config.eval_freq,
        config.print_freq,
        config.shift_div,
        config.shift_place,
    ) == ("resnet50", 8, 0.5, 120, 128, 0.001, "step", (50.0, 100.0), 0.9, 5e-4, None, 5, 20, 8, "blockres")


def test_chunks_by_number_and_by_name(capsys):
    assert [value_of("stem_chunk", "--stem_chunk", text) for text in ("auto", "0", "8")] == ["auto", 0, 8]
    for text in ("-1", "all", "2.5"):
        assert "--stem_chunk" in usage_error(capsys, *DATA, f"--stem_chunk={text}")


def test_sizes_in_bytes(capsys):
    texts = ("auto", "0", "100", "3k", "512M", "2G")
    assert [value_of("stem_memory", "--stem_memory", text) for text in texts] == [
        "auto",
        0,
        100,
        3072,
        512 * 2**20,
        2 * 2**30,
    ]
    for text in ("-1", "G", "2GM", "1.5G", "lots"):
        assert "--stem_memory" in usage_error(capsys, *DATA, f"--stem_memory={text}")


def test_all_frames_by_name():
    assert value_of("num_frames", "--num_frames", "all") is None


def test_help_shows_every_option_and_an_example(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    words = text.replace(",", " ").split()
    assert not [name for name in OPTIONS if f"--{name}" not in words] and {"-j", "-b", "-e", "dataset"} <= {*words}
    assert "python main.py movingmnist RGB --arch" in text and "--evaluate" in text
    for choice in ("cumulative", "slope", "even", "random", "none", "layer3", "resnext50", "blockres", "identity"):
        assert choice in text


# ---------------------------------------------------------------- values that cannot be


@pytest.mark.parametrize(
    "words, culprit",
    [
        (["movingmnist", "Depth"], "Depth"),
        (["movingmnist"], "modality"),
        ([], "dataset"),
        ([*DATA, "--nosuchflag"], "--nosuchflag"),
        ([*DATA, "--num_seg", "8"], "--num_seg"),
        ([*DATA, "two\nlines"], "two lines"),
        ([*DATA, "--arch", "vgg"], "vgg"),
        ([*DATA, "--cluster", "kmeans"], "kmeans"),
        ([*DATA, "--cluster_after", "layer5"], "layer5"),
        ([*DATA, "--shift_place", "nowhere"], "nowhere"),
        ([*DATA, "--consensus_type", "max"], "max"),
        ([*DATA, "--lr_type", "linear"], "linear"),
        ([*DATA, "--num_segments", "0"], "--num_segments: 0 must be at least 1"),
        ([*DATA, "--num_segments", "-3"], "-3 must be at least 1"),
        ([*DATA, "--num_segments", "8.5"], "'8.5' is not a number"),
        ([*DATA, "--num_segments"], "--num_segments"),
        ([*DATA, "--num_frames", "0"], "0 must be at least 1"),
        ([*DATA, "--num_frames", "most"], "'most' is not a number"),
        ([*DATA, "--cluster_start_epoch", "-1"], "-1 must be at least 0"),
        ([*DATA, "--shift", "--shift_div", "1"], "1 must be at least 2"),
        ([*DATA, "--dropout", "1.5"], "1.5 must be at least 0 and at most 1"),
        ([*DATA, "--dropout", "nan"], "nan must be"),
        ([*DATA, "--input_size", "8"], "8 must be at least 16"),
        ([*DATA, "--epochs", "0"], "0 must be at least 1"),
        ([*DATA, "--start_epoch", "-1"], "-1 must be at least 0"),
        ([*DATA, "-b", "0"], "0 must be at least 1"),
        ([*DATA, "--batch-size", "0"], "0 must be at least 1"),
        ([*DATA, "--lr", "0"], "0 must be above 0"),
        ([*DATA, "--lr", "-0.1"], "-0.1 must be above 0"),
        ([*DATA, "--lr", "inf"], "inf must be"),
        ([*DATA, "--lr", "fast"], "'fast' is not a number"),
        ([*DATA, "--lr_steps"], "--lr_steps"),
        ([*DATA, "--lr_steps", "10", "x"], "'x' is not a number"),
        ([*DATA, "--momentum", "2"], "2 must be"),
        ([*DATA, "--wd", "-1"], "-1 must be at least 0"),
        ([*DATA, "--gd", "0"], "0 must be above 0"),
        ([*DATA, "--accum", "0"], "0 must be at least 1"),
        ([*DATA, "--bucket", "0"], "0 must be at least 1"),
        ([*DATA, "--amp", "fp8"], "'fp8'"),
        ([*DATA, "-j", "-1"], "-1 must be at least 0"),
        ([*DATA, "--print_freq", "0"], "0 must be at least 1"),
        ([*DATA, "--eval-freq", "0"], "0 must be at least 1"),
        ([*DATA, "--seed", "-1"], "-1 must be at least 0"),
        ([*DATA, "--seed", "99999999999999999999"], "at most 4294967295"),
        ([*DATA, "--shift=yes"], "--shift"),
    ],
)
def test_bad_values(capsys, words, culprit):
    assert culprit in usage_error(capsys, *words)


# ---------------------------------------------------------------- contradictions


@pytest.mark.parametrize(
    "words, parts",
    [
        ("--cluster none --num_frames 64", ["--num_frames", "--cluster none"]),
        ("--cluster none --cluster_after layer2", ["--cluster_after", "--cluster none"]),
        ("--cluster none --cluster_start_epoch 3", ["--cluster_start_epoch", "--cluster none"]),
        ("--cluster none --stem_chunk 8", ["--stem_chunk", "--cluster none"]),
        ("--cluster none --stem_grad representative", ["--stem_grad", "--cluster none"]),
        ("--cluster none --frame_stride 2", ["--frame_stride", "--cluster none"]),
        ("--cluster none --freeze_stem_bn", ["--freeze_stem_bn", "--cluster none"]),
        ("--stem_grad representative --stem_chunk 0", ["--stem_grad representative", "--stem_chunk 0"]),
        ("--sync_bn --freeze_stem_bn", ["--sync_bn", "--npb", "--freeze_stem_bn"]),
        ("--stem_chunk 8", ["--stem_chunk 8", "--freeze_stem_bn", "--stem_chunk auto"]),
        ("--stem_grad representative --npb", ["--stem_grad representative", "--freeze_stem_bn", "--stem_grad exact"]),
        ("--dense_sample", ["--dense_sample", "--cluster none"]),
        ("--shift_div 4", ["--shift_div", "--shift"]),
        ("--shift_place block", ["--shift_place", "--shift"]),
        ("--shift --cluster_after layer4", ["--shift", "--cluster_after layer4"]),
        ("--non_local --cluster_after layer3", ["--non_local", "--cluster_after layer3"]),
        ("--temporal_pool --cluster_after layer2", ["--temporal_pool", "layer2"]),
        ("--cluster_start_epoch 40 --epochs 40", ["--cluster_start_epoch 40", "--epochs 40"]),
        ("--evaluate", ["--evaluate", "--resume PATH"]),
        ("--suffix a/b", ["--suffix", "'a/b'"]),
        ("--resume a.pth --tune_from b.pth", ["--resume a.pth", "--tune_from b.pth"]),
        ("--resume auto --tune_from b.pth --pretrain a.pth", ["--tune_from b.pth", "--pretrain a.pth"]),
        ("--tune_from b.pth --pretrain imagenet", ["--tune_from b.pth", "--pretrain imagenet"]),
        ("--resume a.pth --tune_from b.pth --pretrain none", ["--resume a.pth", "--tune_from b.pth"]),
    ],
)
def test_contradictions_name_both_sides(words, parts):
    text = contradiction(*words.split())
    assert [part for part in parts if part not in text] == []


@pytest.mark.parametrize(
    "words",
    [
        "--cluster none --num_frames all",
        "--cluster none --dense_sample",
        "--dense_sample --cluster_start_epoch 3",
        "--shift --cluster_after layer3",
        "--non_local --cluster_after layer2",
        "--temporal_pool --cluster_after layer1",
        "--cluster_start_epoch 39 --epochs 40",
        "--tune_from b.pth --pretrain none",
        "--shift --cluster none",
        "--sync_bn",
        "--sync_bn --stem_chunk 0",
        "--sync_bn --stem_chunk 8 --freeze_stem_bn --npb",
        "--stem_grad representative --freeze_stem_bn",
        "--evaluate --resume a.pth --stem_chunk 8",
        "--resume auto --tune_from b.pth",
        "--resume auto --pretrain b.pth",
    ],
)
def test_what_fits_together(words):
    parse([*DATA, *words.split()])


# ---------------------------------------------------------------- with a checkpoint

STORED = plain(
    Config(
        "movingmnist",
        "RGB",
        arch="resnet18",
        num_segments=16,
        shift=True,
        lr=0.02,
        epochs=40,
        seed=5,
        input_size=112,
        root_path="there",
        workers=3,
        lr_steps=(10.0, 20.0),
    )
)


def adopted(*words, stored=STORED):
    config, given = parse([*DATA, "--resume", "c.pth", *words])
    return adopt(config, given, stored, "c.pth")


def test_every_field_has_its_place():
    names = [field.name for field in fields(Config)]
    taken = [*MODEL_FIELDS, *PROTOCOL_FIELDS, *PLACE_FIELDS]
    assert len(taken) == len(set(taken)) and set(taken) <= set(names)
    assert set(names) - set(taken) == {
        "dropout",
        "epochs",
        "batch_size",
        "lr",
        "lr_type",
        "lr_steps",
        "momentum",
        "wd",
        "gd",
        "npb",
        "freeze_stem_bn",
        "stem_chunk",
        "stem_memory",
        "stem_grad",
        "cluster_start_epoch",
        "eval_freq",
        "suffix",
        "crop_scales",
        "on_bad_video",
        "deterministic",
        "save_every_steps",
        "save_every_minutes",
        "accum",
        "bucket",
        "amp",
        "sync_bn",
        "skip_nonfinite",
    }


def test_evaluation_takes_the_model_and_the_protocol():
    config = adopted("-e")
    assert (config.arch, config.num_segments, config.shift, config.input_size, config.seed) == (
        "resnet18",
        16,
        True,
        112,
        5,
    )
    assert (config.lr, config.epochs, config.root_path) == (0.001, 120, None)


def test_another_protocol_may_be_asked_for():
    config = adopted("-e", "--input_size", "64", "--num_frames", "32", "--seed", "1")
    assert (config.input_size, config.num_frames, config.seed) == (64, 32, 1)


def test_going_on_takes_everything_but_places():
    config = adopted("-j", "2", "--epochs", "60")
    assert (config.lr, config.epochs, config.seed, config.lr_steps) == (0.02, 60, 5, (10.0, 20.0))
    assert (config.workers, config.root_path, config.resume) == (2, None, "c.pth")


@pytest.mark.parametrize(
    "flag, value, stored",
    [
        ("arch", "resnet50", "resnet18"),
        ("num_segments", "8", "16"),
        ("cluster", "none", "cumulative"),
        ("shift_div", "4", "8"),
        ("cluster_after", "layer2", "layer1"),
        ("non_local", None, "False"),
        ("consensus_type", "identity", "avg"),
    ],
)
@pytest.mark.parametrize("purpose", [["-e"], []])
def test_a_flag_against_the_file_names_both_values(flag, value, stored, purpose):
    with pytest.raises(InputError) as error:
        adopted(*purpose, f"--{flag}", *([value] if value else []))
    text = str(error.value)
    assert f"--{flag} {value or True}" in text and f"{flag} {stored}" in text and "c.pth" in text


def test_a_flag_that_agrees_with_the_file():
    assert adopted("-e", "--arch", "resnet18", "--shift", "--shift_div", "8").shift_div == 8


def test_flags_without_effect_on_the_files_model():
    with pytest.raises(InputError, match="--dense_sample"):
        adopted("-e", "--dense_sample")
    with pytest.raises(InputError, match="--num_frames has no effect with --cluster none"):
        adopted("-e", "--num_frames", "9", stored=STORED | {"cluster": "none"})


def test_dense_sampling_before_clustering_does_not_forbid_evaluation():
    stored = plain(Config(*DATA, dense_sample=True, cluster_start_epoch=6))
    assert adopted("-e", stored=stored).dense_sample


def test_another_dataset():
    with pytest.raises(InputError, match="was trained on jester, not movingmnist"):
        adopted(stored=STORED | {"dataset": "jester"})
    assert adopted("-e", stored=STORED | {"dataset": "jester"}).dataset == "movingmnist"


def test_a_file_of_a_later_version():
    assert adopted("-e", stored=STORED | {"unheard_of": 1}) == adopted("-e")
    with pytest.raises(InputError, match="c.pth was trained with arch 'vgg'; here there are only resnet18"):
        adopted("-e", stored=STORED | {"arch": "vgg"})


def test_a_file_without_config():
    config = adopted("-e", "--arch", "resnet34", stored=None)
    assert config.arch == "resnet34" and config.num_segments == 8
    with pytest.raises(InputError, match="--shift_div has no effect without --shift"):
        adopted("-e", "--shift_div", "4", stored=None)


# ---------------------------------------------------------------- what follows from a config


def test_plain_values():
    values = plain(Config(*DATA))
    assert values["lr_steps"] == [50.0, 100.0] and values["gd"] is None
    assert all(value is None or isinstance(value, (str, int, float, bool, list)) for value in values.values())


@pytest.mark.parametrize(
    "options, name",
    [
        ({}, "TSM_movingmnist_RGB_resnet50_cumulative-layer1_avg_segment8_e120"),
        ({"shift": True, "cluster": "none"}, "TSM_movingmnist_RGB_resnet50_shift8_blockres_avg_segment8_e120"),
        (
            {"lr_type": "cos", "non_local": True, "suffix": "x"},
            "TSM_movingmnist_RGB_resnet50_cumulative-layer1_avg_segment8_e120_cos_nl_x",
        ),
    ],
)
def test_names_of_runs(options, name):
    assert Config(*DATA, **options).store_name == name


def test_folder_of_a_dataset(monkeypatch):
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    assert str(Config(*DATA).root) == "data/movingmnist"
    monkeypatch.setenv("FULL_VIDEO_DATA", "/disk")
    assert str(Config(*DATA).root) == "/disk/movingmnist"
    assert str(Config(*DATA, root_path="mine").root) == "mine"


def test_lists_are_looked_for_here_and_in_the_datasets_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(*DATA, root_path="data", val_list="mine.txt")
    assert str(config.list_file("mine.txt")) == "data/mine.txt"
    (tmp_path / "mine.txt").touch()
    assert str(config.list_file("mine.txt")) == "mine.txt"
    (tmp_path / "train_videofolder.txt").touch()  # of another data set: not asked for
    assert str(config.list_file("train_videofolder.txt")) == "data/train_videofolder.txt"


def test_own_lists_replace_the_datasets():
    spec = replace(Config(*DATA), val_list="mine.txt").spec
    assert (spec.train_list, spec.val_list, spec.num_class) == ("train_videofolder.txt", "mine.txt", 4)


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", ""])
def test_devices_that_are_not_there(name):
    with pytest.raises(InputError, match="cannot be used here .*--device cpu"):
        pick_device(name)


def test_device():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device(None).type in ("cpu", "cuda", "mps")
