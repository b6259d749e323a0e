"""README.md and docs/*.md keep up with the programs: their commands, Python blocks and links.

A mark directly before a block's fence, invisible in the rendered page, makes the block run in an empty folder:

    <!-- run: videos -->
    ```bash
    python tools/extract_frames.py videos data/mine
    ```

The words of the mark name what the folder holds, see `doc_needs.py`. Commands run as they are written, with what stands
in `SMALLER` put behind them. Where they name a checkpoint by a placeholder, they get the newest one of their dataset.
Commands in blocks without a mark, and between the lines, are parsed by their programs.
"""

import argparse
import glob
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest
from conftest import ROOT, Ran, load_program
from doc_needs import NEEDS

from ops.errors import InputError
from ops.evaluation import settings
from ops.options import cli
from ops.options.parsing import parse

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALLER = {  # program -> flags behind every command of it that runs: the last one wins
    "main.py": "--arch resnet_thin --input_size 32 --epochs 1 --pretrain none -j 0 --device cpu",
    "test_models.py": "-j 0 --device cpu",
    "tools/predict.py": "--device cpu",
    "tools/live.py": "--device cpu",
    "tools/explain.py": "--device cpu",
    "tools/extract_features.py": "--device cpu",
    "tools/gradient_agreement.py": "--num_videos 2 --num_pairs 4 --device cpu",
    "tools/report.py": "--device cpu",
    "tools/make_move4mnist.py": "--num_train 8 --num_val 4 -j 1 --digits glyphs",
}
OF_FEATURES = "--epochs 1 -j 0 --device cpu"  # behind those of main.py that see features
SHELLS = ("bash", "sh", "shell")
PLACEHOLDER = re.compile(r"checkpoint/NAME/ckpt\.best\.pth\.tar|path_to_the_best_model\.pth|\bCKPT\b")
PROGRAM = re.compile(r"(main|test_models|tools/\w+)\.py")
STARTS = {"scripts/slurm_train.sh": "main.py"}  # scripts that hand their arguments on
OWN_PARSERS = {"main.py": parse, "test_models.py": settings.parse}  # these know more than argparse does


class Block(NamedTuple):
    """The text between two fences; `needs` is None where no mark stands before it."""

    page: str
    line: int
    language: str
    text: str
    needs: list[str] | None


class Command(NamedTuple):
    """A program's call, or, with program None, another command of the shell."""

    place: str
    words: list[str]
    program: str | None
    arguments: list[str]


FENCED = re.compile(r"^(?:<!-- run:(?P<needs>.*) -->\n)?```(?P<language>.*)\n(?P<text>(?s:.*?))^```$", re.MULTILINE)


def blocks_of(page: str, text: str) -> Iterator[Block]:
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        needs = None if found["needs"] is None else found["needs"].split()
        yield Block(page, line, found["language"], found["text"], needs)


def without_blocks(text: str) -> str:
    """A page's prose, every line at its place."""
    return FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)


def read_command(place: str, words: list[str]) -> Command:
    for i, word in enumerate(words):
        if PROGRAM.fullmatch(word) or word in STARTS:
            return Command(place, words, STARTS.get(word, word), words[i + 1 :])
    return Command(place, words, None, [])


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a block of shell lines, which may be continued by `\\` and joined by `;`, `|` and `&&`."""
    for found in re.finditer(r"(?:.*\\\n)*.+", block.text):
        place = f"{block.page}:{block.line + block.text.count(chr(10), 0, found.start())}"
        lexer = shlex.shlex(found[0].replace("\\\n", " "), posix=True, punctuation_chars=";|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word.strip(";|&"):
                words.append(word)
            elif words:
                yield read_command(place, words)
                words = []


def inline_commands_of(page: str, text: str) -> Iterator[Command]:
    """Calls that are quoted in the prose, but for those that leave something out in words."""
    prose = without_blocks(text)
    for found in re.finditer(r"`(python3? [^`]+)`", prose):
        if not re.search(r"\.\.\.|<", found[1]):
            place = f"{page}:{prose.count(chr(10), 0, found.start()) + 1}"
            command = read_command(place, shlex.split(found[1].replace("\n", " ")))
            if command.program:
                yield command


TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
BLOCKS = [block for page, text in TEXTS.items() for block in blocks_of(page, text)]
SHELL = [command for block in BLOCKS if block.language in SHELLS for command in commands_of(block)]
INLINE = [command for page, text in TEXTS.items() for command in inline_commands_of(page, text)]


# --- every command ---------------------------------------------------------------------------------------------------


class Parsed(BaseException):
    """The parser took a command line."""


def check_parses(command: Command, monkeypatch) -> None:
    """Fail unless the program takes the command line; nothing of it runs."""

    def stopping(parse: Callable) -> Callable:
        def parse_and_stop(*args, **kwargs):
            parse(*args, **kwargs)
            raise Parsed

        return parse_and_stop

    def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
        raise InputError(message)

    with monkeypatch.context() as patch:
        patch.setattr(cli.ArgumentParser, "error", refuse)
        try:
            if command.program in OWN_PARSERS:
                OWN_PARSERS[command.program](command.arguments)
                return
            for name in ("parse_args", "parse_intermixed_args"):
                patch.setattr(cli.ArgumentParser, name, stopping(getattr(cli.ArgumentParser, name)))
            load_program(command.program).main(command.arguments)
        except Parsed:
            return
        except InputError as error:
            raise AssertionError(f"{command.place}: {shlex.join(command.words)}\n{error}") from None
        except SystemExit as end:
            if end.code == 0:  # --help
                return
    raise AssertionError(f"{command.place}: {command.program} did not read its command line")


@pytest.mark.parametrize(
    "command", [command for command in SHELL if command.program], ids=lambda command: command.place
)
def test_commands_parse(command, monkeypatch):
    check_parses(command, monkeypatch)


def test_the_quick_start_compares_its_runs_in_ways_that_parse(monkeypatch):
    text = (ROOT / "scripts/quickstart.sh").read_text()
    calls = re.findall(r"^run python (tools/(?:.*\\\n)*.*)$", text, re.M)
    commands = [read_command("quickstart.sh", shlex.split(call.replace("\\\n", " "))) for call in calls]
    assert [command.program for command in commands] == ["tools/compare_runs.py", "tools/report.py"]
    for command in commands:
        check_parses(command, monkeypatch)
    assert commands[0].arguments[0] == commands[1].arguments[0]  # the same runs


@pytest.mark.parametrize("command", INLINE, ids=lambda command: command.place)
def test_commands_between_the_lines_parse_as_far_as_they_go(command, monkeypatch):
    try:
        check_parses(command, monkeypatch)
    except AssertionError as error:
        if "arguments are required" not in str(error):
            raise


@pytest.mark.parametrize(
    "script",
    sorted(
        {word for command in SHELL for word in command.words if re.fullmatch(r"(?!videos/|data/)[\w/]+\.(sh|py)", word)}
    ),
)
def test_programs_named_in_commands_exist(script):
    assert (ROOT / script).is_file()


# --- marked blocks ---------------------------------------------------------------------------------------------------


def fill_in(words: list[str]) -> list[str]:
    """Words with a checkpoint in place of what stands for one: of the dataset if it has one, else the newest."""
    if not any(map(PLACEHOLDER.search, words)):
        return words
    found = sorted(Path().glob("checkpoint/*/ckpt.best.pth.tar"), key=lambda path: path.stat().st_mtime_ns)
    own = [path for path in found for word in words if path.parts[1].startswith(f"TSM_{Path(word).name}_RGB")]
    return [PLACEHOLDER.sub(str((own or found)[-1]), word) for word in words]


def run_shell(block: Block, run_program, names: dict) -> None:
    for command in commands_of(block):
        words = fill_in(command.words)
        words = [path for word in words for path in (sorted(glob.glob(word)) if "*" in word else None) or [word]]
        more = shlex.split(OF_FEATURES if "Features" in words else SMALLER.get(command.program, ""))
        asked = f"{command.place}: {shlex.join([*command.words, *more])}"
        if command.program is None:
            done = subprocess.run(words, capture_output=True, text=True)
            ran = Ran(done.returncode, done.stdout, done.stderr)
        elif words[0] in ("python", "python3"):
            try:
                ran = run_program(command.program, *words[2:], *more)
            except Exception as error:
                raise AssertionError(asked) from error
        else:
            raise AssertionError(f"{asked}\ntakes more than this process: leave the mark out")
        if ran.code != 0:
            raise AssertionError(f"{asked}\n{ran.out}{ran.err}")


def run_python(block: Block, run_program, names: dict) -> None:
    exec(compile("\n" * (block.line - 1) + block.text, ROOT / block.page, "exec"), names)


RUNNERS = dict.fromkeys(SHELLS, run_shell) | {"python": run_python}


def run_block(block: Block, run_program, monkeypatch) -> None:
    """Run a block in the folder it needs, which is the present one."""
    monkeypatch.delenv("FULL_VIDEO_DATA", raising=False)
    names: dict = {}
    for need in block.needs:
        names |= NEEDS[need](Path.cwd()) or {}
    RUNNERS[block.language](block, run_program, names)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.needs is not None], ids=lambda block: f"{block.page}:{block.line}"
)
def test_marked_blocks_run(block, run_program, monkeypatch):
    run_block(block, run_program, monkeypatch)


@pytest.mark.parametrize("page", TEXTS)
def test_no_command_escapes(page):
    blocks = [block for block in BLOCKS if block.page == page]
    assert TEXTS[page].count("```") == 2 * len(blocks)  # none is indented, or left open
    assert TEXTS[page].count("<!-- run") == sum(block.needs is not None for block in blocks)
    if page != "docs/extending.md":  # test_extending.py runs its recipes
        assert [block.line for block in blocks if block.language == "python" and block.needs is None] == []
    others = [block for block in blocks if block.language not in RUNNERS]
    assert [block.line for block in others if re.search(r"^\$? *(python3?|torchrun|bash) ", block.text, re.M)] == []


MOVED = "intro\n\n<!-- run: mine -->\n```bash\nls data/mine\npython tools/check_dataset.py \\\n  data/{} RGB{}\n```\n"


@pytest.mark.parametrize(
    "name, flag, message",
    [
        ("yours", "", "^page.md:6: python tools/check_dataset.py data/yours RGB\nerror: unknown dataset"),
        ("mine", " -j 0", "^page.md:6: python tools/check_dataset.py data/mine RGB -j 0\nerror: argument -j: 0"),
        ("mine", "; ls nowhere", "^page.md:6: ls nowhere\n.*No such file"),
        ("mine", "; torchrun main.py data/mine RGB", "^page.md:6: torchrun main.py .*\ntakes more than this process"),
    ],
)
def test_a_command_that_fails_is_named_with_its_line_and_error(name, flag, message, run_program, monkeypatch):
    (block,) = blocks_of("page.md", MOVED.format(name, flag))
    with pytest.raises(AssertionError, match=message):
        run_block(block, run_program, monkeypatch)


@pytest.mark.parametrize(
    "line, count, message",
    [
        (
            "python main.py ucf101 RGB --shift_div 4",
            1,
            "page.md:2: python .*\n--shift_div has no effect without --shift",
        ),
        ("torchrun main.py ucf101 RGB --epoch 4", 1, "page.md:2: torchrun main.py ucf101 RGB --epoch 4"),
        ("sbatch --nodes=2 scripts/slurm_train.sh ucf101 BGR", 1, "page.md:2: sbatch"),
        ("cd x && python test_models.py ucf101", 2, "page.md:2: python test_models.py ucf101"),
        ("python tools/make_lists.py ucf102 --split 2", 1, "page.md:2: python tools/make_lists.py ucf102"),
        ("python tools/make_lists.py ucf101 --speed 2", 1, "page.md:2: python tools/make_lists.py ucf101"),
        ("python tools/compare_runs.py", 1, "page.md:2: python tools/compare_runs.py"),
    ],
)
def test_a_command_that_does_not_parse_is_named(line, count, message, monkeypatch):
    (block,) = blocks_of("page.md", f"```bash\n{line}\n```\n")
    commands = [*commands_of(block)]
    assert len(commands) == count
    with pytest.raises(AssertionError, match=message):
        check_parses(commands[-1], monkeypatch)


# --- links -----------------------------------------------------------------------------------------------------------


def anchors_of(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    anchors: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", without_blocks(text), re.MULTILINE):
        anchor = base = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        number = 0
        while anchor in anchors:
            number += 1
            anchor = f"{base}-{number}"
        anchors.add(anchor)
    return anchors


LINKS = [
    (page, link)
    for page, text in TEXTS.items()
    for link in dict.fromkeys(re.findall(r"\]\((?!https?:)([^)\s]+)\)", without_blocks(text)))
]


@pytest.mark.parametrize("page, link", LINKS, ids=lambda value: value)
def test_links_lead_somewhere(page, link):
    target, _, anchor = link.partition("#")
    path = (ROOT / page).parent / target if target else ROOT / page
    assert path.exists()
    if anchor:
        assert anchor in anchors_of(path.read_text())


def test_anchors_are_those_of_github():
    text = "# A `b_c.py` & d\n```bash\n# no heading\n```\n## What, why?\n### What why\n"
    assert anchors_of(text) == {"a-b_cpy--d", "what-why", "what-why-1"}
