"""Annotations made from folders: Breakfast's, whose names say it all, and those of a dataset of one's own."""

import hashlib
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

from tqdm import tqdm

from ops.data.prepare.annotations import BREAKFAST_NAME, Annotation, Item, parse_breakfast
from ops.data.prepare.discovery import (
    FrameCounter,
    guess_first,
    guess_template,
    sub_folders,
    sub_videos,
    videos_below,
    walk,
)
from ops.data.prepare.extraction import cores
from ops.data.prepare.list_lines import UNLISTABLE, Problem, first_of, fits_a_line
from ops.errors import InputError

USUAL = "img_{:05d}.jpg"  # how frames are named where there are none, as tools/extract_frames.py would name them
OWN = "own"  # first frame: each video's own


def find_breakfast(frames: Path, split: str) -> tuple[Annotation, list[Problem]]:
    """The folders and video files below `frames` that are named as Breakfast's videos are, split by person."""
    paths = []
    for folder, names in tqdm(walk(frames), unit="folder", disable=None, leave=False):
        there = [*names, *sub_videos(frames / folder).values()]
        paths += [f"{folder}/{name}".lstrip("/") for name in there if BREAKFAST_NAME.fullmatch(name)]
        names[:] = [name for name in names if not BREAKFAST_NAME.fullmatch(name)]
    if not paths:
        raise InputError(
            f"no folder named like P03_cereals or P03_cereals_ch0 below {frames}, nor a video file; put the videos"
            " there, or see --frames"
        )
    annotation, problems = parse_breakfast(paths, split)
    return annotation, [Problem("-", *problem) for problem in problems]


Classes = dict[str, list[str]]  # class -> its videos: folders of frames, and video files


def find_classes(frames: Path, part: str) -> tuple[Classes, list[Problem]]:
    """The videos of each class folder in `frames`/`part`, and folders that are none."""
    classes, problems = {}, []
    for name in sub_folders(frames / part):
        top = f"{part}/{name}".lstrip("/")
        if not fits_a_line(name):
            problems.append(Problem(part or "-", top, UNLISTABLE))
            continue
        videos, files, refused = videos_below(frames, top)
        problems += [Problem(part or "-", path, reason) for path, reason in refused.items() if path != top]
        if videos == [top]:
            problems.append(Problem(part or "-", top, "frames lie in the class's own folder, not in one a video"))
            videos = []
        classes[name] = sorted(videos + files)
    return classes, problems


def choose_val(videos: list[str], share: float, seed: int) -> set[str]:
    """A share of one class's videos, at least one and not all; the draw depends on seed and names only."""
    number = min(max(int(len(videos) * share + 0.5), 1), len(videos) - 1)
    drawn = sorted(videos, key=lambda video: hashlib.sha256(f"{seed}/{video}".encode(errors="replace")).digest())
    return set(drawn[:number])


def find_parts(frames: Path, val_fraction: float | None) -> list[str]:
    """The ready-made splits among the folders in `frames`: train, val and perhaps test; else "", the folder itself."""
    tops = sub_folders(frames)
    if not {"train", "val"} <= set(tops):
        return [""]
    parts = [name for name in ("train", "val", "test") if name in tops]
    if others := [name for name in tops if name not in parts]:
        raise InputError(
            f"{frames}: train and val stand beside {', '.join(others[:3])}; keep train, val and"
            " test only, or classes only"
        )
    if val_fraction is not None:
        raise InputError(f"--val_fraction {val_fraction}: {frames} is split into train and val already")
    return parts


def split_classes(classes: Classes, val_fraction: float, seed: int) -> dict[str, Classes]:
    """The videos of each class, a share of them for val."""
    splits: dict[str, Classes] = {"train": {}, "val": {}}
    for name, videos in classes.items():
        chosen = choose_val(videos, val_fraction, seed)
        splits["train"][name] = [video for video in videos if video not in chosen]
        splits["val"][name] = [video for video in videos if video in chosen]
    return splits


def find_folder(
    frames: Path, image_tmpl: str | None, first_frame: int | str | None, val_fraction: float | None, seed: int
) -> tuple[Annotation, FrameCounter, list[Problem]]:
    """Classes and videos from folders; the videos of a class are split, unless train/ and val/ are there."""
    parts = find_parts(frames, val_fraction)
    found: dict[str, Classes] = {}
    problems: list[Problem] = []
    for part in parts:
        found[part], strays = find_classes(frames, part)
        problems += strays
    videos = [video for classes in found.values() for videos in classes.values() for video in videos]
    if not videos:
        raise InputError(
            f"no <class>/<video>/<frames> in {frames}{first_of(problems)}, and no video file <class>/<video>.mp4"
        )
    folders = [video for video in videos if (frames / video).is_dir()]
    template = image_tmpl or (guess_template(frames, folders) if folders else USUAL)
    first = guess_first(frames, folders, template) if first_frame is None else first_frame
    if first == OWN:
        first = None
    counter = FrameCounter(template, first)
    paths = [os.path.join(frames, video) for video in videos]
    with ThreadPool(cores()) as pool:
        for _ in tqdm(
            pool.imap_unordered(counter.count, paths), total=len(paths), unit="video", disable=None, leave=False
        ):
            pass  # what was counted is kept
    for part, classes in found.items():  # broken videos go before the split, so that its shares are right
        for name, videos in classes.items():
            reasons = {video: counter.count(os.path.join(frames, video))[1] for video in videos}
            problems += [Problem(part or "-", video, reason) for video, reason in reasons.items() if reason]
            classes[name] = [video for video in videos if not reasons[video]]
    return annotate(frames, found, val_fraction or 0.2, seed, problems), counter, problems


def annotate(
    frames: Path, found: dict[str, Classes], val_fraction: float, seed: int, problems: list[Problem]
) -> Annotation:
    """The sound videos of the classes that were found in each part; labels are those of the first part's classes."""
    part = next(iter(found))
    categories = [name for name, videos in found[part].items() if videos]
    notes = [
        f"{name} has no sound video in {frames / part}, so it is no class"
        for name in found[part]
        if name not in categories
    ]
    if len(categories) < 2:
        raise InputError(
            f"{frames / part}: {len(categories)} classes with sound videos, 2 or more are needed{first_of(problems)}"
        )
    if part == "":
        found = split_classes({name: found[""][name] for name in categories}, val_fraction, seed)
    splits: dict[str, list[Item]] = {}
    for part, classes in found.items():
        if unknown := [name for name, videos in classes.items() if videos and name not in categories]:
            raise InputError(f"{frames / part / unknown[0]}: no such class in {frames / next(iter(found))}")
        notes += [f"{part} has no video of {name}" for name in categories if not classes.get(name)]
        splits[part] = [
            Item((os.path.dirname(video),), (os.path.basename(video),), label)
            for label, name in enumerate(categories)
            for video in classes.get(name, [])
        ]
    return Annotation(categories, splits, "sorted class names", notes=tuple(notes))
