"""The benchmark's table, and the promises that are checked with its figures."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

from tests.bench.video.costs import CostPair, SideCost

Side = Literal["jpeg", "h264"]
SIDES: Mapping[Side, str] = {"jpeg": "JPEG", "h264": "H.264"}
FEWER_BYTES, MORE_CPU = 8.0, 1.6  # promised at 720p: JPEG's bytes / H.264's; H.264's CPU / JPEG's
PROMISED_SIZE = "720p"


@dataclass(frozen=True, slots=True)
class FilmCosts:
    """What was measured of one film: pictures of a size, in groups of a length.

    `whole_ms`: CPU of whole workers, JPEG and H.264 by turns; empty if none were run.
    """

    size: str
    group_s: float
    passes: Sequence[CostPair]
    whole_ms: Sequence[tuple[float, float]] = ()

    def median(self, side: Side, figure: Callable[[SideCost], float]) -> float:
        """Return the median of the passes."""
        return statistics.median(figure(getattr(one, side)) for one in self.passes)

    def ratio(self, figure: Callable[[SideCost], float]) -> float:
        """Return H.264 / JPEG: the median of the ratios of each pass."""
        return statistics.median(figure(one.h264) / figure(one.jpeg) for one in self.passes)

    @property
    def whole_ratio(self) -> float | None:
        """H.264 / JPEG of whole workers, the median of the runs."""
        return (
            statistics.median(h264 / jpeg for jpeg, h264 in self.whole_ms)
            if self.whole_ms
            else None
        )


@dataclass(frozen=True, slots=True)
class Promise:
    """A limit that was promised, and what was measured."""

    words: str
    measured: float
    reached: bool

    def __str__(self) -> str:
        return f"{'reached' if self.reached else 'NOT reached'}: {self.words}: {self.measured:.2f}"


def promises(measured: Sequence[FilmCosts]) -> list[Promise]:
    """Check what is promised at 720p, for each length of group."""
    found = list[Promise]()
    for film in measured:
        if film.size != PROMISED_SIZE:
            continue
        where = f"{film.size}, groups of {film.group_s:g} s"
        fewer, more = 1 / film.ratio(lambda side: side.kb), film.ratio(lambda side: side.worker_ms)
        found += [
            Promise(
                f"{where}: at least {FEWER_BYTES:g} times fewer bytes than JPEG",
                fewer,
                fewer >= FEWER_BYTES,
            ),
            Promise(
                f"{where}: at most {MORE_CPU:g} times its CPU to decode and fit",
                more,
                more <= MORE_CPU,
            ),
        ]
        if (whole := film.whole_ratio) is not None:
            words = f"{where}: at most {MORE_CPU:g} times its CPU of the whole worker"
            found.append(Promise(words, whole, whole <= MORE_CPU))
    return found


def table(measured: Sequence[FilmCosts], caption: str) -> Table:
    """Return all figures: three lines for each film."""
    whole = any(film.whole_ms for film in measured)
    shown = Table(caption=caption)
    for name in ("size", "group", ""):
        shown.add_column(name)
    for name in (
        "KB/frame",
        "producer ms",
        "worker ms",
        *["whole worker ms"] * whole,
        "restore ms",
    ):
        shown.add_column(name, justify="right")
    for film in measured:
        for side, name in SIDES.items():
            place = (film.size, f"{film.group_s:g} s") if side == "jpeg" else ("", "")
            shown.add_row(*place, name, *_figures(film, side, whole=whole))
        shown.add_row("", "", "H.264 / JPEG", *_ratios(film, whole=whole), end_section=True)
    return shown


def _figures(film: FilmCosts, side: Side, *, whole: bool) -> list[str]:
    restore = "0"
    if side == "h264":
        mean_ms = film.median(side, lambda one: one.restore_ms)
        restore = f"{mean_ms:.0f}, most {film.median(side, lambda one: one.most_restore_ms):.0f}"
    wholes = [pair[side == "h264"] for pair in film.whole_ms]
    return [
        f"{film.median(side, lambda one: one.kb):.1f}",
        f"{film.median(side, lambda one: one.producer_ms):.2f}",
        f"{film.median(side, lambda one: one.worker_ms):.2f}",
        *([f"{statistics.median(wholes):.2f}" if wholes else "-"] * whole),
        restore,
    ]


def _ratios(film: FilmCosts, *, whole: bool) -> list[str]:
    shown = [
        f"1 / {1 / film.ratio(lambda side: side.kb):.1f}",
        f"{film.ratio(lambda side: side.producer_ms):.2f}",
        f"{film.ratio(lambda side: side.worker_ms):.2f}",
    ]
    if whole:
        shown.append("-" if film.whole_ratio is None else f"{film.whole_ratio:.2f}")
    return shown


def figures(measured: Sequence[FilmCosts], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all figures for JSON, pass by pass."""
    return {
        **about,
        "films": [asdict(film) for film in measured],
        "promises": [asdict(promise) for promise in promises(measured)],
    }
