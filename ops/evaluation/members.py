"""The members of a test: each a checkpoint's model and the videos as it is shown them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch.utils.data import DataLoader

from ops.data.batches import EpochBatches
from ops.data.dataset import VideoDataset
from ops.data.lists import Video
from ops.data.loading import make_loader
from ops.data.modality import MODALITIES
from ops.data.views import eval_transform
from ops.errors import InputError
from ops.evaluation.ensemble import Views
from ops.evaluation.protocols import CLIPS, ClipSampler, crop_transform
from ops.evaluation.settings import Settings
from ops.models import TSN
from ops.options.config import Config
from ops.pictures.text import counted
from ops.run.data import listed_videos, make_sampler
from ops.run.restore import restore
from ops.run.tsm_layout import read_weights
from ops.training.checkpoint import load_checkpoint


@dataclass(frozen=True)
class Member:
    """One checkpoint of a test: its model, what it was trained as, and the videos as it is shown them."""

    path: str
    config: Config
    published: bool  # in TSM's layout: no options inside
    model: TSN
    videos: list[Video]
    views: Views

    def describe(self) -> str:
        """Its network in a line."""
        config = self.config
        parts = [
            f"{config.arch} {config.modality}",
            config.describe_clusters() if config.cluster != "none" else f"{config.num_segments} segments",
            config.describe_temporal(),
        ]
        if config.non_local:
            parts.append("non-local blocks")
        if config.temporal_pool:
            parts.append("temporal pooling")
        if config.temporal_max:
            parts.append("temporal max")
        return f"{self.path}: {', '.join(parts)}"


def load_member(settings: Settings, number: int) -> Member:
    """Rebuild the `number`-th checkpoint's model and find its videos.

    Raises InputError for whatever does not fit: the checkpoint, the flags, the dataset or the protocol.
    """
    path, given = settings.weights[number], dict(settings.given)
    content = load_checkpoint(path, given.get("trust_checkpoint", False))
    if len(settings.weights) > 1 and names_others(given.get("image_tmpl"), content):
        del given["image_tmpl"]
    modality = settings.modality or "RGB"
    config = Config(modality=modality, cluster="none", evaluate=True, resume=path, **given)
    config, model, _, published = restore(
        content,
        config,
        frozenset(given),
        num_segments=settings.test_segments[number],
        val_list=settings.test_list[number],
    )
    check_views(settings, config, path)
    videos = listed_videos(config)[: settings.max_num]
    views = Views(CLIPS[settings.clips][1] if settings.clips else 1, settings.test_crops)
    return Member(path, config, published, model, videos, views)


def names_others(image_tmpl: str | None, content: dict) -> bool:
    """Whether a template is of flow images and a checkpoint's model sees frames, or the other way round."""
    stored = content.get("config")
    told = stored if isinstance(stored, dict) else read_weights(content["state_dict"])
    modality = MODALITIES.get(str(told.get("modality")))
    return image_tmpl is not None and modality is not None and (image_tmpl.count("{") > 1) != modality.flow


def check_views(settings: Settings, config: Config, path: str) -> None:
    """Raise InputError where a model cannot be shown the views that were asked for."""
    if MODALITIES[config.modality].features and (settings.test_crops > 1 or settings.full_res):
        raise InputError(
            f"--test_crops and --full_res have no meaning for {path}: it sees features, which cannot be cropped; leave"
            " them out"
        )
    if settings.clips and config.cluster != "none":
        raise InputError(
            f"--{settings.clips}_sample has no meaning for {path}: it clusters all frames of a video, so"
            " every clip would be the same; leave it out"
        )
    if settings.test_crops == 10 and not config.spec.flip:
        reason = f"in {config.dataset} a mirrored video has another label"
        if config.no_flip and "no_flip" not in settings.given:
            reason = f"{path} was trained with --no_flip: a mirrored video has another label"
        raise InputError(f"--test_crops 10 mirrors videos, but {reason}; use --test_crops 5")


def check_together(settings: Settings, members: Sequence[Member]) -> None:
    """Raise InputError unless all members' lists hold videos of the same labels in the same order, and one of them is
    of the modality that was asked for.

    Paths may be others in each list, as those of frames and of flow; a path that two lists share stands in one place.
    """
    first, found = members[0], {member.config.modality for member in members}
    if settings.modality and settings.modality not in found:
        raise InputError(
            f"{', '.join(member.path for member in members)}: trained on {', '.join(sorted(found))}, not"
            f" {settings.modality}; leave {settings.modality} out or use others"
        )
    places = {video.path: place for place, video in enumerate(first.videos)}
    for member in members[1:]:
        pairs = zip(first.videos, member.videos, strict=False)
        odd = next((i for i, (a, b) in enumerate(pairs) if a.label != b.label), None)
        if len(member.videos) != len(first.videos):
            raise InputError(
                f"the list for {first.path} has {len(first.videos)} videos, that for {member.path}"
                f" {len(member.videos)}; fusion needs the same videos"
            )
        if odd is not None:
            a, b = first.videos[odd], member.videos[odd]
            raise InputError(
                f"video {odd + 1} is {a.path} of label {a.label} for {first.path} and {b.path} of label"
                f" {b.label} for {member.path}; fusion needs the same videos"
            )
        for here, video in enumerate(member.videos):
            if places.get(video.path, here) != here and first.videos[here].path != video.path:
                raise InputError(
                    f"{video.path} is video {places[video.path] + 1} for {first.path} and video {here + 1} for"
                    f" {member.path}; fusion needs the same videos in the same order"
                )


def make_test_loader(settings: Settings, member: Member, pin_memory: bool) -> DataLoader:
    """The batches of a member's videos, all views of each.

    One crop of one clip of our own models is what validation shows them. All else is TSM's.
    """
    config, size = member.config, member.config.frame_size
    modality = MODALITIES[config.modality]
    scale = size * 256 // 224
    side, crops = size, settings.test_crops
    if settings.full_res:
        side = scale
    if settings.test_crops == 1 and not settings.full_res and not member.published:
        transform = partial(eval_transform, size=size)
    else:
        transform = partial(
            crop_transform,
            size=side,
            scale=scale,
            crops=crops,
            flow=modality.flow,
        )
    if settings.clips or member.published:
        sampler = ClipSampler(settings.clips or "uniform", config.num_segments)
    else:
        sampler = make_sampler(config)
    dataset = VideoDataset(member.videos, config.root, config.spec, modality, sampler, transform, config.seed)
    batches = EpochBatches(len(member.videos), settings.batch_size)
    return make_loader(dataset, batches, settings.workers, pin_memory, crops * side**2)


def describe_protocol(settings: Settings, member: Member) -> str:
    """`frames x crops x clips`, and the side of the crops."""
    config, views = member.config, member.views
    side = config.frame_size * 256 // 224 if settings.full_res else config.frame_size
    if config.cluster == "none":
        frames = counted(config.num_segments, "frame")
        how = f", {settings.clips or 'uniform'} sampling"
        if config.dense_sample and not settings.clips and not member.published:
            how = ", dense sampling"
    else:
        frames, how = "all frames", ""
        if config.num_frames:
            frames = f"at most {config.num_frames} frames"
        if config.frame_stride > 1:
            frames += f" of one in {config.frame_stride}"
    seen = "features" if MODALITIES[config.modality].features else f"{side} px"
    return f"{frames} x {counted(views.crops, 'crop')} x {counted(views.clips, 'clip')}, {seen}{how}"
