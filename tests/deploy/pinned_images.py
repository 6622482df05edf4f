"""The images that deploy/ names, each with a tag and the digest of its index.

`make pins` asks the registries which digests the tags have today, and writes those that changed.
"""

import json
import re
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deploy.dockerfile import DEPLOY

FILES = tuple(sorted(path for path in DEPLOY.rglob("*") if path.suffix != ".json"))
IMAGE = re.compile(r"^(?:FROM|\s*-?\s*image:)\s+[\"']?([^\s\"']+)", re.MULTILINE)
REFERENCE = re.compile(r"([a-z0-9./-]+):([\w.-]+)(?:@(sha256:[0-9a-f]{64}))?")
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
LOGIN = "https://auth.docker.io/token?service=registry.docker.io&scope=repository:{name}:pull"
MANIFEST = "https://registry-1.docker.io/v2/{name}/manifests/{tag}"
OWN = frozenset({"longtake", "longtake-gpu"})  # a kustomization gives them their registry


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One use of an image: `name:tag@digest`; the digest is None where there is none."""

    name: str
    tag: str
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> "ImageReference":
        parts = REFERENCE.fullmatch(text)
        assert parts, f"{text} has no tag"
        return cls(*parts.groups())


def foreign_images(files: tuple[Path, ...] = FILES) -> dict[str, ImageReference]:
    """Return the images that are not built here, by their text."""
    texts = {text for path in files if path.is_file() for text in IMAGE.findall(path.read_text())}
    return {text: ImageReference.parse(text) for text in sorted(texts - OWN)}


def ask(url: str, headers: dict[str, str]) -> tuple[Any, bytes]:
    """Return the headers and the body that a registry answers."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # one of ours, see above
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return answer.headers, answer.read()


def digest_today(image: ImageReference, ask: Callable[..., tuple[Any, bytes]] = ask) -> str:
    """Return the digest of an image's index, as Docker Hub has it."""
    name = image.name if "/" in image.name else f"library/{image.name}"
    token = json.loads(ask(LOGIN.format(name=name), {})[1])["token"]
    wanted = {"Accept": ", ".join(INDEXES), "Authorization": f"Bearer {token}"}
    headers, _ = ask(MANIFEST.format(name=name, tag=image.tag), wanted)
    return str(headers["Docker-Content-Digest"])


def pin(files: tuple[Path, ...], ask: Callable[..., tuple[Any, bytes]] = ask) -> list[str]:
    """Write the digests of today into the files. Returns one line for each image."""
    lines = []
    for text, image in foreign_images(files).items():
        digest = digest_today(image, ask)
        new = f"{image.name}:{image.tag}@{digest}"
        for path in files:
            if path.is_file():
                path.write_text(path.read_text().replace(text, new))
        lines.append(f"{new} {'as before' if image.digest == digest else 'is new'}")
    return lines


def main() -> None:
    """Pin the images of deploy/."""
    try:
        sys.stdout.writelines(f"{line}\n" for line in pin(FILES))
    except OSError as exc:
        sys.exit(f"Docker Hub cannot be asked from here, so nothing more was changed: {exc}")


if __name__ == "__main__":
    main()
