"""The page of a report: one HTML file that holds all it shows and asks for nothing over a network.

Its parts lie in `report/`: page.html, the styles in page.css, and what builds the page from its data, in the order of
SCRIPTS. Values only stand in the data, as JSON in which no `<` can end the element that holds it, and the scripts put
them into the page as text.
"""

import base64
import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image, features

PARTS = Path(__file__).parent / "report"
SCRIPTS = ("elements.js", "curves.js", "classes.js", "matrix.js", "videos.js", "page.js")
QUALITY = 60  # of strips


def fill_page(data: dict, title: str) -> bytes:
    """The whole page."""
    page = Template((PARTS / "page.html").read_text())
    script = "\n".join((PARTS / name).read_text() for name in SCRIPTS)
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    filled = page.substitute(title=html.escape(title), style=(PARTS / "page.css").read_text(), script=script, data=text)
    return filled.encode(errors="backslashreplace")  # of a title that is no Unicode


def picture_of(frames: Sequence[np.ndarray], side: int) -> str:
    """Frames uint8 (S, S, 3) beside one another, `side` pixels at most, as the address of a picture in a page."""
    side = min(side, frames[0].shape[0])
    strip = Image.new("RGB", (side * len(frames), side))
    for place, frame in enumerate(frames):
        strip.paste(Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS), (place * side, 0))
    kind = "webp" if features.check("webp") else "jpeg"
    file = io.BytesIO()
    strip.save(file, kind, quality=QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
