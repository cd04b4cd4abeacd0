"""A real Bolt app on Socket Mode against the local workspace."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError

BUTTON = [
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "value": "id-1",
                "text": {"type": "plain_text", "text": "Approve"},
            },
            {
                "type": "static_select",
                "action_id": "choose",
                "options": [{"text": {"type": "plain_text", "text": "Keep"}, "value": "keep"}],
            },
        ],
    }
]
MODAL = {
    "type": "modal",
    "callback_id": "reason",
    "private_metadata": "run-1",
    "notify_on_close": True,
    "title": {"type": "plain_text", "text": "Reason"},
    "submit": {"type": "plain_text", "text": "Go"},
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": {"type": "plain_text", "text": "Why?"},
            "element": {"type": "plain_text_input", "action_id": "text", "min_length": 3},
        }
    ],
}


async def test_a_command_reaches_the_app_as_slack_would_send_it_and_its_ack_is_shown_to_the_caller_alone(
    slack, app, connect
):
    seen: list[dict[str, Any]] = []

    @app.command("/forge")
    async def forge(ack, command):
        seen.append(command)
        await ack(text=f"You said {command['text']}")

    await connect()
    result = await slack.command("U0ADA", "ask @grace in #releases & <b> https://x.dev/a?b=1", channel_id="C0REL")
    sent = "ask <@U0GRACE|grace> in <#C0REL|releases> &amp; &lt;b&gt; <https://x.dev/a?b=1>"
    assert seen[0]["text"] == sent
    assert seen[0]["team_id"] == "T0FORGE"
    assert seen[0]["is_enterprise_install"] == "false"
    assert result.outcome == "acknowledged"
    assert result.shown == [f"You said {sent}"]
    assert [message.text for message in slack.ephemerals("U0ADA")] == result.shown
    assert slack.ephemerals("U0GRACE") == []
    assert slack.messages("C0REL") == []


async def test_an_in_channel_ack_shows_the_command_and_the_answer_to_all(slack, app, connect):
    @app.command("/forge")
    async def forge(ack):
        await ack(text="for all", response_type="in_channel")

    await connect()
    await slack.command("U0ADA", "status", channel_id="C0REL")
    assert [message.text for message in slack.messages("C0REL")] == ["/forge status", "for all"]


async def test_a_click_carries_message_container_and_state_and_opens_a_modal_whose_submission_comes_back(
    slack, app, connect, client
):
    clicks: list[dict[str, Any]] = []
    submitted: list[dict[str, Any]] = []

    @app.action("approve")
    async def approve(ack, body, client):
        await ack()
        clicks.append(body)
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view("reason")
    async def reason(ack, body):
        value = body["view"]["state"]["values"]["why"]["text"]["value"]
        if value == "bad reason":
            await ack(response_action="errors", errors={"why": "no"})
        else:
            await ack()
            submitted.append(body)

    await connect()
    posted = await client.chat_postMessage(channel="C0REL", text="approve?", blocks=BUTTON)
    click = await slack.click("U0GRACE", "C0REL", posted["ts"], "approve")
    assert click.outcome == "acknowledged"
    body = clicks[0]
    assert body["user"] == {"id": "U0GRACE", "username": "grace", "name": "grace", "team_id": "T0FORGE"}
    assert body["container"] == {
        "type": "message",
        "message_ts": posted["ts"],
        "channel_id": "C0REL",
        "is_ephemeral": False,
    }
    assert body["message"]["text"] == "approve?"
    assert body["actions"][0]["value"] == "id-1"
    assert body["actions"][0]["block_id"] == "decide"
    view = (await slack.until(lambda: slack.views("U0GRACE")))[-1]
    assert view.content["private_metadata"] == "run-1"

    assert (await slack.submit_view("U0GRACE", view.id, {})).errors == {"why": "Please complete this required field."}
    assert (await slack.submit_view("U0GRACE", view.id, {"why": "no"})).errors == {
        "why": "Must be at least 3 characters"
    }
    assert (await slack.submit_view("U0GRACE", view.id, {"why": "bad reason"})).errors == {"why": "no"}
    result = await slack.submit_view("U0GRACE", view.id, {"why": {"text": "because"}})
    assert not result.is_open
    assert result.errors == {}
    assert submitted[0]["view"]["id"] == view.id
    assert slack.views("U0GRACE") == []


async def test_a_closed_modal_is_told_to_the_app_that_asked_for_it(slack, app, connect, client):
    closed: list[str] = []

    @app.command("/forge")
    async def forge(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @app.view_closed("reason")
    async def on_close(ack, body):
        await ack()
        closed.append(body["view"]["callback_id"])

    await connect()
    await slack.command("U0ADA", "", channel_id="C0REL")
    view = (await slack.until(lambda: slack.views("U0ADA")))[0]
    delivery = await slack.close_view("U0ADA", view.id)
    assert delivery is not None
    assert delivery.acked
    assert closed == ["reason"]


async def test_strangers_guests_and_stale_clients_can_click(slack, app, connect, client):
    users: list[tuple[str, str]] = []

    @app.action("approve")
    async def approve(ack, body):
        await ack()
        users.append((body["user"]["team_id"], body["actions"][0]["value"]))

    await connect()
    posted = await client.chat_postMessage(channel="C0REL", text="approve?", blocks=BUTTON)
    await slack.click("U0EVE", "C0REL", posted["ts"], "approve")
    await slack.click("U0GONE", "C0REL", posted["ts"], "approve", value="forged")
    assert users == [("T0OTHER", "id-1"), ("T0FORGE", "forged")]
    with pytest.raises(LookupError):
        await slack.click("U0ADA", "C0REL", posted["ts"], "no-such-button")


async def test_a_choice_in_a_menu_comes_with_its_option(slack, app, connect, client):
    chosen: list[dict[str, Any]] = []

    @app.action("choose")
    async def choose(ack, action):
        await ack()
        chosen.append(action)

    await connect()
    posted = await client.chat_postMessage(channel="C0REL", text="choose", blocks=BUTTON)
    await slack.click("U0ADA", "C0REL", posted["ts"], "choose", value="keep")
    assert chosen[0]["selected_option"] == {"text": {"type": "plain_text", "text": "Keep"}, "value": "keep"}


async def test_a_command_nobody_acknowledges_shows_the_time_out_after_three_seconds(slack, app, connect):
    @app.command("/forge")
    async def forge(ack):
        return None

    await connect()
    result = await slack.command("U0ADA", "deploy", channel_id="C0REL")
    assert result.timed_out
    assert result.shown == ['/forge failed with the error "operation_timeout"']


async def test_a_command_without_a_connected_app_fails_at_once(slack):
    result = await slack.command("U0ADA", "deploy", channel_id="C0REL")
    assert result.outcome == "dispatch_failed"
    assert slack.ephemerals("U0ADA")[0].text == '/forge failed with the error "dispatch_failed"'


async def test_a_redelivery_has_a_new_envelope_and_the_same_trigger(slack, app, connect):
    triggers: list[str] = []

    @app.command("/forge")
    async def forge(ack, body):
        triggers.append(body["trigger_id"])
        await ack()

    await connect()
    first = await slack.command("U0ADA", "deploy", channel_id="C0REL")
    again = await slack.redeliver()
    third = await slack.redeliver(first.delivery.envelope_id)
    assert triggers == [first.trigger_id] * 3
    assert len({first.delivery.envelope_id, again.envelope_id, third.envelope_id}) == 3


async def test_of_two_connections_each_payload_goes_to_one_and_both_get_some(slack, app, connect):
    seen: list[str] = []

    @app.command("/forge")
    async def forge(ack, command):
        seen.append(command["text"])
        await ack()

    await connect(2)
    results = await asyncio.gather(*(slack.command("U0ADA", str(n), channel_id="C0REL") for n in range(10)))
    assert sorted(seen, key=int) == [str(n) for n in range(10)]
    assert len({result.delivery.connection for result in results}) == 2


async def test_a_deaf_socket_stays_connected_and_hears_nothing(slack, app, connect):
    heard: list[str] = []

    @app.command("/forge")
    async def forge(ack, command):
        heard.append(command["text"])
        await ack()

    [handler] = await connect()
    slack.deafen()
    result = await slack.command("U0ADA", "deploy", channel_id="C0REL")
    assert result.timed_out
    assert heard == []
    assert await handler.client.is_connected()
    assert slack.connection_state() == "deaf"
    slack.undeafen()
    assert (await slack.command("U0ADA", "deploy", channel_id="C0REL")).outcome == "acknowledged"


async def test_a_frozen_socket_is_given_up_by_the_client(slack, app, connect):
    await connect(1, ping_interval=0.2)
    first = slack.sockets.connections[0].id
    slack.deafen("frozen")
    await slack.until(lambda: all(item.id != first for item in slack.sockets.connections))


@pytest.mark.parametrize("reason", ["refresh_requested", "link_disabled"])
async def test_a_disconnect_makes_the_client_come_back_by_a_new_socket(slack, app, connect, reason):
    await connect(2, ping_interval=0.2)
    before = {item.id for item in slack.sockets.connections}
    await slack.disconnect_sockets(reason)
    await slack.until(
        lambda: len(slack.sockets.connections) == 2 and not before & {item.id for item in slack.sockets.connections}
    )


async def test_while_slack_is_down_calls_fail_and_sockets_break_and_afterwards_all_is_well(slack, app, connect, client):
    @app.command("/forge")
    async def forge(ack):
        await ack()

    await connect(1, ping_interval=0.2)
    slack.go_down()
    await slack.until(lambda: not slack.sockets.connections)
    with pytest.raises(aiohttp.ClientError):
        await client.api_test()
    slack.go_down("503")
    with pytest.raises(SlackApiError) as refusal:
        await client.auth_test()
    assert refusal.value.response.status_code == 503
    slack.come_back()
    await slack.until(lambda: len(slack.sockets.connections) == 1)
    assert (await slack.command("U0ADA", "x", channel_id="C0REL")).outcome == "acknowledged"


async def test_an_event_that_nobody_acknowledges_is_sent_again_with_the_same_event_id(slack, app, connect):
    slack.courier.event_retry_delays_s = (0.0,)
    seen: list[tuple[str, str]] = []

    @app.middleware
    async def swallow_the_first(body, next):
        seen.append((body["event_id"], body["event"]["type"]))
        if len(seen) > 1:
            await next()

    @app.event("app_mention")
    async def mention():
        return None

    await connect()
    slack.people.subscribed_events = {"app_mention"}
    await slack.say("U0ADA", "C0REL", "hello @forge")
    assert len(seen) == 2
    assert seen[0] == seen[1]


async def test_more_than_ten_connections_are_turned_away(slack, app, connect, client):

    async with aiohttp.ClientSession() as session:
        sockets = []
        for _ in range(10):
            opened = await client.apps_connections_open(app_token=slack.app_token)
            sockets.append(await session.ws_connect(opened["url"]))
            assert (await sockets[-1].receive_json())["type"] == "hello"
        opened = await client.apps_connections_open(app_token=slack.app_token)
        late = await session.ws_connect(opened["url"])
        assert (await late.receive_json())["reason"] == "too_many_websockets"
        assert len(slack.sockets.connections) == 10
