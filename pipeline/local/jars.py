"""Finds the jars of Apache Kafka, downloads them if needed, and checks them.

If KAFKA_HOME is set, its jars are used, and only their version is checked. Otherwise one pinned
version is downloaded once into a cache folder, in the layout of a Maven repository. Every start
checks all checksums; `sha256sum -c kafka-jars.sha256` in that folder does the same by hand.
"""

import fcntl
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from engines.cache import cache_folder
from engines.trusted_files import (
    OTHERS_MAY_WRITE,
    PrivateFolder,
    UntrustedError,
    open_regular,
    require_own,
)
from pipeline.errors import LocalKafkaError
from pipeline.local.download import download

VERSION = "4.3.1"
OLDEST_MAJOR = 4  # the settings in node_properties need the KRaft of Kafka 4
CHECKSUMS = Path(__file__).with_name("kafka-jars.sha256")


def classpath(environ: Mapping[str, str]) -> str:
    """Return the Java class path of Kafka. Downloads the jars if needed."""
    if home := environ.get("KAFKA_HOME"):
        return _installed(Path(home).expanduser().absolute())
    return os.pathsep.join(str(jar) for jar in fetched(cache_folder(environ)))


def fetched(cache: Path) -> list[Path]:
    """Return the checked jars in `cache`; download them first if there are none.

    Several processes may call it at the same time.
    """
    wanted = checksums()
    folder = cache / f"kafka-{VERSION}"
    try:
        private = PrivateFolder(folder)
        if not os.path.lexists(folder):
            private.make_parent()
            with _alone(cache / f"kafka-{VERSION}.lock"):
                if not os.path.lexists(folder):
                    _fetch(wanted, folder)
        _close_to_others(folder)
        private.check()
        _check(wanted, folder)
    except UntrustedError as exc:
        raise LocalKafkaError(
            f"Kafka's jars are not taken from a folder that others can write: {exc}; LONGTAKE_CACHE"
            " names another cache folder, which must be this user's own"
        ) from exc
    except OSError as exc:
        raise LocalKafkaError(
            f"the cache folder {cache} cannot be used ({exc}); LONGTAKE_CACHE can name another"
        ) from exc
    return [folder / path for path in wanted]


def checksums() -> dict[str, str]:
    """Return the pinned jars of Apache Kafka: path in a Maven repository -> sha256."""
    lines = CHECKSUMS.read_text("ascii").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def _fetch(wanted: Mapping[str, str], folder: Path) -> None:
    """Download to a temporary folder, check, and rename: `folder` never holds unchecked jars."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.part-") as part:
        staging = Path(part) / "jars"
        download(list(wanted), staging, label=f"Apache Kafka {VERSION}")
        _check(wanted, staging)
        staging.rename(folder)


def _close_to_others(folder: Path) -> None:
    """Take from others the right to write jars of ours, before their checksums are compared.

    They can be written after a download under a loose umask. Raises `UntrustedError` if a jar or a
    folder is another user's, or a link.
    """
    for path in (folder, *sorted(folder.rglob("*"))):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise UntrustedError(f"{path} is a link; it must be a file or a folder")
        if found.st_mode & OTHERS_MAY_WRITE and found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS_MAY_WRITE)
            found = path.lstat()
        require_own(found, path)


def _check(wanted: Mapping[str, str], folder: Path) -> None:
    way_out = f"delete the folder {folder} and start again, it is then fetched anew"
    for path, digest in wanted.items():
        jar = folder / path
        if not jar.is_file():
            raise LocalKafkaError(f"{jar} is missing; {way_out}")
        with jar.open("rb") as stream:
            came = hashlib.file_digest(stream, "sha256").hexdigest()
        if came != digest:
            raise LocalKafkaError(
                f"{jar} is damaged: its sha256 is {came}, not {digest}; {way_out}"
            )
    for jar in folder.rglob("*.jar"):
        if jar.relative_to(folder).as_posix() not in wanted:
            raise LocalKafkaError(f"{jar} is no part of Apache Kafka {VERSION}; delete this file")


def _installed(home: Path) -> str:
    libs = home / "libs"
    found = [re.fullmatch(r"kafka_2\.\d+-(\d+)\.[\d.]+\.jar", jar.name) for jar in _jars(libs)]
    majors = [int(match[1]) for match in found if match]
    if not majors:
        raise LocalKafkaError(
            f"KAFKA_HOME is {home}, but there is no libs/kafka_2.13-{VERSION}.jar or the like in "
            f"it; point it at an unpacked Apache Kafka {OLDEST_MAJOR}, or unset it: "
            "the jars are then fetched"
        )
    if max(majors) < OLDEST_MAJOR:
        raise LocalKafkaError(
            f"KAFKA_HOME is {home}, which holds Apache Kafka {max(majors)}; "
            f"{OLDEST_MAJOR} or newer is needed. Unset it to have {VERSION} fetched"
        )
    return f"{libs}{os.sep}*"


def _jars(libs: Path) -> list[Path]:
    return sorted(libs.glob("*.jar"))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    held = open_regular(lock, os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
