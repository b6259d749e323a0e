"""What a test leaves as files. A video is called by its whole path, as the list has it: names repeat over folders."""

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ops.data.lists import Video
from ops.errors import InputError
from ops.files import as_csv
from ops.training.meters import Found


@dataclass(frozen=True)
class Scored:
    """What one test gave for each video: its path, its label and its scores."""

    file: Path
    names: np.ndarray  # (videos,) str, each once
    labels: np.ndarray  # (videos,) int64
    scores: np.ndarray  # (videos, K) float32

    @property
    def right(self) -> np.ndarray:
        """Whether the best score of each video, or the first of equal ones, is its label's, (videos,) bool."""
        return self.scores.argmax(1) == self.labels


def scores_file(names: Sequence[str], labels: np.ndarray, scores: np.ndarray) -> bytes:
    """An .npz of `names` (videos,), `labels` (videos,) int64 and `scores` (videos, classes) float32."""
    file = io.BytesIO()
    np.savez(file, names=np.array(names), labels=labels.astype(np.int64), scores=scores.astype(np.float32))
    return file.getvalue()


def predictions_file(names: Sequence[str], labels: np.ndarray, scores: np.ndarray, categories: Sequence[str]) -> bytes:
    """A CSV with a row per video: its name, its label and the five best classes, best first."""
    ranked = np.argsort(-scores, axis=1, kind="stable")[:, :5]  # (videos, 5)
    rows = [["video", "label", *(f"top{k}" for k in range(1, ranked.shape[1] + 1))]]
    for name, label, best in zip(names, labels, ranked, strict=True):
        rows.append([name, categories[label], *(categories[k] for k in best)])
    return as_csv(rows)


def found_scores(found: Sequence[Found], videos: Sequence[Video]) -> bytes:
    """`scores_file` of what an evaluation found, in the order of the list however many processes there were."""
    places = {video.path: place for place, video in enumerate(videos)}
    names = [name for part in found for name in part.names]
    order = sorted(range(len(names)), key=lambda i: places[names[i]])
    labels, scores = (
        np.concatenate([getattr(part, which).numpy() for part in found]) for which in ("labels", "logits")
    )
    return scores_file([names[i] for i in order], labels[order], scores[order])


def read_scores(file: Path) -> Scored:
    """What `scores_file` made; InputError where that cannot be, or a video stands in it twice."""
    remedy = "take a file that --scores of test_models.py, or of main.py --evaluate, has written"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            names, labels, scores = (arrays[name] for name in ("names", "labels", "scores"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}); {remedy}") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{file} is damaged ({error}); {remedy}") from None
    except (ValueError, LookupError, TypeError, AttributeError, EOFError, NotImplementedError):
        raise InputError(f"{file} is no file of scores: no names, labels and scores in it; {remedy}") from None
    kinds = (names.dtype.kind, labels.dtype.kind, scores.dtype.kind)
    shapes = (names.shape, labels.shape, scores.shape[:1])
    if kinds != ("U", "i", "f") or shapes != (labels.shape,) * 3 or scores.ndim != 2 or not scores.size:
        found = ", ".join(f"{array.dtype} {array.shape}" for array in (names, labels, scores))
        raise InputError(f"{file} is no file of scores: its names, labels and scores are {found}; {remedy}")
    if labels.min() < 0 or labels.max() >= scores.shape[1] or not np.isfinite(scores).all():
        raise InputError(
            f"{file} is damaged: labels beyond its {scores.shape[1]} classes, or scores that are no numbers"
        )
    name, times = Counter(names.tolist()).most_common(1)[0]
    if times > 1:
        raise InputError(f"{file} has video {name} {times} times; test on a list that names each once")
    return Scored(file, names, labels, scores)


def in_order_of(first: Scored, second: Scored) -> Scored:
    """The second's videos in the order of the first's; InputError unless both hold the same ones with like labels."""
    places = {name: place for place, name in enumerate(second.names.tolist())}
    names = first.names.tolist()
    lacking = [name for name in names if name not in places]
    beyond = sorted(places.keys() - set(names))
    for one, other, only in ((first, second, lacking), (second, first, beyond)):
        if only:
            raise InputError(
                f"{len(only)} of the {len(one.names)} videos in {one.file}, {only[0]} for one, are not in {other.file};"
                " compare tests on the same list, and splits in the same order"
            )
    order = [places[name] for name in names]
    second = replace(second, names=second.names[order], labels=second.labels[order], scores=second.scores[order])
    odd = np.flatnonzero(first.labels != second.labels)
    if len(odd):
        raise InputError(
            f"video {first.names[odd[0]]} has label {first.labels[odd[0]]} in {first.file} and"
            f" {second.labels[odd[0]]} in {second.file}; compare tests on the same list"
        )
    return second
