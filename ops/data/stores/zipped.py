"""A video as a zip of its pictures."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

from ops.data.frame_names import is_hidden
from ops.data.stores.pictures import Buffer, PictureStore
from ops.data.stores.store import map_file
from ops.errors import InputError

MOST_BYTES = 1 << 28  # of a picture, unpacked


class ZipStore(PictureStore):
    """A video as a zip of its pictures, compressed or not. Of its table of contents only what is asked for is read."""

    kind = "zip"
    END = struct.Struct("<4s4H2LH")  # mark, 3 numbers of disks and entries, entries, table's size and place, comment
    ENTRY = struct.Struct("<4s4x2H4x3LH12xL")  # mark, flags, method, CRC-32, sizes packed and not, name's length, place

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
                    entry.CRC,
                    entry.compress_size,
                    entry.file_size,
                    entry.header_offset,
                )
                for entry in unusual.infolist()
            }

    def _entry(self, name: str) -> tuple[int, ...] | None:
        """(flags, method, CRC-32, packed size, size, place) of a member.

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

    def names(self) -> list[str]:
        try:
            with zipfile.ZipFile(self.path) as content:
                return [name for name in content.namelist() if not is_hidden(os.path.basename(name))]
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"cannot read {self.path}: {error}; pack the video again") from None

    def holds(self, name: str) -> bool:
        return self._entry(name) is not None

    def read(self, name: str) -> Buffer:
        entry = self._entry(name)
        if entry is None:
            raise InputError(f"no frame {name} in {self.path}; pack the video again or correct its list line")
        flags, method, checksum, packed, size, place = entry
        if flags & 1 or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{self.path}: {name} is encrypted or compressed in a way that is not read here;"
                " pack with tools/pack_frames.py"
            )
        if size > MOST_BYTES:
            raise InputError(f"{self.path}: {name} would be {size} bytes, which is no frame; pack the video again")
        try:
            start = place + 30 + sum(struct.unpack_from("<2H", self.content, place + 26))
            data = memoryview(self.content)[start : start + packed]
            if method == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-15).decompress(data, size + 1)  # no more than it takes to tell
        except (struct.error, zlib.error):
            data = b""
        if len(data) != size:
            raise InputError(f"cannot read frame {self.path}/{name}: it is cut off; pack the video again")
        if zlib.crc32(data) != checksum:
            raise InputError(f"cannot read frame {self.path}/{name}: its checksum differs; pack the video again")
        return data
