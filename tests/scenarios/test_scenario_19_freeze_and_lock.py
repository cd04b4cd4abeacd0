"""Scenario 19."""

from __future__ import annotations

from pathlib import Path

from engine.records import Click, Decision, FreezeRow, Lock, Sealed
from tests.scenarios.production import NEW, OLD, QUICK, SIZE, ProductionStage, production
from tests.scenarios.stage import PEOPLE

FREEZE, LOCK = 'freeze prod --reason "end of year"', 'lock prod --reason "load test"'


async def frozen_and_locked(s: ProductionStage) -> None:
    await s.says("sam", FREEZE)
    await s.says("sam", LOCK)
    assert len(s.rows(FreezeRow)) == len(s.rows(Lock)) == 1


async def test_a_rollback_is_allowed_during_a_freeze_and_a_lock_it_needs_no_approval_from_those_who_approved_the_release(
    tmp_path: Path,
) -> None:
    """In the middle of a roll-out."""
    async with production(tmp_path) as s:
        await s.rolls_out_to(25)
        await frozen_and_locked(s)
        clicks = len(s.rows(Click))
        answer = await s.says("olly", 'rollback prod --reason "orders fail"')
        assert "prod-1 is rolled back" in answer
        assert await s.ends() == "returned"
        assert s.weights == [5, 25, 0]
        assert s.is_as_before()
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert len(s.rows(Click)) == clicks
        assert [e.actor for e in s.rows(Sealed, action="run.rollback")] == [PEOPLE["olly"].id]
        assert "rolled back by Olly: orders fail" in s.run().ending_reason


async def test_a_rollback_after_the_release_is_allowed_during_a_freeze_and_a_lock_and_needs_no_approval(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.is_released()
        assert s.images() == NEW
        await frozen_and_locked(s)
        answer = await s.says("olly", 'rollback prod --reason "orders fail"')
        assert "prod-2 has started" in answer
        run = await s.until_state("ended", run_id="prod-2")
        await s.shown_all()
        assert run.ending == "returned"
        assert (s.images(), s.replicas(), s.weight) == (OLD, dict.fromkeys(OLD, SIZE), 0)
        assert s.weights == [5, 25, 100, 0]
        assert [step.kind for step in s.steps("prod-2") if step.kind == "approval"] == []
        assert [d.result for d in s.rows(Decision, environment="prod", order="at")] == ["released", "rolled_back"]
        assert len(s.rows(FreezeRow)) == len(s.rows(Lock)) == 1
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "Olly asked for it: orders fail" in message


async def test_a_release_starts_in_neither_and_says_who_holds_it_up(tmp_path: Path) -> None:
    """The other side of it: what a freeze and a lock are for."""
    async with production(tmp_path) as s:
        await frozen_and_locked(s)
        assert "Sam locked prod" in await s.says("ada", "promote v1.4.0 prod")
        await s.says("ada", "unlock prod")
        await s.until_state("held")
        gate = next(step for step in s.steps() if step.title == "Ready for production")
        assert (gate.state, gate.code) == ("held", "freeze.in_force")
        assert "prod is frozen by Sam until it is lifted: end of year" in gate.reason
        assert s.world.cluster.moved == []
