"""What forge relies on in a cluster's Jobs. Each test makes Jobs of its own, named `forge-conformance-…`, and deletes them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.kubernetes import Kubeconfig, KubernetesCluster
from integrations.kubernetes.credentials import Credentials, open_client
from runbook.errors import Conflict
from runbook.jobs import JobOrder
from runbook.ports import JobState
from tests.conformance.addresses import Addresses

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]
WITHIN_S = 240.0
"""A real node may have to pull the image first."""


@pytest.fixture
def credentials(addresses: Addresses) -> Credentials:
    path = addresses.get("CONFORMANCE_KUBECONFIG")
    return Kubeconfig(Path(path) if path else None, addresses.get("CONFORMANCE_KUBE_CONTEXT", ""))


@pytest.fixture
def run() -> str:
    return f"conformance-{secrets.token_hex(4)}"


@pytest.fixture
async def cluster(addresses: Addresses, credentials: Credentials, run: str) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(credentials, addresses["CONFORMANCE_NAMESPACE"])
    yield made
    for state in await made.jobs_of(run):
        await made.delete_job(state.name)
    await made.aclose()


@pytest.fixture
def order(addresses: Addresses, run: str) -> Callable[..., JobOrder]:
    def made(script: str, **fields: Any) -> JobOrder:
        base: dict[str, Any] = {"name": f"forge-{run}", "key": "k1", "run": run, "step": "conformance"}
        base["image"] = addresses["CONFORMANCE_JOB_IMAGE"]
        return JobOrder(**{**base, "command": ("sh", "-c", script), **fields})

    return made


async def reaches(cluster: KubernetesCluster, name: str, fits: Callable[[JobState | None], bool]) -> JobState | None:
    async with asyncio.timeout(WITHIN_S):
        while not fits(state := await cluster.job(name)):  # noqa: ASYNC110 - a Job is looked at, nobody rings
            await asyncio.sleep(0.25)
    return state


async def ends(cluster: KubernetesCluster, name: str) -> JobState:
    state = await reaches(cluster, name, lambda state: state is not None and state.phase in ("succeeded", "failed"))
    assert state is not None
    return state


async def pods_of(credentials: Credentials, addresses: Addresses, run: str) -> int:
    from kubernetes_asyncio.client import CoreV1Api

    client = await open_client(credentials)
    try:
        found = await CoreV1Api(client).list_namespaced_pod(
            addresses["CONFORMANCE_NAMESPACE"], label_selector=f"forge/run={run}", _request_timeout=20
        )
        return len(found.items)
    finally:
        await client.close()


async def test_a_job_runs_once_and_its_whole_output_is_read(
    cluster: KubernetesCluster, order: Callable[..., JobOrder], run: str
) -> None:
    wanted = order('i=0; while [ $i -lt 2000 ]; do echo "$WORD $i"; i=$((i+1)); done', env={"WORD": "line"})
    await cluster.start_job(wanted)
    await cluster.start_job(wanted)
    state = await ends(cluster, wanted.name)
    assert (state.phase, state.exit_code, state.key) == ("succeeded", 0, "k1")
    assert state.started_at is not None
    assert state.finished_at is not None
    assert state.started_at <= state.finished_at
    log = await cluster.job_log(wanted.name, 100)
    assert log.text.endswith("line 1998\nline 1999\n")
    assert (log.size_bytes, log.cut, log.complete) == (sum(len(f"line {n}\n") for n in range(2000)), True, True)
    assert [each.name for each in await cluster.jobs_of(run)] == [wanted.name]


async def test_a_failing_container_is_not_started_again(
    cluster: KubernetesCluster, order: Callable[..., JobOrder], credentials: Credentials, addresses: Addresses, run: str
) -> None:
    wanted = order("echo broken >&2; exit 3")
    await cluster.start_job(wanted)
    state = await ends(cluster, wanted.name)
    assert (state.phase, state.exit_code, state.reason) == ("failed", 3, "Error")
    assert (await cluster.job_log(wanted.name, 100)).text == "broken\n"
    assert await pods_of(credentials, addresses, run) == 1


async def test_a_name_that_another_order_holds_is_a_conflict(
    cluster: KubernetesCluster, order: Callable[..., JobOrder]
) -> None:
    await cluster.start_job(order("true"))
    with pytest.raises(Conflict) as refused:
        await cluster.start_job(order("true", key="k2"))
    assert refused.value.code == "kubernetes.job_exists"


async def test_a_deleted_job_is_gone_only_when_its_pod_is(
    cluster: KubernetesCluster, order: Callable[..., JobOrder], credentials: Credentials, addresses: Addresses, run: str
) -> None:
    wanted = order("trap 'exit 0' TERM; echo begun; while true; do sleep 0.1; done")
    await cluster.start_job(wanted)
    await reaches(cluster, wanted.name, lambda state: state is not None and state.phase == "running")
    await cluster.delete_job(wanted.name, "another-key")
    still = await cluster.job(wanted.name)
    assert still is not None
    assert still.phase == "running"
    await cluster.delete_job(wanted.name, wanted.key)
    await cluster.delete_job(wanted.name, wanted.key)
    await reaches(cluster, wanted.name, lambda state: state is None)
    assert await pods_of(credentials, addresses, run) == 0


async def test_an_image_that_can_not_be_pulled_is_told(
    cluster: KubernetesCluster, order: Callable[..., JobOrder]
) -> None:
    wanted = order("true", image="registry.invalid/forge-conformance@sha256:" + "0" * 64)
    await cluster.start_job(wanted)
    state = await reaches(cluster, wanted.name, lambda state: state is not None and state.trouble is not None)
    assert state is not None
    assert state.trouble is not None
    assert (state.phase, state.trouble.kind) == ("pending", "image_pull")


async def test_a_secret_that_is_missing_is_told(cluster: KubernetesCluster, order: Callable[..., JobOrder]) -> None:
    wanted = order("true", env_from_secrets=("forge-conformance-no-such-secret",))
    await cluster.start_job(wanted)
    state = await reaches(cluster, wanted.name, lambda state: state is not None and state.trouble is not None)
    assert state is not None
    assert state.trouble is not None
    assert (state.phase, state.trouble.reason) == ("pending", "CreateContainerConfigError")
    assert "forge-conformance-no-such-secret" in state.trouble.message
