"""Records of letters are numbered in their streams, and streams end with their source."""

from pathlib import Path
from typing import Any

import pytest

from engines.model.inputs import LettersInput
from pipeline.cameras.letters.letter_publishing import LetterPublishing
from pipeline.clock import ManualClock
from pipeline.media.address import Address
from pipeline.media.letters.letter_source import open_letters
from pipeline.records import Headers, Record
from pipeline.wire.frames import read_frame

TEXT = LettersInput(kind="text", length=8, fit="cut")
BASES = LettersInput(kind="bases", length=4, fit="refuse")
TURNS = '{"stream":"a","text":"1"}\n{"stream":"b","text":"2"}\n{"stream":"a","text":"3"}\n'


class Published:
    """What a publishing has sent: streams, contents and headers, and how long it has waited."""

    def __init__(self, spec: LettersInput, **options: Any) -> None:
        self.sent: list[tuple[str, bytes | None]] = []
        self.headers: list[dict[str, bytes]] = []
        self.records: list[Headers] = []
        self.waited_s = 0.0
        self.in_flight = 0
        self._clock = ManualClock()
        self._spec = spec
        self.publishing = LetterPublishing(
            self._publish,
            lambda: self.in_flight,
            kind=spec.kind,
            clock=self._clock,
            pause=self._pause,
            **({"ends": True, "per_second": None} | options),
        )

    def _publish(self, stream: str, content: bytes | None, headers: Headers) -> None:
        self.sent.append((stream, content))
        self.headers.append(dict(headers))
        self.records.append(headers)

    def _pause(self, seconds: float) -> None:
        self.waited_s += seconds
        self.in_flight //= 2
        self._clock.advance(seconds)

    def run(self, path: Path, content: str) -> "Published":
        path.write_text(content)
        list(self.publishing.run(open_letters(Address.at(path), self._spec, stream="s")))
        return self


def test_each_stream_is_numbered_and_ended(tmp_path: Path) -> None:
    found = Published(TEXT).run(tmp_path / "chats.jsonl", TURNS)
    assert found.sent == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", None), ("b", None)]
    assert [one.get("seq") for one in found.headers] == [b"0", b"0", b"1", None, None]
    assert found.headers[0]["content-type"] == b"text/plain; charset=utf-8"
    assert "captured-at" not in found.headers[0]
    assert (found.publishing.records, found.publishing.streams) == (3, 2)


def test_a_sequence_ends_before_the_next_one_begins(tmp_path: Path) -> None:
    found = Published(BASES).run(tmp_path / "x.fa", ">one\nACGTAC\n>two\nGG\n")
    pieces: list[tuple[str, bytes | None]] = [("one", b"ACGT"), ("one", b"AC"), ("one", None)]
    assert found.sent == [*pieces, ("two", b"GG"), ("two", None)]
    assert found.headers[0]["content-type"] == b"text/x-iupac"


def test_streams_that_are_to_stay_open_are_not_ended(tmp_path: Path) -> None:
    assert Published(TEXT, ends=False).run(tmp_path / "t.txt", "a\nb\n").sent == [
        ("s", b"a"),
        ("s", b"b"),
    ]


def test_a_stream_that_ended_in_the_source_is_not_ended_again(tmp_path: Path) -> None:
    content = '{"text":"1"}\n{"text":null}\n'
    found = Published(TEXT).run(tmp_path / "chats.jsonl", content)
    assert found.sent == [("s", b"1"), ("s", None)]


def test_records_are_sent_at_the_rate_that_was_asked_for(tmp_path: Path) -> None:
    found = Published(TEXT, per_second=2.0).run(tmp_path / "t.txt", "a\nb\nc\n")
    assert found.waited_s == pytest.approx(1.0)


def test_what_the_broker_has_not_taken_is_bounded(tmp_path: Path) -> None:
    found = Published(TEXT)
    found.in_flight = 20_000
    found.run(tmp_path / "t.txt", "a\n")
    assert found.waited_s == pytest.approx(0.03)  # 10,000, 5,000 and 2,500 are left


def test_a_worker_reads_what_was_published(tmp_path: Path) -> None:
    line = '{"text":"hi","captured_at":"2026-11-30T21:45:00.250Z"}\n'
    found = Published(TEXT).run(tmp_path / "chats.jsonl", line)
    record = Record(0, 7, 5, b"s", b"hi", found.records[0])
    frame: Any = read_frame(record, max_bytes=100)
    assert (frame.content, frame.seq, frame.captured_us) == (b"hi", 0, 1_796_075_100_250_000)
