"""Trouble inside the engine: a bug, a doubtful commit, a late click. It stays where it is, and people hear of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.guards import GuardEvaluator
from engine.spans import Watched
from runbook.errors import StoreUnavailable
from runbook.ports import Series
from tests.engine.harness import SAM, Bench, bench, ratio


async def to_go(b: Bench, **more: Any) -> str:
    """A run that waits for its go."""
    run = await b.deploy(**more)
    await b.until(run, "waiting")
    assert (await b.act("approve", SAM, run)).ok
    await b.clock.run_until(lambda: b.run(run).position == 5)
    return run


async def test_a_bug_in_one_runs_guards_leaves_the_others_guarded_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = GuardEvaluator._judge

    async def broken(self: Any, watch: Any, *rest: Any) -> None:
        if watch.span.service == "desk":
            raise KeyError("desk")
        await judge(self, watch, *rest)

    monkeypatch.setattr(GuardEvaluator, "_judge", broken)
    async with bench(tmp_path) as b:
        desk, shop = await to_go(b, service="desk"), await to_go(b)
        b.metrics.value = ratio("shop", 0.2)
        assert (await b.ended(shop)).ending == "returned"
        assert b.run(desk).state == "waiting"
        told = [
            m.message.text
            for m in b.chat.messages
            if desk in m.message.text and "guards have no data" in m.message.text
        ]
        assert told


async def test_a_surprising_answer_about_metrics_warns_and_returns_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        run = await to_go(b)

        def surprise(metric: str, at: datetime) -> list[Series]:
            raise ValueError("never seen before")

        b.metrics.value = surprise
        await b.clock.advance(timedelta(minutes=5))
        assert b.run(run).state == "waiting"
        texts = [m.message.text for m in b.chat.messages]
        assert any("guards have no data" in text for text in texts)
        assert not any("never seen before" in text for text in texts)


async def test_a_breach_whose_commit_was_doubtful_still_brings_the_previous_state_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = GuardEvaluator._write_breach
    doubted: list[Watched] = []

    def doubtful(self: Any, span: Watched, verdict: Any, ledger: Any) -> bool:
        if not doubted:
            doubted.append(span)
        return write(self, span, verdict, ledger)

    monkeypatch.setattr(GuardEvaluator, "_write_breach", doubtful)
    async with bench(tmp_path) as b:
        run = await to_go(b)
        kept = b.engine.guards._store.write

        async def lost_answer(change: Any) -> Any:
            before = len(doubted)
            value = await kept(change)
            if len(doubted) > before:
                raise StoreUnavailable("doubtful", "nobody can tell", "")
            return value

        monkeypatch.setattr(b.engine.guards._store, "write", lost_answer)
        b.metrics.value = ratio("shop", 0.2)
        assert (await b.ended(run)).ending == "returned"
        assert doubted
