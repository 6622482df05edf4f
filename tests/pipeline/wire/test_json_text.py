"""Foreign JSON is read as an object with bounded numbers and nesting, or it is an error."""

import json
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.wire.json_text import (
    MOST_BYTES,
    MOST_INTEGER,
    MOST_NESTING,
    Fields,
    UnreadableError,
    read_object,
    shown,
    write_object,
)


def nested(levels: int) -> bytes:
    """Return an object that holds lists, with this many levels in all."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "it is empty"),
        (b"", "it is empty"),
        (b" " * (MOST_BYTES + 1), "it has 4194305 bytes, at most 4194304 are read"),
        (b"[" * 200_000, "it is nested deeper than 32 levels"),
        (b'{"a":' * 100_000, "it is nested deeper than 32 levels"),
        (nested(MOST_NESTING + 1), "it is nested deeper than 32 levels"),
        (b'{"a":' + b"9" * 5_000 + b"}", "it holds the number 9{20}..., which has over 64 bits"),
        (b'{"a":9223372036854775808}', "which has over 64 bits"),
        (b'{"a":1e999}', "it holds the number 1e999, which no float can hold"),
        (b'{"a":NaN}', "it holds NaN, which is no JSON"),
        (b'{"a":-Infinity}', "it holds -Infinity, which is no JSON"),
        (b'{"a":1,"a":2}', "it names a field twice"),
        (b'{"a":"\\ud800"}', "it is no UTF-8"),
        (b'{"a":"\xff"}', "it is no UTF-8"),
        ('{"a":1}'.encode("utf-16"), "it is no UTF-8"),
        (b'{"a":1', "it is no JSON"),
        (b"[]", "it is a list; wanted an object"),
        (b"null", "it is null; wanted an object"),
    ],
)
def test_what_is_no_plain_object_is_refused_in_a_sentence(value: bytes | None, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        read_object(value)


@pytest.mark.parametrize(
    "value",
    [
        nested(MOST_NESTING),
        b'{"a":"' + b"[" * 1_000 + b'"}',  # brackets in a string nest nothing
        b'{"a":"' + b'\\"[' * 1_000 + b'"}',
        b'{"a":[' + b"[]," * 1_000 + b"[]]}",
        b'{"a":9223372036854775807,"b":-1.5e300,"c":"\\ud83d\\ude00"}',
    ],
)
def test_what_only_looks_deep_or_odd_is_read_as_json_reads_it(value: bytes) -> None:
    assert read_object(value) == json.loads(value)


@pytest.mark.parametrize("filler", [b'\\"', b"\\", b'"', b'"[', b"[]", b"{", b'\\u0041"'])
def test_no_text_takes_longer_than_its_size_allows(filler: bytes) -> None:
    """A parser that rescans the text from each of its characters would take minutes."""
    began_s = process_time()
    with pytest.raises(UnreadableError):
        read_object((b"[" * 33 + b'{"a":"' + filler * MOST_BYTES)[:MOST_BYTES])
    assert process_time() - began_s < 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MOST_INTEGER, MOST_INTEGER) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), JSON))
def test_what_is_written_is_read_as_it_was(content: dict[str, object]) -> None:
    assert read_object(write_object(content)) == content


@given(st.binary())
def test_any_bytes_are_read_or_refused(value: bytes) -> None:
    with suppress(UnreadableError):
        assert isinstance(read_object(value), dict)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("5", 'n is "5"; wanted an integer from 0 to 7'),
        (True, "n is true; wanted an integer from 0 to 7"),
        (2.0, "n is 2.0; wanted an integer from 0 to 7"),
        (-1, "n is -1; wanted an integer from 0 to 7"),
        (8, "n is 8; wanted an integer from 0 to 7"),
        ([1], "n is a list; wanted an integer from 0 to 7"),
        (None, "n is null; wanted an integer from 0 to 7"),
    ],
)
def test_a_field_of_another_type_or_range_is_named_with_what_was_wanted(
    found: object, why: str
) -> None:
    with pytest.raises(UnreadableError) as told:
        Fields(read_object(write_object({"n": found}))).integer("n", 0, 7)
    assert str(told.value) == why


def test_a_field_within_another_is_named_with_both() -> None:
    fields = Fields(read_object(b'{"memory":{}}'), "meta.")
    with pytest.raises(UnreadableError, match=r"^meta\.memory\.frames is missing$"):
        fields.inner("memory").integer("frames")


def test_a_foreign_name_is_shown_as_a_value_is() -> None:
    with pytest.raises(UnreadableError) as told:
        Fields(read_object(b'{"ends":{"\\u001f\\u007f":null}}')).integers("ends")
    assert str(told.value) == r'ends."\u001f\u007f" is null; wanted an integer from 0 on'


def test_a_wrong_value_is_shown_short_and_without_control_characters() -> None:
    text = shown("\x1b]0;\x7f\u202e" + "x" * 10_000)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 100


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (3, "it has schema 3, this release reads up to 2: a newer longtake has written it"),
        (0, "it has schema 0, this release reads 1 and 2: go through the releases between"),
    ],
)
def test_a_schema_out_of_reach_names_the_release_to_use(schema: int, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        Fields({"schema": schema}).schema(2)


@pytest.mark.parametrize("schema", [1, 2])
def test_a_release_reads_its_own_schema_and_the_one_before(schema: int) -> None:
    fields = Fields({"schema": schema})
    fields.schema(2)
    assert fields.rest == {}
