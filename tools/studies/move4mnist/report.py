"""docs/results.md from results: every figure in it is computed here, and so are the verdicts."""

from collections.abc import Sequence
from pathlib import Path

from ops.evaluation.gradient_agreement import ANGLES, agreements
from ops.evaluation.statistics import mean_and_spread
from ops.files import write_whole
from tools.studies.move4mnist import figures
from tools.studies.move4mnist.hypotheses import HYPOTHESES, Hypothesis, judge
from tools.studies.move4mnist.plan import (
    CLUSTERS,
    COST,
    CUTS,
    EMPTINESS,
    EPOCHS,
    EQUAL_TIME,
    FRAMES,
    METHODS,
    PAPER,
    SETS,
    Cell,
    Move4MNIST,
)
from tools.studies.pages import table, where_and_when
from tools.studies.results import Cost, Pairs, Results, over_seeds, read_cost, read_csv, read_pairs_of, seeds_of

HEAD = """\
# Results of the study

This page is on made videos; [gestures](gestures.md) has the same methods on real ones.

Written by `python tools/study.py report` from the logs of the runs; nothing here is filled in by hand. All figures are
in [results.csv](results.csv), a row a cell. `bash scripts/study.sh` makes data, runs and this page anew, and goes on
where it was interrupted; `--quick` takes a small part. `python tools/study.py plan` prints the command of every cell,
`python tools/study.py check CELL` runs one again: on the same machine it gives the same figures, to the digit.

**What was run.** {cells} cells on Move4MNIST: a digit moves left, right, up or down in 14 to 18 frames of a video, a
second one stands still in 5 to 7, all others are empty. Network: a thin ResNet (12 to 96 channels) on 32 x 32 pixels,
with temporal shift. All methods tune the same starting weights for {epochs} epochs over {train} videos (batch 8,
learning rate 0.003 falling as a cosine) and differ in nothing but how a video becomes `g` representations. The starting
weights were trained on 32-frame videos cut **at random**, so that they know none of the methods compared. Accuracy is
top-1 on {val} videos after the last epoch; none is chosen by its accuracy. Tables show mean ± standard deviation over
seeds {seeds}; a seed changes everything: videos, weights, order and crops. {val} videos leave a standard error of 1.5
to 3 points to each run. Runs made now draw other crops and orders than these did and should agree within the spreads;
`check` repeats runs made by the same revision.

{where}

**What this is not.** A toy set, a toy network and short tuning: it shows what the methods do and when they differ, not
what they reach on real videos. None of the published accuracies has been reproduced.
"""


def accuracy(results: Results, cell: Cell) -> str:
    """`88.7 ± 1.2`, with the number of seeds where some are missing; `-` for none."""
    values = over_seeds(results, cell)
    if not values:
        return "-"
    mean, deviation = mean_and_spread(values.values())
    text = f"{mean:.1f} ± {deviation:.1f}" if len(values) > 1 else f"{mean:.1f}"
    if 1 < len(values) < len(seeds_of(results)):
        text += f" ({len(values)} seeds)"
    return text


def seconds(results: Results, cell: Cell) -> str:
    """Seconds of training, mean over seeds."""
    values = over_seeds(results, cell, "seconds").values()
    return f"{mean_and_spread(values)[0]:.0f}" if values else "-"


def verdicts(results: Results, some: Sequence[Hypothesis]) -> str:
    """A table of what was expected, and what came out."""
    rows = []
    for number, hypothesis in enumerate(some, 1):
        verdict = judge(hypothesis, results)
        low, high = min(verdict.differences, default=0), max(verdict.differences, default=0)
        mean = sum(verdict.differences) / max(1, len(verdict.differences))
        figures = (f"{mean:+.1f} ({low:+.1f} to {high:+.1f})", f"{verdict.held} of {len(verdict.differences)}")
        rows.append((str(number), hypothesis.claim, f"**{verdict.word}**", *(figures if verdict.differences else "--")))
    return table(("", "expected", "verdict", "difference in points, mean (range)", "held in"), rows)


def hypotheses(results: Results) -> str:
    return f"""\
## What was expected, and what came out

Written down when the study had just begun, from what smaller runs had suggested
([hypotheses.py](../tools/studies/move4mnist/hypotheses.py)). Each is compared seed by seed: **held** means for all
seeds and settings that it names, **failed** for none, **mixed** for some.

{verdicts(results, HYPOTHESES)}"""


def sparsity(results: Results) -> str:
    parts = []
    for g in CLUSTERS:
        rows = [(method, *(accuracy(results, Cell(data, method, g, 0)) for data in FRAMES)) for method in METHODS]
        if g == 16:
            cells = [Cell(data, "uniform", g, 0, epochs) for data, epochs in EQUAL_TIME.items()]
            rows.append(
                (
                    f"uniform, {'/'.join(map(str, EQUAL_TIME.values()))} epochs",
                    *(accuracy(results, cell) for cell in cells),
                )
            )
        parts.append(f"`g = {g}`, top-1 in percent:\n\n" + table(("", *(f"{t} frames" for t in FRAMES.values())), rows))
    rows = [(method, *(seconds(results, Cell(data, method, 16, 0)) for data in FRAMES)) for method in METHODS]
    rows.append(
        (
            "uniform, more epochs",
            *(seconds(results, Cell(data, "uniform", 16, 0, epochs)) for data, epochs in EQUAL_TIME.items()),
        )
    )
    times = table(("", *(f"{t} frames" for t in FRAMES.values())), rows)
    return f"""\
## Methods over sparsity

The moving digit is seen equally often in videos of 32, 64, 128 and 256 frames; runs of empty frames grow with the
video. `uniform` and `dense` are TSM on `g` sampled frames; the others see all frames and cut them into `g` clusters,
`random` and `even` without looking at them. Sampling is cheaper an epoch: with `g = 16`, `uniform` is therefore also
given so many epochs that it takes about the time of {EPOCHS} epochs of slope; what it took stands below.

![Accuracy over the number of frames for 4, 8 and 16 representations](../images/sparsity.png)

{chr(10).join(parts)}
Seconds of training, `g = 16`, one thread a cell and as many cells at a time as there are cores:

{times}"""


def emptiness(results: Results) -> str:
    rows = [
        (text, *(accuracy(results, Cell(data, method, 16, 0)) for method in CUTS)) for data, text in EMPTINESS.items()
    ]
    return f"""\
## Empty runs and backgrounds

128 frames, `g = 16`. Runs of empty frames are long (8, 12 or 16 frames) or short (1 to 3); behind them camera, light
and a thing move, or stand still.

![Accuracy for long and short empty runs before moving and still backgrounds](../images/emptiness.png)

{table(("empty runs, background", *CUTS), rows)}
Why: slope spends its `g - 1` cuts on the largest changes, whatever they are. A frame that turns black changes more
signs than a digit that appears, and that far more than a digit that moves by a pixel. Long runs have few ends, so that
cuts are left for the digit; short runs have many, and in the lower two videos every cut goes to black frames. Whether
the background moves hardly matters: its changes are small, and spread over all frames.

![Distance curves and slope's cuts on the four kinds of videos](../images/clusters_compare.png)
"""


def longer(results: Results) -> str:
    rows = [
        (str(epochs), *(accuracy(results, Cell("t128", method, 16, 0, epochs)) for method in CUTS))
        for epochs in (EPOCHS, 3 * EPOCHS)
    ]
    return f"""\
## Longer tuning

128 frames, `g = 16`, {EPOCHS} and {3 * EPOCHS} epochs.

{table(("epochs", *CUTS), rows)}"""


def placement(results: Results) -> str:
    rows = []
    for after in ("conv1", "layer1", "layer2", "layer3"):
        cumulative, slope = (Cell("t128", method, 16, 0, after=after) for method in PAPER)
        rows.append(
            (
                f"`{after}`",
                accuracy(results, cumulative),
                accuracy(results, slope),
                seconds(results, slope),
                accuracy(results, slope.start),
            )
        )
    return f"""\
## Where the clustering stands

128 frames, `g = 16`. Every place has starting weights of its own, trained with the clustering there; the last column is
their accuracy on the 32-frame videos that they were trained on. Temporal shift is only behind the clustering, so that a
later place leaves fewer blocks that mix frames.

{table(("clustering after", *PAPER, "seconds (slope)", "start"), rows)}"""


def gradients(results: Results) -> str:
    names = {
        "plain": "all frames at once",
        "exact": "in chunks of 32, exact",
        "representative": "in chunks of 32, one random frame a cluster",
    }
    rows = []
    for name, text in names.items():
        cumulative, slope = (Cell("t128", method, 16, 0, gradient=name) for method in PAPER)
        rows.append((text, accuracy(results, cumulative), accuracy(results, slope), seconds(results, slope)))
    return f"""\
## Gradients through one frame a cluster

The paper argues that frames of a cluster have like gradients, so that one may stand for all. 128 frames, `g = 16`.
In chunks, `tools/study.py` freezes the stem's BatchNorm. The numbers of November 2026 are older: BatchNorm trained
there, on the statistics of 32 frames spread over the batch, which the program no longer does.

{table(("gradient of the stem", *PAPER, "seconds (slope)"), rows)}"""


def test_clusters(results: Results) -> str:
    counts = (*CLUSTERS, 32)
    parts = []
    for method in PAPER:
        cells = {g: [Cell("t128", method, g, 0, g_test=g_test) for g_test in counts] for g in counts}
        rows = [(f"{g} in training", *(accuracy(results, cell) for cell in row)) for g, row in cells.items()]
        parts.append(table((f"`{method}`", *(f"{g_test} in testing" for g_test in counts)), rows))
    return f"""\
## Other numbers of clusters in testing

128 frames; `test_models.py --test_segments`.

{chr(10).join(parts)}"""


def agreement(pairs: Pairs) -> str:
    """Correlations of distances with angles, mean and spread over seeds."""
    names = {
        "hamming": "Hamming distance of signs",
        "activation_distance": "1 - cosine of activations",
        "pixel_distance": "difference of pixels",
    }
    kinds = {"neighbour": "neighbours", "random": "any two"}
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for (net, _), some in pairs.items():
        for row in agreements(some):
            found.setdefault((net, row.angle, row.kind, row.distance), []).append(row.spearman)

    def correlation(*key: str) -> str:
        mean, deviation = mean_and_spread(found[key])
        return f"{mean:.2f} ± {deviation:.2f}"

    nets = list(dict.fromkeys(net for net, _ in pairs))
    columns = [(net, kind) for net in nets for kind in kinds]
    head = ("", *(f"{net}, {kinds[kind]}" for net, kind in columns))
    tables = {
        angle: table(
            head,
            [
                (name, *(correlation(net, angle, kind, distance) for net, kind in columns))
                for distance, name in names.items()
            ],
        )
        for angle in ANGLES
    }

    def wins(control: str) -> str:
        """How often the Hamming distance tells the angle of weights better than another distance."""
        ours, theirs = (
            [value for net, kind in columns for value in found[net, ANGLES[0], kind, distance]]
            for distance in ("hamming", control)
        )
        return f"{sum(a > b for a, b in zip(ours, theirs, strict=True))} of {len(ours)}"

    number = sum(len(some) for some in pairs.values())
    return f"""\
## The premise: like signs, like gradients?

Clustering by signs rests on this: frames whose activations have the same signs have like gradients. For {number:,}
pairs of frames of 128-frame validation videos, `tools/gradient_agreement.py` measures how unlike two frames are, and
the angle between the gradients that each of them alone gives under the same gradient from above; for a trained network
(slope, `g = 16`) and one with new weights. Activations and pixels, compared without signs, are the controls.

![Angle between gradients over Hamming distance, trained and untrained](../images/gradient_agreement.png)

Rank correlation (Spearman, mean ± standard deviation over seeds) with the angle between gradients of the **stem's
weights**:

{tables["angle_degrees"]}
The same for the angle between gradients of the **frame**, that is of the stem's input:

{tables["input_angle_degrees"]}
The fewer signs differ, the smaller the angle. But signs are not special: compared by network, seed and kind of pairs,
they tell the angle of the weights' gradients better than activations do in {wins("activation_distance")} cases, and
better than plain differences of pixels in {wins("pixel_distance")}.
"""


def cost_section(rows: Cost) -> str:
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    frames = sorted({int(row["frames"]) for row in rows})
    by_place = {(row["kind"], int(row["frames"])): row for row in rows}
    body = [(kind, *(f"{by_place[kind, t]['step/TSM']:.2f}" for t in frames)) for kind in kinds]
    return f"""\
## Cost of a step

Time of a training step of a ResNet-18 on one video of 64 x 64 pixels, 16 representations, relative to TSM on all
frames; one thread, `python tools/benchmark.py {COST}`.

![Time of a training step over the number of frames](../images/cost.png)

{table(("", *(f"{t} frames" for t in frames)), body)}"""


SECTIONS = (sparsity, emptiness, longer, placement, gradients, test_clusters)


def write(results: Results, pairs: Pairs, costs: Cost) -> str:
    """The whole page."""
    train, val, _ = SETS["t128"]
    seeds = ", ".join(map(str, seeds_of(results)))
    where = where_and_when(results)
    head = HEAD.format(cells=len(results), epochs=EPOCHS, train=train, val=val, seeds=seeds, where=where)
    parts = [head, hypotheses(results), *(section(results) for section in SECTIONS)]
    if pairs:
        parts.append(agreement(pairs))
    if costs:
        parts.append(cost_section(costs))
    return "\n".join(parts)


def write_page(out: Path) -> None:
    """The page and its figures from the tables in `out`/docs."""
    docs, images = out / "docs", out / "images"
    cells = read_csv(docs / "results.csv", Move4MNIST)
    pairs, cost = read_pairs_of(docs / "gradients"), read_cost(docs / "cost.json")
    write_whole(docs / "results.md", write(cells, pairs, cost).encode())
    figures.draw_sparsity(cells, images / "sparsity.png")
    figures.draw_emptiness(cells, images / "emptiness.png")
    if pairs:
        figures.draw_agreement(pairs, images / "gradient_agreement.png")
    if cost:
        figures.draw_cost(cost, images / "cost.png")
