"""Freezes: set, made longer, lifted, ended by themselves; told, audited, and seen by the gate, while rollbacks don't ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine.answers import AnswerKind
from engine.memory import LedgerMemory
from engine.records import FreezeRow, Sealed
from engine.views import FreezeView, StatusView
from runbook.values import Environment
from tests.engine.harness import ADA, GUEST, PIA, SAM, Bench, bench

PROD, STAGING = Environment.PROD, Environment.STAGING


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as one:
        yield one


def actions(here: Bench) -> list[str]:
    return [entry.action for entry in here.rows(Sealed)]


async def gate(here: Bench, service: str = "shop", environment: Environment = PROD) -> list[str]:
    found = await LedgerMemory(here.store, here.clock).freezes(service, environment)
    return [f"{freeze.environment}/{freeze.service}" for freeze in found]


async def test_a_freeze_is_kept_audited_told_and_says_what_lifts_it(here: Bench) -> None:
    answer = await here.act("freeze", ADA, environment=PROD, reason="end of year", options={"until": "2d"})
    assert (answer.kind, answer.code) == (AnswerKind.DONE, "freeze.set")
    assert "nothing is released there. Rollbacks go on." in answer.text
    assert "`/forge unfreeze prod` lifts it" in answer.text
    assert isinstance(answer.view, FreezeView)
    assert answer.view.until == here.clock.now() + timedelta(days=2)
    row = here.rows(FreezeRow)[0]
    assert (row.environment, row.service, row.owner, row.reason) == ("prod", "*", ADA.id, "end of year")
    assert "freeze.set" in actions(here)
    assert any("prod is frozen until" in kept.message.text for kept in here.chat.messages)


async def test_the_gate_sees_the_freezes_of_its_service_and_of_the_whole_environment(here: Bench) -> None:
    await here.act("freeze", ADA, environment=PROD, service="desk")
    assert await gate(here, "shop") == []
    assert await gate(here, "desk") == ["prod/desk"]
    await here.act("freeze", ADA, environment=PROD)
    assert await gate(here, "shop") == ["prod/*"]
    assert sorted(await gate(here, "desk")) == ["prod/*", "prod/desk"]
    assert await gate(here, "shop", STAGING) == []


async def test_outside_of_production_a_freeze_lets_no_deployment_begin(here: Bench) -> None:
    await here.act("freeze", ADA, environment=STAGING, reason="load test")
    refused = await here.act("deploy", ADA, environment=STAGING, version="v1.0.0-rc.1", service="shop")
    assert refused.code == "deploy.frozen"
    assert "load test" in refused.text
    await here.act("unfreeze", ADA, environment=STAGING)
    assert (await here.deploy()).startswith("staging-")


async def test_a_freeze_ends_by_itself(here: Bench) -> None:
    await here.act("freeze", ADA, environment=PROD, options={"until": "3h"})
    assert await gate(here) == ["prod/*"]
    await here.clock.advance(timedelta(hours=3).total_seconds())
    assert await gate(here) == []
    answer = await here.act("unfreeze", ADA, environment=PROD)
    assert (answer.kind, answer.code) == (AnswerKind.INFO, "freeze.none")
    again = await here.act("freeze", SAM, environment=PROD)
    assert again.code == "freeze.set"


async def test_a_freeze_is_made_longer_and_never_shorter(here: Bench) -> None:
    await here.act("freeze", ADA, environment=PROD, options={"until": "2d"}, reason="move")
    shorter = await here.act("freeze", SAM, environment=PROD, options={"until": "1d"})
    assert (shorter.kind, shorter.code) == (AnswerKind.REFUSED, "freeze.held")
    assert "by Ada" in shorter.text
    assert "`/forge unfreeze prod`" in shorter.remedy
    longer = await here.act("freeze", SAM, environment=PROD, options={"until": "3d"})
    assert (longer.kind, longer.code) == (AnswerKind.DONE, "freeze.extended")
    for_ever = await here.act("freeze", SAM, environment=PROD)
    assert for_ever.code == "freeze.extended"
    assert here.rows(FreezeRow)[0].until is None
    same = await here.act("freeze", SAM, environment=PROD)
    assert same.code == "freeze.held"


async def test_lifting_a_freeze_says_whose_it_was_and_what_stays_frozen(here: Bench) -> None:
    await here.act("freeze", ADA, environment=PROD, reason="move")
    await here.act("freeze", ADA, environment=PROD, service="desk")
    answer = await here.act("unfreeze", SAM, environment=PROD, reason="moved")
    assert answer.code == "freeze.lifted"
    assert "Ada had frozen it: move" in answer.text
    assert "`/forge unfreeze prod --service desk`" in answer.text
    assert await gate(here, "shop") == []
    assert "freeze.lifted" in actions(here)
    other = await here.act("unfreeze", SAM, environment=PROD)
    assert "`/forge unfreeze prod --service desk`" in other.text


@pytest.mark.parametrize(
    ("until", "code"), [("yesterday", "until.unclear"), ("2020-01-01", "until.past"), ("400d", "until.far")]
)
async def test_a_time_that_is_none_freezes_nothing(here: Bench, until: str, code: str) -> None:
    answer = await here.act("freeze", ADA, environment=PROD, options={"until": until})
    assert (answer.kind, answer.code) == (AnswerKind.REFUSED, code)
    assert answer.remedy
    assert here.rows(FreezeRow) == []


async def test_who_may_not_is_refused_and_an_unknown_service_gets_the_right_word(here: Bench) -> None:
    for actor in (PIA, GUEST):
        assert (await here.act("freeze", actor, environment=PROD)).kind is AnswerKind.REFUSED
        assert (await here.act("unfreeze", actor, environment=PROD)).kind is AnswerKind.REFUSED
    unknown = await here.act("freeze", ADA, environment=PROD, service="shpo")
    assert unknown.code == "service.unknown"
    assert "shop" in unknown.remedy
    assert here.rows(FreezeRow) == []


async def test_a_run_under_way_goes_on_and_is_named(here: Bench) -> None:
    here.outside.takes_s["deploy one"] = 600.0
    run = await here.deploy()
    await here.act("approve", SAM, run)
    await here.clock.run_until(lambda: here.run(run).first_effect_at is not None)
    answer = await here.act("freeze", ADA, environment=STAGING)
    assert f"{run} goes on" in answer.text
    assert f"/forge pause {run}" in answer.text


async def test_the_status_shows_what_is_frozen_and_not_what_was(here: Bench) -> None:
    await here.act("freeze", ADA, environment=PROD, options={"until": "1h"}, reason="move")
    await here.act("freeze", ADA, environment=STAGING, reason="load test")
    await here.clock.advance(7200)
    view = (await here.act("status", ADA)).view
    assert isinstance(view, StatusView)
    assert [(freeze.environment, freeze.reason) for freeze in view.freezes] == [("staging", "load test")]
