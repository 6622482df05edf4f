"""Secrets come from the environment and from files, and no message contains one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.secrets import MAX_SECRET_BYTES, filled


def test_a_variable_and_a_file_are_filled_in(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("two\nlines\n\n")
    text = f"${{NAME}} and ${{file:{file}}}"
    assert filled(text, environment={"NAME": "me"}) == "me and two\nlines\n"


def test_a_secret_is_not_filled_in_again() -> None:
    assert filled("${A}", environment={"A": "${B}", "B": "b"}) == "${B}"


def test_each_secret_is_encoded_and_the_text_around_it_is_not() -> None:
    assert filled("a${A}a", environment={"A": "a"}, encode=str.upper) == "aAa"


def test_a_replaced_file_is_read_at_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("old")
    assert filled(f"${{file:{file}}}") == "old"
    file.with_suffix(".new").write_text("new")
    file.with_suffix(".new").replace(file)
    assert filled(f"${{file:{file}}}") == "new"


def test_a_file_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * MAX_SECRET_BYTES)
    assert len(filled(f"${{file:{tmp_path}/file}}")) == MAX_SECRET_BYTES


def test_a_missing_variable_is_named_and_nothing_else_of_the_text() -> None:
    with pytest.raises(ConfigError, match=r"^the environment has no NOBODY$"):
        filled("secret ${NOBODY}", environment={})


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda file: None, "No such file"),
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (lambda file: file.symlink_to("/dev/zero"), "not a regular file"),
        (lambda file: file.write_bytes(b"x" * (MAX_SECRET_BYTES + 1)), "more than 65536 bytes"),
        (lambda file: file.write_bytes(b"S3cr3t\xff"), "not UTF-8"),
        (lambda file: file.write_bytes(b"\n"), "is empty"),
    ],
    ids=["missing", "fifo", "folder", "device", "large", "latin", "empty"],
)
def test_a_file_that_holds_no_secret_is_named(
    tmp_path: Path, make: Callable[[Path], object], complaint: str
) -> None:
    make(tmp_path / "file")
    with pytest.raises(ConfigError, match=f"{tmp_path}/file.*{complaint}") as refused:
        filled(f"S3cr3t ${{file:{tmp_path}/file}}")
    assert "S3cr3t" not in str(refused.value)
