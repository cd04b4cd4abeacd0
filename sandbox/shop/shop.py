"""A little shop of real HTTP services, whose versions can be spoilt. It plays the containers of a cluster stand-in.

It is what a release is tried on: it must never know who deploys it, nor why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from aiohttp import web

from sandbox.routes import Route
from sandbox.runtime import Behaviour, Crash
from sandbox.serving import Stand
from sandbox.shop.background import ATTEMPTS, OrderQueues
from sandbox.shop.endpoint import Endpoint, is_healthy
from sandbox.shop.measuring import Meters
from sandbox.shop.ordering import Place, counting
from sandbox.shop.pods import KINDS, ShopPod, UnknownPod, read_pod
from sandbox.shop.spoiling import Spoil, Spoils
from sandbox.shop.traffic import Traffic

ENVIRONMENTS = ("dev", "staging", "prod")
WORKLOADS = ("catalog", "web")
CRASH_AFTER_S = 0.3
OOM_AFTER_S = 1.0
IDLE_CORES, CPU_S_PER_REQUEST = 0.02, 0.002


@dataclass(frozen=True)
class Usage:
    """What a container has used. cpu_s: seconds of a core since its start. memory_ratio: working set over its limit."""

    cpu_s: float
    memory_ratio: float


class Shop(Stand):
    """One service of several workloads in several environments, with an address for each, and metrics an environment.

    namespaces: environment -> namespace of its pods (by default the same word). exists: whether an image can be
    pulled (None: every image can). token: opens `POST /api/orders`. start_s: a container's time to start.
    place: where accepted orders go (None: they are only counted).
    workers: workloads without HTTP; where a pod of the first one has run, the workload's pods ship all orders of the environment.
    Its own address serves `/metrics/<env>` and the controls.
    """

    def __init__(
        self,
        *,
        service: str = "shop",
        environments: Sequence[str] = ENVIRONMENTS,
        workloads: Sequence[str] = WORKLOADS,
        workers: Sequence[str] = (),
        namespaces: Mapping[str, str] | None = None,
        track_label: str = "forge/track",
        token: str = "shop-customer",  # noqa: S107 - a made-up customer's token of the sandbox
        exists: Callable[[str], bool] | None = None,
        start_s: float = 0.2,
        place: Place | None = None,
    ) -> None:
        super().__init__()
        self.service = service
        self.workloads = tuple(workloads)
        self.workers = tuple(workers)
        self.token = token
        self.track_label = track_label
        self.start_s = start_s
        self.place = place or counting()
        self.exists = exists
        self.spoils = Spoils()
        self.meters = {env: Meters(service) for env in environments}
        self.endpoints = {(env, name): Endpoint(self, env, name) for env in environments for name in workloads}
        self.pods: dict[str, ShopPod] = {}
        self.queues = OrderQueues(self)
        self._strangers: set[str] = set()
        self._employs: set[str] = set()
        self._routes: dict[str, dict[str, Route]] = {}
        self._environments = {(namespaces or {}).get(env, env): env for env in environments}

    # Addresses

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen on all addresses (the endpoints keep their ports over a restart); returns that of metrics and controls."""
        try:
            for endpoint in self.endpoints.values():
                await endpoint.start(host, int(endpoint.url.rpartition(":")[2] or 0))
            self.queues.start()
            return await super().start(host, port)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        for endpoint in self.endpoints.values():
            await endpoint.stop()
        await self.queues.stop()
        await super().stop()

    @property
    def everything(self) -> tuple[str, ...]:
        """Workloads with and without HTTP, in the order in which they are released."""
        return *self.workloads, *self.workers

    def endpoint(self, env: str, workload: str) -> Endpoint:
        """The endpoint with its `faults`, `requests` and `weights`. Raises KeyError."""
        return self.endpoints[env, workload]

    def endpoint_url(self, env: str, workload: str) -> str:
        return self.endpoints[env, workload].url

    def metrics_target(self, env: str) -> tuple[str, str]:
        """What Prometheus scrapes: `host:port` and the path."""
        return self.url.removeprefix("http://"), f"/metrics/{env}"

    def traffic(self, env: str, requests_per_s: float = 2.0) -> Traffic:
        """Customers of one environment, not started yet."""
        urls = {workload: self.endpoint_url(env, workload) for workload in self.workloads}
        return Traffic(env, urls, requests_per_s, self.token)

    # Routes

    def follow(self, namespace: str, name: str, route: Route | None) -> None:
        """From now on the environment's traffic goes as this HTTPRoute says; None: there is no such route any more."""
        env = self._environments.get(namespace)
        if env is None:
            return
        known = self._routes.setdefault(env, {})
        known.pop(name, None)
        if route is not None:
            known[name] = route

    def route_of(self, env: str, workload: str) -> Route | None:
        """The route with a backend of this workload (named so, or whose Service selects its pods); of several the one of its name.

        Hostnames are not looked at: an endpoint's address stands for the workload's own.
        """
        known = self._routes.get(env, {})
        names = sorted(known, key=lambda name: (name != workload, name))
        return next((known[name] for name in names if _concerns(known[name], workload)), None)

    def behind(self, env: str, selector: Mapping[str, str]) -> list[ShopPod]:
        """The pods in rotation that a Service selects."""
        return [pod for pod in self.pods.values() if pod.env == env and pod.is_selected(selector) and self._serves(pod)]

    # Versions

    def know(self, version: str, *digests: str) -> None:
        """These images are this version: what spoils the version spoils them. An image may be of several versions."""
        for digest in digests:
            self.spoils.know(version, digest)

    def spoil(self, version_or_digest: str, spoil: Spoil, *, env: str = "", track: str = "") -> None:
        """From now on containers of this version or image (`*`: any) misbehave so, the running ones too.

        env, track: only there; empty is any. What is known of a place goes before what is known of everywhere.
        """
        self.spoils.put(version_or_digest, spoil, env, track)
        self._refresh()

    def heal(self, version_or_digest: str | None = None, *, env: str = "", track: str = "") -> None:
        """The version or image is good again; None: all are. env, track: only what was spoilt of just that place."""
        if version_or_digest is None:
            self.spoils.clear(env, track)
        else:
            self.spoils.remove(version_or_digest, env, track)
        self._refresh()

    # Pods, as the cluster tells of them

    @property
    def runtime(self) -> ShopRuntime:
        return ShopRuntime(self)

    async def start_pod(self, pod: Mapping[str, Any]) -> None:
        """A pod of no workload or environment of ours runs too, and serves nobody."""
        try:
            made = read_pod(pod, self._environments, self.everything, self.track_label)
        except UnknownPod:
            self._strangers.add(_uid(pod))
            return
        self.pods[made.uid] = made
        if made.workload in self.workers[:1]:
            self._employs.add(made.env)
        self.meters[made.env].open(made)

    async def stop_pod(self, pod: Mapping[str, Any]) -> None:
        self._strangers.discard(_uid(pod))
        gone = self.pods.pop(_uid(pod), None)
        if gone is not None:
            self.meters[gone.env].close(gone)

    async def probe(self, pod: Mapping[str, Any], probe: Mapping[str, Any]) -> bool:
        """As the pod would answer over HTTP within the probe's time-out; what is no HTTP probe asks whether it runs."""
        known = self.pods.get(_uid(pod))
        if known is None:
            return _uid(pod) in self._strangers
        spoil = self.spoils.of_pod(known)
        asked = probe.get("httpGet")
        good = not spoil.crash_loop
        if asked is not None:
            in_time = spoil.health_slow_s < (probe.get("timeoutSeconds") or 1)
            good = in_time and is_healthy(str(asked.get("path", "/")), spoil)
        if probe == pod["spec"]["containers"][0].get("readinessProbe"):
            good = good and not spoil.never_ready
            known.asked_ready = good
            self.meters[known.env].set_ready(known, good)
        return good

    def behaviour(self, image: str, pod: Mapping[str, Any] | None = None) -> Behaviour:
        """pod: the one that it is of; without it places are unknown."""
        metadata = {} if pod is None else pod["metadata"]
        env = self._environments.get(metadata.get("namespace", ""), "")
        spoil = self.spoils.of(image, env, (metadata.get("labels") or {}).get(self.track_label, "stable"))
        crash = Crash(2, "Error", spoil.crash_message, CRASH_AFTER_S) if spoil.crash_loop else None
        if spoil.out_of_memory and crash is None:
            crash = Crash(137, "OOMKilled", "", OOM_AFTER_S)
        missing = self.exists is not None and not self.exists(image)
        return Behaviour("not_found" if missing else "ok", crash, self.start_s, not spoil.never_ready)

    def runs(self, pod: ShopPod) -> bool:
        """Whether it still is the very container of that pod."""
        return self.pods.get(pod.uid) is pod

    def ask_dependency(self, pod: ShopPod, name: str) -> None:
        """A request to another system, tried again after a time-out; nobody waits for it."""
        ratio = self.spoils.of_pod(pod).dependency_timeout_ratio
        for _ in range(ATTEMPTS):
            late = pod.owes("timeout", ratio)
            if self.runs(pod):
                self.meters[pod.env].count_dependency(pod, name, "timeout" if late else "success")
            if not late:
                return

    def usage(self, pod: Mapping[str, Any]) -> Usage | None:
        """Of the pod's container, for whoever plays the kubelet; None for a pod that isn't of the shop. Plausible, not measured."""
        known = self.pods.get(_uid(pod))
        if known is None:
            return None
        cpu_s = IDLE_CORES * (time.monotonic() - known.started_at) + CPU_S_PER_REQUEST * known.requests
        return Usage(cpu_s, self.spoils.of_pod(known).memory_ratio)

    def in_rotation(self, env: str, workload: str) -> list[ShopPod]:
        """Pods that get requests: probed ready, where they have a probe, and not broken just now."""
        return [pod for pod in self.pods.values() if (pod.env, pod.workload) == (env, workload) and self._serves(pod)]

    def _serves(self, pod: ShopPod) -> bool:
        return pod.in_rotation and is_healthy("/health/ready", self.spoils.of_pod(pod))

    def worker_of(self, env: str) -> str:
        """The workload that ships the environment's orders; empty where those do it who took them."""
        return self.workers[0] if env in self._employs else ""

    def _refresh(self) -> None:
        for pod in self.pods.values():
            self.meters[pod.env].set_ready(pod, self._serves(pod))

    # Metrics and controls over HTTP

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/metrics/{env}", self._metrics),
            web.get("/_control/shop", self._show),
            web.post("/_control/spoil", self._spoil),
            web.post("/_control/heal", self._heal),
        ]

    def dress(self, request: web.Request, status: int) -> web.Response:
        return web.Response(status=status, text=f"{status}\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        meters = self.meters.get(request.match_info["env"])
        if meters is None:
            raise web.HTTPNotFound
        self.queues.tell(request.match_info["env"])
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=meters.exposition(), headers=headers)

    async def _show(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "spoilt": {name: asdict(spoil) for name, spoil in self.spoils.by_name.items()},
                "spoilt_in": [
                    {"env": env, "track": track, "version": name, **asdict(spoil)}
                    for (env, track), known in self.spoils.by_place.items()
                    for name, spoil in known.items()
                ],
                "endpoints": {f"{env}/{name}": each.url for (env, name), each in self.endpoints.items()},
                "pods": [asdict(pod) for pod in self.pods.values()],
            }
        )

    async def _spoil(self, request: web.Request) -> web.Response:
        """`{"version": …, and the fields of Spoil}`, `env` and `track` where they are meant; 422 for what is none."""
        body = await request.json()
        place = {name: str(body.pop(name, "")) for name in ("env", "track")}
        try:
            self.spoil(str(body.pop("version")), replace(Spoil(), **body), **place)
        except (KeyError, TypeError, ValueError) as wrong:
            return web.json_response({"error": str(wrong)}, status=422)
        return await self._show(request)

    async def _heal(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.heal(body.get("version"), env=body.get("env", ""), track=body.get("track", ""))
        return await self._show(request)


def _concerns(route: Route, workload: str) -> bool:
    backends = [each for rule in route.rules for each in rule.backends]
    return any(
        each.service == workload or any((each.selector or {}).get(kind) == workload for kind in KINDS)
        for each in backends
    )


def _uid(pod: Mapping[str, Any]) -> str:
    metadata = pod["metadata"]
    return str(metadata.get("uid") or metadata["name"])


class ShopRuntime:
    """The shop as the containers of a cluster: fulfils `sandbox.runtime.Runtime`."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def start(self, pod: dict[str, Any]) -> None:
        await self._shop.start_pod(pod)

    async def stop(self, pod: dict[str, Any]) -> None:
        await self._shop.stop_pod(pod)

    async def probe(self, pod: dict[str, Any], probe: dict[str, Any]) -> bool:
        return await self._shop.probe(pod, probe)

    def behaviour(self, image: str, pod: dict[str, Any] | None = None) -> Behaviour:
        return self._shop.behaviour(image, pod)
