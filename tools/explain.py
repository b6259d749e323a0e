"""Draw where and when a model looks in one video: Grad-CAM of every cluster, and what each adds to the score."""

from collections.abc import Sequence
from pathlib import Path

import _path
from tqdm import tqdm

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.evaluation.explain import Explanation, check_explainable, explain
from ops.evaluation.pointing import play
from ops.evaluation.predict import category_names, hold, read_frames
from ops.files import check_apart
from ops.options import cli
from ops.options.parsing import add_prediction_options
from ops.options.types import number
from ops.pictures import video as pictures
from ops.pictures.flow import flow_frames
from ops.pictures.maps import draw_explanation
from ops.pictures.text import without_middle
from ops.run.restore import load_model
from ops.training.devices import pick_device
from ops.training.placement import place_model

EXAMPLE = """examples:
  python tools/explain.py holiday.mp4 --weights checkpoint/NAME/ckpt.best.pth.tar
  python tools/explain.py data/movingmnist/val/left_0 --weights checkpoint/NAME/ckpt.best.pth.tar --label right
  # on made videos it is known what moves: how often does the model look there?
  python tools/explain.py data/movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar --pointing 100

The picture shows the frames in time order, in grey, under the map of the cluster that each was merged into: the
brighter, the more this place speaks for the class (Grad-CAM on the last stage, by captum). The bars below, on the same
time axis, are what each cluster adds to the score of the class. It needs `pip install -r requirements-explain.txt`.
"""


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="explain.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument(
        "video", type=Path, metavar="VIDEO", help="a video file, or a folder of frames, or of flow; see --pointing"
    )
    add_prediction_options(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("explain.png"), metavar="FILE.png", help="also .pdf, .svg (explain.png)"
    )
    parser.add_argument("--label", metavar="CLASS", help="name or number of the class to explain (the one predicted)")
    parser.add_argument(
        "--pointing",
        type=number(int, least=1),
        metavar="N",
        help="VIDEO is a data set of tools/make_move4mnist.py: on N of its validation videos, print how often the"
        " model looks at the digit that moves; draws nothing",
    )
    parser.add_argument(
        "--chunk",
        type=number(int, least=1),
        default=32,
        metavar="N",
        help="frames sent through the stem at a time (32)",
    )
    return parser


def label_of(text: str | None, names: Sequence[str]) -> int | None:
    """The class that --label names; InputError where there is none."""
    if text is None:
        return None
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise InputError(f"--label {text} is no class; take a name, such as {names[0]}, or 0 to {len(names) - 1}")


def describe(found: Explanation, names: Sequence[str], video: str) -> str:
    """The video, what was predicted, and a line a cluster."""
    probability = 100 * float(found.video.probabilities[found.label])
    lines = [f"{video}: {found.summary}", f"{names[found.label]}  {probability:.2f} %, score {found.score:.3f}"]
    numbers = found.video.seen
    for place, cluster in enumerate(sorted(set(found.video.assignment)), 1):
        own = [number for number, label in zip(numbers, found.video.assignment, strict=True) if label == cluster]
        lines.append(f"cluster {place:>3}  frames {own[0]:>4} to {own[-1]:>4}  adds {found.added[cluster]:+.3f}")
    added = float(found.added.sum())
    lines.append(f"all clusters add {added:+.3f}; the rest of the score is {found.score - added:+.3f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    if args.pointing and args.label:
        raise InputError("--label has no effect with --pointing, which looks at the class of each video")
    if not args.pointing:
        pictures.check(args.out)
        check_apart(args.out, "--out", [args.video / args.out.name, args.weights, *filter(None, [args.category_file])])
    device = pick_device(args.device)
    model, config, class_names = load_model(str(args.weights), args.trust_checkpoint)
    check_explainable(model, config)
    place_model(model, device)
    if args.pointing:
        with tqdm(total=args.pointing, desc="videos", leave=False, disable=None) as bar:
            told = play(model, config, args.video, args.pointing, args.chunk, bar.update)
        print(told)
        return
    names = category_names(config, model.num_class, args.category_file, class_names)
    label, flow = label_of(args.label, names), MODALITIES[config.modality].flow
    clips = read_frames(args.video, config, args.short_side, args.chunk, args.keep_damaged, print)
    found = explain(model, config, hold((clip for clip, _ in clips), 2 if flow else 3), args.chunk, label)
    print(describe(found, names, str(args.video)))
    video = found.video._replace(frames=flow_frames(found.video.frames)) if flow else found.video
    title = f"{without_middle(str(args.video), 40)}: {found.summary}"
    what = "predicted" if label is None else "explained"
    verdict = f"{what}: {names[found.label]} ({100 * float(video.probabilities[found.label]):.1f} %)"
    draw_explanation(video, found.maps, title, verdict, args.out)
    print(f"drew {args.out}")


if __name__ == "__main__":
    cli.run(main)
