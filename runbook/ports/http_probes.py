"""HTTP requests to the services under watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """token: the name of a configured secret of this service, sent as `Authorization: Bearer`; the port looks it up."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object | None = None
    service: str = ""
    token: str = ""
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """status: None when no answer came (refused, reset, timed out, TLS): then `error` says what. latency_s: until the body was read.

    body: at most 64 KiB, as text.
    """

    status: int | None
    latency_s: float
    body: str = ""
    error: str = ""


class HttpProbes(Protocol):
    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Never raises for the subject's faults: those are the answer. No redirects are followed, nothing is retried."""
