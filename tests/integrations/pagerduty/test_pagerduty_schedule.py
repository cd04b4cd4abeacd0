"""The PagerDuty integration against the stand-in: who is on call, and every refusal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from integrations.http_calls import Limits
from integrations.pagerduty import PagerDutySchedule
from runbook.errors import Permanent, Temporary
from sandbox.faults import Fault
from sandbox.pagerduty import LocalPagerDuty

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECRET = "pd-key-nobody-may-see"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)


@pytest.fixture
async def host() -> AsyncIterator[LocalPagerDuty]:
    local = LocalPagerDuty(SECRET, now=lambda: NOON)
    local.add_user("POLGA", "Olga", "olga@acme.test")
    local.add_user("PPETE", "Pete", "pete@acme.test")
    local.add_schedule("PSHOP", "Shop primary")
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
async def schedule(host: LocalPagerDuty) -> AsyncIterator[PagerDutySchedule]:
    made = PagerDutySchedule("PSHOP", lambda: SECRET, host.url, limits=QUICK)
    yield made
    await made.aclose()


async def test_everybody_on_call_is_named_once_with_the_latest_end(
    host: LocalPagerDuty, schedule: PagerDutySchedule
) -> None:
    ends = NOON + timedelta(hours=2)
    host.put_on_call("PSHOP", "POLGA", end=NOON + timedelta(hours=1))
    host.put_on_call("PSHOP", "POLGA", end=ends, policies=(("PONE", 1), ("PTWO", 2)))
    host.put_on_call("PSHOP", "PPETE")
    olga, pete = await schedule.on_call()
    assert (olga.name, olga.email, olga.schedule, olga.until) == ("Olga", "olga@acme.test", "Shop primary", ends)
    assert pete.until is None


async def test_nobody_on_call_is_an_empty_answer_of_a_schedule_that_exists(schedule: PagerDutySchedule) -> None:
    assert await schedule.on_call() == ()
    assert await schedule.name() == "Shop primary"


async def test_a_schedule_that_isnt_there_is_an_error_and_never_nobody(host: LocalPagerDuty) -> None:
    made = PagerDutySchedule("PNOTHING", lambda: SECRET, host.url, limits=QUICK)
    with pytest.raises(Permanent) as caught:
        await made.on_call()
    assert caught.value.code == "pagerduty.not_found"
    assert "integrations.pagerduty.schedule" in caught.value.remedy
    await made.aclose()


async def test_more_than_a_page_is_read(host: LocalPagerDuty, schedule: PagerDutySchedule) -> None:
    for number in range(130):
        host.add_user(f"PU{number}", f"Person {number}", f"p{number}@acme.test")
        host.put_on_call("PSHOP", f"PU{number}")
    assert len(await schedule.on_call()) == 130


async def test_an_id_that_is_none_is_never_asked_for(host: LocalPagerDuty) -> None:
    made = PagerDutySchedule("PSHOP&user_ids[]=x/../", lambda: SECRET, host.url)
    with pytest.raises(Permanent):
        await made.on_call()
    assert host.requests == []


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Permanent, "bad_request"),
        (401, Permanent, "unauthorized"),
        (403, Permanent, "forbidden"),
        (404, Permanent, "not_found"),
        (429, Temporary, "throttled"),
        (500, Temporary, "server_error"),
        (503, Temporary, "unavailable"),
    ],
)
async def test_every_refusal_is_translated_and_tells_no_secret(
    host: LocalPagerDuty, schedule: PagerDutySchedule, status: int, kind: type[Exception], code: str
) -> None:
    host.faults.add(Fault(path="oncalls", status=status, times=-1))
    with pytest.raises(kind) as caught:
        await schedule.on_call()
    assert isinstance(caught.value, Permanent | Temporary)
    assert caught.value.code == f"pagerduty.{code}"
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(schedule)


@pytest.mark.parametrize("header", ["Retry-After", "ratelimit-reset"])
async def test_the_pause_that_a_rate_limit_asks_for_is_known(
    host: LocalPagerDuty, schedule: PagerDutySchedule, header: str
) -> None:
    host.faults.add(Fault(path="oncalls", status=429, headers={header: "42"}, body={"error": {"message": "slow"}}))
    with pytest.raises(Temporary) as caught:
        await schedule.on_call()
    assert caught.value.retry_after_s == 42.0


async def test_what_passes_is_asked_again(host: LocalPagerDuty, schedule: PagerDutySchedule) -> None:
    host.put_on_call("PSHOP", "POLGA")
    host.faults.add(Fault(path="oncalls", kind="reset"))
    host.faults.add(Fault(path="oncalls", status=502))
    assert [shift.name for shift in await schedule.on_call()] == ["Olga"]


ENTRY = {"user": {"id": "P1"}, "end": None}


@pytest.mark.parametrize(
    "body",
    [
        "no json", "[]", "{}", '{"oncalls": 7}', '{"oncalls": [{}]}', json.dumps({"oncalls": [ENTRY | {"end": "soon"}]}),
        json.dumps({"oncalls": [ENTRY | {"user": "Olga"}]}), json.dumps({"oncalls": [ENTRY | {"end": 7}]}),
    ],
)  # fmt: skip
async def test_an_answer_of_another_form_is_refused(
    host: LocalPagerDuty, schedule: PagerDutySchedule, body: str
) -> None:
    host.faults.add(Fault(path="oncalls", status=200, body=body, times=-1))
    with pytest.raises(Permanent) as caught:
        await schedule.on_call()
    assert caught.value.code == "pagerduty.garbage"


async def test_hostile_names_and_words_become_one_bounded_line(
    host: LocalPagerDuty, schedule: PagerDutySchedule
) -> None:
    host.add_user("PEVE", "Eve\n<!channel>\x1b[2J\u202e" + "x" * 5_000, "eve@acme.test")
    host.put_on_call("PSHOP", "PEVE")
    (eve,) = await schedule.on_call()
    assert eve.name.startswith("Eve <!channel>")
    assert eve.name.isprintable()
    assert len(eve.name) <= 200
    host.faults.add(Fault(status=400, body={"error": {"message": "x\n" * 5_000, "errors": ["y"]}}))
    with pytest.raises(Permanent) as caught:
        await schedule.on_call()
    assert len(caught.value.cause) < 400
    assert "\n" not in caught.value.cause


async def test_users_without_an_address_are_named_without_one(
    host: LocalPagerDuty, schedule: PagerDutySchedule
) -> None:
    reference = {"id": "P1", "type": "user_reference", "summary": "Olga"}
    host.faults.add(Fault(path="oncalls", status=200, body={"oncalls": [{"user": reference, "end": None}]}))
    (olga,) = await schedule.on_call()
    assert (olga.name, olga.email, olga.schedule) == ("Olga", "", "PSHOP")
