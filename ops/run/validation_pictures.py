"""What a validation leaves for the eye: the confusion matrix, and the clusters of a few videos, always the same."""

import numpy as np
import torch

from ops.data.dataset import VideoDataset
from ops.data.modality import MODALITIES
from ops.models import TSN
from ops.pictures.confusion import confusion_pixels
from ops.pictures.strip import cluster_strip
from ops.training.meters import Result
from ops.training.placement import full_precision

CHUNK = 32  # frames that pass the stem at a time


def validation_pictures(
    model: TSN, videos: VideoDataset, result: Result, classes: list[str], title: str
) -> dict[str, np.ndarray]:
    """Pictures by their names, uint8 (H, W, 3), of a model and the videos that gave the `result`."""
    model.eval()
    pictures = {"confusion/val": confusion_pixels(result.confusion.numpy(), classes, title)}
    if model.clustering and not MODALITIES[model.modality].features:
        few = max(1, min(4, len(videos) // 25))  # a small part of the validation's time
        for i in range(few):
            pictures[f"clusters/{i}"] = picture_clusters(model, videos, (2 * i + 1) * len(videos) // (2 * few))
    return pictures


@torch.inference_mode()
@full_precision()
def picture_clusters(model: TSN, videos: VideoDataset, index: int) -> np.ndarray:
    """One video as the model clusters it now, uint8 (H, W, 3)."""
    steps, _, name = videos.load(0, index)  # (t, channels, S, S)
    _, assignment, distances = model.cut(steps, torch.tensor([len(steps)]), CHUNK)
    frames = steps[:, :3]
    if steps.shape[1] % 3:  # of flow, x alone
        frames = steps[:, :1].expand(-1, 3, -1, -1)
    return cluster_strip(frames, assignment.tolist(), distances.tolist(), f"{name}, {len(frames)} frames")
