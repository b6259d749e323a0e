"""The video classifier: backbone, what mixes time in it, clustering, head.

    frames (sum t, 3, S, S) -> stem -> (sum t, c, h, w) -> clustering -> (n*g, c, h, w) -> trunk -> (n*g, d)
    -> new_fc -> (n*g, K) -> head -> (n, K)

Without clustering this is TSN (Wang et al., ECCV 2016) and, with shift, TSM (Lin et al., ICCV 2019): then t = g.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from archs import ARCHS
from archs.backbone import Arch, Backbone
from ops.clustering import REDUCTIONS, TemporalClustering, frame_distances, without_autocast
from ops.data.modality import MODALITIES, Statistics
from ops.data.seeds import Purpose, generator
from ops.heads import Head, head_of, known_options
from ops.streaming import Frames, Stem, Streaming, can_stream, stream
from ops.temporal import TEMPORAL, TimeMixing
from ops.temporal.maximum import TemporalMax
from ops.temporal.non_local import NonLocalWrapper
from ops.temporal.shift import TemporalPool


class TSN(nn.Module):
    """Logits of whole videos from a 2D backbone; without `clusterings` every frame goes all the way.

    `clusterings` are the layers that cluster, by the stage that each stands behind, in order. The backbone's stages up
    to the first of them are the stem, which sees every frame; the others are the trunk, which sees the representations
    of each video, in the end `num_segments` of them. `statistics` normalise what the network takes in. Which batches
    pass the stem in chunks is a matter of memory: `streaming`, None for none, may be set at any time.
    """

    def __init__(
        self,
        base_model: Backbone,
        head: Head,
        num_class: int,
        num_segments: int,
        modality: str,
        statistics: Statistics,
        clusterings: dict[str, TemporalClustering],
        dropout: float,
        partial_bn: bool,
        freeze_stem_bn: bool = False,
        freeze_bn: bool = False,
        freeze_backbone: bool = False,
    ):
        super().__init__()
        self.base_model = base_model
        after, self.clustering = next(iter(clusterings.items()), (None, None))
        self.cascade = nn.ModuleDict({stage: layer for stage, layer in clusterings.items() if stage != after})
        self.streaming: Streaming | None = None
        self.num_class, self.num_segments, self.modality = num_class, num_segments, modality
        cut = base_model.stages.index(after) + 1 if after else 0
        self.stem_stages, self.trunk_stages = base_model.stages[:cut], base_model.stages[cut:]
        for name, values in zip(("input_mean", "input_std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.new_fc = None
        if head.in_dim is not None:
            self.new_fc = nn.Linear(base_model.feature_dim, head.in_dim)
            nn.init.normal_(self.new_fc.weight, 0, 0.001)
            nn.init.zeros_(self.new_fc.bias)
        self.consensus = head
        every = {name: module for name, module in base_model.named_modules() if isinstance(module, _BatchNorm)}
        norms = [name for name, norm in every.items() if isinstance(norm, nn.BatchNorm2d)]  # not non-local blocks'
        frozen = set(norms[1:]) if partial_bn else set()  # TSN's partial BatchNorm trains the first one only
        if freeze_stem_bn:
            inside = {module for stage in self.stem_modules for module in stage.modules()}
            frozen |= {name for name in norms if every[name] in inside}
        if freeze_bn:
            frozen |= set(norms)
        if freeze_backbone:
            frozen = set(every)
            base_model.requires_grad_(False)
        self.frozen_norms = [name for name in every if name in frozen]
        for name in self.frozen_norms:
            every[name].requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "TSN":
        super().train(mode)
        for name in self.frozen_norms:
            self.base_model.get_submodule(name).eval()
        return self

    @property
    def device(self) -> torch.device:
        return self.input_mean.device

    @property
    def first_conv(self) -> str:
        """The name of the convolution that sees the input."""
        return f"base_model.{self.base_model.first_conv}"

    @property
    def stem_modules(self) -> list[nn.Module]:
        """The modules that `run_stem` runs."""
        return [module for stage in self.stem_stages for module in self.base_model.stage_modules(stage)]

    @property
    def stem(self) -> Stem:
        """What every frame passes by itself, for those who pass it frames in chunks."""
        return Stem(self.run_stem, self.stem_modules, self.device, self.base_model.in_channels)

    def to_input(self, frames: Tensor) -> Tensor:
        """What the network takes in: uint8 (m, stack, S, S) as loaded -> float (m, channels, S, S), normalised."""
        return MODALITIES[self.modality].to_float(frames).sub_(self.input_mean).div_(self.input_std)

    def represent(self, frames: Tensor, lengths: Tensor, key: Sequence[int] = ()) -> tuple[Tensor, Tensor | None]:
        """What the trunk sees: (n*g, c, h, w), and the cluster of each frame (sum t,) or None without clustering."""
        if self.clustering is None:
            return self.run_stem(frames), None
        draw = self.draw(self.clustering, len(lengths), key)
        if self.takes_at_once(len(frames)):
            return self.clustering(self.run_stem(frames), lengths, draw)
        how = self.streaming
        rng = generator(Purpose.REPRESENTATIVES, *key) if how.representative else None
        return stream(self.stem, self.clustering, frames, lengths, how.chunk, rng, how.memory, draw)[:2]

    def draw(self, clustering: TemporalClustering, num_videos: int, key: Sequence[int]) -> Tensor | None:
        """The random numbers (n*g,) by which frames come to stand for clusters in training, where that is drawn."""
        if not self.training or not REDUCTIONS[clustering.reduce].draws:
            return None
        g = clustering.num_clusters
        numbers = generator(Purpose.REDUCTION, *key, g).random(num_videos * g, "float32")
        return torch.from_numpy(numbers).to(self.device)

    def takes_at_once(self, num_frames: int) -> bool:
        """Whether the frames of a batch of so many pass the stem together, not in chunks."""
        how = self.streaming
        return (
            self.clustering is None
            or how is None
            or num_frames <= how.above
            or not can_stream(self.stem, self.clustering)
        )

    def cut(self, frames: Frames, lengths: Tensor, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
        """How a model that clusters, in eval mode, cuts videos: in chunks of frames where its clustering allows that.

        frames and lengths as in `forward` -> what the trunk sees (n*g, c, h, w), the cluster of each frame (sum t,),
        and how far it is from the frame before (sum t,) by the clustering's distance.
        """
        if can_stream(self.stem, self.clustering):
            return stream(self.stem, self.clustering, frames, lengths, chunk)
        x = self.run_stem(frames[:])
        means, assignment = self.clustering(x, lengths)
        return means, assignment, frame_distances(x, lengths.to(x.device), self.clustering.distance)

    def run_stem(self, frames: Tensor) -> Tensor:
        """What every frame passes by itself, (m, channels, S, S), uint8 or float as in `forward` -> (m, c, h, w)."""
        frames = frames.to(self.device, non_blocking=True)
        x = frames if frames.is_floating_point() else self.to_input(frames)
        for stage in self.stem_stages:
            x = self.base_model.run_stage(stage, x)  # (m, c, h, w)
        return x

    def run_trunk(self, x: Tensor, num_videos: int, draws: dict[str, Tensor | None] | None = None) -> Tensor:
        """The stages behind the first clustering: (n*g, c, h, w) as `represent` gives it -> maps (n*g, d, h, w).

        `draws` are those of clusterings after later stages, where there are any in training.
        """
        for stage in self.trunk_stages:
            x = self.base_model.run_stage(stage, x)  # (n*g, d, h, w)
            if num_videos and stage in self.cascade:
                again = self.cascade[stage]
                lengths = torch.full((num_videos,), len(x) // num_videos)
                x, _ = again(x, lengths, None if draws is None else draws[stage])
        return x

    def to_head(self, x: Tensor, num_videos: int, draws: dict[str, Tensor | None] | None = None) -> Tensor:
        """What the head gets of n videos: (n*g, c, h, w) as `represent` gives it -> (n, g, ...) in float32.

        `draws` are those of `run_trunk`. Under autocast the backbone's stages run in its precision.
        """
        x = self.pool_maps(self.run_trunk(x, num_videos, draws))
        return x.unflatten(0, (num_videos, self.consensus.num_segments))  # (n*g, ...) -> (n, g, ...)

    def pool_maps(self, x: Tensor) -> Tensor:
        """What the head gets of maps, (m, d, h, w) -> (m, ...) in float32."""
        if not self.consensus.needs_maps:
            x = self.base_model.pool(x)  # (m, d, h, w) -> (m, d)
        with without_autocast(x.device):  # a logit in bfloat16 is off by up to 0.4 %
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            return x if self.new_fc is None else self.new_fc(self.dropout(x))  # (m, d) -> (m, in_dim)

    def each_step(self, frames: Tensor) -> Tensor:
        """What a head of logits gets of each step, without clustering: frames as in `run_stem`, (m, ...) -> (m, K)."""
        return self.pool_maps(self.run_trunk(self.run_stem(frames), 0))

    def draw_for_head(self, key: Sequence[int]) -> list[Tensor] | None:
        """What the head draws for a batch of training; None in testing, and for a head that draws nothing."""
        if not self.training or not self.consensus.draws:
            return None
        return [drawn.to(self.device) for drawn in self.consensus.draw(generator(Purpose.HEAD, *key))]

    def classify(
        self,
        x: Tensor,
        num_videos: int,
        draws: dict[str, Tensor | None] | None = None,
        head_draw: list[Tensor] | None = None,
    ) -> Tensor:
        """Logits of n videos from what `represent` gives, (n*g, c, h, w) -> as `forward`; draws as in `to_head`."""
        x = self.to_head(x, num_videos, draws)
        drawn = () if head_draw is None else (head_draw,)
        with without_autocast(x.device):
            logits = self.consensus(x, *drawn)  # (n, g, ...) -> (n, K)
        shape = tuple(logits.shape)
        if len(shape) not in (2, 3) or shape[0] != num_videos or shape[-1] != self.num_class:
            raise ValueError(
                f"head {type(self.consensus).__name__} gave {shape} for {num_videos} videos and {self.num_class}"
                " classes; it must give (videos, classes), or (videos, representations, classes)"
            )
        return logits

    def forward(
        self,
        frames: Tensor,
        lengths: Tensor,
        key: Sequence[int] = (),
        mix: Callable[[Tensor, int], Tensor] | None = None,
    ) -> Tensor:
        """Logits, (n, K), or (n, g, K) with consensus `identity`.

        frames (sum t, channels, S, S), packed, uint8 as loaded or float as `to_input` makes them; lengths (n,). Both
        may stay on the host. `key`, whole numbers >= 0, decides which frames give representative gradients, and what
        else is drawn in training. `mix` changes what the trunk sees, (n*g, c, h, w), of n videos.
        n may be 0, and `frames` is then ignored: the logits (0, K) still depend on all weights.
        Raises ValueError where a model without clustering gets videos of more or fewer than `num_segments` frames.
        """
        if self.clustering is None and len(frames) != len(lengths) * self.num_segments:
            raise ValueError(f"{len(lengths)} videos of {self.num_segments} frames expected, got {len(frames)} frames")
        if not len(lengths):  # a process without a video; the class's methods, for compiled ones take no empty batch
            empty = self.input_mean.new_zeros(0, self.base_model.in_channels, 32, 32)
            return TSN.classify(self, TSN.run_stem(self, empty), 0)
        x, _ = self.represent(frames, lengths, key)
        if mix is not None:
            x = mix(x, len(lengths))
        draws = {stage: self.draw(again, len(lengths), key) for stage, again in self.cascade.items()}
        return self.classify(x, len(lengths), draws, self.draw_for_head(key))


def build_head(name: str, feature_dim: int, num_class: int, num_segments: int, options: dict) -> Head:
    """The head of a model, with those of the `options` that it names; ValueError for others that no head knows."""
    if unknown := options.keys() - known_options():
        raise ValueError(f"no head has an option {', '.join(sorted(unknown))}")
    make_head = head_of(name, options)
    if missing := set(make_head.options) - options.keys():
        raise ValueError(f"head {name} needs the option {', '.join(sorted(missing))}")
    if problem := make_head.problem(num_segments, options):
        raise ValueError(f"head {name} {problem}")
    head = make_head(feature_dim, num_class, num_segments, **{option: options[option] for option in make_head.options})
    if head.needs_maps and head.in_dim is not None:
        raise ValueError(f"head {name} takes maps, which no linear layer can come before: its in_dim must be None")
    return head


def cluster_places(text: str, num_segments: int, stages: Sequence[str]) -> dict[str, int]:
    """Where frames are clustered and into how many, from `layer1`, or `layer1:32,layer2:16` for one after the other.

    The stages are those of the backbone. Raises ValueError for other ones or another order, for numbers that grow, and
    where the last is not `num_segments`.
    """
    places = {}
    for part in text.split(","):
        stage, _, number = part.partition(":")
        if stage not in stages:
            raise ValueError(f"{stage or part!r} is no stage; take one of {', '.join(stages)}")
        if not number and text != stage:
            raise ValueError(f"{part} lacks its number of clusters, as in {stage}:{num_segments}")
        if number and not (number.isdecimal() and int(number)):
            raise ValueError(f"{number!r} of {part} is no number of clusters")
        if places and stages.index(stage) <= stages.index([*places][-1]):
            raise ValueError(f"{part} must stand behind {[*places][-1]}")
        places[stage] = int(number or num_segments)
    numbers = [*places.values()]
    if numbers != sorted(numbers, reverse=True):
        raise ValueError("later places cannot have more clusters than earlier ones")
    if numbers[-1] != num_segments:
        raise ValueError(f"it ends with {numbers[-1]} clusters, and num_segments is {num_segments}")
    return places


def mix_time(
    base_model: Backbone,
    arch: Arch,
    places: dict[str, int],
    num_segments: int,
    *,
    temporal: TimeMixing | None,
    options: dict,
    pool: bool,
    maximum: bool,
    non_local: bool,
) -> int:
    """Put what mixes time into the stages behind the first clustering; gives the steps that leave the last stage.

    `places` are those of `cluster_places`, none without clustering. Raises ValueError where there is no place.
    """
    first = arch.stages.index(next(iter(places))) + 1 if places else 0
    trunk = arch.stages[first:]
    if pool and (len(places) > 1 or arch.temporal_pool_stage not in trunk):
        raise ValueError(f"there is no place for temporal pooling: it stands before {arch.temporal_pool_stage}")
    last = arch.block_stages[-1] if maximum else None
    if maximum and (temporal or last in places or last not in trunk):
        raise ValueError(
            f"there is no place for a temporal maximum: it stands in {last}, without shift or STM, clustered before"
        )

    steps = next(iter(places.values()), num_segments)
    for stage in trunk:
        if pool and stage == arch.temporal_pool_stage:
            steps = -(-steps // 2)
        if temporal and stage in temporal.stages(arch):
            temporal.add(base_model, stage, steps, **{name: options[name] for name in temporal.options})
        if non_local and stage in arch.non_local_stages:
            for block in base_model.blocks(stage)[::2]:
                block.put(NonLocalWrapper(block.module, base_model.channels[stage], steps))
        steps = places.get(stage, steps)
    if pool:
        stage = arch.temporal_pool_stage
        setattr(base_model, stage, TemporalPool(getattr(base_model, stage), num_segments))
    if maximum:
        block = base_model.blocks(last)[-1]
        block.put(TemporalMax(block.module, steps))
        steps = 1
    return steps


def build_model(
    arch: str,
    num_class: int,
    num_segments: int,
    *,
    modality: str = "RGB",
    feature_dim: int | None = None,
    cluster: str = "cumulative",
    cluster_after: str | None = None,
    distance: str = "hamming",
    reduce: str = "mean",
    temporal: str | None = None,
    shift: bool = False,
    shift_div: int = 8,
    shift_place: str = "blockres",
    shift_direction: str = "both",
    temporal_pool: bool = False,
    temporal_max: bool = False,
    non_local: bool = False,
    consensus_type: str = "avg",
    dropout: float = 0.5,
    partial_bn: bool = True,
    freeze_stem_bn: bool = False,
    freeze_bn: bool = False,
    freeze_backbone: bool = False,
    seed: int = 0,
    **head_options,
) -> TSN:
    """A `TSN` with freshly initialised weights; `cluster` is a method of `CLUSTERINGS` or "none".

    Everything temporal stands behind the clustering: what `temporal` names of `TEMPORAL`, or "none", non-local blocks,
    temporal pooling and temporal maximum go to trunk stages only. `shift` is another word for `temporal="shift"`.
    `cluster_after` is the backbone's own where it is None, and may name several places (`cluster_places`).
    `feature_dim` is the width of features, where the modality is these.
    `head_options` holds at least those options that the head names. Raises ValueError for what cannot go together.
    """
    backbone, source = ARCHS[arch], MODALITIES[modality]
    channels = feature_dim if source.features else source.channels
    if channels is None:
        raise ValueError(f"{modality} may be of any width; give feature_dim")
    base_model = backbone.build(channels)
    backbone.check(base_model)
    places = {}
    if cluster != "none":
        places = cluster_places(cluster_after or backbone.cluster_after, num_segments, backbone.stages)
    clusterings = {after: TemporalClustering(g, cluster, seed, distance, reduce) for after, g in places.items()}
    options = {"shift_div": shift_div, "shift_place": shift_place, "shift_direction": shift_direction}
    steps = mix_time(
        base_model,
        backbone,
        places,
        num_segments,
        temporal=TEMPORAL.get(temporal or ("shift" if shift else "none")),
        options=options,
        pool=temporal_pool,
        maximum=temporal_max,
        non_local=non_local,
    )
    head = build_head(consensus_type, base_model.feature_dim, num_class, steps, head_options)
    if head.before_relu:
        base_model.drop_last_relu()
    return TSN(
        base_model,
        head,
        num_class,
        num_segments,
        modality,
        source.statistics(backbone.mean, backbone.std),
        clusterings,
        dropout,
        partial_bn,
        freeze_stem_bn,
        freeze_bn,
        freeze_backbone,
    )
