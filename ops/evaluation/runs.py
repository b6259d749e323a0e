"""What a run has left in its log folder, as programs that look at finished runs want it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

from ops.data.specs import DESCRIPTION
from ops.errors import InputError
from ops.evaluation.cost import SAMPLING
from ops.options.checks import stored_options
from ops.options.config import Config
from ops.training.checkpoint import BEST

COLUMNS = ("method", "frames seen", "clusters", "top-1 %", "epochs", "minutes")


def summarise(folder: Path) -> dict[str, str]:
    """One row of a table from a run's log folder: its last validation, and the minutes of all its epochs."""
    try:
        given = json.loads((folder / "args.json").read_text())
        with (folder / "log.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        last = [row for row in rows if row["split"] == "val"][-1]
        sampled = given["cluster"] == "none"
        seen = int(last["frames"]) / int(last["videos"])
        temporal = given.get("temporal", "shift" if given["shift"] else "none")
        values = (
            f"uniform ({SAMPLING[temporal]})" if sampled else given["cluster"],
            f"{seen:.0f} sampled" if sampled else f"{seen:.0f}",
            "-" if sampled else str(given["num_segments"]),
            f"{float(last['top1']):.1f}",
            str(len({row["epoch"] for row in rows})),
            f"{sum(float(row['seconds']) for row in rows) / 60:.1f}",
        )
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, csv.Error) as error:
        raise InputError(f"{folder} is not the log folder of a run that was validated: {error}") from None
    return dict(zip(COLUMNS, values, strict=True))


def read_config(folder: Path) -> Config:
    """The options of a run from its log folder, with the places where it left files as they are found from here.

    Places in args.json are seen from where the run was started. That is the folder above the run's own --root_log, so
    that a tree of runs may be moved as a whole. Raises InputError where the folder is none of a run.
    """
    about = folder / "args.json"
    try:
        stored = json.loads(about.read_text())
        if not isinstance(stored, dict):
            raise ValueError("it holds no options")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{folder} is no log folder of a run: {about} cannot be read ({reason})") from None
    config = Config(**{"dataset": "", "modality": "RGB"} | stored_options(stored, str(about)))
    start = _started_in(folder, config.root_log)
    if start is None or start == Path.cwd():
        return config
    places = {name: getattr(config, name) for name in ("root_path", "root_log", "root_model", "scores")}
    if config.root_path is None:
        beside = start / config.dataset
        places["root_path"] = beside if (beside / DESCRIPTION).is_file() else config.root
    return replace(config, **{name: str(start / place) for name, place in places.items() if place})


def _started_in(folder: Path, root_log: str) -> Path | None:
    """The folder in which a run with this log folder was started; None where its --root_log does not tell."""
    logs, parts = folder.resolve().parent, Path(root_log).parts
    if Path(root_log).is_absolute() or logs.parts[-len(parts) :] != parts:
        return None
    return Path(*logs.parts[: -len(parts)])


def checkpoint_of(folder: Path, config: Config) -> Path | None:
    """The best checkpoint of the run with this log folder and `read_config`, None where there is none."""
    file = Path(config.root_model) / folder.resolve().name / BEST
    return file if file.is_file() else None
