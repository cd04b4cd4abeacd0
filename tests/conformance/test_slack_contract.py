"""What forge relies on in a Slack workspace. Posts into the one test channel that was named, and deletes what it posted."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from engine.ports import Message, Placed
from integrations.slack.chat import SlackChat
from integrations.slack.scopes import BOT_SCOPES
from integrations.slack.web import API_URL, SlackWeb, bare_client
from runbook.errors import Permanent
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
BLOCKS = ({"type": "section", "text": {"type": "mrkdwn", "text": "A conformance test of *forge*; it deletes this."}},)


@pytest.fixture
def api_url(addresses: Addresses) -> str:
    return addresses.get("CONFORMANCE_SLACK_API_URL", API_URL)


@pytest.fixture
async def web(addresses: Addresses, api_url: str) -> AsyncIterator[SlackWeb]:
    async with SlackWeb(addresses["CONFORMANCE_SLACK_BOT_TOKEN"], api_url=api_url) as made:
        yield made


@pytest.fixture
async def chat(web: SlackWeb) -> SlackChat:
    return SlackChat(web, bot_id=str((await web.call("auth.test"))["bot_id"]))


@pytest.fixture
def channel(addresses: Addresses) -> str:
    return addresses["CONFORMANCE_SLACK_CHANNEL"]


@asynccontextmanager
async def posted(
    web: SlackWeb, chat: SlackChat, channel: str, message_id: str, thread_ts: str = ""
) -> AsyncIterator[Placed]:
    placed = await chat.post(channel, Message("forge conformance", BLOCKS), message_id, thread_ts=thread_ts)
    try:
        yield placed
    finally:
        client = web.sdk_client(web._token)
        await client.chat_delete(channel=placed.channel, ts=placed.ts)


def soon() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def new_id() -> str:
    return f"conformance-{secrets.token_hex(8)}"


async def test_the_bot_token_has_every_scope_that_forge_uses(web: SlackWeb) -> None:
    answer = await web.sdk_client(web._token).auth_test()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    granted = {scope.strip() for scope in headers["x-oauth-scopes"].split(",")}
    assert set(BOT_SCOPES) <= granted
    assert answer["team_id"]
    assert answer["bot_id"]


async def test_a_message_is_found_again_by_the_id_in_its_metadata(web: SlackWeb, chat: SlackChat, channel: str) -> None:
    message_id = new_id()
    assert await chat.find(channel, message_id, since=soon()) is None
    async with posted(web, chat, channel, message_id) as placed:
        found = await chat.find(channel, message_id, since=soon())
        assert found is not None
        assert found.ts == placed.ts
        assert placed.permalink.startswith("http")


async def test_an_edited_message_keeps_its_place_and_its_metadata(web: SlackWeb, chat: SlackChat, channel: str) -> None:
    message_id = new_id()
    async with posted(web, chat, channel, message_id) as placed:
        await chat.update(placed.channel, placed.ts, Message("forge conformance, edited", BLOCKS))
        found = await chat.find(channel, message_id, since=soon())
        assert found is not None
        assert found.ts == placed.ts


async def test_a_reply_is_found_in_its_thread(web: SlackWeb, chat: SlackChat, channel: str) -> None:
    message_id = new_id()
    async with posted(web, chat, channel, new_id()) as head, posted(web, chat, channel, message_id, head.ts) as reply:
        found = await chat.find(channel, message_id, thread_ts=head.ts, since=soon())
        assert found is not None
        assert found.ts == reply.ts


async def test_editing_a_message_that_is_gone_is_told_as_such(web: SlackWeb, chat: SlackChat, channel: str) -> None:
    async with posted(web, chat, channel, new_id()) as placed:
        pass
    with pytest.raises(Permanent) as refused:
        await chat.update(placed.channel, placed.ts, Message("too late", BLOCKS))
    assert refused.value.code == "slack.message_not_found"


async def test_a_person_is_told_with_what_decides_whether_they_may_act(web: SlackWeb, addresses: Addresses) -> None:
    user = addresses.get("CONFORMANCE_SLACK_USER") or str((await web.call("auth.test"))["user_id"])
    found: dict[str, Any] = (await web.call("users.info", user=user))["user"]
    assert found["id"] == user
    assert {"deleted", "team_id"} <= set(found)
    assert {"is_bot", "is_restricted", "is_ultra_restricted"} <= set(found)


async def test_a_user_group_tells_its_members(web: SlackWeb, addresses: Addresses) -> None:
    """Without a group that was named: an unknown one is refused, and not an empty group."""
    group = addresses.get("CONFORMANCE_SLACK_USERGROUP", "")
    if group:
        assert (await web.call("usergroups.users.list", usergroup=group))["users"]
        return
    with pytest.raises(Permanent):
        await web.call("usergroups.users.list", usergroup="S0NOSUCHGROUP")


async def test_an_address_that_nobody_has_is_said_to_be_nobodys(web: SlackWeb) -> None:
    with pytest.raises(Permanent) as refused:
        await web.call("users.lookupByEmail", email="forge-conformance-nobody@example.invalid")
    assert refused.value.code == "slack.users_not_found"


async def test_a_socket_says_hello(addresses: Addresses, api_url: str) -> None:
    opened = await bare_client(api_url).apps_connections_open(app_token=addresses["CONFORMANCE_SLACK_APP_TOKEN"])
    url = str(opened["url"])
    direct = "127.0.0.1" in url
    async with aiohttp.ClientSession(trust_env=not direct) as session, session.ws_connect(url) as socket:
        hello = await socket.receive_json(timeout=15)
    assert hello["type"] == "hello"
    assert hello["num_connections"] >= 1
