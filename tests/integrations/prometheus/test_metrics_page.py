"""docs/metrics.md tells of every series, alert and source, and of no others."""

from __future__ import annotations

import re
from pathlib import Path

from integrations.prometheus.alerts import alerts
from integrations.prometheus.rules import rules_text
from runbook.policy import Policy
from runbook.series import SHIPPED, Windows

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
RULES = (Path(__file__).parents[3] / "integrations" / "prometheus" / "rules.yaml").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`{]+)", cell) if re.fullmatch(r"\w+", name)]


def test_every_recorded_series_is_defined_once() -> None:
    assert sorted(first_cells(section("Definitions"))) == sorted(SHIPPED)


def test_every_alert_of_the_runbook_is_listed_with_its_severity() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", section("Alerts"), re.MULTILINE)
    assert sorted(rows) == sorted((alert.name, alert.severity) for alert in alerts(Policy(), Windows()))


def test_every_metric_that_services_expose_is_read_by_a_rule() -> None:
    exposed = first_cells(section("What has to be there"))
    assert len(exposed) == 8
    assert [name for name in exposed if name not in rules_text()] == []


def test_the_flag_of_kube_state_metrics_is_the_same_everywhere() -> None:
    (flag,) = set(re.findall(r"--metric-labels-allowlist=[^\s`]+", RULES))
    assert f"`{flag}`" in PAGE
