"""Read every list line and every frame of a dataset before a long run, and list all that is wrong."""

import collections
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import _path
from tqdm import tqdm

from ops.data.lists import Video, parse_line, read_lines
from ops.data.specs import DatasetSpec
from ops.data.stores import open_store
from ops.errors import InputError
from ops.files import as_csv, check_writable, write_whole
from ops.options import cli, types
from ops.options.config import Config
from ops.options.parsing import add_dataset_options
from ops.run.data import class_names

EXAMPLE = """examples:
  python tools/check_dataset.py ucf101 RGB --root_path data/ucf101
  python tools/check_dataset.py path/to/folder/with/dataset.json RGB --csv problems.csv
"""


class Problem(NamedTuple):
    """One thing that is wrong, as a row of problems.csv."""

    list_file: str
    line: int
    kind: str
    what: str


def check_lists(lists: dict[str, Path], spec: DatasetSpec) -> tuple[list[tuple[str, int, Video]], list[Problem]]:
    """Parse all lists -> (list, line, video) of the good lines, and the problems of the others.

    Duplicate lines and videos that are in more than one list are problems, but are read all the same.
    """
    videos, problems, seen = [], [], {}
    for name, path in lists.items():
        for number, line in read_lines(path):
            try:
                video = parse_line(line, spec.num_class)
            except ValueError as error:
                problems.append(Problem(name, number, "bad line", f"{line.strip()[:80]!r} {error}"))
                continue
            first = seen.setdefault(os.path.normpath(video.path), (name, number))
            if first != (name, number):
                kind = "duplicate line" if first[0] == name else "in two lists"
                problems.append(Problem(name, number, kind, f"{video.path} is also in {first[0]} line {first[1]}"))
            videos.append((name, number, video))
    return videos, problems


def check_video(item: tuple[str, int, Video], root: Path, spec: DatasetSpec) -> tuple[int, list[Problem]]:
    """Decode every frame of a video -> (frames read, problems)."""
    name, number, video = item
    try:
        read, faults = open_store(root / video.path).inspect(spec, video.num_frames)
    except InputError as error:
        return 0, [Problem(name, number, "unreadable pack", str(error))]
    problems = []
    for kind, text in faults:
        if kind == "frame count":
            text = f"{video.path}: {text}"
        problems.append(Problem(name, number, kind, text))
    return read, problems


def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.ArgumentParser(
        prog="check_dataset.py", usage="%(prog)s dataset modality [options]", description=__doc__, epilog=EXAMPLE
    )
    add_dataset_options(parser)
    parser.add_argument(
        "-j",
        type=types.number(int, least=1),
        default=os.cpu_count() or 1,
        metavar="N",
        help="threads that read frames (default: one per core)",
    )
    parser.add_argument(
        "--csv",
        type=Path,
        default=Path("problems.csv"),
        metavar="FILE",
        help="where the problems are written, if any (default problems.csv)",
    )
    options = vars(parser.parse_args(argv))
    threads, table = options.pop("j"), options.pop("csv")
    config = Config(**options)
    spec, root = config.spec, config.root
    check_writable(table, "--csv")
    if config.category_file:
        class_names(config)
    lists = {name: config.list_file(name) for name in (spec.train_list, spec.val_list)}
    videos, problems = check_lists(lists, spec)
    frames = 0
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(partial(check_video, root=root, spec=spec), videos)
        for read, found in tqdm(results, total=len(videos), desc="videos", unit="video", disable=None, leave=False):
            frames += read
            problems += found
    print(f"{root}: {len(videos)} videos in {len(lists)} lists, {frames} frames read")
    if not problems:
        table.unlink(missing_ok=True)
        print("no problems found")
        return 0
    problems.sort(key=lambda problem: (list(lists).index(problem.list_file), problem.line))
    write_whole(table, as_csv([Problem._fields, *problems]))
    for kind, count in collections.Counter(problem.kind for problem in problems).most_common():
        example = next(problem for problem in problems if problem.kind == kind)
        print(f"{count:>6}  {kind:<17} e.g. {example.list_file} line {example.line}: {example.what}")
    print(f"{len(problems)} problems, all of them in {table}")
    return 1


if __name__ == "__main__":
    cli.run(main)
