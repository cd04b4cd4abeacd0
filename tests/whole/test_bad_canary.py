"""A canary that turns bad under real traffic, judged by a real Prometheus: rolled back, and how long that takes."""

from __future__ import annotations

import sys

import pytest

from tests.whole.releasing import rolled_back
from tests.whole.spoiling import observed_canary, timed

pytestmark = pytest.mark.timeout(480)

IN_TIME = 20.0
"""How many times as long as promised a busy machine may take: what is promised is measured by `python -m tests.bench --only canary`."""

PROMISED_DECISION_S, PROMISED_ZERO_S = 4.0, 1.0
"""Two scrapes, the rules' interval and a tick, of a second each; and the router's answer."""

MOST_BAD = 40
"""Customers who met a bad answer before the decision: five times as many as it takes. On a slow machine there are fewer customers, too."""


async def test_a_canary_with_20_percent_errors_is_rolled_back_by_its_comparison_with_stable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with observed_canary() as (stage, run):
        times = await timed(stage, run)
        sentence = await rolled_back(stage, run)
        with capsys.disabled():
            sys.stdout.write(f"\n{times}\n")
        assert "times" in sentence, sentence
        thread = stage.thread(run)
        assert "canary errors against stable's" in thread
        assert "0 % of stable's" in thread or "of stable's" in thread
        assert set(times.zero) == set(stage.world.shop.workloads)
        assert times.seen <= MOST_BAD
        assert 0 < times.to_decision_s < IN_TIME * PROMISED_DECISION_S
        assert times.to_zero_s < IN_TIME * PROMISED_ZERO_S
        await stage.until(lambda: "Hypothesis" in _everything(stage) or "hypothesis" in _everything(stage), "why")


def _everything(stage: object) -> str:
    return "\n".join(stage.actors.text(message) for message in stage.actors.messages())  # type: ignore[attr-defined]
