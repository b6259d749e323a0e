"""VideoGraph: a video as a graph of unit actions, its nodes, that change over time.

Hussein, Gavves, Smeulders: *VideoGraph: Recognizing Minutes-Long Human Activities in Videos*, 2019, arXiv 1905.05143.
Maps of T steps (64 in the paper) become features of 1024 channels, and N = 128 nodes Y are vectors that are drawn once,
uniformly in [0, 1), and never change.

    attention   f = X K^T, K = W Y + b: how much each step shows of each node;   Z = f times V, (N, T, 1024)
    embedding   nodes are averaged by fours; then twice: channels mix, each looks over 7 steps, then over 7 nodes, and
                the largest of 3 nodes and 3 steps goes on: 32 x 64 -> 10 x 21 -> 3 x 7
    classifier  mean over nodes, largest over steps, two layers

A BatchNorm follows wherever the paper's program has one, with Keras's constants. 5,825,546 parameters with maps of 2048
channels and 10 classes, 4,776,970 with 1024. The order of layers that `Attention` and `Embedding` show is that of the
released program: the attention passes LeakyReLU between two BatchNorms, not a softmax.

Deviations from it:

  - Any number of steps of at least 1 works, as there may be clusters in their place: where fewer than 3 steps are left,
    the largest of those goes on. The paper's numbers are for 64.
  - Weights start as Keras starts them (Glorot and Bengio, 2010), which for pointwise layers is presumed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ops.heads.classifier import KERAS_NORM, SLOPE, two_layers
from ops.heads.head import Head

CHANNELS, NODES, TOGETHER = 1024, 128, 4


class Attention(nn.Module):
    """Steps (n, T, c) and nodes (N, c) -> each node as it shows at each step, averaged by fours, (n, c, N / 4, T)."""

    def __init__(self, channels: int, nodes: int):
        super().__init__()
        self.steps_norm = nn.BatchNorm1d(channels, **KERAS_NORM)
        self.key_norm = nn.BatchNorm1d(channels, **KERAS_NORM)
        self.key = nn.Linear(channels, channels)
        self.score_norms = nn.ModuleList(nn.BatchNorm1d(nodes, **KERAS_NORM) for _ in range(2))
        self.value_norm = nn.BatchNorm1d(channels, **KERAS_NORM)
        self.out_norm = nn.BatchNorm2d(channels, **KERAS_NORM)

    def forward(self, steps: Tensor, nodes: Tensor) -> Tensor:
        steps = self.steps_norm(steps.transpose(1, 2))  # (n, T, c) -> (n, c, T)
        keys = self.key(self.key_norm(nodes))  # (N, c)
        scores = keys @ steps  # (n, N, T)
        scores = self.score_norms[1](F.leaky_relu(self.score_norms[0](scores), SLOPE))
        values = self.value_norm(nodes)  # (N, c)
        x = torch.einsum("nkt,kc->nckt", scores, values)  # (n, c, N, T)
        x = F.leaky_relu(self.out_norm(x), SLOPE)
        return x.unflatten(2, (-1, TOGETHER)).mean(3)  # (n, c, N / 4, T)


class Embedding(nn.Module):
    """One round over a graph (n, c, nodes, T) -> (n, c, nodes / 3, T / 3), rounded down, but at least 1 each."""

    def __init__(self, channels: int):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.over_time = nn.Conv2d(channels, channels, (1, 7), padding=(0, 3), groups=channels)
        self.over_nodes = nn.Conv2d(channels, channels, (7, 1), padding=(3, 0), groups=channels)
        self.norm = nn.BatchNorm2d(channels, **KERAS_NORM)
        for conv in (self.over_time, self.over_nodes):
            nn.init.constant_(conv.bias, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.over_nodes(self.over_time(self.mix(x)))
        x = F.leaky_relu(self.norm(x), SLOPE)
        return F.max_pool2d(x, [min(3, size) for size in x.shape[2:]])


class VideoGraph(Head):
    """Maps (n, T, D, h, w) -> logits (n, K)."""

    needs_maps = fixed_segments = norms_videos = True
    classifiers = ("consensus.classifier.5.weight",)

    def __init__(self, feature_dim: int, num_class: int, num_segments: int):
        super().__init__(feature_dim, num_class, num_segments)
        self.in_dim = None
        self.reduce = nn.Sequential(
            nn.Conv2d(feature_dim, CHANNELS, 1), nn.BatchNorm2d(CHANNELS, **KERAS_NORM), nn.LeakyReLU(SLOPE)
        )
        self.register_buffer("nodes", torch.rand(NODES, CHANNELS))
        self.attention = Attention(CHANNELS, NODES)
        self.embedding = nn.Sequential(Embedding(CHANNELS), Embedding(CHANNELS))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(self.attention.key.bias)
        self.classifier = two_layers(CHANNELS, 512, num_class, dropout=0.25)

    def forward(self, x: Tensor) -> Tensor:
        n, t = x.shape[:2]
        x = self.reduce(x.flatten(0, 1)).amax((2, 3))  # (n, T, D, h, w) -> (n*T, 1024)
        x = self.attention(x.unflatten(0, (n, t)), self.nodes)  # (n, 1024, 32, T)
        x = self.embedding(x)  # (n, 1024, 3, 7) for 64 steps
        return self.classifier(x.mean(2).amax(2))
