"""A running Kubernetes stand-in at fifty times its natural speed, and the two real clients."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_manifests import CRASHING, MISSING, UNREADY

from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, ScriptedRuntime

KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class Output:
    code: int
    text: str
    errors: str

    def json(self) -> Any:
        return json.loads(self.text)


class Kubectl:
    """The real kubectl against the stand-in, its caches in the test's own folder."""

    def __init__(self, kubeconfig: Path) -> None:
        home = kubeconfig.parent
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home), "NO_PROXY": "127.0.0.1"}

    async def __call__(self, *arguments: str, stdin: str = "") -> Output:
        """Run to the end; the exit code is part of the answer."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            str(KUBECTL), *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )
        try:
            async with asyncio.timeout(60):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Output(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        output = await self(*arguments, stdin=stdin)
        assert output.code == 0, output
        return output.text


@pytest.fixture
def runtime() -> ScriptedRuntime:
    crash = Crash(exit_code=3, reason="Error", message="panic: no database", after_s=0.2)
    return ScriptedRuntime(
        {CRASHING: Behaviour(crash=crash), UNREADY: Behaviour(ready=False), MISSING: Behaviour(pull="not_found")}
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
