"""Where the frames of a video lie and how a clip is read from there: a folder, a zip of it, or raw pixels.

    data/mine/a/v_001/       a folder of pictures
    data/mine/a/v_001.zip    the same pictures as members of a zip
    data/mine/a/v_001.npy    their pixels, numpy's own format: uint8 (t, H, W) if grey, else (t, H, W, 3)

A list line `a/v_001 40 3` means the first of these that is there. `tools/pack_frames.py` writes the latter two.
"""

import math
import mmap
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ops.data.decoding import decode, picture_size
from ops.data.specs import DatasetSpec
from ops.data.views import View, whole_frames
from ops.errors import InputError

ViewOf = Callable[[int, int], View]  # height, width of a video's frames -> what is seen of them


def is_flow(spec: DatasetSpec) -> bool:
    """Whether the files of a dataset are pairs of optical flow images."""
    return spec.image_tmpl.count("{") > 1


def frame_files(spec: DatasetSpec, folder: Path, frames: Iterable[int]) -> list[str]:
    """File names of frames counted from 0; for flow those of all x images, then of all y images.

    A template of three fields, as for Something-Something's flow, also takes the folder's number.
    """
    numbers = [spec.first_frame + int(frame) for frame in frames]
    if not is_flow(spec):
        return [spec.image_tmpl.format(number) for number in numbers]
    video = ()
    if spec.image_tmpl.count("{") == 3:
        name = folder.stem if folder.suffix == ZIP else folder.name
        if not name.isdigit():
            raise InputError(f"{folder}: template {spec.image_tmpl} needs folders named by a number")
        video = (int(name),)
    return [spec.image_tmpl.format(*video, axis, number) for axis in "xy" for number in numbers]


class Folder:
    """A video as a folder of pictures."""

    kind = "folder"

    def __init__(self, path: Path):
        self.path = path

    def is_there(self) -> bool:
        return self.path.is_dir()

    def names(self) -> list[str]:
        """The names of all files."""
        return [file.name for file in os.scandir(self.path)]

    def holds(self, name: str) -> bool:
        return os.path.isfile(f"{self.path}/{name}")

    def read(self, name: str) -> bytes:
        """The bytes of a picture; InputError names one that is missing."""
        try:
            with open(f"{self.path}/{name}", "rb", 0) as file:
                return file.read()
        except FileNotFoundError:
            raise InputError(f"no frame {self.path}/{name}; extract the video again or correct its list line") from None
        except OSError as error:
            raise InputError(f"cannot read frame {self.path}/{name}: {error.strerror}") from None

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """Why the video cannot have `num_frames` frames, or None; looks at the last one only."""
        last = frame_files(spec, self.path, [num_frames - 1])[-1]
        if self.holds(last):
            return None
        if not self.is_there():
            return f"no folder {self.path}, nor {self.path.name}{ZIP} or {self.path.name}{RAW}"
        found = sum(name.endswith(Path(last).suffix) for name in self.names())
        return f"list says {num_frames} frames, {self.kind} holds {found} (no {last} in {self.path})"

    def load(self, spec: DatasetSpec, frames: Iterable[int], view_of: ViewOf) -> Tensor:
        """Read frames by their numbers from 0 -> uint8 (t, c, S, S), c = 1 if all are grey; as `clip` does."""
        return self.clip(frame_files(spec, self.path, frames), view_of)

    def clip(self, names: list[str], view_of: ViewOf = whole_frames) -> Tensor:
        """Decode the named pictures -> what is seen of them, uint8 (t, c, S, S), c = 1 if all are grey, else 3.

        Only the seen part of a frame is kept. Raises InputError for frames that are missing, damaged or of two sizes.
        """
        data = self.read(names[0])
        first = picture_size(data, f"{self.path}/{names[0]}")
        view = view_of(*first)
        top, left, height, width = (side // 2 for side in view.box) if view.halved else view.box
        clip = None
        for i, name in enumerate(names):
            size, frame = decode(self.read(name) if i else data, f"{self.path}/{name}", view.halved)
            if size != first:
                raise InputError(
                    f"{self.path}: {names[0]} is {first[1]}x{first[0]} but {name} is {size[1]}x{size[0]};"
                    " extract the video again"
                )
            frame = frame[top : top + height, left : left + width].reshape(height, width, -1)
            if clip is None:
                clip = np.empty((len(names), *frame.shape), np.uint8)
            elif frame.shape[2] > clip.shape[3]:  # the first coloured one
                clip = np.repeat(clip, 3, axis=3)
            clip[i] = frame  # a grey one fills all three channels
        return view.finish(torch.from_numpy(clip).permute(0, 3, 1, 2))


class Zip(Folder):
    """A video as a zip of its pictures, compressed or not. Of its table of contents only what is asked for is read."""

    kind = "zip"
    END = struct.Struct("<4s4H2LH")  # mark, 3 numbers of disks and entries, entries, table's size and place, comment
    ENTRY = struct.Struct("<4s4x2H8x2LH12xL")  # mark, flags, method, sizes packed and not, name's length, place

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self.content = map_file(path)
            self._find_table()
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"cannot read {path}: {error}; pack the video again") from None

    def _find_table(self) -> None:
        """Look for the table of contents; for unusual zips (a comment, over 4 GB) `entries` takes its place."""
        self.entries, before = None, len(self.content) - self.END.size
        if before >= 0:
            mark, *_, count, length, place, comment = self.END.unpack_from(self.content, before)
            if mark == b"PK\5\6" and place + length == before and count < 0xFFFF and not comment:
                self.table = self.last = place
                return
        with zipfile.ZipFile(self.path) as unusual:
            self.entries = {
                entry.filename: (
                    entry.flag_bits,
                    entry.compress_type,
                    entry.compress_size,
                    entry.file_size,
                    entry.header_offset,
                )
                for entry in unusual.infolist()
            }

    def _entry(self, name: str) -> tuple[int, ...] | None:
        """(flags, method, packed size, size, place) of a member.

        The table is searched from the member asked for last, as frames mostly follow each other in it.
        """
        if self.entries is not None:
            return self.entries.get(name)
        text = name.encode()
        for start in (self.last, self.table):
            at = self.content.find(text, start)
            while at >= 0:
                if at >= self.table + self.ENTRY.size:
                    mark, *facts, length, place = self.ENTRY.unpack_from(self.content, at - self.ENTRY.size)
                    if mark == b"PK\1\2" and length == len(text):
                        self.last = at
                        return *facts, place
                at = self.content.find(text, at + 1)
        return None

    def is_there(self) -> bool:
        return True

    def names(self) -> list[str]:
        with zipfile.ZipFile(self.path) as content:
            return content.namelist()

    def holds(self, name: str) -> bool:
        return self._entry(name) is not None

    def read(self, name: str) -> bytes | memoryview:
        entry = self._entry(name)
        if entry is None:
            raise InputError(f"no frame {name} in {self.path}; pack the video again or correct its list line")
        flags, method, packed, size, place = entry
        if flags & 1 or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{self.path}: {name} is encrypted or compressed in a way that is not read here;"
                " pack with tools/pack_frames.py"
            )
        try:
            start = place + 30 + sum(struct.unpack_from("<2H", self.content, place + 26))
            data = memoryview(self.content)[start : start + packed]
            data = zlib.decompress(data, -15) if method else data
        except (struct.error, zlib.error):
            data = b""
        if len(data) != size:
            raise InputError(f"cannot read frame {self.path}/{name}: it is cut off; pack the video again")
        return data


def map_file(path: Path) -> mmap.mmap:
    """A file's bytes, read when they are looked at; ValueError for an empty file."""
    with open(path, "rb", 0) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Raw:
    """A video as pixels in one file, of which the seen part alone is read, by way of a memory map."""

    # as numpy and tools/pack_frames.py write it
    HEADER = re.compile(
        rb"\x93NUMPY\x01\x00..\{'descr': '\|u1', 'fortran_order': False, 'shape': \(([0-9, ]+)\), \} *\n", re.DOTALL
    )

    def __init__(self, path: Path):
        self.path = path
        try:
            self.pixels = self._map()
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"cannot read {path}: {error}; pack the video again") from None
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or not all(shape):
            raise InputError(
                f"{path} holds {self.pixels.dtype} {shape}, not uint8 (t, H, W) or (t, H, W, 3); pack the video again"
            )

    def _map(self) -> np.ndarray:
        """The file as an array; numpy's own way takes half as long as reading the frames of a small video."""
        content = map_file(self.path)
        header = self.HEADER.match(content)
        if header is None:
            return np.load(self.path, mmap_mode="r").view(np.ndarray)
        shape = [int(size) for size in header[1].split(b",") if size.strip()]
        return np.frombuffer(content, np.uint8, math.prod(shape), header.end()).reshape(shape)

    def problem(self, spec: DatasetSpec, num_frames: int) -> str | None:
        """Why the video cannot have `num_frames` frames, or None."""
        if is_flow(spec):
            return f"{self.path} holds raw frames, which cannot be flow; pack flow without --raw"
        if len(self.pixels) < num_frames:
            return f"list says {num_frames} frames, {self.path} holds {len(self.pixels)}"
        return None

    def load(self, spec: DatasetSpec, frames: Iterable[int], view_of: ViewOf) -> Tensor:
        """Frames by their numbers from 0 -> uint8 (t, c, S, S), c = 1 if they are grey."""
        frames = np.asarray(frames)
        problem = self.problem(spec, int(frames.max()) + 1)
        if problem:
            raise InputError(problem)
        view = view_of(*self.pixels.shape[1:3])
        top, left, height, width = view.box
        seen = self.pixels[:, top : top + height, left : left + width]
        clip = torch.from_numpy(seen[frames])  # (t, h, w) or (t, h, w, 3)
        return view.finish(clip[:, None] if clip.ndim == 3 else clip.permute(0, 3, 1, 2))


ZIP, RAW = ".zip", ".npy"
PACKS: dict[str, type] = {ZIP: Zip, RAW: Raw}


def open_frames(path: Path) -> Folder | Zip | Raw:
    """The frames of a list line's `path`: a folder, else `path`.zip, else `path`.npy; or the pack that `path` names.

    Where nothing is there, a Folder whose `problem` says so. Files are mapped, not held open: nothing is to be closed.
    """
    if not os.path.isdir(path):
        for ending, kind in PACKS.items():
            if os.path.isfile(f"{path}{ending}"):
                return kind(Path(f"{path}{ending}"))
        if path.suffix in PACKS and path.is_file():
            return PACKS[path.suffix](path)
    return Folder(path)
