"""What the measured bot is surrounded by: a local Slack in this process, a Prometheus of a thousand series in another, its forge.yaml.

The bot under measurement is always a process of its own that speaks the real protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from sandbox.kubernetes.kubeconfig import write_kubeconfig
from sandbox.slack import LocalSlack
from sandbox.world import staff
from sandbox.world.settings import own_environment, write_yaml
from state.checkpoints import new_private_key

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
REPOSITORY_HOST = "registry.bench.test"


class Ended(RuntimeError):
    """A measured process ended by itself; the message has its last lines."""


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """As a bot is run: without anybody's real systems, and with Python's byte code kept, as it is wherever forge is installed."""
    environment = own_environment(extra)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def warm_up() -> None:
    """Compiles everything once, as an installation does: what is measured is not the compiler."""
    modules = (
        "bot.cli", "bot.serve", "kubernetes_asyncio.client", "kubernetes_asyncio.config", "integrations.prometheus.metrics",
        "prometheus_api_client.prometheus_connect",
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], check=True, env=clean_environment({}))


def service_name(number: int) -> str:
    return f"svc-{number:04}"


_FIRST = """\
  {name}: &service
    repository: acme/{name}
    workloads: [{{name: {name}, container: app, image: {host}/acme/{name}}}]
    urls: {{staging: "http://{name}.staging.test"{prod}}}
    required_checks: [build, test]
    secrets: {{smoke: {{env: BENCH_TOKEN}}}}
    smoke:
      - {{name: it is alive, path: /health/live}}
      - {{name: a basket is shown, path: /api/basket, token: smoke, json_subset: {{currency: EUR}}}}
"""
_OTHER = """\
  {name}:
    <<: *service
    repository: acme/{name}
    workloads: [{{name: {name}, container: app, image: {host}/acme/{name}}}]
    urls: {{staging: "http://{name}.staging.test"{prod}}}
"""


def services_yaml(count: int, production: str = "") -> str:
    """As somebody with a thousand of them would write it: what they have in common stands once. production: where all of them answer."""
    names = [service_name(number) for number in range(1, count + 1)]
    texts = [
        (_FIRST if n == 0 else _OTHER).format(
            name=name, host=REPOSITORY_HOST, prod=f', prod: "{production}/{name}"' if production else ""
        )
        for n, name in enumerate(names)
    ]
    return "services:\n" + "".join(texts)


def forge_yaml(slack: LocalSlack, prometheus: str, *environments: str, policy: Mapping[str, Any]) -> dict[str, Any]:
    """All but the services. prometheus: its address. The policy's numbers are the runbook's, but for these."""
    return {
        "slack": {"channel": staff.RELEASES, "team": slack.workspace.team_id, "api_url": slack.api_url},
        "roles": {role: list(members) for role, members in staff.ROLES.items()},
        "environments": {env: {"kubernetes": {"context": env, "namespace": env}} for env in environments},
        "integrations": {
            "kubernetes": {"kubeconfig": "kubeconfig"},
            "prometheus": {"url": prometheus},
            "github": {"api_url": "http://127.0.0.1:9"},
        },
        "server": {"port": 0},
        "audit": {"checkpoints": ["checkpoints"]},
        "policy": dict(policy),
    }


class Place:
    """A folder with everything that a bot needs to start. services: how many are configured. production: where they answer in production;
    empty: there is only staging. policy: what differs from the runbook's."""

    def __init__(
        self,
        folder: Path,
        slack: LocalSlack,
        *,
        prometheus: str = "http://127.0.0.1:9",
        services: int = 1,
        production: str = "",
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        environments = ("staging", "prod") if production else ("staging",)
        self.folder = folder
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.config = folder / "forge.yaml"
        write_yaml(self.config, forge_yaml(slack, prometheus, *environments, policy=policy or {}))
        self.config.write_text(self.config.read_text() + services_yaml(services, production))
        write_kubeconfig(folder / "kubeconfig", "http://127.0.0.1:9", {env: env for env in environments}, "t", None)
        key = folder / "audit-key.pem"
        if not key.exists():
            key.write_text(new_private_key())
        self.environment = clean_environment(
            {
                "FORGE_CONFIG": str(self.config),
                "FORGE_DATA_DIR": str(folder),
                "FORGE_AUDIT_KEY": key.read_text(),
                "SLACK_BOT_TOKEN": slack.bot_token,
                "SLACK_APP_TOKEN": slack.app_token,
                "BENCH_TOKEN": "bench",
            }
        )


class Child:
    """A measured process that tells what it does: one JSON object a line on its standard output, with `at` of the monotonic clock,
    which all processes of a machine share."""

    def __init__(self, process: asyncio.subprocess.Process, begun: float, log: Path) -> None:
        self._process = process
        self._log = log
        self.begun = begun
        self.told: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read(), name=f"what {process.pid} tells")
        self.seen = psutil.Process(process.pid)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b'{"bench"'):
                self.told.append(json.loads(line))
                self._news.set()
        self._news.set()

    async def until(self, what: str, *, count: int = 1, within_s: float = READY_WITHIN_S) -> dict[str, Any]:
        """The `count`th line that tells this. Raises Ended, TimeoutError."""
        async with asyncio.timeout(within_s):
            while len(found := [one for one in self.told if one["bench"] == what]) < count:
                if self._reading.done():
                    raise Ended(f"a process under measurement ended: {self.last_lines()}")
                self._news.clear()
                await self._news.wait()
            return found[count - 1]

    @property
    def rss_mb(self) -> float:
        return float(self.seen.memory_info().rss) / 1e6

    @property
    def cpu_s(self) -> float:
        times = self.seen.cpu_times()
        return float(times.user + times.system)

    def last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])

    async def stop(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_WITHIN_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def child(
    module: str, arguments: Sequence[str] = (), *, environment: Mapping[str, str], log: Path
) -> AsyncIterator[Child]:
    """`python -m module` until the block ends; what it logs goes to `log`."""
    begun = time.monotonic()
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, env=dict(environment), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=errors, limit=2**20,
        )  # fmt: skip
    running = Child(process, begun, log)
    try:
        yield running
    finally:
        await running.stop()


@contextlib.asynccontextmanager
async def bot(place: Place, *, looked_at: int = 0, clusters: bool = False) -> AsyncIterator[Child]:
    """`forge serve`. looked_at: tell `looked` when so many runs were looked at. clusters: load the Kubernetes client as a deployment does."""
    wishes = {"BENCH_LOOKED_AT": str(looked_at), "BENCH_CLUSTERS": "1" if clusters else ""}
    environment = {**place.environment, **wishes}
    async with child("tests.bench.bot_process", environment=environment, log=place.folder / "bot.log") as running:
        yield running


@contextlib.asynccontextmanager
async def prometheus(
    folder: Path, services: int, environment: str = "staging", tracks: Sequence[str] = ("stable",)
) -> AsyncIterator[str]:
    """The address of a Prometheus-shaped server in a process of its own, which answers in the services' place as well."""
    log = folder / "series.log"
    about = [service_name(1), str(services), environment, *tracks]
    async with child("tests.bench.series_server", about, environment=clean_environment({}), log=log) as running:
        yield str((await running.until("listening"))["url"])


@contextlib.asynccontextmanager
async def local_slack() -> AsyncIterator[LocalSlack]:
    slack = LocalSlack()
    await slack.start()
    staff.settle(slack)
    try:
        yield slack
    finally:
        await slack.stop()


async def connected(slack: LocalSlack, sockets: int) -> None:
    """Until so many sockets of the measured app are open."""
    await slack.until(lambda: len(slack.sockets.connections) >= sockets, timeout_s=READY_WITHIN_S)
