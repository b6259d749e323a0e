"""docs/baselines_table.md from results: every figure in it is computed here, and so are the verdicts."""

from pathlib import Path

from ops.data.modality import MODALITIES
from ops.files import write_whole
from tools.studies.baselines.hypotheses import HYPOTHESES
from tools.studies.baselines.plan import STAGES, SYSTEMS, Baselines, Cell, G
from tools.studies.move4mnist.plan import CUTS, SETS
from tools.studies.move4mnist.report import accuracy, seconds, verdicts
from tools.studies.pages import table, where_and_when
from tools.studies.results import Results, read_csv, seeds_of

FRAMES = 128

HEAD = """\
# All systems on the same videos

Written by `python tools/study.py report --study baselines` from the logs of the runs; nothing here is filled in by
hand. All figures are in [baselines_table.csv](baselines_table.csv), a row a cell. `python tools/study.py run --study
baselines` runs what has not been run, `plan` prints the command of every cell, `check CELL` runs one again. What each
system is, and how it differs from its paper: [Baselines](baselines.md).

**What was run.** {cells} cells on [Move4MNIST](move4mnist.md) with the data, schedules and numbers of epochs that the
[first study](results.md) has for its videos of {frames} frames. Each system is thin: a ResNet of 12 to 96 channels, a
quarter of MobileNetV2's channels, an eighth of BNInception's, 32 x 32 pixels. Each learns by itself in three steps:
{easy} epochs on 1000 videos of 32 frames without a background, {medium} on 1000 with one, {t128} on {train} videos of
{frames} frames, of which a digit moves in 14 to 18. Sampled, it sees {g} frames a video all the way, drawn anew in each
epoch; behind clusters, {g} means of all frames, of random cuts in the first two steps and of the cuts named in the
third. ActionVLAD and VideoGraph begin on the weights that TSM has after two steps: ActionVLAD's classifier learns on
`medium` first, and VideoGraph sees the third step alone. Accuracy is top-1 in percent on {val} videos after the last
epoch, mean ± standard deviation over seeds {seeds}; none is chosen by its accuracy. Chance is 25.

{where}

**What this is not.** The same budget for all, and the first study's rates: no system was tuned, and some would gain by
it. The MLP learns with its backbone from the start by SGD here; the published one sees frozen features, with Adam.
VideoGraph has 200 steps, and its slow averages want some hundred. From frames, MobileNetV2 never left chance, in
training either: so few epochs at 32 pixels do not do for it. From differences of frames (`RGBDiff`), with AdamW, it
learns; TSM stands beside it with the rates of all. TSN sees single frames, which do not
tell a direction. The videos show little in most frames, which is where sampling is weak. No published accuracy was
reproduced.
"""


def parameters(results: Results, system: str) -> str:
    """The parameters of a system's network on sampled frames; STM has fewer behind clusters."""
    found = {result.parameters for cell, result in results.items() if cell.system == system and cell.cut == "none"}
    return f"{max(found):,}" if found else "-"


def frames_seen(system: str) -> str:
    """How many frames of a video the network takes in, sampled."""
    stack = MODALITIES[SYSTEMS[system].modality].stack
    return f"{G} windows of {stack}" if stack > 1 else str(G)


def systems(results: Results) -> str:
    columns = {
        "32 frames, sampled": ("medium", "none"),
        f"{FRAMES} frames, sampled": ("t128", "none"),
        "32 frames, random cuts": ("medium", "random"),
        f"{FRAMES} frames, slope": ("t128", "slope"),
    }
    rows = [
        (
            system.title,
            parameters(results, name),
            frames_seen(name),
            *(accuracy(results, Cell(data, name, cut, 0)) for data, cut in columns.values()),
        )
        for name, system in SYSTEMS.items()
    ]
    return f"""\
## Sampled, and behind clusters

32 frames: after the first two steps, on videos that show the moving digit in half of their frames, to see whether a
system learns at all. Behind cuts, it sees all frames.

{table(("", "parameters", "frames, sampled", *columns), rows)}"""


def cuts(results: Results) -> str:
    names = {"none": f"{G} sampled frames"} | {cut: f"{cut}, all frames" for cut in CUTS}
    cells = {text: Cell("t128", "tsm", cut, 0) for cut, text in names.items()}
    rows = [(text, accuracy(results, cell), seconds(results, cell)) for text, cell in cells.items()]
    return f"""\
## TSM behind all cuts

{FRAMES} frames; seconds of training in the third step, one thread, beside other work.

{table(("", "top-1 (%)", "seconds"), rows)}"""


def write(results: Results) -> str:
    """The whole page."""
    train, val, _ = SETS["t128"]
    facts = {"cells": len(results), "frames": FRAMES, "train": train, "val": val, "g": G, **STAGES}
    seeds = ", ".join(map(str, seeds_of(results)))
    expected = f"""\
## What was expected, and what came out

Written down before the study was run ([hypotheses.py](../tools/studies/baselines/hypotheses.py)). Each is compared seed
by seed: **held** means for all seeds and systems that it names, **failed** for none, **mixed** for some.

{verdicts(results, HYPOTHESES)}"""
    head = HEAD.format(seeds=seeds, where=where_and_when(results), **facts)
    return "\n".join((head, systems(results), cuts(results), expected))


def write_page(out: Path) -> None:
    """The page from the table in `out`/docs."""
    docs = out / "docs"
    write_whole(docs / "baselines_table.md", write(read_csv(docs / "baselines_table.csv", Baselines)).encode())
