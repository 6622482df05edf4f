"""Each workload: what its pods may do, who finds them, and how they end."""

import inspect
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.cameras.camera_service import LAST_S, STOP_S
from pipeline.worker.worker import Worker
from tests.deploy.dockerfile import DEPLOY, Dockerfile
from tests.deploy.kubernetes.pods import Tree, Workload, all_workloads, tree, trees

every = pytest.mark.parametrize(
    "one", all_workloads(), ids=lambda one: f"{one.tree.name} {one.name}"
)
every_tree = pytest.mark.parametrize("rendered", trees(), ids=lambda one: one.name)
LEAVING_S = 5  # for the clients of a stopped worker to close


@every
def test_its_pods_keep_to_the_restricted_profile(one: Workload) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    pod = one.pod["securityContext"]
    assert (pod["runAsNonRoot"], pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    for container in one.containers:
        assert container.spec["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & one.pod.keys() == set()
    kinds = {kind for volume in one.volumes.values() for kind in volume} - {"name"}
    assert kinds <= {"configMap", "secret", "emptyDir", "disk"}


@every
def test_its_pods_run_as_the_user_of_the_image(one: Workload) -> None:
    images = (Dockerfile.read(f"Dockerfile.{kind}") for kind in ("cpu", "gpu"))
    (user,) = {word for image in images for word in image.arguments("USER")}
    context = one.pod["securityContext"]
    assert [context[f"{what}"] for what in ("runAsUser", "runAsGroup", "fsGroup")] == [
        int(user)
    ] * 3


@every
def test_a_private_file_on_its_disk_stays_private_when_a_pod_starts_again(one: Workload) -> None:
    """Without OnRootMismatch a kubelet gives all files to the group, at each mount."""
    if any("disk" in volume for volume in one.volumes.values()):
        assert one.pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


@every
def test_its_pods_get_no_variables_and_no_token_of_the_cluster(one: Workload) -> None:
    assert one.pod["enableServiceLinks"] is False
    assert one.pod["automountServiceAccountToken"] is False


@every
def test_its_memory_has_a_limit_and_its_processor_has_none(one: Workload) -> None:
    for container in one.containers:
        wanted, limits = (container.spec["resources"][name] for name in ("requests", "limits"))
        assert wanted.keys() == {"cpu", "memory"}
        assert limits.keys() - {"nvidia.com/gpu"} == {"memory"}


def test_pods_have_time_to_end_their_work() -> None:
    worker_s = inspect.signature(Worker.stop).parameters["timeout_s"].default + LEAVING_S
    longest_s = max(worker_s, STOP_S + LAST_S)
    served = [one for one in all_workloads() if one.manifest["kind"] == "StatefulSet"]
    assert {one.pod["terminationGracePeriodSeconds"] for one in served} == {30}
    assert longest_s < 30


def selectors(rendered: Tree) -> list[tuple[str, Mapping[str, str]]]:
    """Everything that names pods of ours by their labels."""
    found: list[tuple[str, Mapping[str, str]]] = []
    for one in rendered.manifests:
        name, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "Service":
            found.append((name, spec["selector"]))
        if one["kind"] == "NetworkPolicy":
            found.append((name, spec["podSelector"]["matchLabels"]))
        if isinstance(spec.get("selector"), dict) and "matchLabels" in spec["selector"]:
            found.append((name, spec["selector"]["matchLabels"]))
    spread = (one.pod.get("topologySpreadConstraints", []) for one in rendered.workloads)
    found += [
        ("spread", rule["labelSelector"]["matchLabels"]) for rules in spread for rule in rules
    ]
    return found


@every_tree
def test_every_selector_selects_the_pods_that_its_object_is_named_after(rendered: Tree) -> None:
    found = selectors(rendered)
    assert len(found) > 6
    for name, labels in found:
        selected = {one.name for one in rendered.workloads if one.is_selected_by(labels)}
        kind, _, wanted = name.partition(" ")
        if (kind, wanted) == ("NetworkPolicy", "longtake"):
            assert selected == {one.name for one in rendered.workloads}
        else:
            assert selected == {wanted or "longtake-worker"}


@every_tree
def test_every_stateful_set_has_the_headless_service_that_it_names(rendered: Tree) -> None:
    for one in rendered.of("StatefulSet"):
        service = rendered.the("Service", one["spec"]["serviceName"])
        assert service["spec"]["clusterIP"] == "None"
        assert service["spec"]["selector"] == one["spec"]["selector"]["matchLabels"]
        (port,) = service["spec"]["ports"]
        (container,) = Workload(rendered, one).manifest["spec"]["template"]["spec"]["containers"]
        named = {p["name"]: p["containerPort"] for p in container["ports"]}
        assert port == {"name": "metrics", "port": named["metrics"], "targetPort": "metrics"}


@every_tree
def test_no_more_than_one_worker_is_evicted_at_a_time_and_a_drain_never_waits_for_kafka(
    rendered: Tree,
) -> None:
    (budget,) = rendered.of("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@every_tree
def test_every_config_map_is_used(rendered: Tree) -> None:
    used = {source["configMapRef"]["name"] for c in rendered.containers for source in _from(c.spec)}
    volumes = [volume for one in rendered.workloads for volume in one.volumes.values()]
    used |= {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
    assert used == {one["metadata"]["name"] for one in rendered.of("ConfigMap")}


def _from(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(container.get("envFrom", []))


@every_tree
def test_pods_of_ours_may_talk_only_to_dns_kafka_and_cameras(rendered: Tree) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in rendered.of("NetworkPolicy")}
    assert policies["longtake"]["policyTypes"] == ["Ingress", "Egress"]
    ports = [[p["port"] for p in rule["ports"]] for rule in policies["longtake"]["egress"]]
    assert ports == [[53, 53], [9092, 9093]]
    kafka = rendered.config_map("longtake")["LONGTAKE_BOOTSTRAP"]
    assert int(kafka.rpartition(":")[2]) in ports[1]
    assert all("ipBlock" not in to for rule in policies["longtake"]["egress"] for to in rule["to"])


def test_the_cameras_of_the_base_are_those_of_the_containers() -> None:
    ours = tree("base").config_map("longtake-cameras")["cameras.toml"]
    assert tomllib.loads(ours) == tomllib.loads((DEPLOY / "cameras" / "cameras.toml").read_text())


def test_a_changed_list_of_cameras_starts_no_new_pod_and_a_changed_worker_does() -> None:
    """A name without a hash stays the same, so the pod's template does too."""
    text = (DEPLOY / "kubernetes" / "base" / "kustomization.yaml").read_text()
    assert text.count("disableNameSuffixHash: true") == 1
    assert "longtake-cameras" in text.partition("disableNameSuffixHash")[0].splitlines()[-4]


def test_workers_on_gpus_have_one_each_and_keep_their_plans() -> None:
    (worker,) = [one for one in tree("gpu").workloads if one.name == "longtake-worker"]
    assert [one.spec["resources"]["limits"]["nvidia.com/gpu"] for one in worker.containers] == [
        1,
        1,
    ]
    assert {one.spec["image"] for one in worker.containers} == {
        "registry.example.org/longtake-gpu:0.1.0"
    }
    for one in worker.containers:
        mount = one.mounts["/var/cache/longtake"]
        assert "disk" in worker.volumes[mount["name"]]
        assert one.environment["LONGTAKE_CACHE"] == "/var/cache/longtake/cache"
