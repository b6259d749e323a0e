"""What a model says, drawn over the frames of a video that goes on: by Pillow, into a video file by PyAV, or on screen.

OpenCV opens the window on screen, where it is installed with one.
"""

import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
from PIL import Image, ImageDraw

from ops.errors import InputError
from ops.files import check_writable
from ops.pictures.colours import SEEN
from ops.pictures.text import drawn_line

ENDINGS = (".mp4", ".mkv", ".mov")  # of videos that are written
SHADE, INK, FAINT = (0, 0, 0, 150), (255, 255, 255, 255), (255, 255, 255, 70)
BEST = (*(int(SEEN[i : i + 2], 16) for i in (1, 3, 5)), 255)


def draw_over(pixels: np.ndarray, lines: Sequence[tuple[str, float]], note: str) -> np.ndarray:
    """A frame uint8 (H, W, 3) with names and their probabilities at the bottom, as bars, and a note at the top.

    The first line is what is said and stands out.
    """
    height, width = pixels.shape[:2]
    size = max(9, min(height, width) // 22)
    step, pad = round(1.5 * size), max(3, size // 2)
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGBA")
    layer = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(layer)
    said = drawn_line(note, size, width - 4 * pad)
    draw.rectangle((0, 0, said.width + 2 * pad, step + pad // 2), SHADE)
    draw.text((pad, pad // 2), said.text, INK, said.font)
    top = height - step * len(lines) - pad
    if lines:
        draw.rectangle((0, top - pad, width, height), SHADE)
    for i, (name, probability) in enumerate(lines):
        place, colour = top + i * step, FAINT if i else BEST
        reach = pad + round((width - 2 * pad) * probability)
        draw.rectangle((pad, place + step - max(2, size // 5), reach, place + step - 2), colour)
        share = drawn_line(f"{100 * probability:.0f} %", size)
        line = drawn_line(name, size, width - share.width - 4 * pad)
        draw.text((pad, place), line.text, INK, line.font)
        draw.text((width - pad - share.width, place), share.text, INK, share.font)
    return np.asarray(Image.alpha_composite(picture, layer).convert("RGB"))


# ---------------------------------------------------------------- into a file


def check_video(path: Path) -> None:
    """InputError unless a video can be written into a file of this name."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"cannot write {path}: the name of a video ends in {', '.join(ENDINGS)}")
    check_writable(path, "--out")


class Recording:
    """A video file in H.264 whose frames come with their times; all are as large as the first, of even sides.

    It is there from the first frame on.
    """

    def __init__(self, path: Path):
        self.path, self.file, self.stream = path, None, None
        self.last = -1  # the time of the last frame, in ms

    def show(self, pixels: np.ndarray, seconds: float) -> None:
        """The next frame, uint8 (H, W, 3)."""
        if self.file is None:
            if min(pixels.shape[:2]) < 2:
                raise InputError(f"--out {self.path}: frames of one pixel a side make no video")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = av.open(f"file:{self.path}", "w")
            height, width = (side - side % 2 for side in pixels.shape[:2])
            self.stream = self.file.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
            self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
            self.stream.codec_context.time_base = Fraction(1, 1000)
        part = np.ascontiguousarray(pixels[: self.stream.height, : self.stream.width])
        frame = av.VideoFrame.from_ndarray(part, "rgb24")
        self.last = max(self.last + 1, round(1000 * seconds))
        frame.pts, frame.time_base = self.last, Fraction(1, 1000)
        self.file.mux(self.stream.encode(frame))

    def close(self) -> None:
        """Write what is left."""
        if self.file is not None:
            self.file.mux(self.stream.encode(None))
            self.file.close()


# ---------------------------------------------------------------- on screen


def window_toolkit() -> ModuleType:
    """OpenCV with windows; InputError tells what is missing."""
    instead = "; --out FILE.mp4 writes the same as a video"
    try:
        import cv2
    except ImportError:
        raise InputError(f"--show needs OpenCV: `pip install opencv-python`{instead}") from None
    built = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
    if built.split()[1:] in ([], ["NONE"]):
        raise InputError(
            "--show needs an OpenCV that opens windows, and this one does not: `pip uninstall opencv-python-headless`,"
            f" then `pip install opencv-python`{instead}"
        )
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError(f"--show needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY names one{instead}")
    return cv2


class Screen:
    """A window on screen."""

    def __init__(self, title: str):
        self.toolkit, self.title = window_toolkit(), title

    def show(self, pixels: np.ndarray, seconds: float) -> None:
        """The next frame, uint8 (H, W, 3), at once."""
        self.toolkit.imshow(self.title, pixels[..., ::-1])
        if self.toolkit.waitKey(1) & 0xFF in (ord("q"), 27):
            raise KeyboardInterrupt  # q and Escape end as Ctrl-C does

    def close(self) -> None:
        """Close the window."""
        self.toolkit.destroyAllWindows()
