"""Small video files for tests, made by PyAV: from FFmpeg's own sources of pictures, or from pixels."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

CODECS = {
    ".avi": ("mpeg4", {"qmin": "2", "qmax": "2"}),
    ".mpg": ("mpeg2video", {"qmin": "2", "qmax": "2"}),
    ".webm": ("libvpx", {"b": "900k"}),
    ".gif": ("gif", {}),
}
DEFAULT = ("libx264", {"qp": "4", "threads": "1"})
BLINK = "geq=lum='16+10*N':cb=128:cr=128"  # frame N is of grey level (N * 10) * 255 / 219


def pictures(graph: str, number: int) -> list[av.VideoFrame]:
    """The first frames of a graph of FFmpeg's filters, such as `testsrc2=s=64x48`."""
    with av.open(graph, format="lavfi") as source:
        return list(islice(source.decode(video=0), number))


def greys(levels: Iterable[int], size: tuple[int, int] = (64, 48)) -> list[av.VideoFrame]:
    """Frames of one level of luma each, 16 to 235."""
    frames = []
    for level in levels:
        planes = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
        planes[: size[1]] = level
        frames.append(av.VideoFrame.from_ndarray(planes, "yuv420p"))
    return frames


def write_video(
    path: Path,
    frames: Iterable[av.VideoFrame],
    codec: str | None = None,
    options: Mapping[str, str] | None = None,
    rate: int = 25,
    pix_fmt: str = "yuv420p",
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    muxer: Mapping[str, str] | None = None,
    gop: int = 12,
) -> Path:
    """Encode frames at a constant rate, or at `times` in a `time_base`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    usual, usually = CODECS.get(path.suffix.lower(), DEFAULT)
    options = {"g": str(gop)} | dict(usually if codec is None else {}) | dict(options or {})
    base = time_base or Fraction(1, rate)
    with av.open(f"file:{path}", "w", options=dict(muxer or {})) as file:
        stream = None
        for number, frame in enumerate(frames):
            if stream is None:
                stream = file.add_stream(codec or usual, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
                stream.codec_context.time_base = base
                for name in ("colorspace", "color_range"):
                    setattr(stream.codec_context, name, int(getattr(frame, name)))
            if frame.format.name != pix_fmt:
                frame = frame.reformat(format=pix_fmt)
            frame.pict_type = PictureType.NONE
            frame.pts, frame.time_base = times[number] if times else number, base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def make_video(path: Path, number: int = 6, source: str = "testsrc2", size: str = "64x48", **words) -> Path:
    """Frames of one of FFmpeg's sources, such as `testsrc2` or `nullsrc=s=64x48:r=25,geq=...`."""
    rate = words.get("rate", 25)
    name, _, more = source.partition(",")
    graph = f"{name}{':' if '=' in name else '='}s={size}:r={rate}{',' + more if more else ''},format=yuv420p"
    return write_video(path, pictures(graph, number), **words)


def blink(path: Path, number: int = 20, **words) -> Path:
    """Frame n is of grey level n * 10 * 255 / 219."""
    return write_video(path, greys(16 + 10 * n for n in range(number)), **words)


def copy_packets(parts: Sequence[Path], path: Path, start: float = 0.0, muxer: Mapping[str, str] | None = None) -> Path:
    """The packets of videos one after another, as they are, from the key frame before `start` seconds on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(f"file:{path}", "w", options=dict(muxer or {})) as file:
        stream, shift = None, Fraction(0)
        for part in parts:
            with av.open(f"file:{part}") as source:
                video = source.streams.video[0]
                stream = stream or file.add_stream_from_template(video)
                if start:
                    source.seek(int(start / video.time_base), stream=video)
                end = shift
                for packet in source.demux(video):
                    if packet.dts is None and packet.pts is None:
                        continue
                    base, offset = packet.time_base, int(shift / packet.time_base)
                    packet.pts += offset
                    if packet.dts is not None:
                        packet.dts += offset
                    end = max(end, (packet.pts + (packet.duration or 1)) * base)
                    packet.stream = stream
                    file.mux(packet)
                shift = end
    return path


def write_sound(path: Path) -> Path:
    """A file that holds a tone and no pictures."""
    with av.open("sine=d=0.2", format="lavfi") as source, av.open(f"file:{path}", "w") as file:
        stream = file.add_stream("aac", rate=44100)
        for frame in source.decode(audio=0):
            frame.pts = None
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
