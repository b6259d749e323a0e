"""What mixes the steps of a video inside a backbone, by the names that `--temporal` takes."""

from collections.abc import Callable
from dataclasses import dataclass

from archs.backbone import Arch
from ops.temporal.shift import add_shift
from ops.temporal.stm import add_stm


@dataclass(frozen=True)
class TimeMixing:
    """One way of mixing.

    add      `add(backbone, stage, num_segments, **options)` puts it into a stage that sees so many steps of each video
    stages   the stages of an arch where it can stand
    options  the names of those that it takes
    """

    add: Callable[..., None]
    stages: Callable[[Arch], tuple[str, ...]]
    options: tuple[str, ...] = ()


TEMPORAL = {
    "shift": TimeMixing(add_shift, lambda arch: arch.block_stages, ("shift_div", "shift_place", "shift_direction")),
    "stm": TimeMixing(add_stm, lambda arch: arch.spatial_stages),
}
