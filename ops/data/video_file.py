"""A video file -> its frames, each once and in the order in which they are shown, decoded by PyAV (FFmpeg's libraries).

All that reads video files reads them here, so that training, evaluation, prediction and extraction see the same pixels:
the first stream that is a video and no cover picture; each decoded frame once, whatever its time stamps say; fields of
interlaced material woven together; turned and mirrored as the file says; colours by the file's matrix and range, BT.601
and limited where it says nothing; alpha left out; more than 8 bits rounded to 8; square pixels taken for granted.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter
from torch import Tensor

from ops.errors import InputError

# said by demuxers and decoders that go on as if all were well, and yet pictures are missing or wrong
DAMAGE = re.compile("ended prematurely|partial file|missing reference|could not find ref", re.IGNORECASE)
BECAUSE = " cannot be decoded: "
NO_PICTURES = "there are no pictures in it, only sound or the like"

Turn = Callable[[np.ndarray], np.ndarray]  # pixels (H, W, 3) as stored -> as shown


def shrunk(height: int, width: int, short_side: int) -> tuple[int, int]:
    """The size of frames whose shorter side is at most `short_side`; smaller ones, and all for 0, keep their size."""
    short = min(height, width)
    if not short_side or short <= short_side:
        return height, width
    return tuple(short_side if side == short else (side * short_side + short // 2) // short for side in (height, width))


def turn_of(frame: av.VideoFrame) -> Turn | None:
    """How a frame is to be turned by quarters and mirrored before it is shown, None for not at all.

    The file's display matrix takes a pixel at (x, y) to (a x + c y, b x + d y).
    """
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5]
    across = abs(int(b)) > abs(int(a))
    down, right = (b, c) if across else (d, a)
    if not across and down >= 0 and right >= 0:
        return None

    def turn(pixels: np.ndarray) -> np.ndarray:
        if across:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]

    return turn


class VideoFile:
    """A video file that is read from its first frame on, or from a key frame.

    It decodes on one thread, so that each of many loading processes takes one core, and belongs to the process and the
    thread that opened it. InputError, with the decoder's reason, where the file is no video or where it is damaged;
    with `keep_damaged` frames are taken as far as they can be decoded, and `damage` is the first reason. Packets that
    `skip` names are not decoded where no other frame refers to theirs.
    """

    def __init__(self, path: Path | str, keep_damaged: bool = False):
        self.path, self.keep_damaged, self.damage = path, keep_damaged, ""
        self.container, self.size, self.turn = None, None, None
        self.skip: Callable[[av.Packet], bool] | None = None
        self.ready: deque[av.VideoFrame] = deque()  # decoded, and not yet given
        self.reformatter = VideoReformatter()
        av.logging.set_level(av.logging.ERROR)  # what is said is heard by _listening
        av.logging.set_skip_repeated(False)  # the same of two files is said of both
        self.restart()

    def restart(self) -> None:
        """Stand before the first frame."""
        self.close()
        self.ready.clear()
        with self._listening("it cannot be opened"):
            self.container = self._open()
        videos = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not videos:
            self.close()
            raise InputError(f"{self.path}{BECAUSE}{NO_PICTURES}")
        self.stream = videos[0]
        self.stream.codec_context.thread_count = 1
        self.packets = self.container.demux(self.stream)

    def _open(self) -> InputContainer:
        """The container; FFmpeg's errors are for the caller."""
        return av.open(f"file:{self.path}", options={"protocol_whitelist": "file"})

    def close(self) -> None:
        """Let go of the file."""
        if self.container is not None:
            self.container.close()
            self.container = None

    @contextmanager
    def _listening(self, doing: str) -> Iterator[list[tuple[int, str, str]]]:
        """Hear what FFmpeg says, and turn its errors into InputError; `doing` is the reason where it gives none."""
        with av.logging.Capture() as said:
            try:
                yield said
            except (av.FFmpegError, OSError) as error:
                reason = next(filter(None, (text.strip() for _, _, text in said)), "") or error.strerror or doing
                raise InputError(f"{self.path}{BECAUSE}{reason}") from None

    def _fault(self, reason: str) -> None:
        if not self.keep_damaged:
            raise InputError(f"{self.path}{BECAUSE}{reason}")
        self.damage = self.damage or reason

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames from where the file stands, to its end; those of packets that `skip` names may be missing."""
        while True:
            while self.ready:
                yield self.ready.popleft()
            if not self._step():
                return

    def _step(self) -> bool:
        """Decode one more packet; whether there was one."""
        packet, said = None, []
        try:
            with self._listening("it cannot be read") as said:
                packet = next(self.packets, None)
                if packet is not None:
                    if self.skip is not None:
                        self.stream.codec_context.skip_frame = "NONREF" if self.skip(packet) else "DEFAULT"
                    self.ready.extend(packet.decode())
        except InputError as error:
            self._fault(str(error).split(BECAUSE, 1)[1])
            if packet is None:  # no more can be read; what was read may still be inside
                self.packets = iter(())
                self.ready.extend(self._rest())
        if packet is not None and packet.is_corrupt:
            self._fault("a part of it is missing")
        if heard := next((text.strip() for _, _, text in said if DAMAGE.search(text)), None):
            self._fault(heard)
        if any(frame.is_corrupt for frame in self.ready):
            self._fault("a frame of it is damaged")
        return packet is not None or bool(self.ready)

    def _rest(self) -> list[av.VideoFrame]:
        """What a decoder still holds when its packets end early."""
        try:
            return self.stream.codec_context.decode(None)
        except (av.FFmpegError, EOFError):
            return []

    def seek(self, time: int) -> int | None:
        """Go to the last key frame whose time is `time` or earlier, as far as the file's own index tells.

        Times count in the stream's time base. The time of the frame it stands at now, None where that is no key frame.
        """
        self.ready.clear()
        with self._listening("it cannot be searched"):
            self.container.seek(time, stream=self.stream)
            self.packets = self.container.demux(self.stream)
            packet = next(self.packets, None)
        if packet is None or packet.pts is None or not packet.is_keyframe:
            return None
        self.packets = chain([packet], self.packets)
        return packet.pts

    def pixels(self, frame: av.VideoFrame, short_side: int) -> np.ndarray:
        """What a frame shows, uint8 (H, W, 3), RGB, shrunk to `short_side`; all of a file are as large as the first."""
        if self.size is None:
            self.size, self.turn = (frame.height, frame.width), turn_of(frame)
        height, width = shrunk(*self.size, short_side)
        scaled = (height, width) != (frame.height, frame.width)
        shown = self.reformatter.reformat(
            frame,
            width,
            height,
            "rgb24",
            interpolation=Interpolation.BICUBIC if scaled else Interpolation.BILINEAR,  # the latter is the faster way
            threads=1,
        )
        plane = shown.planes[0]
        pixels = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, : 3 * width]
        pixels = pixels.reshape(height, width, 3)
        return pixels if self.turn is None else self.turn(pixels)


def clip_of(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures (H, W, 3) -> uint8 (t, 3, H, W)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def timed(frames: Iterable[av.VideoFrame], rate: float = 25) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames with the times when they are shown, in seconds since the first; those that have none come at a rate.

    Times never run backwards: a frame that should have been shown before is shown at once.
    """
    first, time = None, 0.0
    for frame in frames:
        if first is None:
            first = 0.0 if frame.time is None else frame.time
        elif frame.time is None:
            time += 1 / rate
        else:
            time = max(time, frame.time - first)
        yield frame, time


def read_video(path: Path, short_side: int, chunk: int, keep_damaged: bool = False) -> Iterator[Tensor]:
    """All frames of a video file, `chunk` at a time, uint8 (t, 3, H, W).

    Larger frames are shrunk to `short_side`, 0 keeps all sizes. Raises InputError with the decoder's reason where the
    file cannot be decoded to its end; with `keep_damaged` what can be decoded is given.
    """
    for clip, _ in read_timed_video(path, short_side, chunk, keep_damaged):
        yield clip


def read_timed_video(
    path: Path, short_side: int, chunk: int, keep_damaged: bool = False
) -> Iterator[tuple[Tensor, list[float]]]:
    """As `read_video`, with the times of the frames as `timed` gives them."""
    file = VideoFile(path, keep_damaged)
    try:
        pictures = ((file.pixels(frame, short_side), time) for frame, time in timed(file.frames()))
        found = False
        while part := list(islice(pictures, chunk)):
            shown, times = zip(*part, strict=True)
            yield clip_of(shown), list(times)
            found = True
        if not found:
            raise InputError(f"{path}{BECAUSE}{file.damage or 'there is no frame in it'}")
    finally:  # the caller may have left
        file.close()


def at_rate(frames: Iterable[av.VideoFrame], fps: float) -> Iterator[av.VideoFrame]:
    """Frames as they are seen `fps` times a second: each is there until the next one comes, the last for as long as it
    says, or else for as long as the one before."""
    held, slot, since, lasts = None, 0, 0.0, 0.0
    for number, frame in enumerate(frames):
        time = number / 25 if frame.time is None else frame.time
        if held is not None:
            lasts = time - since
            following = max(slot, int(np.floor(time * fps + 0.5)))
            yield from [held] * (following - slot)
            slot = following
        else:
            slot = int(np.floor(time * fps + 0.5))
        held, since = frame, time
    if held is not None:
        if held.duration and held.time_base:
            lasts = float(held.duration * held.time_base)
        yield from [held] * (int(np.floor((since + lasts) * fps + 0.5)) - slot)
