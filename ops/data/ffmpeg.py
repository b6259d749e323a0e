"""The ffmpeg program: where it is, and the words to it that several programs here share."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from ops.errors import InputError

# said by an ffmpeg that ends well all the same, and yet pictures are missing or wrong
DAMAGE = re.compile("ended prematurely|partial file|missing reference|could not find ref", re.IGNORECASE)


def find_ffmpeg() -> tuple[list[str], str]:
    """The program with its words for "each frame once", which changed with ffmpeg 5.1, and its version line."""
    found = shutil.which("ffmpeg")
    try:
        if not found:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        found = os.path.abspath(found)
        shown = subprocess.run([found, "-h", "long"], capture_output=True, text=True, errors="replace", check=True)
    except (ImportError, RuntimeError):
        raise InputError("there is no ffmpeg on the PATH: install it, or `pip install imageio-ffmpeg`") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(f"{found} does not run: {getattr(error, 'stderr', '') or error}") from None
    passthrough = "-fps_mode" if "-fps_mode" in shown.stdout else "-vsync"
    return [found, passthrough, "passthrough"], shown.stderr.partition("\n")[0]


def shrink_filter(short_side: int) -> str:
    """ffmpeg's filter that shrinks larger frames to `short_side`, 0 for none; smaller ones keep their size."""
    large = f"gt(min(iw,ih),{short_side or 'inf'})"
    return f"scale=w='if({large},if(gt(iw,ih),-1,{short_side}),iw)':h='if({large},if(gt(iw,ih),{short_side},-1),ih)'"


def jpeg_command(
    ffmpeg: list[str],
    video: str,
    short_side: int,
    output: list[str],
    fps: float | None = None,
    quality: int = 2,
    strictness: Sequence[str] = ("-xerror",),
    threads: int = 0,
) -> list[str]:
    """ffmpeg's words: each frame of `video` once, shrunk to `short_side`, as JPEGs to where `output` says.

    Time stamps give way to the frame's number, as the JPEG encoder refuses two that are equal in its time base;
    passthrough keeps ffmpeg from filling up to a constant rate (`-r` doubles the last frame of slow videos).
    `-reinit_filter 0` keeps the count, and the size, where pictures change their size inside a video.
    """
    program, *passthrough = ffmpeg
    filters = [shrink_filter(short_side), "settb=1/25", "setpts=N"]
    if fps:
        filters.insert(0, f"fps={fps}")
    words = f"-nostdin -nostats -v error {' '.join(strictness)} -reinit_filter 0 -threads {threads}".split()
    words += ["-i", f"file:{video}", "-map", "0:V:0", "-vf", ",".join(filters), *passthrough]
    return [program, *words, *f"-enc_time_base 1/25 -threads 1 -c:v mjpeg -q:v {quality} -qmin 1".split(), *output]


def damage_of(code: int, said: Iterable[str]) -> str:
    """What is wrong with a video's pictures, "" if nothing is: from the exit code and the error lines of `-xerror`.

    With that flag ffmpeg ends at the first picture that is not whole. What it says and goes on, of sound or of the
    bookkeeping of a video that was cut without decoding it, is no damage.
    """
    lines = [re.sub(r"^(\[[^]]* @ [^]]*\] ?)+", "", line).strip() for line in said]
    if any("matches no streams" in line for line in lines):
        return "there are no pictures in it, only sound or the like"
    if code:
        return next(filter(None, lines), f"ffmpeg's exit code is {code}")
    return next(filter(DAMAGE.search, lines), "")
