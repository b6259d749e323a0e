"""Bad input, tried in bulk through the command lines: one `error:` line that names the culprit, nothing left behind.

What is odd but legal has to work.
"""

import argparse
import json
import os
import pickle
import random
import shlex
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import ROOT, load_program
from PIL import Image

from ops.models import build_model
from ops.options import cli
from ops.options.config import OPTIONS, Config, names_of, plain
from ops.training import checkpoint as ckpt

MODEL = {"arch": "resnet_thin", "input_size": 16, "num_segments": 2}
BASE = {  # program -> words that work in the folder of `place`, but for what a row adds
    "main.py": "mini RGB --arch resnet_thin --input_size 16 --num_segments 2 --npb --epochs 1 -b 2 -j 0 --device cpu",
    "main.py --evaluate": "mini RGB -e --resume good.pth -j 0 --device cpu",
    "test_models.py": "mini --weights good.pth -j 0 --device cpu",
    "tools/check_dataset.py": "mini RGB -j 1",
    "tools/predict.py": "mini/b --weights good.pth --device cpu",
    "tools/live.py": "videos/v.mp4 --weights good.pth --device cpu",
    "tools/compare_runs.py": "run",
    "tools/explain.py": "mini/b --weights good.pth --device cpu",
    "tools/report.py": "run",
    "tools/gradient_agreement.py": "mini --weights good.pth --device cpu",
    "tools/draw_clusters.py": "mini --weights good.pth --device cpu",
    "tools/extract_features.py": "mini RGB --weights good.pth --at clusters --device cpu",
    "tools/neighbours.py": "mini_features a",
    "tools/export.py": "--weights good.pth --to torch_export --out good.pt2",
    "tools/cost.py": "--arch resnet_thin --input_size 16 --num_segments 2",
    "tools/study.py plan": "plan --quick",
    "tools/study.py run": "run --quick",
    "tools/study.py check": "check easy-random-g16-e7-s0",
    "tools/study.py report": "report --from_docs",
    "tools/make_lists.py folder": "folder --root folders",
    "tools/make_lists.py ucf101": "ucf101 --root folders",
    "tools/make_lists.py breakfast": "breakfast --root folders",
    "tools/make_lists.py hmdb51": "hmdb51 --root folders",
    "tools/extract_frames.py": "videos frames",
    "tools/extract_flow.py": "folders flow",
    "tools/make_move4mnist.py": "--out made --num_train 4 --num_val 0 --digits glyphs -j 1",
    "tools/pack_frames.py": "mini packed --raw -j 1",
    "tools/benchmark.py loader": "loader --frames 2 --sparse_frames 16 --clips 1 --repeat 1",
    "tools/benchmark.py clustering": "clustering --shape 1x4x2x3x3 --num_segments 2 --repeat 1",
    "tools/benchmark.py step": "step --frames 4 --size 16 --arch resnet_thin --num_segments 2 --repeat 1",
    "tools/benchmark.py live": "live --frames 4 --size 16 --arch resnet_thin --num_segments 2 --window 4 --repeat 1",
    "tools/benchmark.py memory": "memory --frames 4 --size 16 --arch resnet_thin",
}


# ---------------------------------------------------------------- a place to spoil


def save(path: Path) -> None:
    """A checkpoint of an untrained thin model."""
    config = Config("mini", "RGB", **MODEL)
    torch.manual_seed(0)
    model = build_model(num_class=2, **config.model_options)
    content = {"epoch": 0, "state_dict": model.state_dict(), "config": plain(config)}
    ckpt.save_checkpoint(path, content)


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """Sound input for every program: data, a checkpoint, a log, folders of frames."""
    folder = tmp_path_factory.mktemp("template")
    for name in ("mini/a", "mini/b", "mini/c", "folders/x/v", "folders/x/w", "folders/y/v", "folders/y/w"):
        (folder / name).mkdir(parents=True)
        for i in (1, 2, 3):
            noise = Image.frombytes("RGB", (20, 18), random.Random(i).randbytes(20 * 18 * 3))
            noise.save(folder / name / f"{i}.jpg")
    (folder / "mini/train_videofolder.txt").write_text("a 3 0\nb 3 1\n")
    (folder / "mini/val_videofolder.txt").write_text("c 3 1\n")
    (folder / "mini/dataset.json").write_text(json.dumps({"num_class": 2, "image_tmpl": "{}.jpg"}))
    (folder / "mini/category.txt").write_text("x\ny\n")
    save(folder / "good.pth")
    (folder / "mini_features").mkdir()
    for name in "ab":
        np.save(folder / f"mini_features/{name}.features.npy", np.ones((2, 3), np.float16))
    (folder / "run").mkdir()
    (folder / "run/args.json").write_text(json.dumps(plain(Config("mini", "RGB", **MODEL))))
    (folder / "run/log.csv").write_text("epoch,split,top1,seconds,videos,frames\n0,val,50,1,1,3\n")
    (folder / "videos").mkdir()
    (folder / "videos/v.mp4").write_bytes(b"no video")
    (folder / "file").touch()
    return folder


@pytest.fixture
def place(template, tmp_path, monkeypatch) -> Path:
    """A copy of the sound input in the working folder."""
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    return Path(shutil.copytree(template, tmp_path, dirs_exist_ok=True))


def listing(folder: Path) -> dict[str, tuple]:
    """Name, kind, size and time of everything in a folder."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in folders + files:
            facts = os.lstat(os.path.join(top, name))
            size = () if name in folders else (facts.st_size, facts.st_mtime_ns)
            found[os.path.relpath(os.path.join(top, name), folder)] = (facts.st_mode, *size)
    return found


# ---------------------------------------------------------------- flags

# program -> flag -> a value that cannot be, and a word of the message where that is not the flag
VALUES = {
    "main.py": {
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--train_list": ("nowhere.txt", "no list file"),
        "--val_list": ("nowhere.txt", "no list file"),
        "--image_tmpl": ("{:999999999d}.jpg", "999999999d"),
        "--first_frame": "-1",
        "--num_class": "99999999999",
        "--category_file": ("nowhere.txt", "category file mini/nowhere"),
        "--num_frames": "some",
        "--frame_stride": "0",
        "--input_size": "15",
        "--feature_dim": "0",
        "--crop_scales": "1 0",
        "--optimizer": "lion",
        "--eps": "0",
        "--warmup_epochs": "-1",
        "--layer_decay": "1.5",
        "--label_smoothing": "2",
        "--class_weights": "equal",
        "--ema": "1",
        "--mixup": "-1",
        "--cutmix": "nan",
        "--erasing": "2",
        "--frame_keep": "0",
        "--clip_share": "1.1",
        "--clip_speed": "0.5",
        "--on_bad_video": "replace",
        "-j": "-1",
        "--arch": "vgg",
        "--num_segments": "0",
        "--cluster": "medoids",
        "--distance": "manhattan",
        "--reduce": "max",
        "--cluster_after": "fc",
        "--cluster_start_epoch": "-1",
        "--shift_div": "1",
        "--shift_place": "everywhere",
        "--shift_direction": "future",
        "--temporal": "tea",
        "--consensus_type": "max",
        "--trn_mlps": "two",
        "--trn_tuples": "some",
        "--vlad_form": "mine",
        "--vlad_stage": "3",
        "--dropout": "1.5",
        "--pretrain": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--tune_from": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--epochs": "0",
        "--start_epoch": ("1", "nothing to train"),
        "-b": "0",
        "--lr": "inf",
        "--lr_type": "exp",
        "--lr_steps": "5 -5",
        "--momentum": "2",
        "--wd": "nan",
        "--gd": "0",
        "--stem_chunk": "half",
        "--accum": "0",
        "--bucket": "-1",
        "--amp": "fp8",
        "--stem_memory": "1.5G",
        "--save_every_steps": "-1",
        "--save_every_minutes": "nan",
        "--stem_grad": "none",
        "--seed": "4294967296",
        "--device": "abacus",
        "--resume": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--print_freq": "0",
        "--eval_freq": "0.5",
        "--suffix": "../up",
        "--root_log": "file",
        "--root_model": "file",
        "--scores": "mini",
    },
    "test_models.py": {
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--train_list": None,
        "--val_list": ("nowhere.txt", "no list file"),
        "--image_tmpl": ("frame.jpg", "image template 'frame.jpg'"),
        "--first_frame": "x",
        "--num_class": "0",
        "--category_file": ("nowhere.txt", "category file mini/nowhere"),
        "--test_list": ("nowhere.txt", "no list file"),
        "--max_num": "0",
        "-b": "-3",
        "-j": "many",
        "--device": "cuda:x",
        "--stem_chunk": "-1",
        "--weights": ("", "empty path"),
        "--coeff": "nan",
        "--test_crops": "2",
        "--test_segments": "0",
        "--trn_tuples": ("all", "--trn_tuples has no effect with --consensus_type avg"),
        "--csv_file": "good.pth/a.csv",
        "--scores": "mini",
        "--confusion": "good.pth/where",
        "--arch": "vgg",
        "--shift_div": "0",
        "--shift_place": "x",
        "--shift_direction": "x",
        "--temporal": "x",
    },
    "tools/check_dataset.py": {
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--train_list": ("nowhere.txt", "no list file"),
        "--val_list": ("nowhere.txt", "no list file"),
        "--image_tmpl": ("{}{}.jpg", "image template"),
        "--first_frame": "-1",
        "--num_class": "-2",
        "--category_file": ("nowhere.txt", "category file mini/nowhere"),
        "-j": "0",
        "--csv": "good.pth/a.csv",
    },
    "tools/predict.py": {
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--picture": ("x.txt", "cannot draw x.txt"),
        "--category_file": ("nowhere", "category file nowhere"),
        "--short_side": "-1",
        "--on_bad_video": "hide",
        "--chunk": "0",
        "--device": "abacus",
        "--timeline": ("x.txt", "cannot draw x.txt"),
        "--window": "0",
        "--stride": "-1f",
        "--smooth": "0",
        "--threshold": "2",
        "--fps": "0",
    },
    "tools/live.py": {
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--category_file": ("nowhere", "category file nowhere"),
        "--short_side": "-1",
        "--device": "abacus",
        "--window": "0",
        "--every": "x",
        "--smooth": "0",
        "--threshold": "-1",
        "--jsonl": None,  # written to when the source is open, see tests/tools/test_live.py
        "--out": ("x.txt", "x.txt"),
        "--late": "never",
        "--retry": "-1",
        "--format": "abacus",
        "--option": "video_size",
    },
    "tools/extract_features.py": {
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--train_list": ("nowhere.txt", "no list file"),
        "--category_file": None,
        "--val_list": ("nowhere.txt", "no list file"),
        "--image_tmpl": ("frame", "image template 'frame'"),
        "--first_frame": "-1",
        "--num_class": "0",
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--at": "layer9",
        "--arch": "vgg",
        "--input_size": "15",
        "--frames": "0",
        "--short_side": "wide",
        "--out": ("mini", "is the dataset itself"),
        "--chunk": "0",
        "-j": "0",
        "--device": "abacus",
    },
    "tools/neighbours.py": {
        "-k": "0",
        "--sheet": ("x.jpg", "must end in .png"),
        "--videos": ("mini", "has no effect without --sheet"),
        "--strip": "0",
        "--vectors": ("mini", "must end in .npy"),
    },
    "tools/export.py": {
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--to": "tflite",
        "--out": ("good.bin", "writes a file *.pt2; give --out good.pt2"),
        "--clips": "-1",
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--license": ("MIT!", "'MIT!' is no name of a licence"),
    },
    "tools/cost.py": {
        "--picture": ("x.png", "give their log folders"),
        "--weights": ("nowhere.pth", "--arch contradicts --weights"),
        "--frames": "0",
        "--repeat": "0",
        "--json": "good.pth/a",
        "--device": "abacus",
        "--modality": "sound",
        "--input_size": "0",
        "--num_class": "0",
    }
    | {f"--{name}": None for name in names_of("model") if not (OPTIONS[name].positional or OPTIONS[name].switch)},
    "tools/gradient_agreement.py": {
        "--root_path": ("nowhere", "unknown dataset 'mini'"),
        "--train_list": None,
        "--category_file": None,
        "--val_list": ("nowhere.txt", "no list file"),
        "--image_tmpl": ("frame", "image template 'frame'"),
        "--first_frame": "-1",
        "--num_class": "0",
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--num_videos": "0",
        "--num_pairs": "all",
        "--csv": "good.pth/a.csv",
        "--seed": "-1",
        "--device": "abacus",
    },
    "tools/compare_runs.py": {
        "--scores": "x",
        "--against": "x",
        "--picture": ("run", "cannot draw run"),
        "--video": "mini/a",
        "--weights": "good.pth",
    },
    "tools/explain.py": {
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--out": ("x.txt", "cannot draw x.txt"),
        "--label": "z",
        "--category_file": ("nowhere", "category file nowhere"),
        "--pointing": "0",
        "--short_side": "-1",
        "--chunk": "0",
        "--device": "abacus",
    },
    "tools/report.py": {
        "--out": "mini",
        "--title": None,
        "--names": "a b",
        "--data": "nowhere",
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--category_file": None,
        "--strips": "-1",
        "--device": "abacus",
    },
    "tools/draw_clusters.py": {
        "--weights": ("nowhere.pth", "no checkpoint nowhere.pth"),
        "--out": ("file", "cannot write file/clusters.png"),
        "--val_list": ("nowhere.txt", "no list file mini/nowhere.txt"),
        "--videos": ("d", "names no video d; name c"),
        "--methods": "slope medoids",
        "--num_segments": "0",
        "--compare": ("nowhere", "no folder nowhere"),
        "--titles": "a",
        "--device": "abacus",
    },
    "tools/study.py plan": {"--study": "toys", "--root": None, "--seeds": "-1", "--videos": "mini"},
    "tools/study.py run": {
        "--study": "toys",
        "--root": ("file", "file/gradients"),
        "--seeds": "x",
        "--videos": "mini",
        "--jobs": "0",
    },
    "tools/study.py check": {"--study": "toys", "--root": ("nowhere", "no cell 'easy-random-g16-e7-s0' in nowhere")},
    "tools/study.py report": {"--study": "toys", "--root": None, "--out": ("file", "file/images/study.png")},
    "tools/make_lists.py folder": {
        "--root": ("nowhere", "no folder nowhere"),
        "--frames": "nowhere",
        "--image_tmpl": "{}{}",
        "--val_fraction": "1",
        "--seed": "-1",
        "--first_frame": "one",
    },
    "tools/make_lists.py ucf101": {
        "--root": ("nowhere", "no folder nowhere"),
        "--frames": "mini",
        "--image_tmpl": "x",
        "--annotations": ("nowhere", "nowhere"),
        "--split": "4",
    },
    "tools/make_lists.py hmdb51": {
        "--root": ("file", "no folder file"),
        "--frames": "file",
        "--image_tmpl": "{",
        "--annotations": ("file", "file"),
        "--split": "0",
    },
    "tools/make_lists.py breakfast": {
        "--root": ("nowhere", "no folder nowhere"),
        "--frames": "nowhere",
        "--image_tmpl": "{x}",
        "--split": "s5",
    },
    "tools/extract_frames.py": {
        "--template": "frame.jpg",
        "--first": "-1",
        "--short_side": "wide",
        "--fps": "0",
        "--quality": "32",
        "-j": "0",
        "--ext": "",
    },
    "tools/extract_flow.py": {
        "--method": "farneback",
        "--bound": "-1",
        "--template": "flow.jpg",
        "--first": "-1",
        "--last": "forget",
        "--short_side": "wide",
        "--quality": "0",
        "--preview": "p.txt",
        "-j": "0",
        "--ext": "",
    },
    "tools/make_move4mnist.py": {
        "--out": ("mini", "mini: exists already"),
        "--num_train": "-1",
        "--num_val": "x",
        "--seed": "-1",
        "-j": ("0", "workers 0"),
        "--digits": "roman",
        "--backgrounds": ("nowhere", "nowhere: no such folder"),
        "--mnist": ("nowhere", "mnist nowhere and digits glyphs do not go together"),
        "--look": "odd",
        "--brightness": ("90-50", "brightness 90-50"),
        "--sheet": "sheet.txt",
        "--preset": "huge",
        "--num_frames": "3",
        "--speed": "nan",
        "--main": "5-2",
        "--distractor": "x",
        "--empty_run": "1-99999999999",
        "--p_black": "2",
    },
    "tools/pack_frames.py": {"--image_tmpl": ("x", "image template 'x'"), "--first_frame": "-1", "-j": "0"},
    "tools/benchmark.py loader": {
        "--frames": "0",
        "--sparse_frames": "0",
        "--clips": "x",
        "--videos": ("nowhere", "--videos nowhere: there is no video file"),
        "--repeat": "-1",
        "--json": "good.pth/a",
        "--device": "cuda",
    },
    "tools/benchmark.py clustering": {
        "--repeat": "0",
        "--method": "even",
        "--num_segments": "5",
        "--shape": "1x2x3",
        "--json": "good.pth/a",
        "--device": "abacus",
    },
    "tools/benchmark.py live": {
        "--frames": "0",
        "--size": "x",
        "--arch": "vgg",
        "--num_segments": "0",
        "--window": "0",
        "--every": "0",
        "--repeat": "0",
        "--json": "good.pth/a",
        "--device": "cuda:x",
    },
    "tools/benchmark.py step": {
        "--frames": "0",
        "--frame_keep": "0",
        "--size": "x",
        "--arch": "vgg",
        "--num_segments": "0",
        "--stem_chunk": "0",
        "--repeat": "0",
        "--json": "good.pth/a",
        "--device": "cuda:x",
    },
    "tools/benchmark.py memory": {
        "--frames": "0",
        "--size": "-1",
        "--arch": "vgg",
        "--method": "none",
        "--num_segments": "0",
        "--stem_chunk": "x",
        "--stem_memory": "x",
        "--stem_grad": "x",
        "--json": "good.pth/a",
        "--device": "cuda",
    },
}
# --train_list takes any value where no training list is read, and so does --category_file where no class is named, and
# --root where nothing in it is read
FLAG_ROWS = [
    (program, flag, *((value, flag.removeprefix("--")) if isinstance(value, str) else value))
    for program, flags in VALUES.items()
    for flag, value in flags.items()
    if value is not None
]
UNTRIED = {"something", "somethingv2", "jester", "kinetics", "egogestar"}  # sub-commands with the flags of others


class Grabbed(Exception):
    """Carries a program's parser."""


def parsers(program: str, monkeypatch) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a program by the names in `VALUES`, one for each sub-command."""

    def grab(self, *args, **kwargs):
        raise Grabbed(self)

    with monkeypatch.context() as patch:
        patch.setattr(cli.ArgumentParser, "parse_known_args", grab)
        with pytest.raises(Grabbed) as grabbed:
            load_program(program).main([])
    (parser,) = grabbed.value.args
    commands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {f"{program} {name}": sub for name, sub in commands[0].choices.items()} if commands else {program: parser}


def test_every_flag_with_a_value_is_tried(monkeypatch):
    programs = {name.split()[0] for name in BASE}
    assert programs == {"main.py", "test_models.py", *(f"tools/{path.name}" for path in ROOT.glob("tools/[!_]*.py"))}
    for program in programs:
        for name, parser in parsers(program, monkeypatch).items():
            if name.split()[-1] in UNTRIED:
                continue
            flags = {
                action.option_strings[0] for action in parser._actions if action.option_strings and action.nargs != 0
            }
            assert flags == VALUES[name].keys(), name


@pytest.fixture
def fails(run_program, place):
    """`fails(program, words, says)`: the run leaves one error line with this text in it, and nothing else."""

    def run(program: str, words: str, says: str) -> str:
        before = listing(place)
        ran = run_program(program.split()[0], *shlex.split(words))
        assert says in ran.error and "Traceback" not in ran.out
        assert listing(place) == before
        return ran.error

    return run


@pytest.mark.parametrize("program, flag, value, says", FLAG_ROWS, ids=[f"{r[0]} {r[1]}" for r in FLAG_ROWS])
def test_impossible_values(fails, program, flag, value, says):
    fails(program, f"{BASE[program]} {flag} {' '.join(map(shlex.quote, value.split(' ')))}", says)


# ---------------------------------------------------------------- flags that contradict


@pytest.mark.parametrize(
    "program, words, says",
    [
        ("main.py", "--cluster none --num_frames 4", "--num_frames has no effect with --cluster none"),
        ("main.py", "--cluster none --stem_chunk 8", "--stem_chunk has no effect with --cluster none"),
        ("main.py", "--cluster none --frame_keep 0.5", "--frame_keep has no effect with --cluster none"),
        ("main.py", "--cluster none --clip_speed 2", "--clip_speed has no effect with --cluster none, which samples"),
        ("main.py", "--cluster none --cluster_after layer2", "--cluster_after has no effect with --cluster none"),
        ("main.py", "--cluster_after layer1:32,layer2:16", "it ends with 16 clusters, and num_segments is"),
        ("main.py", "--cluster even --distance cosine", "--distance has no effect but with --cluster slope and cumul"),
        ("main.py", "--cluster none --reduce random", "--reduce has no effect with --cluster none"),
        ("main.py", "--dense_sample", "--dense_sample samples frames where clustering sees all"),
        ("main.py", "--shift_div 4", "--shift_div has no effect without --shift"),
        ("main.py", "--shift --cluster_after layer4", "--shift finds no stage to work in"),
        ("main.py", "--shift --temporal stm", "--shift is --temporal shift and contradicts --temporal stm"),
        ("main.py", "--arch mobilenetv2 --temporal stm", "--temporal stm finds no stage to work in"),
        ("main.py", "--arch bninception --shift", "--shift_place blockres finds no place in --arch bninception"),
        ("main.py", "--arch mobilenetv2 --cluster_after layer1", "its blocks end without a ReLU"),
        ("main.py", "--non_local --cluster_after layer3", "--non_local finds no stage to work in"),
        ("main.py", "--temporal_pool --cluster_after layer2", "--temporal_pool comes before layer2"),
        ("main.py", "--stem_grad representative --stem_chunk 0", "--stem_grad representative is for a stem in chunks"),
        ("main.py", "--stem_chunk 8", "--stem_chunk 8 trains a stem in chunks, in which BatchNorms cannot train"),
        ("main.py", "--cluster_start_epoch 5", "lies beyond --epochs 1"),
        ("main.py", "--lr_type cos --lr_steps 1", "--lr_steps has no effect with --lr_type cos"),
        ("main.py", "--eps 1e-6", "--eps has no effect with --optimizer sgd"),
        ("main.py", "--optimizer adam --momentum 1", "--momentum 1 is no beta of --optimizer adam"),
        ("main.py", "--layer_decay 0.5 --freeze_backbone", "--layer_decay has no effect with --freeze_backbone"),
        ("main.py", "--warmup_epochs 1", "--warmup_epochs 1 leaves nothing of --epochs 1"),
        ("main.py", "--mixup 1 -b 1", "--mixup mixes two videos of a process's batch, and --batch_size 1 gives"),
        ("main.py", "--stem_memory 1M --stem_chunk 0", "--stem_memory has no effect with --stem_chunk 0"),
        ("main.py", "--sync_bn", "--sync_bn has no effect in a single process"),
        ("main.py", "--shift --shift_div 13", "--shift_div 13 shifts no channel of a stage that takes in 12"),
        ("main.py", "--scores good.pth/where", "good.pth/where cannot be written"),
        ("main.py --evaluate", "--scores good.pth/where", "good.pth/where cannot be written"),
        ("main.py", "--evaluate", "--evaluate needs the checkpoint to evaluate"),
        ("main.py", "--resume good.pth --tune_from good.pth", "contradict each other"),
        ("main.py", "--tune_from good.pth --pretrain good.pth", "contradict each other"),
        ("main.py", "--pretrain imagenet", "no ImageNet weights for resnet_thin"),
        ("main.py", "--num_segments two", "'two' is not a number"),
        ("main.py", "--num_segment 2", "unrecognized arguments: --num_segment"),
        ("main.py", "third", "unrecognized arguments: third"),
        *(
            ("main.py", f"{flag} ''", f"argument {flag}: its value is empty")
            for flag in ("--resume", "--tune_from", "--pretrain", "--root_path", "--category_file", "--root_log")
        ),
        ("test_models.py", "--confusion=", "argument --confusion: its value is empty"),
        ("main.py", "--resume good.pth --shift", "--shift True contradicts good.pth"),
        ("main.py", f"--suffix {'x' * 300}", "File name too long"),
        ("main.py", f"--root_path {'x' * 300}", "File name too long"),
        ("main.py --evaluate", "--num_segments 3", "--num_segments 3 contradicts good.pth"),
        ("main.py --evaluate", "--arch resnet18", "--arch resnet18 contradicts good.pth"),
        ("main.py --evaluate", "--num_class 3", "was trained on another number of classes"),
        ("test_models.py", "--twice_sample --dense_sample", "not allowed with argument"),
        ("test_models.py", "--twice_sample", "--twice_sample has no meaning for good.pth"),
        ("test_models.py", "--coeff 1,2", "--coeff has 2 values for 1 --weights"),
        ("test_models.py", "--coeff 0", "--coeff is zero"),
        ("test_models.py", "--csv_file x --scores ./x", "name the same file"),
        ("test_models.py", "Flow", "trained on RGB, not Flow"),
        ("test_models.py", "--weights good.pth,nowhere.pth", "no checkpoint nowhere.pth"),
        ("tools/make_lists.py folder", "--frames .", "--frames . is not in folders"),
        ("tools/make_lists.py folder", "--image_tmpl {:05d}.jpg", "no {:05d}.jpg in it"),
        ("tools/make_move4mnist.py", "--speed 9", "lower speed or main"),
        ("tools/make_move4mnist.py", "--main 20-30 --distractor 10-20", "are more than num_frames 32"),
        ("tools/make_move4mnist.py", "--num_train 0", "there is nothing to make"),
        ("tools/make_move4mnist.py", "--backgrounds folders/x/v --sheet folders", "must end in .png"),
        (
            "tools/compare_runs.py",
            "--picture x.png --video mini/nowhere --weights good.pth",
            "cannot read mini/nowhere",
        ),
        ("tools/gradient_agreement.py", "Flow", "good.pth was trained on RGB, not Flow"),
        ("tools/gradient_agreement.py", "--num_class 3", "mini has 3 classes, good.pth 2"),
        ("tools/draw_clusters.py", "--compare mini --titles a", "argument --titles: gives 1"),
        ("tools/draw_clusters.py", "--compare mini --videos c c c", "argument --videos: gives 3, for 2 data sets"),
        ("tools/extract_frames.py", "--ext jpg", "holds no video file (--ext jpg)"),
        ("tools/pack_frames.py", "--image_tmpl x{}_{:05d}.jpg", "names pairs of flow images"),
    ],
)
def test_contradictions(fails, program, words, says):
    fails(program, f"{BASE[program]} {words}", says)


@pytest.mark.parametrize(
    "program, words, says",
    [
        ("main.py", "", "the following arguments are required: dataset, modality"),
        ("main.py", "mini Sound", "argument modality: invalid choice: 'Sound'"),
        ("main.py", "nowhere RGB", "unknown dataset 'nowhere'"),
        ("main.py", "jester RGB --arch resnet_thin", "no list file data/jester/train_videofolder.txt"),
        ("main.py", "mini Flow --arch resnet_thin", "give --image_tmpl"),
        ("test_models.py", "mini", "the following arguments are required: --weights"),
        ("tools/check_dataset.py", "nowhere RGB", "unknown dataset 'nowhere'"),
        ("tools/predict.py", "nowhere --weights good.pth", "no video file or frame folder nowhere"),
        ("tools/predict.py", "mini --weights good.pth", "mini holds no frames"),
        ("tools/predict.py", "videos/v.mp4 --weights good.pth", "videos/v.mp4 cannot be decoded"),
        ("tools/gradient_agreement.py", "mini", "the following arguments are required: --weights"),
        ("tools/gradient_agreement.py", "nowhere --weights good.pth", "unknown dataset 'nowhere'"),
        ("tools/compare_runs.py", "nowhere", "nowhere is not the log folder"),
        ("tools/draw_clusters.py", "nowhere --weights good.pth", "no folder nowhere"),
        ("tools/draw_clusters.py", "folders --weights good.pth", "unknown dataset 'mini'"),
        ("tools/make_lists.py", "", "the following arguments are required: DATASET"),
        ("tools/make_lists.py", "imagenet", "invalid choice: 'imagenet'"),
        ("tools/make_lists.py", "jester", "no folder data/jester"),
        ("tools/make_lists.py", "folder --root mini", "mini"),
        ("tools/extract_frames.py", "nowhere frames", "nowhere is not a folder of videos"),
        ("tools/extract_flow.py", "nowhere flow", "nowhere is not a folder of videos or frame folders"),
        ("tools/extract_flow.py", "folders file/below", "file"),
        ("tools/extract_frames.py", "videos videos", "SRC and DST are both"),
        ("tools/extract_frames.py", "videos file/below", "file"),
        ("tools/make_move4mnist.py", "--out file --num_train 4 --digits glyphs", "file: exists already"),
        ("tools/make_move4mnist.py", "--out file/below --num_train 4 --digits glyphs", "cannot be written"),
        ("tools/make_move4mnist.py", "--out / --digits glyphs", "needs a folder of its own"),
        ("tools/pack_frames.py", "nowhere packed", "nowhere is not a folder"),
        ("tools/pack_frames.py", "videos packed", "videos holds no folder of frames"),
        ("tools/pack_frames.py", "mini mini/packed", "DST mini/packed is or lies in SRC mini"),
        (
            "tools/pack_frames.py",
            "mini packed --first_frame 1",
            "--image_tmpl and --first_frame are for --raw",
        ),
        ("tools/benchmark.py", "speed", "invalid choice: 'speed'"),
        ("tools/benchmark.py", "clustering --shape 99999x99999x99x99x99 --num_segments 2", "memory ran out"),
    ],
)
def test_impossible_commands(fails, program, words, says):
    fails(program, words, says)


# ---------------------------------------------------------------- spoiled files


class Spoiled(NamedTuple):
    """How a file is spoiled, and what the program then has to say."""

    name: str
    says: str
    spoil: Callable[[Path], object]  # gets the working folder


def to(file: str, content: str | bytes) -> Callable[[Path], object]:
    """Writes a file."""
    return lambda place: (place / file).write_bytes(content.encode() if isinstance(content, str) else content)


def link(file: str, target: str) -> Callable[[Path], object]:
    """Puts a link in the place of a file or folder."""

    def spoil(place: Path) -> None:
        shutil.rmtree(place / file) if (place / file).is_dir() else (place / file).unlink()
        (place / file).symlink_to(target)

    return spoil


def locked(name: str) -> Callable[[Path], object]:
    """Takes the rights to read and enter a folder, or to read a file, away."""

    def spoil(place: Path) -> None:
        (place / name).chmod(0)
        if os.access(place / name, os.R_OK):
            pytest.skip("this user, root perhaps, may read everything")

    return spoil


LIST = "mini/train_videofolder.txt"
LISTS = [
    Spoiled("empty", f"{LIST}: the list is empty", to(LIST, "")),
    Spoiled("blank", f"{LIST}: the list is empty", to(LIST, "\n \r\n\t\n")),
    Spoiled("binary", f"cannot read list file {LIST} as text", to(LIST, bytes(range(256)))),
    Spoiled("utf-16", f"cannot read list file {LIST} as text", to(LIST, "a 3 0".encode("utf-16"))),
    Spoiled("noughts", "line 1: '\\x00\\x00' is not `path", to(LIST, bytes(2))),
    Spoiled(
        "a picture", f"cannot read list file {LIST}", lambda place: shutil.copy(place / "mini/a/1.jpg", place / LIST)
    ),
    Spoiled("two words", "line 2: 'b 3' is not `path num_frames label`", to(LIST, "a 3 0\nb 3\n")),
    Spoiled("commas", "'a,3,0' is not `path num_frames label`", to(LIST, "a,3,0\n")),
    Spoiled("negative count", "number of frames -3 must be at least 1", to(LIST, "a -3 0\n")),
    Spoiled("no frames", "number of frames 0 must be at least 1", to(LIST, "a 0 0\n")),
    Spoiled("half a frame", "'2.5'", to(LIST, "a 2.5 0\n")),
    Spoiled("endless count", "must be whole numbers", to(LIST, f"a {'9' * 5000} 0\n")),
    Spoiled("large count", "list says 99999999999 frames, folder holds 3", to(LIST, "a 99999999999 0\n")),
    Spoiled("label too large", "label 2 is out of range, 2 classes have labels 0 to 1", to(LIST, "a 3 2\n")),
    Spoiled("negative label", "label -1 is out of range", to(LIST, "a 3 -1\n")),
    Spoiled("label by name", "label 'left'", to(LIST, "a 3 left\n")),
    Spoiled("climbing out", "path ../../etc climbs out of the dataset's folder", to(LIST, "../../etc 3 0\n")),
    Spoiled("climbing out later", "path a/../../b climbs out", to(LIST, "a 3 0\na/../../b 3 0\n")),
    Spoiled("only up", "path .. climbs out", to(LIST, ".. 3 0\n")),
    Spoiled("missing folder", "line 1: d: no folder mini/d", to(LIST, "d 3 0\n")),
    Spoiled("path of a file", "category.txt: no folder", to(LIST, "category.txt 3 0\n")),
    Spoiled("endless path", "File name too long", to(LIST, f"{'x' * 5000} 3 0\n")),
    Spoiled("too few frames", "list says 4 frames, folder holds 3", to(LIST, "a 4 0\n")),
    Spoiled("many errors", "and 5 more", to(LIST, "x\n" * 15)),
    Spoiled("escape characters", r"\x1b[31m: no folder", to(LIST, "\x1b[31m 3 0\n")),
    Spoiled("a link to itself", f"cannot read list file {LIST}", link(LIST, "train_videofolder.txt")),
    Spoiled("a dangling link", f"no list file {LIST}", link(LIST, "nowhere")),
    Spoiled("a link to a folder", f"cannot read list file {LIST}", link(LIST, "a")),
    Spoiled("locked", f"cannot read list file {LIST}", locked(LIST)),
    Spoiled("empty validation list", "mini/val_videofolder.txt: the list is empty", to("mini/val_videofolder.txt", "")),
]
DATA = "mini/dataset.json"
DESCRIPTIONS = [
    Spoiled("empty", f"cannot read {DATA} as JSON", to(DATA, "")),
    Spoiled("cut", f"cannot read {DATA} as JSON", to(DATA, '{"num_class": 2, "image')),
    Spoiled("binary", f"cannot read {DATA} as JSON", to(DATA, bytes(range(256)))),
    Spoiled("deep", f"cannot read {DATA} as JSON", to(DATA, "[" * 200_000)),
    Spoiled("a list", f"{DATA} must be an object", to(DATA, "[1]")),
    Spoiled("unknown field", f"{DATA} must be an object with fields among", to(DATA, '{"classes": 2}')),
    Spoiled(
        "wrong type", "num_class is '2', must be of type int", to(DATA, '{"num_class": "2", "image_tmpl": "{}.jpg"}')
    ),
    Spoiled("truth", "num_class is True", to(DATA, '{"num_class": true, "image_tmpl": "{}.jpg"}')),
    Spoiled("no class", "num_class is 0", to(DATA, '{"num_class": 0, "image_tmpl": "{}.jpg"}')),
    Spoiled(
        "negative frame", "first_frame is -1", to(DATA, '{"num_class": 2, "image_tmpl": "{}.jpg", "first_frame": -1}')
    ),
    Spoiled("endless names", "image template", to(DATA, '{"num_class": 2, "image_tmpl": "{:0999999999d}.jpg"}')),
    Spoiled("names in other folders", "image template", to(DATA, '{"num_class": 2, "image_tmpl": "../{}.jpg"}')),
    Spoiled("a link to itself", "unknown dataset 'mini'", link(DATA, "dataset.json")),
]


def sized(width: int, height: int) -> Callable[[Path], object]:
    """Makes a frame's header tell of another size."""

    def spoil(place: Path) -> None:
        data = bytearray((place / FRAME).read_bytes())
        start = data.index(b"\xff\xc0")  # start of frame: length, precision, height, width
        data[start + 5 : start + 9] = struct.pack(">HH", height, width)
        (place / FRAME).write_bytes(data)

    return spoil


def cut(file: str, share: float) -> Callable[[Path], object]:
    """Keeps the first part of a file."""
    return lambda place: os.truncate(place / file, int(share * os.path.getsize(place / file)))


FRAME = "mini/a/2.jpg"
FRAMES = [
    Spoiled("truncated", "cannot read frame", cut(FRAME, 0.5)),
    Spoiled("nearly all cut", "cannot read frame", cut(FRAME, 0.02)),
    Spoiled("zero bytes", "cannot read frame", to(FRAME, b"")),
    Spoiled("text", "cannot read frame", to(FRAME, "no picture")),
    Spoiled("noise", "cannot read frame", to(FRAME, b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(3000))),
    Spoiled("a bomb", "cannot read frame", sized(20000, 20000)),
    Spoiled("the largest bomb", "cannot read frame", sized(65500, 65500)),
    Spoiled("no height", "cannot read frame", sized(20, 0)),
    Spoiled("another size", "2.jpg is ", lambda place: Image.new("RGB", (9, 9)).save(place / FRAME)),
    Spoiled("missing", "no frame", lambda place: (place / FRAME).unlink()),
    Spoiled("a folder", "cannot read frame", lambda place: ((place / FRAME).unlink(), (place / FRAME).mkdir())),
    Spoiled("a link to itself", "cannot read frame", link(FRAME, "2.jpg")),
    Spoiled("a dangling link", "no frame", link(FRAME, "nowhere")),
    Spoiled("locked", "cannot read frame", locked(FRAME)),
]
FOLDERS = [
    Spoiled("a link to itself", "line 1: a: no folder mini/a", link("mini/a", "a")),
    Spoiled(
        "links in a circle",
        "line 1: a: no folder mini/a",
        lambda place: (link("mini/a", "b")(place), link("mini/b", "a")(place)),
    ),
    Spoiled("a dangling link", "line 1: a: no folder mini/a", link("mini/a", "nowhere")),
    Spoiled(
        "a file",
        "line 1: a: no folder mini/a",
        lambda place: (shutil.rmtree(place / "mini/a"), (place / "mini/a").touch()),
    ),
    Spoiled("empty", "folder holds 0", lambda place: [path.unlink() for path in (place / "mini/a").iterdir()]),
    Spoiled("locked", "line 1: ", locked("mini/a")),
    Spoiled("locked data", "mini", locked("mini")),
    Spoiled("data in a circle", "unknown dataset 'mini'", link("mini", "mini")),
    Spoiled("log folder is a file", "cannot make log/", to("log", "")),
    Spoiled("log folder is a link to itself", "cannot make log/", lambda place: (place / "log").symlink_to("log")),
    Spoiled("log folder is a dangling link", "cannot make log/", lambda place: (place / "log").symlink_to("no/where")),
    Spoiled("checkpoint folder is a file", "cannot make checkpoint/", to("checkpoint", "")),
    Spoiled("read-only log folder", "cannot make log/", lambda place: ((place / "log").mkdir(), locked("log")(place))),
]


def named(rows: list[Spoiled]):
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


@named(LISTS)
def test_lists(fails, place, row):
    row.spoil(place)
    fails("main.py", BASE["main.py"], row.says)


@named(DESCRIPTIONS)
def test_descriptions(fails, place, row):
    row.spoil(place)
    fails("main.py", BASE["main.py"], row.says)


@named(FRAMES)
def test_frames(fails, place, row):
    row.spoil(place)
    assert FRAME in fails("main.py", BASE["main.py"], row.says) or row.name == "another size"


@named(FOLDERS)
def test_folders(fails, place, row):
    row.spoil(place)
    fails("main.py", BASE["main.py"], row.says)


# ---------------------------------------------------------------- checkpoints


class Hostile:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("was-run",)


def saved(change: Callable[[dict], object], legacy: bool = False) -> Callable[[Path], object]:
    """Saves what `change` makes of a sound checkpoint's content, or leaves of it."""

    def spoil(place: Path) -> None:
        content = torch.load(place / "good.pth", weights_only=True)
        changed = change(content)
        torch.save(
            content if changed is None else changed, place / "bad.pth", _use_new_zipfile_serialization=not legacy
        )

    return spoil


def weights(change: Callable[[torch.Tensor], object]) -> Callable[[Path], object]:
    """Changes every weight."""

    def all_of(content: dict) -> None:
        content["state_dict"] = {key: change(value) for key, value in content["state_dict"].items()}

    return saved(all_of)


def config(**values) -> Callable[[Path], object]:
    """Changes values of the options inside."""
    return saved(lambda content: content["config"].update(values))


def classes(number: int) -> Callable[[Path], object]:
    """A classifier of another number of classes."""
    return saved(
        lambda content: content["state_dict"].update(
            {"new_fc.weight": torch.ones(number, 96), "new_fc.bias": torch.ones(number)}
        )
    )


def zipped(place: Path) -> None:
    with zipfile.ZipFile(place / "bad.pth", "w") as file:
        file.writestr("bad/data.pkl", pickle.dumps({"state_dict": {"w": [1, 2]}}))


def halved(share: float) -> Callable[[Path], object]:
    return lambda place: (shutil.copy(place / "good.pth", place / "bad.pth"), cut("bad.pth", share)(place))


BAD = "bad.pth"
UNREADABLE = "bad.pth is not a readable checkpoint of tensors and plain values"
MORE = "bad.pth holds more than tensors and plain values ("
NO_WEIGHTS = "bad.pth holds no weights"
CHECKPOINTS = [  # files that no program takes
    Spoiled("zero bytes", UNREADABLE, to(BAD, b"")),
    Spoiled("text", UNREADABLE, to(BAD, "no checkpoint\n")),
    Spoiled("JSON", UNREADABLE, to(BAD, '{"state_dict": {"w": [1, 2]}}')),
    Spoiled("a picture", UNREADABLE, lambda place: shutil.copy(place / "mini/a/1.jpg", place / BAD)),
    Spoiled("noise", UNREADABLE, to(BAD, random.Random(1).randbytes(5000))),
    Spoiled("another zip", UNREADABLE, zipped),
    Spoiled("truncated", UNREADABLE, halved(0.5)),
    Spoiled("nearly whole", UNREADABLE, halved(0.99)),
    Spoiled("hostile", MORE, saved(lambda content: content.update(config=Hostile()))),
    Spoiled("hostile, legacy", MORE, saved(lambda content: content.update(config=Hostile()), legacy=True)),
    Spoiled("hostile key", MORE, saved(lambda content: {Hostile(): content})),
    Spoiled("hostile pickle", UNREADABLE, to(BAD, pickle.dumps(Hostile()))),
    Spoiled("hostile among weights", MORE, weights(lambda value: Hostile())),
    Spoiled("a whole model", MORE, lambda place: torch.save(torch.nn.Linear(2, 2), place / BAD)),
    Spoiled("a list", "bad.pth holds a list", saved(lambda content: [1, 2])),
    Spoiled("a tensor", "bad.pth holds a Tensor", saved(lambda content: torch.ones(2))),
    Spoiled("empty", NO_WEIGHTS, saved(lambda content: {})),
    Spoiled("no weights", NO_WEIGHTS, saved(lambda content: {"epoch": 1, "config": {}})),
    Spoiled("a list of weights", NO_WEIGHTS, saved(lambda content: content.update(state_dict=[torch.ones(1)]))),
    Spoiled("keys that are no text", NO_WEIGHTS, saved(lambda content: {"state_dict": {0: torch.ones(1)}})),
    Spoiled("numbers as weights", NO_WEIGHTS, weights(lambda value: 1.0)),
    Spoiled("sparse weights", NO_WEIGHTS, weights(lambda value: value.to_sparse())),
    Spoiled("complex weights", NO_WEIGHTS, weights(lambda value: value.to(torch.complex64))),
    Spoiled("weights without numbers", NO_WEIGHTS, weights(lambda value: value.to("meta"))),
    Spoiled("a list as options", "its config is '[1]'", saved(lambda content: content.update(config=[1]))),
    Spoiled("epoch by name", "its epoch is 'last'", saved(lambda content: content.update(epoch="last"))),
    Spoiled("negative epoch", "its epoch is '-1'", saved(lambda content: content.update(epoch=-1))),
    Spoiled("a list as optimizer", "its optimizer is", saved(lambda content: content.update(optimizer=[]))),
    Spoiled("best by name", "its best_prec1 is", saved(lambda content: content.update(best_prec1="high"))),
    Spoiled("other shapes", "bad.pth holds another network", weights(lambda value: value.flatten()[:1])),
    Spoiled("weights of no dimension", "bad.pth", weights(lambda value: torch.tensor(1.0))),
    Spoiled(
        "a missing tensor",
        "bad.pth holds another network (no base_model.conv1.weight there",
        saved(lambda content: content["state_dict"].__delitem__("base_model.conv1.weight")),
    ),
    Spoiled(
        "a tensor too many",
        "bad.pth holds another network (other is not here",
        saved(lambda content: content["state_dict"].update(other=torch.ones(1))),
    ),
    Spoiled("a folder", "no checkpoint bad.pth", lambda place: (place / BAD).mkdir()),
    Spoiled("a link to itself", "no checkpoint bad.pth", lambda place: (place / BAD).symlink_to(BAD)),
    Spoiled("locked", "bad.pth", lambda place: (shutil.copy(place / "good.pth", place / BAD), locked(BAD)(place))),
]
LIES = [  # whose options cannot be; --tune_from does not look at them
    Spoiled("unknown arch", "trained with arch 'vgg'", config(arch="vgg")),
    Spoiled("arch by number", "trained with arch '5'", config(arch=5)),
    Spoiled("another arch", "bad.pth holds another network", config(arch="resnet18")),
    Spoiled("segments by name", "trained with num_segments 'four'", config(num_segments="four")),
    Spoiled("negative segments", "trained with num_segments '-4'", config(num_segments=-4)),
    Spoiled("no segments", "trained with num_segments 'None'", config(num_segments=None)),
    Spoiled("shift of no sort", "trained with shift '2'", config(shift=2)),
    Spoiled("unknown clustering", "trained with cluster \"{'slope': 1}\"", config(cluster={"slope": 1})),
    Spoiled("contradiction", "--temporal_pool comes before layer2", config(temporal_pool=True, cluster_after="layer3")),
    Spoiled("frames by name", "trained with num_frames 'few'", config(num_frames="few")),
    Spoiled("dataset by number", "trained with dataset '7'", config(dataset=7)),
]
LIES_TO_TRAINING = [
    Spoiled("suffix that climbs out", "cannot hold a path", config(suffix="../../up")),
    Spoiled("rate by name", "trained with lr 'high'", config(lr="high")),
    Spoiled("steps that are none", "trained with lr_steps '5'", config(lr_steps=5)),
    Spoiled("another dataset", "bad.pth was trained on kinetics", config(dataset="kinetics")),
    Spoiled("another number of classes", "another number of classes", classes(3)),
    Spoiled("an optimizer of nothing", "other parameter groups", saved(lambda content: content.update(optimizer={}))),
    Spoiled(
        "an optimizer of lists",
        "other parameter groups",
        saved(lambda content: content.update(optimizer={"state": [], "param_groups": []})),
    ),
]
EVALUATE, RESUME = (
    "main.py mini RGB -e --device cpu -j 0 --resume bad.pth",
    BASE["main.py"].replace(
        "mini RGB --arch resnet_thin --input_size 16 --num_segments 2 --npb", "main.py mini RGB --resume bad.pth"
    ),
)
TEST = "test_models.py mini --weights bad.pth -j 0 --device cpu"
PREDICT = "tools/predict.py mini/b --weights bad.pth --device cpu"
AGREEMENT = "tools/gradient_agreement.py mini --weights bad.pth --device cpu"


TRAINING = [row for row in CHECKPOINTS if row.name in ("truncated", "hostile", "a link to itself", "other shapes")]
OTHERS = [row for row in TRAINING if row.name != "other shapes"]
NO_NUMBERS = weights(lambda value: torch.full_like(value, float("nan")) if value.is_floating_point() else value)
SCALARS = weights(lambda value: torch.tensor(1.0))


@pytest.mark.parametrize(
    "words, row",
    [
        *((EVALUATE, row) for row in CHECKPOINTS + LIES),
        *((RESUME, row) for row in TRAINING + LIES_TO_TRAINING),
        (EVALUATE, Spoiled("no numbers", "scores of c, ... are not finite", NO_NUMBERS)),
        (RESUME, Spoiled("no numbers", "the loss is nan at videos", NO_NUMBERS)),
        *((f"main.py {BASE['main.py']} --tune_from bad.pth", row) for row in TRAINING),
        (
            f"main.py {BASE['main.py']} --tune_from bad.pth",
            Spoiled("scalars", "bad.pth holds another network", SCALARS),
        ),
        *((f"main.py {BASE['main.py']} --pretrain bad.pth", row) for row in TRAINING),
        *((TEST, row) for row in OTHERS + LIES[:3]),
        (TEST, Spoiled("no numbers", "scores of c, ... are not finite", NO_NUMBERS)),
        (
            TEST,
            Spoiled("neither options nor a name", "give --arch", saved(lambda content: content.pop("config") and None)),
        ),
        *((PREDICT, row) for row in OTHERS + LIES[:-1]),
        *((AGREEMENT, row) for row in OTHERS),
        (AGREEMENT, Spoiled("no numbers", "scores of c, ... are not finite", NO_NUMBERS)),
        (AGREEMENT, Spoiled("without clustering", "bad.pth was trained with --cluster none", config(cluster="none"))),
        (PREDICT, Spoiled("no numbers", "scores are not finite", NO_NUMBERS)),
        (PREDICT, Spoiled("scalars", "bad.pth does not say how it was trained", SCALARS)),
        (PREDICT, Spoiled("no classes", "bad.pth does not say how it was trained", classes(0))),
        (PREDICT, Spoiled("no dataset", "trained with dataset 'None'", config(dataset=None))),
        (PREDICT, Spoiled("another number of classes", "names 2 classes, the dataset has 3", classes(3))),
    ],
    ids=lambda value: value.name if isinstance(value, Spoiled) else " ".join(value.split()[:1]),
)
def test_checkpoints(fails, place, words, row):
    row.spoil(place)
    program, _, rest = words.partition(" ")
    fails(program, rest, row.says)


# ---------------------------------------------------------------- logs

LOG = "run/log.csv"
LOGS = [
    Spoiled("empty", "run is not the log folder", to(LOG, "")),
    Spoiled("binary", "run is not the log folder", to(LOG, bytes(range(256)))),
    Spoiled("noughts", "run is not the log folder", to(LOG, "epoch,split\n" + "\0" * 9)),
    Spoiled("a short row", "run is not the log folder", to(LOG, "epoch,split,top1,seconds,videos,frames\n0,val\n")),
    Spoiled(
        "no video", "run is not the log folder", to(LOG, "epoch,split,top1,seconds,videos,frames\n0,val,1,1,0,0\n")
    ),
    Spoiled("options of no sort", "run is not the log folder", to("run/args.json", "[]")),
    Spoiled("options cut", "run is not the log folder", to("run/args.json", "{")),
    Spoiled("without clustering", "run is not the log folder", to("run/args.json", "{}")),
]


def test_a_log_with_impossible_options(fails, place):
    (place / "run/args.json").write_text('{"cluster": "slope", "shift": true, "num_segments": 2, "num_class": "x"}')
    fails("tools/compare_runs.py", "run --picture x.png", "run/args.json was trained with num_class 'x'")


def test_broken_backgrounds(fails, place):
    for path in (place / "folders/x/v").iterdir():
        path.write_bytes(b"")
    fails("tools/make_move4mnist.py", f"{BASE['tools/make_move4mnist.py']} --backgrounds folders/x/v", "folders/x/v/")


@named(LOGS)
def test_logs_that_are_compared(fails, place, row):
    row.spoil(place)
    fails("tools/compare_runs.py", "run", row.says)


@pytest.mark.parametrize(
    "content",
    [
        b"x,y\n1,2\n",
        b"epoch,split\nlast,val\n",
        b"epoch,split\n\0\0\0\n",
        bytes(range(256)),
        b"epoch,split\n,\n",
        b"split,epoch\nval\n",
    ],
    ids=["other columns", "epoch by name", "noughts", "binary", "no epoch", "a short row"],
)
def test_going_on_with_a_damaged_log(fails, run_main, place, content):
    words = BASE["main.py"].split()
    assert run_main(*words).code == 0
    (log,), (folder,) = place.glob("log/*/log.csv"), place.glob("checkpoint/*")
    log.write_bytes(content)
    text = fails(
        "main.py",
        f"mini RGB --resume {folder}/{ckpt.LAST} --epochs 1 --start_epoch 0 -j 0 --device cpu",
        "log.csv is damaged",
    )
    assert str(log.relative_to(place)) in text and "move it away" in text


def test_a_failed_run_leaves_what_was_there_before(run_main, place):
    """Folders of other runs stay, and so does a run's own log where it had one."""
    (place / "log/other").mkdir(parents=True)
    (place / "log/other/log.csv").write_text("kept")
    to(FRAME, b"")(place)
    assert FRAME in run_main(*BASE["main.py"].split()).error
    assert os.listdir(place / "log") == ["other"] and not (place / "checkpoint").exists()
    assert (place / "log/other/log.csv").read_text() == "kept"


# ---------------------------------------------------------------- tools that go on and collect


@named([row for row in FRAMES if row.name not in ("another size", "missing", "a dangling link")])
def test_all_bad_frames_are_collected(run_program, place, row):
    row.spoil(place)
    before = listing(place)
    ran = run_program("tools/check_dataset.py", *BASE["tools/check_dataset.py"].split())
    assert (ran.code, ran.err) == (1, "")
    assert FRAME in (place / "problems.csv").read_text() and "problems.csv" in ran.out
    (place / "problems.csv").unlink()
    assert listing(place) == before


@named(
    [
        row
        for row in LISTS
        if row.name
        in (
            "negative count",
            "label too large",
            "climbing out",
            "large count",
            "endless count",
            "endless path",
            "escape characters",
            "missing folder",
            "noughts",
        )
    ]
)
def test_all_bad_lines_are_collected(run_program, place, row):
    row.spoil(place)
    ran = run_program("tools/check_dataset.py", *BASE["tools/check_dataset.py"].split())
    table = (place / "problems.csv").read_text()
    assert (ran.code, ran.err) == (1, "") and "train_videofolder.txt,1," in table
    assert "list says 99999999999 images, folder holds 3; first missing 4.jpg" in table or row.name != "large count"


@pytest.mark.parametrize("content", [b"", b"no video", bytes(5000), random.Random(0).randbytes(5000)])
def test_bad_videos_are_collected(run_program, place, content):
    (place / "videos/v.mp4").write_bytes(content)
    ran = run_program("tools/extract_frames.py", "videos", "frames", "-j", "1")
    assert (ran.code, ran.err) == (1, "") and "1 failed (see frames/failed.txt)" in ran.out
    assert (place / "frames/failed.txt").read_text().startswith("v.mp4\t")
    assert sorted(os.listdir(place / "frames")) == ["failed.txt", "frames.json"]


def test_links_in_a_circle_are_not_followed(run_program, place):
    for one, other in (("x", "y"), ("y", "x")):
        (place / f"folders/{one}/link").symlink_to(f"../{other}")
        (place / "videos" / one).mkdir()
        (place / "videos" / one / "link").symlink_to(f"../{other}")
    ran = run_program("tools/make_lists.py", *BASE["tools/make_lists.py folder"].split())
    assert (ran.code, ran.err) == (0, "")
    lists = (place / "folders").glob("*_videofolder.txt")
    paths = sorted(line.rsplit(maxsplit=2)[0] for file in lists for line in file.read_text().splitlines())
    assert paths == ["x/link/v", "x/link/w", "x/v", "x/w", "y/link/v", "y/link/w", "y/v", "y/w"]
    shutil.move(place / "videos/v.mp4", place / "videos/x")
    ran = run_program("tools/extract_frames.py", *BASE["tools/extract_frames.py"].split())
    failed = [line.partition("\t")[0] for line in (place / "frames/failed.txt").read_text().splitlines()]
    assert (ran.code, ran.err) == (1, "") and failed == ["x/v.mp4", "y/link/v.mp4"]


def test_a_locked_folder_is_collected(run_program, place):
    locked("mini/a")(place)
    ran = run_program("tools/check_dataset.py", *BASE["tools/check_dataset.py"].split())
    assert (ran.code, ran.err) == (1, "") and "unreadable folder,mini/a" in (place / "problems.csv").read_text()


# ---------------------------------------------------------------- odd, but legal


def pictures(mode: str, size: tuple[int, int] = (20, 18), kind: str = "JPEG") -> Callable[[Path], object]:
    """Writes all frames of the data anew, still named .jpg."""

    def write(place: Path) -> None:
        for path in (place / "mini").rglob("*.jpg"):
            Image.new(mode, size).save(path, kind)

    return write


def linked(place: Path) -> None:
    (place / "mini/a").rename(place / "elsewhere")
    (place / "mini/a").symlink_to("../elsewhere")


LEGAL = [
    Spoiled("PNG named .jpg", "", pictures("RGB", kind="PNG")),
    Spoiled("PNG with an alpha channel", "", pictures("RGBA", kind="PNG")),
    Spoiled("one PNG among JPEGs", "", lambda place: Image.new("RGB", (20, 18)).save(place / FRAME, "PNG")),
    Spoiled("CMYK", "", pictures("CMYK")),
    Spoiled("grey", "", pictures("L")),
    Spoiled("one grey frame", "", lambda place: Image.new("L", (20, 18)).save(place / FRAME)),
    Spoiled("1x1", "", pictures("RGB", (1, 1))),
    Spoiled("1x40", "", pictures("RGB", (1, 40))),
    Spoiled("300x2", "", pictures("L", (300, 2))),
    Spoiled("a link to a folder elsewhere", "", linked),
    Spoiled("a path with .. inside", "", to(LIST, "a 3 0\na/../b 3 1\n")),
    Spoiled("an absolute path", "", lambda place: to(LIST, f"{place}/mini/a 3 0\nb 3 1\n")(place)),
    Spoiled("byte order mark and line ends of Windows", "", to(LIST, "\ufeffa 3 0\r\n\r\nb\t3   1\r\n")),
    Spoiled(
        "a name with blanks",
        "",
        lambda place: ((place / "mini/a").rename(place / "mini/a  ü b"), to(LIST, "a  ü b 3 0\n")(place)),
    ),
    Spoiled("one video", "", to(LIST, "a 3 0\n")),
    Spoiled("fewer frames than there are", "", to(LIST, "a 1 0\nb 2 1\n")),
    Spoiled("the same video twice", "", to(LIST, "a 3 0\na 3 0\n")),
]


@named(LEGAL)
def test_odd_but_legal(run_program, place, row):
    row.spoil(place)
    ran = run_program("main.py", *BASE["main.py"].split())
    assert (ran.code, ran.err) == (0, "") and "best top-1" in ran.out
    ran = run_program("test_models.py", *BASE["test_models.py"].split(), "--test_crops", "3")
    assert (ran.code, ran.err) == (0, "") and "Testing Results" in ran.out
    ran = run_program("tools/predict.py", *BASE["tools/predict.py"].split())
    assert (ran.code, ran.err) == (0, "") and "3 frames" in ran.out


def test_a_file_name_that_is_no_text(run_program, place):
    """Linux takes any bytes for a name; what is printed shows them escaped."""
    name = os.fsdecode(b"caf\xe9")
    (place / "mini/b").rename(place / name)
    (place / "good.pth").rename(place / f"{name}.pth")
    ran = run_program("tools/predict.py", name, "--weights", f"{name}.pth", "--device", "cpu")
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("caf\\udce9: 3 frames")
    assert "caf\\udce9.mp4" in run_program("tools/predict.py", f"{name}.mp4", "--weights", f"{name}.pth").error
