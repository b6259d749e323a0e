"""Text in pictures: whatever a file or a class is called, a picture shows it in one line that fits.

Characters that cannot be seen (ends of lines, marks that turn the direction of reading, bytes that are no text) and
those that no font at hand can draw stand as Python writes them, `\\n` or `\\u202e`. What is too long loses its middle.
"""

import unicodedata
from bisect import bisect
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont

LONGEST = 1000  # characters of a text that are looked at
MORE_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "Arial Unicode.ttf",
)  # where Pillow's own lacks a letter
NO_CHARACTER = "\uffff"  # drawn as what no font knows


def counted(number: int, thing: str) -> str:
    """`1 frame`, `1,200 frames`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def one_line(text: str, has_glyph: Callable[[str], bool], fits: Callable[[str], bool]) -> str:
    """The text as it can be drawn with glyphs that are there, as long as it `fits`."""
    visible = (c if c.isprintable() and has_glyph(c) else ascii(c)[1:-1] for c in unicodedata.normalize("NFC", text))
    line = without_middle("".join(visible), LONGEST)
    if fits(line):
        return line
    too_many = bisect(range(len(line)), False, key=lambda kept: not fits(without_middle(line, kept)))
    return without_middle(line, max(0, too_many - 1))


def without_middle(text: str, kept: int) -> str:
    """Up to `kept` characters of a text, with dots for those that are gone."""
    if len(text) <= kept:
        return text
    return f"{text[: -(-kept // 2)]}...{text[len(text) - kept // 2 :]}"


# ---------------------------------------------------------------- drawn by Pillow


class Line(NamedTuple):
    """What `ImageDraw.text` takes for a text and its font."""

    text: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.font.getlength(self.text)) + 1


def drawn_line(text: str, size: int, width: float = inf) -> Line:
    """The text as Pillow draws it, `size` pixels high and up to `width` pixels long."""
    fonts = _fonts(size)
    font = max(fonts, key=lambda font: sum(_has_glyph(font, c) for c in text[:LONGEST]))  # the first of equals
    return Line(one_line(text, lambda c: _has_glyph(font, c), lambda line: font.getlength(line) <= width), font)


@cache
def _fonts(size: int) -> list[ImageFont.FreeTypeFont]:
    names = list(MORE_FONTS)
    matplotlib = find_spec("matplotlib")  # brings a font along
    if matplotlib and matplotlib.origin:
        names.append(str(Path(matplotlib.origin).parent / "mpl-data/fonts/ttf" / MORE_FONTS[0]))
    fonts = [ImageFont.load_default(size)]
    for name in names:
        with suppress(OSError):
            fonts.append(ImageFont.truetype(name, size))
    return fonts


@cache
def _has_glyph(font: ImageFont.FreeTypeFont, character: str) -> bool:
    if not character.isprintable():
        return False
    glyph, none = font.getmask(character), font.getmask(NO_CHARACTER)
    return glyph.size != none.size or bytes(glyph) != bytes(none)


# ---------------------------------------------------------------- drawn by matplotlib

PLAIN = {"text.parse_math": False, "text.usetex": False}  # its settings for text as it is


def plotted_line(text: str, size: float, width: float = inf) -> str:
    """The text as matplotlib draws it, `size` points high and up to `width` inches long.

    Its settings `PLAIN` must be in force, or `$` would begin a formula.
    """
    known = _plotted_characters()
    return one_line(text, lambda c: ord(c) in known, lambda line: plotted_width(line, size) <= width)


def plotted_width(line: str, size: float) -> float:
    """Inches that a line takes."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    return TextToPath().get_text_width_height_descent(line, FontProperties(size=size), False)[0] / 72


def _plotted_characters() -> set[int]:
    """Those that matplotlib has a glyph for, in the fonts that its settings name."""
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = set()
    for family in matplotlib.rcParams["font.family"]:
        for name in matplotlib.rcParams.get(f"font.{family}", [family]):
            with suppress(ValueError):  # it is not installed
                path = findfont(FontProperties(family=[name]), fallback_to_default=False)
                known |= get_font(path).get_charmap().keys()
    return known
