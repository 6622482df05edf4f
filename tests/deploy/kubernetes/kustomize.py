"""Renders a kustomization as `kubectl kustomize` does, for what deploy/kubernetes uses of it.

It adds no hash to the names of ConfigMaps. A test compares it with kubectl where that is installed.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

KNOWN = {
    *("apiVersion", "kind", "namespace", "resources", "components", "images"),
    *("configMapGenerator", "patches"),
}
MERGED_BY = {  # lists whose entries have a key; a patch replaces all other lists
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
}
CLUSTER_WIDE = {"Namespace"}


class UnknownFieldError(ValueError):
    """A kustomization uses what this renderer does not know."""


def render(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization."""
    return _apply(folder, [])


def render_with(base: Path, *components: Path) -> list[Manifest]:
    """Return the manifests of a kustomization that has `base` and these components."""
    manifests = render(base)
    for component in components:
        manifests = _apply(component, manifests)
    return manifests


def _apply(folder: Path, manifests: list[Manifest]) -> list[Manifest]:
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    if unknown := spec.keys() - KNOWN:
        raise UnknownFieldError(f"{folder}: {', '.join(sorted(unknown))}")
    manifests = [*manifests, *_resources(folder, spec.get("resources", []))]
    for component in spec.get("components", []):
        manifests = _apply(folder / component, manifests)
    for generator in spec.get("configMapGenerator", []):
        manifests = _generate(folder, generator, manifests)
    for patch in spec.get("patches", []):
        manifests = _patch(folder, patch, manifests)
    for manifest in manifests:
        if (namespace := spec.get("namespace")) and manifest["kind"] not in CLUSTER_WIDE:
            manifest["metadata"]["namespace"] = namespace
        for container in containers_of(manifest):
            for image in spec.get("images", []):
                container["image"] = _renamed(container["image"], image)
    return manifests


def _resources(folder: Path, names: Iterable[str]) -> list[Manifest]:
    found: list[Manifest] = []
    for name in names:
        path = folder / name
        found += render(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    return found


def _generate(folder: Path, generator: Manifest, manifests: list[Manifest]) -> list[Manifest]:
    pairs = (literal.partition("=") for literal in generator.get("literals", []))
    data = {name: value for name, _, value in pairs}
    data |= {name: (folder / name).read_text() for name in generator.get("files", [])}
    behavior = generator.get("behavior", "create")
    if behavior == "create":
        made = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        return [*manifests, made | {"metadata": {"name": generator["name"]}}]
    (given,) = [one for one in manifests if _is(one, "ConfigMap", generator["name"])]
    given["data"] = {"merge": given["data"] | data, "replace": data}[behavior]
    return manifests


def _patch(folder: Path, patch: Manifest, manifests: list[Manifest]) -> list[Manifest]:
    text = (folder / patch["path"]).read_text() if "path" in patch else patch["patch"]
    change = yaml.safe_load(text)
    target = patch.get("target") or {"kind": change["kind"], "name": change["metadata"]["name"]}
    (given,) = [one for one in manifests if _is(one, target["kind"], target["name"])]
    if isinstance(change, list):
        for step in change:
            _remove(given, step)
        return manifests
    if change.get("$patch") == "delete":
        return [one for one in manifests if one is not given]
    _merge(given, change)
    return manifests


def _remove(manifest: Manifest, step: Manifest) -> None:
    if step["op"] != "remove":
        raise UnknownFieldError(f"op: {step['op']}")
    *above, last = step["path"].strip("/").split("/")
    place = manifest
    for name in above:
        place = place[name]
    del place[last]


def _merge(given: Manifest, change: Mapping[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, Mapping) and isinstance(given.get(name), dict):
            _merge(given[name], value)
        elif name in MERGED_BY and name in given:
            _merge_list(given[name], value, key=MERGED_BY[name])
        else:
            given[name] = value


def _merge_list(given: list[Manifest], change: Iterable[Manifest], *, key: str) -> None:
    for one in change:
        same = next((old for old in given if old[key] == one[key]), None)
        if same is None:
            given.append(one)
        else:
            _merge(same, one)


def _renamed(image: str, rule: Mapping[str, str]) -> str:
    name, _, tag = image.partition(":")
    if name != rule["name"]:
        return image
    return f"{rule.get('newName', name)}:{rule.get('newTag', tag)}"


def _is(manifest: Manifest, kind: str, name: str) -> bool:
    return bool((manifest["kind"], manifest["metadata"]["name"]) == (kind, name))


def containers_of(manifest: Manifest) -> list[Manifest]:
    """Return the containers of a workload, those that run first among them."""
    template = manifest.get("spec", {}).get("template", {})
    spec = template.get("spec", {}) if isinstance(template, dict) else {}
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def sorted_lists(value: Any, *, key: Callable[[Any], str] = repr) -> Any:
    """Return a copy in which the order of lists does not matter."""
    if isinstance(value, dict):
        return {name: sorted_lists(one, key=key) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return sorted((sorted_lists(one, key=key) for one in value), key=key)
    return value
