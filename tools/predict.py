"""Say what happens in videos: one class for all of a video, or a timeline of classes."""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import _path
from tqdm import tqdm

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.evaluation import timelines
from ops.evaluation.predict import category_names, find_videos, hold, predict, read_frames
from ops.files import check_apart, check_writable
from ops.models import TSN
from ops.options import cli
from ops.options.config import Config
from ops.options.parsing import add_options, add_prediction_options
from ops.options.types import number, span
from ops.pictures import timeline as timeline_pictures
from ops.pictures import video as pictures
from ops.pictures.flow import flow_frames
from ops.pictures.text import counted, without_middle
from ops.run.restore import load_model
from ops.training.devices import pick_device
from ops.training.placement import full_precision, place_model

EXAMPLE = """examples:
  python tools/predict.py holiday.mp4 --weights checkpoint/NAME/ckpt.best.pth.tar
  python tools/predict.py data/movingmnist/val/left_0 --weights checkpoint/NAME/ckpt.best.pth.tar --picture left_0.png
  python tools/predict.py day.mp4 --weights checkpoint/NAME/ckpt.best.pth.tar --timeline day.png --window 2 --stride 0.5
  python tools/predict.py videos --weights checkpoint/NAME/ckpt.best.pth.tar --timeline all.json --timeline all.csv

The picture shows the frames in time order. The band under them marks the clusters: frames over one colour were merged
into one representation. The curve below, on the same time axis, is the distance to the frame before, the share of
signs of activations that changed; a line with a dot marks every cut between two clusters. Of long videos the strip
shows some frames, evenly spaced, and the curve all. A model without clustering gets its sampled frames marked.

A timeline has the scores of a window that slides over the video, as the model has them for a video of the window's
frames, and segments of neighbouring windows with the same class; each window speaks for the time around its middle.
Every frame is read once, and passes the stem once, however much windows overlap. A model trained with --cluster none
--shift --shift_direction past has scores of every frame instead, unless --window is given. tools/live.py does the same
while a video is being made.

Memory: all frames of the video at the model's input size, one byte a value (12 KB a frame at 64 pixels, 147 KB at 224;
an hour at 25 frames/s: 1.1 and 13.5 GB), and the network's activations for --chunk frames. Where a model clusters, its
stem runs twice over videos of more than --chunk frames. A timeline holds the window's frames alone: their activations
behind the stem, or without clustering the frames as bytes; and the probabilities of all windows.
"""
TOP = 5
SHOWN_SEGMENTS = 20
KEPT_FRAMES = 64  # of a video, for the picture of its timeline


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="predict.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "videos",
        type=Path,
        nargs="+",
        metavar="VIDEO",
        help="a video file, or a folder of frames, or of flow; a folder of videos, or a list of them (.txt), means all",
    )
    add_prediction_options(parser)
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE.png",
        help="draw frames, clusters and distances there (also .pdf, .svg; needs matplotlib)",
    )
    parser.add_argument(
        "--chunk",
        type=number(int, least=1),
        default=32,
        metavar="N",
        help="frames decoded and sent through the network at a time (32)",
    )
    add_options(
        parser,
        ["on_bad_video"],
        default="stop",
        help="what a video that cannot be read does: stop (the default), or skip it, and end with an error",
    )
    times = parser.add_argument_group("timelines")
    times.add_argument(
        "--timeline",
        type=Path,
        action="append",
        metavar="FILE",
        help="what is shown when: .json (scores and segments), .csv (segments), or a picture with a row for each video"
        " (.png, .pdf, .svg); may be given several times",
    )
    times.add_argument(
        "--window",
        type=span,
        metavar="S",
        help="how long a window is: seconds, or frames as 64f; best about as long as the videos of training"
        f" ({timelines.WINDOW.length:g})",
    )
    times.add_argument("--stride", type=span, metavar="S", help="from one window to the next (a quarter of --window)")
    times.add_argument(
        "--smooth",
        type=number(int, least=1),
        metavar="N",
        help="mean of each N neighbouring windows, before segments are made (1)",
    )
    times.add_argument(
        "--threshold",
        type=number(float, least=0, most=1),
        metavar="P",
        help="a window whose best class has a lower probability belongs to no segment (0)",
    )
    times.add_argument(
        "--fps", type=number(float, above=0), metavar="F", help="frames a second of folders of frames (25)"
    )
    return parser


TIMELINE_FLAGS = {"window": None, "stride": None, "smooth": 1, "threshold": 0.0, "fps": 25.0}  # and their defaults


def check(args: Namespace) -> None:
    """InputError for flags that do not go together; fills in those that were not given."""
    for name, default in TIMELINE_FLAGS.items():
        if getattr(args, name) is None:
            setattr(args, name, default)
        elif not args.timeline:
            raise InputError(f"--{name} is for --timeline FILE, which was not given")
    if args.timeline and args.picture:
        raise InputError("--picture shows one prediction for all of a video; for --timeline give --timeline FILE.png")
    if args.picture:
        pictures.check(args.picture)
    for path in args.timeline or []:
        if path.suffix.lower() in timelines.FORMS:
            check_writable(path, "--timeline")
        else:
            pictures.check(path)


def for_each(videos: Sequence[Path], do: Callable[[Path], object], skip: bool) -> list[Path]:
    """Do something with every video; those that cannot be read are told and returned where `skip` says so."""
    bad = []
    for video in videos:
        try:
            do(video)
        except InputError as error:
            if not skip:
                raise
            print(f"left out: {error}", file=sys.stderr)
            bad.append(video)
    return bad


def predict_one(video: Path, model: TSN, config: Config, names: Sequence[str], args: Namespace) -> None:
    """Print the best classes of a video, and draw it."""
    clips = (clip for clip, _ in read_frames(video, config, args.short_side, args.chunk, args.keep_damaged, print))
    flow = MODALITIES[config.modality].flow
    frames = hold(
        tqdm(clips, "video", unit=" frames", unit_scale=args.chunk, leave=False, disable=None), 2 if flow else 3
    )
    with tqdm(desc="network", unit=" frames", leave=False, disable=None) as bar:
        seen = predict(model, config, frames, args.chunk, bar.update)
    best = seen.probabilities.topk(min(TOP, len(names)))
    name = str(video)
    print(f"{name}: {seen.summary}")
    width = max(len(names[label]) for label in best.indices)
    for rank, (value, label) in enumerate(zip(best.values, best.indices, strict=True), 1):
        print(f"{rank}  {names[label]:<{width}}  {100 * value:6.2f} %")
    if args.picture:
        if flow:
            seen = seen._replace(frames=flow_frames(seen.frames))
        verdict = f"predicted: {names[best.indices[0]]} ({100 * best.values[0]:.1f} %)"
        title = f"{without_middle(name, 40)}: {seen.summary}"
        pictures.draw_prediction(seen, title, verdict, args.picture)
        print(f"drew {args.picture}")


def tell_segments(timeline: timelines.VideoTimeline, how: str, names: Sequence[str]) -> None:
    """Print what was found in a video."""
    print(f"{timeline.name}: {timeline.summary}, {how}: {counted(len(timeline.segments), 'segment')}")
    for segment in timeline.segments[:SHOWN_SEGMENTS]:
        print(f"{segment.start:10.2f} to {segment.end:8.2f} s  {100 * segment.score:6.2f} %  {names[segment.label]}")
    if len(timeline.segments) > SHOWN_SEGMENTS:
        print(f"           ... and {len(timeline.segments) - SHOWN_SEGMENTS} more")


def tell_timelines(
    videos: Sequence[Path], model: TSN, config: Config, names: Sequence[str], args: Namespace
) -> list[Path]:
    """Print the segments of videos, and write and draw their timelines; returns those that were left out."""
    timelines.check_modality(config, "--timeline")
    engine, how = timelines.make_engine(model, config, args.window, args.stride, "--stride", args.chunk)
    drawn = [path for path in args.timeline if path.suffix.lower() not in timelines.FORMS]
    for path in drawn:
        timeline_pictures.check_rows(len(videos), path)
    found = []

    def read(video: Path) -> None:
        with full_precision():
            clips = read_frames(video, config, args.short_side, args.chunk, args.keep_damaged, print, args.fps)
            clips = tqdm(clips, "video", unit=" frames", unit_scale=args.chunk, leave=False, disable=None)
            kept = KEPT_FRAMES if drawn else 0
            found.append(timelines.read_timeline(str(video), clips, engine, args.smooth, args.threshold, kept))
        tell_segments(found[-1], how, names)

    bad = for_each(videos, read, args.on_bad_video == "skip")
    if not found:
        raise InputError("none of the videos can be read, as told above; nothing was written")
    for path in args.timeline:
        if path in drawn:
            rows = [timelines.drawn(one, f"{without_middle(one.name, 60)}: {one.summary}, {how}") for one in found]
            timeline_pictures.draw_timelines(rows, names, path)
        else:
            timelines.write_tables(found, names, {"weights": str(args.weights), "how": how}, path)
        print(f"wrote {path}")
    return bad


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    check(args)
    videos = find_videos(args.videos)
    for flag, path in (("--picture", args.picture), *(("--timeline", path) for path in args.timeline or [])):
        if path:
            frames = (video / path.name for video in videos if video.is_dir())
            check_apart(path, flag, [*args.videos, *videos, *frames, args.weights, *filter(None, [args.category_file])])
    if args.picture and len(videos) > 1:
        raise InputError(f"--picture shows one video, and these are {len(videos)}; --timeline FILE.png shows many")
    device = pick_device(args.device)
    model, config, class_names = load_model(str(args.weights), args.trust_checkpoint)
    place_model(model, device)
    names = category_names(config, model.num_class, args.category_file, class_names)
    if args.timeline:
        bad = tell_timelines(videos, model, config, names, args)
    else:
        one = partial(predict_one, model=model, config=config, names=names, args=args)
        bad = for_each(videos, one, args.on_bad_video == "skip")
    if bad:
        raise InputError(f"{len(bad)} of {counted(len(videos), 'video')} cannot be read and left out, as told above")


if __name__ == "__main__":
    cli.run(main)
