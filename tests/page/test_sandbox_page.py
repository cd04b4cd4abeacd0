"""The sandbox as people see it in Chromium: the whole bot behind the local workspace's page."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.page.browser import act_as, approve, control, is_told, type_command
from tests.whole.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


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
    await approve(page, "Sam Sorel", "Deploy to staging")
    await approve(page, "Pia Paulsen", "Go or no-go")
    await expect(messages).to_contain_text("1 of 2")
    await approve(page, "Sam Sorel", "Go or no-go")
    await expect(messages).to_contain_text("v1.4.0-rc.2 is on staging")
    assert set(stage.staging_images().values()) == {"v1.4.0-rc.2"}


async def test_a_refusal_is_seen_by_the_caller_alone(stage: Stage, page: Page) -> None:
    await act_as(page, "Gus Gast")
    await type_command(page, "/forge deploy staging v1.4.0-rc.2")
    answer = page.locator(".message.ephemeral").last
    await expect(answer).to_contain_text("guest", ignore_case=True)
    await act_as(page, "Ada Adler")
    await expect(page.locator("#messages").get_by_text("guests")).to_have_count(0)


async def test_versions_and_dependencies_are_spoilt_from_the_panel(stage: Stage, page: Page) -> None:
    await expect(page.locator("#notice")).to_have_text("Sandbox: durations are shortened")
    await control(page, "version v1.4.0-rc.3").select_option("errors")
    await is_told(page, "v1.4.0-rc.3: a fifth of the answers are errors")
    assert "v1.4.0-rc.3" in stage.world.shop.spoils.by_name
    await control(page, "version v1.4.0-rc.3").select_option("good")
    await is_told(page, "v1.4.0-rc.3 is good")
    await control(page, "prometheus").select_option("down")
    await is_told(page, "Prometheus is down")
    assert stage.world.prometheus_state == "down"
    await control(page, "prometheus").select_option("up")
    await is_told(page, "Prometheus is up")
    await control(page, "ci v1.4.0-rc.1").select_option("red")
    await is_told(page, "CI of v1.4.0-rc.1 is red")
    await control(page, "ci v1.4.0-rc.1").select_option("green")
    await is_told(page, "CI of v1.4.0-rc.1 is green")
    await page.get_by_role("switch", name="Slack's rate limits").check()
    await is_told(page, "Slack's rate limits are on")
    assert stage.world.slack.rate_limits
    first = stage.world.releases.commits["v1.4.0-rc.4"]
    await page.get_by_role("button", name="Move the tag v1.4.0-rc.4").click()
    await is_told(page, "v1.4.0-rc.4 is now on commit")
    assert stage.world.releases.commits["v1.4.0-rc.4"] != first


async def test_a_killed_bot_is_told_and_started_again_from_the_page(stage: Stage, page: Page) -> None:
    await page.get_by_role("button", name="Kill the bot (SIGKILL)").click()
    await expect(page.locator("#notice")).to_contain_text("The bot has ended (killed by signal 9)")
    await expect(page.locator("#connection")).to_contain_text("offline")
    await page.get_by_role("button", name="Start the bot").click()
    await expect(page.locator("#connection")).to_contain_text("connected")
    await expect(page.locator("#notice")).to_have_text("Sandbox: durations are shortened")
