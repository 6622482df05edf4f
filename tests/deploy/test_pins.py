"""What the images get from outside is fixed by digest or hash; exceptions are listed."""

import json
import re
import tomllib
from email.message import Message
from pathlib import Path

import pytest

from tests.deploy.dockerfile import DEPLOY, ROOT, Dockerfile
from tests.deploy.pinned_images import foreign_images, pin

UNPINNED = tomllib.loads((DEPLOY / "unpinned.toml").read_text())
DOCKERFILES = ["Dockerfile.cpu", "Dockerfile.gpu"]
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def installs(name: str) -> list[list[str]]:
    """Return every command of pip in a Dockerfile that installs or builds."""
    commands = [
        one for step in Dockerfile.read(name).steps if step.word == "RUN" for one in step.commands
    ]
    return [one for one in commands if Path(one[0]).name == "pip"]


def unhashed(name: str) -> list[list[str]]:
    return [one for one in installs(name) if not {"--require-hashes", "--no-index"} & set(one)]


def test_every_image_has_a_digest() -> None:
    images = foreign_images()
    assert {image.name for image in images.values()} == {
        *("python", "nvidia/cuda", "apache/kafka", "prom/prometheus", "grafana/grafana")
    }
    assert [text for text, image in images.items() if image.digest is None] == []


def test_what_pip_installs_without_a_hash_is_listed_and_has_a_version() -> None:
    asked = [word for name in DOCKERFILES for one in unhashed(name) for word in one if "==" in word]
    assert len(asked) == sum(len(unhashed(name)) for name in DOCKERFILES)
    assert [word.partition("==")[0] for word in asked] == [
        one["name"] for one in UNPINNED["package"]
    ]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_no_build_of_a_package_fetches_its_own_tools(name: str) -> None:
    sources = [
        one for one in installs(name) if "--only-binary" not in one and "--no-index" not in one
    ]
    assert [one for one in sources if "--no-build-isolation" not in one] == []
    builds = [one for one in installs(name) if one[-1] == "/source"]
    assert len(builds) == 1
    assert "--no-build-isolation" in builds[0]


def test_what_apt_installs_is_listed() -> None:
    steps = [
        step for name in DOCKERFILES for step in Dockerfile.read(name).steps if step.word == "RUN"
    ]
    commands = [one for step in steps for one in step.commands if one[:2] == ["apt-get", "install"]]
    asked = {word for one in commands for word in one[2:] if not word.startswith("-")}
    assert asked == {name for entry in UNPINNED["apt"] for name in entry["names"]}


def test_every_exception_says_why() -> None:
    assert [one for entries in UNPINNED.values() for one in entries if len(one["why"]) < 80] == []


@pytest.mark.parametrize(
    "lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda lock: lock.name
)
def test_every_package_of_a_lock_has_a_version_and_hashes(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert [
        one for one in entries if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:", one, re.DOTALL)
    ] == []


def test_the_pages_for_production_install_by_hash_alone() -> None:
    pages = [ROOT / "docs" / name for name in ("deploy.md", "operations.md")]
    text = "".join(page.read_text() for page in pages)
    lines = re.findall(r"^.*\bpip (?:install|wheel).*$", text, flags=re.MULTILINE)
    assert lines
    assert [one for one in lines if not re.search("--require-hashes|--no-index", one)] == []


def test_pins_are_written_from_what_the_registry_answers(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"    image: apache/kafka:4.3.1@{OLD}\n")
    answers = Message()
    answers["Docker-Content-Digest"] = NEW
    lines = pin(
        (tmp_path / "compose.yaml",), lambda *_: (answers, json.dumps({"token": "t"}).encode())
    )
    assert lines == [f"apache/kafka:4.3.1@{NEW} is new"]
    assert (tmp_path / "compose.yaml").read_text() == f"    image: apache/kafka:4.3.1@{NEW}\n"
