"""`python -m tests.page.picture`: takes the README's picture of the sandbox, of a real run that waits for its go."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sandbox.world import Controls, short
from tests.page.browser import APPROVE, act_as, approve, opened, type_command
from tests.whole.stage import Stage

DEFAULT = Path(__file__).parents[2] / "docs" / "pictures" / "sandbox.png"
SIZE = (1440, 1000)


async def take(path: Path) -> None:
    """Ada asks, Sam approves, staging is observed; the go is waited for when the picture is taken."""
    async with Stage(tempo=short()) as stage:
        controls = Controls(stage.world)
        controls.install()
        async with opened(stage.world.slack.url, width=SIZE[0], height=SIZE[1]) as (page, _):
            await act_as(page, "Ada Adler")
            await type_command(page, "/forge deploy staging v1.4.0-rc.2")
            await stage.until(lambda: stage.asks("staging-1"), "it asks for its approval")
            await page.locator(APPROVE).wait_for()
            await approve(page, "Sam Sorel")
            await stage.until(lambda: stage.asks("staging-1", "Go or no-go"), "the go is asked for", within_s=60)
            await approve(page, "Pia Paulsen")
            await stage.until(
                lambda: "approval needed* (1 of 2)" in stage.thread() or "1 of 2" in stage.thread(), "1 of 2"
            )
            await act_as(page, "Sam Sorel")
            await page.wait_for_timeout(1000)
            path.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=path)
        await controls.close()


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    asyncio.run(take(path))
    sys.stdout.write(f"{path} ({path.stat().st_size // 1024} kB)\n")


if __name__ == "__main__":
    main()
