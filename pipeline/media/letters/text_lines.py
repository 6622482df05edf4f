"""Text as records: each line of a file, or each object of JSON Lines. The only place for both."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from pipeline.errors import SourceError
from pipeline.wire.frames import LAST_US, STREAM_WANTED, is_stream_id
from pipeline.wire.json_text import UnreadableError, read_object, shown

FIELDS = ("stream", "captured_at")  # of an object, beside that of its letters
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LetterRecord:
    """One record of a source. Without `content` it ends its stream.

    `captured_us` counts from 1970; None: the source does not say when it was.
    """

    stream: str
    content: bytes | None
    captured_us: int | None = None


def plain_lines(lines: Iterable[tuple[int, bytes]], *, stream: str) -> Iterator[LetterRecord]:
    """Make a record of each line that is not blank."""
    for _, line in lines:
        if line.strip():
            yield LetterRecord(stream, line)


def json_lines(
    lines: Iterable[tuple[int, bytes]], *, name: str, stream: str, letters: str
) -> Iterator[LetterRecord]:
    """Make a record of each object: its letters, and if given its stream and time.

    `letters` is the field that holds them; null ends the stream. Raises `SourceError`.
    """
    for number, line in lines:
        if not line.strip():
            continue
        try:
            yield _record(read_object(line), stream, letters)
        except UnreadableError as exc:
            raise SourceError(f"{name} line {number}: {exc}") from None


def _record(one: dict[str, JsonValue], stream: str, letters: str) -> LetterRecord:
    unknown = sorted(one.keys() - {letters, *FIELDS})
    if unknown or letters not in one:
        found = f"the field {shown(unknown[0])}" if unknown else f"no {letters}"
        raise UnreadableError(f"it has {found}; wanted {letters}, and if known stream, captured_at")
    named, content = one.get("stream", stream), one[letters]
    if not isinstance(named, str) or not is_stream_id(named):
        raise UnreadableError(f"stream is {shown(named)}; wanted {STREAM_WANTED}")
    if content is not None and not isinstance(content, str):
        raise UnreadableError(f"{letters} is {shown(content)}; wanted a text, or null at the end")
    captured = one.get("captured_at")
    return LetterRecord(
        named,
        None if content is None else content.encode(),
        None if captured is None else _captured_us(captured),
    )


def _captured_us(captured: JsonValue) -> int:
    try:
        moment = datetime.fromisoformat(str(captured))
    except ValueError:
        moment = None
    if not isinstance(captured, str) or moment is None or moment.tzinfo is None:
        raise UnreadableError(
            f"captured_at is {shown(captured)}; wanted a time such as 2026-11-30T21:45:00.000Z"
        )
    us = (moment - _EPOCH) // timedelta(microseconds=1)
    if not 0 <= us <= LAST_US:
        raise UnreadableError(f"captured_at is {shown(captured)}, before 1970")
    return us
