"""A Kubernetes API on localhost: the address, the record of requests, faults, and a way in for tests and the shop.

Clients can't tell it from a real one within what it serves. State lives in memory and ends with the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.faults import Faults
from sandbox.kubernetes.access import Access, User
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.certificate import server_context
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.autoscalers import AutoscalerController
from sandbox.kubernetes.controllers.deployments import DeploymentController
from sandbox.kubernetes.controllers.gateways import GatewayController
from sandbox.kubernetes.controllers.http_routes import HttpRouteController
from sandbox.kubernetes.controllers.jobs import JobController
from sandbox.kubernetes.controllers.replicasets import ReplicaSetController
from sandbox.kubernetes.kubeconfig import write_kubeconfig
from sandbox.kubernetes.logs import PodLogs
from sandbox.kubernetes.node.kubelet import Kubelet
from sandbox.kubernetes.node.process import Programs
from sandbox.kubernetes.node.scripted import ScriptedRuntime
from sandbox.kubernetes.objects import Obj, clone, name_of
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.server import Received, Server, StatusFaults
from sandbox.kubernetes.store import Change
from sandbox.kubernetes.watching import Watches
from sandbox.routes import Route
from sandbox.runtime import Crash, Runtime

INSUFFICIENT = (
    "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found "
    "for incoming pod."
)
ENVIRONMENTS = {"dev": "dev", "staging": "staging", "prod": "prod"}


class LocalKubernetes:
    """runtime: plays the containers. time_scale: real seconds per simulated second (0.05: twenty times as fast).

    tokens: bearer token -> user; None lets everybody do everything. version: the server's gitVersion. tls: serve https
    with a certificate of its own (`certificate`, PEM); kubectl sends no token without it. programs: image -> the argv prefix
    that its entrypoint stands for, or None where there is no such image: the pods of Jobs are then real processes, which
    run at their own speed, and whose activeDeadlineSeconds are real ones.
    """

    def __init__(
        self, *, runtime: Runtime | None = None, faults: Faults | None = None, time_scale: float = 1.0,
        version: str = "v1.34.1", tokens: Mapping[str, User] | None = None, tls: bool = False,
        programs: Programs | None = None,
    ) -> None:  # fmt: skip
        pace = Pace(time_scale)
        self.runtime: Runtime = runtime or ScriptedRuntime()
        self.faults: Faults = StatusFaults(faults)
        self.cluster = Cluster()
        self.access = Access(tokens)
        self.url = ""
        self.certificate: bytes | None = None
        self._has_tls = tls
        recorder = Recorder(self.cluster)
        self._unschedulable: list[tuple[Callable[[Obj], bool], str]] = []
        self._kubelet = Kubelet(
            self.cluster, recorder, pace, self.runtime, programs=programs, refusal=self._scheduling_refusal
        )
        self.gateway = HttpRouteController(self.cluster, pace)
        self.autoscaling = AutoscalerController(self.cluster, recorder, pace)
        self._controllers = (
            ReplicaSetController(self.cluster, recorder, pace),
            DeploymentController(self.cluster, recorder, pace),
            JobController(self.cluster, recorder, pace, deadline_scale=pace.scale if programs is None else 1.0),
            GatewayController(self.cluster, pace),
            self.gateway,
            self.autoscaling,
        )
        self.watches = Watches(self.cluster.store, pace)
        api = Api(self.cluster, self.watches, PodLogs(self.cluster, self._kubelet))
        self._server = Server(self.cluster, self.access, api, self.faults, version)
        self._tasks: list[asyncio.Task[None]] = []
        for listener in (self._kubelet, *self._controllers):
            self.cluster.store.listeners.append(listener.notice)

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve; returns the address without a slash at its end. Raises OSError when the port is taken."""
        context, self.certificate = server_context() if self._has_tls else (None, None)
        self.url = await self._server.start(host, port, context)
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
        await self._server.stop()

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
        return list(self._server.received)

    def list(self, kind: str, namespace: str | None = None) -> list[Obj]:
        """Copies, by namespace and name. Raises KeyError for a kind that isn't served."""
        return [clone(obj) for obj in self.cluster.store.list(self.cluster.by_kind(kind), namespace)]

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """As kubectl deletes, in the background. Raises ApiError 404."""
        self.cluster.delete(self.cluster.by_kind(kind), namespace, name, propagation="Background")

    def forget_requests(self) -> None:
        self._server.received = []

    def on_change(self, callback: Callable[[str, Obj], None]) -> None:
        """Call with (`ADDED`, `MODIFIED` or `DELETED`, a copy of the object) after every write, in order."""

        def tell(change: Change) -> None:
            callback(change.type, clone(change.obj))

        self.cluster.store.listeners.append(tell)

    def on_route(self, callback: Callable[[str, str, Route | None], None]) -> None:
        """Call with (namespace, name, the HTTPRoute as traffic has to follow it) whenever that changes; None: there is no such route any more.

        `gateway` can be made slow, silent or unwilling: such a change doesn't get here.
        """
        self.gateway.listeners.append(lambda key, route: callback(*key, route))

    def forget_history(self) -> None:
        """Versions up to now are too old to watch from, and `continue` tokens have expired: 410 Gone."""
        self.cluster.store.forget_history()

    def never_schedule(self, matches: Callable[[Obj], bool], why: str = INSUFFICIENT) -> None:
        """From now on the scheduler finds no node for pods that match, and says why."""
        self._unschedulable.append((matches, why))

    def schedule_all(self) -> None:
        self._unschedulable.clear()

    def _scheduling_refusal(self, pod: Obj) -> str:
        return next((why for matches, why in self._unschedulable if matches(pod)), "")

    def refuse(self, kind: str, why: str = "") -> None:
        """New objects of this kind are refused with 403 and these words, such as `exceeded quota: …`; empty: no more."""
        self.cluster.refusals[kind] = why

    def crash(self, namespace: str, pod: str, how: Crash | None = None) -> None:
        """End the pod's app container now. Raises KeyError where there is no such pod."""
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
        return write_kubeconfig(path, self.url, contexts or ENVIRONMENTS, token, self.certificate)
