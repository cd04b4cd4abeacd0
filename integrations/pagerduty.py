"""PagerDuty's on-call schedules, reading only: who is on call now, and until when. REST API v2, developer.pagerduty.com/api-reference.

It pages nobody. The token is in no error and no representation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from integrations.http_calls import Answer, HttpCalls, Limits, garbage, retrying, status_error
from runbook.errors import ForgeError, Permanent
from runbook.ports import Shift

SYSTEM = "pagerduty"
API = "https://api.pagerduty.com"
EU_API = "https://api.eu.pagerduty.com"
_ACCEPT = "application/vnd.pagerduty+json;version=2"
_ID = re.compile(r"[A-Z0-9]{4,32}")
_PAGE = 100
_MOST_PAGES = 5
_LONGEST_DETAIL = 300
_LONGEST_NAME = 200
_QUICK = Limits(timeout_s=3.0, attempts=2, deadline_s=6.0)
"""Somebody who typed a command waits for it."""


class PagerDutySchedule:
    """Fulfils `runbook.ports.Schedule`. Nothing is kept here: whoever asks often keeps the answer."""

    def __init__(
        self, schedule: str, token: Callable[[], str], api_url: str = API, *, limits: Limits | None = None
    ) -> None:
        """schedule: its id, such as `PI7DH85`. token: gives the API key, asked at each call; a read-only key is enough."""
        self._schedule = schedule
        self._token = token
        self._api_url = api_url.rstrip("/")
        self._limits = limits or _QUICK
        self._calls = HttpCalls(SYSTEM, self._limits)

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def on_call(self) -> tuple[Shift, ...]:
        """See the port. Raises Permanent("not_found") where there is no such schedule: an empty answer alone doesn't tell."""
        shifts: list[tuple[str, Shift]] = []
        for page in range(_MOST_PAGES):
            found = await self._get(
                f"oncalls?schedule_ids%5B%5D={self._id()}&include%5B%5D=users&limit={_PAGE}&offset={page * _PAGE}"
            )
            with _Shape(self._where):
                shifts += [(str(entry["user"]["id"]), _shift(entry, self._schedule)) for entry in found["oncalls"]]
                more = found.get("more") is True
            if not more:
                break
        if not shifts:
            await self.name()
        return _each_once(shifts)

    async def name(self) -> str:
        """The schedule's name. Raises Permanent("not_found") where there is none."""
        found = await self._get(f"schedules/{self._id()}")
        with _Shape(self._where):
            return str(found["schedule"]["name"])[:_LONGEST_NAME]

    # --- requests ---------------------------------------------------------------------------------------------------

    def _id(self) -> str:
        if not _ID.fullmatch(self._schedule):
            remedy = "Correct integrations.pagerduty.schedule: the id stands in the schedule's address"
            raise Permanent(SYSTEM, "bad_name", f"{self._schedule[:60]!r} is no schedule's id", remedy)
        return self._schedule

    async def _get(self, path: str) -> Any:
        async def attempt() -> Any:
            headers = {"Accept": _ACCEPT, "Authorization": f"Token token={self._token()}"}
            answer = await self._calls.ask("GET", f"{self._api_url}/{path}", headers=headers)
            if answer.status != 200:
                raise self._refused(answer)
            return answer.json(SYSTEM, self._where)

        return await retrying("pagerduty get", self._limits, attempt)

    def _refused(self, answer: Answer) -> ForgeError:
        """A 429 names when the limit is renewed in seconds, as `ratelimit-reset`."""
        status = answer.status
        headers = {"Retry-After": answer.headers.get("Retry-After") or answer.headers.get("ratelimit-reset") or ""}
        if status == 404:
            cause = f"PagerDuty shows no schedule {self._schedule}"
        else:
            words = _words(answer)
            cause = f"PagerDuty answered {status}" + (f": {words}" if words else "")
        remedies = {
            401: "Renew the key in PAGERDUTY_TOKEN: PagerDuty doesn't accept it (accounts in the EU have another address)",
            403: "Give the key read access to schedules and users",
            404: "Correct integrations.pagerduty.schedule, and check that the key may see the schedule",
        }
        return status_error(SYSTEM, status, cause, remedies.get(status, ""), headers)

    @property
    def _where(self) -> str:
        return f"PagerDuty ({urlsplit(self._api_url).hostname})"


class _Shape:
    """Turns the reading of an answer that lacks what PagerDuty documents into Permanent("garbage")."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError):
            raise garbage(SYSTEM, self._where, "list of on-calls") from error


def _shift(entry: Mapping[str, Any], schedule_id: str) -> Shift:
    user, schedule = entry["user"], entry.get("schedule") or {}
    ends = entry["end"]
    return Shift(
        name=_line(user.get("name") or user.get("summary") or user["id"]),
        email=str(user.get("email") or ""),
        schedule=_line(schedule.get("summary") or schedule_id),
        until=None if ends is None else _moment(ends),
    )


def _moment(text: Any) -> datetime:
    """PagerDuty's times carry their offset. Raises ValueError, TypeError."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _each_once(shifts: Iterable[tuple[str, Shift]]) -> tuple[Shift, ...]:
    """A schedule that several escalation policies use names its people once for each; the latest end counts."""
    latest: dict[str, Shift] = {}
    for user, shift in shifts:
        known = latest.get(user)
        if known is None or (known.until is not None and (shift.until is None or shift.until > known.until)):
            latest[user] = shift
    return tuple(latest.values())


def _line(text: object) -> str:
    """A name as people wrote it, on one line."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())[:_LONGEST_NAME]


def _words(answer: Answer) -> str:
    """`error.message` and `error.errors` of PagerDuty's error object; bounded."""
    try:
        body = json.loads(answer.body)
        error = body["error"]
        words = [str(error["message"]), *(str(problem) for problem in error.get("errors") or ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return _line("; ".join(words))[:_LONGEST_DETAIL]
