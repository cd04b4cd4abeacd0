"""The rules that are shipped, as text for Prometheus: `rules.yaml` has the recording rules for a window of one minute, the alert
rules are made of the policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent

from integrations.prometheus.alerts import alert_rules
from integrations.prometheus.replacing import Expressions, adapted, recorded_once
from runbook.policy import Policy, prod_windows
from runbook.series import ProdWindows, Windows

_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WINDOW = re.compile(r"(forge:(?:[a-z_0-9]+:)?|\[)(1m|1d|30d|30s|5m|1h)\b")
_INTERVAL = re.compile(r"(?<=interval: )(15s|1m)\b")
_SHIPPED = Path(__file__).with_name("rules.yaml")
_SLOWER, _SLOWEST_S = 4, 120


def rules_text(
    window: str = "1m",
    interval: str = "15s",
    baseline: str = "1d",
    month: str = "30d",
    *,
    expressions: Expressions | None = None,
    services: Sequence[str] = (),
    policy: Policy | None = None,
    beside: tuple[str, str, str] | None = None,
) -> str:
    """The rules file, recording and alert rules.

    window, baseline, month: as in `runbook.series.Windows`. interval: of evaluation; baselines and the month are evaluated a quarter
    as often, at least every two minutes. expressions: service -> metric -> PromQL in place of the shipped rule's. services: the rules
    record these alone; empty: whatever there is. policy: the alerts' thresholds, and the windows that production reads beside those
    (`prod_windows`); the runbook's by default. Windows may be equal: what would be recorded twice is recorded once.
    beside: fast, short and long in the policy's place.

    Raises ValueError for what is no duration, for an unknown metric, and for replacements that would leave a false measure behind.
    """
    policy = policy or Policy()
    extra = prod_windows(policy) if beside is None else ProdWindows(*beside)
    for duration in (window, interval, baseline, month, extra.fast, extra.short, extra.long):
        if not _DURATION.fullmatch(duration):
            raise ValueError(f"{duration!r} is no duration such as 30s, 1m or 2h")
    named = {"1m": window, "1d": baseline, "30d": month, "30s": extra.fast, "5m": extra.short, "1h": extra.long}
    text = _WINDOW.sub(lambda found: found[1] + named[found[2]], _SHIPPED.read_text(encoding="utf-8"))
    evaluated = {"15s": interval, "1m": _slower(interval)}
    text = _INTERVAL.sub(lambda found: evaluated[found[1]], text)
    text = adapted(recorded_once(text), expressions or {}, services, window, extra)
    return f"{text}\n{alert_rules(policy, Windows(window, baseline, month), interval)}"


def prometheus_rule(text: str, name: str, namespace: str = "", labels: Mapping[str, str] | None = None) -> str:
    """The same rules as a PrometheusRule of the Prometheus operator (monitoring.coreos.com/v1). labels: by which it is selected."""
    head, _, groups = text.partition("groups:\n")
    metadata = [f"  name: {name}"]
    metadata += [f"  namespace: {namespace}"] if namespace else []
    if labels:
        metadata += ["  labels:", *(f'    {key}: "{value}"' for key, value in labels.items())]
    top = ["apiVersion: monitoring.coreos.com/v1", "kind: PrometheusRule", "metadata:", *metadata, "spec:", "  groups:"]
    return head + "\n".join(top) + "\n" + indent(groups, "  ")


def _slower(interval: str) -> str:
    """The interval of what changes slowly. Two minutes at most: Prometheus forgets a sample after five."""
    number, unit = _DURATION.fullmatch(interval).groups()  # type: ignore[union-attr]  # checked above
    seconds = int(number) * _SECONDS[unit]
    slower = max(seconds, min(seconds * _SLOWER, _SLOWEST_S))
    return f"{slower // 60}m" if slower % 60 == 0 else f"{slower}s"
