"""The workloads of rendered manifests, with what a kubelet would make of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.composition import IMAGE_ENVIRONMENT as OF_CPU
from tests.deploy.dockerfile import DEPLOY, Dockerfile
from tests.deploy.kubernetes.kustomize import Manifest, containers_of, render, render_with

KUBERNETES = DEPLOY / "kubernetes"
COMPONENTS = KUBERNETES / "components"
POD = "longtake-worker-0"
NAME_OF_POD = {"fieldRef": {"fieldPath": "metadata.name"}}
KINDS = ("StatefulSet", "Job")

_of_gpu = Dockerfile.read("Dockerfile.gpu").arguments("ENV")
OF_GPU = dict(re.findall(r"(LONGTAKE_\w+)=(\S+)", " ".join(_of_gpu)))
IMAGES = {
    "registry.example.org/longtake:0.1.0": OF_CPU,
    "registry.example.org/longtake-gpu:0.1.0": OF_GPU,
}
SECRETS = {  # name -> its keys, as Strimzi or an operator of ours makes them
    "kafka-cluster-ca-cert": {"ca.crt", "ca.p12", "ca.password"},
    **{
        f"longtake-{user}": {"ca.crt", "user.crt", "user.key", "user.p12", "user.password"}
        | {"password", "sasl.jaas.config"}
        for user in ("worker", "camera", "operator", "keda")
    },
    "longtake-cameras": {"door", "yard"},
}


@dataclass(frozen=True, slots=True)
class Tree:
    """One way to render deploy/kubernetes."""

    name: str
    manifests: Sequence[Manifest]

    def of(self, kind: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] == kind]

    def the(self, kind: str, name: str) -> Manifest:
        (found,) = [one for one in self.of(kind) if one["metadata"]["name"] == name]
        return found

    @property
    def workloads(self) -> list["Workload"]:
        return [Workload(self, one) for one in self.manifests if one["kind"] in KINDS]

    @property
    def containers(self) -> list["Container"]:
        return [one for workload in self.workloads for one in workload.containers]

    def config_map(self, name: str) -> dict[str, str]:
        data: dict[str, str] = self.the("ConfigMap", name)["data"]
        return data


@dataclass(frozen=True, slots=True)
class Workload:
    """A StatefulSet or a Job."""

    tree: Tree
    manifest: Manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def pod(self) -> dict[str, Any]:
        """The spec of its pods."""
        spec: dict[str, Any] = self.manifest["spec"]["template"]["spec"]
        return spec

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def containers(self) -> list["Container"]:
        return [Container(self, one) for one in containers_of(self.manifest)]

    @property
    def volumes(self) -> dict[str, Manifest]:
        """Its volumes by name; those of claims are writable disks."""
        claims = self.manifest["spec"].get("volumeClaimTemplates", [])
        disks = {claim["metadata"]["name"]: {"disk": claim["spec"]} for claim in claims}
        return disks | {volume["name"]: volume for volume in self.pod.get("volumes", [])}

    def is_selected_by(self, labels: Mapping[str, str]) -> bool:
        return labels.items() <= self.labels.items()


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a workload."""

    workload: Workload
    spec: Manifest

    @property
    def name(self) -> str:
        tree = self.workload.tree.name
        return f"{tree} {self.workload.name} {self.spec['name']}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its process in the pod `POD`."""
        return self.environment_in(POD)

    @property
    def arguments(self) -> list[str]:
        """Its arguments in the pod `POD`."""
        return self.arguments_in(POD)

    def environment_in(self, pod: str) -> dict[str, str]:
        """Return the environment of its process in a pod of this name, with that of the image."""
        found = dict(IMAGES[self.spec["image"]])
        for source in self.spec.get("envFrom", []):
            found |= self.workload.tree.config_map(source["configMapRef"]["name"])
        for one in self.spec.get("env", []):
            found[one["name"]] = str(one["value"]) if "value" in one else pod
            assert "value" in one or one["valueFrom"] == NAME_OF_POD
        return found

    def arguments_in(self, pod: str) -> list[str]:
        """Return its arguments, with variables filled in as a kubelet does."""
        values = self.environment_in(pod)
        return [re.sub(r"\$\((\w+)\)", lambda m: values[m[1]], arg) for arg in self.spec["args"]]

    @property
    def mounts(self) -> dict[str, Manifest]:
        """Its mounts by their paths."""
        return {mount["mountPath"]: mount for mount in self.spec.get("volumeMounts", [])}

    @property
    def writable(self) -> list[Path]:
        """The folders in which it can write."""
        return [Path(path) for path, one in self.mounts.items() if not one.get("readOnly")]

    def files(self) -> Iterator[tuple[Path, str]]:
        """The files that are mounted into it, with the text of those that are no secrets."""
        for path, mount in self.mounts.items():
            volume = self.workload.volumes[mount["name"]]
            if "configMap" in volume:
                data = self.workload.tree.config_map(volume["configMap"]["name"])
                yield from ((Path(path, name), text) for name, text in data.items())
            if "secret" in volume:
                keys = SECRETS[volume["secret"]["secretName"]]
                items = volume["secret"].get("items", [{"key": k, "path": k} for k in keys])
                yield from ((Path(path, one["path"]), "") for one in items if one["key"] in keys)

    @property
    def port(self) -> int:
        (port,) = [one for one in self.spec["ports"] if one["name"] == "metrics"]
        return int(port["containerPort"])

    @property
    def probes(self) -> dict[str, Manifest]:
        return {name: one for name, one in self.spec.items() if name.endswith("Probe")}


@cache
def trees() -> tuple[Tree, ...]:
    base = KUBERNETES / "base"
    login = render_with(base, COMPONENTS / "kafka-login")
    return (
        Tree("base", render(base)),
        Tree("login", login),
        *(Tree(f.name, render(f)) for f in sorted((KUBERNETES / "overlays").iterdir())),
    )


def tree(name: str) -> Tree:
    return next(one for one in trees() if one.name == name)


def all_containers() -> list[Container]:
    return [container for one in trees() for container in one.containers]


def all_workloads() -> list[Workload]:
    return [workload for one in trees() for workload in one.workloads]
