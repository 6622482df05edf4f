"""Downloads jars from Maven repositories through jgo. The only network access in `local`.

jgo could also resolve the dependencies. That takes 15 s, and the result depends on which
coordinates are resolved together. The list of jars is therefore fixed, and jgo only downloads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from rich.progress import Progress

from pipeline.errors import LocalKafkaError
from pipeline.text.terminal import Terminal

WORKERS = 8
TRIES = 3
TIMEOUT_S = 30

Fetch = Callable[[str], None]


def download(paths: Sequence[str], into: Path, *, label: str) -> None:
    """Download paths of a Maven repository below the folder `into`. Does not check checksums."""
    fetch = _jgo(into)
    console = Terminal(stderr=True)
    if not console.is_terminal:
        console.say(f"fetching {label}: {len(paths)} jars, once")
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
        ThreadPoolExecutor(WORKERS) as pool,
    ):
        pending = {pool.submit(fetch, path): path for path in paths}
        for done in bar.track(as_completed(pending), len(pending), description=label):
            if (exc := done.exception()) is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                raise _unreachable(label, pending[done], exc) from exc


def _jgo(into: Path) -> Fetch:
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext
    except ImportError as exc:
        raise LocalKafkaError(
            "fetching Apache Kafka needs the package jgo: `pip install '.[local]'` in "
            "longtake's repository, or set KAFKA_HOME to an unpacked Apache Kafka 4, or start "
            "Kafka from the compose file in deploy/, or use `longtake run`, which needs no broker"
        ) from exc
    maven = MavenContext(repo_cache=into, timeout=TIMEOUT_S)
    mirrors = GlobalSettings.load().repositories  # from jgo.conf, for example a company's: go first
    maven.remote_repos = {**mirrors, **maven.remote_repos, **mirrors}

    def fetch(path: str) -> None:
        group, artifact, version, _ = path.rsplit("/", 3)
        jar = maven.project(group.replace("/", "."), artifact).at_version(version).artifact()
        for left in reversed(range(TRIES)):
            try:
                jar.resolve()
                return
            except OSError:  # requests' errors are OSErrors
                (into / path).unlink(missing_ok=True)  # jgo takes a partial file for a complete one
                if not left:
                    raise

    return fetch


def _unreachable(label: str, path: str, cause: BaseException) -> LocalKafkaError:
    return LocalKafkaError(
        f"{label} could not be fetched: {path}: {type(cause).__name__}: {cause}. "
        "It is fetched once, from Maven repositories (Maven Central, or those in jgo.conf). "
        "Without a network: copy the cache folder of a machine that has it and name it in "
        "LONGTAKE_CACHE; or set KAFKA_HOME to an unpacked Apache Kafka 4; "
        "or use `longtake run`, which needs no broker"
    )
