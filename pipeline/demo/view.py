"""The screen of the demo: a live table, or plain lines if the output is not a terminal."""

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.offline.scoring import Score
from pipeline.text.terminal import Terminal, plain
from pipeline.wire.predictions import Prediction

RATE_WINDOW_S = 3.0
PLAIN_EVERY_S = 2.0
TRAIL = 5


@dataclass(slots=True)
class StreamView:
    """The newest prediction of one stream, and the last few labels."""

    name: str
    score: Score
    confidence: float = 0.0
    frames: int = 0
    remembered_s: float = 0.0
    age_ms: float = 0.0
    arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    trail: deque[str] = field(default_factory=lambda: deque(maxlen=TRAIL))

    def enter(self, prediction: Prediction, *, age_ms: float, now_s: float) -> None:
        """Enter a prediction. The cameras of the demo number their frames."""
        label = prediction.label
        if prediction.seq is not None:
            self.score.enter(prediction.seq, label)
        self.confidence = prediction.confidence
        self.frames, self.remembered_s = prediction.frames + 1, prediction.age_s
        self.age_ms = age_ms
        self.arrivals_s.append(now_s)
        if not self.trail or self.trail[-1] != label:
            self.trail.append(label)

    def fps(self, now_s: float) -> float:
        """Return the predictions a second over the last `RATE_WINDOW_S`."""
        return sum(now_s - t <= RATE_WINDOW_S for t in self.arrivals_s) / RATE_WINDOW_S


class View:
    """Shows the streams until it is closed."""

    def __init__(self, console: Terminal, streams: list[StreamView], *, title: str) -> None:
        self._console = console
        self._streams = streams
        self._title = title
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._printed_s = 0.0

    def __enter__(self) -> "View":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, *, worker: str, elapsed_s: float) -> None:
        """Draw the current state; without a terminal, print a line every `PLAIN_EVERY_S`."""
        now_s = time.monotonic()
        if self._live is not None:
            self._live.update(self.render(worker=worker, elapsed_s=elapsed_s, now_s=now_s))
        elif now_s - self._printed_s >= PLAIN_EVERY_S:
            self._printed_s = now_s
            self._console.print(
                f"{elapsed_s:6.1f} s  "
                + "  ".join(
                    f"{s.name}: {s.score.label or '-'} {s.confidence:.2f}" for s in self._streams
                ),
                soft_wrap=True,
            )

    def render(self, *, worker: str, elapsed_s: float, now_s: float) -> Panel:
        """Return the current state as one panel."""
        table = Table(expand=True, box=None, pad_edge=False, header_style="dim")
        table.add_column("camera", no_wrap=True)
        table.add_column("sees", no_wrap=True)
        table.add_column("confidence", min_width=12)
        table.add_column("", justify="right")
        table.add_column("before that", style="dim", no_wrap=True, ratio=1)
        for name in ("remembers", "age", "fps", "right"):
            table.add_column(name, justify="right", no_wrap=True)
        for s in self._streams:
            table.add_row(*self._row(s, now_s))
        worker_line = Text.assemble(
            plain(worker, "bold"),
            "   " if "process" not in worker else "   kill -9 it: the memory survives   ",
            ("Ctrl-C ends the demo", "dim"),
        )
        return Panel(
            Group(table, Text(), worker_line),
            title=Text.assemble(("longtake", "bold"), "  ", plain(self._title)),
            subtitle=f"{elapsed_s:.0f} s",
            border_style="cyan",
        )

    @staticmethod
    def _row(s: StreamView, now_s: float) -> tuple[Text | ProgressBar | str, ...]:
        if s.score.label is None:
            return (s.name, plain("waiting", "dim"), "", "", "", "", "", "", "")
        accuracy = "" if s.score.accuracy is None else f"{s.score.accuracy:.0%}"
        return (
            plain(s.name, "bold"),
            plain(s.score.label, "bold green"),
            ProgressBar(total=1.0, completed=s.confidence, width=12),
            f"{s.confidence:.2f}",
            " < ".join(list(s.trail)[-2::-1]),
            f"{s.frames} frames",
            f"{s.age_ms:.0f} ms",
            f"{s.fps(now_s):.1f}",
            accuracy,
        )
