"""What the study on gestures runs: real videos of figures drawn into the air (EgoGestAR), cells, commands of each.

A cell is one run of `main.py`, from scratch, and its test by `test_models.py`, which leaves the scores of every test
video. Four folds, which share no scene, test each of the 217 videos once; a seed decides weights, order and whatever is
drawn in training, and methods are compared video by video. Cells run on one thread each. The main comparison comes
first, on all folds, then all others fold after fold, so that a study that is not finished compares most methods on the
same videos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.data.prepare.annotations import EGOGESTAR_FOLDS
from ops.errors import InputError
from ops.evaluation.result_files import read_scores
from ops.options.parsing import parse
from tools.studies.base import Commands, Study
from tools.studies.move4mnist.plan import ALTERNATIVES, CUTS, SAMPLING
from tools.studies.move4mnist.plan import METHODS as SAMPLED_AND_CUT
from tools.studies.results import Result, log_rows

SIZE = 48  # pixels, of frames and crops
EPOCHS = 25
NETWORK = f"--arch resnet_thin --input_size {SIZE} --shift --shift_div 4 --npb --dropout 0 --gd 5"
SCHEDULE = "-b 8 --lr_type cos"
LR = "--lr 0.02"
TIMES = 4  # as long: videos among held frames
SETS = {
    "gestures": "the videos",
    "held": "four times as long, among held frames",
    "rgb": "the videos as frames, for networks tuned from weights that Move4MNIST gave",
}
STAGES = {  # preset of Move4MNIST -> how the weights are trained on it, 1000 videos of 32 frames cut at random
    "easy": "--epochs 7 -b 16 --lr 0.02",
    "medium": "--epochs 6 -b 16 --lr 0.02 --lr_type cos",
}
METHODS = {  # name -> what main.py is told
    **SAMPLED_AND_CUT,
    **ALTERNATIVES,
    "reduce-random": "--cluster cumulative --reduce random",
    "reduce-middle": "--cluster cumulative --reduce middle",
    "cascade": "--cluster cumulative --cluster_after layer1:32,layer2:16",
}
CLUSTERED = tuple(name for name in METHODS if name not in SAMPLING)
FIRST = ("random", "even", "slope", "cumulative-euclidean", "cumulative-cosine", "kmodes", "reduce-random")
# number of representations -> epochs of `uniform` that take as long as clustering
FEWER = {4: 225, 8: 115, 2: 385}
HELD = {16: 100, 4: 450}  # among held frames
KEEP, HELD_KEEP = 0.5, 0.25
AUGMENTATIONS = {"share": "--clip_share 0.7", "speed": "--clip_speed 1.5", "mixup": "--mixup 0.2"}
RECIPES = {
    "adamw": "--optimizer adamw --lr 0.001",
    "warmup": "--warmup_epochs 3",
    "smoothing": "--label_smoothing 0.1",
    "balanced": "--class_weights balanced",
    "ema": "--ema 0.99",
    "erasing": "--erasing 0.25",
    "mixup": "--mixup 0.2",
    "cutmix": "--cutmix 1.0",
    "randaugment": "--rand_augment",
    "decay": "--layer_decay 0.8",
}
EXTRAS = {"plain": "", **AUGMENTATIONS, **RECIPES}
EQUAL_TIME = {"half": 2 * EPOCHS, "all": 4 * EPOCHS}  # of `uniform`, as long as clustering half or all frames takes
FOLDS = range(len(EGOGESTAR_FOLDS))


@dataclass(frozen=True)
class Cell:
    """One number of the study: the accuracy of `method` on the test videos of `fold`.

    With `keep` below 1, training loads a random share of each video's frames in an epoch; `extra` is a key of `EXTRAS`.
    """

    data: str
    method: str
    g: int
    fold: int
    seed: int
    keep: float = 1.0
    extra: str = "plain"
    epochs: int = EPOCHS

    @property
    def name(self) -> str:
        parts = [self.data, self.method, f"g{self.g}", f"e{self.epochs}"]
        if self.keep != 1:
            parts.append(f"keep{self.keep:g}")
        if self.extra != "plain":
            parts.append(self.extra)
        return "-".join([*parts, f"f{self.fold}", f"s{self.seed}"])

    @property
    def trained(self) -> "Cell":
        return self

    @property
    def needs(self) -> None:
        return None


@dataclass(frozen=True)
class GestureResult(Result):
    """What one cell gave; `right` of `videos` were named rightly, `hits` tells which, in the order of the test list."""

    right: int
    videos: int
    train: float  # top-1 of the last training epoch, in percent
    frames: int  # of a training epoch
    hits: str  # of "x", named rightly, and "."


# ---------------------------------------------------------------- experiments


def few(fold: int, seed: int) -> Iterator[Cell]:
    """What the study is about: sampling, and clustering all frames, or a random half of them in each epoch."""
    yield Cell("gestures", "uniform", 16, fold, seed)
    yield Cell("gestures", "cumulative", 16, fold, seed)
    yield Cell("gestures", "cumulative", 16, fold, seed, KEEP)
    yield from (Cell("gestures", method, 16, fold, seed) for method in ("slope", "even"))


def by_number(data: str, numbers: dict[int, int], fold: int, seed: int, keep: float) -> Iterator[Cell]:
    """Sampling and all cuts with each number of representations, and sampling for the epochs that it stands for."""
    for g, epochs in numbers.items():
        yield Cell(data, "uniform", g, fold, seed)
        yield from (Cell(data, method, g, fold, seed, keep) for method in CUTS)
        yield Cell(data, "uniform", g, fold, seed, epochs=epochs)


def held(fold: int, seed: int) -> Iterator[Cell]:
    """Sparse evidence: the gesture among held frames; sampling as often, and for as long."""
    yield from by_number("held", HELD, fold, seed, HELD_KEEP)


def kept(fold: int, seed: int) -> Iterator[Cell]:
    """The first of the other methods, with half of the frames."""
    yield from (Cell("gestures", method, 16, fold, seed, KEEP) for method in FIRST)


def fewer(fold: int, seed: int) -> Iterator[Cell]:
    """Fewer representations, and sampling so few frames for as long as clustering takes."""
    yield from by_number("gestures", FEWER, fold, seed, KEEP)


def longer(fold: int, seed: int) -> Iterator[Cell]:
    """Sampling for as long as clustering takes, and both for long on like numbers of frames; sampling in a window; and
    clustering with more drawn in time."""
    yield from (Cell("gestures", "uniform", 16, fold, seed, epochs=epochs) for epochs in EQUAL_TIME.values())
    yield Cell("gestures", "cumulative", 16, fold, seed, KEEP / 2, epochs=EQUAL_TIME["all"])
    yield Cell("gestures", "dense", 16, fold, seed)
    yield from (Cell("gestures", "cumulative", 16, fold, seed, KEEP, extra) for extra in AUGMENTATIONS)


def kept_too(fold: int, seed: int) -> Iterator[Cell]:
    """The others with half of the frames."""
    yield from (Cell("gestures", method, 16, fold, seed, KEEP) for method in CLUSTERED)


def recipes(fold: int, seed: int) -> Iterator[Cell]:
    """One option of the recipe at a time, for sampling and for clustering."""
    for extra in RECIPES:
        yield Cell("gestures", "uniform", 16, fold, seed, extra=extra)
        yield Cell("gestures", "cumulative", 16, fold, seed, KEEP, extra)


def coloured(fold: int, seed: int) -> Iterator[Cell]:
    """Frames themselves, which teach nothing from scratch."""
    yield Cell("rgb", "uniform", 16, fold, seed)
    yield Cell("rgb", "cumulative", 16, fold, seed, KEEP)


def whole(fold: int, seed: int) -> Iterator[Cell]:
    """Every method with all frames."""
    yield from (Cell("gestures", method, 16, fold, seed) for method in CLUSTERED)


OTHERS = (held, kept, fewer, longer, kept_too, recipes, coloured, whole)


# ---------------------------------------------------------------- commands


@dataclass(frozen=True)
class Gestures(Study):
    """All methods on real videos: docs/gestures.md."""

    name = page = "gestures"
    seeds = (0, 1)
    cell = Cell
    result = GestureResult
    takes_videos = True
    files = {"gestures/*.csv": "docs"}

    def choose_cells(self, seeds: Sequence[int], quick: bool = False) -> list[Cell]:
        """`quick` leaves the first experiment: 5 cells a fold."""
        cells = []
        for seed in seeds:
            for experiments in ([few], [] if quick else OTHERS):
                cells += [cell for fold in FOLDS for experiment in experiments for cell in experiment(fold, seed)]
        return list(dict.fromkeys(cells))

    def data_of(self, cell: Cell) -> str:
        return f"rgb-s{cell.seed}" if cell.data == "rgb" else cell.data

    def make_data(self, name: str) -> Commands:
        """Raw packs of small frames with the lists of all folds."""
        packs = str(self.data(name))
        if name == "held":
            module = "tools.studies.gestures.hold_frames"
            return [["python", "-m", module, str(self.data("gestures")), packs, "--times", str(TIMES), "--seed", "0"]]
        if name.startswith("rgb"):
            return self.train_stages(name)
        if self.videos is None:
            raise InputError(
                "the gestures are made of your own copy of EgoGestAR's videos: give its folder with --videos"
                " (docs/data.md says how to get them)"
            )
        frames = f"{packs}-frames"
        lists = ["python", "tools/make_lists.py", "egogestar", "--root", frames, "--split"]
        extract = ["python", "tools/extract_frames.py", str(self.videos), frames, "--short_side", str(SIZE), "-j", "1"]
        pack = ["python", "tools/pack_frames.py", frames, packs, "--raw", "-j", "1"]
        return [extract, *([*lists, split] for split in EGOGESTAR_FOLDS), pack, ["rm", "-r", frames]]

    def data_needs(self, name: str) -> tuple[str, ...]:
        return () if name == "gestures" else ("gestures",)

    def stage(self, name: str, preset: str) -> list[str]:
        """What `main.py` is told to train the weights `name`, rgb-s0 of seed 0, on a preset of Move4MNIST."""
        folder = self.data(name)
        words = ["movingmnist", "RGB", "--root_path", str(folder / preset), "-j", "0", *NETWORK.split()]
        words += ["--num_segments", "16", *METHODS["random"].split(), *STAGES[preset].split(), "--eval_freq", "100"]
        words += ["--seed", name.rsplit("-s", 1)[1], "--root_log", str(folder), "--root_model", str(folder)]
        return [*words, "--suffix", preset]

    def stage_weights(self, name: str, preset: str) -> str:
        return str(self.data(name) / parse(self.stage(name, preset))[0].store_name / "ckpt.best.pth.tar")

    def train_stages(self, name: str) -> Commands:
        commands, start = [["rm", "-rf", str(self.data(name))]], []
        for preset in STAGES:
            made = f"--preset {preset} --digits glyphs --num_train 1000 --num_val 200"
            out = ["--out", str(self.data(name) / preset), "--seed", name.rsplit("-s", 1)[1], "-j", "1"]
            commands.append(["python", "tools/make_move4mnist.py", *made.split(), *out])
            commands.append(["python", "main.py", *self.stage(name, preset), *start])
            start = ["--tune_from", self.stage_weights(name, preset)]
        return commands

    def commands(self, cell: Cell) -> Commands:
        runs = self.runs or self.root
        modality, folder = ("RGB", "gestures") if cell.data == "rgb" else ("RGBDiff", cell.data)
        data = ["egogestar", modality, "--root_path", str(self.data(folder)), "-j", "0"]
        fold = f"_fold{cell.fold}" if cell.fold else ""
        val_list = f"val{fold}_videofolder.txt"
        words = [
            *data,
            "--train_list",
            f"train{fold}_videofolder.txt",
            "--val_list",
            val_list,
            *NETWORK.split(),
            "--no_flip",
        ]
        words += ["--num_segments", str(cell.g), *METHODS[cell.method].split()]
        words += ["--tune_from", self.stage_weights(self.data_of(cell), "medium")] if cell.data == "rgb" else []
        words += ["--frame_keep", str(cell.keep)] if cell.keep != 1 else []
        extra = EXTRAS[cell.extra]
        words += [*SCHEDULE.split(), *("" if "--lr " in extra else LR).split(), *extra.split()]
        words += ["--epochs", str(cell.epochs), "--eval_freq", "1000", "--seed", str(cell.seed)]
        words += ["--root_log", str(runs / "log"), "--root_model", str(runs / "checkpoint"), "--suffix", cell.name]
        weights = runs / "checkpoint" / parse(words)[0].store_name / "ckpt.best.pth.tar"
        test = [*data, "--val_list", val_list, "--weights", str(weights), "--scores", str(self.scores(cell))]
        return [["python", "main.py", *words, "--resume", "auto"], ["python", "test_models.py", *test]]

    def scores(self, cell: Cell) -> Path:
        """The scores of a cell's test videos."""
        return self.output(cell).with_suffix(".npz")

    def figures_of(self, cell: Cell) -> dict:
        hits = read_scores(self.scores(cell)).right
        last = [row for row in log_rows(self, cell) if row["split"] == "train"][-1]
        found = {"right": int(hits.sum()), "videos": len(hits), "train": float(last["top1"])}
        found |= {"frames": int(last["frames"]), "hits": "".join("x" if hit else "." for hit in hits)}
        return super().figures_of(cell) | found

    def other_commands(self, seeds: Sequence[int]) -> dict[str, Commands]:
        """Where the cuts go on all test videos, in the networks that were trained with slope and with cumulative."""
        table = self.root / "gestures" / "gestures_cuts.csv"
        cells = [Cell("gestures", method, 16, fold, seeds[0]) for method in ("slope", "cumulative") for fold in FOLDS]
        weights = [str(self.weights(cell)) for cell in cells]
        command = ["python", "-m", "tools.studies.gestures.cuts", str(self.data("gestures")), *weights]
        return {f"cuts-s{seeds[0]}": [[*command, "--csv", str(table)]]}
