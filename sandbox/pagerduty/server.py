"""PagerDuty's REST API v2, as far as somebody asks who is on call: `/oncalls`, `/schedules`, `/users`, in memory.

Source: developer.pagerduty.com/api-reference. It wakes nobody: who is on call is what a test or the world says.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.serving import Handler, Stand

Json = dict[str, Any]
ERRORS = {
    400: (2001, "Invalid Input Provided"),
    401: (2006, "Unauthorized"),
    402: (2012, "Account does not have the abilities to perform the action."),
    403: (2010, "Access Denied"),
    404: (2100, "Not Found"),
    405: (2101, "Method Not Allowed"),
    429: (2020, "Rate Limit Exceeded"),
    500: (2000, "Internal Server Error"),
    503: (2000, "Service Unavailable"),
}
LARGEST_PAGE = 100


@dataclass
class Account:
    """A user of PagerDuty."""

    id: str
    name: str
    email: str


@dataclass
class Turn:
    """Somebody is on call by a schedule. end: None: never off call. policies: escalation policies that use the schedule, each with its level."""

    schedule: str
    user: str
    start: datetime
    end: datetime | None
    policies: tuple[tuple[str, int], ...]


@dataclass
class Held:
    """What the account holds. schedules: id -> name."""

    users: dict[str, Account] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)


def error(status: int, *problems: str) -> web.Response:
    """PagerDuty's error object. A 429 says when the limit is renewed, in seconds."""
    code, message = ERRORS.get(status, ERRORS[500])
    body: Json = {"error": {"message": message, "code": code}}
    if problems:
        body["error"]["errors"] = list(problems)
    headers = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "1"} if status == 429 else {}
    return web.json_response(body, status=status, headers=headers)


class LocalPagerDuty(Stand):
    """token: the one read-only API key. now: injected for tests of times."""

    def __init__(
        self,
        token: str = "pd-local-key",  # noqa: S107 - a made-up key of the sandbox
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__()
        self.token = token
        self.now = now
        self.held = Held()

    # What a test or the world does to PagerDuty

    def add_user(self, user_id: str, name: str, email: str) -> None:
        self.held.users[user_id] = Account(user_id, name, email)

    def add_schedule(self, schedule_id: str, name: str) -> None:
        self.held.schedules[schedule_id] = name

    def put_on_call(
        self,
        schedule_id: str,
        user_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        policies: tuple[tuple[str, int], ...] = (("PPOLICY", 1),),
    ) -> None:
        """Raises KeyError for a schedule or user that isn't there. Without policies nobody is called by the schedule: it answers empty."""
        for known, wanted in ((self.held.schedules, schedule_id), (self.held.users, user_id)):
            if wanted not in known:
                raise KeyError(wanted)
        self.held.turns.append(Turn(schedule_id, user_id, start or self.now(), end, policies))

    def clear(self, schedule_id: str) -> None:
        """Nobody is on call by this schedule any more."""
        self.held.turns = [turn for turn in self.held.turns if turn.schedule != schedule_id]

    # HTTP

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/oncalls", self._oncalls),
            web.get("/schedules/{id}", self._schedule),
            web.get("/users/{id}", self._user),
        ]

    def dress(self, request: web.Request, status: int) -> web.Response:
        return error(status)

    def middlewares(self) -> list[Any]:
        @web.middleware
        async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith("/_control/"):
                if request.headers.get("Authorization", "") != f"Token token={self.token}":
                    return error(401)
                if request.method not in ("GET", "HEAD"):
                    return error(403)
            return await handler(request)

        return [gate]

    async def _oncalls(self, request: web.Request) -> web.Response:
        query = request.query
        wanted, included = query.getall("schedule_ids[]", []), query.getall("include[]", [])
        unknown = [kind for kind in included if kind not in ("users", "schedules", "escalation_policies")]
        limit, offset = query.get("limit", "25"), query.get("offset", "0")
        if unknown or not (limit.isdigit() and offset.isdigit() and 1 <= int(limit) <= LARGEST_PAGE):
            return error(400, *(f"Include value {kind} is not supported" for kind in unknown))
        found = [
            self._oncall(turn, policy, level, included)
            for turn in self.held.turns
            if (not wanted or turn.schedule in wanted) and self._is_now(turn)
            for policy, level in turn.policies
        ]
        first, size = int(offset), int(limit)
        page, more = found[first : first + size], len(found) > first + size
        total = len(found) if query.get("total") == "true" else None
        return web.json_response(
            {"oncalls": page, "limit": size, "offset": first, "more": more, "total": total}, dumps=_dumps
        )

    def _is_now(self, turn: Turn) -> bool:
        now = self.now()
        return turn.start <= now and (turn.end is None or now < turn.end)

    def _oncall(self, turn: Turn, policy: str, level: int, included: list[str]) -> Json:
        user, schedule = self.held.users[turn.user], self.held.schedules[turn.schedule]
        return {
            "escalation_policy": self._reference("escalation_policy", policy, f"Policy {policy}"),
            "escalation_level": level,
            "schedule": self._reference("schedule", turn.schedule, schedule),
            "user": self._whole_user(user) if "users" in included else self._reference("user", user.id, user.name),
            "start": _stamp(turn.start),
            "end": _stamp(turn.end) if turn.end is not None else None,
        }

    async def _schedule(self, request: web.Request) -> web.Response:
        found = self.held.schedules.get(request.match_info["id"])
        if found is None:
            return error(404)
        shown = {
            "id": request.match_info["id"],
            "type": "schedule",
            "summary": found,
            "name": found,
            "time_zone": "UTC",
        }
        return web.json_response({"schedule": shown}, dumps=_dumps)

    async def _user(self, request: web.Request) -> web.Response:
        user = self.held.users.get(request.match_info["id"])
        return error(404) if user is None else web.json_response({"user": self._whole_user(user)}, dumps=_dumps)

    def _reference(self, kind: str, id_: str, summary: str) -> Json:
        path = f"{kind.replace('policy', 'policie')}s/{id_}"
        return {"id": id_, "type": f"{kind}_reference", "summary": summary, "self": f"{self.url}/{path}"}

    def _whole_user(self, user: Account) -> Json:
        reference = self._reference("user", user.id, user.name)
        return reference | {"type": "user", "name": user.name, "email": user.email, "role": "user", "time_zone": "UTC"}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_dumps = functools.partial(json.dumps, ensure_ascii=False)
