"""Acting as the people of the workspace, and reading what they see: for the demo and for tests.

It knows Slack's messages and buttons, and nothing else of the bot.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.slack import ClickResult, CommandResult, LocalSlack, Message
from sandbox.slack.blocks import elements_of
from sandbox.slack.transcript import text_of
from sandbox.world import staff

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

    async def approve(self, user: str, run: str = "", *, within_s: float = 30.0) -> ClickResult:
        """Waits for a card with the button, then clicks it."""
        await self.until(lambda: self.with_button("approve", run), f"a card to approve {run}", within_s=within_s)
        return await self.click(user, "approve", run)

    async def answer(self, user: str, values: dict[str, Any], *, within_s: float = 5.0) -> None:
        """Waits for the modal that a click opened, fills it in and submits it. values: block id -> value."""
        await self.until(lambda: self._slack.views(user), "a modal opens", within_s=within_s)
        view = self._slack.views(user)[-1]
        result = await self._slack.submit_view(user, view.id, values)
        if result.errors:
            raise ValueError(f"the modal was refused: {result.errors}")

    async def reject(self, user: str, reason: str, run: str = "", *, within_s: float = 30.0) -> None:
        """Clicks the card's button and gives the reason that the modal asks for."""
        await self.until(lambda: self.with_button("reject", run), f"a card to reject {run}", within_s=within_s)
        await self.click(user, "reject", run)
        await self.until(lambda: self._slack.views(user), "the modal opens", within_s=5)
        content = self._slack.views(user)[-1].content
        block = next(block["block_id"] for block in content["blocks"] if block["type"] == "input")
        await self.answer(user, {block: reason})

    # --- looking

    def messages(self) -> list[Message]:
        """Everything in the channel, threads included, oldest first."""
        return list(self._slack.workspace.messages.get(self._channel, []))

    def runs(self) -> list[str]:
        """Ids of the runs with a headline, oldest first."""
        found = (RUN.match(message.text) for message in self._slack.messages(self._channel))
        return [match[1] for match in found if match]

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

    def with_button(self, action: str, run: str = "") -> Message | None:
        """The newest message with such a button, in the run's thread or its headline where a run is named."""
        headline = self.headline_message(run) if run else None
        if run and headline is None:
            return None
        for message in reversed(self.messages()):
            is_theirs = headline is None or headline.ts in (message.ts, message.thread_ts)
            if is_theirs and any(element.get("action_id") == action for element in _elements(message)):
                return message
        return None

    async def until(self, condition: Callable[[], Any], what: str, *, within_s: float = 30.0) -> Any:
        """The condition's first true value. Raises TimeoutError naming `what` and the newest headline."""
        try:
            return await self._slack.until(condition, timeout_s=within_s)
        except TimeoutError:
            raise TimeoutError(f"not within {within_s:g} s: {what}\n{self.headline()}") from None


def _elements(message: Message) -> list[dict[str, Any]]:
    return [element for block in message.blocks for element in elements_of(block)]
