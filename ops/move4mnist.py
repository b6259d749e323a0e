"""Move4MNIST, made anew: short videos of a white digit that moves left, right, up or down.

Liu et al., *No frame left behind: Full Video Action Recognition*, CVPR 2021. The published videos cannot be downloaded;
this generator follows what they show. A slow background fills 64x48 pixels of a 64x64 grey frame. A *main* digit moves
in the direction of its class, by `speed` pixels per frame in which it is visible; while hidden it waits. A
*distractor*, another digit, stands still in a few frames of the first half. All other frames are empty (background
only, or black) and come in runs. Which digit it is, where it is in any one frame, and what the background does say
nothing about the class: only the order of the positions does.

Deviations: backgrounds are procedural unless the user brings pictures; digits are distorted glyphs of a font unless
MNIST is at hand; run lengths, not only counts, are drawn.
"""
import contextlib
import io
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, features

from ops.cli import InputError

CLASSES = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # name -> (dx, dy); labels 0..3 in order
SPLITS = ("train", "val")
SIZE = 64  # frame height and width
BAR = 8  # height of the black bar above and below
DIGIT = 20  # longest side of a digit
MIDDLE_X, MIDDLE_Y = (17, 47), (19, 45)  # where the middle of a trajectory may lie
WHITEST = 223  # brightest background, so that a white digit shows
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


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
    `empty_run`, each as likely; `p_black` is the share of empty frames that are black.
    """

    num_frames: int = 32
    speed: float = 0.5
    main: tuple[int, int] = (14, 18)
    distractor: tuple[int, int] = (5, 7)
    empty_run: tuple[int, ...] = (1, 2, 3)
    p_black: float = 0.5

    def __post_init__(self):
        for name, least in (("main", 2), ("distractor", 0)):
            low, high = getattr(self, name)
            if low > high:
                raise InputError(f"{name} {low}-{high}: the first number must not be above the second")
            if low < least:
                raise InputError(f"{name} {low}-{high}: must be at least {least}")
        if not self.empty_run or min(self.empty_run) < 1:
            raise InputError(f"empty_run {'/'.join(map(str, self.empty_run))}: needs lengths of at least 1")
        if not 0 <= self.p_black <= 1:
            raise InputError(f"p_black {self.p_black}: must be from 0 to 1")
        if not 0 < self.speed < math.inf:
            raise InputError(f"speed {self.speed}: must be above 0")
        visible = self.main[1] + self.distractor[1]
        if visible > self.num_frames:
            raise InputError(f"main {self.main[1]} + distractor {self.distractor[1]} frames are more than "
                             f"num_frames {self.num_frames}")
        length, room = (self.main[1] - 1) * self.speed, SIZE - DIGIT
        if length > room:
            raise InputError(f"a digit seen in {self.main[1]} frames at speed {self.speed:g} travels {length:g} pixels "
                             f"but has room for {room}: lower speed or main")
        gaps = self.main[0] + self.distractor[0] + 1
        empty = self.num_frames - gaps + 1
        if empty > gaps * min(self.empty_run):
            raise InputError(f"up to {empty} empty frames do not fit the {gaps} gaps between visible ones in runs of "
                             f"{min(self.empty_run)}: use runs of at least {-(-empty // gaps)} or fewer num_frames")


PRESETS = {
    "standard": Move4Config(),
    "easy": Move4Config(speed=2, main=(18, 22), distractor=(0, 0)),
    "medium": Move4Config(speed=1),
    "long": Move4Config(num_frames=128, speed=1, empty_run=(8, 12, 16), p_black=0.25),
}


class VideoFacts(NamedTuple):
    """What is true of one video. Positions are digit centres (x, y) in pixels; pixel i covers [i, i + 1]."""

    kinds: np.ndarray  # (t,) of Kind
    centres: np.ndarray  # (t, 2) of the main digit, NaN where it is hidden
    distractor_centre: np.ndarray  # (2,)
    digit: int
    distractor_digit: int


@dataclass(frozen=True)
class Summary:
    """What `make_dataset` wrote; `reason` says why glyphs stand in for MNIST, else None."""

    out: Path
    num_train: int
    num_val: int
    num_frames: int
    digits: str
    reason: str | None = None


Digits = Callable[[int, np.random.Generator], np.ndarray]  # (digit 0-9, rng) -> (h, w) opacity in 0..1, h, w <= DIGIT
Background = Callable[[int, np.random.Generator], np.ndarray]  # (t, rng) -> (t, SIZE - 2 * BAR, SIZE) grey, <= WHITEST


# ---------------------------------------------------------------- one video

def draw_kinds(config: Move4Config, rng: np.random.Generator) -> np.ndarray:
    """Draw what each frame shows: runs of empty frames in distinct gaps, distractors among the first half's digits.

    A run is black from end to end, with probability `p_black`, or background from end to end.

    Returns (t,) of Kind. Should too few digits fall in the first half, the layout is drawn again; after 100 times the
    distractors are the first digits of the video.
    """
    num_main, num_distractor = (rng.integers(low, high + 1) for low, high in (config.main, config.distractor))
    visible = num_main + num_distractor
    for _ in range(100):
        runs, left = np.zeros(visible + 1, int), config.num_frames - visible  # empty frames before each visible one
        for gap in rng.permutation(visible + 1):
            runs[gap] = min(rng.choice(config.empty_run), left)
            left -= runs[gap]
        shown = np.arange(visible) + np.cumsum(runs[:-1])  # (visible,) frame indices
        early = np.flatnonzero(shown < config.num_frames // 2)
        if len(early) > num_distractor:
            break
    else:
        early = np.arange(num_distractor)
    run_kinds = np.where(rng.random(visible + 1) < config.p_black, Kind.BLACK, Kind.BACKGROUND)
    kinds = np.repeat(run_kinds, runs + 1)[: config.num_frames]  # a run and the visible frame behind it
    kinds[shown] = Kind.MAIN
    kinds[shown[rng.choice(early, num_distractor, replace=False)]] = Kind.DISTRACTOR
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
    centres[shown] = draw_path(config, label, shown.sum(), rng)
    digit, distractor_digit = rng.choice(10, 2, replace=False)
    stand = rng.uniform(DIGIT / 2, SIZE - DIGIT / 2, 2)
    return VideoFacts(kinds, centres, stand, int(digit), int(distractor_digit))


def paste(frame: np.ndarray, digit: np.ndarray, centre: np.ndarray) -> None:
    """Lay a white `digit` (h, w), opacity 0..1, over `frame` (SIZE, SIZE) in place, bilinear at `centre` (x, y)."""
    h, w = digit.shape
    left, top = centre - np.array([w, h]) / 2
    x, y = math.floor(left), math.floor(top)
    across = np.pad(digit, ((0, 1), (0, 1)))
    across = across + (left - x) * (np.roll(across, 1, 1) - across)
    shifted = across + (top - y) * (np.roll(across, 1, 0) - across)  # (h + 1, w + 1)
    part = frame[max(y, 0):y + h + 1, max(x, 0):x + w + 1]
    shifted = shifted[max(-y, 0):, max(-x, 0):][:part.shape[0], :part.shape[1]]
    part += shifted * (255 - part)


def make_video(config: Move4Config, label: int, rng: np.random.Generator, digits: Digits,
               background: Background) -> tuple[np.ndarray, VideoFacts]:
    """Make one video of class `label` (0..3). Returns frames uint8 (t, SIZE, SIZE) and its facts."""
    facts = plan_video(config, label, rng)
    main, distractor = digits(facts.digit, rng), digits(facts.distractor_digit, rng)
    frames = np.zeros((config.num_frames, SIZE, SIZE), np.float32)
    frames[:, BAR:SIZE - BAR] = background(config.num_frames, rng)
    for frame, kind, centre in zip(frames, facts.kinds, facts.centres, strict=True):
        if kind == Kind.MAIN:
            paste(frame, main, centre)
        elif kind == Kind.DISTRACTOR:
            paste(frame, distractor, facts.distractor_centre)
        elif kind == Kind.BLACK:
            frame[:] = 0
    return np.rint(frames).astype(np.uint8), facts


# ---------------------------------------------------------------- digits

def trim(digit: np.ndarray) -> np.ndarray:
    """Cut away the empty border of a digit (h, w), so that its middle is the middle of what one sees."""
    rows, columns = (np.flatnonzero(digit.max(axis) > 0.1) for axis in (1, 0))
    return digit[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def draw_glyph(digit: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a digit of Pillow's own font with a random slant, scale, turn, pen width and elastic bend. (h, w) in 0..1"""
    side = 72
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((side / 2, side / 2), str(digit), 255, ImageFont.load_default(48), anchor="mm",
                               stroke_width=int(rng.integers(0, 3)))
    angle, slant = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.45)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    affine = turn @ np.array([[1 / rng.uniform(0.85, 1.3), slant], [0, 1]])
    bend = [Image.fromarray(rng.normal(0, 2, (5, 5)).astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
            for _ in range(2)]
    grid = np.mgrid[:side, :side][::-1] - (side - 1) / 2  # (2, side, side) as x, y
    x, y = (affine[:, :, None, None] * grid).sum(1) + (side - 1) / 2 + np.stack(bend)  # no BLAS: same bytes everywhere
    glyph = trim(sample(np.asarray(image, np.float32) / 255, x, y))
    scale = rng.uniform(0.9, 1) * DIGIT / max(glyph.shape)
    h, w = (max(3, round(n * scale)) for n in glyph.shape)
    return np.clip(np.asarray(Image.fromarray(glyph).resize((w, h), Image.Resampling.BICUBIC)) * 1.15, 0, 1)


def sample(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear values of `image` (h, w) at pixel positions x, y of any one shape; the border is repeated outwards."""
    x, y = np.clip(x, 0, image.shape[1] - 1.001), np.clip(y, 0, image.shape[0] - 1.001)
    i, j = y.astype(int), x.astype(int)
    v, u = (y - i).astype(np.float32), (x - j).astype(np.float32)
    top = image[i, j] * (1 - u) + image[i, j + 1] * u
    return top * (1 - v) + (image[i + 1, j] * (1 - u) + image[i + 1, j + 1] * u) * v


@dataclass(frozen=True)
class MnistDigits:
    """Digits of MNIST's unpacked files in `folder`: its `train` part for our train videos, `t10k` for val."""

    folder: str
    part: str

    def images(self) -> np.ndarray:
        """All images (n, 28, 28) uint8, not read before they are used."""
        return np.memmap(Path(self.folder, f"{self.part}-images-idx3-ubyte"), np.uint8, "r", 16).reshape(-1, 28, 28)

    def labels(self) -> np.ndarray:
        """All labels (n,) uint8."""
        return np.fromfile(Path(self.folder, f"{self.part}-labels-idx1-ubyte"), np.uint8, offset=8)

    def __call__(self, digit: int, rng: np.random.Generator) -> np.ndarray:
        return trim(self.images()[rng.choice(np.flatnonzero(self.labels() == digit))] / np.float32(255))


def find_mnist(root: Path, timeout: float = 4) -> Path:
    """Folder of MNIST's unpacked files below `root`, downloaded by torchvision where missing.

    Nothing is printed. Raises whatever stops the download: ImportError, OSError, RuntimeError.
    """
    raw, before = root / "MNIST" / "raw", socket.getdefaulttimeout()
    names = [f"{part}-{rest}" for part in ("train", "t10k") for rest in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if all((raw / name).is_file() for name in names):
        return raw
    from torchvision.datasets import MNIST  # only here: the generator itself needs no torch

    socket.setdefaulttimeout(timeout)
    try:
        if not getproxies():  # offline shows at the first address; the download would try all of every mirror
            socket.create_connection((socket.gethostbyname(urlsplit(MNIST.mirrors[0]).hostname), 443)).close()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            MNIST(str(root), download=True)
    finally:
        socket.setdefaulttimeout(before)
        with contextlib.suppress(OSError):  # leave no empty folders behind
            raw.rmdir()
            raw.parent.rmdir()
    return raw


def choose_digits(name: str, root: Path) -> tuple[dict[str, Digits], str, str | None]:
    """Digits for each split, what they are ("mnist" or "glyphs"), and why if "auto" fell back to glyphs.

    Raises `InputError` for an unknown name and where the digits that are asked for cannot be had.
    """
    if name not in ("auto", "mnist", "glyphs"):
        raise InputError(f"digits {name!r}: must be auto, mnist or glyphs")
    reason = None
    if name != "glyphs":
        try:
            raw = str(find_mnist(root))
            return {"train": MnistDigits(raw, "train"), "val": MnistDigits(raw, "t10k")}, "mnist", None
        except Exception as error:  # offline, no torchvision, a proxy's own ideas: all mean "not to be had"
            cause = re.search(r"urlopen error ([^>]*)>", str(error))  # of all that torchvision tells about its mirrors
            cause = cause[1] if cause else " ".join(str(error).split()) or type(error).__name__
            reason = f"MNIST is not in {root / 'MNIST'} and could not be downloaded ({cause})"
            if name == "mnist":
                raise InputError(f"{reason}: put it there, or use digits glyphs") from error
    if not features.check("freetype2"):
        raise InputError("this Pillow has no FreeType to draw digits with: pip install --upgrade 'pillow>=10.1'")
    return dict.fromkeys(SPLITS, draw_glyph), "glyphs", reason  # every video draws its own: no two splits share one


# ---------------------------------------------------------------- backgrounds

def draw_way(t: int, speed: float, room: float, rng: np.random.Generator) -> np.ndarray:
    """A slow way through [0, room] x [0, room]: a straight drift and some sway. Returns (t, 2), pixels."""
    angle, phase, period = rng.uniform(0, 2 * math.pi, 3) * (1, 1, 20 / math.pi)
    time = np.arange(t)[:, None]
    drift = time * min(speed, 0.7 * room / t) * np.array([math.cos(angle), math.sin(angle)])
    way = drift + rng.uniform(0, 0.1, 2) * room * np.sin(2 * math.pi * time / (30 + period) + phase)
    return way - way.min(0) + rng.uniform(size=2) * np.maximum(0, room - np.ptp(way, axis=0))


def pan(scene: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Windows of `scene` (h, w) whose top left corners follow `way` (t, 2). (t, SIZE - 2 * BAR, SIZE), bilinear"""
    out = np.empty((len(way), SIZE - 2 * BAR, SIZE), np.float32)
    for window, (x, y) in zip(out, way, strict=True):
        i, j = int(y), int(x)
        part = scene[i:i + SIZE - 2 * BAR + 1, j:j + SIZE + 1]
        part = part[:-1] + np.float32(y - i) * (part[1:] - part[:-1])
        window[:] = part[:, :-1] + np.float32(x - j) * (part[:, 1:] - part[:, :-1])
    return out


def draw_noise(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (h, w) of zero mean and unit spread, its octaves falling as one over frequency."""
    noise = np.zeros((h, w), np.float32)
    for cells in (2, 4, 8, 16, 32):
        octave = Image.fromarray(rng.normal(size=(cells + 1, cells + 2)).astype(np.float32))
        noise += np.asarray(octave.resize((w, h), Image.Resampling.BICUBIC)) / cells
    return (noise - noise.mean()) / noise.std()


def draw_shapes(h: int, w: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Flat polygons and ellipses of many greys, laid over each other as walls, furniture and people are. (h, w) 0..1"""
    image = Image.new("L", (2 * w, 2 * h), 128)
    draw = ImageDraw.Draw(image)
    for _ in range(count):
        centre, grey = rng.uniform(0, (2 * w, 2 * h)), int(rng.integers(256))
        reach = np.exp(rng.uniform(math.log(8), math.log(120), 2))
        if rng.random() < 0.4:
            draw.ellipse([*(centre - reach / 2), *(centre + reach / 2)], grey)
        else:
            angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 6)))
            corners = centre + reach * np.stack([np.cos(angles), np.sin(angles)], 1)
            draw.polygon([tuple(corner) for corner in corners], grey)
    image = image.resize((w, h), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1)))
    return np.asarray(image, np.float32) / 255


def draw_scene(t: int, rng: np.random.Generator) -> np.ndarray:
    """A procedural background: a camera that drifts over a still scene, one thing that moves in it, light that sways.

    Returns (t, SIZE - 2 * BAR, SIZE) float32, mid-grey at a natural contrast.
    """
    room = 24
    h, w = SIZE - 2 * BAR + room + 1, SIZE + room + 1
    scene = draw_shapes(h, w, rng.integers(4, 16), rng) + rng.uniform(0.05, 0.25) * draw_noise(h, w, rng)
    scene = rng.uniform(70, 150) + rng.uniform(25, 45) * (scene - scene.mean()) / scene.std()
    frames = pan(scene, draw_way(t, rng.uniform(0, 0.2), room, rng))

    mask = Image.new("L", (w, h))
    x, y = rng.uniform((w * 0.35, h * 0.35), (w * 0.65, h * 0.65))
    rx, ry = rng.uniform(3, 9), rng.uniform(6, 15)
    ImageDraw.Draw(mask).ellipse([x - rx, y - ry, x + rx, y + ry], 255)
    mask = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255  # (h, w)
    way = draw_way(t, rng.uniform(0, 0.35), room, rng)
    mover = mask * (rng.uniform(30, 190) + 20 * draw_noise(h, w, rng))
    frames += pan(mover, way) - pan(mask, way) * frames

    light = 1 + 0.03 * np.sin(rng.uniform(0, 6) + np.arange(t) * rng.uniform(0.02, 0.2))
    return np.clip(frames * light[:, None, None], 4, WHITEST).astype(np.float32)


def number_of(path: str) -> int:
    """The number a file name ends in, -1 without one: `img_00012.jpg` -> 12."""
    found = re.search(r"(\d+)$", Path(path).stem)
    return int(found[1]) if found else -1


def read_grey(path: str, least: tuple[int, int]) -> Image.Image:
    """Read a picture as grey, scaled and cropped to fill `least` (width, height); `InputError` where it is none."""
    try:
        with Image.open(path) as image:
            image.draft("L", least)
            image = image.convert("L")
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a picture; mend or remove it") from error
    scale = max(a / b for a, b in zip(least, image.size, strict=True))
    w, h = (max(a, math.ceil(b * scale)) for a, b in zip(least, image.size, strict=True))
    left, top = (w - least[0]) // 2, (h - least[1]) // 2
    return image.resize((w, h), Image.Resampling.BILINEAR).crop((left, top, left + least[0], top + least[1]))


def looks_like_video(paths: list[str]) -> bool:
    """Whether pictures of one folder are a video: 8 or more, numbered without a gap, neighbours much alike."""
    numbers = [number_of(path) for path in paths]
    if len(paths) < 8 or numbers != list(range(numbers[0], numbers[0] + len(paths))) or numbers[0] < 0:
        return False
    few = np.stack([np.asarray(read_grey(path, (32, 24)), np.float32) for path in paths[:8]])  # (8, 24, 32)
    return float(np.median(np.abs(np.diff(few, axis=0)).mean((1, 2)))) < 16


@dataclass(frozen=True)
class FolderBackgrounds:
    """Backgrounds from the user's own files: a source of one path is panned slowly, one of many is played slowly."""

    sources: tuple[tuple[str, ...], ...]

    def __call__(self, t: int, rng: np.random.Generator) -> np.ndarray:
        paths = self.sources[rng.integers(len(self.sources))]
        if len(paths) == 1:
            room = int(rng.integers(8, 33))
            image = read_grey(paths[0], (SIZE + room + 1, SIZE - 2 * BAR + room + 1))
            frames = pan(np.asarray(image, np.float32), draw_way(t, rng.uniform(0.05, 0.3), room, rng))
        else:  # half speed: every second frame lies between two of the source; back and forth where it is short
            last = len(paths) - 1
            place = rng.uniform(0, max(0, last - t / 2)) + np.arange(t) / 2
            place = last - np.abs(place % (2 * last) - last)  # (t,) in [0, last]
            first = np.minimum(place.astype(int), last - 1)
            least = (SIZE, SIZE - 2 * BAR)
            known = {i: np.asarray(read_grey(paths[i], least), np.float32) for i in {*first, *(first + 1)}}
            frames = np.stack([known[i] + np.float32(p - i) * (known[i + 1] - known[i])
                               for i, p in zip(first, place, strict=True)])
        return frames * np.float32(WHITEST / 255)


def find_backgrounds(folder: Path, seed: int) -> dict[str, Background]:
    """Backgrounds for each split from all pictures below `folder`; a quarter of the sources, if any, is val's own.

    Raises `InputError` where the folder is missing or holds no picture.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of backgrounds")
    sources = []
    for place, subfolders, names in os.walk(folder):
        subfolders.sort()
        paths = [os.path.join(place, name) for name in names
                 if Path(name).suffix.lower() in PICTURES and not name.startswith(".")]
        paths.sort(key=lambda path: (number_of(path), path))
        sources += [tuple(paths)] if looks_like_video(paths) else [(path,) for path in paths]
    if not sources:
        raise InputError(f"{folder}: holds no pictures ({' '.join(sorted(PICTURES))})")
    sources = [sources[i] for i in np.random.default_rng(seed).permutation(len(sources))]
    cut = -(-len(sources) // 4) if len(sources) > 1 else 0
    return {"train": FolderBackgrounds(tuple(sources[cut:])), "val": FolderBackgrounds(tuple(sources[:cut or 1]))}


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


def list_jobs(split: str, num: int) -> list[Job]:
    """`num` videos, class after class in turn; where 4 does not divide `num` the first classes get one more."""
    return [Job(split, i % len(CLASSES), i // len(CLASSES)) for i in range(num)]


def write_video(job: Job, out: Path, config: Move4Config, seed: int, digits: dict[str, Digits],
                backgrounds: dict[str, Background]) -> None:
    """Write the frames of one video below `out`: a function of (seed, split, class, index) and of nothing else."""
    rng = np.random.default_rng([seed, SPLITS.index(job.split), job.label, job.index])
    frames, _ = make_video(config, job.label, rng, digits[job.split], backgrounds[job.split])
    folder = out / job.path
    folder.mkdir(parents=True)
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{i}.jpg", quality=75)


def follow_parent() -> None:
    """A worker leaves Ctrl-C to its parent, and ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def same(iterable: Iterable, total: int) -> Iterable:
    """No progress bar."""
    return iterable


def make_dataset(out: str | Path, config: Move4Config, num_train: int = 1800, num_val: int = 600, seed: int = 0,
                 workers: int | None = None, digits: str = "auto", backgrounds: str | Path | None = None,
                 progress: Callable[[Iterable, int], Iterable] = same) -> Summary:
    """Write a whole data set: `out/{train,val}/CLASS_N/{i}.jpg`, `{train,val}_videofolder.txt`, `category.txt`.

    It grows in `out` + ".partial" and is renamed once it is whole. The bytes depend on the arguments, not on `workers`
    (None: one a core). `progress(iterable, total)` may wrap the loop over videos. MNIST is looked for, and kept, beside
    `out`. Raises `InputError`, before anything is written, for arguments that cannot be used.
    """
    out = Path(out)
    if not out.name:
        raise InputError(f"{out}: the data set needs a folder of its own, such as {out / 'movingmnist'}")
    for name, value in (("num_train", num_train), ("num_val", num_val), ("seed", seed)):
        if value < 0:
            raise InputError(f"{name} {value}: must not be negative")
    if num_train + num_val == 0:
        raise InputError("num_train 0 and num_val 0: there is nothing to make")
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise InputError(f"workers {workers}: must be at least 1")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out}: exists already; remove it or choose another --out")
    scenes = find_backgrounds(Path(backgrounds), seed) if backgrounds else dict.fromkeys(SPLITS, draw_scene)
    glyphs, used, reason = choose_digits(digits, out.parent)

    jobs = {split: list_jobs(split, num) for split, num in zip(SPLITS, (num_train, num_val), strict=True)}
    every = [job for part in jobs.values() for job in part]
    partial_out = out.with_name(out.name + ".partial")
    try:
        if partial_out.exists():
            shutil.rmtree(partial_out)
        partial_out.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{partial_out}: cannot be written ({error.strerror}); choose another --out") from error
    write = partial(write_video, out=partial_out, config=config, seed=seed, digits=glyphs, backgrounds=scenes)
    try:
        run_all(write, every, min(workers, len(every)), progress)
        for split, part in jobs.items():
            lines = [f"{job.path} {config.num_frames} {job.label}\n" for job in part]
            (partial_out / f"{split}_videofolder.txt").write_text("".join(lines))
        (partial_out / "category.txt").write_text("".join(f"{name}\n" for name in CLASSES))
        about = {"config": asdict(config), "seed": seed, "digits": used, "backgrounds": str(backgrounds or "drawn")}
        (partial_out / "move4mnist.json").write_text(json.dumps(about, indent=1) + "\n")
        if out.exists():
            out.rmdir()  # empty, as seen above
        partial_out.rename(out)
    except BaseException as error:
        shutil.rmtree(partial_out, ignore_errors=True)
        if isinstance(error, OSError):  # a full disk, say
            raise InputError(f"{partial_out}: cannot be written ({error.strerror}); choose another --out") from error
        raise
    return Summary(out, num_train, num_val, config.num_frames, used, reason)


def run_all(function: Callable, items: list, workers: int, progress: Callable[[Iterable, int], Iterable]) -> None:
    """Call `function` on every item, in this process or in `workers` others; an error ends all of them."""
    if workers == 1:
        for _ in progress(map(function, items), len(items)):
            pass
        return
    with ProcessPoolExecutor(workers, initializer=follow_parent) as pool:
        try:
            for _ in progress(pool.map(function, items, chunksize=8), len(items)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def draw_sheet(folder: str | Path) -> Image.Image:
    """A contact sheet of a data set in `folder`: its first video of each class, in two rows of 16 frames."""
    folder, gap, caption = Path(folder), 3, 18
    lines = [line.rsplit(" ", 2) for split in SPLITS
             for line in (folder / f"{split}_videofolder.txt").read_text().splitlines()]
    firsts = {}
    for path, num_frames, label in lines:
        firsts.setdefault(int(label), (path, int(num_frames)))
    cell = SIZE + gap
    sheet = Image.new("L", (16 * cell + 3 * gap, len(firsts) * (2 * cell + caption + 2 * gap) + gap), 255)
    draw, top = ImageDraw.Draw(sheet), gap
    for label, (path, num_frames) in sorted(firsts.items()):
        shown = np.unique(np.linspace(0, num_frames - 1, 32).round().astype(int))
        text = f"{list(CLASSES)[label]}   ({path}, {len(shown)} of {num_frames} frames)"
        draw.text((2 * gap, top + caption // 2), text, 0, anchor="lm")
        for place, i in enumerate(shown):
            with Image.open(folder / path / f"{i}.jpg") as frame:
                sheet.paste(frame, (2 * gap + place % 16 * cell, top + caption + place // 16 * cell))
        top += 2 * cell + caption + 2 * gap
    return sheet
