"""The table sums the verdicts by kind of source."""

import pytest

from tests.cameras.matrix.sources import GstSource, OwnSource, fault
from tests.cameras.matrix.table import BEGIN, END, put_into, table
from tests.cameras.matrix.viewing import Verdict, judged

UNSAID = OwnSource(
    "hevc", "1", "sdp", 1, "as shown", joined=False, transport="udp", loss=0.04, resized=True,
    checksums=False, cabac=True,
)  # fmt: skip
LOSSY = GstSource("hevc", 1, 0, 10, "udp", 0.04, resized=False, checksums=False, cabac=True)
WHOLE = GstSource("h264", 1, 0, 10, "udp", 0.0, resized=False, checksums=False)


def test_rows_are_kinds_of_sources_with_sums() -> None:
    one = Verdict(sent=600, right=500, wrong=1)
    *_, last = table([(LOSSY, one), (LOSSY, one)]).splitlines()
    kind = "| H.265, GStreamer, 4% of packets lost |"
    assert last == f"{kind} 2 | 1,200 | 1,000 | 198 | 2 |"


def test_a_wrong_picture_is_a_fault_and_without_loss_a_missing_one_too() -> None:
    assert fault(LOSSY, Verdict(9, 0, 1)) == "1 wrong"
    assert fault(LOSSY, Verdict(9, 0, 0)) is None
    assert fault(UNSAID, Verdict(9, 0, 1)) is None  # its new parameter sets can be lost
    assert fault(WHOLE, Verdict(9, 9, 1)) == "1 wrong"
    assert fault(WHOLE, Verdict(9, 8, 0)) == "1 left out"
    assert fault(WHOLE, Verdict(9, 9, 0)) is None


def test_a_picture_that_is_changed_unreadable_repeated_or_was_never_sent_is_wrong() -> None:
    seen = [(0, "a"), (1, "x"), (None, "y"), (2, "c"), (2, "c"), (7, "g")]
    right = {0: "a", 1: "b", 2: "c"}
    assert judged(seen, right, first=0, last=2) == Verdict(sent=3, right=2, wrong=4)


def test_a_page_keeps_what_is_around_the_table() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert put_into(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter"
    with pytest.raises(ValueError, match="needs the marks"):
        put_into(END + BEGIN, "new")
