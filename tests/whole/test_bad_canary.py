"""A canary that turns bad under real traffic, judged by a real Prometheus: rolled back by its comparison with stable, which nothing forestalls.

How long it takes is measured by `python -m tests.bench --only canary`, and shown here: a test can't know how busy the machine is.
"""

from __future__ import annotations

import sys

import pytest

from tests.whole.releasing import rolled_back
from tests.whole.spoiling import observed_canary, timed
from tests.whole.stage import Stage


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
        assert "of stable's" in thread
        assert set(times.zero) == set(stage.world.shop.workloads)
        assert times.bad[0] < times.decided < min(times.zero.values())
        assert times.seen > 0
        await stage.until(lambda: "hypothesis" in _everything(stage).lower(), "why")


def _everything(stage: Stage) -> str:
    return "\n".join(stage.actors.text(message) for message in stage.actors.messages())
