"""What a run's way back tells its incident: frozen at its beginning, and at its end what happened, why perhaps, and who does what next."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import IncidentRow, Sealed
from runbook.plan import Plan, Result
from runbook.policy import Setting
from runbook.procedures.base import Request
from runbook.steps.control import Announce, UpdateIncident
from runbook.values import Actor, Environment, Role
from runbook.verdicts import Verdict
from tests.engine import harness
from tests.engine.harness import SAM, Act, Bench, bench, failing, ratio

STAGING = Environment.STAGING
OPS = Actor("T1:UOPS", "Olga", frozenset({Role.OPERATIONS}))


def back_with_incident(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    first = next(iter(left.steps()))
    assert isinstance(first, Act)
    return Plan(
        procedure="return_to_previous", service=left.service, environment=left.environment, version=left.version,
        nodes=(
            UpdateIncident(title="freeze", stage="opened", on_fail="continue"),
            Act(title="return one", world=first.world, on_fail="continue"),
            UpdateIncident(title="update", stage="rolled_back", on_fail="continue"),
            Announce(title="tell", moment="returned", on_fail="continue"),
        ),
    )  # fmt: skip


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setitem(harness.CONTINUATIONS, "return_to_previous", back_with_incident)
    async with bench(tmp_path) as one:
        yield one


async def under_way(here: Bench) -> str:
    run = await here.deploy()
    await here.act("approve", SAM, run)
    return run


def crash() -> Result:
    reason = "0 of 2 replicas are Available; web-1 is in a crash loop (Error: exit code 1)"
    return Result((Verdict.failed("rollout of web", "rollout.crash_loop", reason, remedy="mend it"),))


async def test_a_failed_step_opens_an_incident_and_ends_in_a_report_with_a_hypothesis(here: Bench) -> None:
    here.outside.results["deploy two"] = crash
    run = await under_way(here)
    await here.ended(run)
    incident = here.rows(IncidentRow)[0]
    assert (incident.id, incident.severity, incident.service, incident.environment) == (
        "incident-1",
        2,
        "shop",
        "staging",
    )
    assert (incident.run, incident.opened_by) == (run, "forge")
    assert incident.title == "shop v1.0.0-rc.1 on staging was rolled back"
    assert incident.resolved_at is None
    assert "frozen and rolled back" in incident.updates[0]["text"]
    summary = incident.updates[1]["text"]
    assert "Hypothesis: the new version doesn't start" in summary
    told = [kept for kept in here.chat.messages if kept.channel == "C2"]
    report = str(told[-1].message.blocks)
    assert told[-1].broadcast
    for words in ("What happened: shop v1.0.0-rc.1", "Timeline", "decided to roll back", "Hypothesis (unproven)", "It rests on",
                  "first sign: rollout of web", "/forge incident resolve incident-1"):  # fmt: skip
        assert words in report
    in_thread = [
        kept for kept in here.chat.messages if kept.channel == "C1" and "incident-1" in str(kept.message.blocks)
    ]
    assert len(in_thread) == 2
    actions = [entry.action for entry in here.rows(Sealed, subject="incident-1")]
    assert actions == ["incident.opened", "incident.updated", "incident.updated"]


async def test_a_breach_tells_its_first_sign_and_the_hypothesis_of_its_guard(here: Bench) -> None:
    here.metrics.value = ratio("shop", 0.08)
    run = await under_way(here)
    await here.ended(run)
    told = next(kept for kept in reversed(here.chat.messages) if kept.channel == "C2")
    report = str(told.message.blocks)
    assert "first sign: error rate" in report
    assert "error rate was above 3 %" in report
    decided = here.run(run).facts["left_because"]
    assert decided["code"] == "guard.breached"
    assert decided["verdicts"][0]["gate"] == "error rate"


async def test_an_open_incident_of_the_service_is_joined_and_another_services_is_not(here: Bench) -> None:
    for service, title in (("desk", "desk is slow"), ("shop", "shop is slow")):
        options = {"verb": "open", "severity": "3"}
        await here.act("incident", OPS, environment=STAGING, service=service, reason=title, options=options)
    here.outside.results["deploy two"] = lambda: failing("deploy two")
    run = await under_way(here)
    await here.ended(run)
    rows = here.rows(IncidentRow)
    assert [(row.title, len(row.updates)) for row in rows] == [("desk is slow", 0), ("shop is slow", 2)]
    assert run in rows[1].updates[0]["text"]


async def test_an_incident_that_was_resolved_meanwhile_is_told_the_end_all_the_same(here: Bench) -> None:
    here.outside.results["deploy two"] = lambda: failing("deploy two")
    here.outside.takes_s["return one"] = 60.0
    run = await under_way(here)
    await here.clock.run_until(lambda: len(here.rows(IncidentRow)) == 1)
    await here.act("incident", OPS, options={"verb": "resolve", "incident": "incident-1"})
    await here.ended(run)
    incident = here.rows(IncidentRow)[0]
    assert len(here.rows(IncidentRow)) == 1
    assert incident.resolved_at is not None
    assert "was rolled back" in incident.updates[-1]["text"]


async def test_what_the_way_back_left_undone_is_the_next_action(here: Bench) -> None:
    here.outside.results["deploy two"] = lambda: failing("deploy two")
    here.outside.results["return one"] = lambda: Result(
        (Verdict.failed("return one", "test.failed", "forbidden", remedy="`kubectl set image deployment/web web=x`"),)
    )
    run = await under_way(here)
    await here.ended(run)
    assert here.run(run).ending == "incomplete"
    report = str(here.chat.messages[-2].message.blocks) + str([kept.message.blocks for kept in here.chat.messages])
    assert "was rolled back in part: 1 step is left" in report
    assert "Release Engineer, now: “return one” did not succeed" in report
    assert "kubectl set image" in report


async def test_a_person_who_aborts_is_named_and_no_cause_is_invented(here: Bench) -> None:
    here.outside.takes_s["deploy two"] = 600.0
    run = await under_way(here)
    await here.clock.run_until(lambda: here.outside.done[-1:] == ["deploy two"])
    await here.act("abort", harness.ADA, run, reason="orders fail")
    await here.ended(run)
    text = here.rows(IncidentRow)[0].updates[-1]["text"]
    assert "none from the evidence: no check had failed when a person decided it" in text
    assert "orders fail" in text


async def test_the_moments_of_weight_zero_are_told(here: Bench) -> None:
    at = here.clock.now() + timedelta(minutes=5)
    zero = {"web": {"at": at.isoformat(), "seconds": 0.4}}
    here.outside.results["deploy two"] = lambda: failing("deploy two")
    here.outside.results["return one"] = lambda: Result((Verdict.passed("return one", "back"),), {"weight_zero": zero})
    run = await under_way(here)
    await here.ended(run)
    told = next(kept for kept in reversed(here.chat.messages) if kept.channel == "C2")
    assert "weight 0 accepted for web, 400 ms after the decision" in str(told.message.blocks)


async def test_a_rollback_after_the_release_tells_what_is_known_of_that_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = harness.plan_for

    def plan_for(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        if request.version != "v1.0.0-rc.2":
            return release(request, setting, world, numbers)
        return Plan(
            procedure="staging", service="shop", environment=STAGING, version="v1.0.0-rc.1", about={"left_run": "staging-1"},
            nodes=(
                UpdateIncident(title="open", stage="opened", on_fail="continue"),
                Act(title="return", world=world, on_fail="continue"),
                UpdateIncident(title="update", stage="rolled_back", on_fail="continue"),
            ),
        )  # fmt: skip

    monkeypatch.setattr(harness, "plan_for", plan_for)
    async with bench(tmp_path) as here:
        migrated = {"migration:0007-currency": {"state": "up", "backward_compatible": True}}
        here.outside.results["deploy one"] = lambda: Result((Verdict.passed("deploy one", "up"),), migrated)
        here.outside.results["deploy two"] = crash
        await here.ended(await under_way(here))
        run = await here.deploy("v1.0.0-rc.2", reason="orders fail")
        await here.ended(run)
        incident = here.rows(IncidentRow)[0]
        assert "is being rolled back: Ada asked for it: orders fail" in incident.updates[0]["text"]
        assert "the new version doesn't start" in incident.updates[1]["text"]
        report = str([kept.message.blocks for kept in here.chat.messages])
        assert "0007-currency stays in the schema" in report
