"""A workload without HTTP: its pods ship the orders that others take, each track by its number of pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.serving import until
from sandbox.shop import Shop, Spoil

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ORDER = {"product": 1, "quantity": 1}


def pod(workload: str, number: int = 1, track: str = "stable", digest: str = GOOD) -> dict[str, Any]:
    name = f"{workload}-{track}-{number}"
    container = {"name": workload, "image": f"registry.test/acme/{workload}@{digest}"}
    labels = {"app": workload, "forge/track": track}
    metadata = {"name": name, "namespace": "prod", "uid": name, "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [container]}}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    served = Shop(environments=("prod",), workers=("worker",))
    await served.start()
    yield served
    await served.stop()


async def buy(shop: Shop, times: int) -> None:
    headers = {"Authorization": f"Bearer {shop.token}"}
    async with aiohttp.ClientSession(shop.endpoint_url("prod", "web"), headers=headers) as session:
        for _ in range(times):
            async with session.post("/api/orders", json=ORDER) as answer:
                assert answer.status == 201


async def jobs(shop: Shop) -> dict[tuple[str, str, str], float]:
    """Ended jobs by (workload, track, outcome), without those of which there were none."""
    found: dict[tuple[str, str, str], float] = {}
    async with aiohttp.ClientSession(shop.url) as session, session.get("/metrics/prod") as answer:
        for family in text_string_to_metric_families(await answer.text()):
            for each in family.samples:
                if each.name == "jobs_total" and each.value:
                    key = (each.labels["workload"], each.labels["track"], each.labels["outcome"])
                    found[key] = found.get(key, 0.0) + each.value
    return found


async def test_a_worker_ships_for_all_and_its_canary_by_its_number_of_pods(shop: Shop) -> None:
    for number in range(3):
        await shop.start_pod(pod("worker", number))
    await shop.start_pod(pod("worker", 0, "canary", BAD))
    await shop.start_pod(pod("web"))
    shop.spoil(BAD, Spoil(job_failure_ratio=0.5))
    await buy(shop, 16)

    async def shipped() -> bool:
        return sum((await jobs(shop)).values()) == 16

    await until(shipped, 60, "all orders are shipped")
    assert await jobs(shop) == {
        ("worker", "stable", "success"): 12,
        ("worker", "canary", "success"): 2,
        ("worker", "canary", "failure"): 2,
    }


async def test_orders_wait_while_every_worker_is_gone_and_are_shipped_by_who_took_them_where_none_ever_ran(
    shop: Shop,
) -> None:
    await shop.start_pod(pod("web"))
    await buy(shop, 2)

    async def shipped() -> bool:
        return await jobs(shop) == {("web", "stable", "success"): 2}

    await until(shipped, 60, "the pod that took them ships them")
    await shop.start_pod(pod("worker"))
    await shop.stop_pod(pod("worker"))
    await buy(shop, 3)
    assert shop.queues["prod", "worker", ""].depth == 3
    await shop.start_pod(pod("worker", 2))

    async def worked_off() -> bool:
        return (await jobs(shop)).get(("worker", "stable", "success")) == 3

    await until(worked_off, 60, "the new worker ships what has waited")
