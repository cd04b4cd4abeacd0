"""Scenario 25: the bot is upgraded while releases wait in every state: all of them go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.records import Decision
from tests.parked.parking import FOLDER, POLICY, STATES, unpark
from tests.scenarios.stage import Stage, stage

ENDS = {"aborting": "returned", "returning": "returned", "taking_back": "returned"}
OLDER = frozenset(
    {
        "queued",
        "waiting_for_approval",
        "paused",
        "deploying",
        "observing",
        "held",
        "half_approved_go",
        "aborting",
        "returning",
    }
)
"""Parked before releases had Jobs."""


async def people_go_on(s: Stage, name: str) -> None:
    """Whatever the run still needs of people."""
    if name == "queued":
        await s.says("ada", "unlock staging")
    if name == "paused":
        await s.says("ada", "resume staging-1")
    if name in ("held", "without_a_scan"):
        await s.says("ada", "retry staging-1")
    while (await s.until_state("waiting", "ended")).state != "ended":
        asked = where(s)
        for who in ("sam", "pia"):
            if where(s) == asked and s.run().state == "waiting":
                await s.says(who, "approve staging-1")
        await s.until(lambda asked=asked: where(s) != asked or s.run().state == "ended")


def where(s: Stage) -> tuple[int, str]:
    """The step, and the plan: today's code may make it anew while nothing has had an effect."""
    return s.run().position, s.run().plan_hash


def test_every_state_is_parked() -> None:
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(STATES)


@pytest.mark.parametrize("name", sorted(STATES))
async def test_releases_parked_in_every_state_by_earlier_versions_finish_on_todays_code(
    tmp_path: Path, name: str
) -> None:
    world, chat = unpark(name, FOLDER, tmp_path)
    async with stage(tmp_path, world=world, chat=chat, policy=POLICY) as s:
        await people_go_on(s, name)
        await s.shown_all()
        assert s.run().ending == ENDS.get(name, "completed")
        assert [d.result for d in s.rows(Decision)] == ["no_go" if name in ENDS else "go"]
        ids = [m.message_id for m in s.chat.messages]
        assert len(ids) == len(set(ids))
        if name not in OLDER:
            orders = [order.step for order in s.world.cluster.created]
            assert len(orders) == len(set(orders)), "what was under way is taken up, not begun anew"
            assert not s.world.cluster.there
        new = all(image.endswith(("1" * 64, "2" * 64)) for image in s.images().values())
        assert new is (name not in ENDS)
