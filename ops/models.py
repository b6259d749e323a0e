"""The video classifier: backbone, temporal shift, clustering, consensus.

    frames (sum t, 3, S, S) -> stem -> (sum t, c, h, w) -> clustering -> (n*g, c, h, w) -> trunk -> (n*g, d)
    -> new_fc -> (n*g, K) -> consensus -> (n, K)

Without clustering this is TSN (Wang et al., ECCV 2016) and, with shift, TSM (Lin et al., ICCV 2019): then t = g.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from archs.resnet import ARCHS, STAGES, ResNet
from ops.clustering import TemporalClustering
from ops.data.modality import MODALITIES
from ops.heads.average import CONSENSUS
from ops.streaming import Stem, Streaming, can_stream, stream
from ops.temporal.non_local import NonLocalWrapper
from ops.temporal.shift import SHIFT_PLACES, TemporalPool

BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


class TSN(nn.Module):
    """Scores of whole videos from a 2D backbone; `clustering` is None when every frame goes all the way.

    `stem_stages` names the stages that see every frame, `trunk_stages` those that see `num_segments` representations.
    Which batches pass the stem in chunks is a matter of memory: `streaming`, None for none, may be set at any time.
    """

    def __init__(
        self,
        base_model: ResNet,
        num_class: int,
        num_segments: int,
        modality: str,
        stem_stages: tuple[str, ...],
        trunk_stages: tuple[str, ...],
        clustering: TemporalClustering | None,
        consensus_type: str,
        dropout: float,
        partial_bn: bool,
        freeze_stem_bn: bool = False,
    ):
        super().__init__()
        self.base_model, self.clustering = base_model, clustering
        self.streaming: Streaming | None = None
        self.num_segments, self.modality = num_segments, modality
        self.stem_stages, self.trunk_stages = stem_stages, trunk_stages
        self.dropout = nn.Dropout(dropout)
        self.new_fc = nn.Linear(base_model.feature_dim, num_class)
        nn.init.normal_(self.new_fc.weight, 0, 0.001)
        nn.init.zeros_(self.new_fc.bias)
        self.consensus = CONSENSUS[consensus_type]
        norms = [module for module in base_model.modules() if isinstance(module, nn.BatchNorm2d)]
        self._frozen_norms = norms[1:] if partial_bn else []  # TSN's partial BatchNorm trains the first one only
        if freeze_stem_bn:
            inside = {module for stage in self.stem_modules for module in stage.modules()}
            self._frozen_norms = [norm for norm in norms if norm in inside or norm in self._frozen_norms]
        for norm in self._frozen_norms:
            norm.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "TSN":
        super().train(mode)
        for norm in self._frozen_norms:
            norm.eval()
        return self

    @property
    def stem_modules(self) -> list[nn.Module]:
        """The modules that `run_stem` runs."""
        names = [*self.stem_stages, "bn1"] if "conv1" in self.stem_stages else self.stem_stages
        return [getattr(self.base_model, name) for name in names]

    @property
    def stem(self) -> Stem:
        """What every frame passes by itself, for those who pass it frames in chunks."""
        return Stem(self.run_stem, self.stem_modules, self.new_fc.weight.device, self.base_model.conv1.in_channels)

    def represent(self, frames: Tensor, lengths: Tensor, draw: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """What the trunk sees: (n*g, c, h, w), and the cluster of each frame (sum t,) or None without clustering."""
        if self.clustering is None:
            return self.run_stem(frames), None
        stem, how = self.stem, self.streaming
        if how is None or len(frames) <= how.above or not can_stream(stem, self.clustering):
            return self.clustering(self.run_stem(frames), lengths)
        draw = draw if how.representative else None
        return stream(stem, self.clustering, frames, lengths, how.chunk, draw, how.memory)[:2]

    def run_stem(self, frames: Tensor) -> Tensor:
        """What every frame passes by itself, (m, channels, S, S), uint8 or float as in `forward` -> (m, c, h, w)."""
        frames = frames.to(self.new_fc.weight.device, non_blocking=True)
        x = frames if frames.is_floating_point() else MODALITIES[self.modality].to_input(frames)
        for stage in self.stem_stages:
            x = self.base_model.run_stage(stage, x)  # (m, c, h, w)
        return x

    def classify(self, x: Tensor, num_videos: int) -> Tensor:
        """Scores of n videos from what `represent` gives, (n*g, c, h, w) -> as `forward`."""
        for stage in self.trunk_stages:
            x = self.base_model.run_stage(stage, x)
        scores = self.new_fc(self.dropout(self.base_model.pool(x)))  # (n*g, d) -> (n*g, K)
        steps = len(scores) // max(1, num_videos)
        return self.consensus(scores.unflatten(0, (num_videos, steps)))  # (n*g, K) -> (n, K)

    def forward(self, frames: Tensor, lengths: Tensor, draw: Sequence[int] = ()) -> Tensor:
        """Scores before softmax, (n, K), or (n, g, K) with consensus `identity`.

        frames (sum t, channels, S, S), packed, uint8 as loaded or float as a modality makes them; lengths (n,). Both
        may stay on the host. `draw`, whole numbers >= 0, decides which frames give representative gradients.
        n may be 0, whatever `frames` then are: the scores (0, K) still depend on all weights.
        Raises ValueError where a model without clustering gets videos of more or fewer than `num_segments` frames.
        """
        if self.clustering is None and len(frames) != len(lengths) * self.num_segments:
            raise ValueError(f"{len(lengths)} videos of {self.num_segments} frames expected, got {len(frames)} frames")
        if not len(lengths):  # a process without a video; the class's methods, for compiled ones take no empty batch
            empty = self.new_fc.weight.new_zeros(0, self.base_model.conv1.in_channels, 32, 32)
            return TSN.classify(self, TSN.run_stem(self, empty), 0)
        x, _ = self.represent(frames, lengths, draw)
        return self.classify(x, len(lengths))


def build_model(
    arch: str,
    num_class: int,
    num_segments: int,
    *,
    modality: str = "RGB",
    cluster: str = "cumulative",
    cluster_after: str = "layer1",
    shift: bool = False,
    shift_div: int = 8,
    shift_place: str = "blockres",
    temporal_pool: bool = False,
    non_local: bool = False,
    consensus_type: str = "avg",
    dropout: float = 0.5,
    partial_bn: bool = True,
    freeze_stem_bn: bool = False,
    seed: int = 0,
) -> TSN:
    """A `TSN` with freshly initialised weights; `cluster` is a method of `CLUSTERINGS` or "none".

    Everything temporal stands behind the clustering: shift, non-local blocks and temporal pooling go to trunk stages
    only. Raises ValueError where a wish cannot be met there.
    """
    base_model = ARCHS[arch].build(MODALITIES[modality].channels)
    clustering = None if cluster == "none" else TemporalClustering(num_segments, cluster, seed)
    cut = STAGES.index(cluster_after) + 1 if clustering else 0
    stem, trunk = STAGES[:cut], STAGES[cut:]
    if temporal_pool and "layer2" not in trunk:
        raise ValueError("temporal pooling comes before layer2 and needs it behind the clustering")

    every = 2 if len(base_model.layer3) >= 23 else 1  # as in TSM: every second block of ResNet-101 and -152
    for name in trunk:
        if name == "conv1":
            continue
        steps = num_segments if name == "layer1" or not temporal_pool else -(-num_segments // 2)
        stage = getattr(base_model, name)
        if shift:
            SHIFT_PLACES[shift_place](stage, steps, shift_div, every)
        if non_local and name in ("layer2", "layer3"):
            for i in range(0, len(stage), 2):
                stage[i] = NonLocalWrapper(stage[i], base_model.channels[name], steps)
    if temporal_pool:
        base_model.layer2 = TemporalPool(base_model.layer2, num_segments)
    return TSN(
        base_model,
        num_class,
        num_segments,
        modality,
        stem,
        trunk,
        clustering,
        consensus_type,
        dropout,
        partial_bn,
        freeze_stem_bn,
    )
