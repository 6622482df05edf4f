"""`python -m tests.bench.page`: what the live page costs a browser when it shows many streams.

Each stream has a frame and a prediction at each step, without a log. Chromium reports each task of
more than 50 ms by itself (the Long Tasks API), and what its page's process holds.
"""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from pipeline.clock import SystemClock
from tests.bench.machine import machine
from tests.page.browser import DESKTOP, Page, browsing
from tests.page.filming import Filming, Running
from tests.page.served_wall import ServedWall

MOST_TASK_MS, MOST_MB = 200, 250  # promised for 200 streams
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.longTasks.push(one.duration);
}).observe({ type: "longtask", buffered: true });
"""
SCROLL = (
    "window.scrollBy(0, window.scrollY + innerHeight >= document.body.scrollHeight ? -1e6 : 300)"
)


def main(
    streams: Annotated[int, typer.Option(min=1, help="Streams on the page.")] = 200,
    seconds: Annotated[float, typer.Option(min=5, help="How long it is looked at.")] = 60.0,
    rate_hz: Annotated[float, typer.Option(min=0.1, help="Frames a second of each.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
) -> None:
    """Scroll through a wall of streams; exit with 1 if the promise for 200 streams is not kept.

    Example: `python -m tests.bench.page --streams 200 --seconds 60`
    """
    clock = SystemClock()
    site = ServedWall(clock, most_streams=streams)
    filming = Filming(site.wall, [f"cam-{n:04}" for n in range(streams)], clock)
    filming.step()
    running = Running(filming, every_s=1 / rate_hz)
    try:
        with TemporaryDirectory() as folder, browsing(Path(folder)) as page:
            figures = look(page, site, seconds)
    finally:
        running.close()
        site.stop()
    figures |= {"streams": streams, "steps": filming.taken, "seconds": seconds}
    Console().print(figures)
    if json_file is not None:
        json_file.write_text(json.dumps({**figures, "machine": machine()}, indent=1))
    if figures["longest_task_ms"] > MOST_TASK_MS or figures["page_mb"] > MOST_MB:
        raise typer.Exit(1)


def look(page: Page, site: ServedWall, seconds: float) -> dict[str, float]:
    """Scroll the page for a while; return its longest task and its memory."""
    page.show(DESKTOP, "light")
    page.driver.get(site.address)
    page.driver.execute_script(WATCH)
    page.says("#summary", "streams live")
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        page.driver.execute_script(SCROLL)
        time.sleep(0.5)
    tasks = page.driver.execute_script("return window.longTasks")
    return {
        "long_tasks": len(tasks),
        "longest_task_ms": round(max(tasks, default=0.0)),
        "page_mb": round(page_mb()),
        "tiles": page.driver.execute_script("return document.querySelectorAll('.tile').length"),
    }


def page_mb() -> float:
    """Return the memory of the largest process that renders a page, in MB.

    Of what it shares with others, as the browser's program, only its part counts (Pss of Linux).
    """
    sizes = [
        (process / "smaps_rollup").read_text()
        for process in Path("/proc").glob("[0-9]*")
        if b"--type=renderer" in (process / "cmdline").read_bytes()
    ]
    return max(int(size.partition("Pss:")[2].split()[0]) / 1000 for size in sizes)


if __name__ == "__main__":
    typer.run(main)
