"""Requests go where the accepted HTTPRoute sends them: exact shares, empty backends, foreign rules, spoils of one place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sandbox.kubernetes import LocalKubernetes
from sandbox.serving import until
from sandbox.shop import Shop, Spoil
from sandbox.shop.turns import Turns

GOOD, BAD = "sha256:" + "a" * 64, "sha256:" + "b" * 64
GATEWAY_API = "gateway.networking.k8s.io/v1"
PROBE = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1}


def deployment(name: str, workload: str, track: str, digest: str, replicas: int) -> dict[str, Any]:
    labels = {"app": workload, "forge/track": track}
    container = {"name": workload, "image": f"registry.test/acme/{workload}@{digest}", "readinessProbe": PROBE}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": "prod"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service(name: str, track: str) -> dict[str, Any]:
    spec = {"selector": {"app": "web", "forge/track": track}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "prod"}, "spec": spec}


def rule(stable: int, canary: int, **more: Any) -> dict[str, Any]:
    refs = [{"name": "web", "port": 80, "weight": stable}, {"name": "web-canary", "port": 80, "weight": canary}]
    return {"backendRefs": refs, **more}


@dataclass
class Town:
    """The shop's `web` in prod: two pods of stable, one of the canary, a Gateway before them."""

    shop: Shop
    cluster: LocalKubernetes
    session: aiohttp.ClientSession
    asked: Counter[str] = field(default_factory=Counter)

    def route(self, *rules: dict[str, Any]) -> None:
        spec = {"parentRefs": [{"name": "edge"}], "rules": list(rules)}
        metadata = {"name": "web", "namespace": "prod"}
        self.cluster.apply({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": metadata, "spec": spec})

    async def weigh(self, stable: int, canary: int) -> None:
        """Returns when these weights are accepted."""
        self.route(rule(stable, canary))
        await self.accepted()

    async def accepted(self) -> None:
        async def holds() -> bool:
            found = self.cluster.get("HTTPRoute", "prod", "web") or {}
            parents = (found.get("status") or {}).get("parents") or [{"conditions": []}]
            seen = [each.get("observedGeneration") for each in parents[0]["conditions"]]
            return bool(seen) and set(seen) == {found["metadata"]["generation"]}

        await until(holds, 60, "the route is accepted")

    async def ready(self, stable: int, canary: int) -> None:
        async def holds() -> bool:
            pods = Counter(pod.track for pod in self.shop.in_rotation("prod", "web"))
            return (pods["stable"], pods["canary"]) == (stable, canary) and len(self.shop.pods) == stable + canary

        await until(holds, 60, f"{stable} pods of stable and {canary} of the canary are ready")

    async def ask(self, times: int, path: str = "/api/products", **more: Any) -> Counter[str]:
        """Who answered: a track, or the gateway's own status."""

        async def one() -> str:
            async with self.session.get(path, **more) as answer:
                await answer.read()
                return answer.headers.get("X-Shop-Track") or str(answer.status)

        found: Counter[str] = Counter()
        for _ in range(times // 20):
            found.update(await asyncio.gather(*(one() for _ in range(20))))
        for _ in range(times % 20):
            found[await one()] += 1
        return found


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    shop = Shop(environments=("prod",))
    shop.know("v1.3.0", GOOD)
    shop.know("v1.4.0-rc.2", BAD)
    shop.know("v1.4.0", BAD)
    await shop.start()
    cluster = LocalKubernetes(runtime=shop.runtime, time_scale=0.02)
    cluster.on_route(shop.follow)
    await cluster.start()
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    spec = {"gatewayClassName": "sandbox", "listeners": listeners}
    metadata = {"name": "edge", "namespace": "prod"}
    cluster.apply({"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": metadata, "spec": spec})
    cluster.apply(deployment("web", "web", "stable", GOOD, 2))
    cluster.apply(deployment("web-canary", "web", "canary", BAD, 1))
    cluster.apply(service("web", "stable"))
    cluster.apply(service("web-canary", "canary"))
    try:
        async with aiohttp.ClientSession(shop.endpoint_url("prod", "web")) as session:
            made = Town(shop, cluster, session)
            await made.ready(2, 1)
            yield made
    finally:
        await cluster.stop()
        await shop.stop()


async def test_without_a_route_every_pod_gets_its_share(town: Town) -> None:
    assert await town.ask(30) == {"stable": 20, "canary": 10}


async def test_accepted_weights_are_followed_exactly(town: Town) -> None:
    await town.weigh(100, 0)
    assert await town.ask(40) == {"stable": 40}
    await town.weigh(95, 5)
    assert await town.ask(200) == {"stable": 190, "canary": 10}
    await town.weigh(75, 25)
    assert await town.ask(200) == {"stable": 150, "canary": 50}
    await town.weigh(0, 100)
    assert await town.ask(20) == {"canary": 20}
    await town.weigh(0, 0)
    assert await town.ask(3) == {"500": 3}


async def test_weights_that_are_not_accepted_do_not_count(town: Town) -> None:
    await town.weigh(100, 0)
    town.cluster.gateway.freeze()
    town.route(rule(0, 100))
    assert await town.ask(20) == {"stable": 20}
    town.cluster.gateway.refuse("UnsupportedValue")
    await town.accepted()  # that is: answered, for the present generation
    assert await town.ask(20) == {"stable": 20}
    town.cluster.gateway.heal()

    async def moved() -> bool:
        return bool((await town.ask(1))["canary"])

    await until(moved, 60, "what has waited is accepted")
    assert await town.ask(20) == {"canary": 20}


async def test_the_share_of_a_backend_without_a_ready_pod_is_answered_503(town: Town) -> None:
    await town.weigh(90, 10)
    town.cluster.apply(deployment("web-canary", "web", "canary", BAD, 0))
    await town.ready(2, 0)
    assert await town.ask(100) == {"stable": 90, "503": 10}
    async with town.session.get("/health/ready") as answer:
        assert answer.status in (200, 503)
    town.cluster.delete("Service", "prod", "web-canary")

    async def lost() -> bool:
        return (await town.ask(20))["500"] == 2

    await until(lost, 60, "the share of a Service that isn't there is answered 500")
    town.cluster.delete("HTTPRoute", "prod", "web")

    async def free() -> bool:
        return await town.ask(20) == {"stable": 20}

    await until(free, 60, "without a route every pod is asked again")


async def test_foreign_rules_keep_their_requests(town: Town) -> None:
    orders = {"path": {"type": "PathPrefix", "value": "/api/orders"}}
    testers = {"headers": [{"name": "X-Tester", "value": "yes"}]}
    town.route(rule(100, 0), rule(0, 100, matches=[orders, testers]))
    await town.accepted()
    assert await town.ask(20) == {"stable": 20}
    assert await town.ask(20, headers={"x-tester": "yes"}) == {"canary": 20}
    assert await town.ask(2, "/api/orders/7") == {"canary": 2}
    town.route(rule(100, 0, matches=[{"path": {"type": "Exact", "value": "/api/products"}}]))
    await town.accepted()
    assert await town.ask(2) == {"stable": 2}
    assert await town.ask(2, "/api/other") == {"404": 2}


async def test_of_two_routes_the_one_of_the_workloads_name_is_followed(town: Town) -> None:
    await town.weigh(100, 0)
    spec = {"parentRefs": [{"name": "edge"}], "hostnames": ["beta.test"], "rules": [rule(0, 100)]}
    metadata = {"name": "beta", "namespace": "prod"}
    town.cluster.apply({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": metadata, "spec": spec})

    async def followed() -> bool:
        return ("prod", "beta") in town.cluster.gateway.followed

    await until(followed, 60, "the other route is accepted")
    assert await town.ask(20) == {"stable": 20}
    town.cluster.delete("HTTPRoute", "prod", "web")

    async def moved() -> bool:
        return await town.ask(20) == {"canary": 20}

    await until(moved, 60, "the other route is what is left")


async def test_a_version_is_spoilt_in_one_environment_and_on_one_track(town: Town) -> None:
    await town.weigh(50, 50)
    assert town.shop.spoils.version_of(f"x@{BAD}") == "v1.4.0-rc.2", "as what it was first known"
    town.shop.spoil("v1.4.0", Spoil(error_ratio=0.2), env="staging")
    assert [await errors(town, 20), await errors(town, 20)] == [0, 0]
    town.shop.spoil("v1.4.0", Spoil(error_ratio=0.2), env="prod", track="canary")
    assert await errors(town, 100) == 10
    town.shop.heal("v1.4.0", env="prod", track="canary")
    town.shop.spoil("*", Spoil(error_ratio=1), env="prod", track="stable")
    assert await errors(town, 20) == 10
    town.shop.heal(env="prod", track="stable")
    assert await errors(town, 20) == 0
    assert town.shop.spoils.of(f"x@{BAD}", "staging").error_ratio == 0.2
    assert town.shop.spoils.is_version(f"x@{BAD}", "v1.4.0")


async def errors(town: Town, times: int) -> int:
    found = 0
    for _ in range(times):
        async with town.session.get("/api/products") as answer:
            found += answer.status == 500
    return found


async def test_a_crash_loop_of_the_canary_leaves_the_same_image_elsewhere_alone(town: Town) -> None:
    town.cluster.apply(deployment("web", "web", "stable", BAD, 2))

    async def same_image() -> bool:
        return {pod.image[-3:] for pod in town.shop.pods.values()} == {BAD[-3:]}

    await until(same_image, 60, "stable runs the canary's image")
    await town.ready(2, 1)
    town.shop.spoil("v1.4.0", Spoil(crash_loop=True), env="prod", track="canary")

    async def crashed() -> bool:
        states = {
            pod["metadata"]["labels"]["forge/track"]: status["restartCount"]
            for pod in town.cluster.list("Pod", "prod")
            for status in pod.get("status", {}).get("containerStatuses", ())
        }
        return bool(states["canary"] > 0 and states["stable"] == 0)

    (pod,) = [
        each for each in town.cluster.list("Pod", "prod") if each["metadata"]["labels"]["forge/track"] == "canary"
    ]
    town.cluster.crash("prod", pod["metadata"]["name"])
    await until(crashed, 60, "the canary restarts again and again")
    assert len(town.shop.in_rotation("prod", "web")) == 2


async def test_each_track_is_measured_apart(town: Town) -> None:
    await town.weigh(75, 25)
    await town.ask(80)
    async with aiohttp.ClientSession(town.shop.url) as session, session.get("/metrics/prod") as answer:
        families = text_string_to_metric_families(await answer.text())
    counted: Counter[str] = Counter()
    for family in families:
        for each in family.samples:
            if each.name == "http_requests_total":
                counted[each.labels["track"]] += int(each.value)
    assert counted == {"stable": 60, "canary": 20}


def test_rounds_are_exact_and_in_no_pattern() -> None:
    turns = Turns("web")
    drawn = [turns.next({"stable": 95, "canary": 5}) for _ in range(2000)]
    places = [number % 20 for number, each in enumerate(drawn) if each == "canary"]
    assert len(places) == 100
    assert [drawn[start : start + 20].count("canary") for start in range(0, 2000, 20)] == [1] * 100
    assert len(set(places)) > 10
    assert turns.next({"stable": 0, "canary": 0}) is None
    large = [turns.next({"stable": 999_999, "canary": 1}) for _ in range(3000)]
    assert large.count("stable") > 2990
