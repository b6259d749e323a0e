"""A confusion matrix as a table and as a picture."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ops.files import as_csv
from ops.pictures.text import drawn_line

INK, GRID = (40, 40, 40), (210, 210, 210)
# white to blue to near black: grows darker all the way, so it can be read in grey and by the colour-blind
COLOURS = np.array([(255, 255, 255), (158, 202, 225), (33, 113, 181), (8, 29, 88)], float)
FAINTEST = 0.06  # colour of the smallest share that is not zero: single confusions must not vanish
LONGEST_NAME, LONGEST_TITLE = 300, 1000  # pixels


def confusion_table(counts: np.ndarray, names: Sequence[str]) -> bytes:
    """CSV: a row a label, a column a prediction, in videos."""
    return as_csv(
        [["label \\ prediction", *names], *([name, *row] for name, row in zip(names, counts.tolist(), strict=True))]
    )


def colour(shares: np.ndarray) -> np.ndarray:
    """Shares in [0, 1] of any shape -> uint8 RGB, white for zero."""
    shown = np.where(shares > 0, FAINTEST + (1 - FAINTEST) * shares, 0)
    stops = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(shown, stops, COLOURS[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def confusion_pixels(counts: np.ndarray, names: Sequence[str], title: str) -> np.ndarray:
    """`confusion_picture` as uint8 (H, W, 3); of more than 101 classes the bare cells, two pixels each."""
    if len(names) > 101:
        return colour(counts / np.maximum(1, counts.sum(1, keepdims=True))).repeat(2, 0).repeat(2, 1)
    return np.asarray(Image.open(io.BytesIO(confusion_picture(counts, names, title))).convert("RGB"))


def confusion_picture(counts: np.ndarray, names: Sequence[str], title: str) -> bytes:
    """PNG: rows are labels, columns predictions, a cell's colour is its share of the label's videos.

    counts (K, K). Cells shrink and lose their numbers as K grows; every row and column keeps its name.
    """
    num_class = len(names)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    cell = int(np.clip(900 // num_class, 13, 96))
    size = int(np.clip(cell * 0.8, 10, 20))
    labels = [_name_tag(name, size) for name in names]
    heading, large = drawn_line(title, 20, LONGEST_TITLE), ImageFont.load_default(20)
    margin = max(tag.width for tag in labels) + 50  # for names and the title of the axis
    side, bar = cell * num_class, 70
    width = max(margin + side + 130, margin + heading.width + 20)
    picture = Image.new("RGB", (width, 50 + margin + side + 20), "white")
    draw = ImageDraw.Draw(picture)
    left, top = margin, 50 + margin
    draw.text((left, 16), heading.text, INK, heading.font)
    cells = colour(shares).repeat(cell, 0).repeat(cell, 1)
    picture.paste(Image.fromarray(cells), (left, top))
    every = 1 if num_class <= 32 else 5  # lines that guide the eye
    for i in range(0, num_class + 1):
        if i % every == 0 or i == num_class:
            draw.line([(left + i * cell, top), (left + i * cell, top + side)], GRID)
            draw.line([(left, top + i * cell), (left + side, top + i * cell)], GRID)
    for i, tag in enumerate(labels):
        offset = i * cell + (cell - tag.height) // 2
        picture.paste(tag, (left - 6 - tag.width, top + offset))
        picture.paste(tag.rotate(90, expand=True), (left + offset, top - 6 - tag.width))
    if cell >= 28:
        _number_cells(draw, counts, shares, left, top, cell)
    draw.text((left + side / 2, 62), "predicted class", INK, large, anchor="mm")
    axis = Image.new("RGB", (int(large.getlength("true class")) + 4, 26), "white")
    ImageDraw.Draw(axis).text((2, 0), "true class", INK, large)
    picture.paste(axis.rotate(90, expand=True), (8, top + max(0, (side - axis.width) // 2)))
    _colour_bar(picture, left + side + 30, top, bar, max(120, min(side, 400)))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _name_tag(name: str, size: int) -> Image.Image:
    """A name on white."""
    line = drawn_line(name, size, LONGEST_NAME)
    tag = Image.new("RGB", (line.width + 1, sum(line.font.getmetrics())), "white")
    ImageDraw.Draw(tag).text((1, 0), line.text, INK, line.font)
    return tag


def _number_cells(draw: ImageDraw.ImageDraw, counts: np.ndarray, shares: np.ndarray, left: int, top: int, cell: int):
    """Write the share in percent into cells that are not empty; below it the videos where there is room."""
    font, small = ImageFont.load_default(max(11, min(24, cell // 3))), ImageFont.load_default(max(10, cell // 6))
    for row, column in np.argwhere(counts > 0).tolist():
        x, y = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        ink = "white" if shares[row, column] > 0.45 else INK
        share = f"{100 * shares[row, column]:.0f}"
        if cell < 70:  # there is no room for more
            draw.text((x, y), share, ink, font, anchor="mm")
            continue
        draw.text((x, y - cell / 8), f"{share}%", ink, font, anchor="mm")
        draw.text((x, y + cell / 5), str(counts[row, column]), ink, small, anchor="mm")


def _colour_bar(picture: Image.Image, left: int, top: int, width: int, height: int) -> None:
    """The key from colour to share of a true class's videos."""
    font = ImageFont.load_default(14)
    draw = ImageDraw.Draw(picture)
    ramp = colour(np.linspace(1, 0, height - 30))[:, None].repeat(22, 1)
    picture.paste(Image.fromarray(ramp), (left, top + 26))
    draw.rectangle([left, top + 26, left + 22, top + height - 4], outline=GRID)
    draw.text((left, top), "of the class", INK, font)
    for share in (0, 0.5, 1):
        draw.text((left + 28, top + 26 + (1 - share) * (height - 31)), f"{share:.0%}", INK, font, anchor="lm")
