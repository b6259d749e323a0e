"""The file that names a dataset's classes, one per line in the order of their labels."""

from pathlib import Path

from ops.errors import InputError


def read_categories(path: Path, num_class: int, needed: bool = False) -> list[str]:
    """The class names in a file, one per line in the order of labels; the labels themselves where there is no file.

    Raises InputError where it holds another number of names, or is `needed` and cannot be read.
    """
    if not path.is_file() and not needed:
        return [str(label) for label in range(num_class)]
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read category file {path}: {error}") from None
    if len(names) != num_class:
        raise InputError(f"{path} names {len(names)} classes, the dataset has {num_class}; correct either")
    return names
