"""One workload's address in one environment: the load balancer before its pods, and what each pod answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.routes import RouteRule
from sandbox.serving import Stand
from sandbox.shop.ordering import OrderLost
from sandbox.shop.pods import ShopPod
from sandbox.shop.spoiling import Spoil
from sandbox.shop.turns import Turns

if TYPE_CHECKING:
    from sandbox.shop.shop import Shop

BASE_LATENCY_S = 0.02
PRODUCTS = [{"id": 1, "name": "Anvil", "price": 4900}, {"id": 2, "name": "Tongs", "price": 1900}]
PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"
PHRASES = {502: "502 Bad Gateway", 503: "503 Service Temporarily Unavailable", 504: "504 Gateway Time-out"}


class Endpoint(Stand):
    """Routes each request to a pod in rotation, one after the other: as the HTTPRoute wants it where the workload has one.

    Else to any of its pods, or by weights where they are set: track -> share; a track with a weight and no pod answers 503.
    """

    def __init__(self, shop: Shop, env: str, workload: str) -> None:
        super().__init__()
        self.env = env
        self.workload = workload
        self.weights: Mapping[str, int] = {}
        self._shop = shop
        self._pods_turn: Counter[str] = Counter()
        self._turns: dict[RouteRule | None, Turns] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:(?!_control/).*}", self._serve)]

    def dress(self, request: web.Request, status: int) -> web.Response:
        text = PAGE.format(PHRASES.get(status, f"{status} Error"))
        return web.Response(status=status, text=text, content_type="text/html")

    def choose(self) -> ShopPod | None:
        """The pod for the next request where there is no route; None when nobody can take it."""
        track = self._next(None, self.weights) if sum(self.weights.values()) > 0 else None
        pods = self._shop.in_rotation(self.env, self.workload)
        return self._next_of(track or "", [pod for pod in pods if track is None or pod.track == track])

    def _next(self, rule: RouteRule | None, weights: Mapping[str, int]) -> str | None:
        key = None if rule is None else replace(rule, backends=())
        if key not in self._turns:
            self._turns[key] = Turns(f"{self.env}/{self.workload}")
        return self._turns[key].next(weights)

    def _next_of(self, group: str, pods: Sequence[ShopPod]) -> ShopPod | None:
        self._pods_turn[group] += 1
        return pods[self._pods_turn[group] % len(pods)] if pods else None

    def _routed(self, request: web.Request) -> ShopPod | web.Response:
        """The pod, or what the gateway itself answers, in Envoy's words."""
        route = self._shop.route_of(self.env, self.workload)
        if route is None:
            return self.choose() or self.dress(request, 503)
        rule = route.rule_for(request.method, request.path, request.headers)
        if rule is None:
            return web.Response(status=404)
        index = self._next(rule, {str(number): each.weight for number, each in enumerate(rule.backends)})
        backend = None if index is None else rule.backends[int(index)]
        if backend is None or backend.selector is None:
            return web.Response(status=500)
        pod = self._next_of(backend.service, self._shop.behind(self.env, backend.selector))
        return pod or web.Response(status=503, text="no healthy upstream")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        pod = self._routed(request)
        if isinstance(pod, web.Response):
            return pod
        spoil = self._shop.spoils.of_pod(pod)
        if request.path.startswith("/health/"):
            return await self._health(request, pod, spoil)
        began = time.perf_counter()
        await asyncio.sleep(BASE_LATENCY_S + spoil.latency_s)
        response = await self._api(request, pod, spoil)
        response.headers["X-Shop-Pod"] = pod.name
        response.headers["X-Shop-Track"] = pod.track
        response.headers["X-Shop-Version"] = self._shop.spoils.version_of(pod.image)
        if self._shop.runs(pod):
            self._count(request, pod, response.status, time.perf_counter() - began)
        return response

    def _count(self, request: web.Request, pod: ShopPod, status: int, duration_s: float) -> None:
        """What a customer did wrong is no failure of the transaction."""
        meters = self._shop.meters[self.env]
        meters.count(pod, status, request.method, duration_s)
        if (request.method, request.path) == ORDERING and (status < 300 or status >= 500):
            meters.count_transaction(pod, succeeded=status < 300)

    async def _health(self, request: web.Request, pod: ShopPod, spoil: Spoil) -> web.Response:
        if request.path not in HEALTH:
            return _error(404, "not found")
        await asyncio.sleep(spoil.health_slow_s)
        good = is_healthy(request.path, spoil)
        body = {"status": "ok" if good else "unavailable", "pod": pod.name}
        return web.json_response(body, status=200 if good else 503)

    async def _api(self, request: web.Request, pod: ShopPod, spoil: Spoil) -> web.Response:
        if (request.method, request.path) not in API:
            return _error(405 if request.path in {path for _, path in API} else 404, "no such endpoint")
        if pod.owes("error", spoil.error_ratio):
            return _error(500, "internal server error")
        if request.path == "/api/products":
            self._shop.ask_dependency(pod, "stock")
            return web.json_response({"products": PRODUCTS})
        return await self._order(request, pod, spoil)

    async def _order(self, request: web.Request, pod: ShopPod, spoil: Spoil) -> web.Response:
        """The authenticated transaction: `{"product": id, "quantity": n}` -> 201 with the order."""
        if request.headers.get("Authorization") != f"Bearer {self._shop.token}":
            response = _error(401, "a bearer token is needed")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        try:
            wanted: Any = await request.json()
        except json.JSONDecodeError:
            return _error(400, "not JSON")
        known = {product["id"]: product for product in PRODUCTS}
        product = known.get(wanted.get("product")) if isinstance(wanted, dict) else None
        quantity = wanted.get("quantity", 1) if product else 0
        if product is None or not isinstance(quantity, int) or quantity < 1:
            return _error(422, "product and quantity have to be those of the shop")
        self._shop.ask_dependency(pod, "payment")
        if spoil.order_fails or pod.owes("order", spoil.order_error_ratio):
            return _error(500, "payment: connection refused")
        total = int(str(product["price"])) * quantity
        try:
            number = await self._shop.place(self.env, int(str(product["id"])), quantity, total)
        except OrderLost as lost:
            return _error(500, f"database: {lost}")
        self._shop.queues.of(pod).put()
        order = {"id": f"{self.env}-{number}", "product": product["id"], "quantity": quantity, "total": total}
        return web.json_response(order | {"status": "accepted"}, status=201)


HEALTH = ("/health/live", "/health/ready", "/health/startup")
ORDERING = ("POST", "/api/orders")
API = (("GET", "/api/products"), ORDERING)


def is_healthy(path: str, spoil: Spoil) -> bool:
    """What a container of this spoil answers to a health path, time left aside; unknown paths are 404."""
    if path not in HEALTH or spoil.crash_loop:
        return False
    return path != "/health/ready" or not spoil.never_ready


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
