"""Every manifest of a kind of Kubernetes' own is what the schemas of 1.37 allow."""

import copy

import pytest

from doubles.building import PartsMissingError
from tests.deploy.kubernetes.kustomize import Manifest
from tests.deploy.kubernetes.pods import Tree, tree, trees
from tests.deploy.kubernetes.schemas import Schemas

CUSTOM = ("strimzi.io", "keda.sh", "coreos.com")

pytestmark = pytest.mark.slow  # the first time it fetches 22 MB


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    try:
        return Schemas()
    except PartsMissingError as exc:
        pytest.skip(f"the schemas cannot be fetched: {exc}")


def own_kinds(rendered: Tree) -> list[Manifest]:
    return [one for one in rendered.manifests if not any(c in one["apiVersion"] for c in CUSTOM)]


@pytest.mark.parametrize("rendered", trees(), ids=lambda one: one.name)
def test_manifests_are_what_the_schemas_allow(rendered: Tree, schemas: Schemas) -> None:
    found = own_kinds(rendered)
    assert len(found) >= 10
    assert [fault for one in found for fault in schemas.faults(one)] == []


def test_a_field_that_does_not_exist_and_a_wrong_type_are_found(schemas: Schemas) -> None:
    wrong = copy.deepcopy(tree("base").the("StatefulSet", "longtake-worker"))
    wrong["spec"]["replicaz"] = 2
    wrong["spec"]["replicas"] = "two"
    assert len(schemas.faults(wrong)) == 2
