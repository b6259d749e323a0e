"""How often a model looks at the digit that moves: the pointing game on videos of Move4MNIST.

Zhang et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016: the highest place of a map is a hit where
it lies on the object. Of these videos it is known what every frame shows, and where. The maps are those of a video's
label; their places are the cells of the last stage, and a cell is on a digit where the digit's centre lies in it in any
frame of the cluster. Three games are played:

    highest place     of all clusters' maps together
    largest addition  the cluster that adds most to the score: which digit its frames show
    place in cluster  of each cluster that shows the moving digit, the highest place of its own map

Chance is what a blind pointer hits: the share of all places, or clusters, that are on the digit.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ops.data.stores import open_store
from ops.data.views import Box, eval_transform
from ops.errors import InputError
from ops.evaluation.explain import Explanation, explain
from ops.evaluation.predict import hold
from ops.evaluation.statistics import wilson
from ops.models import TSN
from ops.move4mnist.generator import ABOUT, Kind, VideoFacts, facts_of
from ops.move4mnist.sources import SIZE
from ops.options.config import Config
from ops.run.data import listed_videos


class Turn(NamedTuple):
    """One turn of a game: whether it was on either digit, and the chance of that."""

    moving: bool
    still: bool
    moving_chance: float
    still_chance: float


Games = dict[str, list[Turn]]


def cells_of(centres: np.ndarray, box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Which cells of a map (h, w) over a box of the frame hold any of these points (n, 2), x and y -> bool (h, w)."""
    h, w = shape
    held = np.zeros(shape, bool)
    column = np.floor((centres[:, 0] - box.left) / box.width * w).astype(int)
    row = np.floor((centres[:, 1] - box.top) / box.height * h).astype(int)
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    held[row[inside], column[inside]] = True
    return held


def digit_cells(found: Explanation, facts: VideoFacts, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Where in the maps of a video the moving and the still digit are, bool (g, h, w) each."""
    moving, still = np.zeros(found.maps.shape, bool), np.zeros(found.maps.shape, bool)
    for number, cluster in zip(found.video.seen.tolist(), found.video.assignment, strict=True):
        if facts.kinds[number] == Kind.MAIN:
            moving[cluster] |= cells_of(facts.centres[number][None], box, moving.shape[1:])
        elif facts.kinds[number] == Kind.DISTRACTOR:
            still[cluster] |= cells_of(facts.distractor_centre[None], box, moving.shape[1:])
    return moving, still


def turns_of(maps: np.ndarray, moving: np.ndarray, still: np.ndarray) -> Games:
    """The turns of one video: its maps (g, h, w), and which of their places are on the digits, bool (g, h, w)."""
    best = np.unravel_index(maps.argmax(), maps.shape)
    largest = maps.sum((1, 2)).argmax()
    shows_moving, shows_still = moving.any((1, 2)), still.any((1, 2))  # (g,)
    games = {
        "highest place": [Turn(bool(moving[best]), bool(still[best]), moving.mean(), still.mean())],
        "largest addition": [
            Turn(bool(shows_moving[largest]), bool(shows_still[largest]), shows_moving.mean(), shows_still.mean())
        ],
        "place in cluster": [],
    }
    for cluster in np.flatnonzero(shows_moving):
        place = np.unravel_index(maps[cluster].argmax(), maps[cluster].shape)
        here, other = moving[cluster], still[cluster]
        games["place in cluster"].append(Turn(bool(here[place]), bool(other[place]), here.mean(), other.mean()))
    return games


def play(
    model: TSN, config: Config, data: Path, number: int, chunk: int, on_video: Callable[[], object] = lambda: None
) -> str:
    """The games on `number` videos, evenly spaced over the validation list of a data set, as a table.

    InputError where the folder holds no videos of Move4MNIST. `on_video` is called after each.
    """
    if not (data / ABOUT).is_file():
        raise InputError(f"{data} has no {ABOUT}: --pointing takes a data set of tools/make_move4mnist.py")
    config = replace(config, root_path=str(data))
    videos = listed_videos(config)
    most = min(number, len(videos))
    chosen = [videos[i * len(videos) // most] for i in range(most)]
    box = eval_transform(SIZE, SIZE, None, config.frame_size).box
    view_of = partial(eval_transform, rng=None, size=config.frame_size)
    games: Games = {}
    for video in chosen:
        facts = facts_of(data, video.path)
        if facts is None:
            raise InputError(f"{data}: {ABOUT} tells nothing of {video.path}; make the data set again")
        frames = hold([open_store(data / video.path).load(config.spec, range(video.num_frames), view_of)])
        found = explain(model, config, frames, chunk, video.label)
        for game, turns in turns_of(found.maps, *digit_cells(found, facts, box)).items():
            games.setdefault(game, []).extend(turns)
        on_video()
    return table(games, len(chosen))


def table(games: dict[str, Sequence[Turn]], videos: int) -> str:
    """The games in lines, with Wilson's interval where a video is one turn: several of one video go together."""
    lines = [f"{videos} videos; in brackets 95 % intervals"]
    for game, turns in games.items():
        if not turns:
            continue
        for digit in ("moving", "still"):
            hits = sum(getattr(turn, digit) for turn in turns)
            chance = 100 * float(np.mean([getattr(turn, f"{digit}_chance") for turn in turns]))
            interval = f" ({wilson(hits, videos)})" if len(turns) == videos else ""
            share = f"{100 * hits / len(turns):.1f} %{interval} of {len(turns)}"
            lines.append(f"{game:<17} on the {digit} digit: {share}; by chance {chance:.1f} %")
    return "\n".join(lines)
