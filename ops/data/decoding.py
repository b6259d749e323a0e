"""One encoded picture -> pixels: JPEGs by simplejpeg where it is installed, whatever it leaves by PIL.

Grey pixels are those of PIL; coloured ones differ by a rounding of the colour conversion, 0.1 of 255 levels on average
and 3 at most. A file that PIL cannot read is an error with either.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from ops.errors import InputError

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

COLOURS = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}  # of a JPEG -> of its pixels


def describe_decoder() -> str:
    """Which decoder reads JPEGs, for a program's header."""
    if simplejpeg:
        return f"simplejpeg {simplejpeg.__version__}"
    return "PIL; `pip install simplejpeg` reads JPEGs 1.5 to 4 times as fast"


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Turn what PIL raises for a broken picture into InputError."""
    try:
        yield
    except UnidentifiedImageError:
        raise InputError(f"cannot read frame {where}: it is no picture; extract the video again") from None
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read frame {where}: {error}; extract the video again") from None


def _jpeg_header(data: bytes) -> tuple[tuple[int, int], str] | None:
    """((height, width), colours) of a JPEG that is left to simplejpeg, else None."""
    if simplejpeg is None or data[:2] != b"\xff\xd8":
        return None
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    if space not in COLOURS or height * width > (Image.MAX_IMAGE_PIXELS or height * width):
        return None
    return (height, width), COLOURS[space]


def picture_size(data: bytes, where: str) -> tuple[int, int]:
    """(height, width) of a picture that is not decoded yet; InputError calls it `where` if it is none."""
    header = _jpeg_header(data)
    if header:
        return header[0]
    with _named(where), Image.open(io.BytesIO(data)) as image:
        return image.height, image.width


def decode(data: bytes, where: str, halved: bool = False) -> tuple[tuple[int, int], np.ndarray]:
    """A picture's (height, width) and its pixels, uint8 (H, W) if it is grey, else (H, W, 3).

    With `halved` the pixels are half as many in each direction, rounded up; a JPEG then takes half the time. Raises
    InputError, which calls the picture `where`, if it is damaged or cut off.
    """
    header = _jpeg_header(data)
    if header:
        (height, width), colours = header
        least = {"min_height": -(-height // 2), "min_width": -(-width // 2)} if halved else {}
        try:
            pixels = simplejpeg.decode_jpeg(data, colours, **least)
            return header[0], pixels[..., 0] if colours == "GRAY" else pixels
        except ValueError:  # something is odd: PIL knows what can be read all the same
            pass
    with _named(where), Image.open(io.BytesIO(data)) as image:
        size = image.size
        if halved:
            image.draft(None, (size[0] // 2, size[1] // 2))
        shown = image if image.mode in ("L", "RGB") else image.convert("RGB")
        if halved and shown.size == size:  # no JPEG
            shown = shown.reduce(2)
        return size[::-1], np.asarray(shown)
