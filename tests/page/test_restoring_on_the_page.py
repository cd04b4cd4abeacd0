"""Backups as people see them in Chromium: one is made, the orders are dropped, a moment before is restored, signed off, and they are back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from sandbox.serving import until
from sandbox.world import Controls, short
from tests.kills.patience import patient
from tests.page.browser import act_as, control, is_told, modal, type_command
from tests.page.nurse import nursed
from tests.whole.stage import Stage

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

ENV = "staging"
LONG_S = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    tempo = short(validates=(), wal_switch="2s")
    async with Stage(tempo=patient(tempo), environments=(ENV,)) as stage, nursed(stage):
        controls = Controls(stage.world)
        controls.install()
        yield stage
        await controls.close()


async def test_dropped_orders_are_back_after_a_backup_a_restore_and_a_sign_off_on_the_page(
    stage: Stage, page: Page
) -> None:
    messages = page.locator("#messages")
    await act_as(page, "Dora Dahl")
    await type_command(page, f"/forge backup run {ENV} --kind base")
    (base,) = await stage.until(lambda: _runs(stage), "it begins")
    await stage.until_ended(base, within_s=LONG_S)
    await expect(messages).to_contain_text("base backup on staging")

    orders = await _orders(stage)
    await stage.until_true(lambda: _more_than(stage, orders + 20), "customers order", within_s=LONG_S)
    await control(page, f"count {ENV}").click()
    await is_told(page, "orders, at")
    moment = await _over(datetime.now(UTC))
    await control(page, f"drop {ENV}").click()
    await is_told(page, "is dropped")
    await control(page, f"count {ENV}").click()
    await is_told(page, "staging has no table of orders")

    await until(lambda: _restore_begins(stage, page, moment), LONG_S, "the restore begins", every_s=1.0)
    (run,) = stage.record.under_way()
    await act_as(page, "Dan Dorn")
    await messages.locator("[data-action=signoff]").last.click()
    dialog = page.get_by_role("dialog")
    if await dialog.count():
        await dialog.get_by_role("button").last.click()
    assert " – completed" in await stage.until_ended(run, within_s=LONG_S), stage.headline(run)
    await control(page, f"count {ENV}").click()
    await is_told(page, "orders, at")
    assert await _orders(stage) > orders + 20


def _runs(stage: Stage) -> list[str]:
    """Without the incidents that restores declare."""
    return [run for run in stage.actors.runs() if run.startswith(f"{ENV}-")]


async def _restore_begins(stage: Stage, page: Page, moment: datetime) -> bool:
    """Through the modal; False where that moment is not archived yet."""
    answers = page.locator(".message.ephemeral")
    told = await answers.count()
    dialog = await modal(page, f"/forge restore {ENV}")
    await dialog.get_by_label("Or recover to this moment").fill(f"{moment:%Y-%m-%dT%H:%M:%S}")
    await dialog.get_by_label("Reason").fill("the orders are gone")
    await dialog.get_by_role("button", name="Restore").click()
    await expect(dialog).to_have_count(0)

    async def is_answered() -> bool:
        return bool(stage.record.under_way()) or await answers.count() > told

    await until(is_answered, 120, "an answer to the modal")
    return bool(stage.record.under_way())  # on record before anybody was answered


async def _over(moment: datetime) -> datetime:
    """The next whole second, when it is over."""
    end = int(moment.timestamp()) + 1

    async def is_over() -> bool:
        return datetime.now(UTC).timestamp() > end + 0.5

    await until(is_over, 10, "the next whole second")
    return datetime.fromtimestamp(end, UTC)


async def _orders(stage: Stage) -> int:
    return await asyncio.to_thread(stage.world.database.orders, ENV) or 0


async def _more_than(stage: Stage, count: int) -> bool:
    return await _orders(stage) > count
