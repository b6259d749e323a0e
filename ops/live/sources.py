"""Where frames come from while they are being made: a camera, an address, a pipe, or a file.

A thread of its own decodes, so that a camera is never kept waiting. Between it and who takes the frames there is room
for a few; where these are taken more slowly than they come, a source that can wait (a file, a pipe, a file on a web
server) waits, and of one that cannot (a camera, a live stream) the oldest of those few are dropped, and counted.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic, sleep
from typing import NamedTuple

import av
from av.container import InputContainer

from ops.data.video_file import VideoFile, timed
from ops.errors import InputError

ROOM = 8  # frames that are decoded and wait to be taken
PATIENCE = 10.0  # seconds without an answer after which an address is given up
LONGEST_PAUSE = 30.0  # seconds between two trials to open a source again
WAITING = ("http", "https", "file", "ftp", "sftp", "pipe")  # addresses that can be read as slowly as one likes
CAMERAS = "/dev/video"
UNSEARCHABLE = (
    " (a pipe, and some servers, cannot be searched: what they send must be Matroska, MPEG-TS, or MP4 with its index in"
    " front, by -movflags +faststart)"
)


@dataclass(frozen=True)
class Source:
    """What is to be opened, and how.

    `live` says that it goes on whether its frames are taken or not; `paced` that it is a file, which can be played at
    its own speed as if it were live. `format` and `options` are FFmpeg's.
    """

    name: str
    address: str
    live: bool = False
    paced: bool = False
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None


def find_source(text: str, form: str | None = None, options: Mapping[str, str] | None = None) -> Source:
    """What a user means by a camera, an address, a file, or `-` for standard input; `form` names a device's format.

    InputError for what is none of these.
    """
    options = dict(options or {})
    scheme, colon, _ = text.partition("://")
    if form is not None:
        if form not in av.formats_available and not any(form in names.split(",") for names in av.formats_available):
            raise InputError(
                f"--format {form} is none that FFmpeg has here; v4l2 is for cameras, lavfi for its filters"
            )
        return Source(text, text, live=True, format=form, options=options)
    if text == "-":
        return Source("standard input", "pipe:0", options=options)
    if text.startswith(CAMERAS):
        if not os.path.exists(text):
            raise InputError(f"no camera {text}; `ls {CAMERAS}*` shows those that are there")
        return Source(text, text, live=True, format="v4l2", options=options)
    if colon and scheme.isalnum():
        return Source(text, text, live=scheme.lower() not in WAITING, options=options, timeout=PATIENCE)
    if os.path.isdir(text):
        raise InputError(f"{text} is a folder; tools/predict.py --timeline takes folders of frames")
    if not os.path.exists(text):
        raise InputError(
            f"no file {text}; give a file, a camera such as {CAMERAS}0, an address such as rtsp://..., or - for a pipe"
        )
    return Source(text, f"file:{text}", paced=os.path.isfile(text), options=options)


class LiveStream(VideoFile):
    """A source that is read from where it is."""

    def __init__(self, source: Source, keep_damaged: bool):
        self.source = source
        self.hint = "" if source.paced or source.live else UNSEARCHABLE
        try:
            super().__init__(source.name, keep_damaged)
        except InputError as error:
            raise InputError(f"{self._in_words(str(error))}{self.hint}") from None

    def _open(self) -> InputContainer:
        source = self.source
        return av.open(source.address, format=source.format, options=dict(source.options), timeout=source.timeout)

    def _fault(self, reason: str) -> None:
        reason = self._in_words(reason)
        if self.hint and self.size is None:  # nothing was seen yet
            reason += self.hint
        elif not self.keep_damaged:
            reason += "; --keep_damaged goes on as far as it can be decoded"
        super()._fault(reason)

    def _in_words(self, reason: str) -> str:
        """An error as FFmpeg says it, but for that of its patience."""
        return reason.replace("Immediate exit requested", f"no answer for {self.source.timeout or PATIENCE:g} s")


class Seen(NamedTuple):
    """A frame as it was decoded."""

    frame: av.VideoFrame
    time: float  # in seconds since the first frame
    stream: VideoFile  # which makes pixels of it


class Broken(NamedTuple):
    """In the place of frames: the source broke and is opened again; frames from here on are another video's."""

    reason: str
    pause: float  # seconds until then


class Reader:
    """The frames of a source, decoded by a thread from the moment it is entered on.

    With `drop` frames that nobody takes are dropped, `dropped` counts them; else the source waits. A source that breaks
    is opened again up to `retries` times in a row, after 1 s and each time twice as long up to `LONGEST_PAUSE`; of one
    that is live, its end is such a break, too. Times go on over it. `clock` and `pause` tell the time and let it pass.
    """

    def __init__(
        self,
        source: Source,
        drop: bool,
        retries: int = 0,
        keep_damaged: bool = False,
        room: int = ROOM,
        clock: Callable[[], float] = monotonic,
        pause: Callable[[float], None] = sleep,
    ):
        self.source, self.drop, self.retries, self.keep_damaged, self.room = source, drop, retries, keep_damaged, room
        self.clock, self.pause = clock, pause
        self.dropped, self.damage = 0, ""
        self.waiting: deque[Seen | Broken] = deque()
        self.changed, self.ended, self.closed = Condition(), False, False
        self.error: BaseException | None = None

    def __enter__(self) -> "Reader":
        self.stream = LiveStream(self.source, self.keep_damaged)  # here, so that what cannot be opened is told at once
        self.thread = Thread(target=self._run, daemon=True)  # it may wait for a camera for ever
        self.thread.start()
        return self

    def __exit__(self, *error) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join(1)

    def take(self, most: int) -> list[Seen] | Broken | None:
        """The next frames, up to `most` of those that wait and at least one; None at the end.

        Waits for the first. InputError where the source is damaged, or broke once too often.
        """
        with self.changed:
            while not self.waiting and not self.ended:
                self.changed.wait()
            if not self.waiting:
                if self.error is not None:
                    raise self.error
                return None
            self.changed.notify_all()
            if isinstance(self.waiting[0], Broken):
                return self.waiting.popleft()
            taken = []
            while self.waiting and len(taken) < most and isinstance(self.waiting[0], Seen):
                taken.append(self.waiting.popleft())
            return taken

    def _run(self) -> None:
        """What the thread does."""
        try:
            self._play_again_and_again()
        except Exception as error:  # whoever takes frames is to get it
            self.error = error
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _play_again_and_again(self) -> None:
        tries, begin, last, when = 0, 0.0, 0.0, None
        while True:
            reason = "it ended"
            try:
                if self.stream is None:
                    self.stream = LiveStream(self.source, self.keep_damaged)
                for time in self._play(self.stream, begin):
                    tries, last, when = 0, time, self.clock()
                if when is None:
                    raise InputError(f"{self.source.name} cannot be decoded: there is no frame in it")
                if not self.source.live or self.closed or tries == self.retries:
                    return
            except InputError as error:
                reason = str(error)
                if tries == self.retries:
                    raise
            finally:
                if self.stream is not None:
                    self.damage = self.damage or self.stream.damage
                    self.stream.close()
                self.stream = None
            pause = min(2.0**tries, LONGEST_PAUSE)
            tries += 1
            self._put(Broken(reason, pause))
            self.pause(pause)
            if when is not None:
                begin = last + self.clock() - when

    def _play(self, stream: VideoFile, begin: float) -> Iterator[float]:
        """Hand frames on, with times that go on from `begin` -> the time of each that was handed on."""
        started = self.clock()
        for frame, seconds in timed(stream.frames()):
            if self.drop and self.source.paced:
                self.pause(max(0.0, started + seconds - self.clock()))
            self._put(Seen(frame, begin + seconds, stream))
            if self.closed:
                return
            yield begin + seconds

    def _put(self, item: Seen | Broken) -> None:
        with self.changed:
            while len(self.waiting) >= self.room and not self.closed:
                if self.drop and isinstance(item, Seen):
                    oldest = next((i for i, one in enumerate(self.waiting) if isinstance(one, Seen)), None)
                    if oldest is None:
                        break
                    del self.waiting[oldest]
                    self.dropped += 1
                else:
                    self.changed.wait()
            self.waiting.append(item)
            self.changed.notify_all()
