"""Files of scores: read as they were written, matched by whole paths, and refused where they cannot be compared."""

import re
from pathlib import Path

import numpy as np
import pytest

from ops.errors import InputError
from ops.evaluation.result_files import in_order_of, read_scores, scores_file

PATHS = ["P03/cam01/P03_cereals", "P03/cam02/P03_cereals", "P04/cam01/P04_cereals"]
LABELS = np.array([0, 1, 1])
SCORES = np.array([[2, 1], [3, 0], [0.5, 0.5]], np.float32)


@pytest.fixture
def written(tmp_path):
    """`written(name, names, labels, scores)` -> the file read again."""

    def write(name="a.npz", names=PATHS, labels=LABELS, scores=SCORES):
        (tmp_path / name).write_bytes(scores_file(names, labels, scores))
        return read_scores(tmp_path / name)

    return write


def test_a_file_read_again(written):
    found = written()
    assert (found.names.tolist(), found.labels.tolist(), found.scores.tolist()) == (PATHS, [0, 1, 1], SCORES.tolist())
    assert found.right.tolist() == [True, False, False]  # of equal scores the first counts


def test_videos_are_matched_by_whole_paths(written):
    first, other = written(), written("b.npz", PATHS[::-1], LABELS[::-1], SCORES[::-1])
    second = in_order_of(first, other)
    assert second.names.tolist() == PATHS and second.labels.tolist() == [0, 1, 1]
    assert second.scores.tolist() == SCORES.tolist() and second.right.tolist() == first.right.tolist()


def test_other_videos_and_other_labels(written):
    first = written()
    shorter, renamed = written("b.npz", PATHS[:2], LABELS[:2], SCORES[:2]), written("c.npz", ["x", *PATHS[1:]])
    with pytest.raises(
        InputError, match=r"1 of the 3 videos in .*a.npz, P04/cam01/P04_cereals for one, are not in .*b"
    ):
        in_order_of(first, shorter)
    with pytest.raises(InputError, match="1 of the 3 videos in .*a.npz, P04/cam01/P04_cereals for one, are not in .*b"):
        in_order_of(shorter, first)
    with pytest.raises(InputError, match="1 of the 3 videos in .*a.npz, P03/cam01/P03_cereals for one, are not in .*c"):
        in_order_of(first, renamed)
    with pytest.raises(InputError, match="video P03/cam02/P03_cereals has label 1 in .*a.npz and 0 in .*d.npz; "):
        in_order_of(first, written("d.npz", labels=np.array([0, 0, 1])))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"names": [PATHS[0], PATHS[1], PATHS[0]]}, f"has video {PATHS[0]} 2 times; test on a list that names each"),
        ({"labels": np.array([0, 1, 2])}, "is damaged: labels beyond its 2 classes"),
        ({"labels": np.array([0, 1, -1])}, "is damaged: labels beyond its 2 classes"),
        ({"scores": SCORES * np.nan}, "is damaged: .* scores that are no numbers"),
        (
            {"scores": SCORES[:2]},
            "no file of scores: its names, labels and scores are <U21 (3,), int64 (3,), float32 (2, 2);",
        ),
        ({"names": [], "labels": LABELS[:0], "scores": SCORES[:0]}, "is no file of scores"),
    ],
)
def test_files_that_cannot_be(written, changes, message):
    with pytest.raises(InputError, match=re.escape(message).replace(r"\.\*", ".*")):
        written(**changes)


def test_other_files(tmp_path):
    good = scores_file(PATHS, LABELS, SCORES)
    spoiled = bytearray(good)
    spoiled[len(good) // 4] ^= 255
    np.savez(tmp_path / "lacking.npz", names=PATHS, labels=LABELS)
    np.savez(tmp_path / "objects.npz", names=np.array(PATHS, object), labels=LABELS, scores=SCORES)
    np.save(tmp_path / "array.npy", SCORES)
    for name, content in (("text.npz", b"video,label\n"), ("half.npz", good[:200]), ("spoiled.npz", bytes(spoiled))):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "empty.npz").touch()
    (tmp_path / "folder").mkdir()
    for file in (*tmp_path.iterdir(), Path("nowhere.npz")):
        with pytest.raises(
            InputError, match=rf"{file.name} (is|cannot be).*; take a file that --scores of test_models"
        ):
            read_scores(file)
