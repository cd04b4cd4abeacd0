"""How the local workspace says no: with the words that real Slack uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SlackError(Exception):
    """One refused Web API call.

    error: Slack's machine word, as `channel_not_found`. extra: further members of the answer, as `needed` and `provided`.
    """

    def __init__(
        self, error: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **extra: object
    ) -> None:
        super().__init__(error)
        self.error = error
        self.status = status
        self.headers = dict(headers or {})
        self.extra = extra

    def answer(self) -> dict[str, Any]:
        return {"ok": False, "error": self.error, **self.extra}


def invalid(error: str, problems: list[str]) -> SlackError:
    """A refusal that lists what is wrong, as Slack does for blocks and views: `[ERROR] … [json-pointer:/…]`."""
    return SlackError(
        error, errors=problems, response_metadata={"messages": [f"[ERROR] {problem}" for problem in problems]}
    )
