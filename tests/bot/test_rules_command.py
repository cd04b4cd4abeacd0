"""`forge rules` as people run it: with a configuration, without one, for the operator, and with what can't be understood."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bot.exits import Exit
from sandbox.prometheus import find_or_unpack
from tests.bot.prepared_forge import Ended, typed

CONFIGURATION = """
slack: {channel: C0RELEASE1, team: T0FORGE}
services:
  shop: &service
    repository: acme/shop
    workloads: [{name: web, container: web, image: registry.test/acme/web}]
    urls: {staging: "http://127.0.0.1:9"}
    smoke: [{name: alive, path: /health/live}]
  billing:
    <<: *service
    repository: acme/billing
    expressions:
      queue_lag_seconds: |
        max by (env) (
          kafka_consumergroup_lag_seconds{group="billing"}  # of the slowest partition
        )
      core_transaction_rate: sum(rate(invoices_total{stage="$env"}[$window]))
      core_transaction_success_ratio: sum(rate(invoices_total{stage="$env", paid="yes"}[$window])) / sum(rate(invoices_total{stage="$env"}[$window]))
environments:
  staging:
    kubernetes: {host: "http://127.0.0.1:9", namespace: staging}
    prometheus: {url: "http://127.0.0.1:9"}
integrations: {github: {api_url: "http://127.0.0.1:9"}}
policy:
  metrics: {window: 5m, interval: 30s, baseline: 12h, month: 7d}
  warning: [{name: error rate, metric: error_ratio, above: 2 %, for: 90s}]
"""


def forge_rules(*words: str, folder: Path, **environ: str) -> Ended:
    """folder: where it is typed."""
    return typed(("rules", *words), folder, environ)


def promtool(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yaml").write_text(text)
    command = [str(find_or_unpack("prometheus")["promtool"]), "check", "rules", "rules.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150, check=False)


def parsed(text: str) -> Any:
    return YAML(typ="safe").load(text)


def test_without_a_configuration_the_rules_are_the_runbooks(tmp_path: Path) -> None:
    printed = forge_rules(folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (Exit.OK, "")
    assert promtool(printed.stdout, tmp_path).returncode == 0
    assert "expr: forge:error_ratio:1m > 0.03" in printed.stdout


def test_a_configurations_windows_thresholds_and_expressions_are_in_the_rules(tmp_path: Path) -> None:
    (tmp_path / "forge.yaml").write_text(CONFIGURATION)
    printed = forge_rules(folder=tmp_path)
    assert (printed.returncode, printed.stderr) == (Exit.OK, "")
    checked = promtool(printed.stdout, tmp_path)
    assert checked.returncode == 0, checked.stderr
    groups = {group["name"]: group for group in parsed(printed.stdout)["groups"]}
    assert set(groups) == {"forge:5m", "forge:infrastructure:5m", "forge:database:5m", "forge:baseline:12h",
                           "forge:availability:7d", "forge:fast:30s", "forge:alerts:5m"}  # fmt: skip
    assert groups["forge:5m"]["interval"] == "30s"
    own = [rule for rule in groups["forge:5m"]["rules"] if rule.get("labels", {}).get("service") == "billing"]
    assert len([rule for rule in own if rule["record"] == "forge:queue_lag_seconds:5m"]) == 1
    rates = [rule for rule in own if rule["record"] == "forge:core_transaction_rate:5m"]
    assert [rule["labels"]["env"] for rule in rates] == ["dev", "staging", "prod"]
    assert 'rate(invoices_total{stage="prod"}[5m])' in rates[2]["expr"]
    warning = next(rule for rule in groups["forge:alerts:5m"]["rules"] if rule["labels"]["severity"] == "warning")
    assert (warning["expr"], warning["for"]) == ("forge:error_ratio:5m > 0.02", "1m30s")


def test_options_come_before_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(CONFIGURATION)
    printed = forge_rules(
        "--config", "my.yaml", "--window", "2m", "--interval", "10s", "--service", "shop", folder=tmp_path
    )
    assert printed.returncode == Exit.OK, printed.stderr
    assert promtool(printed.stdout, tmp_path).returncode == 0
    assert "forge:error_ratio:2m" in printed.stdout
    assert "interval: 10s" in printed.stdout
    assert "kafka" not in printed.stdout
    assert printed.stdout.count('and on (service) label_replace(vector(1), "service", "shop"') > 20


def test_the_operator_gets_an_object_of_its_kind(tmp_path: Path) -> None:
    words = ("--format", "prometheusrule", "--name", "releases", "--namespace", "monitoring")
    printed = forge_rules(*words, "--label", "release=prom", "--label", "acme.test/team=a", folder=tmp_path)
    assert printed.returncode == Exit.OK, printed.stderr
    made = parsed(printed.stdout)
    assert {key: made[key] for key in ("apiVersion", "kind")} == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
    }
    assert made["metadata"] == {
        "name": "releases", "namespace": "monitoring", "labels": {"release": "prom", "acme.test/team": "a"},
    }  # fmt: skip
    assert set(made) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(made["spec"]) == {"groups"}
    allowed = {"record", "alert", "expr", "for", "labels", "annotations"}
    for group in made["spec"]["groups"]:
        assert set(group) == {"name", "interval", "rules"}
        for rule in group["rules"]:
            assert set(rule) <= allowed
            assert ("record" in rule) != ("alert" in rule)
            assert all(isinstance(value, str) for value in (*rule.get("labels", {}).values(), rule["expr"]))
            assert re.fullmatch(r"((\d+)(ms|[smhdwy]))+|0s", rule.get("for", "0s"))
    plain = parsed(forge_rules(folder=tmp_path).stdout)
    assert made["spec"]["groups"] == plain["groups"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--window", "soon"), "'soon' is no duration"),
        (("--service", "no one"), "no service"),
        (("--format", "prometheusrule", "--name", "No Name"), "no name of a Kubernetes object"),
        (("--format", "prometheusrule", "--label", "novalue"), "no label"),
        (("--format", "xml"), "Invalid value"),
        (("--config", "nowhere.yaml"), "no such file"),
    ],
)
def test_what_is_not_understood_is_said_and_nothing_is_printed(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    printed = forge_rules(*words, folder=tmp_path)
    assert (printed.returncode, printed.stdout) == (Exit.USAGE, "")
    assert said in printed.stderr


def test_a_wrong_configuration_and_an_unknown_service_are_told(tmp_path: Path) -> None:
    (tmp_path / "forge.yaml").write_text("slak: {}")
    printed = forge_rules(folder=tmp_path)
    assert printed.returncode == Exit.USAGE
    assert 'Did you mean "slack"?' in printed.stderr
    (tmp_path / "forge.yaml").write_text(CONFIGURATION)
    printed = forge_rules("--service", "shp", folder=tmp_path)
    assert (printed.returncode, printed.stdout) == (Exit.USAGE, "")
    assert "Known: shop, billing" in printed.stderr
    printed = forge_rules(folder=tmp_path, FORGE_CONFIG=str(tmp_path / "gone.yaml"))
    assert printed.returncode == Exit.USAGE
