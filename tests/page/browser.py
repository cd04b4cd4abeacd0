"""Chromium on the sandbox's page."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from sandbox.serving import until

LONG_MS = 180_000
"""How long a step on the page may take on a busy machine."""

expect.set_options(timeout=LONG_MS)

CHROMIUM = "/usr/bin/chromium"
APPROVE = "#messages [data-action=approve]"
LISTEN = """
window.told = [];
new MutationObserver((changes) => {
  const added = changes.flatMap((change) => [...change.addedNodes]);
  window.told.push(...added.filter((node) => node.classList?.contains("toast")).map((node) => node.textContent));
}).observe(document, { childList: true, subtree: true });
"""
"""What the page says in passing stays for some seconds, and a busy machine may look too late."""

IS_TOLD = """(text) => {
  const at = window.told.findIndex((each) => each.includes(text));
  window.told.splice(0, at + 1);
  return at >= 0;
}"""
DIALOG_WITHIN_MS = 20_000
TYPED_AT_MOST = 5
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
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=LONG_MS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, width: int = 1440, height: int = 900
) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, and the errors of its console and scripts so far."""
    problems: list[str] = []
    context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    context.set_default_timeout(LONG_MS)
    await context.add_init_script(LISTEN)
    page = await context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    await page.goto(url)
    await expect(page.locator("#connection")).to_contain_text("connected")
    yield page, problems
    await context.close()


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


async def modal(page: Page, command: str) -> Locator:
    """The dialog that this command opens; typed again where the app was too slow to open it, as Slack has it."""
    dialog = page.get_by_role("dialog")
    for _ in range(TYPED_AT_MOST):
        await type_command(page, command)
        with contextlib.suppress(AssertionError):
            await expect(dialog).to_be_visible(timeout=DIALOG_WITHIN_MS)
            return dialog
    raise AssertionError(f"{command} opens no dialog")


async def is_told(page: Page, text: str) -> None:
    """The page says so itself, in passing, after what it was waited for to say before."""

    async def holds() -> bool:
        return bool(await page.evaluate(IS_TOLD, text))

    await until(holds, LONG_MS / 1000, f"the page says: {text}", every_s=0.1)


async def approve(page: Page, real_name: str, title: str) -> None:
    """As this person: clicks the button of the card with this title, and confirms. An earlier card's may be there still."""
    await act_as(page, real_name)
    button = page.locator("[data-action=approve]")
    await page.locator("#messages .message", has_text=title).filter(has=button).last.locator(button).click()
    dialog = page.get_by_role("dialog")
    if await dialog.count():
        await dialog.get_by_role("button").last.click()
