"""Say what happens in one video, and draw which of its frames a model merged."""

from collections.abc import Sequence
from pathlib import Path

import _path
from tqdm import tqdm

from ops.data.modality import MODALITIES
from ops.evaluation.predict import category_names, hold, predict, read_frames
from ops.options import cli
from ops.options.parsing import add_options
from ops.options.types import number
from ops.pictures import video as pictures
from ops.pictures.flow import flow_frames
from ops.pictures.text import without_middle
from ops.run.restore import load_model
from ops.training.devices import pick_device
from ops.training.placement import place_model

EXAMPLE = """examples:
  python tools/predict.py holiday.mp4 --weights checkpoint/NAME/ckpt.best.pth.tar
  python tools/predict.py data/movingmnist/val/left_0 --weights checkpoint/NAME/ckpt.best.pth.tar --picture left_0.png

The picture shows the frames in time order. The band under them marks the clusters: frames over one colour were merged
into one representation. The curve below, on the same time axis, is the distance to the frame before, the share of
signs of activations that changed; a line with a dot marks every cut between two clusters. Of long videos the strip
shows some frames, evenly spaced, and the curve all. A model without clustering gets its sampled frames marked.

Memory: all frames of the video at the model's input size, one byte a value (12 KB a frame at 64 pixels, 147 KB at 224;
an hour at 25 frames/s: 1.1 and 13.5 GB), and the network's activations for --chunk frames. Where a model clusters, its
stem runs twice over videos of more than --chunk frames.
"""
TOP = 5


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="predict.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "video", type=Path, metavar="VIDEO_OR_FOLDER", help="a video file, or a folder of frames, or of flow"
    )
    parser.add_argument("--weights", type=Path, required=True, metavar="CKPT", help="a checkpoint that main.py wrote")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE.png",
        help="draw frames, clusters and distances there (also .pdf, .svg; needs matplotlib)",
    )
    parser.add_argument(
        "--category_file",
        type=Path,
        metavar="FILE",
        help="class names, one per line in the order of "
        "labels (default: the checkpoint's own; of older ones those of the dataset, if it is there)",
    )
    parser.add_argument(
        "--short_side",
        type=number(int, least=0),
        default=256,
        metavar="PX",
        help="shrink the frames of a video file to this short side first, as tools/extract_frames.py "
        "did for training; 0 keeps their size (256)",
    )
    parser.add_argument(
        "--chunk",
        type=number(int, least=1),
        default=32,
        metavar="N",
        help="frames decoded and sent through the network at a time (32)",
    )
    add_options(parser, ["device"], default=None)
    add_options(parser, ["trust_checkpoint", "keep_damaged"], default=False)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    if args.picture:
        pictures.check(args.picture)
    device = pick_device(args.device)
    model, config, class_names = load_model(str(args.weights), args.trust_checkpoint)
    place_model(model, device)
    names = category_names(config, model.num_class, args.category_file, class_names)
    clips = read_frames(args.video, config, args.short_side, args.chunk, args.keep_damaged, print)
    flow = MODALITIES[config.modality].flow
    frames = hold(
        tqdm(clips, "video", unit=" frames", unit_scale=args.chunk, leave=False, disable=None), 2 if flow else 3
    )
    with tqdm(desc="network", unit=" frames", leave=False, disable=None) as bar:
        seen = predict(model, config, frames, args.chunk, bar.update)
    best = seen.probabilities.topk(min(TOP, len(names)))
    name = str(args.video)
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


if __name__ == "__main__":
    cli.run(main)
