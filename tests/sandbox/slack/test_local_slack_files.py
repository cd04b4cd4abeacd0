"""Files on the local workspace: taken in three steps, refused as the real one refuses, and shown."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import LocalSlack

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


async def put(address: str, data: bytes) -> int:
    async with aiohttp.ClientSession() as session, session.post(address, data=data) as answer:
        return answer.status


async def ticket(client: AsyncWebClient, data: bytes = PIXEL, **more: Any) -> Any:
    arguments = {"filename": "chart.png", "length": len(data), **more}
    return await client.files_getUploadURLExternal(**arguments)


async def uploaded(client: AsyncWebClient, data: bytes = PIXEL, **more: Any) -> str:
    given = await ticket(client, data, **more)
    assert await put(given["upload_url"], data) == 200
    return str(given["file_id"])


async def refusal(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def complete(client: AsyncWebClient, file_id: str, **more: Any) -> Any:
    return await client.files_completeUploadExternal(files=[{"id": file_id, "title": "Errors"}], **more)


async def test_a_picture_stands_in_its_thread_with_its_bytes_its_alt_text_and_its_size(
    slack: LocalSlack, client: AsyncWebClient
) -> None:
    parent = await client.chat_postMessage(channel="C0REL", text="parent")
    await complete(client, await uploaded(client, alt_txt="errors: 0.4 %"), channel_id="C0REL", thread_ts=parent["ts"])
    replies = await client.conversations_replies(channel="C0REL", ts=parent["ts"])
    [file] = replies["messages"][1]["files"]
    assert (file["name"], file["title"], file["alt_txt"], file["mimetype"]) == (
        "chart.png", "Errors", "errors: 0.4 %", "image/png",
    )  # fmt: skip
    assert (file["size"], file["original_w"], file["original_h"]) == (len(PIXEL), 1, 1)
    assert slack.workspace.files[file["id"]].content == PIXEL
    history = await client.conversations_history(channel="C0REL")
    assert "files" not in history["messages"][0]
    read = re.sub(r"\d\d:\d\d", "hh:mm", slack.transcript("C0REL"))
    assert read.split("\n")[1:] == ["      hh:mm forge  [picture: Errors]", " " * 19 + "errors: 0.4 %"]


async def test_an_upload_address_is_secret_and_takes_the_announced_bytes_once(client: AsyncWebClient) -> None:
    given = await ticket(client)
    assert given["file_id"] not in given["upload_url"]
    assert await put(given["upload_url"] + "x", PIXEL) == 404
    assert await put(given["upload_url"], PIXEL + b"more") == 400
    assert await put(given["upload_url"], PIXEL) == 200
    assert await put(given["upload_url"], PIXEL) == 404


async def test_a_file_is_completed_once_and_only_after_its_bytes_came(client: AsyncWebClient) -> None:
    given = await ticket(client)
    assert await refusal(complete(client, given["file_id"], channel_id="C0REL")) == "file_not_found"
    file_id = await uploaded(client)
    await complete(client, file_id, channel_id="C0REL")
    assert await refusal(complete(client, file_id, channel_id="C0REL")) == "file_already_completed"


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ({"channel_id": "C0NOWHERE"}, "channel_not_found"),
        ({"channel_id": "U0ADA"}, "channel_not_found"),
        ({"channel_id": "C0OUT"}, "not_in_channel"),
        ({"channel_id": "C0REL", "thread_ts": "1.000000"}, "thread_not_found"),
        ({"channels": "C0REL,U0ADA", "thread_ts": "1.000000"}, "invalid_arguments"),
    ],
)
async def test_a_place_that_isnt_there_is_refused_and_the_file_stays_unshared(
    slack: LocalSlack, client: AsyncWebClient, where: dict[str, str], error: str
) -> None:
    file_id = await uploaded(client)
    assert await refusal(complete(client, file_id, **where)) == error
    assert slack.messages("C0REL") == []
    await complete(client, file_id, channel_id="C0REL")


@pytest.mark.parametrize("wrong", [{"length": 0}, {"filename": ""}, {"alt_txt": "x" * 1001}])
async def test_a_file_without_name_or_length_or_with_too_long_an_alt_text_is_refused(
    client: AsyncWebClient, wrong: dict[str, Any]
) -> None:
    assert await refusal(ticket(client, **wrong)) == "invalid_arguments"


async def test_a_workspace_may_forbid_uploads_and_lack_the_scope_or_the_room(
    slack: LocalSlack, client: AsyncWebClient
) -> None:
    assert await refusal(ticket(client, length=2 << 30)) == "file_upload_size_restricted"
    slack.workspace.uploads_refused = "storage_limit_reached"
    assert await refusal(ticket(client)) == "storage_limit_reached"
    slack.scopes.discard("files:write")
    assert await refusal(ticket(client)) == "missing_scope"


async def test_what_is_no_picture_is_not_shown_as_one(slack: LocalSlack, client: AsyncWebClient) -> None:
    await complete(client, await uploaded(client, b"<script>alert(1)</script>"), channel_id="C0REL")
    [message] = slack.messages("C0REL")
    assert message.files[0]["mimetype"] == "application/octet-stream"
    assert "[file: Errors]" in slack.transcript("C0REL")


async def test_direct_messages_are_opened_with_people_alone(slack: LocalSlack, client: AsyncWebClient) -> None:
    opened = await client.conversations_open(users="U0ADA")
    again = await client.conversations_open(users="U0ADA")
    assert opened["channel"]["id"] == again["channel"]["id"] == "D0ADA"
    await complete(client, await uploaded(client), channel_id="D0ADA")
    assert [message.files[0]["title"] for message in slack.messages("D0ADA")] == ["Errors"]
    assert await refusal(client.conversations_open(users="U0GONE")) == "user_disabled"
    assert await refusal(client.conversations_open(users="U0NOBODY")) == "user_not_found"
    assert await refusal(client.conversations_open(users=slack.workspace.bot_user)) == "cannot_dm_bot"


async def test_a_long_running_workspace_keeps_the_newest_files(slack: LocalSlack, client: AsyncWebClient) -> None:
    first = await ticket(client)
    for _ in range(300):
        last = await ticket(client)
    assert first["file_id"] not in slack.workspace.files
    assert last["file_id"] in slack.workspace.files
    assert len(slack.workspace.files) == 300
