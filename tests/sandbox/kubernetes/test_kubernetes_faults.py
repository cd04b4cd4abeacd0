"""Watches and injected faults against the real client: 410, 429, 500, hangs, dropped connections, garbage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio import client, watch
from kubernetes_asyncio.client import ApiException
from kubernetes_manifests import BETTER, deployment, eventually, image_patch, rolled_out

from sandbox.faults import Fault
from sandbox.kubernetes import LocalKubernetes
from tests.integrations.waiting import as_if_waited

STRATEGIC = "application/strategic-merge-patch+json"
PODS = "/api/v1/namespaces/dev/pods"


@pytest.fixture
async def raw(kubernetes: LocalKubernetes) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(kubernetes.url) as session:
        yield session


async def events_of(raw: aiohttp.ClientSession, path: str, **query: str) -> list[dict[str, Any]]:
    """All events until the server ends the stream."""
    parameters = {"watch": "true", "timeoutSeconds": "1", **query}
    async with raw.get(path, params=parameters) as response:
        assert response.status == 200
        return [json.loads(line) async for line in response.content]


async def test_a_watch_tells_every_change_after_its_list(api: client.ApiClient, kubernetes: LocalKubernetes) -> None:
    core: Any = client.CoreV1Api(api)
    kubernetes.cluster.ensure_namespace("dev")
    listed = await core.list_namespaced_pod("dev", _request_timeout=60)
    kubernetes.apply(deployment(replicas=1))
    seen: list[str] = []
    version = listed.metadata.resource_version
    async with watch.Watch() as watcher, asyncio.timeout(60):
        async for event in watcher.stream(core.list_namespaced_pod, "dev", resource_version=version):
            conditions = event["object"].status.conditions or []
            seen.append(event["type"])
            if any(condition.type == "Ready" and condition.status == "True" for condition in conditions):
                break
    assert seen[0] == "ADDED"
    assert set(seen[1:]) == {"MODIFIED"}


async def test_a_watch_from_a_forgotten_version_is_told_410(
    api: client.ApiClient, raw: aiohttp.ClientSession, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(deployment(replicas=1))
    kubernetes.forget_history()
    (event,) = await events_of(raw, PODS, resourceVersion="2")
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    async with watch.Watch() as watcher, asyncio.timeout(60):
        stream = watcher.stream(client.CoreV1Api(api).list_namespaced_pod, "dev", resource_version="2")
        with pytest.raises(ApiException) as error:
            await anext(stream)
    assert error.value.status == 410


async def test_a_watch_from_the_future_is_refused(raw: aiohttp.ClientSession, kubernetes: LocalKubernetes) -> None:
    async with raw.get(PODS, params={"watch": "true", "resourceVersion": "999999"}) as response:
        assert response.status == 504
        assert (await response.json())["message"].startswith("Timeout: Too large resource version: 999999, current: ")


async def test_a_watch_ends_in_time_with_a_bookmark(raw: aiohttp.ClientSession, kubernetes: LocalKubernetes) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    events = await events_of(raw, PODS, resourceVersion="1", allowWatchBookmarks="true")
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert events[-1]["object"]["metadata"]["resourceVersion"] == str(kubernetes.cluster.store.version)


async def test_a_streamed_list_ends_with_a_marked_bookmark(
    raw: aiohttp.ClientSession, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(deployment(replicas=1))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    first, second, *_ = await events_of(raw, "/apis/apps/v1/namespaces/dev/deployments", **query)
    assert (first["type"], second["type"]) == ("ADDED", "BOOKMARK")
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_an_object_that_leaves_the_selection_is_deleted_for_the_watcher(
    raw: aiohttp.ClientSession, kubernetes: LocalKubernetes
) -> None:
    meta = {"name": "c", "namespace": "dev", "labels": {"a": "1"}}
    version = kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})["metadata"][
        "resourceVersion"
    ]
    for value in ("2", "1"):
        kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "labels": {"a": value}}})
    events = await events_of(raw, "/api/v1/configmaps", labelSelector="a=1", resourceVersion=version)
    assert [event["type"] for event in events] == ["DELETED", "ADDED"]


async def test_open_watches_can_be_ended_with_410_and_end_with_the_server(
    raw: aiohttp.ClientSession, kubernetes: LocalKubernetes
) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    asked = asyncio.create_task(events_of(raw, PODS, timeoutSeconds="60"))
    await eventually(lambda: len(kubernetes.watches), "the watch is open")
    kubernetes.watches.end(expired=True)
    assert [event["object"]["code"] for event in await asked] == [410]
    asked = asyncio.create_task(events_of(raw, PODS, timeoutSeconds="60"))
    await eventually(lambda: len(kubernetes.watches), "the watch is open again")
    async with asyncio.timeout(60):
        await kubernetes.stop()
    assert await asked == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (409, "Conflict"),
        (410, "Expired"),
        (422, "Invalid"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ],
)
async def test_a_bare_status_fault_answers_as_the_api_server_would(
    api: client.ApiClient, kubernetes: LocalKubernetes, code: int, reason: str
) -> None:
    kubernetes.apply(deployment())
    kubernetes.faults.add(Fault(status=code, method="PATCH", path="deployments/web"))
    apps: Any = client.AppsV1Api(api)
    how = {"_content_type": STRATEGIC, "_request_timeout": 5}
    with pytest.raises(ApiException) as error:
        await apps.patch_namespaced_deployment("web", "dev", image_patch(BETTER), **how)
    status = json.loads(error.value.body or b"")
    assert (error.value.status, status["kind"], status["code"], status["reason"]) == (code, "Status", code, reason)
    assert ("Retry-After" in (error.value.headers or {})) is (code in (429, 503))
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    assert found["metadata"]["generation"] == 1
    patched = await apps.patch_namespaced_deployment("web", "dev", image_patch(BETTER), **how)
    assert patched.metadata.generation == 2
    seen = [entry[:3] for entry in kubernetes.requests]
    path = "/apis/apps/v1/namespaces/dev/deployments/web"
    assert seen == [("PATCH", path, code), ("PATCH", path, 200)]
    assert kubernetes.requests[-1].body == image_patch(BETTER)


async def test_a_hanging_server_is_left_by_the_clients_time_out(
    api: client.ApiClient, kubernetes: LocalKubernetes
) -> None:
    kubernetes.apply(deployment())
    fault = kubernetes.faults.add(Fault(kind="hang", path="deployments"))
    apps: Any = client.AppsV1Api(api)
    reading = apps.read_namespaced_deployment("web", "dev", _request_timeout=20)
    with pytest.raises(TimeoutError):
        await as_if_waited(reading, lambda: fault.struck, 25)
    assert kubernetes.requests[-1].status == 0
    assert (await apps.read_namespaced_deployment("web", "dev", _request_timeout=60)).metadata.name == "web"


async def test_a_dropped_answer_leaves_the_write_done(api: client.ApiClient, kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    apps: Any = client.AppsV1Api(api)
    how = {"_content_type": STRATEGIC, "_request_timeout": 5}
    kubernetes.faults.add(Fault(kind="reset", method="PATCH"))
    kubernetes.faults.add(Fault(kind="after", method="PATCH"))
    generations = []
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await apps.patch_namespaced_deployment("web", "dev", image_patch(BETTER), **how)
        found = kubernetes.get("Deployment", "dev", "web")
        assert found is not None
        generations.append(found["metadata"]["generation"])
    assert generations == [1, 2]


async def test_faults_are_planned_over_http_too(raw: aiohttp.ClientSession, kubernetes: LocalKubernetes) -> None:
    kubernetes.access.tokens = {}
    async with raw.post("/_control/faults", json={"kind": "garbage", "path": "/version"}) as response:
        assert response.status == 200
    async with raw.get("/version") as response:
        assert (await response.read()).startswith(b"\x00")
    async with raw.get("/readyz") as response:
        assert await response.text() == "ok"
    assert [entry.path for entry in kubernetes.requests] == ["/version", "/readyz"]


async def test_twenty_writers_with_versions_lose_no_update(api: client.ApiClient, kubernetes: LocalKubernetes) -> None:
    core: Any = client.CoreV1Api(api)
    await core.create_namespaced_config_map(
        "default", {"metadata": {"name": "n"}, "data": {"n": "0"}}, _request_timeout=60
    )

    async def count_up() -> None:
        while True:
            seen = await core.read_namespaced_config_map("n", "default", _request_timeout=60)
            seen.data["n"] = str(int(seen.data["n"]) + 1)
            try:
                await core.replace_namespaced_config_map("n", "default", seen, _request_timeout=60)
                return
            except ApiException as error:
                if error.status != 409:
                    raise

    await asyncio.gather(*(count_up() for _ in range(20)))
    found = kubernetes.get("ConfigMap", "default", "n")
    assert found is not None
    assert found["data"] == {"n": "20"}


async def test_every_pod_watch_sees_versions_in_order(raw: aiohttp.ClientSession, kubernetes: LocalKubernetes) -> None:
    kubernetes.cluster.ensure_namespace("dev")
    asked = asyncio.create_task(events_of(raw, PODS, resourceVersion="1", timeoutSeconds="2"))
    kubernetes.apply(deployment(replicas=5))
    await rolled_out(kubernetes)
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in await asked]
    assert versions == sorted(set(versions))
    assert len(versions) >= 10
