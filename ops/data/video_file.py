"""Video files -> clips, through a pipe from ffmpeg; nothing is written to disk."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from ops.data.decoding import decode
from ops.data.ffmpeg import damage_of, jpeg_command
from ops.errors import InputError

END = b"\xff\xd9"  # of a JPEG; inside of one these two bytes do not follow each other


def split_jpegs(pipe: BinaryIO) -> Iterator[bytes]:
    """The pictures in a stream of JPEGs."""
    held = b""
    while part := pipe.read1(1 << 16):
        *whole, held = (held + part).split(END)
        for picture in whole:
            yield picture + END


def read_video(ffmpeg: list[str], video: Path, short_side: int, chunk: int) -> Iterator[Tensor]:
    """All frames of a video file, `chunk` at a time, uint8 (t, 3, H, W).

    They are bit by bit those that tools/extract_frames.py would write: ffmpeg makes the same JPEGs of them, so that no
    version's way to RGB comes in. `ffmpeg` is the program and its words for "each frame once". Larger frames are shrunk
    to `short_side`, 0 keeps all sizes. Raises InputError with ffmpeg's reason where the file cannot be decoded to its
    end.
    """
    process = subprocess.Popen(
        jpeg_command(ffmpeg, str(video), short_side, ["-f", "image2pipe", "-"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    frames, found = [], False
    with process, ThreadPoolExecutor(1) as pool:
        complaints = pool.submit(process.stderr.read)  # beside the frames, or a full pipe would stop ffmpeg
        try:
            for picture in split_jpegs(process.stdout):
                _, pixels = decode(picture, f"{video}")
                frames.append(pixels if pixels.ndim == 3 else np.stack([pixels] * 3, 2))
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
