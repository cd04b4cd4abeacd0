"""Somebody deletes a message of a run in Slack: it is shown anew, and nothing behind it waits."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import Permanent
from tests.engine.harness import ADA, bench


async def test_a_headline_that_was_deleted_is_posted_anew(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await b.deploy()
        await b.until(run, "waiting")
        await b.clock.settle()
        before = [kept for kept in b.chat.messages if kept.message_id.startswith(f"headline:{run}")]
        b.chat.faults.append(Permanent("slack", "message_not_found", "the message isn't there any more"))
        await b.act("pause", ADA, run, reason="lunch")
        await b.clock.settle()
        after = [kept for kept in b.chat.messages if kept.message_id.startswith(f"headline:{run}")]
        assert len(after) == len(before) + 1
        assert not b.engine.outbox.trouble
        assert not b.chat.faults
