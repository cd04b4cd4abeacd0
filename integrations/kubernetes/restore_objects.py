"""The objects of servers for restores in one namespace: made of a template, waited for, and removed by their labels.

It must never change or remove an object that doesn't carry the labels of the very restore.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from integrations.http_calls import Limits
from integrations.kubernetes.calls import SYSTEM, Json, KubernetesCalls
from integrations.kubernetes.credentials import Credentials
from integrations.kubernetes.restore_template import KINDS, WORKLOADS, RestoreNames
from runbook.errors import Conflict, Permanent, Temporary

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

_GONE_WITHIN_S: Final = 180.0
_LOOK_S: Final = 1.0
_SECRET: Final = ("v1", "Secret")
_WORDS: Final = {**KINDS, _SECRET: ("secret", "secrets")}


class RestoreObjects:
    """look_s: between two looks at what is waited for."""

    def __init__(
        self, credentials: Credentials, namespace: str, *, limits: Limits | None = None, look_s: float = _LOOK_S
    ) -> None:
        self._calls = KubernetesCalls(credentials, limits or Limits())
        self.namespace = namespace
        self._look_s = look_s

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def apply(self, names: RestoreNames, objects: Sequence[Json]) -> None:
        """Makes what isn't there yet. Raises Permanent("kubernetes.taken") for an object of that name that isn't this restore's."""
        for each in objects:
            try:
                await self._do("create", each, body=each, field_manager="forge")
            except Conflict:
                if each["kind"] == "Secret":  # its name is this restore's alone, and it can't be read
                    continue
                found = await self._read(each)
                if found is not None and not _carries(found, names):
                    kind, name = each["kind"], each["metadata"]["name"]
                    cause = f"there is a {kind} {name} already in {self.namespace}, which this restore has not made"
                    raise Permanent(SYSTEM, "taken", cause, "Remove it where nobody needs it") from None

    async def ready(self, objects: Sequence[Json], within_s: float) -> None:
        """Raises Temporary("kubernetes.not_ready") where the server's pod isn't in time."""
        workload = next(each for each in objects if each["kind"] in WORKLOADS)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            found = await self._read(workload)
            if found is not None and int((found.get("status") or {}).get("readyReplicas") or 0) > 0:
                return
            await asyncio.sleep(self._look_s)
        kind, name = workload["kind"], workload["metadata"]["name"]
        remedy = f"See `kubectl -n {self.namespace} describe pods`: an image, a volume or room may be missing"
        raise Temporary(SYSTEM, "not_ready", f"the {kind} {name} was not ready within {within_s:g} s", remedy)

    async def remove(self, names: RestoreNames) -> None:
        """All that carries the labels, until it is gone. Raises Temporary("kubernetes.still_there")."""
        deadline = time.monotonic() + _GONE_WITHIN_S
        while left := await self._labelled(names.selector):
            for each in left:
                if not each["metadata"].get("deletionTimestamp"):
                    await self._delete(each)
            if time.monotonic() > deadline:
                there = ", ".join(f"{each['kind']} {each['metadata']['name']}" for each in left)
                raise Temporary(SYSTEM, "still_there", f"{there} of {names.name} did not go", "Look for its finalizers")
            await asyncio.sleep(self._look_s)
        await self._delete({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names.secret}})

    async def values(self, label: str, selector: str) -> tuple[str, ...]:
        """What stands in a label of the objects that are selected."""
        found = {str(each["metadata"]["labels"][label]) for each in await self._labelled(selector)}
        return tuple(sorted(found))

    async def _labelled(self, selector: str) -> list[Json]:
        found: list[Json] = []
        for (version, kind), (word, right) in KINDS.items():
            items = await self._calls.items(
                f"list {right}",
                lambda client, version=version, word=word: getattr(_api(client, version), f"list_namespaced_{word}")(  # type: ignore[misc]
                    self.namespace, label_selector=selector, **self._calls.options
                ),
            )
            found += [{**item, "apiVersion": version, "kind": kind} for item in items]
        return found

    async def _read(self, like: Json) -> Json | None:
        try:
            return await self._do("read", like, like["metadata"]["name"])
        except Permanent as error:
            if error.code != "kubernetes.not_found":
                raise
            return None

    async def _delete(self, found: Json) -> None:
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        if uid := found["metadata"].get("uid"):
            options["preconditions"] = {"uid": uid}
        try:
            await self._do("delete", found, found["metadata"]["name"], body=options)
        except Conflict:
            pass  # another object has its name by now; the next look tells
        except Permanent as error:
            if error.code != "kubernetes.not_found":
                raise

    async def _do(self, verb: str, like: Json, *named: str, **more: Any) -> Json:
        version = like["apiVersion"]
        word, right = _WORDS[version, like["kind"]]
        return await self._calls.json(
            f"{'get' if verb == 'read' else verb} {right}",
            lambda client: getattr(_api(client, version), f"{verb}_namespaced_{word}")(
                *named, self.namespace, **more, **self._calls.options
            ),
        )


def _api(client: ApiClient, version: str) -> Any:
    from kubernetes_asyncio import client as library

    names = {"v1": library.CoreV1Api, "apps/v1": library.AppsV1Api, "networking.k8s.io/v1": library.NetworkingV1Api}
    return names[version](client)


def _carries(found: Json, names: RestoreNames) -> bool:
    labels = found["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in names.labels.items())
