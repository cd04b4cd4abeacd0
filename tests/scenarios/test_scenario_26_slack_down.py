"""Scenario 26."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Outgoing
from runbook.errors import ForgeError, Temporary
from tests.engine.harness import KeepingChat
from tests.scenarios.stage import Stage, healthy, shown, stage

FAULTS: dict[str, Callable[[], ForgeError]] = {
    "unreachable": lambda: Temporary("slack", "unreachable", "Slack can't be reached"),
    "HTTP 503": lambda: Temporary("slack", "server_error", "Slack answered 503"),
    "rate limited": lambda: Temporary("slack", "ratelimited", "Slack asks to wait", retry_after_s=30.0),
    "posted without an answer": lambda: Temporary("slack", "timeout.doubtful", "no answer within 10 s"),
}


class FailingChat(KeepingChat):
    """down: how it fails, or None. tries, posts, edits: by message id or timestamp, those that came through alone counted but for tries."""

    def __init__(self) -> None:
        super().__init__()
        self.down = ""
        self.tries = 0
        self.posts: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()

    async def post(self, channel: str, message: Any, message_id: str, **more: Any) -> Any:
        if self.down == "posted without an answer":  # it arrives, and nobody hears of it
            self.tries += 1
            await super().post(channel, message, message_id, **more)
            self.posts[message_id] += 1
            raise FAULTS[self.down]()
        self._fail()
        placed = await super().post(channel, message, message_id, **more)
        self.posts[message_id] += 1
        return placed

    async def update(self, channel: str, ts: str, message: Any) -> None:
        self._fail()
        await super().update(channel, ts, message)
        self.edits[ts] += 1

    async def respond(self, address: str, message: Any) -> None:
        self._fail()
        await super().respond(address, message)

    def _fail(self) -> None:
        self.tries += 1
        if self.down:
            raise FAULTS[self.down]()


async def observing(path_stage: Stage) -> None:
    await path_stage.waits_for_approval()
    await path_stage.says("sam", "approve staging-1")
    await path_stage.until_at("Observe key metrics and health")
    await path_stage.shown_all()


async def assert_shown_once(s: Stage, chat: FailingChat) -> None:
    """Every message stands there once, and shows what the database says now."""
    await s.shown_all()
    assert set(chat.posts.values()) == {1}
    assert [o for o in s.rows(Outgoing) if o.state not in ("sent", "dropped")] == []
    rooms = Counter(m.message_id.split("#")[0] for m in chat.messages)
    assert set(rooms.values()) == {1}


@pytest.mark.parametrize("how", FAULTS)
async def test_slack_is_down_for_ten_minutes_the_release_goes_on_and_afterwards_each_message_shows_the_current_truth_once(
    tmp_path: Path, how: str
) -> None:
    chat = FailingChat()
    async with stage(tmp_path, chat=chat) as s:
        await observing(s)
        headline = next(m for m in chat.messages if not m.thread_ts)
        chat.down, chat.tries = how, 0
        await s.clock.advance(timedelta(minutes=10))
        assert (s.run().state, s.at()) == ("waiting", "Go or no-go")
        assert chat.tries < 60
        edits = chat.edits[headline.ts]
        chat.down = ""
        await assert_shown_once(s, chat)
        assert chat.edits[headline.ts] - edits <= 1
        assert "Waiting for Product and Service Owner: Go or no-go" in s.headline
        card = s.cards()[-1]
        assert "approval needed" in shown(card.message)
        notes = [m.message_id for m in chat.messages if m.message_id.startswith("note:")]
        numbers = [int(n.rpartition("#")[2]) for n in notes]
        assert numbers == sorted(numbers)


async def test_a_bad_release_is_returned_while_slack_is_down_and_told_of_once_afterwards(tmp_path: Path) -> None:
    chat = FailingChat()
    async with stage(tmp_path, chat=chat) as s:
        before = s.images()
        await s.waits_for_go()
        await s.shown_all()
        chat.down = "unreachable"
        s.metrics.value = lambda expression, at: 0.2 if "error_ratio" in expression else healthy(expression, at)
        await s.clock.advance(timedelta(minutes=10))
        assert s.run().ending == "returned"
        assert s.images() == before
        chat.down = ""
        await assert_shown_once(s, chat)
        assert "returned" in s.headline or "previous" in s.headline
        assert sum("returning to the previous state" in note for note in s.notes) == 1


async def test_a_restart_while_slack_is_down_posts_nothing_twice(tmp_path: Path) -> None:
    chat = FailingChat()
    async with stage(tmp_path, chat=chat) as s:
        await observing(s)
        chat.down = "posted without an answer"
        await s.clock.advance(timedelta(minutes=5))
        world = s.world
    async with stage(tmp_path, chat=chat, world=world) as s:
        await s.clock.advance(timedelta(minutes=5))
        chat.down = ""
        await assert_shown_once(s, chat)
        assert "Go or no-go" in s.headline
