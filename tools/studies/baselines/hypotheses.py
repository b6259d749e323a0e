"""What the study of the baselines expected, written down before it was run."""

from tools.studies.baselines.plan import Cell
from tools.studies.move4mnist.hypotheses import Hypothesis


def cell(system: str, cut: str = "none") -> Cell:
    return Cell("t128", system, cut, 0)


ON_SAMPLES = ("tsn", "trn", "trn-multiscale", "tsm", "tsm-past", "non-local", "stm", "mlp", "actionvlad", "videograph")
HYPOTHESES = [
    Hypothesis(
        "TSM behind slope's cuts of all frames beats every system of the thin ResNet on 16 sampled frames",
        [(cell("tsm", "slope"), cell(name)) for name in ON_SAMPLES],
    ),
    Hypothesis(
        "No system on 16 sampled frames beats another by much where they show little: none is 15 points above TSM",
        [(cell("tsm"), cell(name)) for name in ON_SAMPLES if name != "tsm"],
        -15,
    ),
    Hypothesis(
        "Every system does better behind slope's cuts than on sampled frames",
        [(cell(name, "slope"), cell(name)) for name in ON_SAMPLES],
    ),
    Hypothesis(
        "Dynamic images of 16 windows, which see nearly all frames, beat all systems on 16 sampled frames",
        [(cell("di"), cell(name)) for name in ON_SAMPLES],
    ),
    Hypothesis(
        "... and TSM behind slope's cuts beats them",
        [(cell("tsm", "slope"), cell("di"))],
    ),
    Hypothesis(
        "What knows an order of its steps beats what does not: TSM beats TSN behind slope's cuts",
        [(cell("tsm", "slope"), cell("tsn", "slope"))],
    ),
    Hypothesis(
        "TRN-Multiscale and STM come within 10 points of TSM behind slope's cuts",
        [(cell(name, "slope"), cell("tsm", "slope")) for name in ("trn-multiscale", "stm")],
        -10,
    ),
]
