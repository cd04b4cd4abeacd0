"""Acting as the people of the workspace, and reading what they see: for the demo and for tests.

It knows Slack's messages and buttons, and nothing else of the bot.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Callable
from typing import Any

from sandbox.slack import ClickResult, CommandResult, LocalSlack, Message
from sandbox.slack.blocks import elements_of
from sandbox.slack.transcript import text_of
from sandbox.world import staff

CLICK_AGAIN_S = 1.0
CLICKED_WITHIN_S = 60.0
OPENS_WITHIN_S = 5.0
RUN = re.compile(r"^\W*((?:dev|staging|prod)-[0-9]+)\b")
"""A run's headline begins with its name; an incident's card (`incident-1: …`), which stands in the same channel, is none."""


class Actors:
    """channel: where commands are typed and messages are looked for."""

    def __init__(self, slack: LocalSlack, channel: str = staff.RELEASES) -> None:
        self._slack = slack
        self._channel = channel

    # --- acting

    async def command(self, user: str, text: str, *, channel: str = "") -> CommandResult:
        """Types `/forge <text>`."""
        return await self._slack.command(user, text, channel_id=channel or self._channel)

    async def click(self, user: str, action: str, run: str = "") -> ClickResult:
        """Clicks the newest button of this action, of this run where one is named. Raises LookupError where there is none."""
        message = self.with_button(action, run)
        if message is None:
            raise LookupError(f"nowhere is a button {action} of {run or 'any run'}")
        return await self._slack.click(user, self._channel, message.ts, action)

    async def press(
        self, user: str, action: str, run: str = "", *, title: str = "", within_s: float = CLICKED_WITHIN_S
    ) -> None:
        """Waits for the newest such button, of this run and of the card `title` where they are named, and clicks it until that is taken.

        Slack may say that the app didn't answer though it has taken the click: then the same button is clicked again, for
        as long as it is there, and never another's. Raises TimeoutError.
        """
        named = " ".join(filter(None, (run, title)))
        message = await self.until(
            lambda: self.with_button(action, run, title), f"a button {action} {named}", within_s=within_s
        )
        tries = math.ceil(within_s / CLICK_AGAIN_S)
        for _ in range(tries):
            if (await self._slack.click(user, self._channel, message.ts, action)).outcome == "acknowledged":
                return
            with contextlib.suppress(TimeoutError):
                await self._slack.until(lambda: not _has_button(message, action), timeout_s=CLICK_AGAIN_S)
                return
        raise TimeoutError(f"{user}'s click on {action} {named} is not taken\n{self.headline(run)}")

    async def approve(self, user: str, run: str = "", *, title: str = "") -> None:
        """Waits for a card with the button, of `title` where one is given, and clicks it as `press` does."""
        await self.press(user, "approve", run, title=title)

    async def answer(self, user: str, values: dict[str, Any], *, within_s: float = 5.0) -> None:
        """Waits for the modal that a click opened, fills it in and submits it. values: block id -> value."""
        await self.until(lambda: self._slack.views(user), "a modal opens", within_s=within_s)
        view = self._slack.views(user)[-1]
        result = await self._slack.submit_view(user, view.id, values)
        if result.errors:
            raise ValueError(f"the modal was refused: {result.errors}")

    async def reject(self, user: str, reason: str, run: str = "", *, title: str = "", within_s: float = 60.0) -> None:
        """Clicks the button of the card (of `title`, where one is given), and gives the reason that the modal asks for."""
        message = await self.until(
            lambda: self.with_button("reject", run, title), f"a card to reject {run}", within_s=within_s
        )

        async def opens() -> bool:
            """A trigger lasts for three seconds: on a busy machine the app may come too late, and the person clicks again."""
            await self._slack.click(user, self._channel, message.ts, "reject")
            with contextlib.suppress(TimeoutError):
                return bool(await self._slack.until(lambda: self._slack.views(user), timeout_s=OPENS_WITHIN_S))
            return False

        deadline = asyncio.get_running_loop().time() + within_s
        while not await opens():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"no modal opens for {user}\n{self.headline(run)}")
        content = self._slack.views(user)[-1].content
        block = next(block["block_id"] for block in content["blocks"] if block["type"] == "input")
        await self.answer(user, {block: reason})

    # --- looking

    def messages(self) -> list[Message]:
        """Everything in the channel, threads included, oldest first."""
        return list(self._slack.workspace.messages.get(self._channel, []))

    def runs(self, environment: str = "", thing: str = "") -> list[str]:
        """Ids of the runs with a headline, oldest first.

        environment: only of this one. thing: only of this version, or of this kind of backup or restore, as the headline says it.
        """
        tops = [(RUN.match(message.text), message.text) for message in self._slack.messages(self._channel)]
        found = [(match[1], text.partition(" – ")[0]) for match, text in tops if match]
        return [run for run, what in found if run.startswith(environment) and (not thing or f" {thing} " in what)]

    def headline_message(self, run: str = "") -> Message | None:
        """run: empty for the newest."""
        tops = [message for message in self._slack.messages(self._channel) if RUN.match(message.text)]
        found = [message for message in tops if not run or message.text.startswith(f"{run}:")]
        return found[-1] if found else None

    def headline(self, run: str = "") -> str:
        """The run's headline as people read it; empty while there is none."""
        message = self.headline_message(run)
        return self.text(message) if message is not None else ""

    def state(self, run: str = "") -> str:
        """The headline's one sentence: `staging-1: shop v1.4.0-rc.2 to staging – waiting. Waiting for …`."""
        message = self.headline_message(run)
        return message.text if message is not None else ""

    def thread(self, run: str = "") -> list[str]:
        """The texts below the headline, oldest first."""
        message = self.headline_message(run)
        return [] if message is None else [self.text(each) for each in self._slack.messages(self._channel, message.ts)]

    def ephemerals(self, user: str) -> list[str]:
        return [self.text(message) for message in self._slack.ephemerals(user)]

    def text(self, message: Message) -> str:
        return text_of(self._slack.workspace, message)

    def with_button(self, action: str, run: str = "", title: str = "") -> Message | None:
        """The newest message with such a button, in the run's thread or its headline where a run is named.

        title: only the card that asks for this. One that is decided keeps its buttons until it is drawn again.
        """
        headline = self.headline_message(run) if run else None
        if run and headline is None:
            return None
        for message in reversed(self.messages()):
            is_theirs = headline is None or headline.ts in (message.ts, message.thread_ts)
            if is_theirs and title in message.text and _has_button(message, action):
                return message
        return None

    async def until(self, condition: Callable[[], Any], what: str, *, within_s: float = 30.0) -> Any:
        """The condition's first true value. Raises TimeoutError naming `what` and the newest headline."""
        try:
            return await self._slack.until(condition, timeout_s=within_s)
        except TimeoutError:
            raise TimeoutError(f"not within {within_s:g} s: {what}\n{self.headline()}") from None


def _has_button(message: Message, action: str) -> bool:
    return any(element.get("action_id") == action for element in _elements(message))


def _elements(message: Message) -> list[dict[str, Any]]:
    return [element for block in message.blocks for element in elements_of(block)]
