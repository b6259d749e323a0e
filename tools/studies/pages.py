"""Parts of the pages that studies write."""

from collections.abc import Iterable, Sequence

from tools.studies.results import Results


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of figures stand to the right."""
    rows = list(rows)
    right = [all(row[i][:1] in "+-0123456789" for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if is_number else "---" for is_number in right], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def where_and_when(results: Results) -> str:
    """The machines, releases and dates of all cells, in a paragraph."""
    machine, torch, revision, date = (
        ", ".join(sorted({getattr(result, name) for result in results.values()}))
        for name in ("machine", "torch", "revision", "date")
    )
    return f"""\
**Where and when.** {machine}, one thread a cell, PyTorch {torch}, program revision {revision}; {date}."""
