"""From the scores of g representations to the scores of a video (TSN's segmental consensus)."""

from torch import Tensor


def average(scores: Tensor) -> Tensor:
    """Mean over representations, (n, g, K) -> (n, K) (Wang et al., TSN, ECCV 2016, equation 1 with average G)."""
    return scores.mean(1)


def identity(scores: Tensor) -> Tensor:
    """Every representation keeps its scores, (n, g, K): each is trained on the video's label by itself."""
    return scores


CONSENSUS = {"avg": average, "identity": identity}


def video_scores(scores: Tensor) -> Tensor:
    """Scores to rank the classes of a video by: (n, K) as they are, (n, g, K) averaged -> (n, K)."""
    return scores if scores.ndim == 2 else scores.mean(1)
