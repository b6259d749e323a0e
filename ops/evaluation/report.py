"""What a report on runs tells, as plain values that JSON holds: curves, accuracies, differences, every video's scores.

Runs whose scores are of the same videos form a set: they are shown beside one another and compared in pairs.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ops.data.categories import read_categories
from ops.data.lists import parse_line, read_lines
from ops.data.specs import DATASETS, DESCRIPTION
from ops.errors import InputError
from ops.evaluation.result_files import Scored, in_order_of, read_scores
from ops.evaluation.runs import checkpoint_of, read_config, summarise
from ops.evaluation.statistics import accuracy, compare, wilson
from ops.options.config import Config
from ops.run.data import known_class_names
from ops.run.log import read_table

CURVES = ("top1", "loss", "lr")  # of log.csv
BEST_CLASSES = 5  # of each video that the report lists


@dataclass(frozen=True)
class Source:
    """A run as a report is given it: a log folder, a file of scores, or both."""

    name: str
    folder: Path | None = None
    config: Config | None = None
    scored: Scored | None = None
    weights: Path | None = None
    classes: list[str] | None = None


# ---------------------------------------------------------------- what is given


def read_source(text: str) -> Source:
    """What a word on the command line names: FOLDER, FILE.npz or FOLDER=FILE.npz.

    A folder's own scores are those that the run wrote with --scores. Raises InputError for what is none of these.
    """
    folder, _, file = (text, "", "") if os.path.exists(text) else text.rpartition("=")
    path = Path(folder or file)
    if not path.exists():
        raise InputError(f"no log folder and no file of scores {text}; give log/NAME, FILE.npz or log/NAME=FILE.npz")
    if not path.is_dir():
        return Source(path.stem, scored=read_scores(path))
    config, named = read_config(path), bool(file)
    if not named and config.scores and Path(config.scores).is_file():
        file = config.scores
    scored = read_scores(Path(file)) if file else None
    if scored and not named:
        check_own(path, scored)
    return Source(config.suffix or path.resolve().name, path, config, scored, checkpoint_of(path, config))


def check_own(folder: Path, scored: Scored) -> None:
    """InputError where the scores that a run says are its own do not have the accuracy of its log's last validation.

    Runs that were given the same --scores, one after another, leave one file. Of equal scores either may be the best.
    """
    table = folder / "log.csv"
    rows = [row for row in read_table(table) if row.get("split") == "val"] if table.is_file() else []
    try:
        told = float(rows[-1]["top1"])
    except (LookupError, TypeError, ValueError):  # it was not validated yet, or by another version
        return
    own = scored.scores[np.arange(len(scored.labels)), scored.labels]
    beyond = (scored.scores >= own[:, None]).sum(1)  # (videos,), the label's own score among them
    most = 100 * float((own == scored.scores.max(1)).mean())
    least = 100 * float((beyond == 1).mean())
    if not least - 0.01 <= told <= most + 0.01:
        raise InputError(
            f"{scored.file}, where the run of {folder} left its scores, has top-1 {most:.1f} %, and the run's last"
            f" validation {told:.1f} %: another run has written there since; give {folder}=FILE.npz with the run's own"
            " scores, as main.py --evaluate --scores FILE.npz writes them"
        )


def short_names(names: Sequence[str]) -> list[str]:
    """Names of runs by what tells them apart of the words between - and _; those that are the same are numbered.

    Of as many words in all names, those stay that differ; otherwise what all begin or end with goes.
    """
    words = [_words(name) for name in names]
    if len(set(names)) > 1 and len(set(map(len, words))) == 1:
        places = [place for place, same in enumerate(zip(*words, strict=True)) if len(set(same)) > 1]
        words = [[name[place] for place in places] for name in words]
    elif len(set(names)) > 1:
        for end in (0, -1):
            while len({name[end] for name in words}) == 1 and min(map(len, words)) > 1:
                words = [name[1:] if end == 0 else name[:-1] for name in words]
    short = ["".join(name).strip("-_") for name in words]
    return [f"{name} ({short[: i + 1].count(name)})" if short.count(name) > 1 else name for i, name in enumerate(short)]


def _words(name: str) -> list[str]:
    """A name cut behind each - and _."""
    return name.replace("-", "-\0").replace("_", "_\0").split("\0")


def config_of_data(data: Path) -> Config:
    """The options that tell how to read the data set in a folder: one that describes itself, or has a known name."""
    name = data.resolve().name
    if (data / DESCRIPTION).is_file():
        return Config(str(data), "RGB", root_path=str(data))
    if name not in DATASETS:
        raise InputError(
            f"--data {data}: it has no {DESCRIPTION}, and {name} is none of {', '.join(DATASETS)}; give the log folder"
            " of a run on it, or a checkpoint with --weights"
        )
    return Config(name, "RGB", root_path=str(data))


def complete(sources: Sequence[Source], data: Path | None, categories: Path | None) -> list[Source]:
    """The sources with class names, and each with the options of a run as far as any is known.

    The data set's folder `data` and the file of class names `categories` win over what the runs tell.
    """
    known = next((source.config for source in sources if source.config), None)
    if known is None and data:
        known = config_of_data(data)
    done = []
    for source in sources:
        config = source.config or known
        if config and data:
            config = replace(config, root_path=str(data))
        classes = source.classes or _class_names(config)
        if categories and source.scored:
            classes = read_categories(categories, source.scored.scores.shape[1], needed=True)
        done.append(replace(source, config=config, classes=classes))
    return done


def _class_names(config: Config | None) -> list[str] | None:
    """The names that the data set of a run tells, None where it is not here."""
    try:
        return known_class_names(config) if config else None
    except InputError:  # it is here no more, or another
        return None


# ---------------------------------------------------------------- what is told


def gather(sources: Sequence[Source]) -> dict:
    """All that a report says of runs, but the pictures of their videos: `runs`, and `sets` of them on the same videos.

    A set has `names`, `labels` and `classes`, `runs`, the numbers of its runs, and `pairs`: for two of these, [a][b],
    what the first is ahead by; None for a run and itself.
    """
    runs = [_run(source) for source in sources]
    sets = []
    for members in alike(sources):
        first = sources[members[0]]
        scored = [in_order_of(first.scored, sources[member].scored) for member in members]
        for member, own in zip(members, scored, strict=True):
            runs[member] |= {"set": len(sets), "scores": _scores(own)}
        sets.append(
            {
                "names": first.scored.names.tolist(),
                "labels": first.scored.labels.tolist(),
                "classes": classes_of(first),
                "runs": members,
                "pairs": [[None if a is b else _pair(a, b) for b in scored] for a in scored],
            }
        )
    return {"runs": runs, "sets": sets}


def alike(sources: Sequence[Source]) -> list[list[int]]:
    """The numbers of sources with scores of the same videos: of like names, labels and classes, in one data set."""
    groups: dict = {}
    for number, source in enumerate(sources):
        if source.scored is not None:
            root = source.config.root.resolve() if source.config else None
            videos = frozenset(zip(source.scored.names.tolist(), source.scored.labels.tolist(), strict=True))
            groups.setdefault((root, source.scored.scores.shape[1], videos), []).append(number)
    return [*groups.values()]


def classes_of(source: Source) -> list[str]:
    """The names of the classes of a source with scores; their labels where nothing fits."""
    number = source.scored.scores.shape[1]
    if source.classes and len(source.classes) == number:
        return source.classes
    return [str(label) for label in range(number)]


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Scores (videos, K) -> probabilities: a softmax, unless they are such already, of several models added up."""
    sums = scores.sum(1, keepdims=True)
    if (scores >= 0).all() and (sums > 0).all() and np.allclose(sums, sums[0], rtol=1e-3):
        return scores / sums
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def margins(scored: Scored) -> np.ndarray:
    """How far the label's probability is above the best of the others, (videos,) in [-1, 1]; the lowest: most wrong."""
    found = probabilities(scored.scores.astype(float))
    videos = np.arange(len(found))
    own = found[videos, scored.labels]
    found[videos, scored.labels] = -1
    return own - found.max(1).clip(0)


def _run(source: Source) -> dict:
    facts = {"folder": str(source.folder or source.scored.file)}
    if source.folder:
        try:
            facts |= summarise(source.folder)
        except InputError:  # it was not validated yet
            facts["method"] = source.config.cluster
    return {"name": source.name, "facts": facts, "curves": _curves(source.folder), "set": None}


def _curves(folder: Path | None) -> dict:
    """For each curve and split, [epoch, value] of every row of log.csv that has a finite one."""
    table = folder / "log.csv" if folder else None
    curves: dict = {curve: {"train": [], "val": []} for curve in CURVES}
    if table is None or not table.is_file():
        return curves
    for row in read_table(table):
        for curve in CURVES:
            try:
                value = float(row[curve])
            except (KeyError, TypeError, ValueError):  # of another version
                continue
            if math.isfinite(value) and row.get("split") in curves[curve]:
                curves[curve][row["split"]].append([int(row["epoch"]), value])
    return curves


def _scores(scored: Scored) -> dict:
    """Accuracies of a run, whole and per class, and of every video its best classes, with shares of 1000."""
    whole, labels = accuracy(scored.right), scored.labels
    found = probabilities(scored.scores.astype(float))
    best = np.argsort(-found, 1, kind="stable")[:, :BEST_CLASSES]  # (videos, 5)
    best[:, 0] = scored.scores.argmax(1)  # the first of equal ones, as `right` has it
    share = (1000 * np.take_along_axis(found, best, 1)).round().astype(int)
    of_class = [scored.right[labels == label] for label in range(found.shape[1])]
    here = [own for own in of_class if len(own)]
    return {
        "file": str(scored.file),
        "top1": [whole.percent, *whole.interval],
        "top5": 100 * float((best == labels[:, None]).any(1).mean()),
        "mean_class": 100 * float(np.mean([own.mean() for own in here])),
        "per_class": [
            [int(own.sum()), len(own), *(wilson(int(own.sum()), len(own)) if len(own) else (0.0, 100.0))]
            for own in of_class
        ],
        "best": best.tolist(),
        "share": share.tolist(),
        "label_share": (1000 * found[np.arange(len(found)), labels]).round().astype(int).tolist(),
        "margin": np.round(margins(scored), 4).tolist(),
    }


def _pair(a: Scored, b: Scored) -> dict:
    """What A is ahead of B by."""
    both = compare(b.right, a.right)
    return {
        "difference": both.difference,
        "interval": list(both.interval),
        "only_a": both.only_second,
        "only_b": both.only_first,
        "p": both.p,
    }


def listed_frames(config: Config) -> dict[str, int]:
    """How many frames a run's list gives each video; nothing where it cannot be read."""
    try:
        spec = config.spec
        lines = read_lines(config.list_file(spec.val_list))
        videos = [parse_line(line, spec.num_class) for _, line in lines]
    except (InputError, ValueError):
        return {}
    return {video.path: video.num_frames for video in videos}
