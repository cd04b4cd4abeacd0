"""Production as people see it in Chromium: promoted, approved, spoilt at 25 %, asked about, rolled back by a click, and told as an incident."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from sandbox.world import Controls, short
from tests.kills.patience import patient
from tests.page.browser import act_as, approve, control, is_told, type_command
from tests.whole.releasing import FINAL, prove, rolled_back
from tests.whole.spoiling import answers, ready_to_observe
from tests.whole.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

RUN = "prod-1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    """The error rate's alert asks on-call; nothing else has an opinion before the release is long over. It begins with a quarter."""
    quick = short(
        observation="5s", guards_for="3s", validates=(), database=False, phase="900s", phase_max="900s",
        triggers={"critical_alerts": "prompt", "core_for": "900s", "minimum_requests": 1_000_000}, weights=(25, 100),
    )  # fmt: skip
    tempo = patient(quick, prod={"mitigate": "900s", "remind_every": "900s"})
    errors = [each for each in quick.policy["critical"] if each["metric"] == "error_ratio"]
    async with Stage(tempo=replace(tempo, policy={**tempo.policy, "critical": errors})) as stage:
        controls = Controls(stage.world)
        controls.install()
        await prove(stage)
        yield stage
        await controls.close()


async def test_a_canary_spoilt_from_the_panel_is_asked_about_and_rolled_back_by_a_click(
    stage: Stage, page: Page
) -> None:
    messages = page.locator("#messages")
    await act_as(page, "Ada Adler")
    await type_command(page, f"/forge promote {FINAL} prod")
    await approve(page, "Sam Sorel", "Ship to production")
    await expect(messages).to_contain_text("1 of 2")
    await approve(page, "Pia Paulsen", "Ship to production")
    await ready_to_observe(stage, RUN)
    await control(page, f"prod {FINAL}").select_option("errors")
    await is_told(page, "a fifth of the answers are errors")

    card = _card(messages, "roll back?")
    await expect(card.get_by_text("What a rollback would do")).to_be_visible()
    await expect(card).to_contain_text("error rate of the canary was above 3 %")
    assert answers(stage, bad=True) > 0
    await page.locator("#messages .replies").last.click()
    picture = page.locator("#dock img.picture").last
    await expect(picture).to_have_attribute("alt", re.compile("error"))

    await act_as(page, "Olly Olsen")
    await card.get_by_role("button", name="Give me").click()
    await expect(card).to_contain_text("more time was taken once")
    await card.get_by_role("button", name="Roll back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await rolled_back(stage, RUN)
    incident = _card(messages, "incident-1")
    await expect(incident).to_contain_text("rolled back")
    await expect(_card(messages, "roll back?")).to_have_count(0)


def _card(messages: Locator, text: str) -> Locator:
    return messages.locator(".message", has_text=text).last
