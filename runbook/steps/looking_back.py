"""Requests, errors and latency over a whole observation, asked alike of dev and of staging. It only asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook.plan import Scene
from runbook.rules.readings import Reading
from runbook.rules.steady import SteadyQueries, steady_queries
from runbook.steps.key_metrics import Question, Questions, moment_of


@dataclass(frozen=True, kw_only=True)
class Hindsight:
    """found: by the names of `SteadyQueries`. may_pass: every error among them may pass by itself."""

    queries: SteadyQueries
    observed_s: float
    found: Mapping[str, Reading]
    may_pass: bool


async def look_back(scene: Scene, service: str, window: str, gates: Mapping[str, str]) -> Hindsight | None:
    """None: no observation is on record. gates: who asks, by what is asked, as in `SteadyQueries`. window: the recording rules'.

    The observation's start is the fact `observed_from`; its end is now, so that requests which come while too few are waited for count too.
    """
    begun = moment_of(scene, "observed_from")
    if begun is None:
        return None
    at = scene.ports.clock.now()
    observed_s = (at - begun).total_seconds()
    queries = steady_queries(service, scene.environment.value, window, observed_s)
    asking = Questions(scene.ports.metrics[scene.environment])
    found = await asking.ask({name: Question(gate, getattr(queries, name), at) for name, gate in gates.items()})
    return Hindsight(queries=queries, observed_s=observed_s, found=found, may_pass=asking.may_pass)
