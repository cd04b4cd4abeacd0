"""What forge relies on in PagerDuty: who is on call by a schedule, with e-mail addresses and the ends of turns. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from integrations.pagerduty import API, PagerDutySchedule
from runbook.errors import Permanent
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance


@pytest.fixture
async def schedule(addresses: Addresses) -> AsyncIterator[PagerDutySchedule]:
    made = made_for(addresses, addresses["CONFORMANCE_PAGERDUTY_SCHEDULE"])
    yield made
    await made.aclose()


def made_for(addresses: Addresses, schedule_id: str, token: str = "") -> PagerDutySchedule:
    key = token or addresses["CONFORMANCE_PAGERDUTY_TOKEN"]
    return PagerDutySchedule(schedule_id, lambda: key, addresses.get("CONFORMANCE_PAGERDUTY_URL", API))


async def test_the_schedule_has_a_name(schedule: PagerDutySchedule) -> None:
    assert await schedule.name()


async def test_somebody_is_on_call_with_an_address_and_a_turn_that_isnt_over(schedule: PagerDutySchedule) -> None:
    shifts = await schedule.on_call()
    assert shifts, "somebody must be on call by CONFORMANCE_PAGERDUTY_SCHEDULE, which an escalation policy must use"
    for shift in shifts:
        assert "@" in shift.email
        assert shift.schedule == await schedule.name()
        assert shift.until is None or shift.until > datetime.now(UTC)


async def test_a_schedule_that_isnt_there_is_an_error_and_never_nobody(addresses: Addresses) -> None:
    nothing = made_for(addresses, "PZZZZZZZZZ")
    with pytest.raises(Permanent):
        await nothing.on_call()
    await nothing.aclose()


async def test_a_wrong_key_is_refused(addresses: Addresses) -> None:
    stranger = made_for(addresses, addresses["CONFORMANCE_PAGERDUTY_SCHEDULE"], "not-a-key-of-pagerduty")
    with pytest.raises(Permanent) as caught:
        await stranger.on_call()
    assert caught.value.code == "pagerduty.unauthorized"
    await stranger.aclose()


async def test_pages_say_whether_there_are_more_and_errors_have_pagerdutys_form(addresses: Addresses) -> None:
    base = addresses.get("CONFORMANCE_PAGERDUTY_URL", API).rstrip("/")
    headers = {
        "Authorization": f"Token token={addresses['CONFORMANCE_PAGERDUTY_TOKEN']}",
        "Accept": "application/vnd.pagerduty+json;version=2",
    }

    async def ask(session: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
        async with session.get(f"{base}/{path}", headers=headers) as answer:
            return answer.status, await answer.json()

    async with aiohttp.ClientSession(trust_env=not base.startswith("http://127.")) as session:
        status, page = await ask(session, "oncalls?limit=1")
        assert status == 200
        assert isinstance(page["more"], bool)
        status, refusal = await ask(session, "schedules/PZZZZZZZZZ")
        assert status == 404
        assert refusal["error"]["message"]
