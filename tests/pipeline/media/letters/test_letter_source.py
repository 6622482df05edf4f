"""Files of text and sequences give the records of their streams, packed or not."""

import gzip
import io
from pathlib import Path

import pytest

from engines.model.inputs import LettersInput
from pipeline.errors import SourceError
from pipeline.media.address import Address
from pipeline.media.letters import unpacking
from pipeline.media.letters.letter_names import is_letters
from pipeline.media.letters.letter_source import open_letters
from pipeline.media.letters.text_lines import LetterRecord

TEXT = LettersInput(kind="text", length=8, fit="cut")
BASES = LettersInput(kind="bases", length=4, fit="refuse")

FASTA = b">one first sequence\nACGTAC\nGT\nA\n\n>gi|2|x\nTTTT\n"
GENBANK = b"""LOCUS       NC_1   9 bp\nVERSION     NC_1.2\nFEATURES
     CDS             1..6\nORIGIN
        1 acgtac gta\n//\n"""


def records(
    folder: Path, name: str, content: bytes, spec: LettersInput
) -> list[tuple[str, bytes | None]]:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return [(one.stream, one.content) for one in open_letters(Address.at(path), spec, stream="s")]


def refusal(folder: Path, name: str, content: bytes, spec: LettersInput) -> str:
    with pytest.raises(SourceError) as caught:
        records(folder, name, content, spec)
    return str(caught.value)


@pytest.mark.parametrize("name", ["chat.txt", "chat.txt.gz"])
def test_each_line_of_a_text_is_a_record(tmp_path: Path, name: str) -> None:
    found = records(tmp_path, name, b"Guten\r\n\n  \nTag \xff\nlast", TEXT)
    assert found == [("s", b"Guten"), ("s", b"Tag \xff"), ("s", b"last")]


def test_json_lines_name_streams_times_and_ends(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(
        '{"stream": "a", "text": "hi", "captured_at": "2026-11-30T21:45:00.250Z"}\n'
        '{"text": "you"}\n{"stream": "a", "text": null}\n'
    )
    assert list(open_letters(Address.at(path), TEXT, stream="s")) == [
        LetterRecord("a", b"hi", 1_796_075_100_250_000),
        LetterRecord("s", b"you"),
        LetterRecord("a", None),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 1: it is no JSON"),
        (b"[]", "line 1: it is a list; wanted an object"),
        (b'{"txt": "hi"}', 'line 1: it has the field "txt"; wanted text'),
        (b'{"stream": "a"}', "line 1: it has no text"),
        (b'{"text": 3}', "line 1: text is 3; wanted a text"),
        (b'{"text": "hi", "stream": "a b"}', 'stream is "a b"; wanted a stream id'),
        (b'{"text": "hi", "captured_at": "now"}', 'captured_at is "now"; wanted a time'),
        (b'{"text": "hi", "captured_at": "2026-11-30T21:45:00"}', "wanted a time"),
        (b'{"text": "hi", "captured_at": "1969-11-30T21:45:00Z"}', "before 1970"),
        (b'{"text": "hi", "captured_at": 12}', "captured_at is 12; wanted a time"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, words: str) -> None:
    assert words in refusal(tmp_path, "chats.jsonl", line, TEXT)


@pytest.mark.parametrize("name", ["x.fa", "x.fasta.gz", "anything"])
def test_each_sequence_of_a_fasta_file_is_a_stream_in_pieces(tmp_path: Path, name: str) -> None:
    one, two = [("one", b"ACGT"), ("one", b"ACGT"), ("one", b"A")], [("gi-2-x", b"TTTT")]
    assert records(tmp_path, name, FASTA, BASES) == one + two


@pytest.mark.parametrize("name", ["x.gb", "x.gbk.gz"])
def test_a_genbank_entry_is_a_stream_in_pieces(tmp_path: Path, name: str) -> None:
    found = records(tmp_path, name, GENBANK, BASES)
    assert found == [("NC_1.2", b"acgt"), ("NC_1.2", b"acgt"), ("NC_1.2", b"a")]


def test_what_is_no_base_stays_in_its_record(tmp_path: Path) -> None:
    assert records(tmp_path, "x.fa", b">a\nAC1-GT\n", BASES) == [("a", b"AC1-"), ("a", b"GT")]


def test_bases_in_lines_are_records_as_they_are(tmp_path: Path) -> None:
    assert records(tmp_path, "chunks.txt", b"ACGT\nAC\n", BASES) == [("s", b"ACGT"), ("s", b"AC")]


def test_a_sequence_on_one_long_line_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LINE_BYTES", 5)
    found = records(tmp_path, "x.fa", b">sequence-one of many\nACGTACGTACGTA\n", BASES)
    assert [content for _, content in found] == [b"ACGT", b"ACGT", b"ACGT", b"A"]


@pytest.mark.parametrize(
    ("name", "content", "spec", "words"),
    [
        ("x.fa", b">one\nAC\n>one\nGT\n", BASES, "two sequences are called one"),
        ("x.fa", b">\nAC\n", BASES, "a sequence has no name"),
        ("x.gb", b"LOCUS \nVERSION  \nORIGIN\n 1 ac\n//\n", BASES, "a sequence has no name"),
        ("x.fa", b"", BASES, "holds no bases"),
        ("x.txt", b"\n \n", TEXT, "holds no text"),
    ],
)
def test_a_file_without_its_records_is_refused(
    tmp_path: Path, name: str, content: bytes, spec: LettersInput, words: str
) -> None:
    assert words in refusal(tmp_path, name, content, spec)


def test_a_file_that_is_missing_or_no_gzip_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "bad.txt.gz").write_bytes(b"no gzip")
    whole = gzip.compress(b"words\n" * 1000)
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    for name in ("bad.txt.gz", "cut.txt.gz", "missing.txt", "."):
        with pytest.raises(SourceError, match=str(tmp_path)):
            list(open_letters(Address.at(tmp_path / name), TEXT, stream="s"))


def test_what_gzip_unpacks_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "UNPACKED_BYTES", 1000)
    assert "more than 1,000 bytes" in refusal(tmp_path, "x.txt.gz", b"word\n" * 300, TEXT)


def test_a_line_of_text_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LINE_BYTES", 10)
    assert "line 2: longer than 10 bytes" in refusal(tmp_path, "x.txt", b"a\n" + b"b" * 11, TEXT)


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    found = open_letters(Address("-", "-"), TEXT, stream="typed")
    assert [one.content for one in found] == [b"one", b"two"]


def test_letters_are_known_by_their_names() -> None:
    names = ["-", "a.txt", "a.jsonl.gz", "g.FNA", "clip.mp4", "rtsp://gate/x", "pictures"]
    known = [is_letters(Address(name, name)) for name in names]
    assert known == [True, True, True, True, False, False, False]
