"""What programs share that make a folder of pictures of every video: which videos, how it goes on, what failed.

A folder appears when it is complete. What was done how stands in a record in the folder of them all, so that what is
made otherwise is never mixed in; one run at a time works there.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from ops.data.frame_names import is_hidden
from ops.data.prepare.discovery import leads_back
from ops.errors import InputError
from ops.files import claimed

PARTIAL = ".partial"  # in the folder of all


class Broken(Exception):
    """A video that cannot be extracted; the message is the reason in one line, mostly the decoder's."""


def find_videos(src: Path, dst: Path, extensions: str) -> tuple[dict[Path, Path], Counter[str]]:
    """Folder of pictures (relative to `dst`) -> video (relative to `src`), sorted, and the endings of all other files.

    What lies in `dst` is left alone. Folders that clash are an error.
    """
    endings = {"." + ending.strip().lstrip(".").lower() for ending in extensions.split(",") if ending.strip(" .")}

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}")

    videos, others, real_dst = [], Counter(), os.path.realpath(dst)
    for folder, folders, files in os.walk(src, onerror=refuse, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not is_hidden(name)
            and not leads_back(Path(folder, name))
            and os.path.realpath(os.path.join(folder, name)) != real_dst
        ]
        for name in files:
            ending = os.path.splitext(name)[1].lower()
            if ending in endings and not is_hidden(name):
                videos.append(Path(folder, name).relative_to(src))
            else:
                others["hidden" if is_hidden(name) else ending or "no ending"] += 1
    found = {}
    for video in sorted(videos):
        target = video.with_suffix("")
        if target in found:
            raise InputError(f"{found[target]} and {video} would both become {dst / target}: rename one")
        found[target] = video
    for target, video in found.items():
        if inside := next((parent for parent in target.parents if parent in found), None):
            raise InputError(f"the frames of {video} would lie inside those of {found[inside]}: rename one")
    return found, others


def left_out(others: Counter[str]) -> str:
    """How many files are no videos by their names, in words; "" for none."""
    shown = ", ".join(f"{count} {ending}" for ending, count in others.most_common())
    return f"left out by their names: {shown}; --ext says which endings are videos'" if shown else ""


def check_record(path: Path, what: str, settings: dict, made_with: dict, there: bool) -> None:
    """Write down in `path` how `what` ("frames") beside it is made; raises `InputError` if it was made otherwise.

    `there` says whether some of these videos have it already; it then needs a record. What it is `made_with` is written
    down, too, but not compared.
    """
    if not path.exists():
        if there:
            raise InputError(
                f"{path.parent} holds {what} of these videos but no {path.name} that says how they were made: give"
                " another DST"
            )
        path.write_text(json.dumps(settings | made_with, indent=1) + "\n")
        return
    try:
        old = json.loads(path.read_text())
        differ = [f"--{key} {old[key]} there, {new} now" for key, new in settings.items() if old[key] != new]
    except (ValueError, LookupError, TypeError):
        raise InputError(f"{path} is damaged: delete it together with the {what} beside it") from None
    if differ:
        asked = "; ".join(differ).replace("None", "(every frame)")
        raise InputError(f"{path.parent} holds {what} made otherwise: {asked}. Give the same options or another DST")


@contextmanager
def partial_folder(dst: Path) -> Iterator[Path]:
    """A new empty folder in `dst`, gone at the end, as is what a killed run left; one run at a time has it."""
    with claimed(dst):
        try:
            shutil.rmtree(dst / PARTIAL, ignore_errors=True)
            (dst / PARTIAL).mkdir(exist_ok=True)
            yield Path(tempfile.mkdtemp(dir=dst / PARTIAL))  # a new name: another's may still be in use
        finally:
            shutil.rmtree(dst / PARTIAL, ignore_errors=True)


def new_folder(partial: Path) -> Path:
    """A new empty folder in `partial` for one video, to be renamed to its place."""
    work = Path(tempfile.mkdtemp(dir=partial))
    work.chmod(partial.parent.stat().st_mode & 0o777)  # mkdtemp makes it for its owner only
    return work


def run_all(
    tasks: Mapping[str, Callable[[], int]], jobs: int, stop: Callable[[], None], failed_file: Path
) -> tuple[int, dict[str, str]]:
    """Run the task of each video, `jobs` at a time, with a bar on a terminal -> pictures written by all, and the reason
    for each video that is `Broken`.

    `failed_file` lists those that failed, and is not there where none did. Where the run ends early, by Ctrl-C or a
    full disk, `stop` tells the tasks at work to end.
    """
    pictures, failed = 0, {}
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(tasks), unit="video", disable=None) as bar:
        try:
            futures = {pool.submit(task): video for video, task in tasks.items()}
            for future in as_completed(futures):
                try:
                    pictures += future.result()
                except Broken as error:
                    failed[futures[future]] = str(error)
                bar.set_postfix(written=pictures, failed=len(failed), refresh=False)
                bar.update()
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            with suppress(OSError):  # of a full disk, say: what went wrong first is to be heard
                failed_file.unlink(missing_ok=True)
                if failed:
                    write_lines(failed_file, [f"{video}\t{failed[video]}" for video in sorted(failed)])
    return pictures, failed


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_lines(path: Path, lines: Sequence[str], mode: str = "w") -> None:
    """Write or, with mode "a", add lines, in which file names may hold bytes that are no text."""
    with path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(line + "\n" for line in lines)
