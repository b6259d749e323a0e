"""What the program knows of each dataset: one frozen `DatasetSpec` a name."""
from dataclasses import dataclass

TRAIN_LIST, VAL_LIST = "train_videofolder.txt", "val_videofolder.txt"


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset's classes, frame names and list files.

    `image_tmpl` names a frame, `first_frame` is the number of the first one. `flip` tells whether a mirrored video
    keeps its label. Lists lie in the dataset's folder and give paths relative to it.
    """

    num_class: int
    image_tmpl: str
    first_frame: int = 1
    flip: bool = True
    train_list: str = TRAIN_LIST
    val_list: str = VAL_LIST


DATASETS = {
    "movingmnist": DatasetSpec(4, "{}.jpg", first_frame=0, flip=False),
    "ucf101": DatasetSpec(101, "img_{:06d}.jpg"),
    "hmdb51": DatasetSpec(51, "img_{:05d}.jpg"),
    "breakfast": DatasetSpec(10, "img_{:06d}.jpg"),
    "something": DatasetSpec(174, "{:05d}.jpg", flip=False),
    "somethingv2": DatasetSpec(174, "{:06d}.jpg", flip=False),
    "jester": DatasetSpec(27, "{:05d}.jpg", flip=False),
    "kinetics": DatasetSpec(400, "img_{:05d}.jpg"),
}
