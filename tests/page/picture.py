"""`python -m tests.page.picture`: takes the README's picture of the sandbox, of a real run that waits for its go."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sandbox.world import Controls, short
from tests.page.browser import APPROVE, act_as, approve, chromium, opened, type_command
from tests.whole.stage import Stage

DEFAULT = Path(__file__).parents[2] / "docs" / "pictures" / "sandbox.png"
SIZE = (1440, 1000)
TOP = 100
"""Where the headline shall begin, below the channel's name."""


async def take(path: Path) -> None:
    """Ada asks, Sam approves, staging is observed; the go is waited for when the picture is taken."""
    tempo = short(wal_switch="20s", dev="recommended")
    async with Stage(tempo=tempo, environments=("dev", "staging", "prod")) as stage:
        await stage.until(lambda: stage.has_ended("dev-1"), "dev has what is on the branch", within_s=90)
        controls = Controls(stage.world)
        controls.install()
        async with (
            chromium() as browser,
            opened(browser, stage.world.slack.url, width=SIZE[0], height=SIZE[1]) as (page, _),
        ):
            await act_as(page, "Ada Adler")
            await type_command(page, "/forge deploy staging v1.4.0-rc.2")
            await stage.until(lambda: stage.asks("staging-1"), "it asks for its approval")
            await page.locator(APPROVE).wait_for()
            await approve(page, "Sam Sorel", "Deploy to staging")
            await stage.until(lambda: stage.asks("staging-1", "Go or no-go"), "the go is asked for", within_s=150)
            await approve(page, "Pia Paulsen", "Go or no-go")
            await act_as(page, "Sam Sorel")
            await page.locator("#messages", has_text="approval needed (1 of 2)").wait_for()
            message = stage.actors.headline_message("staging-1")
            assert message is not None
            headline = page.locator(f'#messages [data-ts="{message.ts}"]').first
            # a wheel, as a person's: the page stays at the newest message until somebody scrolls
            await page.mouse.move(SIZE[0] / 2, SIZE[1] / 2)
            while (box := await headline.bounding_box()) and box["y"] < TOP:
                await page.mouse.wheel(0, box["y"] - TOP)
                await page.wait_for_timeout(200)
            await page.mouse.move(SIZE[0] / 2, 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=path)
        await controls.close()


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    asyncio.run(take(path))
    sys.stdout.write(f"{path} ({path.stat().st_size // 1024} kB)\n")


if __name__ == "__main__":
    main()
