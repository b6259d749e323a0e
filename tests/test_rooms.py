"""README's table of directories is that of the code, and imports only run down it, in no circle.

The table's rows are rooms, the top one first: a file imports from its own room and from rooms below it.
"""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT

FLOORS = 8  # rooms that stand on one another, at most

README = (ROOT / "README.md").read_text().split("\n## Directories\n")[1].split("\n## ")[0]
ROOMS = [re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| (`.*?) \|", README, re.M)]  # paths, top row first
FILES = sorted(path.relative_to(ROOT).as_posix() for top in ("ops", "archs") for path in (ROOT / top).rglob("*.py"))


def room_of(file: str) -> int | None:
    """The number of the row that names a file or, of its folders, the innermost; 0 is the top row."""
    rooms = {path: number for number, paths in enumerate(ROOMS) for path in paths}
    named = [path for path in rooms if file == path or (path.endswith("/") and file.startswith(path))]
    return rooms[max(named, key=len)] if named else None


def file_of(module: str) -> str | None:
    """The file of a module or package of this repository, None for others."""
    path = module.replace(".", "/")
    for file in (f"{path}.py", f"{path}/__init__.py"):
        if (ROOT / file).is_file():
            return file
    return None


def imports_of(file: str, text: str) -> set[str]:
    """The files of this repository that a file's text imports, wherever in it the import stands."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = file.split("/")[: -node.level]
                base = ".".join([*package, base] if base else package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                modules.append(inner if file_of(inner) else base)
    return {found for module in modules if (found := file_of(module))} - {file}


@cache
def imports() -> dict[str, set[str]]:
    return {file: imports_of(file, (ROOT / file).read_text()) for file in FILES}


def test_every_folder_and_every_file_beside_the_folders_has_a_row():
    named = {path for paths in ROOMS for path in paths}
    for path in named:
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path
    folders = {file.rpartition("/")[0] + "/" for file in FILES} - {"ops/"}
    loose = {file for file in FILES if file.count("/") == 1 and file.startswith("ops/")} - {"ops/__init__.py"}
    assert folders | loose <= named


def test_imports_run_down():
    assert {file for file, others in imports().items() if others and room_of(file) is None} == set()
    up = {
        (file, other)
        for file, others in imports().items()
        for other in others
        if room_of(other) is None or room_of(other) < room_of(file)
    }
    assert up == set(), "these imports run up README's table of directories"


def test_nothing_imports_a_program():
    programs = {other for others in imports().values() for other in others if not other.startswith(("ops/", "archs/"))}
    assert programs == set()


def test_training_imports_nothing_of_what_looks_at_finished_runs():
    reached, left = set(), imports_of("main.py", (ROOT / "main.py").read_text())
    while left:
        reached |= left
        left = {other for file in left for other in imports().get(file, ())} - reached
    own = {file for file in reached if re.search(r"/(report|explain|pointing|maps|runs)\w*\.py$", file)}
    assert "ops/evaluation/result_files.py" in reached and own == set()


def test_there_is_no_circle():
    TopologicalSorter(imports()).prepare()  # raises CycleError, which names the circle


def needed_by(file: str) -> set[str]:
    """All files that are imported where this one is."""
    needed, new = set(), imports_of(file, (ROOT / file).read_text())
    while new:
        needed |= new
        new = {other for file in new for other in imports()[file]} - needed
    return needed


def test_training_imports_nothing_of_export():
    assert "ops/run/training.py" in needed_by("main.py")
    assert not [file for file in needed_by("main.py") if file.startswith("ops/export/")]


def test_a_model_is_loaded_without_the_program_that_trains():
    assert not {"ops/run/setup.py", "ops/run/training.py", "ops/training/engine.py"} & needed_by("ops/run/restore.py")


def test_no_package_of_export_is_imported_at_once():
    lines = (ROOT / "requirements-export.txt").read_text().splitlines()
    packages = {line.split(">=")[0] for line in lines if ">=" in line}
    assert packages >= {"onnx", "onnxruntime", "safetensors"}
    for file in FILES:
        for node in ast.parse((ROOT / file).read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert not packages & {name.split(".")[0] for name in names}, file


def test_no_room_stands_on_more_than_a_few_others():
    floors: dict[int, int] = {}
    for room in reversed(range(len(ROOMS))):
        below = {room_of(other) for file, others in imports().items() if room_of(file) == room for other in others}
        floors[room] = 1 + max((floors[other] for other in below - {room}), default=0)
    programs = 1
    assert programs + max(floors.values()) <= FLOORS


def test_tests_lie_in_the_folders_of_what_they_test():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and list(path.glob("test_*.py"))}
    others = {folder for folder in folders if not (ROOT / "ops" / folder).is_dir() and not (ROOT / folder).is_dir()}
    assert others == {"programs"}


@pytest.mark.parametrize(
    "text",
    [
        "import ops.data.lists",
        "from ops.data import lists",
        "from ops.data.lists import read_list",
        "def late():\n    from ops.data.lists import Video",
        "if TYPE_CHECKING:\n    from ops.data.lists import Video",
        "from ..data import lists",
        "from .. import data\nfrom ..data.lists import Video",
    ],
)
def test_imports_are_found_however_they_are_written(text):
    assert "ops/data/lists.py" in imports_of("ops/run/saving.py", text)
    assert room_of("ops/data/lists.py") > room_of("ops/data/prepare/discovery.py") > room_of("ops/run/saving.py")
