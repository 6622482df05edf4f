"""The pages that are open: what each can see now, and the events that it is sent.

A page gets the rows of all streams when they change, and the tiles of those that it shows.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.live.wall import Wall
from pipeline.wire.frames import is_stream_id

MOST_WATCHERS = 30
MOST_VISIBLE = 100  # tiles of one page


class Watcher:
    """One open page."""

    def __init__(self, wall: Wall) -> None:
        self.id = secrets.token_urlsafe(16)
        self._wall = wall
        self._visible: tuple[str, ...] = ()
        self._open: str | None = None
        self._rows: Mapping[str, tuple[str, str]] = {}
        self._sent: dict[str, Any] = {}

    def look_at(self, visible: tuple[str, ...], opened: str | None) -> None:
        """Set which tiles the page shows, and the stream whose own page is open."""
        self._visible, self._open = visible[:MOST_VISIBLE], opened
        self._sent = {}

    def events(self) -> Iterator[bytes]:
        """Yield what has changed since the last call, as server-sent events."""
        rows = self._wall.rows()
        changed = {name: row for name, row in rows.items() if self._rows.get(name) != row}
        gone = [name for name in self._rows if name not in rows]
        self._rows = rows
        yield event("rows", {"changed": changed, "gone": gone} | self._wall.summary())
        shown = {name: self._wall.tile(name) for name in self._visible}
        tiles = {
            name: tile
            for name, tile in shown.items()
            if tile is not None and self._sent.get(name) != tile
        }
        self._sent = shown
        if tiles:
            yield event("tiles", list(tiles.values()))
        if self._open is not None:
            yield event("detail", self._wall.detail(self._open) or {"stream": self._open})


class Watchers:
    """The open pages, at most MOST_WATCHERS. Used by the server's event loop alone."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self._watchers: dict[str, Watcher] = {}

    def add(self) -> Watcher | None:
        """Open another page; None if there are too many."""
        if len(self._watchers) >= MOST_WATCHERS:
            return None
        made = Watcher(self._wall)
        self._watchers[made.id] = made
        return made

    def remove(self, watcher: Watcher) -> None:
        """Forget a page that was closed."""
        self._watchers.pop(watcher.id, None)

    def look(self, body: bytes) -> bool:
        """Take what a page says that it shows. Returns False if that cannot be understood."""
        try:
            said = json.loads(body)
            watcher = self._watchers[said["watcher"]]
            visible, opened = said["visible"], said["open"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        names = [*visible, *([] if opened is None else [opened])] if _is_list(visible) else [None]
        if not all(isinstance(name, str) and is_stream_id(name) for name in names):
            return False
        watcher.look_at(tuple(visible), opened)
        return True


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def event(name: str, content: object) -> bytes:
    """Return one server-sent event. JSON has no line breaks of its own."""
    return f"event: {name}\ndata: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
