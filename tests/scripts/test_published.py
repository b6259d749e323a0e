"""The scripts of the published tables: what they run is what docs/published.md says, and one row runs to its end."""

import csv
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import ROOT, load_program
from PIL import Image

from archs import ARCHS
from ops.data.specs import DATASETS
from ops.evaluation import settings
from ops.heads import videograph
from ops.models import build_model
from ops.options.parsing import parse
from ops.training import checkpoint as ckpt

FOLDER = ROOT / "scripts/published"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.sh") if path.name != "run.sh")
RUNNER = "scripts/published/run.py"
PAGE = (ROOT / "docs/published.md").read_text()


@cache
def facts_of(script: str) -> list[str]:
    """What a script hands to the runner."""
    show = 'exec() { printf "%s\\0" "${@:3}"; }; . "$0"'
    done = subprocess.run(
        ["bash", "-c", show, FOLDER / script],
        text=True,
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHON": "none"},
    )
    return done.stdout.split("\0")[:-1]


@cache
def rows_of(script: str) -> dict:
    _, datasets, _, _, rows = facts_of(script)
    return load_program(RUNNER).read_rows(datasets, rows)


ROWS = [(script, row) for script in SCRIPTS for row in rows_of(script)]
ON_FEATURES = ("resnet", "actionvlad", "videograph")


@pytest.fixture
def dry_run(run_program):
    """`dry_run(script, row, *words)` -> the words of each program of a row, its name first."""

    def run(script, row, *words):
        ran = run_program(RUNNER, *facts_of(script), row, "--dry_run", "--gpus", "1", *words)
        assert ran.code == 0 and ran.err == "", ran
        commands = [shlex.split(line) for line in ran.out.splitlines()]
        assert {command[0] for command in commands} == {sys.executable}
        return [command[1:] for command in commands]

    return run


@pytest.fixture
def plan(dry_run):
    """`plan(script, row, *words)` -> what a row of a single training stands for: a Config, and Settings."""

    def of(script, row, *words):
        *_, train, test = dry_run(script, row, *words)
        assert train[0] == "main.py" and test[0] == "test_models.py"
        return parse(train[1:])[0], settings.parse(test[1:])

    return of


# ---------------------------------------------------------------- tables


def rows_of_the_page() -> dict[tuple[str, str], list[str]]:
    """(script, row without its dataset) -> the cells of the page's line for it."""
    found, script = {}, None
    for line in PAGE.splitlines():
        script = (re.findall(r"scripts/published/(\w+\.sh)", line) or [script])[0]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and (row := re.fullmatch(r"`(\w+)`", cells[-1])):
            assert (script, row[1]) not in found
            found[script, row[1]] = cells
    return found


def test_the_page_and_the_scripts_have_the_same_rows_and_numbers():
    scripted = {}
    for script, row in ROWS:
        scripted.setdefault((script, row.split("-", 1)[1]), []).append(rows_of(script)[row].published)
    paged = {place: re.findall(r"\d\d\.\d|-", cells[2]) for place, cells in rows_of_the_page().items()}
    assert paged == scripted and len(ROWS) == 40
    assert not re.search(r"\|\s*none\s*\|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_page_says_what_rows_cost(run_program, script):
    """Views, parameters and multiply-adds are those of --costs, of V1 and of UCF101 where a line is of two datasets."""
    ran, shown = run_program(RUNNER, *facts_of(script), "--costs"), {}
    for line in ran.out.splitlines()[2:]:
        row, _, views, parameters, multiply_adds = (cell.strip("` ") for cell in line.strip("|").split("|"))
        shown.setdefault(row.split("-", 1)[1], []).append([views, parameters, multiply_adds])
    paged = {row: cells[4:7] for (place, row), cells in rows_of_the_page().items() if place == script}
    assert paged == {row: costs[0] for row, costs in shown.items()} and ran.code == 0


def test_parameters_are_those_of_the_papers():
    """Of backbones and heads that other programs count alike."""
    shown = {place[1]: int(cells[5].replace(",", "")) for place, cells in rows_of_the_page().items()}
    resnet152 = 58_143_808
    assert shown["tsm16"] == 23_508_032 + 2049 * 10 and shown["trn8"] == 31_858_310 and shown["stm8"] == 24_035_194
    assert shown["dynamic10"] == 2 * (23_186_853 + 23_183_717)
    assert shown["resnet64"] == resnet152 + 1_055_242 and shown["actionvlad64"] == resnet152 + 5_280_554
    assert shown["videograph64"] == resnet152 + 5_825_546


def test_accuracies_on_breakfast_are_whole_numbers_of_its_355_videos():
    """VideoGraph's is cut off, not rounded."""
    right = {"resnet64": 146, "actionvlad64": 197, "tsm16": 256, "slope16": 266, "cumulative16": 272}
    shown = {row.split("-")[1]: facts.published for row, facts in rows_of("breakfast.sh").items()}
    assert shown.pop("videograph64") == str(1000 * 210 // 355 / 10)
    assert shown == {row: f"{100 * number / 355:.1f}" for row, number in right.items()}


TIMES = {"tsm": "shift", "slope": "shift", "cumulative": "shift", "stm": "stm"}
CENTRE, TWO, TEN, ALL = (1, False, None), (3, True, "twice"), (3, True, "ten"), (3, True, None)


def views_of(dataset: str, row: str, method: str) -> tuple:
    """Crops, full resolution or not, and clips of a row's test."""
    if row in ("stm8", "stm16"):
        return TEN
    if dataset in ("ucf101", "hmdb51"):
        return ALL if method in ("slope", "cumulative") else TWO
    return TWO if (dataset, row) == ("somethingv2", "tsm16") else CENTRE


SINGLE = [(script, row) for script, row in ROWS if not row.endswith("dynamic10") and not rows_of(script)[row].extract]


@pytest.mark.parametrize("script, row", SINGLE)
def test_every_row_says_what_it_runs(plan, script, row):
    config, test = plan(script, row)
    dataset, method, number, _ = re.fullmatch(r"(\w+)-([a-z]+)(\d+)(_\w+)?", row).groups()
    assert (config.dataset, config.num_segments) == (dataset, int(number))
    assert config.cluster == (method if method in ("slope", "cumulative") else "none")
    assert config.temporal == TIMES.get(method, "none")
    assert config.consensus_type == ("TRNmultiscale" if method == "trn" else "avg")
    assert config.arch == ("resnet18" if dataset == "movingmnist" else "resnet50")
    assert (config.resume, config.suffix, config.eval_freq, config.gd) == ("auto", "published", 1, 20)
    assert test.weights == (f"{config.run_folder}/ckpt.best.pth.tar",)
    assert test.given["dataset"] == dataset and test.modality == "RGB"
    start = ("imagenet", None)
    if dataset in ("ucf101", "hmdb51"):
        network = "shift8_blockres_avg_segment8" if config.shift else "avg_segment5"
        start = (None, f"pretrained/TSM_kinetics_RGB_resnet50_{network}_e50.pth")
    assert (config.pretrain, config.tune_from) == start
    assert (test.test_crops, test.full_res, test.clips) == views_of(dataset, row.split("-", 1)[1], method)


def test_both_protocols_of_stm_test_one_training(plan):
    assert plan("something.sh", "something-stm8")[0] == plan("something.sh", "something-stm8_one_view")[0]


HEADS = {
    "resnet64": ("MLP", "paper"),
    "actionvlad64": ("ActionVLAD", "breakfast"),
    "videograph64": ("VideoGraph", "paper"),
}


@pytest.mark.parametrize("row", HEADS)
def test_rows_on_features_extract_them_first(dry_run, row):
    extract, train, test = dry_run("breakfast.sh", f"breakfast-{row}")
    assert extract == shlex.split(
        "tools/extract_features.py breakfast RGB --weights imagenet --arch resnet152 --at layer4 --frames 64 --out"
        " data/breakfast_features"
    )
    c, test = parse(train[1:])[0], settings.parse(test[1:])
    assert (c.dataset, c.modality, c.num_segments, c.cluster) == ("data/breakfast_features", "Features", 64, "none")
    assert (c.consensus_type, c.vlad_form) == HEADS[row]
    assert (c.optimizer, c.lr, c.eps, c.wd, c.batch_size, c.epochs) == ("adam", 0.01, 1e-4, 0, 16, 100)
    assert set(c.lr_steps) == {100}  # the rate stays
    assert (test.given["dataset"], test.modality) == ("data/breakfast_features", "Features")
    assert test.weights == (f"{c.run_folder}/ckpt.best.pth.tar",)


def test_what_is_added_to_a_row_on_features_goes_where_it_belongs(dry_run):
    words = "--root_path /disk/b --arch resnet50 --pretrain W.pth --input_size 64 -j 3 --device cpu --lr 0.1 --epochs 7"
    extract, train, test = dry_run("breakfast.sh", "breakfast-videograph64", *words.split())
    for own in ("--root_path /disk/b", "--arch resnet50", "--weights W.pth", "--input_size 64"):
        assert own in " ".join(extract) and own not in " ".join(train + test)
    for command in (extract, train, test):
        assert (
            "/disk/b_features" in command and "--workers 3" in " ".join(command) and "--device cpu" in " ".join(command)
        )
    assert "--lr 0.1" in " ".join(train) and "--epochs 7" in " ".join(train) and "--lr" not in extract


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51"])
def test_four_streams_are_trained_and_tested_together(dry_run, dataset):
    *trainings, test = dry_run("ucf101_hmdb51.sh", f"{dataset}-dynamic10", "--image_tmpl", "f_{}_{}.png")
    configs, test = [parse(train[1:])[0] for train in trainings], settings.parse(test[1:])
    assert [(c.modality, c.dropout) for c in configs] == [("SI", 0.5), ("DI", 0.5), ("OF", 0.8), ("DOF", 0.8)]
    assert [c.image_tmpl for c in configs] == [None, None, "f_{}_{}.png", "f_{}_{}.png"]
    facts = {(c.arch, c.pretrain, c.batch_size, c.accum, c.lr, c.temporal_max, c.npb, c.num_segments) for c in configs}
    assert facts == {("resnext50", "imagenet", 4, 32, 0.01, True, True, 10)}
    assert test.weights == tuple(f"{c.run_folder}/ckpt.best.pth.tar" for c in configs)
    assert (test.modality, test.softmax, test.test_segments, test.coeff) == (None, True, (25,) * 4, (1,) * 4)
    assert (test.test_crops, test.full_res, test.clips) == CENTRE


SCHEDULES = {
    ("something.sh", "something-tsm8"): (50, 0.01, (20, 40), 64, 5e-4, 0.5, True, 0),
    ("something.sh", "somethingv2-cumulative16"): (50, 0.01, (20, 40), 64, 5e-4, 0.5, True, 0),
    ("something.sh", "something-trn8"): (120, 0.001, (50, 100), 64, 5e-4, 0.8, False, 0),
    ("something.sh", "something-stm8"): (50, 0.01, (30, 40, 45), 64, 5e-4, 0.5, True, 0),
    ("something.sh", "somethingv2-stm16"): (50, 0.01, (30, 40, 45), 32, 5e-4, 0.5, True, 0),
    ("breakfast.sh", "breakfast-tsm16"): (50, 0.01, (20, 40), 64, 5e-4, 0.5, True, 0),
    ("breakfast.sh", "breakfast-slope16"): (50, 0.00125, (20, 40), 8, 5e-4, 0.5, True, 0),
    ("ucf101_hmdb51.sh", "hmdb51-slope8"): (25, 0.001, (10, 20), 64, 5e-4, 0.8, False, 0),
    ("ucf101_hmdb51.sh", "ucf101-stm16"): (25, 0.001, (15,), 32, 5e-4, 0.8, True, 0),
    ("movingmnist.sh", "movingmnist-cumulative16"): (40, 0.001, (50, 100), 16, 5e-4, 0.8, True, 6),
}


@pytest.mark.parametrize("script, row", SCHEDULES)
def test_schedules(plan, script, row):
    c, _ = plan(script, row)
    assert (c.epochs, c.lr, c.lr_steps, c.batch_size, c.wd, c.dropout, c.npb, c.cluster_start_epoch) == SCHEDULES[
        script, row
    ]
    assert (c.optimizer, c.momentum, c.lr_type) == ("sgd", 0.9, "step")
    assert (c.shift_div, c.shift_place, c.cluster_after) == (8, "blockres", "layer1")


# ---------------------------------------------------------------- what is added to a row


@pytest.mark.parametrize(
    "words, lr",
    [
        ("-b 16", 0.0025),
        ("--batch-size=128", 0.02),
        ("-b 16 --accum 4", 0.01),
        ("--accum 2", 0.02),
        ("-b 16 --lr 0.01", 0.01),
        ("-b 16 --learning-rate 0.3", 0.3),
    ],
)
def test_the_rate_goes_with_the_batch(plan, words, lr):
    assert plan("something.sh", "something-tsm8", *words.split())[0].lr == pytest.approx(lr)


def test_another_schedule_replaces_the_rows(plan):
    config, _ = plan("something.sh", "something-tsm8", "--lr_type", "cos")
    assert (config.lr_type, config.lr_steps) == ("cos", (50, 100))  # no --lr_steps, which would have no effect


def test_places_hold_for_both_commands(plan):
    config, test = plan(
        "something.sh",
        "something-slope8",
        *shlex.split("--root_path R --val_list V --device cpu -j 3 --no-flip --root_model M --epochs 3"),
        *shlex.split("--freeze_stem_bn --stem_chunk 8"),
    )
    assert (config.root_path, config.val_list, config.device, config.workers) == ("R", "V", "cpu", 3)
    assert (test.given["root_path"], test.given["val_list"], test.device, test.workers) == ("R", "V", "cpu", 3)
    assert test.given["no_flip"] and (test.stem_chunk, config.stem_chunk) == (8, 8)
    assert test.weights[0] == (
        "M/TSM_something_RGB_resnet50_shift8_blockres_slope-layer1_avg_segment8_e3_published/ckpt.best.pth.tar"
    )


def test_several_gpus(run_program):
    ran = run_program(RUNNER, *facts_of("something.sh"), "something-tsm8", "--dry_run", "--gpus", "4")
    train, test = ran.out.splitlines()
    assert " -m torch.distributed.run --standalone --nproc_per_node=4 main.py something RGB " in train
    assert "torch.distributed" not in test


def test_starting_anew(plan):
    assert plan("something.sh", "something-tsm8", "--overwrite")[0].resume is None


def test_the_list(run_program):
    ran = run_program(RUNNER, *facts_of("breakfast.sh"), "--list")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["breakfast-resnet64", "41.1"],
        ["breakfast-actionvlad64", "55.5"],
        ["breakfast-videograph64", "59.1"],
        ["breakfast-tsm16", "72.1"],
        ["breakfast-slope16", "74.9"],
        ["breakfast-cumulative16", "76.6"],
    ]


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    "words, says",
    [
        ("", "required: ROW"),
        ("ucf101-tsm9", "choose from 'ucf101-tsn8'"),
        ("ucf101-tsm8 --gpus x", "'x' is not a number"),
        ("ucf101-tsm8 --nosuchflag", "unrecognized arguments: --nosuchflag"),
        ("ucf101-tsm8 -b 0", "0 must be at least 1"),
        ("ucf101-tsm8", "no list file data/ucf101/train_videofolder.txt: get the videos from www.crcv.ucf.edu"),
        ("ucf101-tsm8 --root_path here", "no list file here/val_videofolder.txt"),
        (
            "ucf101-tsm8 --root_path here --val_list here/train_videofolder.txt",
            "no Kinetics weights pretrained/TSM_kinetics_RGB_resnet50_shift8_blockres_avg_segment8_e50.pth: get them"
            " from",
        ),
        ("ucf101-slope8 --dense_sample", "--dense_sample samples frames where clustering sees all"),
    ],
)
def test_one_error_line(run_program, tmp_path, monkeypatch, words, says):
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/train_videofolder.txt").touch()
    assert says in run_program(RUNNER, *facts_of("ucf101_hmdb51.sh"), *words.split()).error
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_the_runner_is_for_the_scripts(run_program):
    assert "bash scripts/published/something.sh" in run_program(RUNNER).error


# ---------------------------------------------------------------- a row from its start to its end


@pytest.fixture
def ucf101(tmp_path) -> Path:
    """A folder in UCF101's layout: 4 videos to train on and 2 to test on, of 3 to 5 frames."""
    root = tmp_path / "ucf101"
    for k, name in enumerate(["train", "train", "train", "train", "val", "val"]):
        video = root / f"v{k}"
        video.mkdir(parents=True)
        for frame in range(1, 4 + k % 3):
            Image.new("RGB", (32, 24), (40 * frame, 40 * k, 0)).save(video / f"img_{frame:06d}.jpg")
        with (root / f"{name}_videofolder.txt").open("a") as file:
            file.write(f"v{k} {3 + k % 3} {100 * (k % 2)}\n")
    return root


@pytest.fixture
def kinetics(tmp_path) -> Path:
    """A checkpoint in TSM's layout, shifted in all stages, of 400 classes."""
    model = build_model(num_class=400, arch="resnet_thin", num_segments=8, cluster="none", shift=True)
    weights = {f"module.{key}": value for key, value in model.state_dict().items()}
    assert "module.base_model.layer1.0.conv1.net.weight" in weights and ARCHS["resnet_thin"].weights is None
    torch.save(
        {"epoch": 50, "arch": "resnet_thin", "state_dict": weights, "best_prec1": torch.tensor(71.2)},
        tmp_path / "kinetics.pth",
    )
    return tmp_path / "kinetics.pth"


SMALL = shlex.split("--arch resnet_thin --input_size 16 --epochs 2 -b 2 -j 0 --device cpu --gpus 0")


@pytest.fixture
def recorded(monkeypatch) -> list[list[str]]:
    """The commands that the runner would run in this process; each ends like one that was stopped."""
    commands = []
    monkeypatch.setattr(load_program(RUNNER), "run", lambda command: commands.append(command) or 143)
    return commands


def test_a_row_trains_and_tests_and_the_second_time_only_tests(run_program, tmp_path, ucf101, kinetics, recorded):
    words = [
        "ucf101-cumulative8",
        *SMALL,
        "--num_segments",
        "2",
        "--root_path",
        str(ucf101),
        "--root_model",
        str(tmp_path / "model"),
        "--root_log",
        str(tmp_path / "log"),
    ]
    done = subprocess.run(
        ["bash", FOLDER / "ucf101_hmdb51.sh", *words, "--tune_from", kinetics],
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done
    assert "new: new_fc.weight, new_fc.bias" in done.stdout and "lr 3.125e-05 (step)" in done.stdout
    assert done.stdout.count("Testing Results:") == 1 and "x 3 crops x 1 clip" in done.stdout
    assert done.stdout.endswith("published for ucf101-cumulative8: 96.4 %\n")
    (log,) = tmp_path.glob("log/*/log.csv")
    with log.open(newline="") as file:
        epochs = [(row["epoch"], row["split"]) for row in csv.DictReader(file)]
    assert epochs == [("0", "train"), ("0", "val"), ("1", "train"), ("1", "val")]
    again = run_program(RUNNER, *facts_of("ucf101_hmdb51.sh"), *words)  # weights to start from are not asked for
    assert "is trained to its end: only tested" in again.out
    assert [words[1] for words in recorded] == ["test_models.py"]
    assert f"$ {shlex.join(recorded[0])}\n" in done.stdout


def test_a_run_that_was_stopped_goes_on(run_program, ucf101, kinetics, recorded):
    """Within its epochs, training is asked for again with the same words, and nothing is tested before its end."""
    words = [*facts_of("ucf101_hmdb51.sh"), "ucf101-tsm8", *SMALL, "--root_path", ucf101, "--tune_from", kinetics]
    assert run_program(RUNNER, *words).code == 143
    folder = parse(recorded[0][2:])[0].run_folder
    folder.mkdir(parents=True)
    torch.save(torch.load(kinetics) | {"epoch": 1}, folder / ckpt.LAST)
    assert run_program(RUNNER, *words).code == 143
    assert recorded[0] == recorded[1] and recorded[0][-2:] == ["--resume", "auto"] and len(recorded) == 2


def test_signals_reach_the_command_and_it_is_waited_for(capfd):
    """Ctrl-C, which a terminal sends to all, is not sent twice."""
    child = """
import os, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.1), print("saved"), sys.exit(7)))
while True:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getppid(), number)
        time.sleep(0.05)
"""
    former = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert load_program(RUNNER).run([sys.executable, "-S", "-c", child]) == 7
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    assert capfd.readouterr().out.endswith("saved\n")
    assert load_program(RUNNER).run(["sh", "-c", "kill -KILL $$"]) == 137


# ---------------------------------------------------------------- every row, on a few small videos


def make_videos(root: Path, dataset: str) -> None:
    """Two videos to train on and two to test on, of 3 and 4 frames, as the dataset names them, with flow if it has."""
    spec = DATASETS[dataset]
    for k, name in enumerate(["train", "train", "val", "val"]):
        video = root / str(k + 1)
        video.mkdir(parents=True)
        names = [spec.image_tmpl.format(spec.first_frame + i) for i in range(3 + k % 2)]
        if spec.flow_tmpl and "img" in spec.image_tmpl:
            names += [spec.flow_tmpl.format(axis, 1 + i) for axis in "xy" for i in range(3 + k % 2)]
        for shade, frame in enumerate(names):
            Image.new("L", (32, 24), 20 * shade + 40 * k).save(video / frame)
        with (root / f"{name}_videofolder.txt").open("a") as file:
            file.write(f"{k + 1} {3 + k % 2} {k % 2}\n")


@pytest.fixture
def in_this_process(monkeypatch):
    """The programs that a row runs, their names in order; they run here, which takes less than a process each."""
    programs, runner = [], load_program(RUNNER)

    def run(command):
        programs.append(command[1])
        load_program(command[1]).main(command[2:])
        return 0

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(load_program("test_models.py"), "confusion_picture", lambda *_: b"")  # of 174 classes: slow
    return programs


ONE_STEP = shlex.split("--arch resnet_thin --input_size 16 --num_segments 2 --epochs 1 -b 2 -j 0 --device cpu --gpus 0")


@pytest.mark.parametrize("script, row", ROWS)
def test_every_row_takes_a_step_and_is_tested(
    run_program, tiny_data, kinetics, monkeypatch, in_this_process, script, row
):
    for name in ("CHANNELS", "NODES"):
        monkeypatch.setattr(videograph, name, 16)
    dataset, root = row.split("-")[0], tiny_data
    if dataset != "movingmnist":
        root = Path("videos")
        make_videos(root, dataset)
    start = ["--pretrain", "none"]
    if any("--tune_from" in words for words in rows_of(script)[row].train):
        start = ["--tune_from", kinetics]
    clusters = ["--cluster_start_epoch", "0"] if dataset == "movingmnist" else []
    ran = run_program(RUNNER, *facts_of(script), row, *ONE_STEP, *clusters, *start, "--root_path", root)
    assert ran.code == 0 and "Testing Results: Prec@1" in ran.out, ran
    assert ran.out.endswith(f"published for {row}: {rows_of(script)[row].published} %\n")
    trainings = len(rows_of(script)[row].train)
    before = ["tools/extract_features.py"] * bool(rows_of(script)[row].extract)
    assert in_this_process == [*before, *["main.py"] * trainings, "test_models.py"]
    for log in Path("log").glob("*/log.csv"):
        with log.open(newline="") as file:
            (trained,) = [line for line in csv.DictReader(file) if line["split"] == "train"]
        assert trained["videos"] == ("8" if dataset == "movingmnist" else "2")


def test_flow_that_is_missing_is_missed_before_anything_is_trained(run_program, kinetics, in_this_process):
    make_videos(Path("videos"), "ucf101")
    for picture in Path("videos/3").glob("flow*"):
        picture.unlink()
    words = ["ucf101-dynamic10", *ONE_STEP, "--pretrain", "none", "--root_path", "videos"]
    ran = run_program(RUNNER, *facts_of("ucf101_hmdb51.sh"), *words)
    assert "make it with `python tools/extract_flow.py videos videos`" in ran.error and not in_this_process
