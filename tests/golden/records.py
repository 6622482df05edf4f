"""Reads the golden records of the log: what a consumer of those topics would have got."""

import base64
import json
from pathlib import Path
from typing import Any, Literal

from pipeline.records import Changelog, Record

HERE = Path(__file__).parent
FIRST = HERE / "schema-1"  # taken from commit eb0edda: see README.md

Run = Literal["exactly_once", "low_latency"]
Role = Literal["predictions", "dead_letters", "state"]


def facts(run: Run) -> dict[str, Any]:
    """What was noted when the records were taken: topics, their ends, what their audit said."""
    found: dict[str, Any] = json.loads((FIRST / run / "facts.json").read_text())
    return found


def records(run: Run, role: Role) -> list[Record]:
    """All records of a topic, partition by partition in the log's order."""
    lines = (FIRST / run / f"{role}.jsonl").read_text().splitlines()
    return [_record(json.loads(line)) for line in lines]


def changelog(run: Run, partition: int) -> Changelog:
    """The newest record of every key, as the broker gives it to who restores a partition."""
    newest: dict[bytes, Record] = {}
    for record in records(run, "state"):
        if record.partition == partition and record.key is not None:
            newest[record.key] = record
    start, end = facts(run)["bounds"]["frames"][str(partition)]
    return Changelog({k: r for k, r in newest.items() if r.value is not None}, start, end)


def _record(said: dict[str, Any]) -> Record:
    return Record(
        partition=said["partition"],
        offset=said["offset"],
        timestamp_ms=said["timestamp_ms"],
        key=_content(said["key"]),
        value=_content(said["value"]),
        headers=tuple((name, _content(content) or b"") for name, content in said["headers"]),
    )


def _content(said: dict[str, str] | None) -> bytes | None:
    if said is None:
        return None
    return said["text"].encode() if "text" in said else base64.b64decode(said["base64"])
