"""The sandbox's production: what stands there, what its traffic does, and how it is broken. There is no bot here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from integrations.prometheus.rules import rules_text
from sandbox.jobs.image import BEHAVIOUR
from sandbox.kubernetes.objects import Obj, clone
from sandbox.serving import until
from sandbox.world import Controls, Product, World, short
from sandbox.world.tags import FINALS, REPOSITORY, RUNNING

PRODUCT = Product(["false"], rules_text)
WITHIN_S = 40.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    tempo = short(validates=())
    async with World(PRODUCT, tempo=tempo, with_bot=False, environments=("prod",), workers=("worker",)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def prod(world: World) -> World:
    """As it began."""
    world.heal()
    world.begin_anew("prod")
    await eventually(lambda: world.serves("prod", RUNNING), f"{RUNNING} serves with all of its pods")
    await eventually(lambda: world.weights("web") == {"web": 100, "web-canary": 0}, "all traffic goes to stable")
    return world


async def eventually(condition: Any, what: str) -> None:
    async def holds() -> bool:
        return bool(condition())

    await until(holds, WITHIN_S, what)


def canary_of(world: World, workload: str, version: str, replicas: int = 1) -> Obj:
    """Stable's Deployment as a deployer copies it for a canary."""
    found = world.cluster.get("Deployment", "prod", workload)
    assert found is not None
    labels = {**found["metadata"]["labels"], "forge/track": "canary"}
    spec: Obj = clone(found["spec"])
    spec["replicas"] = replicas
    spec["selector"]["matchLabels"]["forge/track"] = "canary"
    spec["template"]["metadata"]["labels"]["forge/track"] = "canary"
    spec["template"]["spec"]["containers"][0]["image"] = world.releases.image(workload, version)
    metadata = {"name": f"{workload}-canary", "namespace": "prod", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def weigh(world: World, stable: int, canary: int) -> None:
    route = world.cluster.get("HTTPRoute", "prod", "web")
    assert route is not None
    for ref, weight in zip(route["spec"]["rules"][0]["backendRefs"], (stable, canary), strict=True):
        ref["weight"] = weight
    world.cluster.apply(route)


async def release(world: World, version: str, stable: int, canary: int) -> None:
    """A canary that is ready, and these weights in force."""
    world.cluster.apply(canary_of(world, "web", version))
    pods = world.shop.pods
    await eventually(lambda: any(pod.track == "canary" and pod.in_rotation for pod in pods.values()), "it is ready")
    weigh(world, stable, canary)
    await eventually(lambda: world.weights("web") == {"web": stable, "web-canary": canary}, "the weights are in force")


async def measured(world: World, metric: str, **labels: str) -> float | None:
    """The newest value of a recording rule's only series; None where there is none."""
    chosen = ",".join(f'{name}="{value}"' for name, value in {"env": "prod", **labels}.items())
    found = await world.prometheus.query(f"forge:{metric}:{world.tempo.window}{{{chosen}}}")
    return found[0][1] if len(found) == 1 else None


async def until_measured(world: World, metric: str, good: Any, what: str, **labels: str) -> None:
    async def holds() -> bool:
        value = await measured(world, metric, **labels)
        return value is not None and good(value)

    await until(holds, WITHIN_S, what)


def kubectl(kubeconfig: Path, *words: str) -> str:
    """Blocks, so that it has to run in a thread of its own: what it asks is served by this loop."""
    command = [str(Path(sys.executable).with_name("kubectl")), "--kubeconfig", str(kubeconfig), "-n", "prod", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


async def test_it_begins_with_stable_of_its_size_behind_services_and_accepted_routes(prod: World) -> None:
    sizes = {each["metadata"]["name"]: each["spec"]["replicas"] for each in prod.cluster.list("Deployment", "prod")}
    assert sizes == {"catalog": 3, "web": 4, "worker": 2}
    services = [each["metadata"]["name"] for each in prod.cluster.list("Service", "prod")]
    assert services == ["catalog", "catalog-canary", "web", "web-canary"]
    for each in prod.cluster.list("Deployment", "prod"):
        assert each["spec"]["selector"]["matchLabels"]["forge/track"] == "stable"
        assert each["spec"]["template"]["metadata"]["labels"]["forge/track"] == "stable"
    (scaler,) = prod.cluster.list("HorizontalPodAutoscaler", "prod")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "web"
    assert prod.images("prod") == dict.fromkeys(("catalog", "web", "worker"), RUNNING)
    asked = await asyncio.to_thread(kubectl, prod.folder / "kubeconfig", "get", "httproute", "-o", "name")
    assert [line.rpartition("/")[2] for line in asked.split()] == ["catalog", "web"]


async def test_production_is_measured_by_track(prod: World) -> None:
    await release(prod, "v1.4.0", 75, 25)
    await until_measured(prod, "request_rate", lambda value: 2 < value < 6, "a quarter of web's share", track="canary")
    await until_measured(prod, "request_rate", lambda value: value > 15, "the rest", track="stable")
    await until_measured(prod, "error_ratio", lambda value: value == 0, "it is good", track="canary")
    await until_measured(
        prod, "core_transaction_success_ratio", lambda value: value == 1, "the canary sells", track="canary"
    )


async def test_a_final_version_is_the_candidates_commit_and_image(prod: World) -> None:
    releases = prod.releases
    for final in FINALS:
        same = [releases.commits[final.version] == releases.commits[final.of] if final.of else None]
        same += [releases.image(name, final.version) == releases.image(name, final.of) for name in ("web",) if final.of]
        assert all(same) == bool(final.of), final.version
    own = releases.commits["v1.5.0"]
    assert list(releases.commits.values()).count(own) == 1
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {prod.github.token}"}) as session:
        told = {}
        for final in FINALS:
            path = f"{prod.github.url}/repos/{REPOSITORY}/git/ref/tags/{final.version}"
            async with session.get(path) as answer:
                made = (await answer.json())["object"]
            reason = "no tag object"
            if made["type"] == "tag":
                async with session.get(f"{prod.github.url}/repos/{REPOSITORY}/git/tags/{made['sha']}") as answer:
                    reason = (await answer.json())["verification"]["reason"]
            told[final.version] = reason
    assert told["v1.4.1"] == "no tag object"
    assert told["v1.4.3"] == "unsigned"
    assert told["v1.4.0"] == told["v1.5.0"] != "unsigned"


async def test_a_version_is_spoilt_in_production_alone_and_healed(prod: World) -> None:
    await release(prod, "v1.4.0", 50, 50)
    prod.spoil("v1.4.0", "errors", env="prod")
    await until_measured(
        prod, "error_ratio", lambda value: 0.1 < value < 0.3, "a fifth of its answers fail", track="canary"
    )
    await until_measured(prod, "error_ratio", lambda value: value == 0, "stable is good", track="stable")
    image = prod.releases.image("web", "v1.4.0-rc.2")
    assert prod.shop.spoils.of(image, "staging").error_ratio == 0
    prod.spoil("v1.4.0", "good", env="prod")
    assert prod.shop.spoils.of(image, "prod", "canary").error_ratio == 0
    with pytest.raises(ValueError, match="not in one place alone"):
        prod.spoil("v1.4.0", "verification fails", env="prod")
    prod.spoil("v1.4.0", "migration fails")
    assert json.loads((prod.folder / "images" / "v1.4.0-rc.2" / BEHAVIOUR).read_text()) == {"migrate": "fails"}


async def test_a_frozen_gateway_leaves_the_traffic_as_it_was(prod: World) -> None:
    await release(prod, "v1.4.2", 95, 5)
    prod.production.set_gateway("frozen")
    weigh(prod, 100, 0)
    route = prod.cluster.get("HTTPRoute", "prod", "web") or {}
    seen = [each["observedGeneration"] for each in route["status"]["parents"][0]["conditions"]]
    assert set(seen) == {route["metadata"]["generation"] - 1}
    assert prod.weights("web") == {"web": 95, "web-canary": 5}
    prod.production.set_gateway("refuses")

    def refused() -> bool:
        told = (prod.cluster.get("HTTPRoute", "prod", "web") or {})["status"]["parents"][0]["conditions"]
        return ("False", "UnsupportedValue") in [(each["status"], each["reason"]) for each in told]

    await eventually(refused, "it is refused")
    other = (prod.cluster.get("HTTPRoute", "prod", "catalog") or {})["status"]["parents"][0]["conditions"]
    assert {each["status"] for each in other} == {"True"}, "what was accepted before stays so"
    assert prod.weights("web") == {"web": 95, "web-canary": 5}
    prod.production.set_gateway("accepts")
    await eventually(lambda: prod.weights("web") == {"web": 100, "web-canary": 0}, "what has waited is accepted")


async def test_an_autoscaler_shrinks_stable_and_says_so(prod: World) -> None:
    prod.production.shrink("web")
    await eventually(lambda: len(prod.shop.in_rotation("prod", "web")) == 1, "one pod is left")
    (scaler,) = prod.cluster.list("HorizontalPodAutoscaler", "prod")
    assert scaler["status"]["desiredReplicas"] == 1
    assert "SuccessfulRescale" in [each["reason"] for each in prod.cluster.list("Event", "prod")]
    assert not prod.serves("prod", RUNNING)


async def test_workers_ship_by_their_number_of_pods(prod: World) -> None:
    prod.cluster.apply(canary_of(prod, "worker", "v1.4.2", 2))
    await until_measured(prod, "job_success_rate", lambda value: value > 0.5, "the canary ships", track="canary")
    prod.spoil("v1.4.2", "job failures", env="prod")
    await until_measured(
        prod, "job_failure_ratio", lambda value: 0.3 < value < 0.7, "half of its jobs fail", track="canary"
    )
    await until_measured(prod, "job_failure_ratio", lambda value: value == 0, "stable's don't", track="stable")


async def test_all_of_it_is_done_from_the_panel(prod: World) -> None:
    controls = Controls(prod)
    controls.install()
    async with aiohttp.ClientSession(prod.slack.url) as session:

        async def use(control: str, value: Any = None) -> str:
            async with session.post(f"/_control/panel/{control}", json={"value": value}) as answer:
                assert answer.status == 200, await answer.text()
                note: str = (await answer.json())["note"]
                return note

        async with session.get("/_control/state") as answer:
            groups = {group["title"]: group for group in (await answer.json())["panel"]}
        shown = groups["Production"]
        assert [each["id"] for each in shown["controls"]] == [
            "prod v1.4.0", "prod v1.4.2", "prod v1.4.4", "gateway", "database", "shrink web",
        ]  # fmt: skip

        assert "v1.5.0 (was never a candidate)" in shown["help"]
        assert await use("prod v1.4.0", "crash loop") == "v1.4.0 in prod: crashes again and again"
        assert prod.shop.spoils.of(prod.releases.image("web", "v1.4.0"), "prod").crash_loop
        assert await use("prod v1.4.0", "good") == "v1.4.0 in prod: good"
        assert await use("gateway", "late") == "The gateway accepts after 10 s"
        assert await use("gateway", "accepts") == "The gateway accepts"
        assert await use("database", "locks") == "The database of prod: sessions wait for locks"
        await until_measured(prod, "postgres_lock_waits", lambda value: value > 10, "they wait")
        assert await use("database", "slow") == "The database of prod: slow queries"
        await until_measured(prod, "postgres_slow_queries", lambda value: value > 10, "they are slow")
        prod.heal()
        await until_measured(prod, "postgres_slow_queries", lambda value: value == 0, "it is calm")
        assert await use("shrink web") == "The autoscaler has shrunk web to 1 pod"
        (scaler,) = prod.cluster.list("HorizontalPodAutoscaler", "prod")
        scaler["spec"]["minReplicas"] = 2
        prod.cluster.apply(scaler)
        assert await use("shrink web") == "The autoscaler leaves web 2 pods: its minReplicas says so"
    await controls.close()


async def test_a_second_start_finds_the_canary_and_the_weights(tmp_path: Path) -> None:
    tempo = short(validates=(), production_per_s=1.0)
    async with World(PRODUCT, tempo=tempo, folder=tmp_path, with_bot=False, environments=("prod",)) as first:
        await release(first, "v1.4.2", 75, 25)
    async with World(PRODUCT, tempo=tempo, folder=tmp_path, with_bot=False, environments=("prod",)) as second:
        assert second.images("prod")["web-canary"] == "v1.4.2"
        await eventually(lambda: second.weights("web") == {"web": 75, "web-canary": 25}, "the weights are in force")
        generation = (second.cluster.get("Deployment", "prod", "web-canary") or {})["metadata"]["generation"]
        assert generation == 1
