"""Say what happens in a video while it is being made: of a camera, a stream, a pipe, or a file."""

import json
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from io import RawIOBase
from pathlib import Path

import _path
from torch import Tensor

from ops.data.video_file import clip_of
from ops.errors import InputError
from ops.evaluation.predict import category_names, shrink
from ops.evaluation.timelines import WINDOW, check_modality, make_engine
from ops.files import check_apart
from ops.live.segments import LastMean
from ops.live.sources import Broken, Reader, Seen, find_source
from ops.live.windows import Engine, Told
from ops.options import cli
from ops.options.config import Config
from ops.options.parsing import add_prediction_options
from ops.options.types import number, span
from ops.pictures.overlay import Recording, Screen, check_video, draw_over, window_toolkit
from ops.pictures.text import counted
from ops.run.restore import load_model
from ops.run.signals import Interrupted, Interrupts
from ops.training.devices import pick_device
from ops.training.placement import full_precision, place_model

EXAMPLE = """examples:
  python tools/live.py /dev/video0 --weights checkpoint/NAME/ckpt.best.pth.tar --show
  python tools/live.py rtsp://192.168.0.7/stream --weights checkpoint/NAME/ckpt.best.pth.tar --jsonl day.jsonl
  ffmpeg -i film.mp4 -f matroska - | python tools/live.py - --weights checkpoint/NAME/ckpt.best.pth.tar
  python tools/live.py film.mp4 --weights checkpoint/NAME/ckpt.best.pth.tar --late drop --out overlaid.mp4

Predictions are those of tools/predict.py --timeline with the same window and --stride, one a line: the time, the
probability, the class. Every frame passes the stem once. A model trained with --cluster none --shift --shift_direction
past has scores of every frame instead, unless --window is given: TSM's online form.

Frames that come faster than this machine computes: a camera and a live stream (rtsp, rtmp, udp, srt, tcp) cannot wait,
so the oldest are dropped, and counted; no more than 8 ever wait. A file, a pipe, and http wait. --late decides
otherwise; with --late drop a file is played at its own speed.

A pipe cannot be searched, so what is sent through it must be made for that: Matroska (-f matroska), MPEG-TS
(-f mpegts), or MP4 with its index in front (-movflags +faststart).
"""
TOP = 5
DRAWN = 3  # classes in the overlay
RETRIES = 10  # of a live source
CHUNK = 8  # frames that pass the network at a time, where as many wait


def key_value(text: str) -> tuple[str, str]:
    """An argparse type: NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="live.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "source", metavar="SOURCE", help="a camera (/dev/video0), an address (rtsp, http, udp), a file, or - for a pipe"
    )
    add_prediction_options(parser)
    parser.add_argument(
        "--window",
        type=span,
        metavar="S",
        help=f"how much is seen at a time: seconds, or frames as 64f ({WINDOW.length:g})",
    )
    parser.add_argument(
        "--every", type=span, metavar="S", help="from one prediction to the next (a quarter of --window)"
    )
    parser.add_argument(
        "--smooth", type=number(int, least=1), default=1, metavar="N", help="mean of the last N predictions (1)"
    )
    parser.add_argument(
        "--threshold",
        type=number(float, least=0, most=1),
        default=0.0,
        metavar="P",
        help="where the best class has a lower probability, no class is told (0)",
    )

    outputs = parser.add_argument_group("outputs")
    outputs.add_argument(
        "--jsonl", type=Path, metavar="FILE", help="add each prediction to this file, a line of JSON with the best five"
    )
    outputs.add_argument(
        "--out",
        type=Path,
        metavar="VIDEO",
        help="write the frames there with what is said over them (.mp4, .mov, or .mkv, most of which survives a crash)",
    )
    outputs.add_argument("--show", action="store_true", help="the same in a window on screen (needs opencv-python)")

    sources = parser.add_argument_group("source")
    sources.add_argument(
        "--late",
        choices=("wait", "drop"),
        help="when frames come too fast: keep the source waiting, or drop the oldest (default: as the source can)",
    )
    sources.add_argument(
        "--retry",
        type=number(int, least=0),
        metavar="N",
        help="open a source that breaks again, up to N times in a row, 1, 2, 4 ... 30 s later; of one that cannot wait"
        f" its end is a break, too (such a source: {RETRIES}; others: 0)",
    )
    sources.add_argument("--format", metavar="NAME", help="FFmpeg's input format, for devices of other systems")
    sources.add_argument(
        "--option",
        type=key_value,
        action="append",
        metavar="NAME=VALUE",
        help="one of FFmpeg's for the source, such as video_size=640x480 or rtsp_transport=tcp; may be repeated",
    )
    return parser


class Teller:
    """Says what the engine tells: on standard output, as JSON, over the frames."""

    def __init__(self, args: Namespace, names: Sequence[str], reader: Reader, stack: ExitStack):
        self.names, self.reader, self.threshold, self.smooth = names, reader, args.threshold, args.smooth
        self.predictions = 0
        self.path = args.jsonl
        self.file: RawIOBase | None = stack.enter_context(_opened(args.jsonl)) if args.jsonl else None
        self.screens: list[Recording | Screen] = []
        if args.show:
            self.screens.append(stack.enter_context(closing(Screen(f"{args.source} - live.py"))))
        if args.out:
            self.screens.append(stack.enter_context(closing(Recording(args.out))))
        self.restart()

    def restart(self) -> None:
        """Forget what was said."""
        self.mean, self.lines = LastMean(self.smooth), []

    def tell(self, told: Told) -> None:
        probabilities: Tensor = self.mean(told.probabilities)
        best = probabilities.topk(min(TOP, len(self.names)))
        top = [
            (self.names[label], value) for value, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        name, value = top[0]
        known = value >= self.threshold
        print(f"{told.end:10.2f} s  {100 * value:6.2f} %  {name if known else '-'}", flush=True)
        self.lines = top[:DRAWN] if known else [("-", value), *top[: DRAWN - 1]]
        self.predictions += 1
        if self.file is not None:
            record = {
                "start": round(told.start, 3),
                "end": round(told.end, 3),
                "class": name if known else None,
                "probability": round(value, 6),
                "best": [[other, round(share, 6)] for other, share in top],
                "dropped": self.reader.dropped,
            }
            self.write(record)

    def tell_break(self, broken: Broken) -> None:
        print(f"{broken.reason}; opens it again in {broken.pause:g} s", file=sys.stderr, flush=True)
        if self.file is not None:
            self.write({"broken": broken.reason})

    def write(self, record: dict) -> None:
        try:
            line = json.dumps(record, ensure_ascii=False) + "\n"
            self.file.write(line.encode(errors="backslashreplace"))
        except OSError as error:
            raise InputError(f"--jsonl {self.path} cannot be written: {error.strerror}") from None

    def show(self, seen: Seen) -> None:
        if not self.screens:
            return
        pixels = draw_over(seen.stream.pixels(seen.frame, 0), self.lines, f"{seen.time:.1f} s")
        for screen in self.screens:
            screen.show(pixels, seen.time)


def _opened(path: Path) -> RawIOBase:
    """A file to add to, of which nothing waits in memory; InputError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise InputError(f"--jsonl {path} cannot be written: {error.strerror}") from None


def batches(reader: Reader) -> Iterator[list[Seen] | Broken]:
    """What comes from a source, to its end."""
    while (taken := reader.take(CHUNK)) is not None:
        yield taken


def follow(reader: Reader, engine: Engine, teller: Teller, config: Config, short_side: int) -> Iterator[int]:
    """Show frames to the engine as they come, and say what it tells -> how many were seen, at each step."""
    first = 0  # frame of the source, as it was opened last, in the next step
    with Interrupts() as interrupts:
        for taken in interrupts.watch(batches(reader)):
            if isinstance(taken, Broken):
                teller.tell_break(taken)
                engine.restart()
                teller.restart()
                first = 0
                continue
            clip = clip_of([seen.stream.pixels(seen.frame, short_side) for seen in taken])
            told = engine.feed(shrink(clip, config.frame_size), [seen.time for seen in taken])
            for place, seen in enumerate(taken, first):
                while told and told[0].last <= place:
                    teller.tell(told.pop(0))
                teller.show(seen)
            first += len(taken)
            yield len(taken)
    for one in engine.finish():
        teller.tell(one)


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    source = find_source(args.source, args.format, dict(args.option or []))
    for flag, path in (("--out", args.out), ("--jsonl", args.jsonl)):
        if path:
            check_apart(path, flag, [args.source, args.weights, *filter(None, [args.category_file])])
    if args.out:
        check_video(args.out)
    if args.show:
        window_toolkit()
    drop = source.live if args.late is None else args.late == "drop"
    retries = args.retry
    if retries is None:
        retries = RETRIES if source.live else 0
    device = pick_device(args.device)
    model, config, class_names = load_model(str(args.weights), args.trust_checkpoint)
    check_modality(config, "live.py")
    place_model(model, device)
    names = category_names(config, model.num_class, args.category_file, class_names)
    engine, how = make_engine(model, config, args.window, args.every, "--every", CHUNK)
    seen, began, code = 0, time.monotonic(), 0
    with ExitStack() as stack, full_precision():
        reader = stack.enter_context(Reader(source, drop, retries, source.live or args.keep_damaged))
        teller = Teller(args, names, reader, stack)
        late = "dropped" if drop else "waited for"
        print(f"{source.name}: {how}; frames that come too fast are {late}", flush=True)
        try:
            for frames in follow(reader, engine, teller, config, args.short_side):
                seen += frames
        except Interrupted as signal:
            print(f"ended by {signal}", file=sys.stderr)
            code = signal.exit_code
        finally:
            seconds = time.monotonic() - began
            print(
                f"{counted(seen, 'frame')} seen, {reader.dropped:,} dropped,"
                f" {counted(teller.predictions, 'prediction')} in {seconds:.1f} s",
                flush=True,
            )
    if reader.damage:
        print(f"{source.name} is damaged: {reader.damage}", file=sys.stderr)
    return code


if __name__ == "__main__":
    cli.run(main)
