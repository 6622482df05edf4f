"""Writes the rules of deploy/prometheus as a PrometheusRule.

`python -m tests.deploy.kubernetes.rules`
"""

from typing import Any

import yaml

from tests.deploy.dockerfile import DEPLOY

FILE = DEPLOY / "kubernetes" / "components" / "monitoring" / "rules.yaml"
HEAD = """\
# The rules of deploy/prometheus, written by `python -m tests.deploy.kubernetes.rules`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: longtake
  labels: {app.kubernetes.io/name: longtake}
spec:
"""


def groups() -> list[dict[str, Any]]:
    """Return the groups of rules, in the order in which they are evaluated."""
    files = (DEPLOY / "prometheus" / name for name in ("recording.yml", "alerts.yml"))
    return [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]


def written() -> str:
    """Return the text of the file."""
    body = yaml.safe_dump({"groups": groups()}, sort_keys=False, width=1000)
    return HEAD + "".join(f"  {line}\n" for line in body.splitlines())


if __name__ == "__main__":
    FILE.write_text(written())
