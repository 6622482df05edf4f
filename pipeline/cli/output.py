"""Files that a command writes for its user."""

from pathlib import Path

from pipeline.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Write a file. Raises `OutputError`."""
    _write(path, text, "w")


def try_to_write(path: Path) -> None:
    """See that a file can be written, before the work that is to fill it. Raises `OutputError`."""
    _write(path, "", "a")


def _write(path: Path, text: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise OutputError(f"cannot write {path}: {exc.strerror}") from exc
