"""`make sbom`: what longtake's installs consist of, as a CycloneDX file and as a table of licences.

The parts are those of the locks and Kafka's jars. A part that is one file has its hash; of a
package with many wheels the lock has the hashes. deploy/licences.toml has the licence of each part;
a part without one stops the work.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.deploy.dockerfile import DEPLOY, ROOT

LOCKS = tuple(sorted(ROOT.glob("requirements*.lock")))
JARS = ROOT / "pipeline" / "local" / "kafka-jars.sha256"
LICENCES = DEPLOY / "licences.toml"
ENTRY = re.compile(r"^([\w.-]+)==([^ \\]+)((?:.*\\\n)+.*)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
JAR = re.compile(r"^([0-9a-f]{64})  (.+)/([^/]+)/([^/]+)/[^/]+\.jar$", re.MULTILINE)


class UnknownLicenceError(Exception):
    """A part has no entry in deploy/licences.toml."""


@dataclass(frozen=True, slots=True)
class Part:
    """One package or jar. `name` is `group/artifact` for a jar."""

    kind: str
    name: str
    version: str
    sha256: frozenset[str]


def locked_parts(text: str) -> set[Part]:
    """Return the packages of a lock."""
    return {
        Part("pypi", name, number, frozenset(HASH.findall(hashes)))
        for name, number, hashes in ENTRY.findall(text)
    }


def jar_parts(text: str) -> set[Part]:
    """Return the jars of Kafka from the list of their digests."""
    return {
        Part("maven", f"{group.replace('/', '.')}/{artifact}", number, frozenset({digest}))
        for digest, group, artifact, number in JAR.findall(text)
    }


def all_parts() -> list[Part]:
    """Return the parts of every lock and the jars, each once."""
    parts = jar_parts(JARS.read_text())
    for lock in LOCKS:
        parts |= locked_parts(lock.read_text())
    return sorted(parts, key=lambda part: (part.kind, part.name, part.version, sorted(part.sha256)))


def licence(part: Part, known: Mapping[str, Mapping[str, str]]) -> str:
    """Return the licence of a part; a jar may have that of its group. Raises if there is none."""
    table = known[part.kind]
    found = table.get(part.name) or table.get(part.name.partition("/")[0])
    if found is None:
        raise UnknownLicenceError(
            f"{part.name} {part.version} has no licence in {LICENCES.name}: read it in the package,"
            f" decide whether it may be used, and add it to [{part.kind}]"
        )
    return found


def bill(parts: list[Part], known: Mapping[str, Mapping[str, str]]) -> str:
    """Return the CycloneDX document."""
    bom, licences = Bom(), LicenseFactory()
    whole = Component(type=ComponentType.APPLICATION, name="longtake", version=version("longtake"))
    bom.metadata.component = whole
    for part in parts:
        group, _, name = part.name.rpartition("/")
        purl = PackageURL(part.kind, group or None, name, part.version)
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in part.sha256]
        component = Component(
            type=ComponentType.LIBRARY,
            group=group or None,
            name=name,
            version=part.version,
            purl=purl,
            licenses=[licences.make_from_string(licence(part, known))],
            hashes=hashes if len(hashes) == 1 else [],
            bom_ref=f"{purl}#{min(part.sha256)[:12]}",
        )
        bom.components.add(component)
    bom.register_dependency(whole, bom.components)
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def table(parts: list[Part], known: Mapping[str, Mapping[str, str]]) -> str:
    """Return the licences as a Markdown table."""
    rows = sorted({(part.name, part.version, licence(part, known)) for part in parts})
    lines = ["| part | version | licence |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


def main() -> None:
    """Write both files into a folder."""
    folder = Path(sys.argv[1])
    known = tomllib.loads(LICENCES.read_text())
    try:
        document, listed = bill(all_parts(), known), table(all_parts(), known)
    except UnknownLicenceError as exc:
        sys.exit(str(exc))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(document)
    (folder / "licences.md").write_text(listed)
    sys.stdout.write(f"{folder / 'sbom.cdx.json'} and {folder / 'licences.md'}\n")


if __name__ == "__main__":
    main()
