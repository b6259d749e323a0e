"""The recipes of docs/extending.md, applied to a copy of the program that then trains with what they add."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

PAGE = (ROOT / "docs" / "extending.md").read_text()
MARK = re.compile(r"<!-- (new|change): (\S+) -->\n[^\n]*\n\n```\w+\n(.*?)```\n", re.DOTALL)
RECIPES = ["A backbone", "A clustering", "A head", "A store of frames", "A data set", "An option"]
OPTIONS = "--arch plain --cluster calm --consensus_type weighted --nesterov"  # what they add
SMALL = "--num_segments 4 --epochs 1 -b 4 -j 0 --input_size 32 --device cpu"


def blocks_of(recipe: str) -> list[tuple[str, str, str]]:
    """(new or change, path, text) of each block of a recipe."""
    section = PAGE.split(f"\n## {recipe}\n")[1].split("\n## ")[0]
    return MARK.findall(section)


def apply(kind: str, path: Path, text: str) -> None:
    """Write a new file, or change one: every run of lines between `@@` must stand in it once."""
    if kind == "new":
        assert not path.exists()
        path.write_text(text)
        return
    content = path.read_text()
    for hunk in text.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        assert content.count(before) == 1, f"{path} does not hold, once:\n{before}"
        content = content.replace(before, after)
    path.write_text(content)


def test_every_recipe_is_tested():
    assert re.findall(r"^## (.*)", PAGE, re.M) == RECIPES
    assert len(MARK.findall(PAGE)) == PAGE.count("```diff") + PAGE.count("```python")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A copy of the program with all recipes applied."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("archs", "ops"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "main.py", folder)
    for recipe in RECIPES:
        blocks = blocks_of(recipe)
        assert blocks
        for kind, path, text in blocks:
            apply(kind, folder / path, text)
    return folder


def trains(program: Path, *words: str | Path) -> None:
    """Run main.py of a copy of the program for an epoch."""
    command = [sys.executable, "main.py", *map(str, words), *SMALL.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=program, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "best top-1" in done.stdout, done


def test_what_the_recipes_add_is_laid_out_as_the_program(program):
    lint = [sys.executable, "-m", "ruff", "check", "--quiet", "--config", ROOT / "pyproject.toml", program]
    assert subprocess.run(lint, capture_output=True, text=True).stdout == ""


def test_backbone_clustering_head_store_and_option_train(program, tiny_data, tmp_path):
    data = Path(shutil.copytree(tiny_data, tmp_path / "stacks"))
    for folder in (path for split in ("train", "val") for path in (data / split).iterdir()):
        frames = [Image.open(folder / f"{i}.jpg").convert("L") for i in range(20)]
        frames[0].save(folder.with_suffix(".tiff"), save_all=True, append_images=frames[1:])
        shutil.rmtree(folder)
    trains(program, "movingmnist", "RGB", "--root_path", data, *OPTIONS.split())


def test_data_set_trains(program):
    for split in ("train", "val"):
        lines = []
        for i in range(4):
            folder = program / "data/gestures" / split / f"v{i}"
            folder.mkdir(parents=True)
            for number in range(1, 7):
                Image.new("RGB", (48, 40), (40 * number, 60 * i, 0)).save(folder / f"{number:05d}.jpg")
            lines.append(f"{split}/v{i} 6 {i % 2}\n")
        (program / "data/gestures" / f"{split}_videofolder.txt").write_text("".join(lines))
    trains(program, "gestures", "RGB", "--arch", "resnet_thin")
