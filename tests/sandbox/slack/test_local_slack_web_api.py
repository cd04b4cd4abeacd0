"""The real SDK's Web API client against the local workspace: what is answered, and how it refuses."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from sandbox.faults import Fault
from sandbox.slack.workspace import RESPONSE_URL_LIFE_S


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(action_id: str = "a", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": "B"}, **more}


def plain(length: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": "x" * length}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def confirm(title: int = 5, text: int = 5, yes: int = 5) -> dict[str, Any]:
    return {"title": plain(title), "text": plain(text), "confirm": plain(yes), "deny": plain(2)}


async def error_of(call: Any) -> dict[str, Any]:
    with pytest.raises(SlackApiError) as refusal:
        await call
    return dict(refusal.value.response.data)


async def test_who_am_i(slack, client):
    answer = await client.auth_test()
    assert (answer["team_id"], answer["user_id"], answer["bot_id"]) == ("T0FORGE", "U0FORGE", "B0FORGE")
    assert "chat:write" in answer.headers["x-oauth-scopes"]


async def test_wrong_tokens_are_refused_in_slacks_words(slack, client):
    assert (await error_of(client.auth_test(token="xoxb-wrong")))["error"] == "invalid_auth"
    assert (await error_of(client.apps_connections_open(app_token=slack.bot_token)))[
        "error"
    ] == "not_allowed_token_type"
    assert (await error_of(client.users_info(user="U0ADA", token=slack.app_token)))["error"] == "not_allowed_token_type"
    anonymous = AsyncWebClient(base_url=slack.api_url)
    assert (await error_of(anonymous.auth_test()))["error"] == "not_authed"
    assert (await error_of(client.api_call("no.such")))["error"] == "unknown_method"
    slack.api.auth_error = "token_revoked"
    assert (await error_of(client.auth_test()))["error"] == "token_revoked"


async def test_a_missing_scope_is_named(slack, client):
    slack.scopes.discard("usergroups:read")
    refused = await error_of(client.usergroups_users_list(usergroup="S0OWNERS"))
    assert refused["error"] == "missing_scope"
    assert refused["needed"] == "usergroups:read"
    assert "usergroups:read" not in refused["provided"]


async def test_private_channels_have_scopes_of_their_own(slack, client):
    slack.add_channel("C0SECRET", "secret", ["U0ADA"], is_private=True)
    slack.add_channel("C0HIDDEN", "hidden", ["U0ADA"], is_private=True, has_bot=False)
    await client.conversations_history(channel="C0SECRET")
    slack.scopes.difference_update({"groups:history", "groups:read"})
    assert (await error_of(client.conversations_history(channel="C0SECRET")))["needed"] == "groups:history"
    assert (await error_of(client.conversations_info(channel="C0SECRET")))["needed"] == "groups:read"
    assert (await error_of(client.conversations_list(types="private_channel")))["needed"] == "groups:read"
    assert (await error_of(client.conversations_info(channel="C0HIDDEN")))["error"] == "channel_not_found"
    assert (await error_of(client.chat_postMessage(channel="C0HIDDEN", text="x")))["error"] == "channel_not_found"


async def test_a_message_with_metadata_is_posted_found_updated_and_deleted(slack, client):
    metadata = {"event_type": "forge_message", "event_payload": {"id": "m-1"}}
    posted = await client.chat_postMessage(channel="C0REL", text="one", blocks=[section("*one*")], metadata=metadata)
    history = await client.conversations_history(channel="C0REL", include_all_metadata=True)
    assert history["messages"][0]["metadata"] == metadata
    assert "metadata" not in (await client.conversations_history(channel="C0REL"))["messages"][0]
    updated = await client.chat_update(channel="C0REL", ts=posted["ts"], text="two")
    assert "blocks" not in updated["message"]
    message = slack.messages("C0REL")[0]
    assert (message.text, message.metadata) == ("two", metadata)
    assert message.edited is not None
    await client.chat_delete(channel="C0REL", ts=posted["ts"])
    assert slack.messages("C0REL") == []
    assert (await error_of(client.chat_update(channel="C0REL", ts=posted["ts"], text="x")))[
        "error"
    ] == "message_not_found"


async def test_replies_come_with_their_parent_oldest_first_and_broadcasts_show_in_the_channel(slack, client):
    parent = await client.chat_postMessage(channel="C0REL", text="parent")
    metadata = {"event_type": "forge_message", "event_payload": {"id": "m-2"}}
    for text in ("first", "second"):
        await client.chat_postMessage(channel="C0REL", text=text, thread_ts=parent["ts"], metadata=metadata)
    await client.chat_postMessage(channel="C0REL", text="loud", thread_ts=parent["ts"], reply_broadcast=True)
    replies = await client.conversations_replies(channel="C0REL", ts=parent["ts"], include_all_metadata=True)
    assert [item["text"] for item in replies["messages"]] == ["parent", "first", "second", "loud"]
    assert replies["messages"][0]["reply_count"] == 3
    assert replies["messages"][1]["metadata"] == metadata
    history = await client.conversations_history(channel="C0REL")
    assert [(item["text"], item.get("subtype")) for item in history["messages"]] == [
        ("loud", "thread_broadcast"),
        ("parent", None),
    ]
    first_page = await client.conversations_replies(channel="C0REL", ts=parent["ts"], limit=3)
    assert [len(page["messages"]) async for page in first_page] == [3, 1]
    assert (await error_of(client.conversations_replies(channel="C0REL", ts="1.0")))["error"] == "thread_not_found"
    link = await client.chat_getPermalink(channel="C0REL", message_ts=parent["ts"])
    assert link["permalink"].endswith(f"/archives/C0REL/p{parent['ts'].replace('.', '')}")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"channel": "C0NONE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0OUT", "text": "x"}, "not_in_channel"),
        ({"channel": "C0REL"}, "no_text"),
        ({"channel": "C0REL", "text": ""}, "no_text"),
        ({"channel": "C0REL", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "C0REL", "text": "x", "thread_ts": "1.0"}, "thread_not_found"),
        ({"channel": "C0REL", "text": "x", "blocks": "{not json"}, "invalid_blocks_format"),
        ({"channel": "C0REL", "text": "x", "attachments": [{"text": "a"}] * 101}, "too_many_attachments"),
        ({"channel": "C0REL", "text": "x", "metadata": {"event_type": "x"}}, "invalid_metadata_schema"),
        ({"channel": "C0REL", "text": "x", "blocks": [section("y" * 2900) for _ in range(5)]}, "msg_blocks_too_long"),
    ],
)
@pytest.mark.filterwarnings("ignore:The top-level `text` argument is missing")
async def test_a_wrong_post_is_refused(client, arguments, error):
    assert (await error_of(client.chat_postMessage(**arguments)))["error"] == error


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([section("x" * 3001)], "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"),
        ([section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ([{"type": "section"}], "must define either `text` or `fields` [json-pointer:/blocks/0]"),
        (
            [{"type": "section", "fields": [plain(1)] * 11}],
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            [{"type": "section", "fields": [plain(2001)]}],
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
        ),
        (
            [{"type": "header", "text": plain(151)}],
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}],
            "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
        ),
        (
            [{"type": "context", "elements": [plain(1)] * 11}],
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            [actions(*(button(f"a{n}") for n in range(26)))],
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
        ),
        ([actions(button(), button())], '`action_id` "a" already exists for `block_id` ""'),
        ([{"type": "divider", "block_id": "b"}] * 2, '`block_id` "b" already exists [json-pointer:/blocks/1/block_id]'),
        ([{"type": "divider"}] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        ([{"type": "surprise"}], "unsupported type: surprise [json-pointer:/blocks/0/type]"),
        ([{"type": "divider", "colour": "red"}], "invalid additional property: colour [json-pointer:/blocks/0]"),
        (
            [actions({**button(), "text": plain(76)})],
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            [actions(button(value="v" * 2001))],
            "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
        ),
        (
            [actions(button("i" * 256))],
            "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
        ),
        ([actions(button(style="loud"))], "must be one of the following values: primary, danger"),
        ([actions(button(confirm=confirm(title=101)))], "must be less than 101 characters"),
        ([actions(button(confirm=confirm(text=301)))], "must be less than 301 characters"),
        ([actions(button(confirm=confirm(yes=31)))], "must be less than 31 characters"),
        (
            [{"type": "image", "image_url": "http://localhost/a.png", "alt_text": "a"}],
            "downloading image failed [json-pointer:/blocks/0/image_url]",
        ),
        (
            [{"type": "image", "image_url": "https://example.com/a.png"}],
            "missing required field: alt_text [json-pointer:/blocks/0]",
        ),
        (
            [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "mystery"}]}]}],
            "unsupported type: mystery",
        ),
        ([actions({"type": "static_select", "action_id": "s"})], "must define either `options` or `option_groups`"),
        ([actions({"type": "plain_text_input", "action_id": "s"})], "unsupported type: plain_text_input"),
    ],
)
async def test_invalid_blocks_are_refused_with_the_place(client, blocks, problem):
    refused = await error_of(client.chat_postMessage(channel="C0REL", text="x", blocks=blocks))
    assert refused["error"] == "invalid_blocks"
    assert any(problem in message for message in refused["response_metadata"]["messages"])
    assert all(message.startswith("[ERROR] ") for message in refused["response_metadata"]["messages"])


async def test_blocks_at_every_limit_are_accepted(slack, client):
    blocks = [
        {"type": "header", "text": plain(150)},
        section("x" * 3000, accessory=button(confirm=confirm(100, 300, 30), value="v" * 2000, style="danger")),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "c"}] * 10},
        actions(*(button(f"a{n}") for n in range(25))),
        {"type": "image", "slack_file": {"id": "F1"}, "alt_text": "chart"},
        *({"type": "divider"} for _ in range(45)),
    ]
    posted = await client.chat_postMessage(channel="C0REL", text="x", blocks=blocks)
    assert all(block["block_id"] for block in posted["message"]["blocks"])


async def test_ephemerals_go_to_members_only_and_cannot_be_updated(slack, client):
    sent = await client.chat_postEphemeral(channel="C0REL", user="U0ADA", text="psst")
    assert [message.text for message in slack.ephemerals("U0ADA")] == ["psst"]
    refused = await error_of(client.chat_update(channel="C0REL", ts=sent["message_ts"], text="louder"))
    assert refused["error"] == "message_not_found"
    refused = await error_of(client.chat_postEphemeral(channel="C0REL", user="U0EVE", text="psst"))
    assert refused["error"] == "user_not_in_channel"


async def test_only_own_messages_are_changed(slack, client):
    message = await slack.say("U0ADA", "C0REL", "mine")
    assert (await error_of(client.chat_update(channel="C0REL", ts=message.ts, text="x")))[
        "error"
    ] == "cant_update_message"
    assert (await error_of(client.chat_delete(channel="C0REL", ts=message.ts)))["error"] == "cant_delete_message"


async def test_people_channels_and_groups_are_looked_up(slack, client):
    slack.add_user("U0GUEST", "guest", is_ultra_restricted=True)
    assert (await client.users_info(user="U0GONE"))["user"]["deleted"]
    assert (await client.users_info(user="U0EVE"))["user"]["is_stranger"]
    guest = (await client.users_info(user="U0GUEST"))["user"]
    assert guest["is_restricted"]
    assert guest["is_ultra_restricted"]
    assert (await error_of(client.users_info(user="U0NONE")))["error"] == "user_not_found"
    assert (await client.conversations_info(channel="C0REL"))["channel"]["is_member"]
    names = [item["name"] for item in (await client.conversations_list())["channels"]]
    assert names == ["releases", "outside"]
    assert "U0ADA" in (await client.conversations_members(channel="C0REL"))["members"]
    assert (await client.usergroups_users_list(usergroup="S0OWNERS"))["users"] == ["U0GRACE"]
    assert (await client.usergroups_list(include_users=True))["usergroups"][0]["handle"] == "owners"
    assert (await error_of(client.usergroups_users_list(usergroup="S0NONE")))["error"] == "no_such_subteam"
    slack.workspace.is_paid = False
    assert (await error_of(client.usergroups_list()))["error"] == "plan_upgrade_required"


async def test_a_form_encoded_call_does_the_same(slack):
    blocks = json.dumps([section("*x*")])
    async with aiohttp.ClientSession() as session:
        form = {"channel": "C0REL", "text": "x", "blocks": blocks, "token": slack.bot_token}
        async with session.post(slack.api_url + "chat.postMessage", data=form) as answer:
            body = await answer.json()
    assert body["message"]["blocks"][0]["text"]["text"] == "*x*"
    assert "token" not in slack.calls("chat.postMessage")[0].args


async def test_the_rate_limit_is_per_channel_and_says_how_long_to_wait(slack, client):
    async def post_many() -> None:
        for number in range(10):
            await client.chat_postMessage(channel="C0REL", text=str(number))

    slack.rate_limits = True
    with pytest.raises(SlackApiError) as refusal:
        await post_many()
    response = refusal.value.response
    assert response.status_code == 429
    assert response.data["error"] == "ratelimited"
    assert int(response.headers["Retry-After"]) >= 1
    await client.chat_postMessage(channel="U0ADA", text="elsewhere")
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
    await client.chat_postMessage(channel="C0REL", text="after the wait")


async def test_injected_faults_look_like_slacks_own(slack, client):
    slack.faults.add(Fault(status=429, headers={"Retry-After": "7"}, path="/api/chat.update"))
    slack.faults.add(Fault(status=200, body={"ok": False, "error": "fatal_error"}, path="/api/chat.postMessage"))
    slack.faults.add(Fault(kind="after", path="/api/chat.postMessage"))
    with pytest.raises(SlackApiError) as refusal:
        await client.chat_update(channel="C0REL", ts="1", text="x")
    assert refusal.value.response.headers["Retry-After"] == "7"
    assert refusal.value.response.data == {"ok": False, "error": "ratelimited"}
    assert (await error_of(client.chat_postMessage(channel="C0REL", text="x")))["error"] == "fatal_error"
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel="C0REL", text="done, but who knows")
    assert [message.text for message in slack.messages("C0REL")] == ["done, but who knows"]
    assert [call.args.get("text") for call in slack.calls()] == ["x", "x", "done, but who knows"]
    assert slack.calls()[0].answer == {"ok": False, "error": "ratelimited"}


def modal(**more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": plain(5), "blocks": [section("x")], **more}


async def test_a_trigger_works_once_and_for_three_seconds(slack, client):
    trigger = slack.workspace.new_trigger("U0ADA")
    await client.views_open(trigger_id=trigger.id, view=modal())
    assert (await error_of(client.views_open(trigger_id=trigger.id, view=modal())))["error"] == "exchanged_trigger_id"
    old = slack.workspace.new_trigger("U0ADA")
    old.at -= 3.1
    assert (await error_of(client.views_open(trigger_id=old.id, view=modal())))["error"] == "expired_trigger_id"
    assert (await error_of(client.views_open(trigger_id="no", view=modal())))["error"] == "invalid_trigger_id"


@pytest.mark.parametrize(
    ("view", "pointer"),
    [
        (modal(title=plain(25)), "must be less than 25 characters [json-pointer:/view/title/text]"),
        (modal(submit=plain(25)), "must be less than 25 characters [json-pointer:/view/submit/text]"),
        (modal(private_metadata="x" * 3001), "must be less than 3001 characters [json-pointer:/view/private_metadata]"),
        (modal(blocks=[{"type": "divider"}] * 101), "no more than 100 items allowed [json-pointer:/view/blocks]"),
        ({"type": "modal", "blocks": []}, "missing required field: title [json-pointer:/view]"),
        (
            modal(blocks=[{"type": "input", "label": plain(1), "element": {"type": "plain_text_input"}}]),
            "must define `submit` to use an `input` block in modals [json-pointer:/view]",
        ),
    ],
)
async def test_a_wrong_modal_is_refused_and_leaves_the_trigger_unused(slack, client, view, pointer):
    trigger = slack.workspace.new_trigger("U0ADA")
    refused = await error_of(client.views_open(trigger_id=trigger.id, view=view))
    assert refused["error"] == "invalid_arguments"
    assert f"[ERROR] {pointer}" in refused["response_metadata"]["messages"]
    assert not trigger.is_used


async def test_modals_stack_three_high_and_updates_mind_the_hash(slack, client):
    first = await client.views_open(trigger_id=slack.workspace.new_trigger("U0ADA").id, view=modal())
    view_id = first["view"]["id"]
    for _ in range(2):
        trigger = slack.workspace.new_trigger("U0ADA", view_id)
        view_id = (await client.views_push(trigger_id=trigger.id, view=modal()))["view"]["id"]
    trigger = slack.workspace.new_trigger("U0ADA", view_id)
    assert (await error_of(client.views_push(trigger_id=trigger.id, view=modal())))["error"] == "push_limit_reached"
    stale = await error_of(client.views_update(view_id=view_id, view=modal(), hash="old"))
    assert stale["error"] == "hash_conflict"
    await client.views_update(view_id=view_id, view=modal(callback_id="new"))
    assert slack.views("U0ADA")[-1].content["callback_id"] == "new"
    assert (await error_of(client.views_update(view_id="V0", view=modal())))["error"] == "not_found"
    await client.views_publish(user_id="U0ADA", view={"type": "home", "blocks": [section("home")]})
    assert slack.workspace.homes["U0ADA"].content["type"] == "home"


async def test_a_response_url_works_five_times_and_half_an_hour(slack, client):
    url = slack.workspace.new_response_url("U0ADA", "C0REL")
    webhook = AsyncWebhookClient(url)
    for number in range(5):
        assert (await webhook.send(text=str(number))).status_code == 200
    sixth = await webhook.send(text="one too many")
    assert (sixth.status_code, json.loads(sixth.body)["error"]) == (404, "used_url")
    late = slack.workspace.new_response_url("U0ADA", "C0REL")
    slack.workspace.response_urls[late.rsplit("/", 1)[1]].at -= RESPONSE_URL_LIFE_S + 1
    expired = await AsyncWebhookClient(late).send(text="too late")
    assert (expired.status_code, json.loads(expired.body)["error"]) == (404, "expired_url")
    assert [message.text for message in slack.ephemerals("U0ADA")] == ["0", "1", "2", "3", "4"]


async def test_a_response_url_of_a_click_replaces_and_deletes_the_message(slack, client):
    posted = await client.chat_postMessage(channel="C0REL", text="old", blocks=[section("old")])
    webhook = AsyncWebhookClient(slack.workspace.new_response_url("U0ADA", "C0REL", message_ts=posted["ts"]))
    await webhook.send(text="new", replace_original=True)
    assert [(message.text, message.blocks) for message in slack.messages("C0REL")] == [("new", [])]
    await webhook.send(text="for all", response_type="in_channel")
    await webhook.send_dict({"delete_original": True})
    assert [message.text for message in slack.messages("C0REL")] == ["for all"]


async def test_a_file_is_uploaded_into_a_thread_by_the_sdks_own_three_steps(slack, client):
    parent = await client.chat_postMessage(channel="C0REL", text="parent")
    done = await client.files_upload_v2(
        channel="C0REL",
        thread_ts=parent["ts"],
        filename="chart.png",
        content=b"\x89PNG...",
        title="Errors",
        alt_txt="errors over time",
        initial_comment="the chart",
    )
    file_id = done["file"]["id"]
    reply = slack.messages("C0REL", parent["ts"])[0]
    assert (reply.text, reply.files[0]["id"], reply.files[0]["title"]) == ("the chart", file_id, "Errors")
    info = (await client.files_info(file=file_id))["file"]
    assert info["shares"]["public"]["C0REL"][0]["thread_ts"] == parent["ts"]
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {slack.bot_token}"}
        async with session.get(info["url_private"], headers=headers) as answer:
            assert await answer.read() == b"\x89PNG..."
    assert (await error_of(client.files_info(file="F0")))["error"] == "file_not_found"
    refused = await error_of(
        client.files_completeUploadExternal(files=[{"id": "F0", "title": "x"}], channel_id="C0REL")
    )
    assert refused["error"] == "file_not_found"


async def test_reactions_and_pins_happen_once(slack, client):
    posted = await client.chat_postMessage(channel="C0REL", text="x")
    await client.reactions_add(channel="C0REL", timestamp=posted["ts"], name="eyes")
    again = await error_of(client.reactions_add(channel="C0REL", timestamp=posted["ts"], name="eyes"))
    assert again["error"] == "already_reacted"
    await client.pins_add(channel="C0REL", timestamp=posted["ts"])
    assert (await error_of(client.pins_add(channel="C0REL", timestamp=posted["ts"])))["error"] == "already_pinned"
