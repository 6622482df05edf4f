"""The jars have the right checksums, or the error names the file and what to delete."""

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engines import trusted_files
from engines.cache import cache_folder
from pipeline.errors import LocalKafkaError
from pipeline.local import jars

JAR = "org/example/thing/1.0/thing-1.0.jar"
GOOD = b"good bytes"


class Repository:
    """A fake repository: serves `content` for every path, slowly, and counts requests."""

    def __init__(self, content: bytes = GOOD) -> None:
        self.content, self.downloads = content, 0

    def download(self, paths: Sequence[str], into: Path, *, label: str) -> None:
        self.downloads += 1
        time.sleep(0.1)
        for path in paths:
            (into / path).parent.mkdir(parents=True)
            (into / path).write_bytes(self.content)


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Repository:
    checksums = tmp_path / "wanted.sha256"
    checksums.write_text(f"{hashlib.sha256(GOOD).hexdigest()}  {JAR}\n")
    monkeypatch.setattr(jars, "CHECKSUMS", checksums)
    fake = Repository()
    monkeypatch.setattr(jars, "download", fake.download)
    return fake


def test_what_was_fetched_once_is_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    first = jars.fetched(tmp_path / "cache")
    assert jars.fetched(tmp_path / "cache") == first
    assert [jar.read_bytes() for jar in first] == [GOOD]
    assert repository.downloads == 1


def test_many_at_once_fetch_once(repository: Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(jars.fetched, [tmp_path / "cache"] * 4))
    assert found == [found[0]] * 4
    assert repository.downloads == 1


def test_wrong_bytes_from_the_network_are_never_kept(
    repository: Repository, tmp_path: Path
) -> None:
    repository.content = b"other bytes"
    with pytest.raises(LocalKafkaError, match=r"thing-1\.0\.jar is damaged"):
        jars.fetched(tmp_path / "cache")
    assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.usefixtures("repository")
def test_a_missing_jar_is_named(tmp_path: Path) -> None:
    (jar,) = jars.fetched(tmp_path)
    jar.unlink()
    with pytest.raises(LocalKafkaError, match=f"{jar} is missing; delete the folder"):
        jars.fetched(tmp_path)


@pytest.mark.usefixtures("repository")
def test_a_jar_that_does_not_belong_there_is_named(tmp_path: Path) -> None:
    (jar,) = jars.fetched(tmp_path)
    stranger = jar.with_name("stranger.jar")
    stranger.write_bytes(b"")
    with pytest.raises(LocalKafkaError, match=f"{stranger} is no part of .* delete this file"):
        jars.fetched(tmp_path)


@pytest.mark.usefixtures("repository")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(LocalKafkaError, match="LONGTAKE_CACHE can name another"):
        jars.fetched(tmp_path / "cache")


# a cache that others can write


@pytest.mark.parametrize("part", ["the cache", "a jar", "a folder of jars", "the jars"])
def test_jars_of_another_user_are_refused(
    repository: Repository, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jar,) = jars.fetched(tmp_path / "cache")
    paths = {"the cache": tmp_path / "cache", "a jar": jar, "a folder of jars": jar.parent,
             "the jars": tmp_path / "cache" / f"kafka-{jars.VERSION}"}  # fmt: skip
    strange = paths[part].stat().st_ino
    require = trusted_files.require_own

    def foreign(found: os.stat_result, path: Path) -> None:
        changed = list(found)
        changed[4] = 4242 if found.st_ino == strange else found.st_uid
        require(os.stat_result(changed), path)

    monkeypatch.setattr(jars, "require_own", foreign)
    monkeypatch.setattr(trusted_files, "require_own", foreign)
    with pytest.raises(LocalKafkaError, match=f"{paths[part]} belongs to user 4242"):
        jars.fetched(tmp_path / "cache")
    assert repository.downloads == 1


@pytest.mark.usefixtures("repository")
def test_a_cache_that_all_share_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(LocalKafkaError, match=r"other users may write .*LONGTAKE_CACHE names"):
        jars.fetched(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.usefixtures("repository")
def test_jars_written_under_a_loose_umask_are_closed_to_others(tmp_path: Path) -> None:
    (jar,) = jars.fetched(tmp_path / "cache")
    for path in (jar, jar.parent):
        path.chmod(0o777)
    jars.fetched(tmp_path / "cache")
    assert [path.stat().st_mode & 0o022 for path in (jar, jar.parent)] == [0, 0]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("part", ["jars", "jar"])
def test_a_link_to_jars_is_not_followed(tmp_path: Path, part: str) -> None:
    (jar,) = jars.fetched(tmp_path / "cache")
    path = jar if part == "jar" else tmp_path / "cache" / f"kafka-{jars.VERSION}"
    path.rename(tmp_path / "aside")
    path.symlink_to(tmp_path / "aside")
    with pytest.raises(LocalKafkaError, match=f"{path} is a link"):
        jars.fetched(tmp_path / "cache")


@pytest.mark.usefixtures("repository")
def test_a_fifo_as_the_lock_of_the_jars_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"kafka-{jars.VERSION}.lock")
    with pytest.raises(LocalKafkaError, match="cannot be used"):
        jars.fetched(tmp_path)


def test_without_a_network_the_ways_out_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = tmp_path / "jgo.conf"
    nobody.write_text("[repositories]\ncentral = http://127.0.0.1:1\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(nobody))
    with pytest.raises(LocalKafkaError, match="could not be fetched") as raised:
        jars.fetched(tmp_path / "cache")
    for way_out in ("LONGTAKE_CACHE", "KAFKA_HOME", "longtake run"):
        assert way_out in str(raised.value)
    assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_kafka_home_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalKafkaError, match=f"KAFKA_HOME is {tmp_path}/nowhere, but there is no"):
        jars.classpath({"KAFKA_HOME": f"{tmp_path}/nowhere"})


def test_a_kafka_home_that_is_too_old_is_named(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-3.9.1.jar").touch()
    with pytest.raises(LocalKafkaError, match="holds Apache Kafka 3; 4 or newer is needed"):
        jars.classpath({"KAFKA_HOME": str(tmp_path)})


def test_kafka_home_comes_before_the_cache(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.4.0.jar").touch()
    assert jars.classpath({"KAFKA_HOME": str(tmp_path)}) == f"{tmp_path}/libs/*"


@pytest.mark.kafka
def test_a_damaged_kafka_is_refused_and_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = cache_folder(os.environ)
    jars.fetched(whole)
    shutil.copytree(whole / f"kafka-{jars.VERSION}", tmp_path / f"kafka-{jars.VERSION}")
    monkeypatch.setattr(jars, "download", None)  # a call would be a TypeError
    victim = next(jar for jar in jars.fetched(tmp_path) if jar.name.startswith("kafka_2.13"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 0xFF
    victim.write_bytes(content)
    with pytest.raises(LocalKafkaError, match=f"{victim} is damaged") as raised:
        jars.classpath({"LONGTAKE_CACHE": str(tmp_path)})
    assert f"delete the folder {tmp_path}/kafka-{jars.VERSION}" in str(raised.value)
