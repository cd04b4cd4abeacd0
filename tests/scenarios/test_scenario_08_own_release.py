"""Scenario 8."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.records import Click, Sealed
from tests.scenarios.stage import GO, PEOPLE, shown, stage


@pytest.mark.parametrize("how", ["click", "command"])
@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_the_requester_approves_their_own_release_refused_and_audited(
    tmp_path: Path, how: str, decision: str
) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval(who="owen")
        if how == "click":
            answer = await s.clicks("owen", decision, index=3)
        else:
            answer = await s.says("owen", f"{decision} staging-1")
        assert "you asked for this run, so you can't decide on it" in answer
        assert s.rows(Click) == []
        assert s.run().state == "waiting"
        refusal = s.rows(Sealed, action="approval.refused")
        assert [(e.actor, e.subject) for e in refusal] == [(PEOPLE["owen"].id, "staging-1")]
        assert "you asked for this run" in refusal[0].why


async def test_the_requester_fills_no_slot_of_the_go_either(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval(who="owen")
        await s.says("sam", "approve staging-1")
        await s.until_at("Go or no-go")
        await s.until_state("waiting")
        assert "you can't decide on it" in await s.says("owen", "approve staging-1")
        await s.says("pia", "approve staging-1")
        assert s.run().state == "waiting"
        await s.says("sue", "approve staging-1")
        assert (await s.until_state("ended")).ending == "completed"


async def test_one_person_in_two_roles_fills_one_slot(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        assert "1 more needed" in await s.clicks("bo", "approve", index=GO)
        assert "You have already decided" in await s.clicks("bo", "approve", index=GO)
        await s.shown_all()
        assert "1 of 2" in shown(s.cards()[-1].message)
        assert s.run().state == "waiting"
        assert "All 2 given" in await s.clicks("sam", "approve", index=GO)
        assert (await s.until_state("ended")).ending == "completed"


async def test_one_person_in_two_roles_makes_way_for_whoever_holds_only_one_of_them(tmp_path: Path) -> None:
    for first, second in (("bo", "pia"), ("bo", "sue")):
        async with stage(tmp_path / second) as s:
            await s.waits_for_go()
            await s.says(first, "approve staging-1")
            assert "All 2 given" in await s.says(second, "approve staging-1")
