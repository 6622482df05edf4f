"""Reads durations as people write them."""

import re

import typer

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
MOST_S = 100 * 365 * 86_400


def read_duration(text: str) -> int:
    """Read a duration such as 90m, 6h or 7d. Returns milliseconds."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    seconds = int(found[1]) * UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= MOST_S:
        raise typer.BadParameter(f"{text!r}; wanted a number and s, m, h, d or w, such as 6h or 7d")
    return seconds * 1000
