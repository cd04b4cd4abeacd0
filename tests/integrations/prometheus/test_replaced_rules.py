"""Expressions of a service's own in place of the shipped rules', judged by the real promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from integrations.prometheus.rules import prometheus_rule, rules_text
from runbook.policy import Policy, Threshold
from sandbox.prometheus import find_or_unpack

CASE = """
rule_files: [rules.yaml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
"""


def hold_to(folder: Path, rules: str, series: dict[str, str], expected: dict[str, list[tuple[str, float]]]) -> None:
    """Holds promtool to these samples four minutes later."""
    case = CASE + "".join(f"      - {{series: '{name}', values: {values}}}\n" for name, values in series.items())
    case += "    promql_expr_test:\n"
    for expression, samples in expected.items():
        case += f"      - expr: {expression}\n        eval_time: 4m\n        exp_samples:\n"
        case += "".join(f"          - {{labels: '{labels}', value: {value}}}\n" for labels, value in samples)
        case += "" if samples else "          []\n"
    (folder / "rules.yaml").write_text(rules)
    (folder / "case.yaml").write_text(case)
    command = [str(find_or_unpack("prometheus")["promtool"]), "test", "rules", "case.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def sample(metric: str, service: str, env: str = "prod", track: str = "stable", window: str = "1m") -> str:
    return f'forge:{metric}:{window}{{service="{service}", env="{env}", track="{track}"}}'


def test_a_replaced_metric_comes_from_its_expression_alone_and_what_is_derived_follows(tmp_path: Path) -> None:
    rules = rules_text(
        expressions={
            "billing": {
                "request_rate": "sum by (env, track) (rate(calls_total[$window]))  # all of them",
                "error_rate": 'sum by (env, track) (rate(calls_total{ok="no"}[$window]))',
            }
        }
    )
    series = {
        'http_requests_total{service="billing", env="prod", code="200"}': "0+1500x20",
        'http_requests_total{service="shop", env="prod", code="200"}': "0+15x20",
        'calls_total{env="prod", ok="yes"}': "0+135x20",
        'calls_total{env="prod", ok="no"}': "0+15x20",
        'calls_total{env="prod", track="canary", ok="no"}': "0+15x20",
    }
    expected: dict[str, list[tuple[str, float]]] = {
        "forge:request_rate:1m": [
            (sample("request_rate", "billing"), 10),
            (sample("request_rate", "billing", track="canary"), 1),
            (sample("request_rate", "shop"), 1),
        ],
        "forge:error_ratio:1m": [
            (sample("error_ratio", "billing"), 0.1),
            (sample("error_ratio", "billing", track="canary"), 1),
            (sample("error_ratio", "shop"), 0),
        ],
    }
    hold_to(tmp_path, rules, series, expected)


def test_an_expression_for_each_environment_gets_its_label(tmp_path: Path) -> None:
    rules = rules_text(expressions={"mail": {"queue_depth": 'sum(waiting{stage="$env"})'}})
    series = {'waiting{stage="prod"}': "7x20", 'waiting{stage="staging"}': "3x20", 'waiting{stage="other"}': "99x20"}
    prod, staging = (sample("queue_depth", "mail", env) for env in ("prod", "staging"))
    hold_to(tmp_path, rules, series, {"forge:queue_depth:1m": [(prod, 7), (staging, 3)]})


def test_rules_for_chosen_services_record_nothing_of_others(tmp_path: Path) -> None:
    expressions = {"mail": {"queue_depth": "sum by (env) (waiting)"}, "other": {"queue_depth": "up"}}
    rules = rules_text(services=["shop", "mail"], expressions=expressions)
    assert "up\n" not in rules
    series = {
        'queue_depth{service="shop", env="prod", queue="a"}': "1x20",
        'queue_depth{service="mail", env="prod", queue="a"}': "2x20",
        'queue_depth{service="other", env="prod", queue="a"}': "3x20",
        'waiting{env="prod"}': "4x20",
        'kube_pod_labels{namespace="a", pod="a", label_forge_service="other", label_forge_env="prod"}': "1x20",
    }
    depths = [(sample("queue_depth", "shop"), 1.0), (sample("queue_depth", "mail"), 4.0)]
    hold_to(tmp_path, rules, series, {"forge:queue_depth:1m": depths, "forge:pods:1m": []})


def test_what_is_recorded_over_another_window_is_replaced_with_that_window(tmp_path: Path) -> None:
    rules = rules_text(
        expressions={
            "billing": {
                "request_rate": "sum by (env) (rate(calls_total[$window]))",
                "error_rate": "0 * sum by (env) (rate(calls_total[$window]))",
                "error_ratio": "max by (env) (max_over_time(told_ratio[$window]))",
            },
            "mail": {"error_ratio": "max by (env) (told_ratio) * 0"},
        }
    )
    series = {
        'calls_total{env="prod"}': "0x12 15 45x9",
        'told_ratio{env="prod"}': "0.5x4 0.25x16",
        'http_requests_total{service="mail", env="prod", code="500"}': "0+15x20",
        'http_requests_total{service="billing", env="prod", code="500"}': "0+15x20",
    }
    expected: dict[str, list[tuple[str, float]]] = {
        "forge:request_rate:30s": [
            (sample("request_rate", "billing", window="30s"), 0),  # over a minute it isn't yet
            (sample("request_rate", "mail", window="30s"), 1),
        ],
        'forge:request_rate:1m{service="billing"} > bool 0': [('{service="billing", env="prod", track="stable"}', 1)],
        'forge:error_ratio:5m{service="mail"}': [(sample("error_ratio", "mail", window="5m"), 1)],
        'forge:error_ratio:1h{service="billing"}': [(sample("error_ratio", "billing", window="1h"), 0.5)],
        'forge:error_ratio:1m{service="mail"}': [(sample("error_ratio", "mail"), 0)],
    }
    hold_to(tmp_path, rules, series, expected)
    assert "rate(calls_total[30s])" in rules
    assert "max_over_time(told_ratio[5m])" in rules


def test_durations_in_an_expression_are_its_own() -> None:
    text = rules_text("5m", expressions={"mail": {"queue_depth": "max by (env) (max_over_time(waiting[1m]))"}})
    assert "max_over_time(waiting[1m])" in text


@pytest.mark.parametrize(
    ("expressions", "said"),
    [
        ({"shop": {"colour": "up"}}, "no metric colour"),
        ({"shop": {"queue_depth": " \n"}}, "is empty"),
        ({"shop": {"request_rate": "up"}}, "error_rate has to be"),
        ({"shop": {"core_transaction_rate": "up"}}, "core_transaction_success_ratio has to be"),
        ({"shop": {"dependency_request_rate": "up"}}, "dependency_timeout_ratio has to be"),
        ({'shop"': {"queue_depth": "up"}}, "no service's name"),
    ],
)
def test_a_replacement_that_would_measure_falsely_is_refused(expressions: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rules_text(expressions=expressions)


def alerts_of(policy: Policy) -> dict[tuple[str, str], dict[str, Any]]:
    groups = YAML(typ="safe").load(rules_text(policy=policy))["groups"]
    rules = next(group for group in groups if group["name"] == "forge:alerts:1m")["rules"]
    return {(rule["alert"], rule["labels"]["severity"]): rule for rule in rules}


def test_alerts_follow_the_policys_thresholds() -> None:
    policy = Policy(
        warning=(
            Threshold("job failures", "job_failure_ratio", True, 0.05, 90.0),
            Threshold("WAL growth", "postgres_wal_growth_bytes_per_second", True, 2e7, 600.0, "bytes_per_s"),
        ),
        critical=(
            Threshold("replication lag", "postgres_replication_lag_seconds", True, 7.5, 0.5, "s"),
            Threshold("availability", "availability_ratio", False, 0.999, 3600.0),
        ),
    )
    alerts = alerts_of(policy)
    assert set(alerts) == {
        ("ForgeJobFailureRatioHigh", "warning"),
        ("ForgePostgresWalGrowthBytesPerSecondHigh", "warning"),
        ("ForgeQueueLagAboveBaseline", "warning"),
        ("ForgePostgresReplicationLagHigh", "critical"),
        ("ForgeAvailabilityRatioLow", "critical"),
        ("ForgeOomRestartLoop", "critical"),
    }
    lag = alerts["ForgePostgresReplicationLagHigh", "critical"]
    assert (lag["expr"], lag["for"]) == ("forge:postgres_replication_lag_seconds:1m > 7.5", "500ms")
    growth = alerts["ForgePostgresWalGrowthBytesPerSecondHigh", "warning"]
    assert growth["expr"] == "forge:postgres_wal_growth_bytes_per_second:1m > 20000000"
    assert "WAL growth above 20 MB/s for 10m" in growth["annotations"]["summary"]
    availability = alerts["ForgeAvailabilityRatioLow", "critical"]
    assert (availability["expr"], availability["for"]) == ("forge:availability_ratio:30d < 0.999", "1h")
    assert "availability below 99.9 % for 1h" in availability["annotations"]["summary"]


def test_each_alert_of_the_runbook_is_there_once_for_its_severity() -> None:
    assert set(alerts_of(Policy())) == {
        ("ForgeErrorRateHigh", "warning"),
        ("ForgeLatencyP95High", "warning"),
        ("ForgePostgresConnectionsHigh", "warning"),
        ("ForgeQueueLagAboveBaseline", "warning"),
        ("ForgeErrorRateHigh", "critical"),
        ("ForgeLatencyP95High", "critical"),
        ("ForgeReadinessLow", "critical"),
        ("ForgePostgresReplicationLagHigh", "critical"),
        ("ForgeOomRestartLoop", "critical"),
    }


def test_an_object_for_the_operator_holds_the_same_groups() -> None:
    text = rules_text(expressions={"mail": {"queue_depth": "a\n# said so\n+ b"}})
    plain, wrapped = (YAML(typ="safe").load(each) for each in (text, prometheus_rule(text, "forge")))
    assert wrapped["spec"]["groups"] == plain["groups"]
    assert wrapped["metadata"] == {"name": "forge"}
