"""All backbones, by the names that `--arch` takes."""

from archs.backbone import Arch
from archs.bninception import BN_INCEPTIONS
from archs.features import FEATURES
from archs.mobilenet import MOBILENETS
from archs.resnet import RESNETS

ARCHS: dict[str, Arch] = {**RESNETS, **MOBILENETS, **BN_INCEPTIONS, "features": FEATURES}
