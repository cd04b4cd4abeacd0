"""Production runs in the middle of their first weight, as many as are wanted: the canary has 5 % of the traffic and is being observed."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.journal import Turn
from engine.ports import Ledger
from engine.records import RunState, StepState
from runbook.policy import Setting
from runbook.procedures.production import production_plan
from runbook.values import Environment
from tests.bench.parked import SINCE, candidate, keep, opened, walked
from tests.bench.surroundings import Place, service_name

FINAL = "v1.4.0"


def _observed(setting: Setting, number: int, ledger: Ledger) -> None:
    turn = Turn(ledger, datetime.now(UTC) - SINCE, setting)
    found = candidate(setting, service_name(number), FINAL)
    weight = setting.policy.prod.weights[0]
    traffic = [
        {"workload": workload.name, "driver": "route", "weight": weight, "at": turn.now.isoformat()}
        for workload in found.service.workloads
    ]
    run = opened(turn, production_plan(found, setting.policy), Environment.PROD)
    run = walked(turn, run, found.release, until=f"Observe {weight} %", facts={"traffic": traffic})
    row = turn.step(run.id, run.position)
    assert row is not None
    turn.save_step(row, state=StepState.RUNNING, attempt=1, started_at=turn.now)
    turn.audit("step.started", f"{run.id}/{row.index}", what=row.title, evidence={"attempt": 1})


def park_canaries(place: Place, runs: int) -> None:
    """Their messages stand in Slack."""
    keep(place, runs, _observed, RunState.RUNNING, posted=True)
