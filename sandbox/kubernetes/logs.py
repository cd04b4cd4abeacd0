"""The log subresource of pods: what their containers wrote. Never the log of the stand-in itself."""

from __future__ import annotations

import asyncio

from aiohttp import web

from sandbox.kubernetes import status
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.node.container import ContainerWorker
from sandbox.kubernetes.node.kubelet import Kubelet
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.target import Target
from sandbox.kubernetes.wire import is_yes

POLL_S = 0.1


class PodLogs:
    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self._cluster = cluster
        self._kubelet = kubelet

    async def serve(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Raises ApiError 400 (which container? not started yet), 404."""
        pod = self._cluster.get(target.resource, target.place, target.name)
        name = self._container_name(request, pod, target.name)
        worker = self._kubelet.container(target.place, target.name, name)
        if worker is None or (not worker.lines and not worker.previous_lines):
            raise status.bad_request(f'container "{name}" in pod "{target.name}" is waiting to start: {_why(worker)}')
        if is_yes(request, "previous"):
            if not worker.previous_lines:
                said = f'previous terminated container "{name}" in pod "{target.name}" not found'
                raise status.bad_request(said)
            return web.Response(text=_text(list(worker.previous_lines)))
        lines = list(worker.lines or worker.previous_lines)
        tail = request.query.get("tailLines")
        lines = lines[max(0, len(lines) - int(tail)) :] if tail else lines
        if is_yes(request, "follow"):
            return await self._follow(request, worker, lines)
        return web.Response(text=_text(lines))

    def _container_name(self, request: web.Request, pod: Obj, pod_name: str) -> str:
        names = [entry["name"] for entry in pod["spec"]["containers"]]
        asked = request.query.get("container")
        if asked is None and len(names) > 1:
            said = f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(names)}]"
            raise status.bad_request(said)
        if asked is not None and asked not in names:
            raise status.bad_request(f"container {asked} is not valid for pod {pod_name}")
        return asked or str(names[0])

    async def _follow(self, request: web.Request, worker: ContainerWorker, lines: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await response.write(_text(lines).encode())
        followed, sent = worker.lines, len(worker.lines)
        while worker.lines is followed and "running" in worker.status["state"]:
            if len(followed) > sent:
                await response.write(_text(list(followed)[sent:]).encode())
                sent = len(followed)
            await asyncio.sleep(POLL_S)
        return response


def _why(worker: ContainerWorker | None) -> str:
    reason = "ContainerCreating" if worker is None else worker.status["state"].get("waiting", {}).get("reason", "")
    return "trying and failing to pull image" if reason in ("ErrImagePull", "ImagePullBackOff") else str(reason)


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
