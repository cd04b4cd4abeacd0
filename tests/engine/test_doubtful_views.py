"""Whether a view arrived is doubtful, and its words have changed meanwhile: in the end people read today's words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.outbox import TRIES
from engine.ports import Message, Placed
from engine.records import Outgoing
from runbook.errors import ForgeError, Permanent, Temporary
from tests.engine.harness import ADA, Bench, KeepingChat, KeptMessage, bench


class LosingChat(KeepingChat):
    """Does what it is asked to, and then loses the answer as often as `lost` says, or raises what nobody foresees, `broken` times."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = self.broken = 0
        self.find_faults: list[ForgeError] = []

    async def find(self, *args: Any, **kwargs: Any) -> Placed | None:
        """Raises what is queued in `find_faults` first."""
        if self.find_faults:
            raise self.find_faults.pop(0)
        return await super().find(*args, **kwargs)

    def _lose(self) -> None:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("nobody has foreseen this")
        if self.lost:
            self.lost -= 1
            raise Temporary("slack", "timeout.doubtful", "Slack gave no answer")

    async def post(self, *args: Any, **kwargs: Any) -> Placed:
        placed = await super().post(*args, **kwargs)
        self._lose()
        return placed

    async def update(self, channel: str, ts: str, message: Message) -> None:
        await super().update(channel, ts, message)
        self._lose()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path, chat=LosingChat()) as one:
        yield one


def losing(here: Bench) -> LosingChat:
    assert isinstance(here.chat, LosingChat)
    return here.chat


def headline(here: Bench, run: str) -> KeptMessage:
    (only,) = [kept for kept in here.chat.messages if kept.message_id.startswith(f"headline:{run}#")]
    return only


async def all_sent(here: Bench) -> None:
    await here.clock.run_until(lambda: not here.rows(Outgoing, state=["pending", "sending"]))


async def test_a_headline_whose_posting_was_doubtful_shows_what_has_changed_since(here: Bench) -> None:
    losing(here).lost = 1
    run = await here.deploy()
    posted = headline(here, run).message
    await here.act("pause", ADA, run, reason="lunch")
    await all_sent(here)
    assert headline(here, run).message != posted
    assert "paused" in headline(here, run).message.text


async def test_a_doubtful_edit_is_made_again_where_the_words_are_back_to_those_before(here: Bench) -> None:
    run = await here.deploy()
    await here.until(run, "waiting")
    await all_sent(here)
    before = headline(here, run).message
    losing(here).lost = 1
    await here.act("pause", ADA, run, reason="lunch")
    assert "paused" in headline(here, run).message.text
    await here.act("resume", ADA, run)
    await all_sent(here)
    assert headline(here, run).message.text == before.text


@pytest.mark.parametrize(
    "fault",
    [
        Temporary("slack", "ratelimited", "Slack asks for patience", retry_after_s=30.0),
        Permanent("slack", "missing_scope", "forge may not read this channel"),
    ],
    ids=["temporary", "permanent"],
)
async def test_what_was_doubtful_stays_so_while_it_cant_be_looked_for(here: Bench, fault: ForgeError) -> None:
    losing(here).lost = 1
    losing(here).find_faults = [fault, fault]
    run = await here.deploy()
    await here.until(run, "waiting")
    await all_sent(here)
    assert not losing(here).find_faults
    assert headline(here, run).message_id  # one alone: it was not posted again


async def test_a_doubtful_edit_stays_so_where_the_next_try_is_refused(here: Bench) -> None:
    run = await here.deploy()
    await here.until(run, "waiting")
    await all_sent(here)
    before = headline(here, run).message
    losing(here).lost = 1
    await here.act("pause", ADA, run, reason="lunch")
    losing(here).faults = [Temporary("slack", "ratelimited", "Slack asks for patience", retry_after_s=30.0)]
    await here.clock.run_until(lambda: not losing(here).faults)
    await here.act("resume", ADA, run)
    await all_sent(here)
    assert headline(here, run).message.text == before.text


async def test_after_an_edit_that_was_given_up_the_words_of_before_are_shown_again(here: Bench) -> None:
    run = await here.deploy()
    await here.until(run, "waiting")
    await all_sent(here)
    before = headline(here, run).message
    losing(here).broken = TRIES
    await here.act("pause", ADA, run, reason="lunch")
    await here.clock.run_until(lambda: bool(here.rows(Outgoing, state="dropped")))
    assert not losing(here).broken
    assert "paused" in headline(here, run).message.text
    await here.act("resume", ADA, run)
    await all_sent(here)
    assert headline(here, run).message.text == before.text
