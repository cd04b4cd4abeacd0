"""What the handlers ask of Slack beside Bolt: who somebody is, and to open a dialog. Raise `runbook.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from engine.ports import Message
from runbook.values import Actor


class Directory(Protocol):
    async def actor(self, team_id: str, user_id: str) -> Actor:
        """The person as known now; one who may do nothing has a `refusal`. Raises when it can't be said: then nothing is done."""


class Dialogs(Protocol):
    async def open_dialog(self, trigger_id: str, view: Mapping[str, Any], *, timeout_s: float) -> str:
        """Opens a modal and returns its id; the error's code is `slack.exchanged_trigger_id` when this trigger opened one already."""

    async def update_dialog(self, view_id: str, view: Mapping[str, Any], *, timeout_s: float) -> None:
        """Puts another view in an open modal's place; the error's code is `slack.not_found` when it was closed meanwhile."""

    async def respond(self, address: str, message: Message) -> None:
        """An answer to the caller alone, by a response address."""
