"""Video files -> clips, through a pipe from ffmpeg; nothing is written to disk."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ops.data.ffmpeg import damage_of, shrink_filter
from ops.errors import InputError


def pipe_command(ffmpeg: list[str], video: Path, short_side: int) -> list[str]:
    """ffmpeg's words: each frame of `video` once, scaled as tools/extract_frames.py does, as raw RGB to stdout.

    Every frame comes with its size (as a PPM picture), which nothing else would tell. The last filter takes the place
    of writing and reading JPEGs, which models are trained on: those hold subsampled YUV that every reader takes for
    BT.601, whatever the video says, and smoothes. Frames differ from extracted ones by JPEG's rounding alone. Planes
    (gbrp) come before pixels, for ffmpeg 7.0 smoothes the colours of packed pixels otherwise.
    """
    program, *passthrough = ffmpeg
    as_jpeg = (
        "format=yuvj420p|yuvj422p|yuvj444p,"
        "scale=in_color_matrix=bt601:flags=bilinear+full_chroma_int+accurate_rnd,format=gbrp"
    )
    filters = f"{shrink_filter(short_side)},{as_jpeg},settb=1/25,setpts=N"
    return [
        program,
        "-nostdin",
        "-nostats",
        "-v",
        "error",
        "-xerror",
        "-reinit_filter",
        "0",
        "-i",
        f"file:{video}",
        "-map",
        "0:V:0",
        "-vf",
        filters,
        *passthrough,
        "-enc_time_base",
        "1/25",
        "-pix_fmt",
        "rgb24",
        "-c:v",
        "ppm",
        "-f",
        "image2pipe",
        "-",
    ]


def read_ppm(pipe: BinaryIO) -> np.ndarray | None:
    """The next picture in a stream of binary PPMs -> uint8 (H, W, 3), None at its end."""
    header = [pipe.readline() for _ in range(3)]  # P6, width height, 255
    if not header[2]:
        return None
    width, height = map(int, header[1].split())
    pixels = np.frombuffer(pipe.read(width * height * 3), np.uint8)
    return pixels.reshape(height, width, 3) if len(pixels) == width * height * 3 else None


def read_video(ffmpeg: list[str], video: Path, short_side: int, chunk: int) -> Iterator[Tensor]:
    """All frames of a video file, `chunk` at a time, uint8 (t, 3, H, W).

    `ffmpeg` is the program and its words for "each frame once". Larger frames are shrunk to `short_side`, 0 keeps all
    sizes. Raises InputError with ffmpeg's reason where the file cannot be decoded to its end.
    """
    process = subprocess.Popen(
        pipe_command(ffmpeg, video, short_side),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    frames, found = [], False
    with process, ThreadPoolExecutor(1) as pool:
        complaints = pool.submit(process.stderr.read)  # beside the frames, or a full pipe would stop ffmpeg
        try:
            while (frame := read_ppm(process.stdout)) is not None:
                frames.append(frame)
                if len(frames) == chunk:
                    yield torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
                    frames, found = [], True
            code = process.wait()
        finally:  # the caller may have left
            process.kill()
    damage = damage_of(code, complaints.result().decode(errors="replace").splitlines())
    if damage:
        raise InputError(f"{video} cannot be decoded: {damage}")
    if not frames and not found:
        raise InputError(f"{video} cannot be decoded: ffmpeg found no frame in it")
    if frames:
        yield torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
