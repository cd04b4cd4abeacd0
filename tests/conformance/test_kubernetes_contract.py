"""What forge relies on in a cluster. Reads; only the tests marked `changes_an_image` write, on the one Deployment named, and put it back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from integrations.kubernetes import Kubeconfig, KubernetesCluster
from integrations.kubernetes.calls import STRATEGIC_MERGE
from integrations.kubernetes.credentials import Credentials, open_client
from runbook.errors import Permanent
from runbook.ports import Deployment
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
ROLLOUT_S = 150.0


@pytest.fixture
def credentials(addresses: Addresses) -> Credentials:
    path = addresses.get("CONFORMANCE_KUBECONFIG")
    return Kubeconfig(Path(path) if path else None, addresses.get("CONFORMANCE_KUBE_CONTEXT", ""))


@pytest.fixture
async def cluster(addresses: Addresses, credentials: Credentials) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(credentials, addresses["CONFORMANCE_NAMESPACE"])
    yield made
    await made.aclose()


@pytest.fixture
def name(addresses: Addresses) -> str:
    return addresses["CONFORMANCE_DEPLOYMENT"]


@pytest.fixture
def container(addresses: Addresses) -> str:
    return addresses["CONFORMANCE_CONTAINER"]


async def read(cluster: KubernetesCluster, name: str) -> Deployment:
    found = await cluster.deployment(name)
    assert found is not None, f"there is no Deployment {name}"
    return found


async def complete(cluster: KubernetesCluster, name: str) -> None:
    async with asyncio.timeout(ROLLOUT_S):
        while not (await cluster.rollout(name)).complete:  # noqa: ASYNC110 - a rollout is looked at, nobody rings
            await asyncio.sleep(0.25)


async def raw(credentials: Credentials, addresses: Addresses, patch: dict[str, Any] | None = None) -> tuple[int, Any]:
    """The Deployment as JSON; with a patch what the server would make of it, by a dry run that keeps nothing."""
    from kubernetes_asyncio.client import AppsV1Api

    client = await open_client(credentials)
    name, namespace = addresses["CONFORMANCE_DEPLOYMENT"], addresses["CONFORMANCE_NAMESPACE"]
    try:
        apps: Any = AppsV1Api(client)
        options = {"_preload_content": False, "_request_timeout": 20}
        if patch is None:
            response = await apps.read_namespaced_deployment(name, namespace, **options)
        else:
            response = await apps.patch_namespaced_deployment(
                name, namespace, patch, dry_run="All", _content_type=STRATEGIC_MERGE, **options
            )
        return response.status, json.loads(await response.read())
    finally:
        await client.close()


async def test_the_deployment_is_read_with_its_container_and_its_probes(
    cluster: KubernetesCluster, name: str, container: str
) -> None:
    found = await read(cluster, name)
    spec = next(each for each in found.containers if each.name == container)
    assert spec.image
    assert spec.live_path is not None
    assert spec.live_path.startswith("/")
    assert spec.ready_path is not None
    assert spec.ready_path.startswith("/")
    assert found.generation >= 1


async def test_a_deployment_that_isnt_there_is_none(cluster: KubernetesCluster) -> None:
    assert await cluster.deployment("forge-conformance-no-such-deployment") is None


async def test_the_reviews_grant_every_right_that_forge_asks_for(cluster: KubernetesCluster) -> None:
    assert await cluster.missing_rights() == ()


async def test_a_settled_deployment_counts_as_rolled_out(cluster: KubernetesCluster, name: str) -> None:
    await complete(cluster, name)
    rollout = await cluster.rollout(name)
    assert rollout.observed
    assert rollout.total == rollout.updated == rollout.available == rollout.desired
    assert not rollout.deadline_exceeded


async def test_a_patch_on_an_older_version_of_the_object_is_a_conflict(
    credentials: Credentials, addresses: Addresses
) -> None:
    status, answer = await raw(
        credentials, addresses, {"metadata": {"resourceVersion": "1"}, "spec": {"paused": False}}
    )
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_a_merge_by_container_name_changes_the_image_and_nothing_beside_it(
    credentials: Credentials, addresses: Addresses, container: str
) -> None:
    _, before = await raw(credentials, addresses)
    image = "registry.invalid/forge-conformance@sha256:" + "0" * 64
    patch = {
        "metadata": {"resourceVersion": before["metadata"]["resourceVersion"]},
        "spec": {"template": {"spec": {"containers": [{"name": container, "image": image}]}}},
    }
    status, after = await raw(credentials, addresses, patch)
    assert status == 200
    wanted = before["spec"]["template"]["spec"]["containers"]
    next(each for each in wanted if each["name"] == container)["image"] = image
    assert after["spec"] == before["spec"]
    _, kept = await raw(credentials, addresses)
    assert kept["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_container_that_isnt_there_is_refused_before_anything_is_written(
    cluster: KubernetesCluster, name: str
) -> None:
    before = await read(cluster, name)
    with pytest.raises(Permanent) as refused:
        await cluster.set_images(name, {"forge-conformance": "registry.invalid/a@sha256:" + "0" * 64}, {})
    assert refused.value.code == "kubernetes.no_container"
    assert (await read(cluster, name)).generation == before.generation


@pytest.mark.changes_an_image
@pytest.mark.timeout(600)
async def test_an_image_is_set_once_rolled_out_and_put_back(
    cluster: KubernetesCluster, addresses: Addresses, name: str, container: str
) -> None:
    await complete(cluster, name)
    before = await read(cluster, name)
    old, new = before.image_of(container), addresses["CONFORMANCE_OTHER_IMAGE"]
    assert old is not None
    assert old != new, "CONFORMANCE_OTHER_IMAGE must differ from the image that runs"
    try:
        generation = await cluster.set_images(name, {container: new}, {"forge/run": "conformance", "forge/step": "1"})
        assert generation == before.generation + 1
        again = await cluster.set_images(name, {container: new}, {"forge/run": "conformance", "forge/step": "2"})
        assert again == generation, "the same image must make no new generation"
        await complete(cluster, name)
        assert (await read(cluster, name)).image_of(container) == new
    finally:
        await cluster.set_images(name, {container: old}, {"forge/run": "conformance", "forge/step": "back"})
    await complete(cluster, name)
    assert (await read(cluster, name)).image_of(container) == old
