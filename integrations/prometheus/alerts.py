"""Alert rules for Prometheus, made of the policy's thresholds. Runbook: Alert Rules.

Each carries the labels `severity` (`warning`: investigate, `critical`: page on-call), service, env and track.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from runbook.policy import MINUTE_S, Policy, Threshold
from runbook.series import (
    DB_CONNECTIONS,
    DB_REPLICATION_LAG,
    ERROR_RATIO,
    LATENCY_P95,
    QUEUE_LAG,
    QUEUE_LAG_BASELINE,
    READINESS_RATIO,
    Windows,
    recorded,
    recorded_as,
)
from runbook.wording import measure

Severity = Literal["warning", "critical"]
RUNBOOK: dict[Severity, str] = {
    "warning": "Alert Rules, Warning Alerts (investigate)",
    "critical": "Alert Rules, Critical Alerts (page on-call)",
}
REPLICATION_LAG = Threshold("PostgreSQL replication lag", DB_REPLICATION_LAG, True, 60.0, 5 * MINUTE_S, "s")
OOM_RESTARTS, OOM_WITHIN = 3, "10m"
"""Runbook: Critical Alerts. "Any sustained OOM restart loop (>3 restarts/10 minutes)"."""

NAMES = {
    ERROR_RATIO: "ForgeErrorRateHigh",
    LATENCY_P95: "ForgeLatencyP95High",
    DB_CONNECTIONS: "ForgePostgresConnectionsHigh",
    DB_REPLICATION_LAG: "ForgePostgresReplicationLagHigh",
    READINESS_RATIO: "ForgeReadinessLow",
}
_MEASURED = {
    "ratio": "{{ $value | humanizePercentage }}",
    "s": "{{ $value | humanizeDuration }}",
    "bytes_per_s": "{{ $value | humanize }}B/s",
}
_WHERE = "{{ $labels.service }} in {{ $labels.env }} ({{ $labels.track }})"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert rule. for_s: how long the expression has to hold, in seconds. summary, description: templates of Prometheus."""

    name: str
    expression: str
    for_s: float
    severity: Severity
    summary: str
    description: str


def alerts(policy: Policy, windows: Windows) -> tuple[Alert, ...]:
    """All alerts, warnings first."""
    critical = policy.critical
    if all(each.metric != DB_REPLICATION_LAG for each in critical):
        critical = (*critical, REPLICATION_LAG)
    return (
        *(_of_threshold(each, "warning", windows) for each in policy.warning),
        _queue_lag(policy.metrics.queue_lag_for_s, windows),
        *(_of_threshold(each, "critical", windows) for each in critical),
        _oom_loop(windows),
    )


def alert_rules(policy: Policy, windows: Windows, interval: str) -> str:
    """The group of alerts as it stands under `groups:`."""
    rules = [_rule(alert) for alert in alerts(policy, windows)]
    writer = YAML()
    writer.width = 10_000
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump([{"name": f"forge:alerts:{windows.window}", "interval": interval, "rules": rules}], stream)
    return stream.getvalue()


def alert_name(threshold: Threshold) -> str:
    """`ForgeErrorRateHigh`, `ForgeJobFailureRatioHigh`: the same for a warning and a critical alert, which differ by `severity`."""
    if threshold.metric in NAMES:
        return NAMES[threshold.metric]
    words = "".join(word.capitalize() for word in threshold.metric.split("_"))
    return f"Forge{words}{'High' if threshold.above else 'Low'}"


def _of_threshold(threshold: Threshold, severity: Severity, windows: Windows) -> Alert:
    sign, word = (">", "above") if threshold.above else ("<", "below")
    limit = _shown(threshold.limit, threshold.unit)
    measured = _MEASURED.get(threshold.unit, "{{ $value | humanize }}")
    lasting = f" for {duration(threshold.for_s)}" if threshold.for_s else ""
    return Alert(
        name=alert_name(threshold),
        expression=f"{recorded_as(threshold.metric, windows)} {sign} {threshold.limit:.12g}",
        for_s=threshold.for_s,
        severity=severity,
        summary=f"{_WHERE}: {threshold.name} {word} {limit}{lasting}",
        description=f"{_capital(threshold.name)} is {measured}; the limit is {limit}.",
    )


def _queue_lag(for_s: float, windows: Windows) -> Alert:
    lag, normal = recorded_as(QUEUE_LAG, windows), recorded_as(QUEUE_LAG_BASELINE, windows)
    return Alert(
        name="ForgeQueueLagAboveBaseline",
        expression=f"{lag} > on (service, env, track) {normal}",
        for_s=for_s,
        severity="warning",
        summary=f"{_WHERE}: queue lag above its normal baseline for {duration(for_s)}",
        description="The oldest message has waited for {{ $value | humanizeDuration }}: longer than at 95 % of the moments of "
        f"the last {windows.baseline}.",
    )


def _oom_loop(windows: Windows) -> Alert:
    """`round` undoes the extrapolation of `increase`, which makes 3.1 of 3 restarts."""
    counter = "kube_pod_container_status_restarts_total"
    reason = 'kube_pod_container_status_last_terminated_reason{reason="OOMKilled"}'
    expression = (
        "(\n"
        f"  round(max by (namespace, pod, container) (increase({counter}[{OOM_WITHIN}])))\n"
        f"  and on (namespace, pod, container) {reason} == 1\n"
        ")\n"
        f"* on (namespace, pod) group_left (service, env, track) {recorded('pods', windows.window)}\n"
        f"> {OOM_RESTARTS}"
    )
    return Alert(
        name="ForgeOomRestartLoop",
        expression=expression,
        for_s=0.0,
        severity="critical",
        summary=f"{_WHERE}: {{{{ $labels.pod }}}} is killed for its memory again and again",
        description=f"Container {{{{ $labels.container }}}} was restarted {{{{ $value }}}} times within {OOM_WITHIN}, "
        "the last time after an OOM kill.",
    )


def _rule(alert: Alert) -> dict[str, object]:
    text = alert.expression
    return {
        "alert": alert.name,
        "expr": LiteralScalarString(text + "\n") if "\n" in text else text,
        "for": duration(alert.for_s),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook": RUNBOOK[alert.severity],
        },
    }


def duration(seconds: float) -> str:
    """As Prometheus writes it: `10m`, `1h30m`, `2s500ms`."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    return "".join(_parts(left))


def _parts(left_ms: int) -> Iterator[str]:
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        number, left_ms = divmod(left_ms, size)
        if number:
            yield f"{number}{unit}"


def _shown(limit: float, unit: str) -> str:
    if unit == "ratio":
        return f"{limit * 100:.6g} %"
    if unit == "s":
        return duration(limit)
    return measure(limit, unit) if unit == "bytes_per_s" else f"{limit:.6g}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
