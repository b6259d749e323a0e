"""One encoded picture -> pixels: JPEGs by simplejpeg where it is installed, whatever it leaves by PIL.

Grey pixels are those of PIL; coloured ones differ by a rounding of the colour conversion, 0.1 of 255 levels on average
and 3 at most. A file that PIL cannot read is an error with either; PIL alone says nothing of a JPEG that is damaged but
can be shown.
"""

import io
import struct
import zlib
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
    return "PIL; `pip install simplejpeg` reads JPEGs 1.5 to 4 times as fast, and tells damaged ones"


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


def _png_doubt(data: bytes) -> str | None:
    """Which part of a PNG does not fit its checksum; PIL does not look at all of them."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    place = 8
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[place + 4 : end]) != struct.unpack_from(">L", data, end)[0]:
            return f"part {kind.decode('ascii', 'replace')} does not fit its checksum"
        if kind == b"IEND":
            return None
        place = end + 4
    return "it is cut off"


def decode(
    data: bytes, where: str, halved: bool = False, grey: bool = False, keep_damaged: bool = False
) -> tuple[tuple[int, int], np.ndarray]:
    """A picture's (height, width) and its pixels, uint8 (H, W) if it is grey or shall be `grey`, else (H, W, 3).

    With `halved` the pixels are half as many in each direction, rounded up; a JPEG then takes half the time. Raises
    InputError, which calls the picture `where`, if it is damaged or cut off, or holds more than 8 bits a value. What
    decoders doubt but can be shown all the same is an error, too, unless `keep_damaged`.
    """
    header, doubt = _jpeg_header(data), _png_doubt(data)
    if header:
        (height, width), colours = header
        if grey:
            colours = "GRAY"
        least = {"min_height": -(-height // 2), "min_width": -(-width // 2)} if halved else {}
        try:
            pixels = simplejpeg.decode_jpeg(data, colours, **least)
            return header[0], pixels[..., 0] if colours == "GRAY" else pixels
        except ValueError as error:  # PIL knows what can be read all the same
            doubt = str(error)
    with _named(where), Image.open(io.BytesIO(data)) as image:
        if image.mode[0] in "IF":  # 16 or 32 bits, which PIL would cut off at 255
            raise InputError(f"cannot read frame {where}: it has over 8 bits per value; scale it to 0 to 255")
        size = image.size
        if halved:
            image.draft(None, (size[0] // 2, size[1] // 2))
        wanted = ("L",) if grey else ("L", "RGB")
        shown = image if image.mode in wanted else image.convert(wanted[-1])
        if halved and shown.size == size:  # no JPEG
            shown = shown.reduce(2)
        pixels = np.asarray(shown)
    if doubt and not keep_damaged:
        raise InputError(
            f"frame {where} is damaged ({doubt}); extract the video again, or take what can be seen of such frames"
            " with --keep_damaged"
        )
    return size[::-1], pixels
