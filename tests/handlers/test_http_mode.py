"""HTTP mode: only what Slack signed, and signed just now, comes in."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from engine.answers import done
from handlers.consumer import SlackConsumer
from handlers.http_mode import PATH, slack_routes
from handlers.slack_app import SlackListeners, build_app
from integrations.slack.chat import SlackChat
from integrations.slack.directory import SlackDirectory
from integrations.slack.web import SlackWeb
from messages.render import Messages
from sandbox.slack import LocalSlack
from sandbox.slack.httpmode import signature
from tests.handlers.slack_world import CHANNEL, ROLES, FakeOperations, furnish, patient

BODY = "command=%2Fforge&text=status&user_id=U0ALICE&team_id=T0FORGE&trigger_id=1.2&response_url="


class Door:
    def __init__(self, slack: LocalSlack, operations: FakeOperations, url: str) -> None:
        self.slack, self.operations, self.url = slack, operations, url

    async def post(self, body: str, secret: str, at: float) -> int:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(int(at)),
            "X-Slack-Signature": signature(secret, int(at), body),
        }
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as answer:
            return answer.status


@contextlib.asynccontextmanager
async def _open_door() -> AsyncIterator[Door]:
    slack = LocalSlack()
    furnish(slack)
    await slack.start()
    sdk = SlackWeb(slack.bot_token, api_url=slack.api_url)
    chat = SlackChat(sdk)
    operations = FakeOperations(chat=chat, result=done("ok", "It is done."))
    directory = SlackDirectory(sdk, team_id="T0FORGE", roles=lambda: ROLES)
    operations.consumer = SlackConsumer(operations, directory)
    listeners = SlackListeners(operations, directory, chat, Messages())
    app = build_app(listeners, bot_token=slack.bot_token, client=sdk.sdk_client(), signing_secret="s3cret")
    server = web.Application()
    server.add_routes(slack_routes(app, "s3cret"))
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    slack.courier.request_url, slack.courier.http.signing_secret = url, "s3cret"
    yield Door(slack, operations, url)
    await listeners.close()
    await runner.cleanup()
    await sdk.close()
    await slack.stop()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    with patient():
        async with _open_door() as made:
            yield made


async def test_a_signed_command_is_kept_and_answered(door: Door) -> None:
    result = await door.slack.command("U0ALICE", "status", channel_id=CHANNEL)
    assert result.outcome == "acknowledged"
    await door.slack.until(lambda: any(m.text.startswith("It is done.") for m in door.slack.ephemerals("U0ALICE")))
    assert len(door.operations.rows) == 1


async def test_what_isnt_signed_by_slack_is_refused(door: Door) -> None:
    assert await door.post(BODY, "another secret", time.time()) == 401
    assert await door.post(BODY, "", time.time()) == 401
    assert not door.operations.rows


async def test_a_signature_of_six_minutes_ago_or_ahead_is_refused(door: Door) -> None:
    assert await door.post(BODY, "s3cret", time.time() - 360) == 401
    assert await door.post(BODY, "s3cret", time.time() + 360) == 401
    assert not door.operations.rows


async def test_without_a_signature_nothing_comes_in(door: Door) -> None:
    async with aiohttp.ClientSession() as session, session.post(door.url, data=BODY) as answer:
        assert answer.status == 401
    assert not door.operations.rows


async def test_a_flood_of_bytes_is_refused(door: Door) -> None:
    async with aiohttp.ClientSession() as session, session.post(door.url, data=b"x" * 300_000) as answer:
        assert answer.status == 413


async def test_bytes_that_are_no_text_are_refused(door: Door) -> None:
    async with aiohttp.ClientSession() as session, session.post(door.url, data=b"\xff\xfe\xff") as answer:
        assert answer.status in (400, 401)


def test_there_is_no_door_without_a_signing_secret() -> None:
    async def nothing() -> None: ...

    with pytest.raises(ValueError, match="SLACK_SIGNING_SECRET"):
        slack_routes(nothing, " ")  # type: ignore[arg-type]
