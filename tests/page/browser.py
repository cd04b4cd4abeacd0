"""Chromium on the sandbox's page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Locator, Page, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
APPROVE = "#messages [data-action=approve]"
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


@asynccontextmanager
async def opened(url: str, *, width: int = 1440, height: int = 900) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, and the errors of its console and scripts so far."""
    problems: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        await page.goto(url)
        await expect(page.locator("#connection")).to_contain_text("connected")
        yield page, problems
        await browser.close()


async def act_as(page: Page, real_name: str) -> None:
    await page.get_by_role("radio", name=real_name).click()


async def type_command(page: Page, text: str) -> None:
    """Into the message box of the channel that is shown."""
    box = page.locator("#composer-input")
    await box.fill(text)
    await box.press("Enter")


def control(page: Page, name: str) -> Locator:
    """A control of the sandbox's panel."""
    return page.locator(f'[data-control="{name}"]')


async def approve(page: Page, real_name: str) -> None:
    """As this person: clicks the newest card's button and confirms."""
    await act_as(page, real_name)
    await page.locator(APPROVE).last.click()
    dialog = page.get_by_role("dialog")
    if await dialog.count():
        await dialog.get_by_role("button").last.click()
