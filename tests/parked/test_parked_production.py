"""Scenario 25, in production: the bot is upgraded while releases wait in every state: all of them go on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from engine.records import Button, Decision
from tests.parked.parking_production import FOLDER, POLICY, STATES, ticks, unpark
from tests.scenarios.production import NEW, OLD, SIZE, ProductionStage, production
from tests.scenarios.stage import Deed

CHECKLIST = "Pre-deployment checklist"
CHOICE = "What becomes of the schema"
BACK = frozenset({"choice_open", "taking_back", "rolling_back", "rolling_back_afterwards"})
"""They end where they began."""


async def people_go_on(s: ProductionStage, name: str) -> None:
    """Whatever the run still needs of people."""
    if name == "paused":
        await s.says("ada", f"resume {s.first}")
    if name == "override_asked":
        await s.says("rob", f"approve {s.first}")
    if name in ("held_by_a_gate", "held_in_a_phase", "override_asked") and s.run().state == "held":
        await s.says("ada", f"retry {s.first}")
    if name == "prompt_open":
        [button] = s.rows(Button, action="continue")
        told = {"action": "continue", "button": button.id, "reason": "an analyst's query; it is stopped"}
        assert "goes on" in (await s.at_once(Deed("olly", "view", told)))[0]
    while (await s.until_state("waiting", "held", "ended")).state != "ended":
        asked = where(s)
        await decides(s, name)
        await s.until(lambda asked=asked: where(s) != asked or s.run().state == "ended")


async def decides(s: ProductionStage, name: str) -> None:
    if s.run().state == "held":
        assert (name, s.at()) == ("prompt_open", "Completion criteria"), "nothing else holds it"
        await s.says("ada", "abort prod-1")
    elif s.at() == CHECKLIST:
        await ticks(s)
    elif s.at() == CHOICE:
        await s.chooses("dora", "rollback_undo_schema")
    else:
        for who in ("sam", "pia"):
            if s.run().state == "waiting" and s.at() == "Ship to production":
                await s.says(who, f"approve {s.first}")


def where(s: ProductionStage) -> tuple[int, str, str]:
    """The step, the plan (today's code may make it anew while nothing has had an effect), and how it waits."""
    return s.run().position, s.run().plan_hash, s.run().state


def test_every_state_of_production_is_parked() -> None:
    assert {path.stem for path in FOLDER.glob("*.sql")} == set(STATES)


def plan_knows(weights: list[int]) -> bool:
    """5, 25, 100 as far as it came, then only ever less, down to 0."""
    there = [weight for weight in (5, 25, 100) if weight in weights]
    back = weights[len(there) :]
    return (
        weights[: len(there)] == there and all(a > b for a, b in pairwise(weights[len(there) - 1 :])) and back[-1] == 0
    )


@pytest.mark.parametrize("name", sorted(STATES))
async def test_production_releases_parked_in_every_state_by_earlier_versions_finish_on_todays_code(
    tmp_path: Path, name: str
) -> None:
    world, chat = unpark(name, FOLDER, tmp_path)
    async with production(tmp_path, world=world, chat=chat, policy=POLICY) as s:
        s.first = "prod-2" if name == "rolling_back_afterwards" else "prod-1"
        await people_go_on(s, name)
        await s.shown_all()
        is_back = name in BACK
        assert s.run().ending == ("returned" if is_back else "completed"), s.run().ending_reason
        assert (s.images(), s.replicas()) == (OLD if is_back else NEW, dict.fromkeys(OLD, SIZE))
        assert s.weight == 0
        assert plan_knows(s.weights), s.weights
        results = [d.result for d in s.rows(Decision, environment="prod", order="at")]
        afterwards = ["released", "rolled_back"]
        assert results == (afterwards if s.first == "prod-2" else ["rolled_back" if is_back else "released"])
        ids = [m.message_id for m in s.chat.messages]
        assert len(ids) == len(set(ids))
        assert not world.cluster.there, "no Job is left"
        orders = [order.step for order in world.cluster.created]
        assert len(orders) == len(set(orders)), "what was under way is taken up, not begun anew"
