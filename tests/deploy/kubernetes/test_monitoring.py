"""What the Prometheus operator gets is what deploy/prometheus has."""

import re

from tests.deploy.expressions import RULES
from tests.deploy.kubernetes.generated import groups_of_rules
from tests.deploy.kubernetes.pods import tree

EXAMPLE = tree("example")


def test_its_rules_are_those_of_our_own_prometheus() -> None:
    (rule,) = EXAMPLE.of("PrometheusRule")
    assert rule["spec"]["groups"] == groups_of_rules()


def test_every_job_that_a_rule_asks_for_is_scraped() -> None:
    asked = set(re.findall(r'job="([\w-]+)"', RULES))
    monitors = EXAMPLE.of("PodMonitor")
    rules = [
        rule
        for one in monitors
        for end in one["spec"]["podMetricsEndpoints"]
        for rule in end["relabelings"]
    ]
    assert {rule["replacement"] for rule in rules if rule["targetLabel"] == "job"} == asked


def test_it_scrapes_ports_that_the_pods_have() -> None:
    for monitor in EXAMPLE.of("PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (end,) = monitor["spec"]["podMetricsEndpoints"]
        pods = [one for one in EXAMPLE.workloads if one.is_selected_by(wanted)]
        named = [port["name"] for one in pods for c in one.containers for port in c.spec["ports"]]
        assert named == [end["port"]]
