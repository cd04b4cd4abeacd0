"""The HTTP surface: every request recorded, struck by faults, authenticated, authorised, then served."""

from __future__ import annotations

import dataclasses
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiohttp import web

from sandbox.faults import Fault, Faults
from sandbox.kubernetes import discovery, status
from sandbox.kubernetes.access import Access, User, access_review, rules_review, self_review
from sandbox.kubernetes.api import Api
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.status import ApiError
from sandbox.kubernetes.target import parse
from sandbox.kubernetes.wire import answer, failure, is_yes, read_object

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


class Server:
    """version: the gitVersion that /version tells."""

    def __init__(self, cluster: Cluster, access: Access, api: Api, faults: Faults, version: str) -> None:
        self.received: list[Received] = []
        self._cluster = cluster
        self._access = access
        self._api = api
        self._faults = faults
        self._version = version
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> str:
        """Returns the address without a slash at its end. Raises OSError when the port is taken."""
        app = web.Application(middlewares=[self._recorded(), self._faults.middleware()], client_max_size=8 * 2**20)
        app.add_routes([*self._faults.routes(), web.route("*", "/{path:.*}", self._serve)])
        # A hanging handler must not outlive its caller, nor hold up the end of a test.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        return f"{'http' if tls is None else 'https'}://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _recorded(self) -> Any:
        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_control/"):
                return await handler(request)
            received, index = self.received, len(self.received)
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
        except web.HTTPException:
            raise
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            return failure(ApiError(500, "InternalError", f"Internal error occurred: {error}"))

    def _user_name(self, request: web.Request) -> str:
        try:
            return self._access.user_of(request.headers.get("Authorization", "")).name
        except ApiError:
            return ""

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Raises ApiError."""
        path = request.path.rstrip("/")
        if path in ("/healthz", "/readyz", "/livez"):
            return web.Response(text="ok")
        if path == "/version":
            return answer(discovery.version(self._version))
        user = self._access.user_of(request.headers.get("Authorization", ""))
        described = self._described(path)
        if described is not None and request.method == "GET":
            return answer(described)
        review = await self._review(request, user)
        if review is not None:
            return answer(review, 201)
        target = parse(self._cluster.resources, path)
        is_watch = is_yes(request, "watch")
        self._access.check(user, target.ask(request.method, is_watch=is_watch))
        return await self._api.serve(request, target)

    def _described(self, path: str) -> Obj | None:
        """Discovery documents."""
        resources = list(self._cluster.resources.values())
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
        body = await read_object(request)
        match parts[3]:
            case "selfsubjectaccessreviews":
                return access_review(self._access, user, body)
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
