"""The sandbox as people see it in Chromium: the whole bot behind the local workspace's page."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.page.browser import APPROVE, act_as, approve, control, type_command
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG_MS = 60_000


async def test_a_command_is_typed_two_others_approve_and_the_go_is_seen(stage: Stage, page: Page) -> None:
    await act_as(page, "Ada Adler")
    box = page.locator("#composer-input")
    suggestions = page.get_by_role("listbox", name="Commands").get_by_role("option")
    await box.press_sequentially("/forge dep")
    await expect(suggestions.first).to_contain_text("/forge deploy")
    await box.press("Tab")
    await expect(suggestions).to_have_text(["staging", "prod"])
    await box.press_sequentially("staging v1.4.0-rc.2")
    await box.press("Enter")
    messages = page.locator("#messages")
    await expect(page.locator(APPROVE)).to_be_visible(timeout=LONG_MS)
    await approve(page, "Sam Sorel")
    run = stage.actors.runs()[-1]
    await stage.until(lambda: stage.asks(run, "Go or no-go"), "the go is asked for", within_s=60)
    await approve(page, "Pia Paulsen")
    await expect(messages).to_contain_text("1 of 2", timeout=LONG_MS)
    await approve(page, "Sam Sorel")
    await expect(messages).to_contain_text("v1.4.0-rc.2 is on staging", timeout=LONG_MS)
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.2"}


async def test_a_refusal_is_seen_by_the_caller_alone(stage: Stage, page: Page) -> None:
    await act_as(page, "Gus Gast")
    await type_command(page, "/forge deploy staging v1.4.0-rc.2")
    answer = page.locator(".message.ephemeral").last
    await expect(answer).to_contain_text("guest", ignore_case=True, timeout=LONG_MS)
    await act_as(page, "Ada Adler")
    await expect(page.locator("#messages").get_by_text("guests")).to_have_count(0)


async def test_versions_and_dependencies_are_spoilt_from_the_panel(stage: Stage, page: Page) -> None:
    await expect(page.locator("#notice")).to_have_text("Sandbox: durations are shortened")
    await control(page, "version v1.4.0-rc.3").select_option("errors")
    await expect(page.locator(".toast").last).to_contain_text("v1.4.0-rc.3: a fifth of the answers are errors")
    assert "v1.4.0-rc.3" in stage.world.shop.spoils.by_name
    await control(page, "version v1.4.0-rc.3").select_option("good")
    await control(page, "prometheus").select_option("down")
    await expect(page.locator(".toast").last).to_contain_text("Prometheus is down")
    assert stage.world.prometheus_state == "down"
    await control(page, "prometheus").select_option("up")
    await control(page, "ci v1.4.0-rc.1").select_option("red")
    await expect(page.locator(".toast").last).to_contain_text("CI of v1.4.0-rc.1 is red")
    await control(page, "ci v1.4.0-rc.1").select_option("green")
    await page.get_by_role("switch", name="Slack's rate limits").check()
    await expect(page.locator(".toast").last).to_contain_text("on")
    assert stage.world.slack.rate_limits
    first = stage.world.releases.commits["v1.4.0-rc.4"]
    await page.get_by_role("button", name="Move the tag v1.4.0-rc.4").click()
    await expect(page.locator(".toast").last).to_contain_text("is now on commit")
    assert stage.world.releases.commits["v1.4.0-rc.4"] != first


async def test_a_killed_bot_is_told_and_started_again_from_the_page(stage: Stage, page: Page) -> None:
    await page.get_by_role("button", name="Kill the bot (SIGKILL)").click()
    await expect(page.locator("#notice")).to_contain_text("The bot has ended (killed by signal 9)")
    await expect(page.locator("#connection")).to_contain_text("offline")
    await page.get_by_role("button", name="Start the bot").click()
    await expect(page.locator("#connection")).to_contain_text("connected", timeout=LONG_MS)
    await expect(page.locator("#notice")).to_have_text("Sandbox: durations are shortened")
