"""What customers, probes and the cluster see of the shop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.faults import Fault
from sandbox.runtime import Runtime
from sandbox.serving import until
from sandbox.shop import Shop, Spoil

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ORDER = {"product": 1, "quantity": 2}


def pod(name: str = "web-6f-abc", *, digest: str = GOOD, workload: str = "web", **more: Any) -> dict[str, Any]:
    labels = {"app": workload, **more.pop("labels", {})}
    container = {"name": workload, "image": f"127.0.0.1:5000/acme/{workload}@{digest}", **more}
    metadata = {"name": name, "namespace": "staging", "uid": f"uid-{name}", "labels": labels}
    return {"metadata": metadata, "spec": {"containers": [container]}}


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    served = Shop(environments=("staging",))
    served.know("v1.4.0-rc.1", GOOD)
    served.know("v1.4.0-rc.2", BAD)
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def web(shop: Shop) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(shop.endpoint_url("staging", "web")) as session:
        yield session


async def status(web: aiohttp.ClientSession, path: str, method: str = "GET", **more: Any) -> int:
    async with web.request(method, path, **more) as answer:
        await answer.read()
        return answer.status


async def samples(shop: Shop, name: str) -> dict[tuple[str, ...], float]:
    """Values of a metric by (workload, track, code or outcome)."""
    async with aiohttp.ClientSession(shop.url) as session, session.get("/metrics/staging") as answer:
        assert answer.status == 200
        found: dict[tuple[str, ...], float] = {}
        for family in text_string_to_metric_families(await answer.text()):
            for each in family.samples:
                if each.name == name:
                    kind = each.labels.get("code") or each.labels.get("outcome", "")
                    key = (each.labels["workload"], each.labels["track"], kind)
                    found[key] = found.get(key, 0.0) + each.value
        return found


async def test_without_a_pod_the_endpoint_answers_503_as_an_ingress_does(web: aiohttp.ClientSession) -> None:
    async with web.get("/api/products") as answer:
        assert (answer.status, answer.content_type) == (503, "text/html")
        assert "503 Service Temporarily Unavailable" in await answer.text()


async def test_a_good_pod_passes_health_checks_and_the_transaction(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod())
    assert [await status(web, f"/health/{name}") for name in ("live", "ready", "startup")] == [200, 200, 200]
    async with web.get("/api/products") as answer:
        assert answer.headers["X-Shop-Version"] == "v1.4.0-rc.1"
        assert (await answer.json())["products"]
    customer = {"Authorization": f"Bearer {shop.token}"}
    async with web.post("/api/orders", json=ORDER, headers=customer) as answer:
        assert (answer.status, (await answer.json())["total"]) == (201, 9800)
    assert await status(web, "/api/orders", "POST", json=ORDER) == 401
    assert await status(web, "/api/orders", "POST", json={"product": 9}, headers=customer) == 422
    assert await status(web, "/api/orders", "POST", data=b"{", headers=customer) == 400
    assert await status(web, "/api/nothing") == 404
    await shop.stop_pod(pod())
    assert await status(web, "/api/products") == 503


async def test_requests_go_round_the_pods_in_rotation(shop: Shop, web: aiohttp.ClientSession) -> None:
    readiness = {"httpGet": {"path": "/health/ready", "port": 8080}}
    for name in ("web-1-a", "web-1-b", "web-1-c"):
        await shop.start_pod(pod(name, readinessProbe=readiness))
    assert await status(web, "/api/products") == 503
    for name in ("web-1-a", "web-1-b"):
        assert await shop.probe(pod(name, readinessProbe=readiness), readiness)
    seen = []
    for _ in range(4):
        async with web.get("/api/products") as answer:
            seen.append(answer.headers["X-Shop-Pod"])
    assert sorted(seen) == ["web-1-a", "web-1-a", "web-1-b", "web-1-b"]


async def test_weights_split_the_traffic_by_track(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod("web-1-a"))
    await shop.start_pod(pod("web-2-a", labels={"forge/track": "canary"}))
    endpoint = shop.endpoint("staging", "web")
    endpoint.weights = {"stable": 90, "canary": 10}
    chosen = [endpoint.choose() for _ in range(100)]
    assert sum(each is not None and each.track == "canary" for each in chosen) == 10
    await shop.stop_pod(pod("web-2-a"))
    endpoint.weights = {"stable": 0, "canary": 100}
    assert await status(web, "/api/products") == 503


async def test_an_error_ratio_is_kept_exactly_and_counted_for_its_track(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod(digest=BAD))
    shop.spoil("v1.4.0-rc.2", Spoil(error_ratio=0.1))
    answers = [await status(web, "/api/products") for _ in range(20)]
    assert answers.count(500) == 2
    counted = await samples(shop, "http_requests_total")
    assert (counted["web", "stable", "200"], counted["web", "stable", "500"]) == (18, 2)
    assert await status(web, "/health/live") == 200
    shop.heal("v1.4.0-rc.2")
    assert [await status(web, "/api/products") for _ in range(10)].count(500) == 0


async def test_a_spoilt_version_leaves_the_others_alone(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod(digest=GOOD))
    shop.spoil(BAD, Spoil(order_fails=True))
    customer = {"Authorization": f"Bearer {shop.token}"}
    assert await status(web, "/api/orders", "POST", json=ORDER, headers=customer) == 201
    shop.spoil(GOOD, Spoil(order_fails=True))
    assert await status(web, "/api/orders", "POST", json=ORDER, headers=customer) == 500
    assert await status(web, "/api/products") == 200


async def test_latency_is_real_and_lands_in_the_histogram(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(latency_s=0.15))
    began = asyncio.get_running_loop().time()
    assert await status(web, "/api/products") == 200
    assert asyncio.get_running_loop().time() - began >= 0.15
    taken = await samples(shop, "http_request_duration_seconds_sum")
    assert taken["web", "stable", ""] >= 0.15


async def test_health_answers_and_probes_follow_the_spoil(shop: Shop, web: aiohttp.ClientSession) -> None:
    probe = {"httpGet": {"path": "/health/ready", "port": 8080}, "timeoutSeconds": 1}
    live = {"httpGet": {"path": "/health/live", "port": 8080}}
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(health_slow_s=0.05))
    assert await shop.probe(pod(), probe)
    shop.spoil(GOOD, Spoil(health_slow_s=1.5))
    assert not await shop.probe(pod(), probe)
    shop.spoil(GOOD, Spoil(never_ready=True))
    assert not await shop.probe(pod(), probe)
    assert await shop.probe(pod(), live)
    assert await status(web, "/health/ready") == 503
    shop.spoil(GOOD, Spoil(crash_loop=True))
    assert not await shop.probe(pod(), live)
    assert not await shop.probe(pod(), {"httpGet": {"path": "/elsewhere"}})
    assert not await shop.probe(pod("never-started-x"), live)


async def test_the_cluster_is_told_what_an_image_does(shop: Shop) -> None:
    runtime: Runtime = shop.runtime
    image = f"127.0.0.1:5000/acme/web@{BAD}"
    assert (runtime.behaviour(image).pull, runtime.behaviour(image).crash) == ("ok", None)
    shop.spoil("v1.4.0-rc.2", Spoil(crash_loop=True, crash_message="out of luck"))
    crash = runtime.behaviour(image).crash
    assert crash is not None
    assert crash.message == "out of luck"
    shop.spoil("v1.4.0-rc.2", Spoil(never_ready=True))
    assert not runtime.behaviour(image).ready
    shop.exists = lambda asked: asked != image
    assert runtime.behaviour(image).pull == "not_found"


async def test_a_stranger_in_the_cluster_runs_and_serves_nobody(shop: Shop, web: aiohttp.ClientSession) -> None:
    stranger = pod("nginx-1-a", workload="nginx")
    await shop.start_pod(stranger)
    assert await shop.probe(stranger, {"tcpSocket": {"port": 80}})
    assert await status(web, "/api/products") == 503


async def test_a_pods_series_start_at_zero_and_end_with_it(shop: Shop, web: aiohttp.ClientSession) -> None:
    canary = pod("web-2-a", labels={"forge/track": "canary"})
    await shop.start_pod(canary)
    counted = await samples(shop, "http_requests_total")
    assert counted["web", "canary", "500"] == 0
    await status(web, "/api/products")
    assert (await samples(shop, "shop_pod_ready"))["web", "canary", ""] == 1
    await shop.stop_pod(canary)
    assert await samples(shop, "http_requests_total") == {}
    assert await samples(shop, "shop_pod_ready") == {}


async def buy(shop: Shop, web: aiohttp.ClientSession, times: int) -> list[int]:
    customer = {"Authorization": f"Bearer {shop.token}"}
    return [await status(web, "/api/orders", "POST", json=ORDER, headers=customer) for _ in range(times)]


async def test_an_order_is_a_transaction_and_is_shipped_in_the_background(
    shop: Shop, web: aiohttp.ClientSession
) -> None:
    await shop.start_pod(pod())
    assert await buy(shop, web, 3) == [201, 201, 201]
    assert await status(web, "/api/orders", "POST", json=ORDER) == 401
    assert (await samples(shop, "core_transactions_total"))["web", "stable", "success"] == 3

    async def shipped() -> bool:
        return (await samples(shop, "jobs_total"))["web", "stable", "success"] == 3

    await until(shipped, 60, "all orders are shipped")
    assert (await samples(shop, "queue_depth"))["web", "stable", ""] == 0
    assert (await samples(shop, "queue_lag_seconds"))["web", "stable", ""] == 0
    asked = await samples(shop, "dependency_requests_total")
    assert (asked["web", "stable", "success"], asked["web", "stable", "timeout"]) == (6, 0)


async def test_failed_orders_are_failed_transactions_whatever_broke_them(
    shop: Shop, web: aiohttp.ClientSession
) -> None:
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(order_error_ratio=0.25))
    assert (await buy(shop, web, 8)).count(500) == 2
    shop.spoil(GOOD, Spoil(error_ratio=1))
    assert await buy(shop, web, 1) == [500]
    counted = await samples(shop, "core_transactions_total")
    assert (counted["web", "stable", "success"], counted["web", "stable", "failure"]) == (6, 3)


async def test_a_backlog_grows_until_it_is_healed_and_is_then_worked_off(
    shop: Shop, web: aiohttp.ClientSession
) -> None:
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(queue_backlog=True))
    await buy(shop, web, 5)

    async def late() -> bool:
        return (await samples(shop, "queue_lag_seconds"))["web", "stable", ""] > 0.3

    await until(late, 60, "the lag grows")
    assert (await samples(shop, "queue_depth"))["web", "stable", ""] == 5
    shop.spoil(GOOD, Spoil(job_failure_ratio=0.4))

    async def ended() -> bool:
        jobs = await samples(shop, "jobs_total")
        return (jobs["web", "stable", "success"], jobs["web", "stable", "failure"]) == (3, 2)

    await until(ended, 60, "the backlog is worked off, and two of five jobs fail")
    assert (await samples(shop, "queue_depth"))["web", "stable", ""] == 0


async def test_orders_outlive_the_pod_that_took_them_and_a_restart(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(queue_backlog=True))
    await buy(shop, web, 2)
    await shop.stop_pod(pod())
    await shop.stop()
    await shop.start()
    await shop.start_pod(pod("web-2-b", digest=BAD))

    async def shipped() -> bool:
        return (await samples(shop, "jobs_total")).get(("web", "stable", "success")) == 2

    await until(shipped, 60, "the other pod ships them")


async def test_dependencies_time_out_as_often_as_they_shall_and_customers_see_nothing(
    shop: Shop, web: aiohttp.ClientSession
) -> None:
    await shop.start_pod(pod())
    shop.spoil(GOOD, Spoil(dependency_timeout_ratio=0.25))
    assert [await status(web, "/api/products") for _ in range(8)] == [200] * 8
    asked = await samples(shop, "dependency_requests_total")
    assert (asked["web", "stable", "success"], asked["web", "stable", "timeout"]) == (8, 2)


async def test_usage_is_told_of_its_pods_alone_and_memory_kills_at_the_limit(shop: Shop) -> None:
    await shop.start_pod(pod())
    used = shop.usage(pod())
    assert used is not None
    assert (used.memory_ratio, used.cpu_s < 1) == (0.3, True)
    assert shop.usage(pod("other-1-a")) is None
    shop.spoil(GOOD, Spoil(memory_ratio=1.0))
    crash = shop.behaviour(f"127.0.0.1:5000/acme/web@{GOOD}").crash
    assert crash is not None
    assert (crash.exit_code, crash.reason) == (137, "OOMKilled")


async def test_traffic_reads_and_buys_at_every_workload_and_stops(shop: Shop) -> None:
    await shop.start_pod(pod())
    await shop.start_pod(pod("catalog-1-a", workload="catalog"))
    traffic = shop.traffic("staging", requests_per_s=200)
    await traffic.start()

    async def enough() -> bool:
        counted = await samples(shop, "http_requests_total")
        return all(counted[name, "stable", code] > 1 for name in shop.workloads for code in ("200", "201"))

    try:
        await until(enough, 60, "both workloads were read and bought from")
    finally:
        await traffic.stop()
    assert traffic.failed == 0
    sent = traffic.sent
    assert sent < 200 * 10
    await asyncio.sleep(0)
    assert traffic.sent == sent
    requests = len(shop.endpoint("staging", "web").requests)
    assert requests <= sent


async def test_a_slow_shop_is_not_drowned_by_its_customers(shop: Shop) -> None:
    await shop.start_pod(pod())
    await shop.start_pod(pod("catalog-1-a", workload="catalog"))
    shop.spoil(GOOD, Spoil(latency_s=30))
    traffic = shop.traffic("staging", requests_per_s=1000)
    await traffic.start()

    async def full() -> bool:
        return traffic.sent == 20

    try:
        await until(full, 60, "as much is outstanding as may be")
        # fifty more were due in this time
        await asyncio.sleep(0.05)
        assert traffic.sent == 20
    finally:
        await traffic.stop()


async def test_it_is_spoilt_and_healed_over_http(shop: Shop) -> None:
    async with aiohttp.ClientSession(shop.url) as control:
        wanted = {"version": "v1.4.0-rc.2", "error_ratio": 0.5}
        async with control.post("/_control/spoil", json=wanted) as answer:
            assert (await answer.json())["spoilt"]["v1.4.0-rc.2"]["error_ratio"] == 0.5
        for wrong in ({"version": "x", "error_ratio": 2}, {"version": "x", "colour": "red"}, {"error_ratio": 0.1}):
            async with control.post("/_control/spoil", json=wrong) as answer:
                assert answer.status == 422
        async with control.post("/_control/heal", json={}) as answer:
            assert (await answer.json())["spoilt"] == {}
        assert await status(control, "/metrics/nowhere") == 404


async def test_faults_strike_one_endpoint_alone(shop: Shop, web: aiohttp.ClientSession) -> None:
    await shop.start_pod(pod())
    shop.endpoint("staging", "web").faults.add(Fault(status=502, path="/health/"))
    async with web.get("/health/live") as answer:
        assert answer.status == 502
        assert "Bad Gateway" in await answer.text()
    assert await status(web, "/health/live") == 200
    assert [each.status for each in shop.endpoint("staging", "web").requests] == [502, 200]


async def test_endpoints_keep_their_addresses_over_a_restart(shop: Shop) -> None:
    before = shop.endpoint_url("staging", "web")
    await shop.stop()
    await shop.start()
    assert shop.endpoint_url("staging", "web") == before


async def test_a_taken_port_leaves_no_endpoint_listening(shop: Shop) -> None:
    other = Shop(environments=("dev",))
    with pytest.raises(OSError, match="address already in use"):
        await other.start(port=int(shop.url.rpartition(":")[2]))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(other.endpoint_url("dev", "web"))
