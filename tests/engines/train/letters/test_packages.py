"""The recipes' data are fetched once, and taken only if they are what was published."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra longtake[train]")

from engines.train.letters.packages import PackageError
from tests.engines.train.letters.packed_data import genomes


def test_a_package_is_fetched_and_found(tmp_path: Path) -> None:
    package, here = genomes(tmp_path), tmp_path / "here"
    assert package.fetch(here) == package.find(here) == here / "genomes.zip"
    assert package.fetch(here).read_bytes() == (tmp_path / "genomes.zip").read_bytes()
    assert [path.name for path in here.iterdir()] == ["genomes.zip"]


def test_a_package_that_is_missing_says_how_to_fetch_it(tmp_path: Path) -> None:
    package = genomes(tmp_path)
    with pytest.raises(PackageError, match=r"python -m engines\.train\.letters .* fetches it"):
        package.find(tmp_path / "nowhere")


def test_other_bytes_are_refused_when_fetched_and_when_found(tmp_path: Path) -> None:
    package = replace(genomes(tmp_path), sha256="0" * 64)
    with pytest.raises(PackageError, match="is not the file that was published"):
        package.find(tmp_path)
    with pytest.raises(PackageError, match="is not the file that was published"):
        package.fetch(tmp_path / "here")
    assert not (tmp_path / "here" / "genomes.zip").exists()


def test_an_address_that_does_not_answer_is_named(tmp_path: Path) -> None:
    package = replace(genomes(tmp_path), url=(tmp_path / "gone").as_uri())
    with pytest.raises(PackageError, match="could not be fetched"):
        package.fetch(tmp_path / "here")
