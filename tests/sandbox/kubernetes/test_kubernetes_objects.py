"""The stand-in's objects are valid by the official schemas, and its surface says what it serves."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from kubernetes_asyncio import client, config
from kubernetes_manifests import CRASHING, UNREADY, deployment, eventually, rolled_out

from sandbox.kubernetes import LocalKubernetes, ScriptedRuntime
from sandbox.kubernetes.columns import age

SCHEMA = "1.34"


async def test_everything_in_the_store_is_valid_by_the_official_schema(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment("good"))
    kubernetes.apply(deployment("crashing", image=CRASHING))
    kubernetes.apply(deployment("unready", image=UNREADY, progressDeadlineSeconds=20))
    ports = [{"port": 80, "targetPort": 8080}]
    spec = {"selector": {"app": "good"}, "ports": ports}
    kubernetes.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "good"}, "spec": spec})
    kubernetes.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}})
    await rolled_out(kubernetes, "good")
    await eventually(lambda: "CrashLoopBackOff" in repr(kubernetes.list("Pod", "dev")), "a crash loop")
    await eventually(lambda: "ProgressDeadlineExceeded" in repr(kubernetes.list("Deployment", "dev")), "a deadline")
    kinds = ("Deployment", "ReplicaSet", "Pod", "Event", "Namespace", "Service", "Secret")
    objects = [obj for kind in kinds for obj in kubernetes.list(kind)]
    assert {obj["kind"] for obj in objects} == set(kinds)
    for obj in objects:
        kubernetes_validate.validate(obj, SCHEMA, strict=True)


async def test_discovery_names_every_kind_and_its_subresources(kubernetes: LocalKubernetes) -> None:
    async with aiohttp.ClientSession(kubernetes.url) as session:

        async def get(path: str) -> dict[str, Any]:
            async with session.get(path) as response:
                assert response.status == 200, path
                return dict(await response.json())

        assert (await get("/api"))["versions"] == ["v1"]
        groups = [group["name"] for group in (await get("/apis"))["groups"]]
        assert groups == [
            "apps", "batch", "coordination.k8s.io", "autoscaling", "gateway.networking.k8s.io",
            "authorization.k8s.io", "authentication.k8s.io",
        ]  # fmt: skip
        names = [entry["name"] for entry in (await get("/apis/apps/v1"))["resources"]]
        assert {"deployments", "deployments/status", "deployments/scale", "replicasets"} <= set(names)
        assert (await get("/version"))["gitVersion"] == "v1.34.1"
        assert "apis/apps/v1" in (await get("/openapi/v3"))["paths"]
        for path in ("/healthz", "/livez", "/readyz"):
            async with session.get(path) as response:
                assert (response.status, await response.text()) == (200, "ok")
        for path in ("/apis/none/v1", "/apis/apps/v1/namespaces/dev/horses", "/api/v1/namespaces/dev/pods/x/y/z"):
            async with session.get(path) as response:
                assert (response.status, (await response.json())["reason"]) == (404, "NotFound")


async def test_what_was_applied_before_the_start_runs_afterwards(runtime: ScriptedRuntime) -> None:
    kubernetes = LocalKubernetes(runtime=runtime, time_scale=0.02)
    kubernetes.apply(deployment(replicas=1))
    await kubernetes.start()
    try:
        await rolled_out(kubernetes)
    finally:
        await kubernetes.stop()
    assert not runtime.running


async def test_changes_are_told_with_copies(kubernetes: LocalKubernetes) -> None:
    told: list[tuple[str, str]] = []

    def note(kind: str, obj: dict[str, Any]) -> None:
        told.append((kind, obj["kind"]))
        obj.clear()

    kubernetes.on_change(note)
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    kubernetes.delete("Deployment", "dev", "web")
    assert ("ADDED", "Deployment") in told
    assert ("MODIFIED", "Pod") in told
    assert ("DELETED", "ReplicaSet") in told


async def test_a_kubeconfig_with_tls_is_what_the_client_needs(tmp_path: Path) -> None:
    kubernetes = LocalKubernetes(tls=True)
    await kubernetes.start()
    try:
        path = kubernetes.kubeconfig(tmp_path / "config", contexts={"prod": "shop"})
        assert path.stat().st_mode & 0o077 == 0
        configuration = client.Configuration()
        await config.load_kube_config(str(path), context="prod", client_configuration=configuration)
        async with client.ApiClient(configuration) as api:
            version = await client.VersionApi(api).get_code(_request_timeout=60)
        assert (kubernetes.url[:8], version.git_version) == ("https://", "v1.34.1")
    finally:
        await kubernetes.stop()


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        kubernetes = LocalKubernetes()
        with pytest.raises(OSError, match="address already in use"):
            await kubernetes.start(port=taken.getsockname()[1])
        await kubernetes.stop()


async def test_it_starts_alone_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    arguments = ("-m", "sandbox.kubernetes", "--time-scale", "0.05", "--kubeconfig", str(path))
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            first = (await process.stdout.readline()).decode()
        url = first.removeprefix("Kubernetes API at ").strip()
        async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
            assert await response.text() == "ok"
        assert url in path.read_text(encoding="utf-8")
    finally:
        process.terminate()
        await process.wait()


def test_ages_are_shortened_as_kubectl_does() -> None:
    assert age(None) == "<unknown>"
    assert age("2020-01-01T00:00:00Z").endswith("d")
