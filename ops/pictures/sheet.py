"""A sheet of strips: one video a row, a line of text over some of its frames; drawn by Pillow."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ops.pictures.text import drawn_line

SIDE, GAP, TEXT = 96, 4, 16  # pixels: of a frame, around it, and of letters
INK, FAINT, PAPER = "#282828", "#d0d0d0", "white"


def draw_sheet(rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> Image.Image:
    """Rows of a title and frames, each uint8 (H, W, 3) of any size -> the picture; a line parts the first from others.

    Frames keep their proportions within squares; rows are as high as the highest of them.
    """
    strips = [[Image.fromarray(frame) for frame in frames] for _, frames in rows]
    for frame in (frame for strip in strips for frame in strip):
        frame.thumbnail((SIDE, SIDE))
    highest = max(frame.height for strip in strips for frame in strip)
    width = GAP + max(map(len, strips)) * (SIDE + GAP)
    height = TEXT + highest + 4 * GAP
    picture = Image.new("RGB", (width, height * len(rows)), PAPER)
    draw = ImageDraw.Draw(picture)
    for row, ((title, _), strip) in enumerate(zip(rows, strips, strict=True)):
        top = row * height
        if row == 1:
            draw.line((0, top, width, top), FAINT, 2)
        line = drawn_line(title, TEXT - 2, width - 2 * GAP)
        draw.text((GAP, top + GAP), line.text, INK, line.font)
        for place, frame in enumerate(strip):
            picture.paste(frame, (GAP + place * (SIDE + GAP) + (SIDE - frame.width) // 2, top + TEXT + 3 * GAP))
    return picture
