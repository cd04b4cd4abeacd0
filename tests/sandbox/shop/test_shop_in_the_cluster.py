"""The shop as the containers of the Kubernetes stand-in: real rollouts, real requests meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from sandbox.kubernetes import LocalKubernetes
from sandbox.registry import LocalRegistry
from sandbox.serving import until
from sandbox.shop import Shop, Spoil


@dataclass
class World:
    shop: Shop
    cluster: LocalKubernetes
    registry: LocalRegistry
    digests: dict[str, str] = field(default_factory=dict)

    def deploy(self, version: str, digest: str | None = None) -> None:
        image = f"registry.test/acme/web@{digest or self.digests[version]}"
        probes = {
            kind: {"httpGet": {"path": f"/health/{path}", "port": 8080}, "periodSeconds": 1}
            for kind, path in (("readinessProbe", "ready"), ("livenessProbe", "live"))
        }
        template = {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": image, **probes}]},
        }
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
        metadata = {"name": "web", "namespace": "staging"}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    async def wait(self, condition: Callable[[], bool], what: str) -> None:
        async def holds() -> bool:
            return condition()

        await until(holds, 60, what)

    def serves(self, version: str) -> bool:
        pods = self.shop.in_rotation("staging", "web")
        return len(pods) == 2 and all(pod.image.endswith(self.digests[version]) for pod in pods)

    def states(self) -> list[dict[str, Any]]:
        pods = self.cluster.list("Pod", "staging")
        return [each for pod in pods for each in pod.get("status", {}).get("containerStatuses", ())]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    registry = LocalRegistry()
    shop = Shop(environments=("staging",), exists=registry.has)
    await shop.start()
    cluster = LocalKubernetes(runtime=shop.runtime, time_scale=0.02)
    await cluster.start()
    made = World(shop, cluster, registry)
    for version in ("v1", "v2"):
        made.digests[version] = registry.push("acme/web", version)
        shop.know(version, made.digests[version])
    yield made
    await cluster.stop()
    await shop.stop()


@asynccontextmanager
async def customer(url: str) -> AsyncIterator[list[int]]:
    """Asks without a pause until the block ends; the statuses it saw."""
    seen: list[int] = []

    async def ask() -> None:
        async with aiohttp.ClientSession(url) as session:
            while True:
                async with session.get("/api/products") as answer:
                    seen.append(answer.status)

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_rolling_update_loses_no_request(world: World) -> None:
    world.deploy("v1")
    await world.wait(lambda: world.serves("v1"), "v1 serves")
    async with customer(world.shop.endpoint_url("staging", "web")) as seen:
        world.deploy("v2")
        await world.wait(lambda: world.serves("v2"), "v2 serves")
    assert set(seen) == {200}


async def test_a_crash_loop_is_told_by_the_cluster_while_the_old_version_serves(world: World) -> None:
    world.deploy("v1")
    await world.wait(lambda: world.serves("v1"), "v1 serves")
    world.shop.spoil("v2", Spoil(crash_loop=True, crash_message="panic: no catalogue"))
    async with customer(world.shop.endpoint_url("staging", "web")) as seen:
        world.deploy("v2")
        await world.wait(
            lambda: any(
                state["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff" for state in world.states()
            ),
            "v2 crash-loops",
        )
    assert set(seen) == {200}
    last = [state["lastState"]["terminated"]["message"] for state in world.states() if state["lastState"]]
    assert set(last) == {"panic: no catalogue"}


async def test_a_version_that_breaks_later_is_taken_out_of_rotation_by_its_probe(world: World) -> None:
    world.deploy("v1")
    await world.wait(lambda: world.serves("v1"), "v1 serves")
    world.shop.spoil("v1", Spoil(never_ready=True))
    await world.wait(lambda: not any(state["ready"] for state in world.states()), "no container is ready")
    async with aiohttp.ClientSession(world.shop.endpoint_url("staging", "web")) as session:
        async with session.get("/health/ready") as answer:
            assert answer.status == 503
        world.shop.heal("v1")
        await world.wait(lambda: world.serves("v1"), "v1 serves again")
        async with session.get("/health/ready") as answer:
            assert answer.status == 200


async def test_an_image_that_the_registry_does_not_have_is_not_pulled(world: World) -> None:
    world.deploy("v1", digest="sha256:" + "0" * 64)
    await world.wait(
        lambda: any(state["state"].get("waiting", {}).get("reason") == "ErrImagePull" for state in world.states()),
        "the pull fails",
    )
    assert world.shop.pods == {}
