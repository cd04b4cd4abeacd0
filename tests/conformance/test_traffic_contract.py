"""What forge relies on where it moves traffic. The route is only changed by dry runs; one canary without pods is made, and deleted again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integrations.kubernetes import PRODUCTION_RIGHTS, RIGHTS, Kubeconfig, KubernetesCluster
from integrations.kubernetes.credentials import Credentials, open_client
from integrations.kubernetes.route import pairs, patch, unaccepted
from integrations.kubernetes.traffic import GROUP, JSON_PATCH, PLURAL, VERSION
from runbook.errors import Permanent
from runbook.ports import CanaryOrder, TrafficTarget
from runbook.rules.traffic import ROUTE, usable
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
CANARY = "forge-conformance-canary"
RUN = "conformance-1"


@pytest.fixture
def credentials(addresses: Addresses) -> Credentials:
    path = addresses.get("CONFORMANCE_KUBECONFIG")
    return Kubeconfig(Path(path) if path else None, addresses.get("CONFORMANCE_KUBE_CONTEXT", ""))


@pytest.fixture
async def cluster(addresses: Addresses, credentials: Credentials) -> AsyncIterator[KubernetesCluster]:
    rights = (*RIGHTS, *PRODUCTION_RIGHTS)
    made = KubernetesCluster(credentials, addresses["CONFORMANCE_NAMESPACE"], rights=rights)
    yield made
    await made.aclose()


@pytest.fixture
def target(addresses: Addresses) -> TrafficTarget:
    name = addresses["CONFORMANCE_TRACKED"]
    return TrafficTarget(
        workload=name,
        canary=CANARY,
        driver=ROUTE,
        size=1,
        route=addresses["CONFORMANCE_ROUTE"],
        stable_backend=addresses.get("CONFORMANCE_STABLE_SERVICE") or name,
        canary_backend=addresses.get("CONFORMANCE_CANARY_SERVICE") or f"{name}-canary",
    )


async def raw(
    credentials: Credentials, addresses: Addresses, changes: list[dict[str, Any]] | None = None
) -> tuple[int, Any]:
    """The HTTPRoute as JSON; with changes what the server would make of it, by a dry run that keeps nothing."""
    from kubernetes_asyncio.client import CustomObjectsApi

    client = await open_client(credentials)
    where = (GROUP, VERSION, addresses["CONFORMANCE_NAMESPACE"], PLURAL, addresses["CONFORMANCE_ROUTE"])
    try:
        custom: Any = CustomObjectsApi(client)
        options = {"_preload_content": False, "_request_timeout": 20}
        if changes is None:
            response = await custom.get_namespaced_custom_object(*where, **options)
        else:
            response = await custom.patch_namespaced_custom_object(
                *where, changes, dry_run="All", _content_type=JSON_PATCH, **options
            )
        return response.status, json.loads(await response.read())
    finally:
        await client.close()


async def test_the_reviews_grant_every_right_that_production_needs(cluster: KubernetesCluster) -> None:
    assert await cluster.missing_rights() == ()


async def test_the_route_is_in_force_and_its_share_is_read(cluster: KubernetesCluster, target: TrafficTarget) -> None:
    async with asyncio.timeout(30):
        while True:
            share = await cluster.share(target)
            assert share is not None, f"there is no HTTPRoute {target.route}"
            if share.accepted:
                break
            await asyncio.sleep(0.25)
    assert share.code == ""
    assert share.places
    assert 0 <= share.true_ratio <= 1


async def test_the_controller_says_of_which_generation_it_speaks(
    credentials: Credentials, addresses: Addresses, cluster: KubernetesCluster, target: TrafficTarget
) -> None:
    await test_the_route_is_in_force_and_its_share_is_read(cluster, target)
    _, route = await raw(credentials, addresses)
    generation = route["metadata"]["generation"]
    conditions = [condition for parent in route["status"]["parents"] for condition in parent["conditions"]]
    assert max(condition.get("observedGeneration", 0) for condition in conditions) == generation
    route["metadata"]["generation"] = generation + 1
    assert list(unaccepted(route, addresses["CONFORMANCE_NAMESPACE"]))


async def test_a_route_that_is_not_there_is_told_from_a_cluster_without_routes(
    cluster: KubernetesCluster, target: TrafficTarget
) -> None:
    other = TrafficTarget("web", "web-canary", ROUTE, 1, "forge-conformance-no-such-route", "web", "web-canary")
    assert await cluster.share(other) is None
    with pytest.raises(Permanent) as refused:
        await cluster.set_weight(other, 0)
    assert refused.value.code == "kubernetes.no_route"


async def test_the_patch_changes_two_weights_in_each_rule_and_nothing_beside_them(
    credentials: Credentials, addresses: Addresses, target: TrafficTarget
) -> None:
    _, before = await raw(credentials, addresses)
    both = pairs(before, target, addresses["CONFORMANCE_NAMESPACE"])
    weight = next(each for each in (37, 38) if not all(pair.is_at(each) for pair in both))
    status, after = await raw(credentials, addresses, patch(before, both, weight))
    assert status == 200
    for pair in both:
        refs = before["spec"]["rules"][pair.rule]["backendRefs"]
        refs[pair.stable_at]["weight"], refs[pair.canary_at]["weight"] = 100 - weight, weight
    assert after["spec"] == before["spec"]
    _, kept = await raw(credentials, addresses)
    assert kept["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_patch_on_an_older_version_of_the_route_is_a_conflict(
    credentials: Credentials, addresses: Addresses, target: TrafficTarget
) -> None:
    _, route = await raw(credentials, addresses)
    both = pairs(route, target, addresses["CONFORMANCE_NAMESPACE"])
    route["metadata"]["resourceVersion"] = "1"
    status, answer = await raw(credentials, addresses, patch(route, both, 37))
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_a_deployment_tells_its_track_its_selector_and_what_it_can_carry(
    cluster: KubernetesCluster, target: TrafficTarget
) -> None:
    found = await cluster.deployment(target.workload)
    assert found is not None
    assert found.labels["forge/track"] == found.selector["forge/track"] == "stable"
    assert found.rollout is not None
    assert usable(found.rollout) <= found.replicas


async def test_a_canary_without_pods_is_made_once_and_goes(cluster: KubernetesCluster, target: TrafficTarget) -> None:
    stable = await cluster.deployment(target.workload)
    assert stable is not None
    images = {container.name: container.image for container in stable.containers}
    order = CanaryOrder(target.workload, CANARY, images, 0, RUN)
    try:
        await cluster.start_canary(order)
        await cluster.start_canary(order)
        made = await cluster.deployment(CANARY)
        assert made is not None
        assert (made.generation, made.replicas, made.marks["forge/run"]) == (1, 0, RUN)
        assert made.containers == stable.containers
        await cluster.remove_canary(CANARY, "conformance-2")
        assert await cluster.deployment(CANARY) is not None
    finally:
        await cluster.remove_canary(CANARY, RUN)
    async with asyncio.timeout(60):
        while await cluster.deployment(CANARY) is not None:  # noqa: ASYNC110 - a deletion is looked at, nobody rings
            await asyncio.sleep(0.25)
