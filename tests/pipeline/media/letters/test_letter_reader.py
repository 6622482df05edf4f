"""What a record of text or bases may hold, and what a person reads of one that may not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model.inputs import LettersInput
from pipeline.errors import UndecodableFrameError
from pipeline.media.letters.letter_reader import read_letters

TEXT = LettersInput(kind="text", length=8, fit="cut")
BASES = LettersInput(kind="bases", length=8, fit="refuse")


def read(content: bytes, spec: LettersInput) -> bytes:
    return read_letters(content, spec=spec).tobytes()


def refusal(content: bytes, spec: LettersInput) -> str:
    with pytest.raises(UndecodableFrameError) as caught:
        read_letters(content, spec=spec)
    return str(caught.value)


def test_text_is_taken_as_it_is_without_its_line_end() -> None:
    assert read(b"Caf\xc3\xa9\r\n", TEXT) == b"Caf\xc3\xa9\0\0\0"
    assert read(b" a\n\n", TEXT) == b" a\n\0\0\0\0\0"


def test_text_that_is_too_long_is_cut_between_characters() -> None:
    assert read("abcdefgé".encode(), TEXT) == b"abcdefg\0"


def test_bases_are_upper_case_with_t_for_u_and_without_blanks() -> None:
    assert read(b"acgu\nN rY\r\n", BASES) == b"ACGTNRY\0"


@pytest.mark.parametrize(
    ("content", "spec", "words"),
    [
        (b"\xff\xd8\xff\xe0", TEXT, "4 bytes are no UTF-8: invalid start byte at byte 0"),
        (b"", TEXT, "0 bytes hold no text"),
        (b"\n", TEXT, "1 bytes hold no text"),
        (b"a\0b", TEXT, "byte 1 of 3 is zero, which is no text"),
        (b" \n", BASES, "2 bytes hold no bases"),
        (b"ACG-T", BASES, "byte 0x2d ('-') at letter 3 is no base of IUPAC"),
        (b"AC\xc3\xa9", BASES, "at letter 2 is no base"),
        (b"AC\0", BASES, "byte 0x00 ('\\x00') at letter 2 is no base"),
        (b">chr1\nACGT", BASES, "a FASTA file? Send its bases alone"),
        (b"ACGTACGTA", BASES, "9 letters of bases; the model takes 8 at a time"),
    ],
)
def test_a_wrong_record_is_refused_in_one_sentence(
    content: bytes, spec: LettersInput, words: str
) -> None:
    assert words in refusal(content, spec)
    assert refusal(content, spec).isprintable()


@given(st.binary(max_size=64), st.sampled_from([TEXT, BASES]))
def test_any_bytes_are_read_or_refused(content: bytes, spec: LettersInput) -> None:
    try:
        letters = read_letters(content, spec=spec)
    except UndecodableFrameError:
        return
    assert letters.shape == (8,)
    assert letters.dtype == np.uint8
    shown = letters.tobytes().rstrip(b"\0")
    assert shown
    assert b"\0" not in shown
    shown.decode()


@given(st.text(min_size=1, max_size=40))
def test_text_is_read_as_its_longest_beginning_that_fits(text: str) -> None:
    try:
        found = read(text.encode(), TEXT).rstrip(b"\0").decode()
    except UndecodableFrameError:
        assert "\0" in text or not text.rstrip("\r\n")
        return
    assert text.startswith(found)
    behind = text.removesuffix("\n").removesuffix("\r")[len(found) :]
    assert not behind or len((found + behind[0]).encode()) > 8
