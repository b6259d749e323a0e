"""The command line: every flag in every spelling, and one line that tells what is wrong."""

import shlex
from dataclasses import fields

import pytest

from ops.options.cli import ArgumentParser
from ops.options.config import Config
from ops.options.parsing import add_dataset_options, add_options, parse

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
    "keep_damaged": (None, True),
    "on_bad_video": ("skip", "skip"),
    "crop_scales": ("1 0.875", (1.0, 0.875)),
    "optimizer": ("adamw", "adamw"),
    "eps": ("1e-6", 1e-6),
    "warmup_epochs": ("5", 5),
    "layer_decay": ("0.75", 0.75),
    "freeze_backbone": (None, True),
    "label_smoothing": ("0.1", 0.1),
    "class_weights": ("balanced", "balanced"),
    "ema": ("0.99", 0.99),
    "mixup": ("0.2", 0.2),
    "cutmix": ("1", 1.0),
    "rand_augment": (None, True),
    "erasing": ("0.25", 0.25),
    "frame_keep": ("0.5", 0.5),
    "clip_share": ("0.7", 0.7),
    "clip_speed": ("1.5", 1.5),
    "arch": ("resnet_thin", "resnet_thin"),
    "feature_dim": ("512", 512),
    "pretrain": ("none", "none"),
    "tune_from": ("x.pth", "x.pth"),
    "num_segments": ("16", 16),
    "num_frames": ("64", 64),
    "cluster": ("slope", "slope"),
    "cluster_after": ("layer1:8", "layer1:8"),
    "distance": ("cosine", "cosine"),
    "reduce": ("random", "random"),
    "cluster_start_epoch": ("6", 6),
    "shift": (None, True),
    "shift_div": ("4", 4),
    "shift_place": ("block", "block"),
    "temporal": ("stm", "stm"),
    "shift_direction": ("past", "past"),
    "temporal_pool": (None, True),
    "temporal_max": (None, True),
    "non_local": (None, True),
    "dense_sample": (None, True),
    "consensus_type": ("identity", "identity"),
    "trn_mlps": ("per_tuple", "per_tuple"),
    "trn_tuples": ("all", "all"),
    "vlad_form": ("breakfast", "breakfast"),
    "vlad_stage": ("1", 1),
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
    "freeze_bn": (None, True),
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
    "scores": ("s.npz", "s.npz"),
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
    "eps": ["--optimizer=adam"],
    "stem_chunk": ["--freeze_stem_bn"],
    "stem_grad": ["--freeze_stem_bn"],
    "shift_div": ["--shift"],
    "shift_place": ["--shift"],
    "shift_direction": ["--temporal=shift"],
    "dense_sample": ["--cluster=none"],
    "evaluate": ["--resume=c.pth"],
    "trn_mlps": ["--consensus_type=TRNmultiscale"],
    "trn_tuples": ["--consensus_type=TRNmultiscale"],
    "vlad_form": ["--consensus_type=ActionVLAD"],
    "vlad_stage": ["--consensus_type=ActionVLAD"],
    "scores": ["--evaluate", "--resume=c.pth"],
}


OF_MODALITY = {"feature_dim": ["movingmnist", "Features"]}


def value_of(name, *words):
    return getattr(parse([*OF_MODALITY.get(name, DATA), *NEEDS.get(name, []), *words])[0], name)


def usage_error(capsys, *words):
    """The error line of a command line that cannot be read."""
    with pytest.raises(SystemExit) as end:
        parse(words)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    return err


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
    _, given = parse([*OF_MODALITY.get(name, DATA), *needed, f"--{name}", *(text.split() if text else [])])
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


@pytest.mark.parametrize(
    "name",
    [
        "root_path",
        "train_list",
        "val_list",
        "category_file",
        "pretrain",
        "tune_from",
        "resume",
        "root_log",
        "root_model",
    ],
)
def test_paths_from_home(monkeypatch, name):
    """Shells leave `~` as it is behind `=`."""
    monkeypatch.setenv("HOME", "/home/me")
    assert value_of(name, f"--{name}=~/x") == "/home/me/x"
    assert value_of(name, f"--{name}=x~") == "x~"


def test_a_dataset_from_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse(["~/mine", "RGB"])[0].dataset == "/home/me/mine"


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
        ([*DATA, "--cluster", "medoids"], "medoids"),
        ([*DATA, "--distance", "l1"], "l1"),
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


# ---------------------------------------------------------------- parsers of other programs


def test_options_lent_to_another_program(capsys):
    parser = ArgumentParser(prog="other.py")
    add_options(parser, ["lr", "arch", "shift"])
    add_options(parser, ["batch_size"], default=8, help="videos at a time")
    add_options(parser, ["device"], default=None)
    assert vars(parser.parse_args([])) == {"batch_size": 8, "device": None}
    words = "--learning-rate 0.5 --arch resnet18 --shift -b 2 --device cpu"
    given = {"lr": 0.5, "arch": "resnet18", "shift": True, "batch_size": 2, "device": "cpu"}
    assert vars(parser.parse_args(words.split())) == given
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "videos at a time (default 8)" in " ".join(capsys.readouterr().out.split())


def test_dataset_options_with_and_without_a_modality(capsys):
    parser = ArgumentParser(prog="other.py")
    group = add_dataset_options(parser)
    group.add_argument("--own", default=1)
    words = ["mini", "Flow", "--no_flip", "--root_path", "there"]
    parsed = {"dataset": "mini", "modality": "Flow", "no_flip": True, "root_path": "there", "own": 1}
    assert vars(parser.parse_args(words)) == parsed
    with pytest.raises(SystemExit):
        parser.parse_args(["mini"])
    assert "modality" in capsys.readouterr().err
    parser = ArgumentParser(prog="other.py")
    add_dataset_options(parser, modality_needed=False)
    assert vars(parser.parse_args(["mini"])) == {"dataset": "mini", "modality": None}


def test_a_misspelt_flag_gets_the_one_that_was_meant(capsys):
    assert "--clustr slope; did you mean --cluster?" in usage_error(capsys, *DATA, "--clustr", "slope")
    assert "did you mean" not in usage_error(capsys, *DATA, "--nothing_of_the_kind")
