"""All backbones, by the names that `--arch` takes."""

from archs.backbone import Arch
from archs.features import FEATURES
from archs.resnet import RESNETS

ARCHS: dict[str, Arch] = {**RESNETS, "features": FEATURES}
