"""Scenario 11."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.records import Decision
from tests.scenarios.stage import GO, healthy, offered, shown, stage

BREACHES = {
    "error_ratio": (0.2, "error rate was above 3 %", "at worst 20 %"),
    "latency_p95": (1.5, "API p95 latency was above 1 s", "at worst 1.5 s"),
    "readiness": (0.5, "readiness success was below 95 %", "at worst 50 %"),
}


@pytest.mark.parametrize("metric", BREACHES)
async def test_while_an_approval_is_pending_a_guard_breaches_the_release_rolls_back_and_the_button_is_dead_on_click(
    tmp_path: Path, metric: str
) -> None:
    value, sentence, worst = BREACHES[metric]

    def spoilt(expression: str, at: datetime) -> float:
        return value if metric in expression else healthy(expression, at)

    async with stage(tmp_path) as s:
        before = s.images()
        await s.waits_for_go()
        await s.says("pia", "approve staging-1")
        s.metrics.value, since = spoilt, s.clock.now()
        run = await s.until_state("ended")
        assert run.ending == "returned"
        assert run.ended_at is not None
        assert timedelta(minutes=5) <= run.ended_at - since < timedelta(minutes=6)
        assert s.images() == before
        await s.shown_all()
        card = s.cards()[-1].message
        assert offered(card) == []
        assert "no longer needed" in shown(card)
        answer = await s.clicks("sam", "approve", index=GO)
        assert "dead" in answer
        assert sentence in answer
        assert s.images() == before
        assert [d.result for d in s.rows(Decision)] == ["no_go"]
        returning = [note for note in s.notes if "returning to the previous state" in note]
        assert len(returning) == 1
        assert sentence in returning[0]
        assert worst in returning[0]


async def test_a_breach_during_the_first_approval_is_none_of_this_releases_business(tmp_path: Path) -> None:
    """Nothing has been deployed yet: what runs there was there before."""
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        s.metrics.value = lambda expression, at: 0.2 if "error_ratio" in expression else healthy(expression, at)
        await s.clock.advance(timedelta(minutes=20))
        assert s.run().state == "waiting"
