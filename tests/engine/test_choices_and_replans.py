"""The rest of the vocabulary of control, on small plans: a person's choice, its default, and a plan that is made on the way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Button, Segment
from runbook.plan import HOLD, Plan
from runbook.policy import Setting
from runbook.procedures.base import Request
from runbook.steps.control import Choice, Option, Replan
from runbook.values import Role
from tests.engine import harness
from tests.engine.harness import ADA, PIA, SAM, Act, Bench, Look, bench, failing, way_back

WAIT_S = 900.0


def asking(default: str = "", on_fail: str = "stop") -> Any:
    def plan(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        options = (
            Option(name="keep", label="Keep the schema"),
            Option(name="back", label="Return to the previous state", procedure="return_to_previous"),
        )
        return Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=(
                Act(title="deploy one", world=world),
                Choice(title="keep or return", role=Role.SERVICE_OWNER, options=options, deadline_s=WAIT_S, default=default),
                Act(title="deploy two", world=world, on_fail=on_fail),
            ),
        )  # fmt: skip

    return plan


def replanning(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
    return Plan(
        procedure="staging", service=request.service, environment=request.environment, version=request.version,
        nodes=(
            Act(title="deploy one", world=world),
            Replan(title="plan the rest", procedure="the_rest"),
            Look(title="never reached", world=world),
        ),
    )  # fmt: skip


def the_rest(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """Uses what was recorded so far."""
    assert facts["deploy one"] == "done"
    first = next(iter(left.steps()))
    assert isinstance(first, Act)
    return Plan(
        procedure="staging", service=left.service, environment=left.environment, version=left.version,
        nodes=(Act(title="deploy the rest", world=first.world),),
    )  # fmt: skip


async def chosen(b: Bench, run: str, name: str, who: Any) -> Any:
    button = next(x for x in b.rows(Button, run=run) if x.action == f"choose:{name}")
    return await b.act(f"choose:{name}", who, button=button.id)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda plan: monkeypatch.setattr(harness, "plan_for", plan)


async def test_an_option_without_a_procedure_lets_the_plan_go_on(tmp_path: Path, use: Any) -> None:
    use(asking())
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        assert (await chosen(b, run, "keep", PIA)).code == "authority.role_missing"
        assert (await chosen(b, run, "keep", SAM)).ok
        assert (await b.ended(run)).ending == "completed"
        assert "deploy two" in b.outside.done


async def test_an_option_with_a_procedure_leaves_the_plan_for_it(tmp_path: Path, use: Any) -> None:
    use(asking())
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await chosen(b, run, "back", SAM)
        assert (await b.ended(run)).ending == "returned"
        assert "deploy two" not in b.outside.done
        assert "Already decided" in (await chosen(b, run, "keep", SAM)).text


@pytest.mark.parametrize(("default", "end"), [("keep", "completed"), ("back", "returned")])
async def test_without_an_answer_the_default_is_taken_at_the_deadline(
    tmp_path: Path, use: Any, default: str, end: str
) -> None:
    use(asking(default))
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.advance(timedelta(seconds=WAIT_S - 1))
        assert b.run(run).state == "waiting"
        assert (await b.ended(run)).ending == end
        assert any("by default, nobody answered" in s.reason for s in b.steps(run))


async def test_without_a_default_it_goes_on_waiting_and_somebody_is_told(tmp_path: Path, use: Any) -> None:
    use(asking())
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.advance(timedelta(hours=5))
        assert b.run(run).state == "waiting"
        assert any("still waits" in m.message.text for m in b.chat.messages)


async def test_a_choice_survives_a_restart(tmp_path: Path, use: Any) -> None:
    use(asking())
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        clock, chat, outside = b.clock, b.chat, b.outside
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside) as b:
        await chosen(b, run, "keep", SAM)
        assert (await b.ended(run)).ending == "completed"


async def test_a_failure_that_holds_waits_for_a_person_and_goes_on_after_a_retry(tmp_path: Path, use: Any) -> None:
    use(asking(on_fail=HOLD))
    async with bench(tmp_path) as b:
        b.outside.results["deploy two"] = lambda: failing("deploy two")
        run = await b.deploy()
        await b.until(run, "waiting")
        await chosen(b, run, "keep", SAM)
        await b.until(run, "held")
        del b.outside.results["deploy two"]
        await b.act("retry", ADA, run)
        assert (await b.ended(run)).ending == "completed"


async def test_a_replan_appends_a_hashed_segment_made_from_the_facts_so_far(
    tmp_path: Path, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(replanning)
    monkeypatch.setattr(harness, "CONTINUATIONS", {"return_to_previous": way_back, "the_rest": the_rest})
    async with bench(tmp_path) as b:
        run = await b.deploy()
        ended = await b.ended(run)
        assert ended.ending == "completed"
        assert b.outside.done == ["deploy one", "deploy the rest"]
        segments = sorted(b.rows(Segment, run=run), key=lambda s: s.number)
        assert [s.number for s in segments] == [1, 2]
        assert segments[0].hash != segments[1].hash == ended.plan_hash
        assert [(s.title, s.state) for s in b.steps(run)][-2:] == [
            ("never reached", "skipped"),
            ("deploy the rest", "done"),
        ]
