"""All backbones, by the names that `--arch` takes."""

from archs.backbone import Arch
from archs.resnet import RESNETS

ARCHS: dict[str, Arch] = {**RESNETS}
STAGES = tuple(dict.fromkeys(stage for arch in ARCHS.values() for stage in arch.stages))  # of any of them
