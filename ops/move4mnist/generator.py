"""Move4MNIST, made anew: short videos of a white digit that moves left, right, up or down.

Liu et al., *No frame left behind: Full Video Action Recognition*, CVPR 2021. The published videos cannot be downloaded;
this generator follows what they show. A slow background fills 64x48 pixels of a 64x64 grey frame. A *main* digit moves
in the direction of its class, by `speed` pixels per frame in which it is visible; while hidden it waits. A
*distractor*, another digit, stands still in a few frames of the first half. All other frames are empty (background
only, or black) and come in runs. Which digit it is, where it is in any one frame, and what the background does say
nothing about the class: only the order of the positions does.

In the `published` look digits stand at whole pixels, as there: half a pixel a frame is one pixel in every second frame
that shows the digit. The brighter of digit and background shows, and the distractor stands on the main digit's path.

Deviations: backgrounds and digits are our own unless they are given, see `sources.py`; run lengths, not only counts,
are drawn; the distractor stands where the main digit is in any one of its frames, not in the first, since a place that
every path starts from would tell its direction. The `smooth` look draws digits between pixels and over the background,
and the distractor anywhere.
"""

import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ops.errors import InputError
from ops.files import growing_folder
from ops.move4mnist.sources import (
    BAR,
    DIGIT,
    SIZE,
    SPLITS,
    WHITEST,
    Background,
    Digits,
    choose_digits,
    draw_scene,
    find_backgrounds,
    is_background,
    visible_files,
)

CLASSES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # name -> (dx, dy); labels 0..3 in order
ABOUT = "move4mnist.json"  # beside the lists: how the videos were made
MIDDLE_X, MIDDLE_Y = (17, 47), (19, 45)  # where the middle of a trajectory may lie


class Kind(IntEnum):
    """What one frame shows besides the background."""

    MAIN = 0
    DISTRACTOR = 1
    BACKGROUND = 2
    BLACK = 3


@dataclass(frozen=True)
class Move4Config:
    """How a video is built; raises `InputError` where the values cannot be met.

    `speed` in pixels per visible frame; `main`, `distractor` are (least, most) frames; an empty run's length is one of
    `empty_run`, each as likely; `p_black` is the share of empty runs that are black; in a `still_background` nothing
    but its grain changes; `look` is one of LOOKS; `brightness` is the (least, most) mean grey of a video's background,
    None leaves it as it is.
    """

    num_frames: int = 32
    speed: float = 0.5
    main: tuple[int, int] = (14, 18)
    distractor: tuple[int, int] = (5, 7)
    empty_run: tuple[int, ...] = (1, 2, 3)
    p_black: float = 0.5
    still_background: bool = False
    look: str = "smooth"
    brightness: tuple[int, int] | None = None

    def __post_init__(self):
        for name, least in (("main", 2), ("distractor", 0)):
            low, high = getattr(self, name)
            require(least <= low <= high, f"{name} {low}-{high}: must be a rising range from {least} or more")
        require(self.look in LOOKS, f"look {self.look!r}: must be {' or '.join(LOOKS)}")
        if self.brightness:
            low, high = self.brightness
            require(
                0 < low <= high < WHITEST, f"brightness {low}-{high}: must be a rising range from 1 to {WHITEST - 1}"
            )
        require(0 <= self.p_black <= 1, f"p_black {self.p_black}: must be from 0 to 1")
        require(0 < self.speed < math.inf, f"speed {self.speed}: must be above 0")
        shortest = min(self.empty_run, default=0)
        require(shortest > 0, f"empty_run {'/'.join(map(str, self.empty_run))}: needs lengths of at least 1")
        main, distractor = self.main[1], self.distractor[1]
        require(
            main + distractor <= self.num_frames,
            f"main {main} + distractor {distractor} frames are more than num_frames {self.num_frames}",
        )
        length, room = (main - 1) * self.speed, SIZE - DIGIT
        require(
            length <= room,
            f"a digit seen in {main} frames at speed {self.speed:g} travels {length:g} pixels but "
            f"has room for {room}: lower speed or main",
        )


def require(met: bool, message: str) -> None:
    """Raise `InputError` unless `met`."""
    if not met:
        raise InputError(message)


def lay_over(frame: np.ndarray, digit: np.ndarray, centre: np.ndarray) -> None:
    """Lay a white `digit` (h, w), opacity 0..1, over `frame` (SIZE, SIZE) in place, bilinear at `centre` (x, y)."""
    h, w = digit.shape
    left, top = centre - np.array([w, h]) / 2
    x, y = math.floor(left), math.floor(top)
    across = np.pad(digit, ((0, 1), (0, 1)))
    across = across + (left - x) * (np.roll(across, 1, 1) - across)
    shifted = across + (top - y) * (np.roll(across, 1, 0) - across)  # (h + 1, w + 1)
    part = frame[max(y, 0) : y + h + 1, max(x, 0) : x + w + 1]
    shifted = shifted[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    part += shifted * (255 - part)


def lay_brighter(frame: np.ndarray, digit: np.ndarray, centre: np.ndarray) -> None:
    """Make `frame` (SIZE, SIZE) the brighter of itself and a `digit` (h, w) in 0..1, its corner rounded down."""
    h, w = digit.shape
    x, y = np.maximum(0, np.floor(centre - np.array([w, h]) / 2).astype(int))
    part = frame[y : y + h, x : x + w]
    np.maximum(part, 255 * digit, out=part)


LOOKS = {"smooth": lay_over, "published": lay_brighter}
PRESETS = {
    "standard": Move4Config(look="published"),
    "easy": Move4Config(speed=2, main=(18, 22), distractor=(0, 0)),
    "medium": Move4Config(speed=1),
    "long": Move4Config(num_frames=128, speed=1, empty_run=(8, 12, 16), p_black=0.25),
}


class VideoFacts(NamedTuple):
    """What is true of one video. Positions are digit centres (x, y) in pixels; pixel i covers [i, i + 1]."""

    kinds: np.ndarray  # (t,) of Kind
    centres: np.ndarray  # (t, 2) of the main digit before any rounding, NaN where it is hidden
    distractor_centre: np.ndarray  # (2,)
    digit: int
    distractor_digit: int


# ---------------------------------------------------------------- one video


def draw_kinds(config: Move4Config, rng: np.random.Generator) -> np.ndarray:
    """Draw what each frame shows: runs of empty frames anywhere between digits, distractors in the first half.

    A run is black from end to end, with probability `p_black`, or background from end to end; runs may meet.

    Returns (t,) of Kind. Should too few digits fall in the first half, the layout is drawn again; after 100 times the
    distractors are the first digits of the video.
    """
    num_main, num_distractor = (rng.integers(low, high + 1) for low, high in (config.main, config.distractor))
    visible = num_main + num_distractor
    lengths, left = [], config.num_frames - visible
    while left:
        lengths.append(min(rng.choice(config.empty_run), left))
        left -= lengths[-1]
    run_kinds = np.where(rng.random(len(lengths)) < config.p_black, Kind.BLACK, Kind.BACKGROUND)
    for _ in range(100):
        digits_before = rng.integers(visible + 1, size=len(lengths))  # each run
        order = np.argsort(np.concatenate([digits_before, np.arange(visible) + 0.5]))
        pieces = np.concatenate([run_kinds, np.full(visible, Kind.MAIN)])[order]
        kinds = np.repeat(pieces, np.concatenate([lengths, np.ones(visible, int)])[order].astype(int))  # (t,)
        shown = np.flatnonzero(kinds == Kind.MAIN)  # (visible,)
        early = shown[shown < config.num_frames // 2]
        if len(early) > num_distractor:
            break
    else:
        early = shown[:num_distractor]
    kinds[rng.choice(early, num_distractor, replace=False)] = Kind.DISTRACTOR
    return kinds


def draw_path(config: Move4Config, label: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the main digit's centres (steps, 2), such that one of them alone says nothing about the label.

    The middle of the path is uniform in a box that is the same for every class, and the whole path is moved across its
    direction by one of the offsets it runs through along it: then (x, y) of a random step has one distribution.
    """
    offsets = (np.arange(steps) - (steps - 1) / 2) * config.speed  # (steps,)
    low, high = DIGIT / 2 - offsets[0], SIZE - DIGIT / 2 + offsets[0]
    middle = [rng.uniform(max(low, box[0]), min(high, box[1])) for box in (MIDDLE_X, MIDDLE_Y)]
    direction = np.array(list(CLASSES.values())[label])  # (2,)
    across = rng.choice(offsets) * direction[::-1]
    return middle + across + offsets[:, None] * direction


def plan_video(config: Move4Config, label: int, rng: np.random.Generator) -> VideoFacts:
    """Draw all facts of one video of class `label` (0..3) without drawing a pixel."""
    kinds = draw_kinds(config, rng)
    centres = np.full((config.num_frames, 2), np.nan)
    shown = kinds == Kind.MAIN
    path = centres[shown] = draw_path(config, label, shown.sum(), rng)
    digit, distractor_digit = rng.choice(10, 2, replace=False)
    stand = rng.choice(path) if config.look == "published" else rng.uniform(DIGIT / 2, SIZE - DIGIT / 2, 2)
    return VideoFacts(kinds, centres, stand, int(digit), int(distractor_digit))


def expose(scenes: np.ndarray, mean: float) -> None:
    """Bend the greys of `scenes` (t, h, w), 0 to WHITEST, in place so that their mean comes near `mean`.

    Black and WHITEST stay, all between are raised to one power, 0.2 to 5: exactly right for a scene of one grey.
    """
    share = np.clip(scenes.mean() / WHITEST, 0.01, 0.99)
    power = np.clip(math.log(mean / WHITEST) / math.log(share), 0.2, 5)
    scenes[:] = WHITEST * np.clip(scenes / WHITEST, 0, 1) ** np.float32(power)


def make_video(
    config: Move4Config, label: int, rng: np.random.Generator, digits: Digits, background: Background
) -> tuple[np.ndarray, VideoFacts]:
    """Make one video of class `label` (0..3). Returns frames uint8 (t, SIZE, SIZE) and its facts."""
    facts, lay = plan_video(config, label, rng), LOOKS[config.look]
    main, distractor = digits(facts.digit, rng), digits(facts.distractor_digit, rng)
    frames = np.zeros((config.num_frames, SIZE, SIZE), np.float32)
    times = np.zeros(config.num_frames) if config.still_background else np.arange(config.num_frames)
    frames[:, BAR : SIZE - BAR] = background(times, rng)
    if config.brightness:
        expose(frames[:, BAR : SIZE - BAR], rng.uniform(*config.brightness))
    for frame, kind, centre in zip(frames, facts.kinds, facts.centres, strict=True):
        if kind == Kind.MAIN:
            lay(frame, main, centre)
        elif kind == Kind.DISTRACTOR:
            lay(frame, distractor, facts.distractor_centre)
        elif kind == Kind.BLACK:
            frame[:] = 0
    return np.rint(frames).astype(np.uint8), facts


# ---------------------------------------------------------------- the data set


class Job(NamedTuple):
    """One video to be written: class `label`, number `index` within its class and split."""

    split: str
    label: int
    index: int

    @property
    def path(self) -> str:
        """Its folder, relative to the data set."""
        return f"{self.split}/{list(CLASSES)[self.label]}_{self.index}"

    def rng(self, seed: int) -> np.random.Generator:
        """What all its draws come from."""
        return np.random.default_rng([seed, SPLITS.index(self.split), self.label, self.index])


@dataclass(frozen=True)
class Summary:
    """What `make_dataset` wrote; `reason` says why glyphs stand in for MNIST, else None.

    `left_out` counts the files among the backgrounds that are neither pictures nor videos by their names.
    """

    out: Path
    num_train: int
    num_val: int
    num_frames: int
    digits: str
    reason: str | None = None
    left_out: int = 0

    def __str__(self):
        text = f"{self.out}: {self.num_train} train and {self.num_val} val videos of {self.num_frames} frames"
        text += f", digits: {self.digits}"
        if self.reason:
            text += f" ({self.reason})"
        if self.left_out:
            text += f"\nleft out: {self.left_out} of the backgrounds' files, no pictures or videos by their names"
        return text


def write_video(
    job: Job, out: Path, config: Move4Config, seed: int, digits: dict[str, Digits], backgrounds: dict[str, Background]
) -> None:
    """Write the frames of one video below `out`: a function of (seed, split, class, index) and of nothing else."""
    frames, _ = make_video(config, job.label, job.rng(seed), digits[job.split], backgrounds[job.split])
    folder = out / job.path
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i}.jpg", quality=75)


def facts_of(folder: Path, path: str) -> VideoFacts | None:
    """What is true of a video, `path` in the lists of the data set in `folder`: planned again from its move4mnist.json.

    None where there is no such file, or the video is none of those it tells of; InputError if it cannot be used.
    """
    split, _, name = path.partition("/")
    name, _, index = name.rpartition("_")
    if not (folder / ABOUT).is_file() or split not in SPLITS or name not in CLASSES or not index.isdecimal():
        return None
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8-sig"))
        job = Job(split, list(CLASSES).index(name), int(index))
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in about["config"].items()}
        return plan_video(Move4Config(**values), job.label, job.rng(about["seed"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, InputError) as error:
        raise InputError(
            f"{folder / ABOUT} does not say how the videos were made ({error}); make them again, or remove it"
        ) from None


def make_dataset(
    out: str | Path,
    config: Move4Config,
    num_train: int = 1800,
    num_val: int = 600,
    seed: int = 0,
    workers: int | None = None,
    digits: str = "auto",
    backgrounds: str | Path | None = None,
    mnist: str | Path | None = None,
    progress: Callable[..., Iterable] = lambda videos, total: videos,
) -> Summary:
    """Write a whole data set: `out/{train,val}/CLASS_N/{i}.jpg`, `{train,val}_videofolder.txt`, `category.txt`.

    It grows in `out` + ".partial" and is renamed once it is whole. The bytes depend on the arguments, not on `workers`
    (None: one per core). `progress(videos, total=...)` may wrap the loop over videos, as tqdm does. MNIST is looked
    for, and kept, in the folder `mnist` (None: beside `out`). Raises `InputError` for arguments that cannot be used,
    and for backgrounds that cannot be read; then nothing is left behind.
    """
    out, workers = Path(out), (os.cpu_count() or 1) if workers is None else workers
    require(out.name != "", f"{out}: the data set needs a folder of its own, such as {out / 'movingmnist'}")
    require(
        min(num_train, num_val, seed) >= 0,
        f"num_train {num_train}, num_val {num_val}, seed {seed}: must not be negative",
    )
    require(num_train + num_val > 0, "num_train 0 and num_val 0: there is nothing to make")
    require(workers > 0, f"workers {workers}: must be at least 1")
    require(
        not os.path.lexists(out) or out.is_dir() and not any(out.iterdir()),
        f"{out}: exists already; remove it or choose another --out",
    )
    require(
        mnist is None or digits != "glyphs", f"mnist {mnist} and digits glyphs do not go together: give one of them"
    )
    scenes, left_out, decoded = dict.fromkeys(SPLITS, draw_scene), 0, out.with_name(out.name + ".partial") / "decoded"
    if backgrounds:
        scenes = find_backgrounds(Path(backgrounds), seed, decoded)
        left_out = sum(not is_background(path) for path in visible_files(Path(backgrounds)))
    glyphs, used, reason = choose_digits(
        digits if mnist is None else "mnist", out.parent if mnist is None else Path(mnist)
    )

    jobs = [
        Job(split, i % len(CLASSES), i // len(CLASSES))
        for split, num in zip(SPLITS, (num_train, num_val), strict=True)
        for i in range(num)
    ]
    try:
        with growing_folder(out) as growing:
            write = partial(write_video, out=growing, config=config, seed=seed, digits=glyphs, backgrounds=scenes)
            ignore_ctrl_c = signal.signal, (signal.SIGINT, signal.SIG_IGN)  # in the workers: this process ends them
            with multiprocessing.Pool(min(workers, len(jobs)), *ignore_ctrl_c) as pool:
                for _ in progress(pool.imap_unordered(write, jobs, chunksize=8), total=len(jobs)):
                    pass
            for split in SPLITS:
                lines = [f"{job.path} {config.num_frames} {job.label}\n" for job in jobs if job.split == split]
                (growing / f"{split}_videofolder.txt").write_text("".join(lines))
            (growing / "category.txt").write_text("".join(f"{name}\n" for name in CLASSES))
            shutil.rmtree(decoded, ignore_errors=True)
            about = {"config": asdict(config), "seed": seed, "digits": used, "backgrounds": str(backgrounds or "drawn")}
            (growing / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    except OSError as error:  # a full disk, say
        raise InputError(f"{out}.partial: cannot be written ({error.strerror}); choose another --out") from error
    return Summary(out, num_train, num_val, config.num_frames, used, reason, left_out)
