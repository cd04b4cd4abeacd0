"""Scenario 15."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbook.ports import PodTrouble
from tests.scenarios.production import NEW, ProductionWorld, production

TROUBLES = {
    "crash-loops": PodTrouble(
        "web-canary-1", "app", "crash_loop", "Error", "exit code 1: no such table: orders", restarts=3
    ),
    "never becomes ready": PodTrouble("web-canary-1", "app", "not_ready", "Unhealthy", "HTTP probe failed with statuscode: 503"),
    "has no image": PodTrouble("web-canary-1", "app", "image_pull", "ErrImagePull", "manifest unknown"),
}  # fmt: skip


@pytest.mark.parametrize("what", TROUBLES)
@pytest.mark.parametrize("workload", ["web", "worker"])
async def test_a_canary_that_crash_loops_or_never_becomes_ready_is_aborted_within_60_s_the_containers_last_reason_quoted(
    tmp_path: Path, what: str, workload: str
) -> None:
    """The web's canary starts before it has traffic; a worker's takes work as soon as it runs, at the first weight."""
    world, trouble = ProductionWorld(), TROUBLES[what]
    world.cluster.sick[NEW[workload]] = trouble
    async with production(tmp_path, world=world) as s:
        await s.begins()
        assert await s.ends() == "returned"
        run = s.run()
        begun = next(m.at for m in world.cluster.moved if m.what == f"start {workload}-canary")
        decided = datetime.fromisoformat(run.facts["decided_at"])
        assert decided - begun <= timedelta(seconds=62), "a minute, and a look"
        assert trouble.message in run.ending_reason
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert trouble.message in message
        assert s.weights == ([] if workload == "web" else [5, 0])
        assert s.is_as_before()


async def test_a_canary_that_crashes_while_it_has_traffic_does_not_pass_its_gate(tmp_path: Path) -> None:
    async with production(tmp_path) as s:
        await s.rolls_out_to(5)
        s.world.cluster.sick[NEW["web"]] = TROUBLES["crash-loops"]
        assert await s.ends() == "returned"
        assert "no such table: orders" in s.run().ending_reason
        assert s.weights == [5, 0]
        assert s.is_as_before()
