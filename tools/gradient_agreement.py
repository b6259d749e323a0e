"""Test the premise of clustering: do frames with like sign patterns have like gradients?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _path
import numpy as np
import torch
from tqdm import tqdm

from ops.data.modality import MODALITIES
from ops.errors import InputError
from ops.evaluation.gradient_agreement import ANGLES, Agreement, agreements, pairs_file, spread, video_pairs
from ops.files import check_writable, write_whole
from ops.models import build_model
from ops.options import cli, types
from ops.options.config import DATASET_OPTIONS
from ops.options.parsing import add_dataset_options, add_options
from ops.run.data import open_videos
from ops.run.identity import check_class_names
from ops.run.restore import load_model
from ops.training.devices import pick_device
from ops.training.placement import place_model

EXAMPLE = """examples:
  python tools/gradient_agreement.py movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar --csv pairs.csv
  python tools/gradient_agreement.py movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar --untrained

Pairs of frames are drawn from validation videos, neighbours and any two of a video. Of each pair are measured how
unlike the frames are (hamming: share of signs of the stem's activations that differ, by which clustering cuts;
pixel_distance: mean difference of levels; activation_distance: 1 - cosine) and the angles between the frames' own
gradients, of the stem's weights and of the frame itself, both against the gradient that reaches the first frame's
cluster: `ops/evaluation/gradient_agreement.py` says what exactly. The table tells how the distances and the angles
correlate over all pairs. A frame without any gradient has no angle; its pairs count for nothing.
"""


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog="gradient_agreement.py",
        usage="%(prog)s dataset [modality] --weights CKPT [options]",
        description=__doc__,
        epilog=EXAMPLE,
    )
    add_dataset_options(parser, modality_needed=False)
    parser.add_argument("--weights", type=Path, required=True, metavar="CKPT", help="a checkpoint that main.py wrote")
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="new weights in the checkpoint's network; BatchNorms then pass what they get",
    )
    parser.add_argument(
        "--num_videos",
        type=types.number(int, least=1),
        default=16,
        metavar="N",
        help="videos, from all classes alike (16)",
    )
    parser.add_argument(
        "--num_pairs",
        type=types.number(int, least=1),
        default=64,
        metavar="N",
        help="pairs of each kind per video (64)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the pairs there, a row each")
    add_options(parser, ["seed"], default=0, help="seed of videos, pairs and new weights")
    add_options(parser, ["device"], default=None)
    add_options(parser, ["trust_checkpoint"], default=False)
    return parser


def format_table(rows: Sequence[Agreement]) -> str:
    """A line for each kind of pairs and distance: correlations with both angles."""
    lines = [f"{'':30}{'angle of weights':>26}{'angle of frames':>26}"]
    lines.append(f"{'pairs':<10}{'distance':<20}" + f"{'number':>8}{'Pearson':>9}{'Spearman':>9}" * len(ANGLES))
    for of_weights, of_frames in zip(rows[::2], rows[1::2], strict=True):
        cells = (f"{row.pairs:>8}{row.pearson:>9.3f}{row.spearman:>9.3f}" for row in (of_weights, of_frames))
        lines.append(f"{of_weights.kind:<10}{of_weights.distance:<20}{''.join(cells)}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_intermixed_args(argv)
    device = pick_device(args.device)
    if args.csv:
        check_writable(args.csv, "--csv")
    model, config, class_names = load_model(str(args.weights), args.trust_checkpoint)
    if args.modality not in (None, config.modality):
        raise InputError(
            f"{args.weights} was trained on {config.modality}, not {args.modality}; leave {args.modality} out"
        )
    if MODALITIES[config.modality].features:
        raise InputError(f"{args.weights} sees features, and no weights stand before them; give one for RGB frames")
    if model.clustering is None:
        raise InputError(f"{args.weights} was trained with --cluster none; give a checkpoint of a model that clusters")
    data = ("dataset", *DATASET_OPTIONS)
    config = replace(config, **{name: getattr(args, name, None) for name in data})
    num_class = model.num_class
    if config.spec.num_class != num_class:
        raise InputError(
            f"{config.dataset} has {config.spec.num_class} classes, {args.weights} {num_class}; give"
            " the data it was trained for"
        )
    check_class_names(class_names, config, args.weights)
    if args.untrained:
        torch.manual_seed(args.seed)
        model = build_model(num_class=num_class, **config.model_options).eval()
    place_model(model, device)
    videos = open_videos(config)
    places = spread([video.label for video in videos.videos], args.num_videos, np.random.default_rng(args.seed))
    pairs = []
    for place in tqdm(places, "videos", unit="video", leave=False, disable=None):
        steps, label, name = videos.load(0, place)
        pairs += video_pairs(model, steps, label, name, args.num_pairs, np.random.default_rng([args.seed, place]))
    if not pairs:
        raise InputError(f"none of the {len(places)} videos has two frames to compare; give longer ones")
    if args.csv:
        write_whole(args.csv, pairs_file(pairs))
    written = f", written to {args.csv}" if args.csv else ""
    print(f"{len(pairs)} pairs of frames of {len(places)} videos{written}")
    print(format_table(agreements(pairs)))


if __name__ == "__main__":
    cli.run(main)
