"""What a client sees of the PagerDuty stand-in over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from sandbox.faults import Fault
from sandbox.pagerduty import LocalPagerDuty

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
async def pagerduty() -> AsyncIterator[LocalPagerDuty]:
    served = LocalPagerDuty(now=lambda: NOON)
    served.add_user("PUSER1", "Olga", "olga@acme.test")
    served.add_schedule("PSCHED1", "Shop primary")
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def client(pagerduty: LocalPagerDuty) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(pagerduty.url, headers={"Authorization": "Token token=pd-local-key"}) as session:
        yield session


async def read(client: aiohttp.ClientSession, path: str, status: int = 200) -> Any:
    async with client.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_who_is_on_call_is_listed_with_the_whole_user_where_that_is_asked_for(
    pagerduty: LocalPagerDuty, client: aiohttp.ClientSession
) -> None:
    pagerduty.put_on_call("PSCHED1", "PUSER1", end=NOON + timedelta(hours=2))
    (entry,) = (await read(client, "/oncalls?schedule_ids[]=PSCHED1&include[]=users"))["oncalls"]
    assert entry["user"]["email"] == "olga@acme.test"
    assert (entry["start"], entry["end"]) == ("2026-05-04T12:00:00Z", "2026-05-04T14:00:00Z")
    assert entry["schedule"]["summary"] == "Shop primary"
    (entry,) = (await read(client, "/oncalls?schedule_ids[]=PSCHED1"))["oncalls"]
    assert entry["user"]["type"] == "user_reference"
    assert "email" not in entry["user"]


async def test_turns_that_are_over_or_to_come_and_other_schedules_are_left_out(
    pagerduty: LocalPagerDuty, client: aiohttp.ClientSession
) -> None:
    pagerduty.add_schedule("PSCHED2", "Another")
    pagerduty.put_on_call("PSCHED1", "PUSER1", start=NOON - timedelta(hours=2), end=NOON)
    pagerduty.put_on_call("PSCHED1", "PUSER1", start=NOON + timedelta(hours=1))
    pagerduty.put_on_call("PSCHED2", "PUSER1")
    assert (await read(client, "/oncalls?schedule_ids[]=PSCHED1"))["oncalls"] == []
    assert len((await read(client, "/oncalls"))["oncalls"]) == 1


async def test_each_escalation_policy_names_the_same_turn_and_pages_are_followed(
    pagerduty: LocalPagerDuty, client: aiohttp.ClientSession
) -> None:
    pagerduty.put_on_call("PSCHED1", "PUSER1", policies=(("PONE", 1), ("PTWO", 2), ("PTHREE", 1)))
    first = await read(client, "/oncalls?limit=2")
    assert (len(first["oncalls"]), first["more"], first["total"]) == (2, True, None)
    second = await read(client, "/oncalls?limit=2&offset=2&total=true")
    assert (len(second["oncalls"]), second["more"], second["total"]) == (1, False, 3)


async def test_errors_are_pagerdutys_own(pagerduty: LocalPagerDuty, client: aiohttp.ClientSession) -> None:
    assert (await read(client, "/schedules/PNOTHING", 404))["error"] == {"message": "Not Found", "code": 2100}
    assert (await read(client, "/oncalls?limit=1000", 400))["error"]["code"] == 2001
    assert (await read(client, "/oncalls?include[]=secrets", 400))["error"]["errors"]
    async with client.get("/oncalls", headers={"Authorization": "Bearer pd-local-key"}) as refused:
        assert refused.status == 401
    async with client.post("/schedules/PSCHED1", json={}) as refused:
        assert refused.status in (403, 405)
    pagerduty.faults.add(Fault(status=429))
    async with client.get("/oncalls") as limited:
        assert (limited.status, limited.headers["ratelimit-reset"]) == (429, "1")


async def test_a_schedule_and_a_user_are_read_by_id(client: aiohttp.ClientSession) -> None:
    assert (await read(client, "/schedules/PSCHED1"))["schedule"]["name"] == "Shop primary"
    assert (await read(client, "/users/PUSER1"))["user"]["name"] == "Olga"


def test_nobody_unknown_is_put_on_call() -> None:
    with pytest.raises(KeyError):
        LocalPagerDuty().put_on_call("PSCHED1", "PUSER1")
