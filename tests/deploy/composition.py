"""deploy/compose.yaml as the tests see it: services, and what of the tree is mounted where."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.dockerfile import DEPLOY, Dockerfile

IMAGE = Dockerfile.read("Dockerfile.cpu")
IMAGE_ENVIRONMENT = dict(re.findall(r"(LONGTAKE_\w+)=(\S+)", " ".join(IMAGE.told("ENV"))))


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume of a service: a path of the host that begins with a dot, or a volume's name."""

    source: str
    target: str
    mode: str

    @property
    def path(self) -> Path | None:
        return DEPLOY / self.source if self.source.startswith(".") else None


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `longtake` are those that run our image."""

    name: str
    told: dict[str, Any]

    @property
    def is_longtake(self) -> bool:
        return bool(self.told["image"] == "longtake")

    @property
    def environment(self) -> dict[str, str]:
        """What its process finds, of the image's too."""
        given = IMAGE_ENVIRONMENT if self.is_longtake else {}
        return given | {k: str(v) for k, v in self.told.get("environment", {}).items()}

    @property
    def waits_for(self) -> dict[str, str]:
        """Other services, and what must have become of each."""
        wanted = self.told.get("depends_on", {})
        if isinstance(wanted, list):
            return dict.fromkeys(wanted, "service_started")
        return {name: rule["condition"] for name, rule in wanted.items()}

    @property
    def mounts(self) -> list[Mount]:
        parts = (volume.split(":") for volume in self.told.get("volumes", []))
        return [Mount(source, target, "".join(mode)) for source, target, *mode in parts]


def read(name: str) -> dict[str, Any]:
    composition: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return composition


def services() -> list[Service]:
    return [Service(name, told) for name, told in read("compose.yaml")["services"].items()]


def service(name: str) -> Service:
    return next(one for one in services() if one.name == name)
