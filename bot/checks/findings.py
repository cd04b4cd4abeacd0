"""What a check found. A check is an async function that yields findings; an error of the outside world is a finding, not a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import StrEnum

from runbook.errors import ForgeError


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """check: what was looked at, such as `slack.scopes`. text: what was found, one sentence."""

    check: str
    state: State
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {"check": self.check, "state": self.state.value, "text": self.text, "remedy": self.remedy}


def ok(check: str, text: str) -> Finding:
    return Finding(check, State.OK, text)


def warn(check: str, text: str, remedy: str = "") -> Finding:
    return Finding(check, State.WARN, text, remedy)


def fail(check: str, text: str, remedy: str = "") -> Finding:
    return Finding(check, State.FAIL, text, remedy)


def of_error(check: str, error: ForgeError) -> Finding:
    return fail(check, error.cause, error.remedy)


Check = Callable[[], AsyncIterator[Finding]]


async def carry_out(name: str, check: Check, limit_s: float) -> list[Finding]:
    """All findings of one check within its time; what it had found before an error or the limit is kept."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(limit_s):
            async for finding in check():
                found.append(finding)  # noqa: PERF401 - what was found before an error must be kept
    except TimeoutError:
        found.append(fail(name, f"no result within {limit_s:g} s", "Is the address right, and reachable from here?"))
    except ForgeError as error:
        found.append(of_error(name, error))
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others' findings
        found.append(
            fail(name, f"the check itself failed: {type(error).__name__}: {str(error)[:200]}", "Please report it")
        )
    return found
