"""Incidents: opened, updated and resolved by people; one card in their channel, words in its thread, and the gate that sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.answers import Answer, AnswerKind
from engine.intents import Intent
from engine.memory import LedgerMemory
from engine.records import IncidentRow, Posted, Sealed
from engine.views import IncidentsView, StatusView
from runbook.errors import Permanent, Temporary
from runbook.values import Actor, Environment, Role
from tests.engine.harness import ADA, GUEST, PIA, SAM, Bench, bench

PROD, STAGING = Environment.PROD, Environment.STAGING
OPS = Actor("T1:UOPS", "Olga", frozenset({Role.OPERATIONS}))


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as one:
        yield one


async def opened(here: Bench, title: str = "checkout is slow", severity: str = "2", **more: Any) -> Answer:
    more.setdefault("environment", PROD)
    return await here.act(
        "incident", more.pop("actor", OPS), reason=title, options={"verb": "open", "severity": severity}, **more
    )


async def told(here: Bench, verb: str, name: str, reason: str = "", actor: Actor = OPS, **options: str) -> Answer:
    return await here.act("incident", actor, reason=reason, options={"verb": verb, "incident": name, **options})


async def gate(here: Bench, service: str = "shop", environment: Environment = PROD) -> list[str]:
    return [i.id for i in await LedgerMemory(here.store, here.clock).open_incidents(service, environment)]


async def test_an_incident_has_a_number_an_audit_entry_and_a_card_in_its_channel(here: Bench) -> None:
    answer = await opened(here)
    assert (answer.kind, answer.code) == (AnswerKind.DONE, "incident.opened")
    assert "incident-1 is open" in answer.text
    assert "rollbacks go on" in answer.text
    row = here.rows(IncidentRow)[0]
    assert (row.id, row.severity, row.title, row.opened_by) == ("incident-1", 2, "checkout is slow", OPS.id)
    assert [e.subject for e in here.rows(Sealed, action="incident.opened")] == ["incident-1"]
    card = here.chat.messages[-1]
    assert (card.channel, card.thread_ts) == ("C2", "")
    assert "incident-1, severity 2, prod: checkout is slow" in card.message.text
    assert "<!subteam^SONCALL>" in card.message.text
    assert (await opened(here, "again")).text.startswith("incident-2 ")


async def test_updates_stand_in_the_cards_thread_and_the_card_is_drawn_again_in_place(here: Bench) -> None:
    await opened(here)
    card = here.chat.messages[-1]
    answer = await told(here, "update", "incident-1", "the database is the cause")
    assert (answer.kind, answer.code) == (AnswerKind.DONE, "incident.updated")
    note = here.chat.messages[-1]
    assert (note.channel, note.thread_ts, note.broadcast) == ("C2", card.ts, False)
    assert card.edits == 1
    assert "the database is the cause" in str(card.message.blocks)
    assert here.rows(IncidentRow)[0].updates[0]["by_name"] == "Olga"


async def test_a_severity_is_changed_by_an_update_and_then_holds_releases_up(here: Bench) -> None:
    await opened(here, severity="3")
    answer = await told(here, "update", "incident-1", "worse than thought", severity="1")
    assert answer.text == "incident-1 (severity 1) is updated."
    row = here.rows(IncidentRow)[0]
    assert (row.severity, row.updates[0]["text"]) == (1, "Severity 3 → 1. worse than thought")
    same = await told(here, "update", "incident-1", severity="1")
    assert (same.kind, same.code) == (AnswerKind.INFO, "incident.same")


async def test_a_resolved_incident_says_so_in_the_channel_and_is_open_no_more(here: Bench) -> None:
    await opened(here)
    card = here.chat.messages[-1]
    answer = await told(here, "resolve", "incident-1", "rolled back", actor=SAM)
    assert (answer.kind, answer.code) == (AnswerKind.DONE, "incident.resolved")
    assert here.chat.messages[-1].broadcast
    assert "resolved" in card.message.text
    assert "<!subteam" not in card.message.text
    assert await gate(here) == []
    again = await told(here, "resolve", "incident-1")
    assert (again.kind, again.code) == (AnswerKind.REFUSED, "incident.resolved")
    assert "by Sam" in again.text
    assert "nothing was changed" in again.text
    assert here.rows(Sealed, action="incident.resolved")[0].why == "rolled back"


async def test_the_gate_sees_the_incidents_of_its_service_and_of_the_whole_environment_the_gravest_first(
    here: Bench,
) -> None:
    await opened(here, "desk is slow", service="desk")
    await opened(here, "everything is slow", severity="1")
    await opened(here, "staging is slow", environment=STAGING)
    assert await gate(here, "shop") == ["incident-2"]
    assert await gate(here, "desk") == ["incident-2", "incident-1"]
    assert await gate(here, "shop", STAGING) == ["incident-3"]


async def test_every_full_member_may_list_them_and_only_roles_open_them(here: Bench) -> None:
    await opened(here)
    await opened(here, "slow", severity="4", environment=STAGING)
    answer = await here.act("incident", PIA, options={"verb": "list"})
    assert answer.kind is AnswerKind.INFO
    assert isinstance(answer.view, IncidentsView)
    assert [i.id for i in answer.view.incidents] == ["incident-1", "incident-2"]
    only = await here.act("incident", PIA, environment=STAGING, options={"verb": "list"})
    assert isinstance(only.view, IncidentsView)
    assert [i.id for i in only.view.incidents] == ["incident-2"]
    assert (await opened(here, actor=PIA)).kind is AnswerKind.REFUSED
    assert (await told(here, "resolve", "incident-1", actor=PIA)).kind is AnswerKind.REFUSED
    assert (await here.act("incident", GUEST, options={"verb": "list"})).kind is AnswerKind.REFUSED
    nothing = await here.act("incident", PIA, environment=Environment.DEV, options={"verb": "list"})
    assert nothing.text == "No incident is open in dev."


async def test_an_unknown_incident_gets_the_open_ones(here: Bench) -> None:
    await opened(here)
    answer = await told(here, "update", "incident-9", "hm")
    assert (answer.kind, answer.code) == (AnswerKind.REFUSED, "incident.unknown")
    assert "incident-1" in answer.remedy
    unknown = await opened(here, service="shpo")
    assert unknown.code == "service.unknown"


async def test_the_status_shows_open_incidents(here: Bench) -> None:
    await opened(here, "desk is slow", service="desk")
    await opened(here, "all is slow", severity="4")
    view = (await here.act("status", PIA)).view
    assert isinstance(view, StatusView)
    assert [i.title for i in view.incidents] == ["desk is slow", "all is slow"]
    view = (await here.act("status", PIA, service="shop")).view
    assert isinstance(view, StatusView)
    assert [i.title for i in view.incidents] == ["all is slow"]


async def test_a_channel_that_refuses_incidents_holds_up_no_run(here: Bench) -> None:
    here.chat.faults = [Permanent("slack", "channel_not_found", "there is no such channel")]
    await opened(here)
    run = await here.deploy()
    assert any(run in kept.message.text and kept.channel == "C1" for kept in here.chat.messages)
    await here.clock.run_until(lambda: any(kept.channel == "C2" for kept in here.chat.messages))


async def test_a_doubtful_card_is_looked_for_before_it_is_posted_again(here: Bench) -> None:
    await opened(here)
    here.chat.faults = [Temporary("slack", "doubtful", "the answer got lost")]
    await told(here, "update", "incident-1", "more is known")
    await here.clock.run_until(lambda: len(here.chat.messages) == 2)
    await here.clock.advance(120)
    assert [kept.message_id.split("#")[0] for kept in here.chat.messages] == [
        "incident:incident-1",
        "note:incident-1:1",
    ]


async def test_after_a_restart_the_card_is_drawn_again_and_nothing_is_posted_twice(tmp_path: Path) -> None:
    async with bench(tmp_path) as before:
        await opened(before)
        chat, clock = before.chat, before.clock
    async with bench(tmp_path, chat=chat, clock=clock) as after:
        await after.clock.settle()
        assert len(after.chat.messages) == 1
        assert [place.subject for place in after.rows(Posted)] == ["incident:incident-1"]
        await told(after, "update", "incident-1", "more")
        assert after.chat.messages[-1].thread_ts == after.chat.messages[0].ts


async def test_the_same_payload_twice_opens_one_incident(here: Bench) -> None:
    options = {"verb": "open", "severity": "2"}
    payload = {"actor": ADA.id, "name": "incident", "environment": "prod", "reason": "slow", "options": options}
    first = await here.engine.desk.receive("d1", "command", payload)
    assert first is not None
    await here.clock.run_until(lambda: len(here.rows(IncidentRow)) == 1)
    assert await here.engine.desk.receive("d1", "command", payload) is None
    intent = Intent(name="incident", environment=PROD, reason="slow", options=options)
    assert (await here.engine.desk.act(intent, ADA, received=first)).code == "received.done"
    assert len(here.rows(IncidentRow)) == 1


async def test_a_hostile_title_mentions_nobody_and_is_kept_short(here: Bench) -> None:
    await opened(here, "<!channel> <@U1> `x` *b* " + "x" * 10_000)
    text, blocks = here.chat.messages[-1].message.text, str(here.chat.messages[-1].message.blocks)
    assert "<!channel>" not in text + blocks
    assert "<@U1>" not in text + blocks
    assert len(here.rows(IncidentRow)[0].title) <= 200
