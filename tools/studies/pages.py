"""Parts of the pages that studies write."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns of figures stand to the right."""
    rows = list(rows)
    right = [all(row[i][:1] in "+-0123456789" for row in rows) for i in range(len(head))]
    lines = [head, ["---:" if is_number else "---" for is_number in right], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
