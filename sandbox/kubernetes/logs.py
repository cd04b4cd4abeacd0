"""The log subresource of pods: what their containers wrote. Never the log of the stand-in itself."""

from __future__ import annotations

import asyncio
import os
from typing import BinaryIO

from aiohttp import web

from sandbox.kubernetes import status
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.node.container import ContainerWorker
from sandbox.kubernetes.node.kubelet import Kubelet
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.target import Target
from sandbox.kubernetes.wire import is_yes

POLL_S = 0.1
CHUNK = 256 * 1024


class PodLogs:
    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self._cluster = cluster
        self._kubelet = kubelet

    async def serve(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Raises ApiError 400 (which container? not started yet), 404."""
        pod = self._cluster.get(target.resource, target.place, target.name)
        name = self._container_name(request, pod, target.name)
        worker = self._kubelet.container(target.place, target.name, name)
        if worker is not None and worker.log_file is not None and worker.has_run:
            return await self._serve_file(request, worker, target.name)
        if worker is None or (not worker.lines and not worker.previous_lines):
            raise status.bad_request(f'container "{name}" in pod "{target.name}" is waiting to start: {_why(worker)}')
        if is_yes(request, "previous"):
            if not worker.previous_lines:
                raise _no_previous(name, target.name)
            return web.Response(text=_text(list(worker.previous_lines)))
        lines = list(worker.lines or worker.previous_lines)
        tail = request.query.get("tailLines")
        lines = lines[max(0, len(lines) - int(tail)) :] if tail else lines
        if is_yes(request, "follow"):
            return await self._follow(request, worker, lines)
        return web.Response(text=_text(lines))

    async def _serve_file(self, request: web.Request, worker: ContainerWorker, pod_name: str) -> web.StreamResponse:
        """What a real process wrote, byte for byte, in pieces. Source of the options: k8s.io/api/core/v1 PodLogOptions."""
        path = worker.previous_log_file if is_yes(request, "previous") else worker.log_file
        if path is None:
            raise _no_previous(worker.name, pod_name)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        tail, limit = _number(request, "tailLines"), _number(request, "limitBytes")
        follows = is_yes(request, "follow") and not is_yes(request, "previous")
        with path.open("rb") as file:
            file.seek(start_of_tail(file, tail) if tail is not None else 0)
            await response.prepare(request)
            left = limit
            while left is None or left > 0:
                is_last = not (follows and worker.log_file == path and "running" in worker.status["state"])
                chunk = file.read(CHUNK if left is None else min(CHUNK, left))
                left = None if left is None else left - len(chunk)
                if chunk:
                    await response.write(chunk)
                elif is_last:
                    break
                else:
                    await asyncio.sleep(POLL_S)
        return response

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


def _no_previous(container: str, pod: str) -> status.ApiError:
    return status.bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')


def _number(request: web.Request, name: str) -> int | None:
    """Raises ApiError 400, and 422 below the least value that the API allows."""
    text = request.query.get(name)
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError as error:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    least = 1 if name == "limitBytes" else 0
    if number < least:
        detail = "must be greater than or equal to 0" if least == 0 else "must be greater than 0"
        said = f'PodLogOptions.meta.k8s.io "" is invalid: {name}: Invalid value: {number}: {detail}'
        raise status.ApiError(422, "Invalid", said)
    return number


def start_of_tail(file: BinaryIO, lines: int) -> int:
    """The offset at which the last so many lines begin."""
    position = file.seek(0, os.SEEK_END)
    if not lines:
        return position
    # The newline that ends the last line begins no other.
    is_first, wanted = True, lines
    while position > 0:
        start = max(0, position - CHUNK)
        file.seek(start)
        block = file.read(position - start)
        if is_first and block.endswith(b"\n"):
            block = block[:-1]
        is_first = False
        found = len(block)
        while (found := block.rfind(b"\n", 0, found)) >= 0:
            wanted -= 1
            if wanted == 0:
                return start + found + 1
        position = start
    return 0


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
