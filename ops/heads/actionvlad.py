"""ActionVLAD: places of all frames of a video are counted by the visual word that they are nearest to.

Girdhar, Ramanan, Gupta, Sivic, Russell: *ActionVLAD: Learning spatio-temporal aggregation for action classification*,
CVPR 2017, arXiv 1704.02895. With x_i the places of all maps of a video and c_k the words (equations 1 and 2):

    a_k(x) = softmax over k of (w_k x + b_k)            soft assignment; at the start w = 2 alpha c, b = -alpha |c|^2
    V_k    = sum over i of a_k(x_i) (x_i - c_k)         then of length 1 for each k, then all of them together
    logits = linear in V

Two forms, by `--vlad_form`:

    paper       Maps before their last ReLU; each x_i of length 1; 64 words, alpha 1000. The words of a new head are the
                centres of K-means over 5000 places of training videos, found before the first epoch. Training in two
                stages (`--vlad_stage`): 1 leaves w, b and c as they are, 2 trains all. 2 K D + K + (K D + 1) C
                parameters for D channels and C classes: 1,572,938 with ResNet-152 and 10 classes.
    breakfast   As the authors of VideoGraph (Hussein, Gavves, Smeulders, 2019) compare with on Breakfast: places are
                reduced to 512 channels; 32 words that start at random, without lengths of x_i or alpha; and a
                classifier of two layers. 5,280,554 parameters with ResNet-152 and 10 classes.

Deviations from the paper:

  - The paper's network is VGG-16, whose last convolution gives the maps. In a residual network they are the last
    block's sum before its ReLU.
  - K-means sees 5000 places, any of them as likely as others, of all representations of as many shuffled training
    videos as make 5000 maps, as training shows them; the paper takes places of random single frames. Ten rounds of
    Lloyd's algorithm from k-means++.
  - `--freeze_backbone` and the optimizer say what else a stage trains, and how.
  - w, b and c do not decay, as published, but otherwise learn at the rate of all weights; the classifier's bias learns
    twice as fast, as everywhere here.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.alternatives import kmeans
from ops.heads.classifier import KERAS_NORM, two_layers
from ops.heads.head import Head

ALPHA, PLACES, MAPS = 1000, 5000, 5000


def residuals(x: Tensor, assigned: Tensor, words: Tensor) -> Tensor:
    """V_k = sum of a_k(x_i) (x_i - c_k), each of length 1 and then all together.

    x (n, p, D) places, a (n, p, K), c (K, D) -> (n, K D). Sums of x and of a, so that no place is held K times.
    """
    v = assigned.transpose(1, 2) @ x - assigned.sum(1)[..., None] * words  # (n, K, D)
    return F.normalize(F.normalize(v, dim=2).flatten(1), dim=1)


class PaperVLAD(Head):
    """The paper's, maps (n, g, D, h, w) of both signs -> (n, C)."""

    options = ("vlad_stage",)
    needs_maps = before_relu = starts_from_data = True
    undecayed = ("assign", "offset", "words")
    classifiers = ("consensus.classifier.weight",)

    def __init__(self, feature_dim: int, num_class: int, num_segments: int, vlad_stage: int, num_words: int = 64):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = None
        self.words = nn.Parameter(torch.empty(num_words, feature_dim))  # c
        self.assign = nn.Parameter(torch.empty(num_words, feature_dim))  # w
        self.offset = nn.Parameter(torch.empty(num_words))  # b
        self.set_words(F.normalize(torch.randn(num_words, feature_dim), dim=1))
        self.classifier = nn.Linear(num_words * feature_dim, num_class)
        nn.init.trunc_normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)
        for parameter in (self.words, self.assign, self.offset):
            parameter.requires_grad_(vlad_stage == 2)

    @torch.no_grad()
    def set_words(self, words: Tensor) -> None:
        """Take these words (K, D), and assign every place to the nearest."""
        self.words.copy_(words)
        self.assign.copy_(2 * ALPHA * words)
        self.offset.copy_(-ALPHA * words.square().sum(1))

    def places(self, x: Tensor) -> Tensor:
        """What each place shows, of length 1: (n, g, D, h, w) -> (n, g h w, D)."""
        return F.normalize(x.movedim(2, 4).flatten(1, 3), dim=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.places(x)  # (n, p, D)
        assigned = (x @ self.assign.T + self.offset).softmax(2)  # (n, p, K)
        return self.classifier(residuals(x, assigned, self.words))

    @torch.no_grad()
    def start_from(self, batches: Iterable[Tensor], rng: np.random.Generator) -> None:
        """Words are the centres of K-means over places of the maps in `batches`."""
        some, maps = [], 0
        for x in batches:
            places = self.places(x).flatten(0, 1).cpu()
            some.append((torch.from_numpy(rng.random(len(places))), places))
            numbers, places = (torch.cat(parts) for parts in zip(*some, strict=True))
            kept = numbers.argsort()[:PLACES]  # those with the smallest numbers are a draw from all so far
            some, maps = [(numbers[kept], places[kept])], maps + x.shape[0] * x.shape[1]
            if maps >= MAPS:
                break
        places, number = some[0][1], len(self.words)
        if len(places) < number:
            raise ValueError(f"{number} words want as many places, and the training videos show {len(places)}")
        groups = kmeans(places, number, seed=int(rng.integers(2**32)))
        self.set_words(torch.stack([places[groups == group].mean(0) for group in range(number)]))


class BreakfastVLAD(Head):
    """That of VideoGraph's authors, maps (n, g, D, h, w) -> (n, C)."""

    needs_maps = norms_videos = True
    undecayed = ("assign", "offset", "words")
    classifiers = ("consensus.classifier.5.weight",)

    def __init__(self, feature_dim: int, num_class: int, num_segments: int, width: int = 512, num_words: int = 32):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = None
        self.reduce = nn.Sequential(nn.Conv2d(feature_dim, width, 1), nn.BatchNorm2d(width, **KERAS_NORM), nn.ReLU())
        self.assign = nn.Parameter(torch.empty(num_words, width))  # w, or W1
        self.offset = nn.Parameter(torch.empty(num_words))  # b
        self.words = nn.Parameter(torch.empty(num_words, width))  # c, or W2
        for parameter in (self.assign, self.offset, self.words):
            nn.init.normal_(parameter, std=width**-0.5)
        self.classifier = two_layers(num_words * width, 256, num_class, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        x = self.reduce(x.flatten(0, 1)).unflatten(0, (n, self.num_segments))  # (n, g, D, h, w) -> (n, g, 512, h, w)
        x = x.movedim(2, 4).flatten(1, 3)  # (n, p, 512)
        assigned = (x @ self.assign.T + self.offset).softmax(2)  # (n, p, K)
        return self.classifier(residuals(x, assigned, self.words))


VLAD_FORMS = {"paper": PaperVLAD, "breakfast": BreakfastVLAD}


class ActionVLAD(Head):
    """One of the forms."""

    forms, form_option = VLAD_FORMS, "vlad_form"
