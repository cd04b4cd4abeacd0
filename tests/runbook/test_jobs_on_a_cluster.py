"""The steps that are Jobs on a Kubernetes API over HTTP whose containers are real processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.clock import SteadyClock
from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from runbook.jobs import JobTemplate
from runbook.plan import Result, Scene, Work
from runbook.steps import StopJobs
from runbook.values import Environment
from runbook.verdicts import Outcome
from sandbox.kubernetes import LocalKubernetes
from tests.runbook.fakes import World, digest
from tests.runbook.job_stories import measure, migrate, suite

TOOL, MISSING, SHELL = (
    f"registry.local/{name}@{digest(of)}" for name, of in (("tool", "a"), ("missing", "b"), ("sh", "c"))
)
PROGRAMS = {TOOL: (sys.executable,), SHELL: ("/bin/sh",)}
ENDLESS = "import time; print('begun', flush=True); time.sleep(600)"
JUNIT = '<testsuite><testcase name="pays"/><testcase name="ships"/></testsuite>'
SUMMARY = {"latency_ms": {"p50": 1, "p95": 2, "p99": 3}, "throughput_per_s": 101, "requests": 6000, "failed": 0}


def program(text: str, **changes: Any) -> dict[str, Any]:
    template = JobTemplate(image="registry.local/tool", args=("-c", text), timeout_s=60, start_within_s=60)
    return {"template": replace(template, **changes), "image": TOOL}


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(programs=PROGRAMS.get, time_scale=0.02)
    await local.start()
    local.cluster.ensure_namespace("shop")
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "shop", limits=Limits())
    yield made
    await made.aclose()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def scene(cluster: KubernetesCluster, world: World) -> Scene:
    clock = SteadyClock()
    ports = replace(world.ports, clock=clock, clusters={Environment.STAGING: cluster})
    return replace(world.scene(), ports=ports, begun_at=clock.now())


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


async def left(cluster: KubernetesCluster) -> list[str]:
    return [job.name for job in await cluster.jobs_of("staging-12")]


async def begun(world: World, step: Work, scene: Scene) -> asyncio.Task[Result]:
    """Performing, and its container runs."""
    task = asyncio.create_task(step.perform(scene))

    async def runs() -> bool:
        return any(" runs for " in said for said in world.said)

    await until(runs)
    return task


async def test_a_suite_runs_and_its_tests_are_counted(scene: Scene, cluster: KubernetesCluster) -> None:
    result = await suite(**program(f"import os; print(os.environ['FORGE_SUITE'], '''{JUNIT}''')")).perform(scene)
    assert (result.outcome, result.facts["suite:api"]["tests"]) == (Outcome.PASS, 2)

    async def cleared() -> bool:
        return not await left(cluster)

    await until(cleared)


async def test_a_migration_that_fails_says_so_in_its_own_words(scene: Scene) -> None:
    result = await migrate(**program("import sys; print('ERROR: deadlock detected'); sys.exit(3)")).perform(scene)
    (verdict,) = result.verdicts
    assert verdict.code == "job.failed"
    assert "exited with code 3" in verdict.reason
    assert "ERROR: deadlock detected" in verdict.reason


async def test_a_load_is_told_its_profile_and_measured(scene: Scene) -> None:
    text = f"import os; assert os.environ['FORGE_LOAD_RATE'] == '100'; print('''{json.dumps(SUMMARY, indent=1)}''')"
    result = await measure(**program(text)).perform(scene)
    assert (result.outcome, result.facts["performance"]["p95_s"]) == (Outcome.PASS, 0.002)


async def test_a_job_that_hangs_is_stopped(scene: Scene, cluster: KubernetesCluster) -> None:
    step = suite(**{**program("echo begun; exec sleep 600", timeout_s=3), "image": SHELL})  # which begins at once
    result = await step.perform(scene)
    assert result.verdicts[0].code == "job.timeout"
    assert any("begun" in str(e.value) for e in result.verdicts[0].evidence)
    assert await left(cluster) == []


async def test_an_image_that_does_not_exist_is_named(scene: Scene, cluster: KubernetesCluster) -> None:
    step = suite(**{**program("print()", start_within_s=3), "image": MISSING})
    result = await step.perform(scene)
    assert result.verdicts[0].code == "job.never_started"
    assert "can't pull its image" in result.verdicts[0].reason
    assert await left(cluster) == []


async def test_a_step_that_was_interrupted_takes_its_job_up_again(
    scene: Scene, kubernetes: LocalKubernetes, world: World
) -> None:
    step = suite(**program("import time; print('begun', flush=True); time.sleep(2)"))
    task = await begun(world, step, scene)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = await step.perform(replace(scene, progress=world.saved[-1]))
    assert result.outcome is Outcome.PASS
    assert sum(asked.method == "POST" and asked.path.endswith("/jobs") for asked in kubernetes.requests) == 1


async def test_what_an_abort_leaves_running_is_stopped_first_of_all(
    scene: Scene, cluster: KubernetesCluster, world: World
) -> None:
    task = await begun(world, migrate(**program(ENDLESS)), scene)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = await StopJobs(title="Stop the Jobs of this run").perform(scene)
    assert result.outcome is Outcome.PASS
    assert "forge-staging-12-3" in result.verdicts[0].reason
    assert await left(cluster) == []


async def test_a_deleted_job_is_noticed_while_it_runs(scene: Scene, cluster: KubernetesCluster, world: World) -> None:
    task = await begun(world, suite(**program(ENDLESS)), scene)
    await cluster.delete_job("forge-staging-12-3")
    result = await asyncio.wait_for(task, 60)
    assert (result.outcome, result.verdicts[0].code) == (Outcome.ERROR, "job.gone")
