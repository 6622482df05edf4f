"""A reader of predictions returns each one once, and reports every broken link."""

from dataclasses import replace

import pytest

from pipeline.judging.chain import ChainReader, Fault, Link
from pipeline.records import Record, Reset
from tests.pipeline.predictions import Tape, resealed, tape


def read(records: list[Record], *, drop_repeats: bool = False, whole: bool = True) -> list[Link]:
    return list(ChainReader(drop_repeats=drop_repeats, whole=whole).read(records))


def faults(records: list[Record], *, drop_repeats: bool = False, whole: bool = True) -> list[str]:
    return [link.fault or "" for link in read(records, drop_repeats=drop_repeats, whole=whole)]


def offsets(links: list[Link]) -> list[int]:
    return [link.prediction.offset for link in links if link.prediction is not None]


def test_unbroken_chains_have_no_fault() -> None:
    made = Tape()
    for offset in range(8):
        made.predict(offset, f"cam-{offset % 2}")
    assert faults(made.records) == [""] * 8


def test_a_prediction_tells_what_it_says() -> None:
    (link,) = read([Tape().predict(7)])
    said = link.prediction
    assert said is not None
    assert (said.stream, said.partition, said.offset, said.label) == ("cam-1", 0, 7, "walk")
    assert (said.frames, said.reset, said.prev, link.complaint) == (0, Reset.NEW, "00000000", "")


@pytest.mark.parametrize("reset", [Reset.GAP, Reset.EPOCH, Reset.BUNDLE, Reset.NONFINITE])
def test_a_chain_goes_on_through_resets_of_memory(reset: Reset) -> None:
    made = tape(range(3))
    made.predict(3, reset=reset)
    assert faults(made.records) == [""] * 4


def test_a_chain_begins_anew_where_its_stream_has_ended() -> None:
    made = tape(range(3))
    made.predict(4, reset=Reset.ENDED)
    assert faults(made.records) == [""] * 4


def test_a_missing_link_is_told_once_and_the_chain_goes_on_from_there() -> None:
    records = tape(range(5)).records
    links = read(records[:2] + records[3:])
    assert [link.fault for link in links] == [None, None, Fault.UNLINKED, None]
    assert links[2].complaint.startswith("prev is ")


def test_an_altered_byte_is_told_and_no_other_link_suffers() -> None:
    records = tape(range(3)).records
    altered = (records[1].value or b"").replace(b'"label":"walk"', b'"label":"wolk"')
    records[1] = replace(records[1], value=altered)
    assert faults(records) == ["", "altered", ""]


def test_bytes_behind_the_chain_are_an_alteration_too() -> None:
    record = Tape().predict(0)
    assert faults([replace(record, value=(record.value or b"") + b" ")]) == ["altered"]


def test_a_chain_that_begins_anew_without_a_reason_is_told() -> None:
    made, other = tape(range(2)), Tape()
    other.predict(0)
    value = (other.records[0].value or b"").replace(b'"reset":"new"', b'"reset":null')
    again = replace(other.records[0], value=resealed(value))
    assert faults([*made.records, again]) == ["", "", "restarted"]


def test_a_new_stream_whose_chain_is_not_new_is_told() -> None:
    made = tape(range(3))
    value = (made.records[2].value or b"").replace(b'"reset":null', b'"reset":"new"')
    assert faults([*made.records[:2], replace(made.records[2], value=resealed(value))])[2] == (
        "unlinked"
    )


@pytest.mark.parametrize(("whole", "fault"), [(True, "unlinked"), (False, "")])
def test_the_first_link_is_taken_as_it_is_only_in_the_middle(*, whole: bool, fault: str) -> None:
    assert faults(tape(range(5)).records[2:], whole=whole) == [fault, "", ""]


@pytest.mark.parametrize("value", [None, b"", b"Dear reader,", b"{}", b"[]", b'{"memory":1}'])
def test_what_is_no_prediction_is_told(value: bytes | None) -> None:
    (link,) = read([Record(0, 0, 0, b"cam-1", value)])
    assert (link.prediction, link.fault) == (None, Fault.UNREADABLE)
    assert (
        link.complaint == f"this is no prediction: {link.unreadable}" != "this is no prediction: "
    )


def test_repeats_after_a_crash_are_dropped_and_the_chain_holds() -> None:
    records = tape(range(6)).records
    crashed = records[:4] + records[2:]
    links = read(crashed, drop_repeats=True)
    assert offsets(links) == [0, 1, 2, 3, 4, 5]
    assert {link.fault for link in links} == {None}


def test_a_repeat_with_other_bytes_shows_where_the_chain_goes_on() -> None:
    first, second = tape(range(2)), tape(range(1, 4))
    links = read(first.records + second.records[1:], drop_repeats=True)
    assert [link.fault for link in links] == [None, None, Fault.UNLINKED, None]


def test_a_repeat_that_was_altered_is_told_and_the_chain_goes_on() -> None:
    records = tape(range(4)).records
    altered = replace(records[1], value=(records[1].value or b"").replace(b"walk", b"wolk"))
    links = read([*records[:3], altered, records[3]], drop_repeats=True)
    assert [link.fault for link in links] == [None, None, None, Fault.ALTERED, None]


def test_without_dropping_a_repeat_is_a_broken_link() -> None:
    records = tape(range(3)).records
    assert faults([*records, records[1]])[3] == "unlinked"


def test_a_stream_in_two_partitions_is_two_streams() -> None:
    assert faults([*tape(range(2)).records, *tape(range(2), partition=1).records]) == [""] * 4


def test_above_its_limit_a_reader_forgets_the_stream_that_was_silent_for_longest() -> None:
    made = Tape()
    reader = ChainReader(drop_repeats=True, whole=True, most_streams=2)
    records = [made.predict(offset, stream) for offset, stream in enumerate("abacbcc")]
    del records[5]  # of `c`, whose newest link is kept; that of `b` is not, after `c` has begun
    links = list(reader.read(records))
    assert [link.fault for link in links] == [None] * 5 + [Fault.UNLINKED]
