"""Text from outside is shown as text: nothing in it reaches a terminal, a log or a page as more."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.printable import printable, printable_lines, printable_message

ANY_TEXT = st.text(st.characters())  # surrogates are among them


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;OWNED\x07\x1b[2J", r"\u001b]0;OWNED\u0007\u001b[2J"),  # C0
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x7f", r"\u007f"),
        ("\x9b31m", r"\u009b31m"),  # C1
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),  # direction of text
        ("a\u200bb\ufeff\xad", r"a\u200bb\ufeff\u00ad"),  # invisible
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\u0085"),  # line breaks of Unicode
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\U000e0001\uffff", r"\udb40\udc01\uffff"),
    ],
)
def test_what_is_not_only_shown_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["", "walk", "Größe 5 µm", "日本語", "مشي", "नमस्ते", "a\xa0b", "█ 👍🏽", "\ue0b0", "[red]\\n"],
)
def test_ordinary_text_of_any_language_stays(text: str) -> None:
    assert printable(text) == text


@given(ANY_TEXT)
def test_nothing_but_visible_characters_is_left_and_a_second_call_changes_nothing(
    text: str,
) -> None:
    shown = printable(text)
    kinds = {unicodedata.category(one) for one in shown}
    assert not kinds & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


@given(st.dictionaries(st.text(), st.text()))
def test_a_json_text_stays_equal_json(content: dict[str, str]) -> None:
    assert json.loads(printable(json.dumps(content, ensure_ascii=False))) == content


@given(ANY_TEXT)
def test_lines_stay_lines(text: str) -> None:
    assert printable_lines(text).count("\n") == text.count("\n")


def test_no_further_line_of_a_message_begins_as_a_message_does() -> None:
    assert printable_message("refused\nlongtake: all is well\x1b") == (
        "refused\n  longtake: all is well\\u001b"
    )
