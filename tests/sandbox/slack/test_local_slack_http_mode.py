"""HTTP mode: signed requests to a real Bolt app behind aiohttp; and the controls over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.app.async_app import AsyncApp


@pytest.fixture
async def signed_app(slack, client) -> AsyncIterator[AsyncApp]:
    """A Bolt app that verifies signatures, served on a free port and set as the request URL."""
    app = AsyncApp(client=client, signing_secret=slack.signing_secret)
    server = app.web_app("/slack/events")
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.courier.request_url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    yield app
    await runner.cleanup()


async def test_payloads_are_signed_so_that_bolt_accepts_them(slack, client, signed_app):
    @signed_app.command("/forge")
    async def forge(ack, command):
        await ack(f"said {command['text']}")

    @signed_app.action("go")
    async def go(ack, respond):
        await ack()
        await respond("gone")

    result = await slack.command("U0ADA", "status", channel_id="C0REL")
    assert (result.outcome, result.shown) == ("acknowledged", ["said status"])
    element = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    posted = await client.chat_postMessage(
        channel="C0REL", text="go?", blocks=[{"type": "actions", "elements": [element]}]
    )
    assert (await slack.click("U0ADA", "C0REL", posted["ts"], "go")).outcome == "acknowledged"
    await slack.until(lambda: any(message.text == "gone" for message in slack.ephemerals("U0ADA")))


async def test_the_request_url_answers_the_challenge(slack, signed_app):
    assert await slack.courier.verify_request_url()
    slack.courier.http.signing_secret = "not this"
    assert not await slack.courier.verify_request_url()


@pytest.mark.parametrize("wrong", ["secret", "old", "future"])
async def test_a_wrong_signature_or_an_old_timestamp_is_refused_by_bolt(slack, signed_app, wrong):
    @signed_app.command("/forge")
    async def forge(ack):
        await ack()

    if wrong == "secret":
        slack.courier.http.signing_secret = "not this"
    else:
        slack.courier.http.clock_skew_s = -301 if wrong == "old" else 310
    result = await slack.command("U0ADA", "status", channel_id="C0REL")
    assert result.outcome == "http_error"


async def test_a_request_url_where_nobody_listens_is_a_failed_dispatch(slack):
    slack.courier.request_url = "http://127.0.0.1:9/slack/events"
    assert (await slack.command("U0ADA", "x", channel_id="C0REL")).outcome == "dispatch_failed"


async def call(slack: Any, path: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession(headers=headers) as session:
        method = "GET" if body is None else "POST"
        async with session.request(method, f"{slack.url}/_control/{path}", json=body) as answer:
            return answer.status, await answer.json()


async def test_another_process_can_do_everything_by_the_controls(slack, signed_app):
    @signed_app.command("/forge")
    async def forge(ack):
        await ack("hello")

    await call(slack, "users", {"id": "U0NEW", "name": "new", "title": "Product"})
    await call(slack, "channels", {"id": "C0NEW", "name": "new", "members": ["U0NEW"]})
    status, answer = await call(slack, "command", {"user": "U0NEW", "channel": "C0NEW", "text": "status"})
    assert (status, answer["outcome"], answer["shown"]) == (200, "acknowledged", ["hello"])
    assert (await call(slack, "redeliver", {}))[1]["outcome"] == "acknowledged"
    assert (await call(slack, "ephemerals?user=U0NEW"))[1][0]["text"] == "hello"
    await call(slack, "message", {"user": "U0NEW", "channel": "C0NEW", "text": "hi @new"})
    assert (await call(slack, "messages?channel=C0NEW"))[1][0]["text"] == "hi <@U0NEW|new>"
    await call(slack, "settings", {"scopes": ["chat:write"], "rate_limits": True, "is_paid": False})
    assert (slack.scopes, slack.rate_limits) == ({"chat:write"}, True)
    await call(slack, "sockets", {"do": "down", "mode": "503"})
    assert (await call(slack, "state"))[1]["connection"]["state"] == "down"
    await call(slack, "sockets", {"do": "up"})
    await call(slack, "faults", {"kind": "status", "status": 500, "path": "/api/"})
    assert len(slack.faults.pending) == 1


async def test_the_controls_say_what_is_wrong_and_refuse_other_pages(slack):
    assert (await call(slack, "click", {"user": "U0ADA", "channel": "C0REL", "ts": "1.0", "action_id": "x"}))[0] == 400
    assert (await call(slack, "command", {"text": "x"})) == (400, {"error": "missing or unknown: user"})
    assert (await call(slack, "sockets", {"do": "dance"}))[0] == 400
    assert (await call(slack, "sockets", {"do": "up"}, Origin="https://evil.example"))[0] == 403


async def test_the_panel_tells_the_world_what_was_used(slack):
    used: list[tuple[str, Any]] = []

    async def on_use(control_id: str, value: Any) -> str:
        used.append((control_id, value))
        return "Spoilt."

    slack.set_panel(
        [{"title": "Shop", "controls": [{"id": "errors", "label": "Errors", "kind": "toggle", "value": False}]}]
    )
    slack.on_panel(on_use)
    assert await call(slack, "panel/errors", {"value": True}) == (200, {"note": "Spoilt."})
    assert used == [("errors", True)]
    assert (await call(slack, "panel"))[1][0]["controls"][0]["value"] is True
    assert (await call(slack, "panel/none", {}))[0] == 400
