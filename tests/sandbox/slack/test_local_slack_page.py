"""The page in Chromium, with a real Bolt app behind the workspace."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OpenPage = Callable[..., Awaitable[Page]]
HINTS = [
    {
        "name": "deploy",
        "usage": "<env> [version]",
        "help": "Deploy a version",
        "words": [["dev", "staging"], ["v1.4.0-rc.2"]],
    },
    {"name": "status", "usage": "[run]", "help": "What runs now"},
]


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


APPROVAL = [
    {"type": "header", "text": plain("stg-1 waits")},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*shop* `v1.4.0-rc.2` for <@U0ADA> :white_check_mark:"}},
    {
        "type": "actions",
        "block_id": "decide",
        "elements": [
            {
                "type": "button",
                "action_id": "approve",
                "style": "primary",
                "value": "id-1",
                "text": plain("Approve"),
                "confirm": {
                    "title": plain("Approve stg-1?"),
                    "text": plain("It goes to staging."),
                    "confirm": plain("Yes, approve"),
                    "deny": plain("Not yet"),
                },
            }
        ],
    },
]
REASON = {
    "type": "modal",
    "callback_id": "reason",
    "title": plain("Why?"),
    "submit": plain("Send"),
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "text", "multiline": True},
        },
        {
            "type": "input",
            "block_id": "where",
            "label": plain("Where"),
            "element": {
                "type": "static_select",
                "action_id": "env",
                "options": [{"text": plain("Staging"), "value": "staging"}],
            },
        },
        {
            "type": "input",
            "block_id": "also",
            "optional": True,
            "label": plain("Also"),
            "element": {
                "type": "checkboxes",
                "action_id": "tell",
                "options": [{"text": plain("Tell on-call"), "value": "on-call"}],
            },
        },
        {
            "type": "input",
            "block_id": "day",
            "optional": True,
            "label": plain("Day"),
            "element": {"type": "datepicker", "action_id": "date"},
        },
    ],
}


@pytest.fixture
async def open_page(slack) -> AsyncIterator[OpenPage]:
    """Opens the page; an error in its console or scripts fails the test."""
    problems: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

        async def open_page(path: str = "/", width: int = 1280, height: int = 800) -> Page:
            page = await browser.new_page(viewport={"width": width, "height": height})
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
            await page.goto(slack.url + path)
            await expect(page.locator("#team-name")).to_have_text("Acme")
            return page

        yield open_page
        await browser.close()
    assert problems == []


async def test_a_command_is_typed_with_hints_and_answered_to_the_caller_alone(slack, app, connect, open_page):
    @app.command("/forge")
    async def forge(ack, command):
        await ack(f"There is no environment `{command['text'].split()[1]}`. Did you mean `prod`?")

    slack.set_hints(HINTS)
    await connect(2)
    page = await open_page()
    await expect(page.locator("#connection")).to_have_text("forge connected · 2 sockets")
    box = page.locator("#composer-input")
    await box.press_sequentially("/")
    await expect(page.get_by_role("option")).to_have_count(3)
    await box.press_sequentially("forge dep")
    await expect(page.get_by_role("option")).to_have_text(["/forge deploy <env> [version]Deploy a version"])
    await box.press("Tab")
    await expect(box).to_have_value("/forge deploy ")
    await expect(page.locator(".usage .now")).to_have_text("<env> ")
    await expect(page.get_by_role("option")).to_have_text(["dev", "staging"])
    await box.press_sequentially("productoin ")
    await expect(page.locator(".usage .now")).to_have_text("[version] ")
    await box.press("Enter")
    answer = page.locator(".message.ephemeral")
    await expect(answer).to_contain_text("Only visible to you")
    await expect(answer.locator("code").first).to_have_text("productoin")
    await page.get_by_role("radio", name="Grace Hopper").click()
    await expect(answer).to_have_count(0)
    await page.get_by_role("radio", name="Ada Lovelace").click()
    await answer.get_by_role("button", name="Dismiss").click()
    await expect(answer).to_have_count(0)


async def test_another_user_approves_after_a_confirm_dialog_and_gives_a_reason_in_a_modal(
    slack, app, connect, client, open_page
):
    reasons: list[tuple[str, Any]] = []

    @app.action("approve")
    async def approve(ack, body, client):
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=REASON)

    @app.view("reason")
    async def reason(ack, body, client):
        await ack()
        reasons.append((body["user"]["id"], body["view"]["state"]["values"]))
        history = await client.conversations_history(channel="C0REL")
        await client.chat_update(channel="C0REL", ts=history["messages"][-1]["ts"], text="stg-1: *approved*")

    await connect()
    await client.chat_postMessage(channel="C0REL", text="stg-1 waits", blocks=APPROVAL)
    page = await open_page()
    await page.get_by_role("radio", name="Grace Hopper").click()
    approve_button = page.get_by_role("button", name="Approve", exact=True)
    await approve_button.click()
    await page.get_by_role("button", name="Not yet").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert slack.courier.sent == []
    await approve_button.click()
    await page.get_by_role("button", name="Yes, approve").click()
    modal = page.get_by_role("dialog", name="Why?")
    await modal.get_by_role("button", name="Send").click()
    await expect(modal.get_by_text("Please complete this required field.")).to_have_count(2)
    await modal.get_by_label("Reason").fill("Product asked for it")
    await modal.get_by_label("Where").select_option("staging")
    await modal.get_by_label("Tell on-call").check()
    await modal.get_by_label("Day").fill("2026-11-23")
    await modal.get_by_role("button", name="Send").click()
    await expect(modal).to_have_count(0)
    await expect(page.locator(".message").last).to_contain_text("stg-1: approved (edited)")
    await expect(approve_button).to_have_count(0)
    user, values = reasons[0]
    assert user == "U0GRACE"
    assert values["why"]["text"]["value"] == "Product asked for it"
    assert values["where"]["env"]["selected_option"]["value"] == "staging"
    assert [option["value"] for option in values["also"]["tell"]["selected_options"]] == ["on-call"]
    assert values["day"]["date"]["selected_date"] == "2026-11-23"


async def test_a_thread_opens_beside_the_channel_with_its_pictures_and_takes_replies_but_no_commands(
    slack, client, open_page
):
    parent = await client.chat_postMessage(channel="C0REL", text="the headline")
    await client.chat_postMessage(channel="C0REL", text="needs you", thread_ts=parent["ts"], reply_broadcast=True)
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
        "0000000049454e44ae426082"
    )
    await client.files_upload_v2(
        channel="C0REL", thread_ts=parent["ts"], filename="chart.png", content=pixel, alt_txt="error rate"
    )
    page = await open_page()
    await expect(page.locator("#messages .mark")).to_have_text("Replied to a thread: the headline")
    await page.get_by_role("button", name="2 replies").click()
    thread = page.get_by_role("list", name="Thread")
    await expect(thread.locator(".message")).to_have_count(3)
    picture = thread.get_by_alt_text("error rate")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
    reply = page.locator("#reply-input")
    await reply.fill("/forge status")
    await reply.press("Enter")
    await expect(page.locator(".toast")).to_contain_text("don't work in threads")
    await reply.fill("on it, @grace")
    await reply.press("Enter")
    await expect(thread.locator(".message").last).to_contain_text("on it, @grace")
    await expect(page.get_by_role("button", name="3 replies")).to_be_visible()
    assert slack.messages("C0REL", parent["ts"])[-1].text == "on it, <@U0GRACE|grace>"
    await page.keyboard.press("Escape")
    await expect(thread).to_have_count(0)


async def test_a_command_that_nobody_answers_says_so(slack, open_page):
    page = await open_page()
    await expect(page.locator("#connection")).to_have_text("forge offline")
    await page.locator("#composer-input").fill("/forge status")
    await page.locator("#composer-input").press("Enter")
    await expect(page.locator(".message.ephemeral")).to_contain_text('/forge failed with the error "dispatch_failed"')
    await expect(page.locator(".toast")).to_contain_text("forge is not connected")


async def test_nothing_that_people_wrote_is_taken_for_markup(slack, client, open_page):
    evil = "<img src=x onerror=alert(1)>"
    slack.add_user("U0EVIL", "evil", real_name=evil, title=evil)
    await slack.say("U0EVIL", "C0REL", evil)
    await client.chat_postMessage(
        channel="C0REL",
        text="x",
        blocks=[
            {
                "type": "section",
                "text": {"type": "mrkdwn", "text": "<javascript:alert(1)|click> &lt;b&gt;bold&lt;/b&gt;"},
            },
            {"type": "section", "text": plain(evil)},
        ],
    )
    page = await open_page()
    await expect(page.locator(".message").first).to_contain_text(evil)
    await expect(page.locator(".message").last).to_contain_text("<b>bold</b>")
    assert await page.locator("#messages img").count() == 0
    assert await page.locator("a[href^=javascript]").count() == 0


async def test_unread_channels_and_permalinks(slack, client, open_page):
    slack.add_channel("C0GEN", "general", ["U0ADA"])
    for number in range(40):
        last = await client.chat_postMessage(channel="C0GEN", text=f"message {number}")
    sought = slack.messages("C0GEN")[3]
    page = await open_page()
    general = page.get_by_role("button", name=re.compile("general"))
    await expect(general.locator(".count")).to_have_count(0)
    await client.chat_postMessage(channel="C0GEN", text="news")
    await expect(general.locator(".count")).to_have_text("1")
    await general.click()
    await expect(general.locator(".count")).to_have_count(0)
    await expect(page.locator(".message").last).to_be_in_viewport()
    link = await client.chat_getPermalink(channel="C0GEN", message_ts=sought.ts)
    page = await open_page(link["permalink"].removeprefix(slack.url))
    await expect(page.locator(f'[data-ts="{sought.ts}"]')).to_be_in_viewport()
    await expect(page.locator(f'[data-ts="{last["ts"]}"]')).not_to_be_in_viewport()


async def test_the_worlds_controls_and_notice_are_shown_and_used(slack, open_page):
    used: list[tuple[str, Any]] = []

    def on_use(control_id: str, value: Any) -> str:
        used.append((control_id, value))
        return f"{control_id} done"

    slack.on_panel(on_use)
    slack.set_notice("Durations are shortened")
    controls = [
        {"id": "errors", "label": "Errors", "kind": "toggle", "value": False},
        {"id": "version", "label": "Version", "kind": "select", "value": "a", "options": ["a", "b"]},
        {"id": "crash", "label": "Crash", "kind": "button", "danger": True},
    ]
    slack.set_panel([{"title": "Shop", "help": "Spoil it", "controls": controls}])
    page = await open_page()
    await expect(page.get_by_text("Durations are shortened")).to_be_visible()
    await page.get_by_role("switch", name="Errors").check()
    await page.get_by_label("Version").select_option("b")
    await page.get_by_role("button", name="Crash").click()
    await expect(page.locator(".toast").last).to_have_text("crash done")
    assert used == [("errors", True), ("version", "b"), ("crash", None)]
    slack.set_notice("")
    await expect(page.locator("#notice")).to_be_hidden()


async def test_a_phone_shows_one_column_and_the_rest_on_demand(slack, client, open_page):
    await client.chat_postMessage(channel="C0REL", text="stg-1 waits", blocks=APPROVAL)
    page = await open_page(width=390, height=844)
    await expect(page.get_by_role("button", name="Approve")).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    grace = page.get_by_role("radio", name="Grace Hopper")
    await expect(grace).to_be_hidden()
    await page.get_by_role("button", name="Channels and people").click()
    await grace.click()
    await page.keyboard.press("Escape")
    await expect(grace).to_be_hidden()
    await expect(page.locator("#you")).to_have_text("You are Grace Hopper (Service Owner)")


async def test_the_page_recovers_what_it_missed_while_the_stream_was_broken(slack, client, open_page):
    page = await open_page()
    await page.context.set_offline(True)
    await page.context.set_offline(False)
    await client.chat_postMessage(channel="C0REL", text="meanwhile")
    await expect(page.locator(".message").last).to_contain_text("meanwhile")
