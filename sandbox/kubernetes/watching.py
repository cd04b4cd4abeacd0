"""Watches: changes after a version, as a stream of JSON lines, with bookmarks and with 410 for forgotten versions."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from sandbox.kubernetes import status
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.selectors import Predicate
from sandbox.kubernetes.store import Change, Store
from sandbox.kubernetes.wire import Form, is_yes

LONGEST_S, BOOKMARK_EVERY_S = 1800.0, 60.0
INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Watches:
    """All open watches. Ending them closes their streams as a real server's restart or time-out does."""

    def __init__(self, store: Store, pace: Pace) -> None:
        self._store = store
        self._pace = pace
        self._open: set[asyncio.Queue[Change | Obj | None]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def end(self, *, expired: bool = False) -> None:
        """Close every stream; expired: with an ERROR event that says 410 first."""
        for queue in self._open:
            if expired:
                queue.put_nowait(status.expired(1, self._store.version).body())
            queue.put_nowait(None)

    async def serve(
        self, request: web.Request, resource: Resource, namespace: str | None, wanted: Predicate
    ) -> web.StreamResponse:
        """Stream until the client's timeoutSeconds, its disconnection, or `end`. Raises ApiError 400, 504."""
        # All of this before the first await: nothing may happen between the snapshot and the listening.
        backlog, error = self._backlog(request, resource)
        snapshot, version = self._store.list(resource, namespace), self._store.version
        queue: asyncio.Queue[Change | Obj | None] = asyncio.Queue()
        listener = _Listener(resource, queue)
        self._store.listeners.append(listener)
        self._open.add(queue)
        try:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            stream = _Stream(response, request, resource, namespace, wanted)
            if error is not None:
                await stream.send("ERROR", error)
                return response
            if backlog is None:
                await stream.initial(snapshot, version)
            else:
                for change in backlog:
                    await stream.change(change)
            await self._pump(stream, queue)
            return response
        finally:
            self._store.listeners.remove(listener)
            self._open.discard(queue)

    def _backlog(self, request: web.Request, resource: Resource) -> tuple[list[Change] | None, Obj | None]:
        """(changes since the asked version, None for a fresh start) and the Status for a forgotten version."""
        text = request.query.get("resourceVersion", "")
        if text in ("", "0") or is_yes(request, "sendInitialEvents"):
            return None, None
        if not text.isdigit():
            raise status.bad_request(f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: invalid syntax')
        version = int(text)
        if version > self._store.version:
            raise status.too_large_version(version, self._store.version)
        if version < self._store.oldest:
            return None, status.expired(version, self._store.oldest).body()
        return self._store.since(resource, version), None

    async def _pump(self, stream: _Stream, queue: asyncio.Queue[Change | Obj | None]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(stream.timeout_s or LONGEST_S, LONGEST_S)
        every_s = max(BOOKMARK_EVERY_S * self._pace.scale, 0.2)
        while True:
            left_s = deadline - loop.time()
            if left_s <= 0:
                await stream.bookmark(self._store.version)
                return
            try:
                async with asyncio.timeout(min(left_s, every_s)):
                    item = await queue.get()
            except TimeoutError:
                await stream.bookmark(self._store.version)
                continue
            if item is None:
                return
            await (stream.change(item) if isinstance(item, Change) else stream.send("ERROR", item))


class _Listener:
    def __init__(self, resource: Resource, queue: asyncio.Queue[Change | Obj | None]) -> None:
        self._resource = resource
        self._queue = queue

    def __call__(self, change: Change) -> None:
        if change.resource.key == self._resource.key:
            self._queue.put_nowait(change)


class _Stream:
    """One client's stream: what it selects, in the form it asked for."""

    def __init__(
        self, response: web.StreamResponse, request: web.Request, resource: Resource, namespace: str | None,
        wanted: Predicate,
    ) -> None:  # fmt: skip
        self._response = response
        self._resource = resource
        self._namespace = namespace
        self._wanted = wanted
        self._form = Form(request)
        self._takes_bookmarks = is_yes(request, "allowWatchBookmarks")
        self._wants_initial_end = is_yes(request, "sendInitialEvents")
        self._last_bookmark = 0
        self.timeout_s = float(request.query.get("timeoutSeconds") or 0)

    async def send(self, kind: str, obj: Obj) -> None:
        await self._response.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    async def initial(self, objects: list[Obj], version: int) -> None:
        for obj in objects:
            if self._wanted(obj):
                await self.send("ADDED", self._form.one(self._resource, obj))
        if self._wants_initial_end:
            await self._send_bookmark(version, INITIAL_END)

    async def change(self, change: Change) -> None:
        """An object that starts or ceases to match the selector is added or deleted for this client."""
        if self._namespace is not None and change.obj["metadata"].get("namespace") != self._namespace:
            return
        did_match = change.before is not None and self._wanted(change.before)
        matches = change.type != "DELETED" and self._wanted(change.obj)
        if not matches and not did_match:
            return
        kind = "MODIFIED" if matches and did_match else "ADDED" if matches else "DELETED"
        await self.send(kind, self._form.one(self._resource, change.obj))

    async def bookmark(self, version: int) -> None:
        if self._takes_bookmarks and version != self._last_bookmark:
            await self._send_bookmark(version, {})

    async def _send_bookmark(self, version: int, annotations: dict[str, str]) -> None:
        self._last_bookmark = version
        metadata: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        bare: Obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        await self.send("BOOKMARK", self._form.mark(bare))
