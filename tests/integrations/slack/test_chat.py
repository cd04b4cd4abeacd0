"""The chat port on a local Slack: posts once, finds its own, and tells doubtful from refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.ports import Message
from integrations.slack.chat import SlackChat
from integrations.slack.web import SlackWeb
from messages.blocks import Markup, section
from runbook.errors import Permanent, Temporary
from sandbox.faults import Fault
from sandbox.slack import LocalSlack
from tests.integrations.waiting import as_if_waited

CHANNEL = "C0RELEASE"
PATIENCE_S = 30.0
HELLO = Message("hello", [section(Markup("*hello*"))])


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice")
    made.add_channel(CHANNEL, "release", ["U0ALICE"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def chat(slack: LocalSlack) -> AsyncIterator[SlackChat]:
    async with SlackWeb(slack.bot_token, api_url=slack.api_url, timeout_s=PATIENCE_S) as web:
        yield SlackChat(web, bot_id=slack.workspace.bot_id)


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def test_a_message_is_posted_with_its_id_and_found_by_it(slack: LocalSlack, chat: SlackChat) -> None:
    placed = await chat.post(CHANNEL, HELLO, "out-7")
    assert placed.permalink
    assert await chat.find(CHANNEL, "out-7", since=ago(60)) == placed
    assert await chat.find(CHANNEL, "out-8", since=ago(60)) is None
    [message] = slack.messages(CHANNEL)
    assert message.text == "hello"


async def test_a_reply_is_found_in_its_thread_and_may_be_broadcast(slack: LocalSlack, chat: SlackChat) -> None:
    top = await chat.post(CHANNEL, HELLO, "out-1")
    reply = await chat.post(CHANNEL, HELLO, "out-2", thread_ts=top.ts, broadcast=True)
    found = await chat.find(CHANNEL, "out-2", thread_ts=top.ts, since=ago(60))
    assert found is not None
    assert found.ts == reply.ts
    [message] = slack.messages(CHANNEL, top.ts)
    assert message.is_broadcast


async def test_a_message_is_found_on_a_later_page(slack: LocalSlack, chat: SlackChat) -> None:
    placed = await chat.post(CHANNEL, HELLO, "out-1")
    for number in range(230):
        await slack.say("U0ALICE", CHANNEL, f"chatter {number}")
    found = await chat.find(CHANNEL, "out-1", since=ago(60))
    assert found is not None
    assert found.ts == placed.ts


async def test_somebody_elses_message_with_our_id_is_not_ours(slack: LocalSlack, chat: SlackChat) -> None:
    await chat.post(CHANNEL, HELLO, "out-1")
    chat.bot_id = "B0ANOTHER"
    assert await chat.find(CHANNEL, "out-1", since=ago(60)) is None


async def test_an_update_keeps_the_message_findable(slack: LocalSlack, chat: SlackChat) -> None:
    placed = await chat.post(CHANNEL, HELLO, "out-1")
    await chat.update(CHANNEL, placed.ts, Message("bye", [section(Markup("*bye*"))]))
    [message] = slack.messages(CHANNEL)
    assert message.text == "bye"
    assert await chat.find(CHANNEL, "out-1", since=ago(60)) == placed


async def test_a_post_whose_answer_is_lost_is_doubtful_and_was_sent_once(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(kind="after", path="chat.postMessage"))
    with pytest.raises(Temporary) as caught:
        await chat.post(CHANNEL, HELLO, "out-1")
    assert caught.value.code == "slack.lost.doubtful"
    assert len(slack.messages(CHANNEL)) == 1
    found = await chat.find(CHANNEL, "out-1", since=ago(60))
    assert found is not None


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(kind="hang", path="chat.postMessage"), "slack.timeout.doubtful"),
        (Fault(kind="reset", path="chat.postMessage"), "slack.lost.doubtful"),
        (Fault(kind="garbage", path="chat.postMessage"), "slack.garbled.doubtful"),
        (Fault(status=500, path="chat.postMessage"), "slack.server_error.doubtful"),
        (Fault(status=503, path="chat.postMessage", body="<html>sorry</html>"), "slack.server_error.doubtful"),
        (Fault(status=200, path="chat.postMessage", body={"ok": False, "error": "internal_error"}),
         "slack.internal_error.doubtful"),
        (Fault(status=200, path="chat.postMessage", body={"ok": False, "error": "service_unavailable"}),
         "slack.service_unavailable"),
        (Fault(status=200, path="chat.postMessage", body={"ok": True}), "slack.garbled.doubtful"),
    ],
)  # fmt: skip
async def test_what_may_pass_is_temporary_and_sent_only_once(
    slack: LocalSlack, chat: SlackChat, fault: Fault, code: str
) -> None:
    slack.faults.add(fault := replace(fault))
    post = chat.post(CHANNEL, HELLO, "out-1")
    with pytest.raises(Temporary) as caught:
        await as_if_waited(post, lambda: fault.struck if fault.kind == "hang" else 0, PATIENCE_S)
    assert caught.value.code == code
    assert len(slack.calls("chat.postMessage")) == 1


async def test_a_rate_limit_names_slacks_own_wish(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(status=429, headers={"Retry-After": "17"}, path="chat.update"))
    with pytest.raises(Temporary) as caught:
        await chat.update(CHANNEL, "1.0", HELLO)
    assert caught.value.code == "slack.ratelimited"
    assert caught.value.retry_after_s == 17.0


async def test_a_slack_that_cant_be_reached_is_not_doubtful(slack: LocalSlack, chat: SlackChat) -> None:
    await slack.stop()
    with pytest.raises(Temporary) as caught:
        await chat.post(CHANNEL, HELLO, "out-1")
    assert caught.value.code == "slack.unreachable"


async def test_what_needs_a_person_is_permanent_with_the_remedy(slack: LocalSlack, chat: SlackChat) -> None:
    with pytest.raises(Permanent) as caught:
        await chat.post("C0NOWHERE", HELLO, "out-1")
    assert caught.value.code == "slack.channel_not_found"
    assert "slack.channel" in caught.value.remedy
    slack.scopes.discard("chat:write")
    with pytest.raises(Permanent) as caught:
        await chat.post(CHANNEL, HELLO, "out-1")
    assert caught.value.code == "slack.missing_scope"
    assert "chat:write" in caught.value.remedy
    slack.api.auth_error = "token_revoked"
    with pytest.raises(Permanent) as caught:
        await chat.post(CHANNEL, HELLO, "out-1")
    assert "SLACK_BOT_TOKEN" in caught.value.remedy
    assert slack.bot_token not in str(caught.value)


async def test_a_bot_outside_the_channel_is_told_to_be_invited(slack: LocalSlack, chat: SlackChat) -> None:
    slack.add_channel("C0OTHER", "other", ["U0ALICE"], has_bot=False)
    with pytest.raises(Permanent) as caught:
        await chat.post("C0OTHER", HELLO, "out-1")
    assert caught.value.code == "slack.not_in_channel"
    assert "/invite" in caught.value.remedy


async def test_a_missing_permalink_is_no_reason_to_post_again(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(status=500, path="chat.getPermalink"))
    assert (await chat.post(CHANNEL, HELLO, "out-1")).permalink == ""


async def test_an_answer_goes_to_the_caller_alone(slack: LocalSlack, chat: SlackChat) -> None:
    typed = asyncio.ensure_future(slack.command("U0ALICE", "status", channel_id=CHANNEL))
    result = await typed
    await chat.respond(result.response_url, HELLO)
    assert [message.text for message in slack.ephemerals("U0ALICE")][-1] == "hello"
    assert slack.messages(CHANNEL) == []


async def test_a_used_up_response_address_is_permanent(slack: LocalSlack, chat: SlackChat) -> None:
    result = await slack.command("U0ALICE", "status", channel_id=CHANNEL)
    for _ in range(5):
        await chat.respond(result.response_url, HELLO)
    with pytest.raises(Permanent):
        await chat.respond(result.response_url, HELLO)


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest", "https://hooks.slack.com.evil.example/x", "file:///etc/passwd", ""]
)
async def test_an_answer_is_never_sent_to_a_foreign_address(chat: SlackChat, address: str) -> None:
    with pytest.raises(Permanent) as caught:
        await chat.respond(address, HELLO)
    assert caught.value.code == "slack.foreign_response_url"


async def test_a_method_that_isnt_declared_is_not_called(slack: LocalSlack, chat: SlackChat) -> None:
    async with SlackWeb(slack.bot_token, api_url=slack.api_url) as web:
        with pytest.raises(ValueError, match="named in"):
            await web.call("chat.delete", channel=CHANNEL, ts="1.0")
    assert slack.calls() == []


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY"])
async def test_a_proxy_is_not_asked_for_this_very_machine(
    slack: LocalSlack, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with SlackWeb(slack.bot_token, api_url=slack.api_url) as web:
        await SlackChat(web).post(CHANNEL, HELLO, "out-1")
        result = await slack.command("U0ALICE", "status", channel_id=CHANNEL)
        await SlackChat(web).respond(result.response_url, HELLO)
    assert len(slack.messages(CHANNEL)) == 1
