"""What a person wants, once parsed: the same from a slash command, a click and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.answers import Answer
from engine.ports import Message
from engine.records import Received
from runbook.values import Actor, Environment


@dataclass(frozen=True, kw_only=True)
class Intent:
    """name: a command's name or a button's `action_id`. button: the opaque value of a clicked button: then run and step come from its row.

    text: what was typed, for the audit log, at most 500 characters.
    """

    name: str
    environment: Environment | None = None
    version: str = ""
    run: str = ""
    service: str = ""
    reason: str = ""
    topic: str = ""
    button: str = ""
    text: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """What else a command was given: `to` (a version), `until` (a moment or a duration, as typed), `severity`, `gate`, `verb` and `incident`; of
    backups and restores `kind`, `backup` (an id), `at` (a moment that is over, as typed) and `from` (an environment)."""


class Operations(Protocol):
    """The engine as the edges see it."""

    async def receive(self, dedup: str, kind: str, payload: object) -> Received | None:
        """Commits a payload to the inbox; None when the same was received before. Raises `StoreUnavailable`. Acknowledge after it."""

    async def act(self, intent: Intent, actor: Actor, *, received: Received | None = None) -> Answer:
        """Authorises and carries out. With `received`, the change, its audit entries, the inbox row's completion and the answer's place in
        the outbox are one transaction; an inbox row that is done already changes nothing. Refusals are answers; raises `StoreUnavailable`."""

    async def answer(self, received: Received, answer: Answer, actor: Actor | None = None) -> None:
        """Completes an inbox row with an answer that needed no operation, such as a parser's error. Audited when actor is refused."""

    async def choices(self, intent: Intent, actor: Actor) -> Answer:
        """What the dialog of this command offers, as the answer's view; a refusal where the person may not, or there is nothing to offer."""

    async def preview(self, intent: Intent, actor: Actor) -> Answer:
        """What `act` would answer if it only had to authorise: for confirmations and modals, before anything is changed."""


class AnswerRenderer(Protocol):
    """messages' half of an answer: pure."""

    def answer(self, answer: Answer) -> Message: ...


class Consumer(Protocol):
    """What the inbox's worker calls for every committed payload: parse, look the actor up, `act`. A failure is retried, then answered."""

    async def __call__(self, received: Received) -> None: ...
