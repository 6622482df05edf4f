"""The topics' formats, from the design, as foreign readers and producers may rely on them."""

import json
import re
import struct
import zlib
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import CorruptStateError
from pipeline.records import (
    Admission,
    BadRecord,
    Destination,
    EndOfStream,
    Fate,
    Frame,
    Record,
    Reset,
)
from pipeline.wire.changelog import MANIFEST_KEY, Manifest, tombstone
from pipeline.wire.dead_letters import dead_letter
from pipeline.wire.frames import read_frame
from pipeline.wire.lives import Life
from pipeline.wire.predictions import MemoryFacts, PredictionWriter, timestamp
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot

LIMIT = 1 << 20
CAPTURED_US = 1_795_443_960_123_000  # 2026-11-23T14:26:00.123Z
FRESH = MemoryFacts(0, 0, None, Reset.NEW, None)
GOING_ON = MemoryFacts(811, 27_067_000, None, None, None)


def record(
    value: bytes | None = b"x", key: bytes | None = b"cam-1", ms: int = 1_000, /, **headers: bytes
) -> Record:
    named = tuple((name.replace("_", "-"), raw) for name, raw in headers.items())
    return Record(3, 41, ms, key, value, named)


def frame(seq: int | None = 812, captured_us: int = CAPTURED_US) -> Frame:
    return Frame(
        "cam-1", 0, 10_441, 1_000, captured_us, captured_given=True, content=b"jpeg", seq=seq
    )


def logits(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def writer(*labels: str, activation: str = "softmax") -> PredictionWriter:
    return PredictionWriter(labels=labels, activation=activation, model="actions@3f9c2a1b")


def predicted(
    *values: float, memory: MemoryFacts = GOING_ON, labels: tuple[str, ...] = ("walk", "run")
) -> dict[str, Any]:
    answer = writer(*labels).write(frame(), logits(*values), memory, "77ab01ce")
    words: dict[str, Any] = json.loads(answer.value)
    return words


def chain_by_hand(value: bytes) -> str:
    """Check a chain in five lines from the text alone, as any reader can."""
    body, tail = value.rsplit(b',"prev":', 1)
    prev, chain = json.loads(b'{"prev":' + tail).values()
    crc = zlib.crc32(prev.encode() + body) & 0xFFFFFFFF
    return chain if chain == f"{crc:08x}" else f"broken: {crc:08x}"


# ---------------------------------------------------------------------------------------- frames


def test_a_bare_picture_is_a_frame_captured_when_it_was_logged() -> None:
    read = read_frame(record(b"jpeg"), max_bytes=LIMIT)
    assert read == Frame("cam-1", 3, 41, 1_000, 1_000_000, captured_given=False, content=b"jpeg")


def test_every_header_is_read() -> None:
    headers = {"captured_at": b"1795443960123.4567", "seq": b"007", "epoch": b"2"}
    read = read_frame(record(**headers, traceparent=b"00-ab-cd-01"), max_bytes=LIMIT)
    assert isinstance(read, Frame)
    assert (read.captured_us, read.captured_given) == (1_795_443_960_123_456, True)
    assert (read.seq, read.epoch, read.traceparent) == (7, 2, b"00-ab-cd-01")


def test_a_traceparent_that_would_not_fit_into_a_prediction_is_left_out() -> None:
    longest, longer = b"t" * 256, b"t" * 257
    kept, dropped = (
        read_frame(record(traceparent=raw), max_bytes=LIMIT) for raw in (longest, longer)
    )
    assert isinstance(kept, Frame)
    assert isinstance(dropped, Frame)
    assert (kept.traceparent, dropped.traceparent) == (longest, None)


@pytest.mark.parametrize("raw", [b"", b"\x1b[2J", b"00-ab\n", b"00-ab-cd 01", b"\xff", b"a\x7f"])
def test_a_traceparent_of_other_bytes_than_visible_ascii_is_left_out(raw: bytes) -> None:
    kept = read_frame(record(traceparent=raw), max_bytes=LIMIT)
    assert isinstance(kept, Frame)
    assert kept.traceparent is None


def test_the_error_of_a_dead_letter_is_one_line_of_text() -> None:
    bad = BadRecord(record(), "undecodable", "no JPEG")
    error = "cannot read a\r\nb\x1b[31m\u202e\ud800" + "\x00" * 9_000
    letter = dead_letter(bad, topic="frames", reason="undecodable", error=error)
    written = dict(letter.headers)["error"]
    assert written.startswith(rb"cannot read a\r\nb\u001b[31m\u202e\ud800\u0000")
    assert len(written) <= 2000


def test_a_record_with_more_than_a_hundred_headers_is_malformed() -> None:
    many = {f"h{number}": b"" for number in range(101)}
    bad = read_frame(record(**many), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)
    assert bad.error == "the record has more than 100 headers"
    del many["h0"]
    assert isinstance(read_frame(record(**many), max_bytes=LIMIT), Frame)


@pytest.mark.parametrize(
    ("text", "us"),
    [(b"0", 0), (b"0.5", 500), (b"1.001", 1_001), (b"253402300799999.999", 253402300799999999)],
)
def test_capture_times_are_decimal_milliseconds(text: bytes, us: int) -> None:
    read = read_frame(record(captured_at=text), max_bytes=LIMIT)
    assert isinstance(read, Frame)
    assert read.captured_us == us


@pytest.mark.parametrize("name", ["captured-at", "seq", "epoch"])
@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"soon", b"-1", b"+1", b" 1", b"1 ", b"1\n", b"1_0", b"0x1", b"nan", b"inf", b"1e3"),
        *(b"\xff", b"\xd9\xa1", b"9" * 30, b"9" * 100_000, b"1.", b".5", b"1,5", b"1.5.5"),
    ],
)
def test_a_header_that_is_no_number_is_malformed(name: str, text: bytes) -> None:
    bad = read_frame(record(**{name: text}), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "malformed"
    assert name in bad.error
    assert len(bad.error) < 500


@pytest.mark.parametrize("name", ["seq", "epoch"])
def test_counters_have_no_fraction(name: str) -> None:
    assert isinstance(read_frame(record(**{name: b"1.5"}), max_bytes=LIMIT), BadRecord)


@pytest.mark.parametrize("name", ["seq", "epoch"])
def test_counters_of_eighteen_digits_still_count(name: str) -> None:
    read = read_frame(record(**{name: b"9" * 18}), max_bytes=LIMIT)
    assert isinstance(read, Frame)
    assert getattr(read, name) == 10**18 - 1


def test_a_capture_time_beyond_the_year_9999_is_malformed() -> None:
    bad = read_frame(record(captured_at=b"253402300800000"), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)


@pytest.mark.parametrize("ms", [2**62, 10**15, -(10**15), -(2**62)])
def test_an_absurd_record_timestamp_never_stops_the_worker(ms: int) -> None:
    read = read_frame(record(b"x", b"cam-1", ms), max_bytes=LIMIT)
    if isinstance(read, Frame):
        value = writer("a", "b").write(read, logits(0, 1), FRESH, "00000000").value
        assert re.fullmatch(r"\d{4}-.*Z", json.loads(value)["captured_at"])


@pytest.mark.parametrize("key", [b"a", b"A.z_0:9-", b"x" * 200])
def test_stream_ids_are_plain_characters(key: bytes) -> None:
    read = read_frame(record(b"x", key), max_bytes=LIMIT)
    assert isinstance(read, Frame)
    assert read.stream == key.decode()


@pytest.mark.parametrize(
    "key", [None, b"", b"x" * 201, b"a b", b"a/b", b"a\n", b'a"b', "kamera-ö".encode(), b"\xff"]
)
@pytest.mark.parametrize("value", [b"x", None])
def test_any_other_key_is_malformed(key: bytes | None, value: bytes | None) -> None:
    bad = read_frame(record(value, key), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.partition, bad.offset, bad.record_ms) == ("malformed", 3, 41, 1_000)


def test_a_null_value_ends_the_stream() -> None:
    assert read_frame(record(None), max_bytes=LIMIT) == EndOfStream("cam-1", 3, 41, 1_000)


def test_an_empty_value_does_not_end_the_stream() -> None:
    assert not isinstance(read_frame(record(b""), max_bytes=LIMIT), EndOfStream)


def test_a_value_above_the_limit_is_malformed_and_says_both_sizes() -> None:
    assert isinstance(read_frame(record(b"x" * 1024), max_bytes=1024), Frame)
    bad = read_frame(record(b"x" * 1025), max_bytes=1024)
    assert isinstance(bad, BadRecord)
    assert "1025" in bad.error
    assert "1024" in bad.error


@given(
    key=st.none() | st.binary(max_size=8),
    value=st.none() | st.binary(max_size=8),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["captured-at", "seq", "epoch", "keyframe", "content-type", "x"]),
            st.binary(max_size=8) | st.integers().map(lambda n: str(n).encode()),
        )
    ),
)
def test_no_record_raises(key: bytes | None, value: bytes | None, headers: list[Any]) -> None:
    read = read_frame(Record(3, 41, 1_000, key, value, tuple(headers)), max_bytes=4)
    assert (read.partition, read.offset, read.record_ms) == (3, 41, 1_000)


# ----------------------------------------------------------------------------------- predictions


def test_a_prediction_is_written_as_documented() -> None:
    scores = np.log(np.array([0.9312, 0.0411, 0.0277]))
    labels = writer("walk", "run", "fall")
    answer = labels.write(frame(), logits(*scores), GOING_ON, "77ab01ce")
    value, chain = answer.value, answer.chain
    body = (
        '{"schema":1,"stream":"cam-1","seq":812,"captured_at":"2026-11-23T14:26:00.123Z",'
        '"label":"walk","confidence":0.9312,'
        '"scores":{"walk":0.9312,"run":0.0411,"fall":0.0277},'
        '"memory":{"frames":811,"age_s":27.067,"gap_s":null,"reset":null,"note":null},'
        '"model":"actions@3f9c2a1b","source":{"partition":0,"offset":10441}'
    )
    assert chain == f"{zlib.crc32(('77ab01ce' + body).encode()):08x}"
    assert value.decode() == body + f',"prev":"77ab01ce","chain":"{chain}"}}'


def test_any_label_is_written_as_it_is() -> None:
    labels = ("50 %", "%.4f", "{x}", 'a"b', "zażółć")
    assert [*predicted(1, 0, 0, 0, 0, labels=labels)["scores"]] == [*labels]


def test_the_best_label_is_told_by_its_place_with_its_whole_score() -> None:
    answer = writer("walk", "run").write(frame(), logits(0, 2), GOING_ON, "77ab01ce")
    assert answer.label == 1
    assert answer.confidence == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-12)


def test_what_is_unknown_is_null() -> None:
    value = writer("a").write(frame(seq=None), logits(0), GOING_ON, "00000000").value
    assert b'"seq":null,' in value
    assert b'"gap_s":null,"reset":null,"note":null}' in value


def test_scores_have_four_decimals_and_seconds_three() -> None:
    memory = MemoryFacts(0, 0, 99_999_600, Reset.EPOCH, "clock")
    value = writer("a", "b").write(frame(), logits(1000, -1000), memory, "00000000").value
    assert b'"confidence":1.0000,"scores":{"a":1.0000,"b":0.0000}' in value
    assert b'{"frames":0,"age_s":0.000,"gap_s":100.000,"reset":"epoch","note":"clock"}' in value


@pytest.mark.parametrize("reset", ["new", "epoch", "gap", "ended", "nonfinite", "bundle"])
def test_every_reset_has_its_documented_name(reset: str) -> None:
    memory = MemoryFacts(0, 0, None, Reset(reset), None)
    assert predicted(0, 1, memory=memory)["memory"]["reset"] == reset


def test_labels_keep_their_order_and_their_letters() -> None:
    value = (
        writer("Grüße", "走る", 'say "hi"\\')
        .write(frame(), logits(0, 2, 1), GOING_ON, "00000000")
        .value
    )
    assert '"label":"走る"' in value.decode()
    assert '"scores":{"Grüße":' in value.decode()
    assert list(json.loads(value)["scores"]) == ["Grüße", "走る", 'say "hi"\\']


def test_nothing_is_spaced() -> None:
    value = writer("a", "b").write(frame(), logits(0, 1), GOING_ON, "00000000").value
    assert re.search(rb"\s", value) is None


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_a_tie_goes_to_the_first_label(activation: str) -> None:
    value = (
        writer("a", "b", "c", activation=activation)
        .write(frame(), logits(0.25, 1.5, 1.5), GOING_ON, "00000000")
        .value
    )
    assert json.loads(value)["label"] == "b"


def test_sigmoid_scores_stand_alone() -> None:
    value = (
        writer("a", "b", "c", "d", activation="sigmoid")
        .write(frame(), logits(0, 2, -2, -2000), GOING_ON, "00000000")
        .value
    )
    read = json.loads(value)
    assert list(read["scores"].values()) == [0.5, 0.8808, 0.1192, 0.0]
    assert (read["label"], read["confidence"]) == ("b", 0.8808)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=12))
def test_softmax_scores_are_the_textbooks_in_float64(values: list[float]) -> None:
    x = np.array(values, np.float32).astype(np.float64)
    wanted = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    labels = tuple(f"l{n}" for n in range(len(values)))
    scores = list(predicted(*values, labels=labels)["scores"].values())
    assert scores == pytest.approx(wanted.tolist(), abs=0.50001e-4)


def test_a_prediction_does_not_depend_on_when_it_is_written() -> None:
    first = writer("a", "b").write(frame(), logits(0, 1), GOING_ON, "00000000")
    assert writer("a", "b").write(frame(), logits(0, 1), GOING_ON, "00000000") == first


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (999_999, "1970-01-01T00:00:00.999Z"),
        (951_826_271_004_000, "2000-02-29T12:11:11.004Z"),
        (253_402_300_799_999_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_iso_with_milliseconds_in_utc(us: int, text: str) -> None:
    assert timestamp(us) == text


# ----------------------------------------------------------------------------------------- chain


def test_a_reader_can_check_the_chain_by_text_alone() -> None:
    labels, prev, values = writer(',"prev":"00000000"', "b"), "00000000", []
    for seq in range(20):
        answer = labels.write(frame(seq), logits(seq, 3), GOING_ON, prev)
        prev = answer.chain
        values.append(answer.value)
    assert [chain_by_hand(value) for value in values] == [json.loads(v)["chain"] for v in values]
    assert all(json.loads(b)["prev"] == json.loads(a)["chain"] for a, b in pairwise(values))


def test_any_altered_byte_breaks_the_chain() -> None:
    answer = writer("walk", "run").write(frame(), logits(0, 1), GOING_ON, "77ab01ce")
    value, chain = answer.value, answer.chain
    end = value.rindex(b',"prev":')
    for place in range(end):
        for flip in (1, 0x80, 0xFF):
            altered = bytearray(value)
            altered[place] ^= flip
            assert chain_by_hand(bytes(altered)) != chain


def test_the_chain_holds_what_came_before() -> None:
    chains = {writer("a").write(frame(), logits(0), FRESH, f"{n:08x}").chain for n in range(100)}
    assert len(chains) == 100


# ---------------------------------------------------------------------------------------- schema


def schema() -> dict[str, Any]:
    text = files("pipeline").joinpath("schemas/prediction.schema.json").read_text("utf-8")
    rules: dict[str, Any] = json.loads(text)
    return rules


TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def violations(value: Any, rules: dict[str, Any], where: str = "$") -> list[str]:
    """Return violations of a JSON Schema, for the keywords that ours uses."""
    named = rules.get("type", list(TYPES))
    kinds = [named] if isinstance(named, str) else named
    ok = any(isinstance(value, TYPES[kind]) for kind in kinds) and not isinstance(value, bool)
    ok &= value in rules.get("enum", [value]) and value == rules.get("const", value)
    if isinstance(value, str):
        ok &= re.search(rules.get("pattern", ""), value) is not None
    if isinstance(value, int | float):
        ok &= rules.get("minimum", value) <= value <= rules.get("maximum", value)
    if not isinstance(value, dict):
        return [] if ok else [where]
    known, others = rules.get("properties", {}), rules.get("additionalProperties", {})
    ok &= set(rules.get("required", [])) <= set(value) and len(value) >= rules.get(
        "minProperties", 0
    )
    found = [] if ok else [where]
    for name, inner in value.items():
        rule = known.get(name, others)
        found += (
            [f"{where}.{name}"] if rule is False else violations(inner, rule, f"{where}.{name}")
        )
    return found


@pytest.mark.parametrize("reset", [None, *Reset])
@pytest.mark.parametrize("seq", [None, 0, 10**18 - 1])
def test_predictions_obey_their_schema(reset: Reset | None, seq: int | None) -> None:
    memory = MemoryFacts(3, 400_000, 250_000, reset, "clock")
    value = writer("walk", "run").write(frame(seq), logits(0, 1), memory, "00000000").value
    assert violations(json.loads(value), schema()) == []


def test_the_schema_lists_the_keys_in_their_order() -> None:
    rules, value = schema(), predicted(0, 1)
    assert rules["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(value) == list(rules["properties"]) == rules["required"]
    for name in ("memory", "source"):
        inner = rules["properties"][name]
        assert list(value[name]) == list(inner["properties"]) == inner["required"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": 2}, "$.schema"),
        ({"seq": -1}, "$.seq"),
        ({"stream": "a b"}, "$.stream"),
        ({"confidence": 1.1}, "$.confidence"),
        ({"scores": {}}, "$.scores"),
        ({"chain": "ABCDEF01"}, "$.chain"),
        ({"worker": "w"}, "$.worker"),
        ({"source": {"partition": 0}}, "$.source"),
        ({"captured_at": "2026-11-23 14:26:00"}, "$.captured_at"),
    ],
)
def test_the_schema_refuses_what_is_no_prediction(change: dict[str, Any], where: str) -> None:
    assert violations(predicted(0, 1) | change, schema()) == [where]


# ---------------------------------------------------------------------------------- dead letters


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    letter = dead_letter(frame(), topic="frames", reason="undecodable", error="7 Bytes für nichts")
    headers = dict(letter.headers)
    assert (letter.destination, letter.key, letter.value) == (
        Destination.DEAD_LETTERS,
        b"cam-1",
        b"jpeg",
    )
    assert headers["error"].decode() == "7 Bytes für nichts"
    assert headers["reason"] == b"undecodable"
    source = [headers[f"source-{name}"] for name in ("topic", "partition", "offset")]
    assert source == [b"frames", b"0", b"10441"]


def test_an_oversized_dead_letter_is_cut_and_says_its_full_size() -> None:
    huge = bytes(range(256)) * 40_000
    bad = read_frame(record(huge, b"\xff"), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)
    letter = dead_letter(bad, topic="frames", reason=bad.reason, error=bad.error)
    assert letter.value is not None
    assert 0 < len(letter.value) < 1_000_000  # below the broker's default message.max.bytes
    assert huge.startswith(letter.value)
    assert str(len(huge)).encode() in dict(letter.headers).values()
    assert letter.key == b"\xff"


def test_a_dead_letter_fits_however_long_its_key() -> None:
    bad = read_frame(record(b"jpeg", b"k" * 2_000_000), max_bytes=LIMIT)
    assert isinstance(bad, BadRecord)
    letter = dead_letter(bad, topic="frames", reason=bad.reason, error=bad.error)
    assert letter.key == b"k" * 1024


def test_a_dead_letters_error_is_readable_text_however_long() -> None:
    letter = dead_letter(frame(), topic="frames", reason="undecodable", error="x" + "ü" * 50_000)
    text = dict(letter.headers)["error"].decode()
    assert len(text) < 10_000


# ------------------------------------------------------------------------------------- changelog

TENSORS: dict[str, NDArray[np.generic]] = {
    "h": np.arange(6, dtype=np.float32).reshape(2, 3),
    "window": np.arange(24, dtype=np.float16).reshape(2, 3, 4),
    "count": np.array(7, dtype=np.int64),
}


def snapshot(**changes: Any) -> Snapshot:
    admission = Admission(record_ms=9, seen_us=8, planned_us=7, due_us=66_673, seq=5, epoch=4)
    whole: dict[str, Any] = {
        "stream": "cam-1",
        "bundle": "3f9c2a1b" * 8,
        "offset": 41,
        "admission": admission,
        "stepped_us": 7,
        "age_us": 6,
        "frames": 5,
        "chain": "9f3a1c02",
        "pending_reset": None,
        "tensors": TENSORS,
    }
    return Snapshot(**(whole | changes))


def logged(written: Snapshot | Manifest | Skips | Life) -> Record:
    out = written.write(3)
    assert (out.destination, out.partition) == (Destination.STATE, 3)
    return Record(3, 0, 0, out.key, out.value, out.headers)


def test_a_snapshot_comes_back_as_it_was() -> None:
    read = Snapshot.read(logged(snapshot()))
    assert set(read.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert read.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(read.tensors[name], tensor)
    bare = snapshot(tensors={})
    assert Snapshot.read(logged(bare)) == bare


def test_a_tensor_that_is_a_view_comes_back_as_it_was() -> None:
    turned = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    read = Snapshot.read(logged(snapshot(tensors={"h": turned})))
    np.testing.assert_array_equal(read.tensors["h"], turned)


@pytest.mark.parametrize("pending", list(Reset))
def test_a_snapshot_keeps_what_is_owed(pending: Reset) -> None:
    ended = Admission(record_ms=9)
    shot = snapshot(pending_reset=pending, tensors={}, admission=ended, stepped_us=None)
    read = Snapshot.read(logged(shot))
    assert read == shot
    assert isinstance(read.pending_reset, Reset)


def test_a_snapshots_value_is_safetensors_without_metadata() -> None:
    value = logged(snapshot()).value
    assert value is not None
    (length,) = struct.unpack("<Q", value[:8])
    header = json.loads(value[8 : 8 + length])
    assert set(header) == set(TENSORS)
    assert header["h"]["dtype"] == "F32"


def test_a_snapshots_bytes_do_not_depend_on_the_order_of_tensors() -> None:
    turned = dict(reversed(TENSORS.items()))
    assert logged(snapshot(tensors=turned)) == logged(snapshot())


def test_a_snapshots_meta_holds_the_documented_keys() -> None:
    written = logged(snapshot())
    meta = json.loads(dict(written.headers)["meta"])
    assert written.key == b"s:cam-1"
    documented = (
        "schema bundle offset seq epoch epoch_from_header seen_us planned_us due_us stepped_us"
        " age_us frames chain pending_reset record_ms keyframe"
    )
    assert set(meta) == set(documented.split())


@pytest.mark.parametrize(
    "broken",
    [
        Record(0, 0, 0, b"s:cam-1", b""),
        Record(0, 0, 0, b"s:cam-1", None),
        Record(0, 0, 0, b"s:cam-1", b"x", (("meta", b"{}"),)),
        Record(0, 0, 0, b"s:cam-1", b"x", (("meta", b"not json"),)),
        Record(0, 0, 0, b"s:cam-1", b"no tensors", logged(snapshot()).headers),
    ],
)
def test_what_is_no_snapshot_is_corrupt_state(broken: Record) -> None:
    with pytest.raises(CorruptStateError, match=r"partition 0 .* b's:cam-1' at offset 0: "):
        Snapshot.read(broken)


def test_a_forgotten_stream_leaves_a_tombstone() -> None:
    out = tombstone(3, b"s:cam-1")
    assert (out.destination, out.partition, out.key, out.value) == (
        Destination.STATE,
        3,
        b"s:cam-1",
        None,
    )


def manifest() -> Manifest:
    fates = {fate: number for number, fate in enumerate(Fate, 1)}
    return Manifest(
        first_offset=10,
        next_offset=10 + sum(fates.values()) + 5,
        checkpoint=7,
        worker="w-1",
        generation=3,
        bundle="3f9c2a1b" * 8,
        partitions=8,
        stream_time_ms=1_000,
        fates=fates,
        absent=3,
        expired=2,
        attempts=1,
        life=2,
        letters_omitted=1,
    )


def test_a_manifest_comes_back_as_it_was() -> None:
    written = logged(manifest())
    assert written.key == MANIFEST_KEY == b"m"
    assert Manifest.read(written) == manifest()


def test_a_manifest_says_nothing_of_omitted_letters_where_there_are_none() -> None:
    plain = replace(manifest(), letters_omitted=0)
    assert b"omitted" not in (logged(plain).value or b"")
    assert Manifest.read(logged(plain)) == plain


def test_a_manifest_names_every_fate() -> None:
    fates = json.loads(logged(manifest()).value or b"")["fates"]
    documented = "predicted dead_lettered duplicate late sampled skipped ended unkeyed"
    assert " ".join(fates) == documented


@pytest.mark.parametrize("value", [None, b"", b"not json", b"{}"])
def test_what_is_no_manifest_is_corrupt_state(value: bytes | None) -> None:
    with pytest.raises(CorruptStateError, match=r"partition 0 .* b'm' at offset 0: "):
        Manifest.read(Record(0, 0, 0, b"m", value))


def test_skips_come_back_as_they_were_even_from_a_stream_with_colons_in_its_name() -> None:
    skips = Skips("hall:cam-1", ((10441, 10443), (10450, 10450)))
    written = logged(skips)
    assert written.key == b"k:hall:cam-1:10441"
    assert Skips.read(written) == skips


def test_the_beginning_of_a_life_comes_back_as_it_was() -> None:
    life = Life(number=2, first_offset=500, predictions_end=431, dead_letters_end={0: 3, 1: 0})
    written = logged(life)
    assert written.key == b"l:2"
    assert Life.read(written) == life


@pytest.mark.parametrize("kind", [Skips, Life])
@pytest.mark.parametrize("value", [None, b"", b"not json", b"{}", b'{"schema":1}', b'{"schema":2}'])
def test_what_is_neither_is_corrupt_state(kind: type[Skips | Life], value: bytes | None) -> None:
    with pytest.raises(CorruptStateError, match=r"partition 0 .* b'k:cam-1:7' at offset 0: "):
        kind.read(Record(0, 0, 0, b"k:cam-1:7", value))
