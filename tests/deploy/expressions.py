"""The Prometheus expressions in the files of deploy/."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = "".join((PROMETHEUS / f"{name}.yml").read_text() for name in ("recording", "alerts"))
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy" / "grafana" / "dashboards" / "longtake.json").read_text()
)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES: dict[str, dict[str, Any]] = {one["name"]: one for one in DASHBOARD["templating"]["list"]}

ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)
RECORDED = set(re.findall(r"^ +- record: (\S+)$", RULES, re.MULTILINE))
OF_RULES = re.findall(r"^ +expr: (.+)$", RULES, re.MULTILINE)
OF_DASHBOARD = [target["expr"] for panel in PANELS for target in panel["targets"]]


def series_in(expression: str) -> set[str]:
    """Return the names of our series in an expression, without recorded ones."""
    return set(re.findall(r"(?<![\w:])longtake_\w+(?![\w:])", expression))


def family(series: str) -> str:
    """Return the metric of a series: a histogram has three kinds of series."""
    return re.sub(r"_(bucket|sum|count)$", "", series)
