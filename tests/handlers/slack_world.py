"""A local Slack, the real Bolt app over two sockets, and an engine of twenty lines that records what it is told.

All are patient: a machine that is busy with other things is no reason for an answer to come too late.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.answers import Answer, done
from engine.intents import Intent
from engine.ports import Message
from engine.records import Received
from handlers import slack_app
from handlers.consumer import SlackConsumer
from handlers.slack_app import SlackListeners, build_app
from integrations.slack.chat import SlackChat
from integrations.slack.directory import SlackDirectory
from integrations.slack.sockets import Sockets
from integrations.slack.web import SlackWeb, bare_client
from messages.blocks import actions, button
from messages.render import Messages
from runbook.errors import StoreUnavailable
from runbook.values import Actor, Role
from sandbox.slack import LocalSlack, httpmode, sockets, workspace

CHANNEL = "C0RELEASE"
PATIENCE_S = 60.0
ROLES: dict[Role, tuple[str, ...]] = {Role.RELEASE_ENGINEER: ("U0ALICE",), Role.SERVICE_OWNER: ("S0OWNERS",)}


@dataclass
class FakeOperations:
    """Keeps what it receives, works it off at once by the consumer, and answers `result` to everything."""

    chat: SlackChat | None = None
    consumer: SlackConsumer | None = None
    refuses_to_keep: bool = False
    keeping: asyncio.Event | None = None
    crash: Exception | None = None
    result: Answer = field(default_factory=lambda: done("ok", "It is done."))
    preview_result: Answer | None = None
    choices_result: Answer | None = None
    rows: dict[str, Received] = field(default_factory=dict)
    acted: list[tuple[Intent, Actor]] = field(default_factory=list)
    answered: list[tuple[Answer, Actor | None]] = field(default_factory=list)
    previewed: list[tuple[Intent, Actor]] = field(default_factory=list)
    working: set[asyncio.Task[None]] = field(default_factory=set)

    async def receive(self, dedup: str, kind: str, payload: object) -> Received | None:
        if self.crash is not None:
            raise self.crash
        if self.keeping is not None:
            await self.keeping.wait()
        if self.refuses_to_keep:
            raise StoreUnavailable("disk_full", "the disk is full", "Free some space.")
        if dedup in self.rows:
            return None
        row = Received(id=len(self.rows) + 1, dedup=dedup, kind=kind, payload=payload, received_at=datetime.now(UTC))
        self.rows[dedup] = row
        if self.consumer is not None:
            task = asyncio.ensure_future(self.consumer(row))
            self.working.add(task)
            task.add_done_callback(self.working.discard)
        return row

    async def act(self, intent: Intent, actor: Actor, *, received: Received | None = None) -> Answer:
        self.acted.append((intent, actor))
        if received is not None:
            await self._send(received, self.result)
        return self.result

    async def answer(self, received: Received, answer: Answer, actor: Actor | None = None) -> None:
        self.answered.append((answer, actor))
        await self._send(received, answer)

    async def preview(self, intent: Intent, actor: Actor) -> Answer:
        self.previewed.append((intent, actor))
        return self.preview_result or done("ok", "may")

    async def choices(self, intent: Intent, actor: Actor) -> Answer:
        self.previewed.append((intent, actor))
        return self.choices_result or done("ok", "nothing to offer")

    async def _send(self, received: Received, answer: Answer) -> None:
        assert self.chat is not None
        await self.chat.respond(received.payload["response_url"], Messages().answer(answer))


@dataclass
class World:
    slack: LocalSlack
    operations: FakeOperations
    web: SlackWeb
    chat: SlackChat
    directory: SlackDirectory
    sockets: Sockets
    listeners: SlackListeners

    async def post_buttons(self, *names: str, run: str = "staging-12") -> str:
        """A message with these buttons, as a headline has them; returns its ts."""
        made = [button(name, name, f"btn-{name}") for name in names]
        blocks = [actions(made, block_id=f"run:{run}")]
        return (await self.chat.post(CHANNEL, Message("buttons", blocks), "m-1")).ts

    def told(self, user: str) -> str:
        """Everything that this person alone was shown."""
        return "\n".join(shown_text(dataclasses.asdict(message)) for message in self.slack.ephemerals(user))


def shown_text(value: Any) -> str:
    """All texts within blocks and messages."""
    if isinstance(value, dict):
        own = [str(value["text"])] if isinstance(value.get("text"), str) else []
        return "\n".join([*own, *(shown_text(item) for item in value.values() if isinstance(item, dict | list))])
    return "\n".join(shown_text(item) for item in value) if isinstance(value, list) else ""


def furnish(slack: LocalSlack) -> None:
    slack.add_user("U0ALICE", "alice")
    slack.add_user("U0OLGA", "olga")
    slack.add_user("U0GUEST", "greta", is_restricted=True)
    slack.add_user("U0SINGLE", "sina", is_ultra_restricted=True)
    slack.add_user("U0GONE", "gustav", deleted=True)
    slack.add_user("U0ROBOT", "robot", is_bot=True)
    slack.add_user("U0OTHER", "otto", team_id="T0OTHER", is_stranger=True)
    everyone = ["U0ALICE", "U0OLGA", "U0GUEST", "U0SINGLE", "U0GONE", "U0ROBOT", "U0OTHER"]
    slack.add_channel(CHANNEL, "release", everyone)
    slack.add_usergroup("S0OWNERS", "owners", ["U0OLGA"])


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Slack waits twice as long as the app gives itself. What the real limits leave room for is a test of its own."""
    with pytest.MonkeyPatch.context() as limits:
        for name in ("COMMIT_S", "VIEW_COMMIT_S", "LOOKUP_S", "DIALOG_S", "RESTORE_DIALOG_S"):
            limits.setattr(slack_app, name, PATIENCE_S / 2)
        for module, name in ((sockets, "ACK_WITHIN_S"), (httpmode, "ACK_WITHIN_S"), (workspace, "TRIGGER_LIFE_S")):
            limits.setattr(module, name, PATIENCE_S)
        yield


@contextlib.asynccontextmanager
async def slack_world(**settings: Any) -> AsyncIterator[World]:
    """settings: of `Sockets`. The world is connected when it is entered."""
    with patient():
        async with _slack_world(settings) as made:
            yield made


@contextlib.asynccontextmanager
async def _slack_world(settings: dict[str, Any]) -> AsyncIterator[World]:
    slack = LocalSlack(ping_interval_s=0.2)
    furnish(slack)
    await slack.start()
    web = SlackWeb(slack.bot_token, api_url=slack.api_url, timeout_s=PATIENCE_S)
    chat = SlackChat(web, bot_id=slack.workspace.bot_id)
    directory = SlackDirectory(web, team_id=slack.workspace.team_id, roles=lambda: ROLES)
    operations = FakeOperations(chat=chat)
    operations.consumer = SlackConsumer(operations, directory)
    listeners = SlackListeners(operations, directory, chat, Messages())
    app = build_app(
        listeners, bot_token=slack.bot_token, client=bare_client(slack.api_url), signing_secret=slack.signing_secret
    )
    ears = Sockets(app, slack.app_token, bare_client(slack.api_url), **settings)
    await ears.start()
    try:
        await ears.wait_connected(PATIENCE_S)
        yield World(slack, operations, web, chat, directory, ears, listeners)
    finally:
        await ears.stop(drain_s=0.5)
        await listeners.close()
        await web.close()
        await slack.stop()
