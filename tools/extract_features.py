"""Run a network once over every video of a dataset and keep what it makes of them: maps or vectors, a file a video."""

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import _path
import numpy as np
import torch
from tqdm import tqdm

from archs import ARCHS
from ops.data.dataset import VideoDataset
from ops.data.frame_names import is_picture, is_video
from ops.data.lists import Video, read_list
from ops.data.modality import MODALITIES
from ops.data.prepare.discovery import FrameCounter, guess_first, guess_template, visible, walk
from ops.data.specs import DATASETS, DESCRIPTION, DatasetSpec
from ops.data.stores import VideoStore, open_store
from ops.data.stores.features import ENDING
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.features import PLACES, VideoSteps, check_place, mixes_time, write_features
from ops.files import claimed, remove_partial, write_whole
from ops.models import TSN, build_model
from ops.options import cli
from ops.options.config import DATASET_OPTIONS, Config
from ops.options.parsing import add_dataset_options, add_options
from ops.options.types import frame_cap, number
from ops.run.data import category_path, make_sampler
from ops.run.restore import load_model
from ops.training.checkpoint import load_pretrained
from ops.training.devices import pick_device
from ops.training.hub import WEIGHTS
from ops.training.placement import place_model

EXAMPLE = """examples:
  # the frozen features of the published Breakfast rows, and a head that trains on them
  python tools/extract_features.py breakfast RGB --weights imagenet --arch resnet152 --at layer4 --frames 64
  python main.py data/breakfast_features Features --cluster none --num_segments 64
  # of every frame, by a network that was trained here; one vector a cluster, by one that clusters
  python tools/extract_features.py ucf101 RGB --weights checkpoint/NAME/ckpt.best.pth.tar --at pool
  python tools/extract_features.py ucf101 RGB --weights checkpoint/NAME/ckpt.best.pth.tar --at clusters
  # a folder of video files, or of frame folders, without lists
  python tools/extract_features.py videos/holidays RGB --weights imagenet --at pool

A video's folder, zip, pack or file a/v_001 becomes, in the folder --out,

  a/v_001.features.npy   float16 (rows, d), with --at layer4 (rows, d, h, w), in the order of time
  a/v_001.spans.npy      int64 (rows, 2): the first and the last frame, counted from 0, that each row is made of

A row stands for a frame or, of a model that clusters, for a cluster. The lists of a dataset come along with the
numbers of rows, so that --out is a dataset of the modality Features. Frames are seen as in validation: the centre, not
mirrored. A file appears when it is complete: after an interruption the same command goes on where it stopped. Frames
pass in chunks, so memory does not grow with a video.
"""
RECORD = "features.json"  # what the features of a folder are of
SHORT_SIDE = 256  # of video files' frames where a record does not say
StepsOf = Callable[[int], np.ndarray]  # number of time steps -> those that are read, by their first frames


def build_parser() -> cli.ArgumentParser:
    parser = cli.ArgumentParser(
        prog="extract_features.py",
        usage="%(prog)s dataset modality --weights W --at PLACE [options]",
        description=__doc__,
        epilog=EXAMPLE,
    )
    data = add_dataset_options(parser)
    data.add_argument(
        "--out", type=Path, metavar="DIR", help="where features go (default: <dataset's folder>_features)"
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--weights",
        required=True,
        metavar="CKPT|imagenet|none",
        help="a checkpoint that main.py wrote; with --arch: imagenet, none (random), or a file of backbone weights",
    )
    network.add_argument(
        "--at", required=True, choices=PLACES, help="maps of the last stage, vectors, or those of clusters"
    )
    network.add_argument(
        "--before_relu",
        action="store_true",
        help="of --at layer4: maps without the last ReLU, which the paper's form of ActionVLAD takes",
    )
    add_options(network, ["arch"], default=None, help="backbone of weights that are no checkpoint of main.py")
    add_options(network, ["input_size"], default=None, help="side of the squares (default: as the model was trained)")
    network.add_argument(
        "--frames",
        type=frame_cap,
        default=argparse.SUPPRESS,
        metavar="all|N",
        help="of a video, all, or N evenly spaced: frame floor(i t / N) of t, which repeats those of short ones"
        " (default all; as many as the model was trained on where it mixes them)",
    )
    data.add_argument(
        "--short_side",
        type=number(int, least=0),
        default=SHORT_SIDE,
        metavar="PX",
        help="of a folder's video files: shrink frames to this short side first, as tools/extract_frames.py does (256)",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--chunk",
        type=number(int, least=1),
        default=32,
        metavar="N",
        help="frames that pass the network at a time (32)",
    )
    run.add_argument(
        "-j",
        "--workers",
        type=number(int, least=1),
        default=min(8, os.cpu_count() or 1),
        metavar="N",
        help="threads that read frames (one per core, at most 8)",
    )
    add_options(run, ["device"], default=None)
    add_options(run, ["trust_checkpoint"], default=False)
    return parser


# ---------------------------------------------------------------- which network


def load_network(args: argparse.Namespace) -> tuple[TSN, Config]:
    """The model of --weights in eval mode, and a config of it and of the dataset that was named."""
    source, given = args.weights, {name: getattr(args, name) for name in ("dataset", *DATASET_OPTIONS) if name in args}
    if MODALITIES[args.modality].features:
        raise InputError("features are there already; give the modality and the dataset that they are to be made of")
    if args.arch or source in ("imagenet", "none"):
        arch = args.arch or "resnet50"
        config = Config(**given, modality=args.modality, arch=arch, cluster="none", input_size=args.input_size)
        if arch in {source.arch for source in MODALITIES.values()}:
            raise InputError(f"--arch {arch} takes features, and makes none; take another")
        torch.manual_seed(config.seed)
        model = build_model(arch, 1, 1, modality=args.modality, cluster="none")
        if source != "none":
            load_pretrained(model.base_model, arch, source, args.trust_checkpoint)
        return model.eval(), config
    model, config, _ = load_model(source, args.trust_checkpoint)
    if config.modality != args.modality:
        raise InputError(f"{source} was trained on {config.modality}, not {args.modality}; give {config.modality}")
    facts = dict.fromkeys(DATASET_OPTIONS) | {"no_flip": False, "keep_damaged": False} | given
    return model, replace(config, **facts, input_size=args.input_size or config.input_size)


def open_last_relu(args: argparse.Namespace, model: TSN, config: Config) -> bool:
    """Whether maps that are kept end before their last ReLU: as --before_relu says, or as the model's own head wants.

    InputError where that cannot be had.
    """
    own = model.consensus.before_relu
    if args.before_relu and args.at != "layer4":
        raise InputError(f"--before_relu is for maps, and --at {args.at} keeps vectors; take --at layer4")
    if args.before_relu and not own:
        if not ARCHS[config.arch].drops_relu:
            raise InputError(f"--before_relu: the last stage of --arch {config.arch} cannot end before its last ReLU")
        model.base_model.drop_last_relu()
    return args.at == "layer4" and (args.before_relu or own)


def digest(source: str) -> str:
    """What tells weights from others, whatever their file is called; of a folder for hubs, those in it."""
    file = Path(source) / WEIGHTS if Path(source).is_dir() else Path(source)
    if not file.is_file():
        return source
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


# ---------------------------------------------------------------- which frames of which videos


@dataclass(frozen=True)
class Job:
    """What is read and what becomes of it."""

    root: Path
    spec: DatasetSpec
    lists: dict[str, list[Video]]  # file name -> its videos; "" for those that no list names


def find_videos(config: Config) -> Job:
    """The videos of both lists of a dataset, or of a folder without lists all frame folders below it."""
    folder = Path(config.dataset)
    described = (folder / DESCRIPTION).is_file() or config.dataset in DATASETS or config.root_path or config.num_class
    if folder.is_dir() and not described:
        return find_unlabelled(folder, config)
    spec = config.spec
    files = {name: config.list_file(name) for name in (spec.train_list, spec.val_list)}
    if len({path.name for path in files.values()}) < len({path.resolve() for path in files.values()}):
        raise InputError(
            f"{' and '.join(map(str, files.values()))} have one name, and features keep their lists in one folder; give"
            " one of them another name"
        )
    return Job(config.root, spec, {path.name: read_list(path, config.root, spec) for path in files.values()})


def find_unlabelled(root: Path, config: Config) -> Job:
    """All frame folders and video files at any depth below a folder; the frames of files are counted later.

    InputError where there is none, or frames are not numbered without gaps.
    """
    folders, files = [], []
    for folder, _ in walk(root):
        names = visible(root / folder)
        if any(map(is_picture, names)):
            folders.append(folder)
        files += [os.path.join(folder, name) for name in sorted(names) if is_video(name)]
    if not folders and not files:
        raise InputError(f"{root} holds no {DESCRIPTION}, no folders of frames and no video files")
    if "" in folders:
        raise InputError(f"{root} itself holds frames: give the folder around it")
    spec, videos = DatasetSpec(1, "{}.jpg", keep_damaged=config.keep_damaged), [Video(path, 0, 0) for path in files]
    if folders:
        template = config.image_tmpl or guess_template(root, folders)
        first = guess_first(root, folders, template) if config.first_frame is None else config.first_frame
        counter = FrameCounter(template, first)
        for path in folders:
            count, problem = counter.count(str(root / path))
            if problem:
                raise InputError(f"{root / path}: {problem}")
            videos.append(Video(path, count, 0))
        spec = replace(spec, image_tmpl=template, first_frame=first)
    return Job(root, spec, {"": videos})


def first_frames(num_steps: int, number: int | None) -> np.ndarray:
    """All time steps of a video, or `number` of them evenly spaced: the first of each equal share -> (t,)."""
    return np.arange(num_steps) if number is None else np.arange(number) * num_steps // number


def choose_steps(args: argparse.Namespace, model: TSN, config: Config) -> tuple[StepsOf, object]:
    """Which time steps of a video are read: a function of their number; and how that is called in the record."""
    given = "frames" in args
    if model.clustering:
        if given:
            config = replace(config, num_frames=args.frames, frame_stride=1)
        sampler = make_sampler(config)
        return (lambda steps: sampler(steps, 0, None)), [config.num_frames or "all", config.frame_stride]
    if mixes_time(model):
        if given and args.frames != config.num_segments:
            raise InputError(
                f"{args.weights} mixes {config.num_segments} frames in time; leave --frames out, or take a network"
                " without shift and the like"
            )
        sampler = make_sampler(config)
        return (lambda steps: sampler(steps, 0, None)), config.num_segments
    number = args.frames if given else None
    return partial(first_frames, number=number), number or "all"


# ---------------------------------------------------------------- the folder of features


def check_record(path: Path, record: dict) -> None:
    """InputError where a folder holds features of another network, place or sampling than those of `record`."""
    try:
        former = {"short_side": SHORT_SIDE} | json.loads(path.read_text())
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove its folder, or give another --out") from None
    for name, value in record.items():
        if former.get(name) != value:
            raise InputError(
                f"{path.parent} holds features of {name} {former.get(name)}, not {value}; give another --out, or remove"
                " that folder"
            )


def target_of(out: Path, video: Video) -> Path:
    """Where a video's features go, without their ending: always in the folder, also where a list has absolute paths."""
    return out / video.path.lstrip("/")


def write_dataset(out: Path, job: Job, shapes: dict[str, tuple[int, ...]], classes: Path, before_relu: bool) -> None:
    """Lists with the numbers of rows, class names and the description that make the folder a dataset of features.

    `shapes` are those of the videos' arrays, by their paths.
    """
    for name, videos in job.lists.items():
        lines = [f"{video.path.lstrip('/')} {shapes[video.path][0]} {video.label}\n" for video in videos]
        write_whole(out / name, "".join(lines).encode())
    shape = next(iter(shapes.values()))[1:]
    facts = asdict(job.spec) | {"features": [*shape], "train_list": [*job.lists][0], "val_list": [*job.lists][-1]}
    facts["before_relu"] = before_relu
    if classes.is_file():
        write_whole(out / classes.name, classes.read_bytes())
        facts["category_file"] = classes.name
    write_whole(out / DESCRIPTION, (json.dumps(facts, indent=1) + "\n").encode())


def open_steps(dataset: VideoDataset, video: Video, steps_of: StepsOf, bar: tqdm) -> VideoSteps:
    """The time steps of a video; the frames of a video file are counted first."""
    store = open_store(dataset.root / video.path)
    if not video.num_frames:
        video = replace(video, num_frames=store.count(dataset.spec))
    seen = [0]

    def show(steps: int) -> None:
        seen[0] += steps
        bar.set_postfix_str(f"{seen[0]} frames of this one")

    return VideoSteps(dataset, video, store, steps_of(dataset.num_steps(video)), show)


def main(argv: Sequence[str] | None = None) -> None:
    args = build_parser().parse_args(argv)
    device = pick_device(args.device)
    model, config = load_network(args)
    check_place(model, args.at, args.weights)
    before_relu = open_last_relu(args, model, config)
    steps_of, number = choose_steps(args, model, config)
    chunk = args.chunk if model.clustering or not mixes_time(model) else config.num_segments
    job = find_videos(config)
    if "" in job.lists:
        job = replace(job, spec=replace(job.spec, short_side=args.short_side))
    place_model(model, device)
    out = args.out or job.root.absolute().with_name(f"{job.root.absolute().name}_features")
    if out.resolve() == job.root.resolve():
        raise InputError(f"--out {out} is the dataset itself; give its features a folder of their own")
    record = {
        "weights": digest(args.weights),
        "arch": config.arch,
        "modality": config.modality,
        "at": f"{args.at} before its last ReLU" if before_relu else args.at,
        "frames": number,
        "input_size": config.frame_size,
        "short_side": job.spec.short_side,
    }
    videos = [*{video.path: video for some in job.lists.values() for video in some}.values()]
    transform = partial(eval_transform, size=config.frame_size)
    dataset = VideoDataset(videos, job.root, job.spec, MODALITIES[config.modality], None, transform, config.seed)
    out.mkdir(parents=True, exist_ok=True)
    with claimed(out):
        check_record(out / RECORD, record)
        remove_partial(out)
        write_whole(out / RECORD, (json.dumps(record, indent=1) + "\n").encode())
        shapes, written = {}, 0
        with tqdm(videos, unit="video", disable=None) as bar:
            for video in bar:
                target = target_of(out, video)
                done = Path(f"{target}{ENDING}")
                if not done.exists():
                    steps = open_steps(dataset, video, steps_of, bar)
                    threads = 1 if isinstance(steps.store, VideoStore) else args.workers
                    write_features(model, steps, args.at, chunk, threads, target)
                    written += 1
                shapes[video.path] = np.load(done, mmap_mode="r").shape
        if "" not in job.lists:
            write_dataset(out, job, shapes, category_path(config), before_relu)
    row = " x ".join(map(str, shapes[videos[0].path][1:]))
    told = f"{written} videos written, {len(videos) - written} already there, in {out}"
    print(f"{told}: rows of {row} float16, {sum(shape[0] for shape in shapes.values())} in all")


if __name__ == "__main__":
    cli.run(main)
