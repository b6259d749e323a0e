"""What the study of the baselines runs: every system of the published tables, as a thin network, on Move4MNIST.

Data and schedules are those of the first study (`tools/studies/move4mnist/plan.py`) for its set of 128 frames: training
on `easy`, then on `medium`, both of 32 frames, then tuning on `t128`, each with its number of epochs. Here every system
goes this way by itself, so that none tunes the weights of another: on sampled frames it sees sampled frames from the
start, and behind clusters it first sees random cuts, which none of the methods compared makes. ActionVLAD and
VideoGraph begin later, on the weights of TSM, as their papers put them on a network that has learned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from ops.models import build_model
from tools.studies.base import Commands, Study, with_needs
from tools.studies.move4mnist.plan import CUTS, EPOCHS, SCHEDULES, TUNING, Move4MNIST
from tools.studies.results import Result

G = 16  # sampled frames, or clusters
COMMON = "--input_size 32 --npb --gd 5 --crop_scales 1 0.875"
THIN, PLAIN, SHIFT = "--arch resnet_thin", "--dropout 0", "--shift --shift_div 4"
STAGES = {"easy": 7, "medium": 6, "t128": EPOCHS}  # data set -> epochs
CLASSES = 4


class System(NamedTuple):
    """A row of the table: its name there, and what main.py is told besides what all are."""

    title: str
    words: str
    modality: str = "RGB"
    schedules: dict[str, str] = {}  # of its own, by data set
    first: str = "easy"  # the data set that it begins on; if another, with TSM's weights of `medium`


ADAM = "--optimizer adam --eps 1e-4"
ADAMW = {"easy": 0.002, "medium": 0.002, "t128": 0.0005}  # data set -> learning rate
SYSTEMS = {
    "tsn": System("TSN", f"{THIN} {PLAIN}"),
    "trn": System("TRN", f"{THIN} {PLAIN} --consensus_type TRN"),
    "trn-multiscale": System("TRN-Multiscale", f"{THIN} {PLAIN} --consensus_type TRNmultiscale"),
    "tsm": System("TSM", f"{THIN} {PLAIN} {SHIFT}"),
    "tsm-past": System("TSM, online", f"{THIN} {PLAIN} {SHIFT} --shift_direction past"),
    "non-local": System("TSM with non-local blocks", f"{THIN} {PLAIN} {SHIFT} --non_local"),
    "stm": System("STM", f"{THIN} {PLAIN} --temporal stm"),
    "mlp": System("MLP on TSM", f"{THIN} {SHIFT} --consensus_type MLP"),
    "actionvlad": System(
        "ActionVLAD on TSM",
        f"{THIN} {SHIFT} --consensus_type ActionVLAD",
        schedules={
            "medium": f"-b 16 {ADAM} --lr 0.01 --vlad_stage 1 --freeze_backbone",
            "t128": f"-b 8 {ADAM} --lr 0.0001 --lr_type cos",
        },
        first="medium",
    ),
    "videograph": System(
        "VideoGraph on TSM",
        f"{THIN} {SHIFT} --consensus_type VideoGraph",
        schedules={"t128": f"-b 8 {ADAM} --lr 0.001 --lr_type cos"},
        first="t128",
    ),
    "di": System("DI, temporal maximum", f"{THIN} {PLAIN} --temporal_max", "DI"),
    "mobilenet": System("TSM, MobileNetV2", f"--arch mobilenetv2_thin {PLAIN} {SHIFT}"),
    "tsm-diff": System("TSM on differences", f"{THIN} {PLAIN} {SHIFT}", "RGBDiff"),
    "mobilenet-diff": System(
        "TSM, MobileNetV2 on differences",
        f"--arch mobilenetv2_thin {PLAIN} {SHIFT}",
        "RGBDiff",
        schedules={data: f"-b 8 --optimizer adamw --lr {lr} --lr_type cos" for data, lr in ADAMW.items()},
    ),
    "bninception": System("TSN, BNInception", f"--arch bninception_thin {PLAIN}"),
}
# systems that are slow for their size, and one to stand beside them
BACKBONES = ("mobilenet", "bninception", "tsm-diff", "mobilenet-diff")
SAMPLED_ONLY = ("di",)


@dataclass(frozen=True)
class Cell:
    """One number of the study: the accuracy of `system` on data set `data`, sampled (`cut` none) or behind clusters."""

    data: str
    system: str
    cut: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.data}-{self.system}-{self.cut}-s{self.seed}"

    @property
    def trained(self) -> "Cell":
        return self

    @property
    def needs(self) -> "Cell | None":
        """The cell whose weights this one tunes."""
        cut = "none" if self.cut == "none" else "random"
        first = SYSTEMS[self.system].first
        if self.data == "easy":
            return None
        if self.data == first:
            return Cell("medium", "tsm", cut, self.seed)
        return replace(self, data="easy" if self.data == "medium" else "medium", cut=cut)


def tsm(seed: int) -> Iterator[Cell]:
    """TSM, sampled and behind each kind of cuts."""
    yield from (Cell("t128", "tsm", cut, seed) for cut in ("none", *CUTS))


def sampled(seed: int) -> Iterator[Cell]:
    """All systems on the thin ResNet, sampled."""
    yield from tsm(seed)
    yield from (Cell("t128", name, "none", seed) for name in SYSTEMS if name not in BACKBONES)


def backbones(seed: int) -> Iterator[Cell]:
    """The other backbones, and differences of frames, from which MobileNetV2 learns in so few epochs."""
    yield from (Cell("t128", name, "none", seed) for name in BACKBONES)


def clustered(seed: int) -> Iterator[Cell]:
    """All systems behind slope's cuts."""
    yield from (Cell("t128", name, "slope", seed) for name in SYSTEMS if name not in SAMPLED_ONLY)


@dataclass(frozen=True)
class BaselineResult(Result):
    """What one cell gave, and how many parameters its network has."""

    parameters: int


@dataclass(frozen=True)
class Baselines(Study):
    """Every system of the published tables, thin, on made videos: docs/baselines_table.md."""

    name, page = "baselines", "baselines_table"
    seeds = (0, 1, 2)
    cell = Cell
    result = BaselineResult

    def choose_cells(self, seeds: Sequence[int], quick: bool = False) -> list[Cell]:
        """Sampled systems of all seeds before what clusters; `quick` leaves TSM, sampled and behind all cuts."""
        experiments = (tsm,) if quick else (sampled, backbones, clustered)
        cells = [cell for experiment in experiments for seed in seeds for cell in experiment(seed)]
        return with_needs(cells)

    def data_of(self, cell: Cell) -> str:
        return f"{cell.data}-s{cell.seed}"

    def make_data(self, name: str) -> Commands:
        return Move4MNIST(self.root).make_data(name)

    def commands(self, cell: Cell) -> Commands:
        system = SYSTEMS[cell.system]
        words = ["movingmnist", system.modality, "--root_path", str(self.data(self.data_of(cell))), "-j", "0"]
        words += [*COMMON.split(), *system.words.split(), "--num_segments", str(G), "--cluster", cell.cut]
        words += [*system.schedules.get(cell.data, SCHEDULES.get(cell.data, TUNING)).split()]
        words += ["--epochs", str(STAGES[cell.data]), "--eval_freq", "100", "--seed", str(cell.seed)]
        words += ["--tune_from", str(self.weights(cell.needs))] if cell.needs else []
        runs = self.runs or self.root
        words += ["--root_log", str(runs / "log"), "--root_model", str(runs / "checkpoint")]
        return [["python", "main.py", *words, "--suffix", cell.name, "--resume", "auto"]]

    def other_commands(self, seeds: Sequence[int]) -> dict[str, Commands]:
        return {}

    def figures_of(self, cell: Cell) -> dict:
        config = self._config(cell)
        with torch.device("meta"):
            model = build_model(num_class=CLASSES, **config.model_options)
        return super().figures_of(cell) | {"parameters": sum(parameter.numel() for parameter in model.parameters())}
