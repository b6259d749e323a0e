"""What a test leaves as files."""

import io
from collections.abc import Sequence

import numpy as np

from ops.files import as_csv


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
