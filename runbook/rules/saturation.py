"""Saturation at one weight: the canary's processors, memory, kills and restarts, and the database that both versions share.

Runbook: Production Deployment 5. Limits are those of the key metrics, and so are the queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runbook import series
from runbook.policy import Threshold
from runbook.rules import key_metrics
from runbook.rules.key_metrics import Asked, judge_key_metrics, metric_query
from runbook.rules.observed import Observation
from runbook.series import METRICS
from runbook.verdicts import Outcome, Verdict

GATE = "saturation"
OF_PODS = (series.CPU, series.MEMORY, series.OOM_KILLS, series.RESTARTS)
OF_DATABASE = (series.DB_CONNECTIONS,)
"""Recorded as stable's: there is one database, whoever asks it."""


def saturation_limits(thresholds: Iterable[Threshold], without: Iterable[str]) -> tuple[Threshold, ...]:
    """Those of the observed metrics that saturation is made of, and that the service has."""
    absent = set(without)
    return tuple(t for t in thresholds if t.metric in (*OF_PODS, *OF_DATABASE) and t.metric not in absent)


def saturation_queries(limits: Iterable[Threshold], observation: Observation) -> Mapping[str, str]:
    """By the metric's name. observation: of the canary."""
    return {t.metric: metric_query(METRICS[t.metric], _of(t.metric, observation)) for t in limits}


def judge_saturation(asked: Asked, limits: tuple[Threshold, ...], observation: Observation) -> tuple[Verdict, ...]:
    """As `judge_key_metrics` does, with its codes. A database that nobody measures decides nothing."""
    found: list[Verdict] = []
    for names in (OF_PODS, OF_DATABASE):
        some = tuple(t for t in limits if t.metric in names)
        readings = {t.metric: asked.readings[t.metric] for t in some}
        if some:
            part = Asked(readings=readings, queries=asked.queries)
            found += judge_key_metrics(part, some, (), _of(some[0].metric, observation))
    return tuple(_named(verdict) for verdict in _once(found))


def _of(metric: str, observation: Observation) -> Observation:
    return replace(observation, track="stable") if metric in OF_DATABASE else observation


def _once(verdicts: Iterable[Verdict]) -> Iterable[Verdict]:
    """A Prometheus that is down says the same of pods and database."""
    return {(v.gate, v.code, v.reason): v for v in verdicts}.values()


def _named(verdict: Verdict) -> Verdict:
    if verdict.gate == key_metrics.GATE or verdict.outcome is Outcome.ERROR:
        return replace(verdict, gate=GATE)
    return replace(verdict, gate=f"{GATE}: {verdict.gate}")
