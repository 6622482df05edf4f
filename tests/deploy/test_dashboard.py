"""The dashboard's file, as far as it can be checked without a Grafana."""

import re
from itertools import combinations
from typing import Any

import pytest

from tests.deploy.cameras import METRICS
from tests.deploy.expressions import DASHBOARD, OF_DASHBOARD, PANELS, ROOT, VARIABLES, family

GRAFANA = ROOT / "deploy" / "grafana"
KINDS = {"stat", "timeseries", "state-timeline", "heatmap", "table"}
QUESTIONS = (
    "Are all cameras alive?",
    "How old are predictions?",
    "What does the model say?",
    "Is anything lost?",
    "What does it cost?",
)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not beside and not below


def test_the_rows_are_the_operators_questions_from_top_to_bottom() -> None:
    rows = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert tuple(row["title"] for row in rows) == QUESTIONS
    heights = [row["gridPos"]["y"] for row in rows]
    assert heights == sorted(heights)


def test_every_panels_title_is_a_question_and_its_kind_is_known() -> None:
    assert [panel["title"] for panel in PANELS if not panel["title"].endswith("?")] == []
    assert {panel["type"] for panel in PANELS} <= KINDS
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []


def test_every_query_has_a_name_of_its_own_within_its_panel() -> None:
    for panel in PANELS:
        names = [target["refId"] for target in panel["targets"]]
        assert len(set(names)) == len(names) > 0


def test_the_panels_query_the_data_source_that_is_provisioned() -> None:
    source = (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()
    (uid,) = re.findall(r"^ +uid: (\S+)$", source, re.MULTILINE)
    assert {panel["datasource"]["uid"] for panel in PANELS} == {uid}


@pytest.mark.parametrize("expression", OF_DASHBOARD)
def test_every_query_shows_only_the_groups_and_processes_that_are_chosen(expression: str) -> None:
    for name, selector in re.findall(r"\b(longtake[_:][\w:]+)(\{[^}]*\})?", expression):
        of_cameras = re.match("longtake_(camera|spool)", name)
        wanted = {'instance=~"$cameras"'} if of_cameras else {'group=~"$group"'}
        if not of_cameras and ":" not in name:
            wanted.add('instance=~"$worker"')
        if "camera" in METRICS.get(family(name), ("", ()))[1]:
            wanted.add('camera=~"$camera"')
        assert {one for one in wanted if one not in selector} == set(), name


def test_every_curve_of_workers_names_its_group_and_no_sum_mixes_groups() -> None:
    panels = [panel for panel in PANELS if panel["type"] == "timeseries"]
    curves = {one["expr"]: one["legendFormat"] for panel in panels for one in panel["targets"]}
    of_groups = {query for query in curves if re.search(r'longtake.*group=~"\$group"', query)}
    assert len(of_groups) > 20
    assert {query for query in of_groups if "{{group}}" not in curves[query]} == set()
    mixing = re.compile(r"(?<!:)\b(sum|min|max)\b(?! by \(group\b)")
    assert {query for query in of_groups if mixing.search(query)} == set()


def test_a_variable_offers_several_values_and_all_even_of_workers_without_a_group() -> None:
    for variable in VARIABLES.values():
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (
            True,
            True,
            ".*",
        )
    used = set(re.findall(r"\$([a-z]\w*)", " ".join(OF_DASHBOARD)))
    assert used == set(VARIABLES)
