"""Where methods cut test videos: `python -m tools.studies.gestures.cuts DATA CHECKPOINT ... --csv FILE`.

For every checkpoint, trained with clustering, all videos of its validation list are cut by each of `METHODS` on the
distances that its own stem gives. The table has a row for each checkpoint, video and method: the sizes of the clusters
in time order and, for the first video of each class, the distances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from ops.data.lists import read_list
from ops.data.stores import open_store
from ops.data.views import eval_transform
from ops.evaluation.cuts import cut_video
from ops.evaluation.predict import hold, make_steps
from ops.files import as_csv, check_writable, write_whole
from ops.options import cli
from ops.run.restore import load_model

METHODS = ("slope", "cumulative", "even")
COLUMNS = ("network", "video", "method", "sizes", "distances")
CHUNK = 64  # frames sent through a network at a time


def cut_all(weights: Path, data: Path) -> Iterator[list[str]]:
    """The rows of a checkpoint; its network is called by the method that it was trained with."""
    model, config, _ = load_model(str(weights))
    model.eval()
    config = replace(config, root_path=str(data))
    shown: set[int] = set()
    view_of = partial(eval_transform, rng=None, size=config.frame_size)
    for video in read_list(config.list_file(config.spec.val_list), config.root, config.spec):
        clip = open_store(config.root / video.path).load(config.spec, range(video.num_frames), view_of)
        cut = cut_video(model, make_steps(config, hold([clip])), METHODS, config.num_segments, CHUNK, video.path)
        distances = "" if video.label in shown else " ".join(f"{distance:.4f}" for distance in cut.distances)
        shown.add(video.label)
        for method, labels in cut.assignments.items():
            sizes = " ".join(str(len([*group])) for _, group in groupby(labels))
            yield [config.cluster, video.path, method, sizes, distances]


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.ArgumentParser(prog="cuts", description=__doc__)
    parser.add_argument("data", type=Path, metavar="DATA", help="the data set's folder")
    parser.add_argument("weights", type=Path, nargs="+", metavar="CHECKPOINT", help="trained with clustering")
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="the table to write")
    args = parser.parse_args(argv)
    check_writable(args.csv, "--csv")
    rows = [row for weights in args.weights for row in cut_all(weights, args.data)]
    write_whole(args.csv, as_csv([COLUMNS, *rows]))
    print(f"wrote {args.csv}: {len(rows)} rows")


if __name__ == "__main__":
    cli.run(main)
