"""The kind `result` of `/webhooks/ci`: what a CI system other than GitHub's says of one commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.ci_results import MOST_NAMES, TooMany
from engine.records import CiResult
from handlers.bodies import Refused
from handlers.ci_webhook import Taken, Taker
from runbook.redaction import redacted

MAX_RESULT_BYTES = 16 * 1024
AHEAD = timedelta(minutes=5)
"""So far may the sender's clock be ahead: a result from the far future could never be corrected."""

EXAMPLE = "docs/webhooks.md has the fields with an example"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Keep(Protocol):
    def __call__(self, result: CiResult, *, timed: bool) -> Awaitable[CiResult | None]:
        """None where it changes nothing. Raises StoreUnavailable and TooMany."""


def _printable(text: str) -> str:
    if _CONTROL.search(text) or text != text.strip():
        raise ValueError("has control characters, or spaces around it")
    return text


class ResultBody(BaseModel):
    """at: when it became so, for results that may overtake each other; default: when it is received."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["result"]
    repository: str = Field(max_length=140, pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    name: Annotated[str, AfterValidator(_printable)] = Field(min_length=1, max_length=100)
    state: Literal["success", "failure", "pending"]
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    at: AwareDatetime | None = None


_BODY = TypeAdapter(ResultBody)


def result_taker(
    keep: Keep, known: Callable[[str], str], ring: Callable[[str], None], now: Callable[[], datetime]
) -> Taker:
    """known: a repository as the configuration writes it; empty: no service is of it. ring: that something may have happened there."""

    async def take(body: bytes) -> Taken:
        said = await asyncio.to_thread(_understood, body)
        repository, moment = known(said.repository), now()
        if not repository:
            remedy = "Name a repository of the configuration's services"
            raise Refused(400, f"no service of this forge is of {said.repository}", remedy)
        if said.at is not None and said.at > moment + AHEAD:
            raise Refused(400, "at: this moment has not come yet", "Set the sender's clock, or leave out at")
        row = CiResult(
            repository=repository, commit=said.commit, name=said.name, state=said.state, url=redacted(said.url),
            at=said.at or moment, received_at=moment,
        )  # fmt: skip
        try:
            kept = await keep(row, timed=said.at is not None)
        except TooMany:
            remedy = "Send one result for all of them"
            raise Refused(400, f"this commit has results of {MOST_NAMES} names already", remedy) from None
        ring(repository)
        told = {"repository": repository, "commit": said.commit, "name": said.name, "state": said.state}
        return Taken(kept is not None, told)

    return take


def _understood(body: bytes) -> ResultBody:
    """Raises Refused."""
    if len(body) > MAX_RESULT_BYTES:
        raise Refused(413, f"a result has at most {MAX_RESULT_BYTES // 1024} KiB", EXAMPLE)
    try:
        return _BODY.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80] or "the body"
        raise Refused(400, f"{where}: {first['msg']}"[:300], EXAMPLE) from None
