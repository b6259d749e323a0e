"""Train and evaluate full-video action recognition models: `python main.py --help`."""

import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from ops.errors import InputError
from ops.evaluation.result_files import found_scores
from ops.evaluation.statistics import describe_accuracies
from ops.files import write_whole
from ops.options import cli
from ops.run.progress import Progress
from ops.run.saving import run_folders
from ops.run.setup import Run, how_to_go_on, refuse_to_overwrite, set_up
from ops.run.signals import Interrupted
from ops.run.training import Training
from ops.training import processes as distributed
from ops.training.checkpoint import LAST
from ops.training.engine import evaluate
from ops.training.meters import Found


def say(text: str) -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # -j is the user's choice
    with distributed.start() as processes:
        run = processes.together(partial(set_up, argv, processes, say, warn))
        if run.config.evaluate:
            return evaluate_once(run)
        return train(run, argv)


def evaluate_once(run: Run) -> int:
    """`--evaluate`."""
    loader = run.loaders["val"]
    found: list[Found] = []
    with Progress("evaluate", len(loader), run.config.print_freq, say, wanted=run.processes.main) as progress:
        r = evaluate(run.model, loader, run.device, progress, run.processes, found.extend)
    if run.config.scores and run.processes.main:
        write_scores(run, found)
        say(f"written   {run.config.scores}")
    say(describe_accuracies(r.top1, r.top5, r.videos))
    say(
        f"{r.videos} videos, {r.frames} frames in {r.seconds:.1f} s, peak memory {r.peak_memory / 2**20:.0f} MB; "
        f"mean class accuracy {r.mean_class_accuracy:.3f}"
    )
    say(f"Testing Results: Prec@1 {r.top1:.3f} Prec@5 {r.top5:.3f} Loss {r.loss:.5f}")
    return 0


def write_scores(run: Run, found: list[Found]) -> None:
    """What --scores asks for, of a validation."""
    write_whole(Path(run.config.scores), found_scores(found, run.loaders["val"].dataset.videos))


def keep_scores(run: Run, found: list[Found]) -> None:
    """`write_scores` in training, which does not end for them."""
    try:
        write_scores(run, found)
    except InputError as error:
        run.warn(f"warning: {error}; training goes on, and the next validation writes them")


def train(run: Run, argv: Sequence[str] | None) -> int:
    """A run to its end, or until a signal; its exit code."""
    config, main_process = run.config, run.processes.main
    with run_folders(config.run_folder, config.log_folder) if main_process else nullcontext():
        if main_process:
            refuse_to_overwrite(config, run.last)  # another may have ended since this one began
        training = Training(run, partial(keep_scores, run) if config.scores and main_process else None)
        try:
            training.run_epochs()
        except Interrupted as signal:
            if main_process:
                place = f"epoch {training.epoch} after step {training.meters.steps} of {len(run.loaders['train'])}"
                saved = "could not save" if training.folder.problem else f"saved in {config.run_folder / LAST}"
                warn(f"ended by {signal} in {place}, {saved}; go on with: {how_to_go_on(argv, run.processes)}")
            return signal.exit_code
    return 0


if __name__ == "__main__":
    cli.run(main)
