"""A Kubernetes API on localhost: the address, the record of requests, faults, and a way in for tests and the shop.

Clients can't tell it from a real one within what it serves. State lives in memory and ends with the process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from sandbox.faults import Fault, Faults
from sandbox.kubernetes import discovery, protobuf, status
from sandbox.kubernetes.access import Access, User, access_review, rules_review, self_review
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.deployments import DeploymentController
from sandbox.kubernetes.controllers.replicasets import ReplicaSetController
from sandbox.kubernetes.kubeconfig import write_kubeconfig
from sandbox.kubernetes.logs import PodLogs
from sandbox.kubernetes.node.kubelet import Kubelet
from sandbox.kubernetes.node.scripted import ScriptedRuntime
from sandbox.kubernetes.objects import Obj, clone, name_of
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import ApiError
from sandbox.kubernetes.store import Change
from sandbox.kubernetes.target import parse
from sandbox.kubernetes.watching import Watches
from sandbox.kubernetes.wire import answer, failure, is_yes, media_type, read_object
from sandbox.runtime import Crash, Runtime
from sandbox.serving import listen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ENVIRONMENTS = {"dev": "dev", "staging": "staging", "prod": "prod"}


class Received(NamedTuple):
    """One request. status: 0 while it has no answer. user: empty where there was none. body: JSON, text or None."""

    method: str
    path: str
    status: int
    user: str
    body: Any


class StatusFaults(Faults):
    """The same queue of faults, but a status fault without a body answers as the API server would."""

    def __init__(self, shared: Faults | None = None) -> None:
        super().__init__()
        if shared is not None:
            self.pending = shared.pending

    def take(self, method: str, path: str) -> Fault | None:
        fault = super().take(method, path)
        if fault is None or fault.kind != "status" or fault.body is not None:
            return fault
        error = status.of_code(fault.status)
        return dataclasses.replace(fault, body=error.body(), headers={**error.headers, **fault.headers})


class LocalKubernetes:
    """runtime: plays the containers. time_scale: real seconds per simulated second (0.05: twenty times as fast).

    tokens: bearer token -> user; None lets everybody do everything. version: the server's gitVersion.
    """

    def __init__(
        self, *, runtime: Runtime | None = None, faults: Faults | None = None, time_scale: float = 1.0,
        version: str = "v1.34.1", tokens: Mapping[str, User] | None = None,
    ) -> None:  # fmt: skip
        pace = Pace(time_scale)
        self.runtime: Runtime = runtime or ScriptedRuntime()
        self.faults: Faults = StatusFaults(faults)
        self.cluster = Cluster()
        self.access = Access(tokens)
        self.url = ""
        self._version = version
        self._received: list[Received] = []
        recorder = Recorder(self.cluster)
        self._kubelet = Kubelet(self.cluster, recorder, pace, self.runtime)
        self._controllers = (
            ReplicaSetController(self.cluster, recorder, pace),
            DeploymentController(self.cluster, recorder, pace),
        )
        self.watches = Watches(self.cluster.store, pace)
        self._api = Api(self.cluster, self.watches, PodLogs(self.cluster, self._kubelet))
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        for listener in (self._kubelet, *self._controllers):
            self.cluster.store.listeners.append(listener.notice)

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve; returns the address without a slash at its end. Raises OSError when the port is taken."""
        middlewares = [self._recorded(), self.faults.middleware()]
        routes = [*self.faults.routes(), web.route("*", "/{path:.*}", self._serve)]
        self._runner, self.url = await listen(routes, middlewares, host, port)
        self._tasks = [asyncio.create_task(controller.queue.run()) for controller in self._controllers]
        self._kubelet.start()
        return self.url

    async def stop(self) -> None:
        """End every stream, container and controller."""
        self.watches.end()
        await self._kubelet.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # The way in for tests and the shop

    def register(self, resource: Resource) -> None:
        """Serve one more kind (a custom resource, say), from now on."""
        self.cluster.register(resource)

    def apply(self, manifest: Obj) -> Obj:
        """Create the object, or replace it as a whole; its namespace is made where it is missing. Raises ApiError."""
        group = manifest["apiVersion"].rpartition("/")[0]
        resource = self.cluster.by_kind(manifest["kind"], group)
        wanted: Obj = clone(manifest)
        place = ""
        if resource.namespaced:
            place = wanted["metadata"].setdefault("namespace", "default")
            self.cluster.ensure_namespace(place)
        if self.cluster.store.find(resource, place, name_of(wanted)) is None:
            written = self.cluster.create(resource, wanted)
        else:
            written = self.cluster.replace(resource, place, wanted)
        copy: Obj = clone(written)
        return copy

    def get(self, kind: str, namespace: str, name: str) -> Obj | None:
        """A copy of the object, None where there is none. Raises KeyError for a kind that isn't served."""
        found = self.cluster.store.find(self.cluster.by_kind(kind), namespace, name)
        return None if found is None else clone(found)

    @property
    def requests(self) -> list[Received]:
        """Every request so far but those of /_control; the path is without its query."""
        return list(self._received)

    def list(self, kind: str, namespace: str | None = None) -> list[Obj]:
        """Copies, by namespace and name. Raises KeyError for a kind that isn't served."""
        return [clone(obj) for obj in self.cluster.store.list(self.cluster.by_kind(kind), namespace)]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Raises ApiError 404."""
        self.cluster.delete(self.cluster.by_kind(kind), namespace, name)

    def forget_requests(self) -> None:
        self._received = []

    def on_change(self, callback: Callable[[str, Obj], None]) -> None:
        """Call with (`ADDED`, `MODIFIED` or `DELETED`, a copy of the object) after every write, in order."""

        def tell(change: Change) -> None:
            callback(change.type, clone(change.obj))

        self.cluster.store.listeners.append(tell)

    def forget_history(self) -> None:
        """Versions up to now are too old to watch from, and `continue` tokens have expired: 410 Gone."""
        self.cluster.store.forget_history()

    def crash(self, namespace: str, pod: str, how: Crash | None = None) -> None:
        """End the pod's first container now. Raises KeyError where there is no such pod."""
        self._kubelet.crash(namespace, pod, how or Crash())

    def log(self, namespace: str, pod: str, container: str, line: str) -> None:
        """Let the container write a line. Raises KeyError where it isn't on the node."""
        worker = self._kubelet.container(namespace, pod, container)
        if worker is None:
            raise KeyError(f"{namespace}/{pod}/{container}")
        worker.lines.append(line)

    def kubeconfig(
        self, path: Path, *, contexts: Mapping[str, str] | None = None, token: str | None = None
    ) -> Path:  # fmt: skip
        """Write a kubeconfig with a context per environment (name -> namespace); the first is current."""
        for namespace in (contexts or ENVIRONMENTS).values():
            self.cluster.ensure_namespace(namespace)
        return write_kubeconfig(path, self.url, contexts or ENVIRONMENTS, token)

    # Answers

    def _recorded(self) -> Any:
        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_control/"):
                return await handler(request)
            received, index = self._received, len(self._received)
            entry = Received(request.method, request.path, 0, self._user_name(request), _body(await request.read()))
            received.append(entry)
            response = await self._answered(request, handler)
            if request.transport is not None and not request.transport.is_closing():
                received[index] = entry._replace(status=response.status)
            return response

        return record

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return failure(error)

    def _user_name(self, request: web.Request) -> str:
        try:
            return self.access.user_of(request.headers.get("Authorization", "")).name
        except ApiError:
            return ""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Raises ApiError."""
        path = request.path
        if path in ("/healthz", "/readyz", "/livez"):
            return web.Response(text="ok")
        if path == "/version":
            return answer(discovery.version(self._version))
        user = self.access.user_of(request.headers.get("Authorization", ""))
        described = self._described(path)
        if described is not None and request.method == "GET":
            return answer(described)
        review = await self._review(request, user)
        if review is not None:
            return answer(review, 201)
        target = parse(self.cluster.resources, path)
        is_watch = is_yes(request, "watch")
        self.access.check(user, target.ask(request.method, is_watch=is_watch))
        return await self._api.serve(request, target)

    def _described(self, path: str) -> Obj | None:
        """Discovery documents."""
        resources = list(self.cluster.resources.values())
        match path.strip("/").split("/"):
            case ["api"]:
                return discovery.core_versions()
            case ["apis"]:
                return discovery.group_list(resources)
            case ["api", version]:
                return discovery.resource_list(resources, "", version)
            case ["apis", group]:
                return discovery.group(resources, group)
            case ["apis", group, version]:
                return discovery.resource_list(resources, group, version)
            case ["openapi", "v3"]:
                return discovery.openapi_index(resources)
            case ["openapi", "v3", *rest]:
                return discovery.openapi(resources, "/".join(rest))
            case _:
                return None

    async def _review(self, request: web.Request, user: User) -> Obj | None:
        parts = request.path.strip("/").split("/")
        if request.method != "POST" or len(parts) != 4 or (parts[1], parts[3]) not in discovery.REVIEWS:
            return None
        is_protobuf = media_type(request) == protobuf.MEDIA_TYPE
        body = protobuf.decode(await request.read()) if is_protobuf else await read_object(request)
        match parts[3]:
            case "selfsubjectaccessreviews":
                return access_review(self.access, user, body)
            case "selfsubjectrulesreviews":
                return rules_review(user, body)
            case _:
                return self_review(user, body)


def _body(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
