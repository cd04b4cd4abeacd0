"""Events, counted up when they repeat, as client-go's correlator does. The oldest are forgotten beyond a bound."""

from __future__ import annotations

import uuid
from collections import OrderedDict

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.objects import Obj, name_of, namespace_of, timestamp, uid_of
from sandbox.kubernetes.resources import EVENTS

KEPT = 3000


class Recorder:
    """Writes Event objects about other objects."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: OrderedDict[tuple[str, ...], tuple[str, str]] = OrderedDict()

    def normal(self, about: Obj, reason: str, message: str, component: str, field_path: str = "") -> None:
        self._record("Normal", about, reason, message, component, field_path)

    def warning(self, about: Obj, reason: str, message: str, component: str, field_path: str = "") -> None:
        self._record("Warning", about, reason, message, component, field_path)

    def _record(self, kind: str, about: Obj, reason: str, message: str, component: str, field_path: str) -> None:
        identity = (uid_of(about), kind, reason, message, component, field_path)
        known = self._known.get(identity)
        if known is not None and self._cluster.mutate(EVENTS, *known, _count_up) is not None:
            self._known.move_to_end(identity)
            return
        event = self._event(kind, about, reason, message, component, field_path)
        namespace = event["metadata"]["namespace"]
        self._cluster.ensure_namespace(namespace)
        self._known[identity] = (namespace, name_of(self._cluster.create(EVENTS, event)))
        if len(self._known) > KEPT:
            _, (old_namespace, old_name) = self._known.popitem(last=False)
            self._cluster.store.remove(EVENTS, old_namespace, old_name)

    def _event(self, kind: str, about: Obj, reason: str, message: str, component: str, field_path: str) -> Obj:
        now = timestamp()
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": name_of(about),
            "namespace": namespace_of(about),
            "uid": uid_of(about),
            "resourceVersion": about["metadata"].get("resourceVersion", ""),
        }
        if field_path:
            involved["fieldPath"] = field_path
        source = {"component": component}
        if component == "kubelet":
            source["host"] = (about.get("spec") or {}).get("nodeName", "")
        return {
            "metadata": {
                "name": f"{name_of(about)}.{uuid.uuid4().hex[:16]}",
                "namespace": namespace_of(about) or "default",
            },
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": source,
            "reportingComponent": component,
            "reportingInstance": source.get("host", ""),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "count": 1,
        }


def _count_up(event: Obj) -> None:
    event["count"] = event.get("count", 1) + 1
    event["lastTimestamp"] = timestamp()
