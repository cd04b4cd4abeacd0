"""Uploading on a local Slack, with every of its three steps failing in every way; looking for a doubtful one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from engine.ports import Message
from integrations.slack.chat import SlackChat
from integrations.slack.web import SlackWeb
from runbook.errors import Permanent, Temporary
from sandbox.faults import Fault
from sandbox.slack import LocalSlack
from tests.integrations.waiting import as_if_waited

CHANNEL = "C0RELEASE"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
NAME = "staging-1-abc.png"
PATIENCE_S = 30.0
STEPS = {"address": "getUploadURLExternal", "bytes": "/upload/v1/", "completion": "completeUploadExternal"}


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice")
    made.add_user("U0GONE", "gone", deleted=True)
    made.add_channel(CHANNEL, "release", ["U0ALICE"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def chat(slack: LocalSlack) -> AsyncIterator[SlackChat]:
    async with SlackWeb(slack.bot_token, api_url=slack.api_url, timeout_s=PATIENCE_S) as web:
        yield SlackChat(web, bot_id=slack.workspace.bot_id)


async def send(chat: SlackChat, *, thread_ts: str = "", name: str = NAME) -> None:
    await chat.upload(CHANNEL, name, "Error rate", "error rate: 0.4 %", PNG, thread_ts=thread_ts)


async def is_there(chat: SlackChat, *, thread_ts: str = "", name: str = NAME) -> bool:
    return await chat.find_file(CHANNEL, name, thread_ts=thread_ts, since=datetime.now(UTC) - timedelta(seconds=60))


async def test_a_picture_is_uploaded_into_a_thread_and_found_there_by_its_name(
    slack: LocalSlack, chat: SlackChat
) -> None:
    top = await chat.post(CHANNEL, Message("hello"), "out-1")
    await send(chat, thread_ts=top.ts)
    [message] = slack.messages(CHANNEL, top.ts)
    [file] = message.files
    assert (file["name"], file["title"], file["alt_txt"]) == (NAME, "Error rate", "error rate: 0.4 %")
    assert slack.workspace.files[file["id"]].content == PNG
    assert message.text == ""
    assert await is_there(chat, thread_ts=top.ts)
    assert not await is_there(chat, thread_ts=top.ts, name="another.png")
    assert not await is_there(chat)


async def test_the_alt_text_is_no_part_of_any_address(slack: LocalSlack, chat: SlackChat) -> None:
    await chat.upload(CHANNEL, NAME, "t" * 400, "a" * 5000, PNG)
    [call] = slack.calls("files.getUploadURLExternal")
    assert len(call.args["alt_txt"]) == 1000
    [message] = slack.messages(CHANNEL)
    assert len(message.files[0]["title"]) == 250


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=500), "server_error"),
        (Fault(kind="reset"), "lost"),
        (Fault(kind="hang"), "timeout"),
        (Fault(status=429, headers={"Retry-After": "9"}), "ratelimited"),
    ],
)
async def test_what_may_pass_is_temporary_and_doubtful_in_the_last_step_alone(
    slack: LocalSlack, chat: SlackChat, step: str, fault: Fault, code: str
) -> None:
    added = slack.faults.add(Fault(kind=fault.kind, status=fault.status, headers=fault.headers, path=STEPS[step]))
    with pytest.raises(Temporary) as caught:
        await as_if_waited(send(chat), lambda: added.struck if fault.kind == "hang" else 0, PATIENCE_S)
    doubt = ".doubtful" if step == "completion" and code != "ratelimited" else ""
    assert caught.value.code == f"slack.{code}{doubt}"
    assert caught.value.retry_after_s == (9.0 if code == "ratelimited" else None)
    assert slack.messages(CHANNEL) == []
    assert not await is_there(chat)
    await send(chat)  # a repeat begins anew
    assert len(slack.messages(CHANNEL)) == 1


@pytest.mark.parametrize("step", STEPS)
async def test_a_lost_answer_shows_the_picture_at_most_once(slack: LocalSlack, chat: SlackChat, step: str) -> None:
    slack.faults.add(Fault(kind="after", path=STEPS[step]))
    with pytest.raises(Temporary) as caught:
        await send(chat)
    arrived = step == "completion"
    assert caught.value.code.endswith(".doubtful") is arrived
    assert await is_there(chat) is arrived
    assert len(slack.messages(CHANNEL)) == int(arrived)


async def test_what_needs_a_person_is_permanent_with_the_remedy(slack: LocalSlack, chat: SlackChat) -> None:
    slack.workspace.uploads_refused = "storage_limit_reached"
    with pytest.raises(Permanent, match="storage is full"):
        await send(chat)
    slack.scopes.discard("files:write")
    with pytest.raises(Permanent) as caught:
        await send(chat)
    assert caught.value.code == "slack.missing_scope"
    assert "files:write" in caught.value.remedy
    assert len(slack.calls("files.completeUploadExternal")) == 0


async def test_a_vanished_thread_is_permanent(slack: LocalSlack, chat: SlackChat) -> None:
    with pytest.raises(Permanent) as caught:
        await send(chat, thread_ts="1.000001")
    assert caught.value.code == "slack.thread_not_found"


async def test_too_large_a_file_is_permanent(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(status=413, path="/upload/v1/"))
    with pytest.raises(Permanent) as caught:
        await send(chat)
    assert caught.value.code == "slack.file_too_large"


@pytest.mark.parametrize(
    "address", ["http://files.slack.com/x", "https://files.slack.com.evil.example/x", "http://169.254.169.254/", "/x"]
)
async def test_bytes_are_never_sent_to_a_foreign_address(slack: LocalSlack, chat: SlackChat, address: str) -> None:
    slack.faults.add(Fault(status=200, path="getUpload", body={"ok": True, "upload_url": address, "file_id": "F1"}))
    with pytest.raises(Permanent) as caught:
        await send(chat)
    assert caught.value.code == "slack.foreign_upload_url"


async def test_an_answer_without_an_address_is_not_understood(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(status=200, path="getUpload", body={"ok": True}))
    with pytest.raises(Temporary) as caught:
        await send(chat)
    assert caught.value.code == "slack.garbled"


async def test_the_upload_address_and_the_token_stand_in_no_error(slack: LocalSlack, chat: SlackChat) -> None:
    slack.faults.add(Fault(kind="reset", path="/upload/v1/"))
    with pytest.raises(Temporary) as caught:
        await send(chat)
    [file] = slack.workspace.files.values()
    assert file.upload_secret not in str(caught.value)
    assert slack.bot_token not in str(caught.value)


async def test_a_picture_for_one_person_goes_into_their_direct_messages(slack: LocalSlack, chat: SlackChat) -> None:
    channel = await chat.direct("U0ALICE")
    await chat.upload(channel, NAME, "Error rate", "error rate: 0.4 %", PNG)
    assert [message.files[0]["name"] for message in slack.messages(channel)] == [NAME]
    with pytest.raises(Permanent) as caught:
        await chat.direct("U0GONE")
    assert caught.value.code == "slack.user_disabled"
    slack.scopes.discard("im:write")
    with pytest.raises(Permanent) as caught:
        await chat.direct("U0ALICE")
    assert "im:write" in caught.value.remedy
