"""The objects in memory, with one version counter for all of them and a bounded history for watches.

It knows no rules of any kind: those are the cluster's. What it hands out is shared: never change it in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sandbox.kubernetes.objects import Obj, name_of, namespace_of
from sandbox.kubernetes.resources import Resource

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[str, str]  # namespace ("" for cluster-wide kinds), name


@dataclass(frozen=True)
class Change:
    """One write. before: the object as it was, None for ADDED. obj: as it is now (for DELETED: as it went)."""

    version: int
    resource: Resource
    type: ChangeType
    obj: Obj
    before: Obj | None


class Store:
    """Every write gets the next resourceVersion and is told to all listeners, synchronously and in order."""

    def __init__(self, history: int = 4000) -> None:
        self.version = 1
        self.oldest = 0  # watches from before this version are refused
        self._objects: dict[tuple[str, str], dict[Key, Obj]] = {}
        self._history: deque[Change] = deque()
        self._limit = history
        self.listeners: list[Callable[[Change], None]] = []

    def find(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        return self._objects.get(resource.key, {}).get((namespace, name))

    def write(self, resource: Resource, obj: Obj) -> Obj:
        """Store this object (it becomes the store's own) under the next version."""
        key = (namespace_of(obj), name_of(obj))
        held = self._objects.setdefault(resource.key, {})
        before = held.get(key)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        held[key] = obj
        self._tell(Change(self.version, resource, "MODIFIED" if before else "ADDED", obj, before))
        return obj

    def remove(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        before = self._objects.get(resource.key, {}).pop((namespace, name), None)
        if before is None:
            return None
        self.version += 1
        gone = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._tell(Change(self.version, resource, "DELETED", gone, before))
        return gone

    def since(self, resource: Resource, version: int) -> list[Change]:
        return [change for change in self._history if change.version > version and change.resource.key == resource.key]

    def forget_history(self) -> None:
        """As after etcd's compaction: versions up to now can't be watched from any more."""
        self._history.clear()
        self.version += 1
        self.oldest = self.version

    def _tell(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._limit:
            self.oldest = self._history.popleft().version
        for listener in list(self.listeners):
            listener(change)

    def list(self, resource: Resource, namespace: str | None = None) -> list[Obj]:
        """In order of namespace and name, as etcd's keys are. namespace: None for all."""
        held = self._objects.get(resource.key, {})
        return [held[key] for key in sorted(held) if namespace in (None, key[0])]
