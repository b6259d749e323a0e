"""What the study on Move4MNIST runs: data sets, cells, and the command of each.

A cell is one run of `main.py`, or one test of its weights by `test_models.py`. All cells tune a thin ResNet, 32 pixels,
that was trained on 32-frame videos before (`easy`, then `medium`). There it saw random cuts, so that none of the
methods compared is the one that the starting weights know. A seed decides everything: videos, weights, order of
training, crops. Cells run on one thread each, so that they give the same bits again, and several at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.studies.base import Commands, Study, with_needs

SETS = {  # name -> training videos, validation videos, options of tools/make_move4mnist.py
    "easy": (1000, 200, "--preset easy"),
    "medium": (1000, 200, "--preset medium"),
    "t32": (400, 300, "--preset long --num_frames 32 --empty_run 2/3/4"),
    "t64": (400, 300, "--preset long --num_frames 64 --empty_run 4/6/8"),
    "t128": (400, 300, "--preset long"),
    "t256": (400, 300, "--preset long --num_frames 256 --empty_run 16/24/32"),
    "t128-still": (400, 300, "--preset long --still_background"),
    "t128-short": (400, 300, "--preset long --empty_run 1-3"),
    "t128-short-still": (400, 300, "--preset long --empty_run 1-3 --still_background"),
}
FRAMES = {"t32": 32, "t64": 64, "t128": 128, "t256": 256}
EMPTINESS = {  # of 128 frames
    "t128": "long runs, moving background",
    "t128-still": "long runs, still background",
    "t128-short": "short runs, moving background",
    "t128-short-still": "short runs, still background",
}
SCHEDULES = {"easy": "-b 16 --lr 0.02", "medium": "-b 16 --lr 0.02 --lr_type cos"}
TUNING = "-b 8 --lr 0.003 --lr_type cos"
NETWORK = "--arch resnet_thin --input_size 32 --shift --shift_div 4 --npb --dropout 0 --gd 5 --crop_scales 1 0.875"
METHODS = {  # name -> what main.py is told
    "uniform": "--cluster none",
    "dense": "--cluster none --dense_sample",
    **{name: f"--cluster {name}" for name in ("random", "even", "cumulative", "slope")},
}
ALTERNATIVES = {  # to the paper's distance and to groups that are contiguous in time
    "cumulative-euclidean": "--cluster cumulative --distance euclidean",
    "cumulative-cosine": "--cluster cumulative --distance cosine",
    "slope-euclidean": "--cluster slope --distance euclidean",
    "slope-cosine": "--cluster slope --distance cosine",
    "kmodes": "--cluster kmodes",
    "kmeans": "--cluster kmeans",
}
SAMPLING = ("uniform", "dense")
PAPER = ("cumulative", "slope")
CUTS = ("even", *PAPER)
GRADIENTS = {
    "plain": "",
    "exact": "--freeze_stem_bn --stem_chunk 32",
    "representative": "--freeze_stem_bn --stem_chunk 32 --stem_grad representative",
}
CLUSTERS = (4, 8, 16)
COST = "step --size 64 --frames 32 64 128 256 512 --freeze_stem_bn --repeat 3"  # of tools/benchmark.py
NETS = ("trained", "untrained")  # whose gradients are compared
EPOCHS = 4
EQUAL_TIME = {"t32": 5, "t64": 8, "t128": 14, "t256": 28}  # epochs of 4 to 16 sampled frames that take as long as 4


@dataclass(frozen=True)
class Cell:
    """One number of the study: the accuracy of `method` with `g` clusters, or frames, on data set `data`.

    `after` is the stage that clustering stands behind, `gradient` a key of `GRADIENTS`; `g_test` makes it a test of the
    same cell without it, with another number of clusters.
    """

    data: str
    method: str
    g: int
    seed: int
    epochs: int = EPOCHS
    after: str = "layer1"
    gradient: str = "plain"
    g_test: int | None = None

    @property
    def name(self) -> str:
        parts = [self.data, self.method, f"g{self.g}", f"e{self.epochs}"]
        if self.after != "layer1":
            parts.append(self.after)
        if self.gradient != "plain":
            parts.append(self.gradient)
        if self.g_test is not None:
            parts.append(f"test{self.g_test}")
        return "-".join([*parts, f"s{self.seed}"])

    @property
    def trained(self) -> "Cell":
        """The cell whose weights this one tests, or itself."""
        return replace(self, g_test=None)

    @property
    def needs(self) -> "Cell | None":
        """The cell that must be there before."""
        return self.start if self.g_test is None else self.trained

    @property
    def start(self) -> "Cell | None":
        """The cell whose weights this one tunes."""
        if self.data == "easy":
            return None
        if self.data == "medium":
            return replace(self, data="easy", epochs=7)
        return Cell("medium", "random", 16, self.seed, 6, self.after)


# ---------------------------------------------------------------- experiments


def sparsity(seed: int) -> Iterator[Cell]:
    """All methods on ever longer videos that show the moving digit equally often; sampling with as much time, too."""
    for data in FRAMES:
        for g in CLUSTERS:
            yield from (Cell(data, method, g, seed) for method in METHODS)
        yield Cell(data, "uniform", 16, seed, EQUAL_TIME[data])


def emptiness(seed: int) -> Iterator[Cell]:
    """Long and short runs of empty frames before moving and still backgrounds."""
    for data in EMPTINESS:
        yield from (Cell(data, method, 16, seed) for method in CUTS)


def placement(seed: int) -> Iterator[Cell]:
    """Clustering behind each stage, each with starting weights of its own."""
    for after in ("conv1", "layer1", "layer2", "layer3"):
        yield from (Cell("t128", method, 16, seed, after=after) for method in PAPER)


def gradients(seed: int) -> Iterator[Cell]:
    """Gradients through all frames, in chunks or not, against one frame a cluster."""
    for gradient in GRADIENTS:
        yield from (Cell("t128", method, 16, seed, gradient=gradient) for method in PAPER)


def test_clusters(seed: int) -> Iterator[Cell]:
    """Other numbers of clusters in testing than in training."""
    for method in PAPER:
        for g in (*CLUSTERS, 32):
            yield from (Cell("t128", method, g, seed, g_test=g_test) for g_test in (*CLUSTERS, 32))


def longer(seed: int) -> Iterator[Cell]:
    """Three times the tuning."""
    yield from (Cell("t128", method, 16, seed, 3 * EPOCHS) for method in CUTS)


EXPERIMENTS = {
    "sparsity": sparsity,
    "emptiness": emptiness,
    "longer": longer,
    "gradients": gradients,
    "test_clusters": test_clusters,
    "placement": placement,
}


def choose_cells(seeds: Sequence[int], quick: bool = False) -> list[Cell]:
    """All cells with those they start from or test; one experiment after the other.

    `quick` leaves the 16 representations of 32 and 128 frames: 14 cells a seed, and those they start from.
    """
    experiments = [sparsity] if quick else EXPERIMENTS.values()
    cells = (cell for experiment in experiments for seed in seeds for cell in experiment(seed))
    return with_needs(cell for cell in cells if not quick or cell.g == 16 and cell.data in ("t32", "t128"))


# ---------------------------------------------------------------- commands


@dataclass(frozen=True)
class Move4MNIST(Study):
    """All methods on made videos: docs/results.md."""

    name, page = "move4mnist", "results"
    seeds = (0, 1, 2)
    cell = Cell
    files = {"gradients/*.csv": "docs/gradients", "cost.json": "docs", "pictures/clusters_*.png": "images"}

    def choose_cells(self, seeds: Sequence[int], quick: bool = False) -> list[Cell]:
        return choose_cells(seeds, quick)

    def data_of(self, cell: Cell) -> str:
        return f"{cell.data}-s{cell.seed}"

    def make_data(self, name: str) -> Commands:
        kind, seed = name.rsplit("-s", 1)
        num_train, num_val, how = SETS[kind]
        frames, packs = f"{self.data(name)}-frames", str(self.data(name))
        make = f"{how} --digits glyphs --num_train {num_train} --num_val {num_val} --seed {seed} -j 1"
        commands = [
            ["python", "tools/make_move4mnist.py", "--out", frames, *make.split()],
            ["python", "tools/pack_frames.py", frames, packs, "--raw", "-j", "1"],
            ["rm", "-r", frames],
        ]
        return commands[Path(frames).exists() :]

    def commands(self, cell: Cell) -> Commands:
        words = ["movingmnist", "RGB", "--root_path", str(self.data(self.data_of(cell))), "-j", "0"]
        if cell.g_test is not None:
            confusion = str(self.output(cell).with_suffix(""))
            options = ["--weights", str(self.weights(cell)), "--test_segments", str(cell.g_test)]
            return [["python", "test_models.py", *words, *options, "--confusion", confusion]]
        words += [*NETWORK.split(), "--num_segments", str(cell.g), *(METHODS | ALTERNATIVES)[cell.method].split()]
        words += [] if cell.method in SAMPLING else ["--cluster_after", cell.after]
        words += [*GRADIENTS[cell.gradient].split(), "--epochs", str(cell.epochs)]
        words += [*SCHEDULES.get(cell.data, TUNING).split(), "--eval_freq", "100", "--seed", str(cell.seed)]
        words += ["--tune_from", str(self.weights(cell.start))] if cell.start else []
        runs = self.runs or self.root
        words += ["--root_log", str(runs / "log"), "--root_model", str(runs / "checkpoint")]
        return [["python", "main.py", *words, "--suffix", cell.name, "--resume", "auto"]]

    def other_commands(self, seeds: Sequence[int]) -> dict[str, Commands]:
        """How gradients agree, what a step costs, pictures of clusters."""
        commands = {f"gradients-{net}-s{seed}": [self.agreement(net, seed)] for net in NETS for seed in seeds}
        commands["cost"] = [["python", "tools/benchmark.py", *COST.split(), "--json", str(self.root / "cost.json")]]
        commands["pictures"] = self.pictures(seeds[0])
        return commands

    def agreement(self, net: str, seed: int) -> list[str]:
        """The command that compares gradients of frames in a `trained` or `untrained` network."""
        cell = Cell("t128", "slope", 16, seed)
        return [
            "python",
            "tools/gradient_agreement.py",
            "movingmnist",
            "RGB",
            "--root_path",
            str(self.data(self.data_of(cell))),
            "--weights",
            str(self.weights(cell)),
            "--num_pairs",
            "32",
            "--seed",
            str(seed),
            "--csv",
            str(self.root / "gradients" / f"{net}-s{seed}.csv"),
            *(["--untrained"] if net == "untrained" else []),
        ]

    def pictures(self, seed: int) -> list[list[str]]:
        """The commands that draw a video of each class with its clusters, and slope's cuts on four data sets."""
        draw = [
            "python",
            "tools/draw_clusters.py",
            str(self.data(f"t128-s{seed}")),
            "--weights",
            str(self.weights(Cell("t128", "slope", 16, seed))),
            "--out",
            str(self.root / "pictures"),
        ]
        others = [name for name in EMPTINESS if name != "t128"]
        compare = [
            "--compare",
            *(str(self.data(f"{name}-s{seed}")) for name in others),
            "--titles",
            EMPTINESS["t128"],
            *(EMPTINESS[name] for name in others),
        ]
        return [draw, [*draw, *compare]]
