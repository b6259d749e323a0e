"""Where Move4MNIST's digits and backgrounds come from: a font or MNIST; drawn scenes or the user's pictures, videos.

Every source is a function that can be sent to another process and whose result depends on its arguments alone.
Backgrounds are drawn unless the user brings some; digits are distorted glyphs unless MNIST is at hand.
"""

import contextlib
import functools
import gzip
import hashlib
import io
import math
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps, features

from ops.data.frame_names import PICTURES, VIDEOS, is_hidden, is_picture, is_video
from ops.errors import InputError

SPLITS = ("train", "val")
SIZE = 64  # frame height and width
BAR = 8  # height of the black bar above and below
SCENE = SIZE - 2 * BAR  # height of what lies between them
DIGIT = 20  # longest side of a digit
WHITEST = 223  # brightest background, so that a white digit shows

Digits = Callable[[int, np.random.Generator], np.ndarray]  # (digit 0-9, rng) -> (h, w) opacity in 0..1, h, w <= DIGIT
# (times (t,) in frames, rng) -> (t, SCENE, SIZE) grey, <= WHITEST
Background = Callable[[np.ndarray, np.random.Generator], np.ndarray]


# ---------------------------------------------------------------- digits


def choose_digits(name: str, root: Path) -> tuple[dict[str, Digits], str, str | None]:
    """Digits for each split, what they are ("mnist" or "glyphs"), and why if "auto" fell back to glyphs.

    Raises `InputError` for an unknown name and where the digits that are asked for cannot be had.
    """
    if name not in ("auto", "mnist", "glyphs"):
        raise InputError(f"digits {name!r}: must be auto, mnist or glyphs")
    reason = None
    if name != "glyphs":
        try:
            find_mnist(root)
            return {split: partial(pick_mnist, root=root, split=split) for split in SPLITS}, "mnist", None
        except Exception as error:  # offline, no torchvision, a broken file: all mean "not to be had"
            cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
            reason = f"MNIST can be had neither from {root / 'MNIST/raw'} nor by download: {cause}"
            if name == "mnist":
                raise InputError(f"{reason}; put it there, or use digits glyphs") from error
    if not features.check("freetype2"):
        raise InputError("this Pillow has no FreeType to draw digits with: pip install --upgrade 'pillow>=10.1'")
    return dict.fromkeys(SPLITS, draw_glyph), "glyphs", reason  # every video draws its own: no two splits share one


def find_mnist(root: Path, timeout: float = 4) -> None:
    """Read MNIST below `root`, downloading it where missing, silently; raises whatever stops that."""
    with contextlib.suppress(FileNotFoundError):
        read_mnist(root)
        return
    from torchvision.datasets import MNIST  # only here and where a video is read: all else needs no torch

    raw, before = root / "MNIST" / "raw", socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout)
    try:
        if not getproxies():  # offline shows at one address; torchvision would try all of every mirror
            socket.create_connection((socket.gethostbyname(urlsplit(MNIST.mirrors[0]).hostname), 443)).close()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            MNIST(root, download=True)
    finally:
        socket.setdefaulttimeout(before)
        with contextlib.suppress(OSError):  # leave no empty folders behind
            raw.rmdir()
            raw.parent.rmdir()
    read_mnist(root)


@functools.cache  # once a process; forked workers have it from their parent
def read_mnist(root: Path) -> dict[str, list[np.ndarray]]:
    """The images (n, 28, 28) uint8 of each digit 0-9, MNIST's test part for val."""
    digits = {}
    for split, part in zip(SPLITS, ("train", "t10k"), strict=True):
        images = read_idx(root / f"MNIST/raw/{part}-images-idx3-ubyte", (28, 28))
        labels = read_idx(root / f"MNIST/raw/{part}-labels-idx1-ubyte", ())
        digits[split] = [images[labels == digit] for digit in range(10)]
    return digits


def read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 array (n, *shape) in a file of MNIST, or in `path`.gz: a header of 4 + 4 bytes a dimension, and values.

    Raises FileNotFoundError where there is neither, and ValueError or OSError where the file is not that.
    """
    packed = Path(f"{path}.gz")
    data = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    sizes = np.frombuffer(data, ">u4", 2 + len(shape))
    if sizes[0] != 0x801 + len(shape) or tuple(sizes[2:]) != shape:
        raise ValueError(f"{path.name} is no file of MNIST")
    return np.frombuffer(data, np.uint8, offset=sizes.nbytes).reshape(-1, *shape)


def pick_mnist(digit: int, rng: np.random.Generator, root: Path, split: str) -> np.ndarray:
    """One of MNIST's images of `digit`. (h, w) in 0..1"""
    return trim(rng.choice(read_mnist(root)[split][digit]) / np.float32(255))


def trim(digit: np.ndarray) -> np.ndarray:
    """Cut away the empty border of a digit (h, w), so that its middle is the middle of what one sees."""
    rows, columns = (np.flatnonzero(digit.max(axis) > 0.1) for axis in (1, 0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def draw_glyph(digit: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a digit of Pillow's own font with a random slant, scale, turn, pen width and elastic bend. (h, w) in 0..1"""
    side = 72
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text(
        (side / 2, side / 2),
        str(digit),
        255,
        ImageFont.load_default(48),
        anchor="mm",
        stroke_width=int(rng.integers(0, 3)),
    )
    angle, slant = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.45)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    affine = turn @ np.array([[1 / rng.uniform(0.85, 1.3), slant], [0, 1]])
    bend = [
        Image.fromarray(rng.normal(0, 2, (5, 5)).astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        for _ in range(2)
    ]
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


# ---------------------------------------------------------------- backgrounds


def visible_files(folder: Path) -> list[Path]:
    """All files below a folder that are not hidden, nor in a hidden folder, sorted."""
    files = (path for path in folder.rglob("*") if not any(map(is_hidden, path.relative_to(folder).parts)))
    return sorted(path for path in files if path.is_file())


def is_background(path: Path) -> bool:
    """Whether a file can be a background, by its name."""
    return is_picture(path.name) or is_video(path.name)


def find_backgrounds(folder: Path, seed: int, store: Path) -> dict[str, Background]:
    """Backgrounds for each split: all pictures and videos below `folder`; a quarter, if there are two, is val's own.

    `store` is a folder for the decoded frames of videos; it is made when it is needed. Raises `InputError` where the
    folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of backgrounds")
    paths = [path for path in visible_files(folder) if is_background(path)]
    if not paths:
        raise InputError(f"{folder}: holds no pictures ({' '.join(PICTURES)}) and no videos ({' '.join(VIDEOS)})")
    paths = [paths[i] for i in np.random.default_rng(seed).permutation(len(paths))]
    cut = max(1, len(paths) // 4)
    show = partial(show_background, store=store)
    return {"train": partial(show, paths=paths[cut:] or paths), "val": partial(show, paths=paths[:cut])}


def show_background(times: np.ndarray, rng: np.random.Generator, paths: list[Path], store: Path) -> np.ndarray:
    """One of the pictures or videos, seen at `times` (t,), in frames. (t, SCENE, SIZE)"""
    path = paths[rng.integers(len(paths))]
    return play_video(times, rng, path, store) if is_video(path.name) else pan_picture(times, rng, path)


def play_video(times: np.ndarray, rng: np.random.Generator, path: Path, store: Path) -> np.ndarray:
    """Frames of a video that follow each other, from a random one on; a video that is too short runs to and fro.

    Frames fill the scene whole where they are 4:3, else their middle does. See `show_background`.
    """
    scenes = read_scenes(path, store)  # (n, SCENE, SIZE)
    last, length = len(scenes) - 1, int(times.max()) + 1
    start = rng.integers(len(scenes) - length + 1 if length <= len(scenes) else len(scenes))
    places = (start + times.astype(int)) % max(1, 2 * last)
    return scenes[np.minimum(places, 2 * last - places)] * np.float32(WHITEST / 255)


def read_scenes(path: Path, store: Path) -> np.ndarray:
    """All frames of a video as grey scenes (n, SCENE, SIZE) uint8, decoded by whoever needs them first, into `store`.

    Raises `InputError` where the video cannot be decoded to its end.
    """
    from ops.data.video_file import read_video

    kept = store / hashlib.sha1(os.fsencode(path)).hexdigest()
    if not kept.exists():
        store.mkdir(exist_ok=True)
        trial = kept.with_suffix(f".{os.getpid()}")  # another process may read the same video
        try:
            with trial.open("wb") as file:
                for clip in read_video(path, SIZE, chunk=64):
                    for frame in clip.permute(0, 2, 3, 1).numpy():
                        file.write(ImageOps.fit(Image.fromarray(frame).convert("L"), (SIZE, SCENE)).tobytes())
        except InputError as error:
            raise InputError(f"{error}; mend or remove it") from None
        trial.replace(kept)
    return np.memmap(kept, np.uint8, "r").reshape(-1, SCENE, SIZE)


def pan_picture(times: np.ndarray, rng: np.random.Generator, path: Path) -> np.ndarray:
    """A camera that drifts over a picture; see `show_background`."""
    room = int(rng.integers(8, 33))
    try:
        with Image.open(path) as image:
            if image.mode[0] in "IF":
                raise InputError(f"{path}: has over 8 bits per value; scale it to 0 to 255, or remove it")
            grey = ImageOps.fit(image.convert("L"), (SIZE + room + 1, SCENE + room + 1))
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a picture; mend or remove it") from error
    scene = np.asarray(grey, np.float32) * np.float32(WHITEST / 255)
    return pan(scene, draw_way(times, rng.uniform(0.05, 0.3), room, rng))


def draw_scene(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A camera that drifts over a drawn scene, one thing that moves in it, light that sways; see `show_background`.

    The grain is a new one in every frame.
    """
    room = 24
    h, w = SCENE + room + 1, SIZE + room + 1
    scene = draw_shapes(h, w, rng.integers(4, 16), rng) + rng.uniform(0.05, 0.25) * draw_noise(h, w, rng)
    scene = rng.uniform(70, 150) + rng.uniform(25, 45) * (scene - scene.mean()) / scene.std()
    frames = pan(scene, draw_way(times, rng.uniform(0.05, 0.3), room, rng))

    mask = Image.new("L", (w, h))
    x, y = rng.uniform((w * 0.35, h * 0.35), (w * 0.65, h * 0.65))
    rx, ry = rng.uniform(3, 9), rng.uniform(6, 15)
    ImageDraw.Draw(mask).ellipse([x - rx, y - ry, x + rx, y + ry], 255)
    mask = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.8)), np.float32) / 255  # (h, w)
    way = draw_way(times, rng.uniform(0, 0.4), room, rng)
    mover = mask * (rng.uniform(30, 190) + 20 * draw_noise(h, w, rng))
    frames += pan(mover, way) - pan(mask, way) * frames

    light = np.float32(1 + 0.03 * np.sin(rng.uniform(0, 6) + times * rng.uniform(0.02, 0.2)))  # (t,)
    grain = rng.standard_normal(frames.shape, np.float32)  # of the sensor
    return np.clip(frames * light[:, None, None] + grain, 4, WHITEST)


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


def draw_noise(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (h, w) of zero mean and unit spread, its octaves falling as one over frequency."""
    noise = np.zeros((h, w), np.float32)
    for cells in (2, 4, 8, 16, 32):
        octave = Image.fromarray(rng.normal(size=(cells + 1, cells + 2)).astype(np.float32))
        noise += np.asarray(octave.resize((w, h), Image.Resampling.BICUBIC)) / cells
    return (noise - noise.mean()) / noise.std()


def draw_way(times: np.ndarray, speed: float, room: float, rng: np.random.Generator) -> np.ndarray:
    """A slow way through [0, room] x [0, room], drift and some sway: times (t,) in frames -> (t, 2) in pixels."""
    angle, phase, period = rng.uniform(0, 2 * math.pi, 3) * (1, 1, 20 / math.pi)
    time = times[:, None]
    drift = time * min(speed, 0.7 * room / len(times)) * np.array([math.cos(angle), math.sin(angle)])
    way = drift + rng.uniform(0, 0.1, 2) * room * np.sin(2 * math.pi * time / (30 + period) + phase)
    return way - way.min(0) + rng.uniform(size=2) * np.maximum(0, room - np.ptp(way, axis=0))


def pan(scene: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Windows of `scene` (h, w) whose top left corners follow `way` (t, 2). (t, SCENE, SIZE), bilinear"""
    out = np.empty((len(way), SCENE, SIZE), np.float32)
    for window, (x, y) in zip(out, way, strict=True):
        i, j = int(y), int(x)
        part = scene[i : i + SCENE + 1, j : j + SIZE + 1]
        part = part[:-1] + np.float32(y - i) * (part[1:] - part[:-1])
        window[:] = part[:, :-1] + np.float32(x - j) * (part[:, 1:] - part[:, :-1])
    return out
