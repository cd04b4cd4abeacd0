"""A gateway's controller for Gateways: each is accepted at once and has an address. It opens no port: who plays the containers listens."""

from __future__ import annotations

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.objects import Obj, at, clone, name_of, namespace_of, put_condition
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.resources import GATEWAYS
from sandbox.kubernetes.store import Change, Key

ADDRESS = "10.96.255.80"
SAID = (("Accepted", "The Gateway has been accepted"), ("Programmed", "Address assigned to the Gateway"))


class GatewayController:
    def __init__(self, cluster: Cluster, pace: Pace) -> None:
        self._cluster = cluster
        self.queue = WorkQueue(self.sync, pace)

    def notice(self, change: Change) -> None:
        if change.resource.key == GATEWAYS.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))

    def sync(self, key: Key) -> None:
        gateway = self._cluster.store.find(GATEWAYS, *key)
        if gateway is None:
            return
        conditions: list[Obj] = clone(at(gateway, "status.conditions") or [])
        generation = gateway["metadata"]["generation"]
        for kind, message in SAID:
            entry = {"type": kind, "status": "True", "reason": kind, "message": message}
            put_condition(conditions, {**entry, "observedGeneration": generation})
        status = {"addresses": [{"type": "IPAddress", "value": ADDRESS}], "conditions": conditions}
        self._cluster.mutate(GATEWAYS, *key, lambda obj: obj.update(status=status), "status")
