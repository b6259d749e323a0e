"""Vectors of videos from their features, and which of them are nearest."""

import numpy as np
import pytest

from ops.errors import InputError
from ops.evaluation.neighbours import find_features, nearest, read_vectors, video_vector


def keep(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(rows, np.float16))
    return path


def test_a_video_is_the_mean_of_its_rows_at_length_1(tmp_path):
    np.testing.assert_allclose(video_vector(keep(tmp_path / "a.npy", [[6, 0], [0, 8]])), [0.6, 0.8], atol=1e-6)
    maps = np.zeros((1, 2, 1, 2))
    maps[0, :, 0] = [[6, 0], [0, 8]]
    np.testing.assert_allclose(video_vector(keep(tmp_path / "b.npy", maps)), [0.6, 0.8], atol=1e-6)


def test_the_nearest_come_first_and_of_equals_the_earlier():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0.6, -0.8]], np.float32)
    found = nearest(vectors, 0, 3)
    assert [other for other, _ in found] == [2, 4, 1]
    assert [cosine for _, cosine in found] == pytest.approx([0.6, 0.6, 0])
    assert len(nearest(vectors, 3, 100)) == 4


def test_features_are_found_at_any_depth(tmp_path):
    for name in ("x/b.mp4", "a", "x/a"):
        keep(tmp_path / f"{name}.features.npy", [[1, 2]])
    assert find_features(tmp_path) == ["a", "x/a", "x/b.mp4"]
    assert read_vectors(tmp_path, ["a", "x/a"]).shape == (2, 2)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[1, -1], [-1, 1]], "has the length 0, which is no direction"),
        ([[np.nan, 1]], "the length nan"),
        ([1.0, 2.0], "not rows of features"),
    ],
)
def test_what_is_no_direction_is_named(tmp_path, rows, says):
    path = keep(tmp_path / "a.features.npy", rows)
    with pytest.raises(InputError, match=f"{path}.*{says}"):
        video_vector(path)


def test_widths_must_agree(tmp_path):
    keep(tmp_path / "a.features.npy", [[1, 2]])
    keep(tmp_path / "b.features.npy", [[1, 2, 3]])
    with pytest.raises(InputError, match="b has features of width 3, and a of 2"):
        read_vectors(tmp_path, ["a", "b"])
