"""A running Kubernetes stand-in at fifty times its natural speed, and the two real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes_asyncio import client
from kubernetes_kubectl import Kubectl
from kubernetes_manifests import CRASHING, MISSING, UNREADY

from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, ScriptedRuntime


@pytest.fixture
def runtime() -> ScriptedRuntime:
    crash = Crash(exit_code=3, reason="Error", message="panic: no database", after_s=0.2)
    return ScriptedRuntime(
        {
            CRASHING: Behaviour(crash=crash, ready=False),
            UNREADY: Behaviour(ready=False),
            MISSING: Behaviour(pull="not_found"),
        }
    )


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    stand = LocalKubernetes(runtime=runtime, time_scale=0.02)
    await stand.start()
    yield stand
    await stand.stop()


@pytest.fixture
async def api(kubernetes: LocalKubernetes) -> AsyncIterator[client.ApiClient]:
    async with client.ApiClient(client.Configuration(host=kubernetes.url)) as connected:
        yield connected


@pytest.fixture
def kubectl(kubernetes: LocalKubernetes, tmp_path: Path) -> Kubectl:
    return Kubectl(kubernetes.kubeconfig(tmp_path / "kubeconfig"))
