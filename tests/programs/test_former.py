"""A checkpoint that an earlier revision wrote (5ccae9a) gives the digits that it gave there, and training goes on."""

import re

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

CHECKPOINT = ROOT / "tests" / "former" / "ckpt.pth.tar"
DATA = ["own", "RGB", "--image_tmpl", "{}.png", "--first_frame", "0", "--num_class", "4", "--no_flip", "-j", "0"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """The videos that it was trained on: a square that moves left, right, up or down over noise."""
    root = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        lines = []
        for i in range(8):
            dx, dy = ((-3, 0), (3, 0), (0, -3), (0, 3))[i % 4]
            x, y = (int(v) for v in rng.integers(20, 36, 2))
            folder, count = root / split / f"v{i}", 10 + i
            folder.mkdir(parents=True)
            for t in range(count):
                frame = rng.integers(0, 60, (64, 64, 3), np.uint8)
                top, left = (y + dy * t) % 52, (x + dx * t) % 52
                frame[top : top + 12, left : left + 12] = 250
                Image.fromarray(frame).save(folder / f"{t}.png")
            lines.append(f"{split}/v{i} {count} {i % 4}\n")
        (root / f"{split}_videofolder.txt").write_text("".join(lines))
    return root


def loss_of(ran):
    assert ran.code == 0, ran
    top1, top5, loss = re.search(r"Testing Results: Prec@1 (\S+) Prec@5 (\S+) Loss (\S+)\n", ran.out).groups()
    assert (top1, top5) == ("37.500", "100.000")
    return float(loss)


def test_evaluation(run_main, videos):
    ran = run_main("--evaluate", *DATA, "--root_path", videos, "--resume", CHECKPOINT)
    assert loss_of(ran) == pytest.approx(1.37737, abs=1.1e-5)
    assert "resnet_thin, 0.18 M parameters, 56 px, shift 1/4 blockres" in ran.out


def test_three_crops(run_program, videos):
    words = [*DATA, "--root_path", videos, "--weights", CHECKPOINT, "--test_crops", "3", "--confusion", "matrix"]
    assert loss_of(run_program("test_models.py", *words)) == pytest.approx(1.37881, abs=1.1e-5)


def test_training_goes_on(run_main, videos, tmp_path):
    ran = run_main(*DATA, "--root_path", videos, "--resume", CHECKPOINT, "--epochs", "4", "--pretrain", "none")
    assert ran.code == 0 and "all loaded, epoch 3" in ran.out and "epoch 3  lr 0.02  train loss" in ran.out
    (table,) = tmp_path.glob("log/*/log.csv")
    assert [row.split(",")[0] for row in table.read_text().splitlines()] == ["epoch", "3", "3"]
