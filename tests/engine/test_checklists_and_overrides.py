"""Checklists tick themselves where a gate proved it, people tick the rest; a gate is overridden by two people, and never a false artifact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine import controls, overrides
from engine.answers import Answer
from engine.intents import Intent
from engine.journal import Turn
from engine.ports import Ledger
from engine.records import Button, FreezeRow, Override, Run, Tick
from runbook.plan import HOLD, Plan
from runbook.policy import Setting
from runbook.procedures.base import Request
from runbook.rules.overrides import may_override, with_overrides
from runbook.steps.calm import NoFreeze
from runbook.steps.control import Checklist, Item
from runbook.steps.gates import Gate
from runbook.values import Actor, Role
from runbook.verdicts import Outcome, Verdict
from tests.engine import harness
from tests.engine.harness import ADA, BOTH, PIA, SAM, Act, Bench, Look, bench

EVA = Actor("T1:UEVA", "Eva", frozenset({Role.RELEASE_ENGINEER, Role.ON_CALL}))
OS_ADA = Actor("os:ada", "ada", frozenset({Role.RELEASE_ENGINEER}), can_decide=False)
FREEZE = FreezeRow(
    environment="staging", service="*", owner="T1:USAM", owner_name="Sam", reason="end of year",
    at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


def planned(waits: bool = True) -> Any:
    def plan(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
        items = (
            Item("look", "Somebody looked", ("look",)),
            Item("calm", "Nothing is frozen", ("no freeze",)),
            Item("own", "The status page is updated"),
        )
        return Plan(
            procedure="staging", service=request.service, environment=request.environment, version=request.version,
            nodes=(
                Look(title="look", world=world),
                Gate(title="nothing in the way", checks=(NoFreeze("shop"),), on_fail=HOLD),
                Checklist(
                    title="Checklist", which="post_deployment", items=items, roles=(Role.RELEASE_ENGINEER,), waits=waits
                ),
                Act(title="deploy one", world=world),
            ),
        )  # fmt: skip

    return plan


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "plan_for", planned())


def button(b: Bench, action: str, **argument: str) -> str:
    found = [x for x in b.rows(Button, action=action) if isinstance(x.argument, Mapping)]
    wanted = [x.id for x in found if argument.items() <= dict(x.argument).items()]
    assert len(wanted) == 1, (action, argument, [x.argument for x in found])
    return str(wanted[0])


def ticked(b: Bench) -> dict[str, str]:
    return {tick.item: tick.by_name for tick in b.rows(Tick)}


async def held_by_a_freeze(b: Bench) -> str:
    """A run that was under way when somebody set a freeze, and stands at its gate."""
    b.outside.takes_s["look"] = 60.0
    run = await b.deploy()
    await b.store.write(lambda ledger: ledger.add(FREEZE))
    await b.until(run, "held")
    return run


@pytest.mark.usefixtures("asking")
async def test_what_a_gate_proved_is_ticked_and_the_rest_waits_for_people(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        assert (await b.until(run, "waiting")).state == "waiting"
        assert ticked(b) == {"look": "forge", "calm": "forge"}
        assert b.outside.done == ["look"], "nothing has been changed yet"

        answer = await b.act("tick", EVA, button=button(b, "tick", item="own"))

        assert answer.ok, answer
        await b.ended(run)
        assert ticked(b)["own"] == "Eva"
        assert b.run(run).ending == "completed"
        assert "deploy one" in b.outside.done


@pytest.mark.usefixtures("asking")
async def test_a_tick_is_authorised_at_the_click_and_counts_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        own = button(b, "tick", item="own")

        assert (await b.act("tick", PIA, button=own)).code == "authority.role_missing"
        assert (await b.act("tick", OS_ADA, button=own)).code == "authority.slack_only"
        assert "own" not in ticked(b)
        assert (await b.act("tick", EVA, button=own)).ok
        again = await b.act("tick", ADA, button=own)
        assert "Eva already" in again.text


@pytest.mark.usefixtures("asking")
async def test_an_unticked_checklist_reminds_and_then_calls_on_call(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.run_until(lambda: "SONCALL" in str([m.message.text for m in b.chat.messages]))
        assert b.run(run).state == "waiting", "nothing is decided by a timer"


async def test_a_checklist_that_waits_for_nobody_is_ticked_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "plan_for", planned(waits=False))
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.ended(run)
        assert "own" not in ticked(b)
        assert (await b.act("tick", EVA, button=button(b, "tick", item="own"))).ok
        assert ticked(b)["own"] == "Eva"
        shown = await b.act("checklist", PIA, run=run)
        assert [item.by for item in shown.view[0].items] == ["forge", "forge", "T1:UEVA"]


@pytest.mark.usefixtures("asking")
async def test_a_gate_is_overridden_by_two_people_loudly_and_leaves_something_to_do(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await held_by_a_freeze(b)

        asked = await b.act("override", SAM, run=run, reason="agreed with operations", options={"gate": "no freeze"})
        assert asked.ok, asked
        assert b.run(run).state == "held", "one person decides nothing"
        [override] = b.rows(Override)
        same = await b.act("approve", SAM, button=button(b, "approve", override=override.id))
        assert same.code == "override.same_person"

        agreed = await b.act("approve", EVA, button=button(b, "approve", override=override.id))

        assert agreed.ok, agreed
        await b.until(run, "waiting")
        told = "\n".join(m.message.text for m in b.chat.messages)
        assert "OVERRIDDEN by Sam and Eva" in told
        [gate] = [row for row in b.steps(run) if row.kind == "gate"]
        assert gate.outcome == "pass"
        assert gate.verdicts[0]["outcome"] == "fail", "what was set aside is still shown as it is"
        assert f"override:{override.id}" in {x.argument["item"] for x in b.rows(Button, action="tick")}
        for item in ("calm", "own", f"override:{override.id}"):
            assert (await b.act("tick", EVA, button=button(b, "tick", item=item))).ok, item
        await b.ended(run)
        assert b.rows(Override)[0].done_at is not None


@pytest.mark.usefixtures("asking")
async def test_an_override_is_refused_without_a_reason_a_role_or_a_gate_that_holds(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await held_by_a_freeze(b)
        assert (await b.act("override", SAM, run=run, options={"gate": "no freeze"})).code == "override.reason"
        assert (
            await b.act("override", PIA, run=run, reason="x", options={"gate": "no freeze"})
        ).code == "authority.role_missing"
        near = await b.act("override", SAM, run=run, reason="x", options={"gate": "no freze"})
        assert near.code == "override.which"
        assert "freeze" in near.remedy
        assert (
            await b.act("override", OS_ADA, run=run, reason="x", options={"gate": "no freeze"})
        ).code == "authority.slack_only"
        assert not b.rows(Override)


@pytest.mark.usefixtures("asking")
async def test_a_refused_override_leaves_the_run_held_and_a_late_click_is_told_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await held_by_a_freeze(b)
        await b.act("override", SAM, run=run, reason="please", options={"gate": "no freeze"})
        [override] = b.rows(Override)
        assert (await b.act("reject", BOTH, button=button(b, "reject", override=override.id))).ok
        assert b.run(run).state == "held"
        late = await b.act("approve", EVA, button=button(b, "approve", override=override.id))
        assert late.code == "override.closed"
        assert "refused by Bo" in late.text


@pytest.mark.usefixtures("asking")
async def test_an_override_that_is_agreed_to_in_the_instant_of_an_abort_is_void(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run_id = await held_by_a_freeze(b)
        await b.act("override", SAM, run=run_id, reason="please", options={"gate": "no freeze"})
        [override] = b.rows(Override)

        def both(ledger: Ledger) -> Answer:
            turn = Turn(ledger, b.clock.now(), b.engine.settings.current)
            controls.abort(turn, the_run(turn), SAM, "enough")
            return overrides.decide(turn, Intent(name="approve"), EVA, the_run(turn), override.id)

        def the_run(turn: Turn) -> Run:
            found = turn.run(run_id)
            assert found is not None
            return found

        answer = await b.store.write(both)
        assert answer.code == "override.void"
        b.engine.interpreter.wake(run_id)
        assert (await b.ended(run_id)).ending_code == "aborted"
        assert [row.state for row in b.rows(Override)] == ["void"]


@pytest.mark.usefixtures("asking")
async def test_an_override_of_a_run_that_went_on_is_void(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await held_by_a_freeze(b)
        await b.act("override", SAM, run=run, reason="please", options={"gate": "no freeze"})
        [override] = b.rows(Override)
        await b.store.write(lambda ledger: ledger.remove(FreezeRow, environment="staging", service="*"))
        await b.act("retry", ADA, run=run)
        await b.until(run, "waiting")
        late = await b.act("approve", EVA, button=button(b, "approve", override=override.id))
        assert late.code == "override.void"


def test_a_moved_tag_and_a_bad_signature_are_never_overridden() -> None:
    for gate, code in (
        ("candidate tag", "tag.moved"),
        ("candidate tag", "x"),
        ("image digests", "y"),
        ("go in staging", "z"),
    ):
        verdict = Verdict.failed(gate, code, "no")
        assert may_override(verdict).outcome is Outcome.FAIL
        facts = {"overrides": {gate: {"code": code, "by": "a", "second": "b", "reason": "c"}}}
        assert with_overrides((verdict,), facts) == (verdict,)


def test_an_override_covers_the_very_code_that_was_seen() -> None:
    facts = {"overrides": {"backup": {"code": "backup.old", "by": "a", "second": "b", "reason": "c"}}}
    old, none = Verdict.failed("backup", "backup.old", "too old"), Verdict.no_data("backup", "backup.none", "none")
    assert not with_overrides((old,), facts)[0].binding
    assert with_overrides((none,), facts)[0].binding
