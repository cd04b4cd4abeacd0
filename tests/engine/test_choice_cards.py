"""A choice as people meet it: its card, its reminders, who may choose, and what is left of its buttons."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Button, Outgoing, Sealed
from runbook.plan import Plan
from runbook.policy import Policy, ProdPolicy, Setting
from runbook.procedures.base import Request
from runbook.steps.control import Choice, Option
from runbook.values import Role
from tests.engine import harness
from tests.engine.asking import SHELL
from tests.engine.harness import ADA, PIA, SAM, Act, Bench, bench, setting_for
from tests.fakes.clock import NOON

SINCE = NOON - timedelta(minutes=40)


def choosing(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
    options = (
        Option(name="keep", label="Keep the schema", text="Only the application goes back."),
        Option(name="restore", label="Restore", procedure="return_to_previous", text="From the backup.", since=SINCE.isoformat()),
    )  # fmt: skip
    return Plan(
        procedure="staging", service=request.service, environment=request.environment, version=request.version,
        nodes=(
            Act(title="deploy one", world=world),
            Choice(title="keep or restore", role=Role.SERVICE_OWNER, options=options, deadline_s=7200.0),
            Act(title="deploy two", world=world),
        ),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "plan_for", choosing)


async def waiting(b: Bench) -> str:
    run = await b.deploy()
    await b.until(run, "waiting")
    await b.clock.settle()
    return run


def card(b: Bench) -> Any:
    (kept,) = [m for m in b.chat.messages if m.message_id.startswith("choice:")]
    return kept


def offered(b: Bench) -> list[str]:
    return [e["action_id"] for block in card(b).message.blocks if block["type"] == "actions" for e in block["elements"]]


async def chosen(b: Bench, run: str, name: str, who: Any) -> Any:
    button = next(x for x in b.rows(Button, run=run) if x.action == f"choose:{name}")
    return await b.act(f"choose:{name}", who, button=button.id)


async def test_the_card_mentions_the_role_and_says_what_each_answer_does_with_the_minutes_at_stake(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as b:
        await waiting(b)
        shown = card(b)
        assert shown.broadcast
        assert "<@USAM>" in shown.message.text
        for part in ("Only the application goes back.", "what was written since 11:20 UTC, 40 min", "service owner"):
            assert part in str(shown.message.blocks)
        assert offered(b) == ["choose:keep", "choose:restore"]


async def test_after_the_choice_the_buttons_give_way_and_a_dead_one_says_who_chose(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await waiting(b)
        assert (await chosen(b, run, "keep", SAM)).ok
        await b.ended(run)
        await b.clock.settle()
        assert offered(b) == []
        assert "Keep the schema, by Sam" in str(card(b).message)
        late = await chosen(b, run, "restore", SAM)
        assert (late.ok, "by Sam" in late.text) == (False, True)


@pytest.mark.parametrize(("who", "code"), [(SHELL, "authority.slack_only"), (PIA, "authority.role_missing")])
async def test_neither_the_command_line_nor_another_role_chooses(tmp_path: Path, who: Any, code: str) -> None:
    async with bench(tmp_path) as b:
        run = await waiting(b)
        assert (await chosen(b, run, "keep", who)).code == code
        assert b.run(run).state == "waiting"


async def test_the_role_is_reminded_then_on_call_too_ever_more_seldom(tmp_path: Path) -> None:
    policy = Policy(prod=ProdPolicy(choice_remind_s=600.0))
    async with bench(tmp_path, setting=setting_for(policy)) as b:
        run = await waiting(b)
        begin = b.clock.now()
        await b.clock.advance(timedelta(hours=3))
        assert b.run(run).state == "waiting"
        entries = b.rows(Sealed, action="choice.reminded")
        assert [round((e.at - begin).total_seconds() / 60) for e in entries] == [10, 20, 40, 80, 120, 160]
        assert [e.evidence["roles"] for e in entries[:2]] == [["service_owner"], ["service_owner", "on_call"]]
        told = [m.message.text for m in b.chat.messages if "still waits" in m.message.text]
        assert ["<!subteam^SONCALL>" in text for text in told] == [False, True, True, True, True, True]
        assert "3 h 40 min" not in str(card(b).message)
        assert "since 11:20 UTC, 3 h 20 min" in str(card(b).message)


async def test_of_reminders_that_were_missed_one_is_told_after_a_restart(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await waiting(b)
        clock, chat, outside = b.clock, b.chat, b.outside
    clock.set(clock.now() + timedelta(minutes=70))
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside) as b:
        await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]))
        assert sum("still waits" in m.message.text for m in chat.messages) == 1
        assert (await chosen(b, run, "keep", SAM)).ok
        assert (await b.ended(run)).ending == "completed"


async def test_a_run_that_is_aborted_meanwhile_leaves_a_card_without_buttons(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await waiting(b)
        await b.act("abort", ADA, run, reason="not now")
        assert (await b.ended(run)).ending == "returned"
        await b.clock.settle()
        assert offered(b) == []
        dead = await chosen(b, run, "keep", SAM)
        assert (dead.ok, "aborted by Ada" in dead.text) == (False, True)
