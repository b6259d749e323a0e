"""Draw how videos are cut into clusters: by several methods, or in several data sets."""

import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import _path
import numpy as np

from ops.clustering import CLUSTERINGS
from ops.data.lists import Video, read_list
from ops.data.modality import MODALITIES
from ops.data.specs import DESCRIPTION
from ops.data.stores import open_store
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.cuts import cut_video
from ops.evaluation.predict import category_names, hold, make_steps
from ops.models import TSN
from ops.move4mnist.generator import facts_of
from ops.options import cli
from ops.options.config import Config, names_of
from ops.options.parsing import add_options
from ops.options.types import number
from ops.pictures import video as pictures
from ops.pictures.methods import CutVideo, draw_comparison, draw_methods
from ops.pictures.text import without_middle
from ops.run.restore import load_model
from ops.training.devices import pick_device
from ops.training.placement import place_model

EXAMPLE = """examples:
  python tools/draw_clusters.py data/movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar
  python tools/draw_clusters.py data/movingmnist --weights checkpoint/NAME/ckpt.best.pth.tar \\
      --compare data/longruns --titles "short empty runs" "long empty runs"

The first draws images/clusters_CLASS.png for the first video of each class in the validation list: its frames in time
order, below them the distance of each to the frame before, and a band of numbered colours for each method; frames over
one colour are merged into one representation. All methods cut the same distances, those of the checkpoint's stem. The
second draws images/clusters_compare.png: the first video of each data set, and on a common scale of distances the cuts
of the first method. For videos of tools/make_move4mnist.py, another band says what each frame shows.
"""
CHUNK = 32  # frames sent through a network at a time


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(prog="draw_clusters.py", description=__doc__, epilog=EXAMPLE)
    parser.add_argument("data", type=Path, metavar="DATA_FOLDER", help="a data set: its lists, and frames or packs")
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="CKPT",
        help="a checkpoint that main.py wrote, trained with clustering",
    )
    parser.add_argument("--out", type=Path, default=Path("images"), metavar="FOLDER", help="for the pictures (images)")
    parser.add_argument(
        "--val_list",
        metavar="FILE",
        help="list of the videos, a file or its name in the data set's folder (the validation list)",
    )
    parser.add_argument(
        "--videos",
        nargs="+",
        metavar="PATH",
        help="videos to draw, as the list names them; with "
        "--compare one, or one for each data set (the first of each class)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=CLUSTERINGS,
        default=["slope", "cumulative", "even"],
        metavar="METHOD",
        help=f"of {', '.join(CLUSTERINGS)} (slope cumulative even)",
    )
    parser.add_argument("--num_segments", type=number(int, least=1), metavar="G", help="clusters (as in training)")
    parser.add_argument(
        "--compare",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="draw one picture of a video of DATA_FOLDER and of each of these",
    )
    parser.add_argument("--titles", nargs="+", metavar="TEXT", help="of the data sets with --compare (their folders)")
    add_options(parser, ["device"], default=None)
    add_options(parser, ["trust_checkpoint", "keep_damaged"], default=False)
    return parser


def config_for(folder: Path, config: Config, val_list: str | None) -> Config:
    """The config of a checkpoint, for the data set in `folder`: of the same layout unless that describes itself."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give a data set's, with its lists")
    if (folder / DESCRIPTION).is_file():
        config = replace(config, **dict.fromkeys(names_of("data")), dataset=str(folder))
    return replace(config, root_path=str(folder), val_list=val_list or config.val_list)


def choose(config: Config, paths: Sequence[str] | None) -> list[Video]:
    """The videos of these paths, else the first of each class; InputError names a path that the list lacks."""
    source = config.list_file(config.spec.val_list)
    videos = read_list(source, config.root, config.spec)
    if paths is None:
        firsts = {video.label: video for video in reversed(videos)}
        return [firsts[label] for label in sorted(firsts)]
    by_path = {video.path: video for video in videos}
    for path in paths:
        if path not in by_path:
            raise InputError(f"{source} names no video {path}; name {videos[0].path}, say, or another --val_list")
    return [by_path[path] for path in paths]


def kinds_of(folder: Path, video: Video) -> np.ndarray | None:
    """What each frame of a Move4MNIST video shows, (t,) of Kind; None for other videos."""
    facts = facts_of(folder, video.path)
    if facts is None:
        return None
    if len(facts.kinds) != video.num_frames:
        raise InputError(
            f"{folder}: move4mnist.json tells of {len(facts.kinds)} frames but the list says that"
            f" {video.path} has {video.num_frames}; make the data set again"
        )
    return facts.kinds


def cut(model: TSN, config: Config, args: Namespace, video: Video, title: str) -> CutVideo:
    """Read a video of the data set of `config` and cut it."""
    view_of = partial(eval_transform, rng=None, size=config.frame_size)
    clip = open_store(config.root / video.path).load(config.spec, range(video.num_frames), view_of)
    steps = make_steps(config, hold([clip]))
    title = f"{without_middle(title, 30)} ({without_middle(video.path, 30)}): {video.num_frames:,} frames"
    if len(set(steps.first)) < video.num_frames - steps.stack + 1:
        title += f", {len(set(steps.first)):,} of them seen"
    kinds = kinds_of(config.root, video)
    return cut_video(model, steps, args.methods, args.num_segments or config.num_segments, CHUNK, title, kinds)


def file_names(names: Sequence[str]) -> list[str]:
    """Names that files may have, each another one: letters, digits and `-._`, numbered where they would be the same."""
    found = []
    for name in names:
        plain = re.sub(r"[^-.\w]+", "_", name)[:60]
        free = (plain, *(f"{plain}_{number}" for number in range(2, len(names) + 1)))
        taken = {other.casefold() for other in found}  # some file systems do not tell them apart
        found.append(next(name for name in free if name.casefold() not in taken))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = build_parser()
    args = parser.parse_args(argv)
    folders = [args.data, *args.compare]
    titles = args.titles or [folder.resolve().name for folder in folders]
    if args.titles and (not args.compare or len(titles) != len(folders)):
        parser.error(f"argument --titles: gives {len(titles)}, with --compare there must be one for each data set")
    paths = [args.videos] * len(folders)  # of each data set
    if args.compare and args.videos:
        if len(args.videos) not in (1, len(folders)):
            parser.error(
                f"argument --videos: gives {len(args.videos)}, for {len(folders)} data sets there must be one"
                " of each or one for all"
            )
        paths = [[path] for path in args.videos * (len(folders) // len(args.videos))]
    device = pick_device(args.device)
    model, config, _ = load_model(str(args.weights), args.trust_checkpoint)
    config = replace(config, keep_damaged=args.keep_damaged)
    source = MODALITIES[config.modality]
    if model.clustering is None or source.flow or source.features:
        raise InputError(
            f"{args.weights} does not cluster, or sees optical flow; give a checkpoint for frames,"
            " trained with --cluster"
        )
    place_model(model, device)
    configs = [config_for(folder, config, args.val_list) for folder in folders]
    chosen = [choose(place, some) for place, some in zip(configs, paths, strict=True)]
    pictures.check(args.out / "clusters.png")

    if args.compare:
        file = args.out / "clusters_compare.png"
        draw_comparison(
            [
                cut(model, place, args, videos[0], title)
                for place, videos, title in zip(configs, chosen, titles, strict=True)
            ],
            file,
        )
        print(f"drew {file}")
        return
    names = category_names(configs[0], configs[0].spec.num_class, None)
    called = file_names([video.path if args.videos else names[video.label] for video in chosen[0]])
    for video, name in zip(chosen[0], called, strict=True):
        file = args.out / f"clusters_{name}.png"
        draw_methods(cut(model, configs[0], args, video, names[video.label]), file)
        print(f"drew {file}")


if __name__ == "__main__":
    cli.run(main)
