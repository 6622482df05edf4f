"""Parses deploy/compose.yaml: services and their mounts from the repository."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.dockerfile import DEPLOY, Dockerfile

IMAGE = Dockerfile.read("Dockerfile.cpu")
IMAGE_ENVIRONMENT = dict(re.findall(r"(LONGTAKE_\w+)=(\S+)", " ".join(IMAGE.arguments("ENV"))))


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a service. `source` is a host path that begins with a dot, or a volume name."""

    source: str
    target: str
    mode: str

    @property
    def path(self) -> Path | None:
        return DEPLOY / self.source if self.source.startswith(".") else None


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the file."""

    name: str
    definition: dict[str, Any]

    @property
    def is_longtake(self) -> bool:
        return bool(self.definition["image"] == "longtake")

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its process, with that of the image."""
        given = IMAGE_ENVIRONMENT if self.is_longtake else {}
        return given | {k: str(v) for k, v in self.definition.get("environment", {}).items()}

    @property
    def waits_for(self) -> dict[str, str]:
        """Services that must start first, each with the condition to wait for."""
        wanted = self.definition.get("depends_on", {})
        if isinstance(wanted, list):
            return dict.fromkeys(wanted, "service_started")
        return {name: rule["condition"] for name, rule in wanted.items()}

    @property
    def mounts(self) -> list[Mount]:
        parts = (volume.split(":") for volume in self.definition.get("volumes", []))
        return [Mount(source, target, "".join(mode)) for source, target, *mode in parts]


def read(name: str) -> dict[str, Any]:
    composition: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return composition


def services() -> list[Service]:
    return [
        Service(name, definition) for name, definition in read("compose.yaml")["services"].items()
    ]


def service(name: str) -> Service:
    return next(one for one in services() if one.name == name)
