"""Our renderer gives what kubectl gives, and every manifest is what Kubernetes' schemas allow."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.kubernetes.generated import files
from tests.deploy.kubernetes.kustomize import UnknownFieldError, render, sorted_lists
from tests.deploy.kubernetes.pods import KUBERNETES

HASH = re.compile(r"(name: longtake(?:-[a-z]+)?)-(?=[a-z]*[0-9])[a-z0-9]{10}$", re.MULTILINE)
FOLDERS = [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir())]


@pytest.fixture
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl on this machine")
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kubectl_renders_the_same(folder: Path, kubectl: str) -> None:
    ended = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    theirs = list(yaml.safe_load_all(HASH.sub(r"\1", ended.stdout)))
    assert sorted_lists(render(folder)) == sorted_lists(theirs)


def test_a_field_that_our_renderer_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: second-")
    with pytest.raises(UnknownFieldError, match="namePrefix"):
        render(tmp_path)


def test_files_that_repeat_what_is_said_elsewhere_are_up_to_date() -> None:
    old = [path.name for path, text in files().items() if path.read_text() != text]
    assert old == [], "python -m tests.deploy.kubernetes.generated"


def test_every_file_is_named_in_the_kustomization_of_its_folder() -> None:
    for folder in (path.parent for path in KUBERNETES.rglob("kustomization.yaml")):
        text = (folder / "kustomization.yaml").read_text()
        others = {path.name for path in folder.iterdir() if path.is_file()} - {"kustomization.yaml"}
        assert {name for name in others if name not in text} == set()
