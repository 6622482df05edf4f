"""A stranger's files and zips are read within limits, and nothing is waited for."""

import os
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.errors import BundleError
from engines.model.bundle import load_bundle
from tests.engines import hostile
from tests.engines.hostile import archive, folder


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO as model.json": (lambda p: hostile.fifo(p / "model.json"), "not a regular file"),
    "a FIFO as a graph": (lambda p: hostile.fifo(p / "head.onnx"), "not a regular file"),
    "a device": (lambda p: linked(p / "encoder.onnx", "/dev/zero"), "not a regular file"),
    "a link to another file": (lambda p: linked(p / "model.json", "/etc/passwd"), "model.json: "),
    "a folder": (lambda p: replaced_by_folder(p / "head.onnx"), "regular"),
    "an empty graph": (lambda p: (p / "head.onnx").write_bytes(b""), "head.onnx is damaged"),
}


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def linked(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_none_is_refused_at_once(tmp_path: Path, case: str) -> None:
    change, sentence = FILES[case]
    path = folder(tmp_path / "evil")
    change(path)
    assert sentence in refused(path)


def test_a_fifo_as_the_whole_bundle_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "evil.zip")
    refused(tmp_path / "evil.zip")


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    path = folder(tmp_path / "cached")
    (path / "head.onnx").rename(tmp_path / "blob")
    (path / "head.onnx").symlink_to(tmp_path / "blob")
    assert load_bundle(path).name == "evil"


# zips


def link_member() -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("model.json")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize("others", [(), (("../../../SLIPPED", b"x"),), (("LICENSE", b"free"),)])
def test_other_members_of_a_zip_are_not_touched(tmp_path: Path, others: tuple[Any, ...]) -> None:
    assert load_bundle(archive(tmp_path / "b.zip", *others)).name == "evil"
    assert not list(tmp_path.parent.glob("**/SLIPPED"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: archive(p, (link_member(), b"/etc/passwd")), "model.json is a link"),
        (lambda p: archive(p, ("model.json", b"{}"), ("model.json", b"{}")), "3 times in the"),
        (lambda p: archive(p, method=zipfile.ZIP_BZIP2), "compressed by method 12"),
        (lambda p: archive(p, method=zipfile.ZIP_LZMA), "compressed by method 14"),
        (lambda p: archive(p, ("head.onnx", bytes(60 << 20))), "more than 100 to 1 is refused"),
        (lambda p: archive(p, *((str(n), b"") for n in range(100))), "lists 103 members"),
        (lambda p: patched(p, b"PK\x01\x02", 8, b"\x01\x00"), "is encrypted"),
        (lambda p: patched(p, b"PK\x01\x02", 24, b"\xff\xff\x00\x00"), "model.json"),
        (lambda p: patched(p, b"PK\x01\x02", 24, b"\x10\x00\x00\x00"), "model.json"),
        (lambda p: patched(p, b"PK\x01\x02", 20, b"\xff\xff\xff\x0f"), "larger than the whole"),
        (lambda p: patched(p, b"PK\x05\x06", 20, b"\x05\x00"), "comment"),
        (lambda p: patched(p, b"PK\x05\x06", 12, b"\xff\xff\xff\x0f"), "at most 64 in 65,536"),
    ],
)
def test_a_zip_that_lies_or_hides_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    assert sentence in refused(make(tmp_path / "evil.zip"))


def patched(path: Path, signature: bytes, offset: int, content: bytes) -> Path:
    """Change the first record that has this signature."""
    whole = bytearray(archive(path).read_bytes())
    at = whole.index(signature) + offset
    whole[at : at + len(content)] = content
    path.write_bytes(whole)
    return path


def test_a_zip64_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "evil.zip")
    whole = path.read_bytes()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(whole) - 22, 1)
    path.write_bytes(whole[:-22] + locator + whole[-22:])
    assert "zip64" in refused(path)


def test_a_zip_bomb_takes_no_more_memory_than_a_few_pieces(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", ("head.onnx", bytes(64 << 20)))
    whole = bytearray(path.read_bytes())
    at = whole.index(b"PK\x01\x02") + 24
    whole[at : at + 4] = struct.pack("<L", 60_000)  # below what any ratio is allowed for
    path.write_bytes(whole)
    load_bundle(folder(tmp_path / "sound"))  # imports
    tracemalloc.start()
    try:
        refused(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_all_members_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engines.model.bundle_files.MAX_UNPACKED_BYTES", 500)
    assert "more than 500 bytes are in the .zip" in refused(archive(tmp_path / "b.zip"))
