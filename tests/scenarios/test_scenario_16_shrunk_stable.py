"""Scenario 16."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runbook.errors import Permanent
from runbook.ports import Autoscaler
from tests.scenarios.production import NEW, QUICK, SIZE, ProductionStage, production
from tests.scenarios.two_tracks import CANARY


@pytest.mark.parametrize("left", [4, 1])
async def test_stable_was_scaled_down_by_its_autoscaler_traffic_returns_at_once_as_far_as_capacity_goes_the_rest_as_it_becomes_available(
    tmp_path: Path, left: int
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.rolls_out_to(100)
        s.world.cluster.resize("web", left)
        s.world.cluster.start_s = 20.0
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        back = [write for write in s.world.cluster.moved if write.what == "weight web"][3:]
        decided = next(m.at for m in back)
        assert back[0].number == 100 - 100 * left // SIZE, "at once as far as it goes"
        assert [w.number for w in back] == sorted({w.number for w in back}, reverse=True)
        assert back[-1].number == 0
        assert all(w.number >= 100 - 100 * w.available // SIZE for w in back), "never more than stable can carry"
        assert timedelta(seconds=20) <= back[-1].at - decided < timedelta(seconds=25)
        assert s.moved("scale web") == [SIZE]
        assert s.is_as_before()
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "weight 0 accepted for web, 2" in message


@pytest.mark.parametrize("weight", [5, 25, 100])
async def test_with_stable_at_full_strength_weight_0_is_accepted_within_1_s_of_the_decision(
    tmp_path: Path, weight: int
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.rolls_out_to(weight)
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert s.weights == [*(w for w in (5, 25, 100) if w <= weight), 0]
        assert s.is_as_before()


def scaled(s: ProductionStage) -> ProductionStage:
    """The web has an autoscaler that leaves it one pod while it has no traffic."""
    s.world.cluster.scalers = {"web": Autoscaler("web", least=1, most=2 * SIZE)}
    return s


async def test_with_an_autoscaler_stable_stays_at_full_size_until_the_watch_ends_and_weight_0_is_accepted_within_1_s(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        cluster = scaled(s).world.cluster
        await s.is_watched()
        await s.clock.advance(60)
        assert (s.weight, s.replicas()["web"], cluster.scalers["web"].least) == (100, SIZE, SIZE)
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert s.weights == [5, 25, 100, 0]
        assert s.moved("scale web") == []
        assert s.moved("least web") == [SIZE, 1]
        assert (cluster.scalers["web"].least, cluster.scalers["web"].marks) == (1, {})
        assert s.is_as_before()


async def test_after_a_release_the_autoscaler_is_as_it_was(tmp_path: Path) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        cluster = scaled(s).world.cluster
        await s.is_released()
        assert s.moved("least web") == [SIZE, 1]
        assert (cluster.scalers["web"].least, cluster.scalers["web"].marks) == (1, {})
        assert (s.images(), s.replicas()) == (NEW, dict.fromkeys(NEW, SIZE))


async def test_without_the_right_to_autoscalers_the_release_goes_on_and_says_what_that_means(tmp_path: Path) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        refused = Permanent(
            "kubernetes", "forbidden", "Kubernetes answered 403 to `list horizontalpodautoscalers.autoscaling`"
        )
        s.world.cluster.fail("autoscalers", *[refused] * 99)
        await s.is_released()
        [shift] = [step for step in s.steps() if step.title == "Shift 5 % of the traffic"]
        said = [verdict for verdict in shift.verdicts if verdict["gate"] == "size of web"]
        assert [(verdict["code"], verdict["binding"]) for verdict in said] == [("kubernetes.forbidden", False)]
        assert "may shrink web below 10 replicas while it has no traffic" in said[0]["reason"]
