"""What the study of numbers of clusters runs: the first study's cells with more of them, and with other cuts.

Videos, network, starting weights and tuning are those of `tools/studies/move4mnist/plan.py`: 128 and 256 frames, of
which empty runs have more ends than 15 cuts can mark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.studies.base import Commands, with_needs
from tools.studies.move4mnist.plan import ALTERNATIVES, CUTS, Cell, Move4MNIST

SETS = {"t128": 128, "t256": 256}  # data set -> frames of a video
NUMBERS = (16, 32, 64)  # of clusters, or of sampled frames
FEW = (16, 32)  # for the alternatives


def numbers(seed: int) -> Iterator[Cell]:
    """The paper's cuts, even ones and sampling."""
    for data in SETS:
        for g in NUMBERS:
            yield from (Cell(data, method, g, seed) for method in ("uniform", *CUTS))


def alternatives(seed: int) -> Iterator[Cell]:
    """Other distances, and groups that are not contiguous in time."""
    for g in FEW:
        yield from (Cell("t128", method, g, seed) for method in ALTERNATIVES)


@dataclass(frozen=True)
class Clusters(Move4MNIST):
    """More clusters and other cuts on made videos: docs/clusters.md."""

    name = page = "clusters"
    files = {}

    def choose_cells(self, seeds: Sequence[int], quick: bool = False) -> list[Cell]:
        """All of a seed before the next; `quick` leaves 128 frames and 16 and 32 clusters."""
        cells = [cell for seed in seeds for experiment in (numbers, alternatives) for cell in experiment(seed)]
        return with_needs(cell for cell in cells if not quick or cell.data == "t128" and cell.g in FEW)

    def other_commands(self, seeds: Sequence[int]) -> dict[str, Commands]:
        return {}
