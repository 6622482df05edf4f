"""The bill of materials is valid, covers all locks and jars, and knows every licence."""

import json
import re
import tomllib
from importlib.metadata import distributions

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import get_spdx_licensing

from tests.deploy.bill_of_materials import (
    JARS,
    LICENCES,
    LOCKS,
    Part,
    UnknownLicenceError,
    all_parts,
    bill,
    licence,
    table,
)

KNOWN = tomllib.loads(LICENCES.read_text())


def test_it_is_valid_by_the_schema_of_cyclonedx() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill(all_parts(), KNOWN)) is None


def test_it_covers_every_package_of_every_lock_and_every_jar() -> None:
    components = json.loads(bill(all_parts(), KNOWN))["components"]
    listed = {(one["name"], one["version"]) for one in components}
    text = "".join(lock.read_text() for lock in LOCKS)
    locked = re.findall(r"^([\w.-]+)==([^ \\]+)", text, flags=re.MULTILINE)
    jars = [line.split("/")[-3:-1] for line in JARS.read_text().splitlines()]
    assert len(jars) > 40
    assert listed == {*locked, *((name, version) for name, version in jars)}


def test_every_part_has_a_hash() -> None:
    assert [part for part in all_parts() if not part.sha256] == []


def test_a_part_without_a_known_licence_is_refused() -> None:
    stranger = Part("pypi", "stranger", "1.0", frozenset({"0" * 64}))
    with pytest.raises(UnknownLicenceError, match=r"stranger 1\.0 has no licence in licences"):
        bill([stranger], KNOWN)


def test_no_licence_is_listed_that_nothing_has() -> None:
    names = {
        (part.kind, name)
        for part in all_parts()
        for name in (part.name, part.name.partition("/")[0])
    }
    listed = {(kind, name) for kind, names in KNOWN.items() for name in names}
    assert listed <= names


def test_every_licence_is_one_of_spdx_or_is_marked_as_none() -> None:
    expressions = {licence(part, KNOWN) for part in all_parts()}
    own = {one for one in expressions if one.startswith("LicenseRef-")}
    assert own == {"LicenseRef-NVIDIA-Proprietary", "LicenseRef-matplotlib"}
    spdx = get_spdx_licensing()
    assert [one for one in expressions - own if spdx.validate(one).errors] == []


def test_the_table_agrees_with_what_installed_packages_say_of_themselves() -> None:
    said = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.metadata["License-Expression"]
        for one in distributions()
        if one.metadata["License-Expression"]
    }
    ours = {name: said[name] for name in KNOWN["pypi"] if name in said}
    assert len(ours) > 20
    assert {name: KNOWN["pypi"][name] for name in ours} == ours


def test_the_table_has_a_row_for_each_version() -> None:
    rows = table(all_parts(), KNOWN).splitlines()[2:]
    assert len(rows) == len({(part.name, part.version) for part in all_parts()})
