"""What a video file holds, found by decoding it once and then kept: how many frames, when, and which are key frames.

A container's own count may be wrong, and nothing but decoding tells whether a file is whole. The index of a video lies
in the nearest folder above it that has a folder `.video_index`, as one with lists of videos has, or else in the user's
cache. One whose video has another size or time by now is made anew.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.data.video_file import VideoFile
from ops.errors import InputError
from ops.files import write_whole

FOLDER = ".video_index"
FORM = 1  # of the files; those of another are made anew


@dataclass(frozen=True)
class VideoIndex:
    """The facts of a video file; `stamp` is the file's size and time when they were found.

    `times` are those of the frames in the stream's time base, none where they do not grow from frame to frame, so that
    frames can only be counted. `keys` are the numbers of key frames. `damage` says why it cannot be decoded to its end;
    `frames` then counts those that can be.
    """

    form: int
    stamp: tuple[int, int]
    frames: int
    times: Sequence[int]
    keys: Sequence[int]
    time_base: str
    damage: str = ""


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of a file; InputError where it is not there."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    return facts.st_size, facts.st_mtime_ns


def index_path(path: Path) -> Path | None:
    """Where the index of a video is kept, None for nowhere."""
    video = Path(os.path.abspath(path))
    for folder in video.parents:
        if (folder / FOLDER).is_dir():
            return folder / FOLDER / _name(str(video.relative_to(folder)))
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(cache) / "full_video_index" / _name(str(video))


def _name(video: str) -> str:
    return hashlib.sha1(video.encode(errors="surrogateescape")).hexdigest() + ".json"


def read_index(path: Path) -> VideoIndex:
    """The index of a video file, made and kept where there is none that fits; InputError where it is no video."""
    stamp, place = stamp_of(path), index_path(path)
    if place is not None:
        with suppress(OSError, ValueError, TypeError, KeyError):  # not there, or not whole
            facts = json.loads(place.read_text())
            index = VideoIndex(**facts | {"stamp": tuple(facts["stamp"])})
            if index.form == FORM and index.stamp == stamp:
                return index
    index = make_index(path)
    if place is not None:
        with suppress(InputError):  # a folder that may not be written to: it is made again next time
            write_whole(place, json.dumps(asdict(index), separators=(",", ":")).encode())
    return index


def make_index(path: Path) -> VideoIndex:
    """Decode a video file from its first frame to its last."""
    stamp, times, keys = stamp_of(path), [], []
    file = VideoFile(path, keep_damaged=True)
    try:
        for frame in file.frames():
            if frame.key_frame:
                keys.append(len(times))
            times.append(frame.pts)
        base = str(file.stream.time_base)
    finally:
        file.close()
    frames, damage = len(times), file.damage
    if not frames:
        raise InputError(f"{path} cannot be decoded: {damage or 'there is no frame in it'}")
    grow = None not in times and all(a < b for a, b in zip(times, times[1:], strict=False))
    if damage or not grow:
        times, keys = [], []
    return VideoIndex(FORM, stamp, frames, times, keys, base, damage)
