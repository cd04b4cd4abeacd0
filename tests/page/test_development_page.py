"""Development as people see it in Chromium: a merge sets it all off, the next candidate is proposed, signed, chosen from a list and deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from sandbox.world import Controls, short
from tests.kills.patience import patient
from tests.page.browser import act_as, control, is_told, modal, type_command
from tests.page.nurse import nursed
from tests.whole.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

LONG_S = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    tempo = short(observation="5s", guards_for="600s", validates=(), dev="required")
    async with Stage(tempo=patient(tempo), environments=("dev", "staging")) as stage, nursed(stage):
        controls = Controls(stage.world)
        controls.install()
        development = stage.world.development
        assert development is not None
        # What is there already is deployed by itself; whoever tidies up would abort that.
        await stage.until(lambda: development.validated == development.tip, "it is validated", within_s=LONG_S)
        await stage.until(lambda: stage.record.under_way() == [], "its run has ended", within_s=LONG_S)
        yield stage
        await controls.close()


async def test_a_merge_on_the_page_leads_to_a_candidate_in_staging(stage: Stage, page: Page) -> None:
    messages = page.locator("#messages")
    development = stage.world.development
    assert development is not None

    await act_as(page, "Ada Adler")
    await control(page, "merge success").click()
    await is_told(page, "#1 is merged")
    commit = development.tip
    await stage.until(lambda: development.validated == commit, "what was merged is validated", within_s=LONG_S)
    await expect(messages).to_contain_text(commit[:12])

    await type_command(page, "/forge status")
    await expect(page.locator(".message.ephemeral").last).to_contain_text(commit[:7])
    await type_command(page, "/forge plan staging")
    tag = f"git tag -s v1.6.0-rc.1 {commit}"
    await expect(page.locator(".message.ephemeral").last).to_contain_text(tag)

    await control(page, "tag candidate").click()
    await is_told(page, "v1.6.0-rc.1 is signed")
    dialog = await modal(page, "/forge deploy staging")
    await expect(dialog).to_contain_text("v1.6.0-rc.1")
    await dialog.locator("select").select_option(index=1)
    await dialog.get_by_role("button", name="Deploy").click()
    await expect(dialog).to_have_count(0)
    await stage.until(
        lambda: stage.asks("staging-1", "Deploy to staging"), "its approval is asked for", within_s=LONG_S
    )
    assert "v1.6.0-rc.1" in stage.headline("staging-1")
