"""Pictures of optical flow: colour tells where to, saturation how far; white does not move.

The wheel that stands beside them is a field that points outwards everywhere, as in Baker et al., *A Database and
Evaluation Methodology for Optical Flow*, IJCV 2011, though its colours are evenly spaced here.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ops.data.flow import to_pixels
from ops.pictures.text import drawn_line

CELL, GAP, TITLE, WHEEL = 160, 4, 20, 120  # pixels
INK, PAPER = "#282828", "white"


def flow_colours(flow: np.ndarray, most: float) -> np.ndarray:
    """u and v (2, H, W) in any unit -> uint8 (H, W, 3); what moves by `most` or more is fully coloured."""
    hue = (np.arctan2(flow[1], flow[0]) / (2 * np.pi)) % 1  # to the right red, down yellow-green, left cyan, up violet
    far = np.clip(np.hypot(*flow) / most, 0, 1)
    hsv = np.stack([hue * 255, far * 255, np.full_like(hue, 255)], 2).round().astype(np.uint8)
    return np.array(Image.fromarray(hsv, "HSV").convert("RGB"))


def flow_frames(frames: Sequence[Tensor]) -> list[Tensor]:
    """The flow of a video as it is loaded, levels uint8 (2, H, W) a frame -> in colours, uint8 (3, H, W) each."""
    fields = [to_pixels(frame.numpy(), 1) for frame in frames]
    most = max(float(np.percentile(np.hypot(*np.stack(fields, 1)), 99)), 1 / 64)
    return [torch.from_numpy(flow_colours(flow, most)).permute(2, 0, 1) for flow in fields]


def wheel(side: int) -> np.ndarray:
    """What every direction looks like, uint8 (side, side, 3): at the rim motion by `most`, white outside of it."""
    axis = np.linspace(-1, 1, side)
    flow = np.stack(np.broadcast_arrays(axis[None], axis[:, None]))  # (2, side, side)
    return flow_colours(flow * (np.hypot(*flow) <= 1), 1)


def flow_strip(frames: Sequence[np.ndarray], fields: Sequence[np.ndarray], numbers: Sequence[int], title: str):
    """Grey frames uint8 (H, W), below each its flow (2, H, W) in pixels, at the right the wheel -> a PIL picture.

    `numbers` are those of the frames. The colours are full at the motion that 1 in 100 pixels exceeds.
    """
    most = max(float(np.percentile(np.hypot(*np.stack(fields, 1)), 99)), 0.5)
    height = round(CELL * frames[0].shape[0] / frames[0].shape[1])
    top = TITLE + GAP
    size = (len(frames) * (CELL + GAP) + WHEEL + 3 * GAP, max(top + 2 * (height + GAP), top + WHEEL + 2 * TITLE + GAP))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)

    def write(text: str, left: int, top: int, width: int) -> None:
        line = drawn_line(text, 12, width)
        draw.text((left, top), line.text, INK, line.font)

    write(title, GAP, 3, size[0] - 2 * GAP)
    for place, (frame, field, number) in enumerate(zip(frames, fields, numbers, strict=True)):
        left = GAP + place * (CELL + GAP)
        for row, image in enumerate((Image.fromarray(frame), Image.fromarray(flow_colours(field, most)))):
            picture.paste(image.convert("RGB").resize((CELL, height)), (left, top + row * (height + GAP)))
        draw.text((left + 3, top + 2), str(number), "white", drawn_line("", 12).font, stroke_width=1, stroke_fill=INK)
    left = size[0] - WHEEL - GAP
    picture.paste(Image.fromarray(wheel(WHEEL)), (left, top))
    write("where to; at the rim", left, top + WHEEL + 2, WHEEL)
    write(f"{most:.1f} pixels a frame", left, top + WHEEL + 2 + TITLE, WHEEL)
    return picture
