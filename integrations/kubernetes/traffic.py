"""Who gets the requests: by the weights of an HTTPRoute, or by numbers of pods.

It must never write anything of a route but the weights of the two backends that it was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from integrations.kubernetes.calls import SYSTEM, Json, KubernetesCalls
from integrations.kubernetes.deployments import shaped
from integrations.kubernetes.pods import core
from integrations.kubernetes.replicas import ReplicaTraffic
from integrations.kubernetes.route import pairs, patch, share_of
from runbook.errors import Conflict, Permanent
from runbook.ports import Share, TrafficTarget
from runbook.rules.traffic import REPLICAS

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, CustomObjectsApi

Selector = Mapping[str, str] | None

GROUP, VERSION, PLURAL = "gateway.networking.k8s.io", "v1", "httproutes"
JSON_PATCH = "application/json-patch+json"
_ATTEMPTS = 8
"""Others write routes too, and their controllers write the status: each attempt reads anew and takes milliseconds."""


class KubernetesTraffic:
    """Fulfils `runbook.ports.Traffic`."""

    def __init__(self, calls: KubernetesCalls, namespace: str, kubectl: str, replicas: ReplicaTraffic) -> None:
        self._routes = RouteTraffic(calls, namespace, kubectl)
        self._replicas = replicas

    async def share(self, target: TrafficTarget) -> Share | None:
        """See the port."""
        return await self._driver(target).share(target)

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        """See the port."""
        if not 0 <= weight <= 100:
            raise Permanent(SYSTEM, "bad_weight", f"{weight} is no weight: it is a percentage from 0 to 100")
        return await self._driver(target).set_weight(target, weight)

    async def selectors(self, target: TrafficTarget) -> tuple[Selector, Selector]:
        """See the port."""
        return (None, None) if target.driver == REPLICAS else await self._routes.selectors(target)

    def _driver(self, target: TrafficTarget) -> RouteTraffic | ReplicaTraffic:
        return self._replicas if target.driver == REPLICAS else self._routes


class RouteTraffic:
    """Fulfils `runbook.ports.Traffic` for targets whose driver is `route`. kubectl: for remedies."""

    def __init__(self, calls: KubernetesCalls, namespace: str, kubectl: str) -> None:
        self._calls = calls
        self._namespace = namespace
        self._kubectl = kubectl

    async def share(self, target: TrafficTarget) -> Share | None:
        """Raises Permanent("no_gateway_api") where the cluster doesn't know HTTPRoutes."""
        found = await self._read(target.route)
        return None if found is None else self._share(found, target)

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        """Raises Permanent("no_route"), Permanent("no_backend" or "ambiguous") with the line to write, and Conflict where others changed
        the route each time."""
        for attempt in range(1, _ATTEMPTS + 1):
            found = await self._read(target.route)
            if found is None:
                raise self._missing(target)
            share = self._share(found, target)
            if share.code:
                raise Permanent(SYSTEM, share.code, share.reason, share.remedy)
            changes = self._changes(found, target, weight)
            if not changes:
                return share
            try:
                return self._share(await self._patch(target.route, changes), target)
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            except Permanent as error:
                # Rules that went make the patch unfit (422) before its version is compared: a conflict by another name.
                if error.code != "kubernetes.invalid" or attempt == _ATTEMPTS or not await self._changed(target, found):
                    raise
        raise AssertionError("the last attempt raises or returns")

    async def selectors(self, target: TrafficTarget) -> tuple[Selector, Selector]:
        """See the port."""
        stable, canary = await asyncio.gather(
            self._selector(target.stable_backend), self._selector(target.canary_backend)
        )
        return stable, canary

    async def _selector(self, service: str) -> Selector:
        try:
            found = await self._calls.json(
                "get services",
                lambda client: core(client).read_namespaced_service(service, self._namespace, **self._calls.options),
            )
        except Permanent as error:
            if error.code == "kubernetes.not_found":
                return None
            raise
        return shaped(lambda: dict(found["spec"].get("selector") or {}), "Service")

    async def _changed(self, target: TrafficTarget, since: Json) -> bool:
        now = await self._read(target.route)
        return now is None or now["metadata"]["resourceVersion"] != since["metadata"]["resourceVersion"]

    async def _read(self, name: str) -> Json | None:
        try:
            return await self._calls.json(
                f"get {PLURAL}.{GROUP}",
                lambda client: _custom(client).get_namespaced_custom_object(
                    GROUP, VERSION, self._namespace, PLURAL, name, **self._calls.options
                ),
            )
        except Permanent as error:
            if error.code != "kubernetes.not_found":
                raise
            if f'"{name}" not found' in error.cause:
                return None
            # An unknown group or version has a 404 without an object's name. Source: apiserver, "404 page not found".
            cause = f"the cluster knows no HTTPRoutes ({GROUP}/{VERSION})"
            remedy = "Install the Gateway API's resources, or let this workload's traffic move by `replicas`"
            raise Permanent(SYSTEM, "no_gateway_api", cause, remedy) from error

    async def _patch(self, name: str, changes: list[Json]) -> Json:
        body: Any = changes
        options = {**self._calls.options, "_content_type": JSON_PATCH}
        return await self._calls.json(
            f"patch {PLURAL}.{GROUP}",
            lambda client: _custom(client).patch_namespaced_custom_object(
                GROUP, VERSION, self._namespace, PLURAL, name, body, field_manager="forge", **options
            ),
        )

    def _changes(self, found: Json, target: TrafficTarget, weight: int) -> list[Json]:
        return shaped(lambda: patch(found, pairs(found, target, self._namespace), weight), "HTTPRoute")

    def _share(self, found: Json, target: TrafficTarget) -> Share:
        return shaped(lambda: share_of(found, target, self._namespace), "HTTPRoute")

    def _missing(self, target: TrafficTarget) -> Permanent:
        cause = f"there is no HTTPRoute {target.route} in the namespace {self._namespace}"
        remedy = f"Check `route` of {target.workload} in the configuration; `{self._kubectl} get httproutes` lists what is there"
        return Permanent(SYSTEM, "no_route", cause, remedy)


def _custom(client: ApiClient) -> CustomObjectsApi:
    from kubernetes_asyncio.client import CustomObjectsApi

    return CustomObjectsApi(client)
