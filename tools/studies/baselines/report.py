"""docs/baselines_table.md from results: every figure in it is computed here, and so are the verdicts."""

from pathlib import Path


def write_page(out: Path) -> None:
    """The page from the table in `out`/docs."""
    raise NotImplementedError(out)
