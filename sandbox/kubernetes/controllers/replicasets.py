"""The ReplicaSet controller: as many pods as asked for, and a status that says how many are ready and available."""

from __future__ import annotations

import secrets

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.objects import (
    HASH_ALPHABET,
    Obj,
    clone,
    controller_of,
    is_active,
    is_deleting,
    is_owned_by,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import PODS, REPLICA_SETS
from sandbox.kubernetes.selectors import selector_matches
from sandbox.kubernetes.store import Change, Key

SOURCE = "replicaset-controller"


class ReplicaSetController:
    def __init__(self, cluster: Cluster, recorder: Recorder, pace: Pace) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._pace = pace
        self._ready_since: dict[str, float] = {}  # pod uid -> simulated seconds; timestamps are too coarse
        self.queue = WorkQueue(self.sync, pace)

    def notice(self, change: Change) -> None:
        if change.resource.key == REPLICA_SETS.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))
        elif change.resource.key == PODS.key:
            self._notice_pod(change)

    def _notice_pod(self, change: Change) -> None:
        pod, uid = change.obj, uid_of(change.obj)
        if change.type == "DELETED" or not is_true(pod, "Ready"):
            self._ready_since.pop(uid, None)
        else:
            self._ready_since.setdefault(uid, self._pace.now())
        owner = controller_of(pod) or (controller_of(change.before) if change.before else None)
        if owner is not None and owner["kind"] == "ReplicaSet":
            self.queue.add((namespace_of(pod), owner["name"]))

    def sync(self, key: Key) -> float | None:
        replica_set = self._cluster.store.find(REPLICA_SETS, *key)
        if replica_set is None:
            return None
        pods = self._claimed(replica_set)
        if not is_deleting(replica_set):
            missing = (replica_set["spec"].get("replicas") or 0) - len(pods)
            if missing > 0:
                self._create(replica_set, missing)
            elif missing < 0:
                self._delete(replica_set, pods, -missing)
            pods = self._claimed(replica_set)
        return self._write_status(replica_set, pods)

    def _claimed(self, replica_set: Obj) -> list[Obj]:
        """The active pods it owns; matching orphans are adopted."""
        claimed = []
        for pod in self._cluster.store.list(PODS, namespace_of(replica_set)):
            if not is_active(pod):
                continue
            if is_owned_by(pod, replica_set):
                claimed.append(pod)
            elif controller_of(pod) is None and selector_matches(replica_set["spec"]["selector"], labels_of(pod)):
                claimed.append(self._adopted(replica_set, pod))
        return claimed

    def _adopted(self, replica_set: Obj, pod: Obj) -> Obj:
        def change(target: Obj) -> None:
            target["metadata"]["ownerReferences"] = [owner_reference(replica_set)]

        return self._cluster.mutate(PODS, namespace_of(pod), name_of(pod), change) or pod

    def _create(self, replica_set: Obj, count: int) -> None:
        template = replica_set["spec"]["template"]
        for _ in range(count):
            base = f"{name_of(replica_set)}-"
            meta = {
                key: clone(value) for key, value in template["metadata"].items() if key in ("labels", "annotations")
            }
            meta.update(
                name=base + "".join(secrets.choice(HASH_ALPHABET) for _ in range(5)),
                generateName=base,
                namespace=namespace_of(replica_set),
                ownerReferences=[owner_reference(replica_set)],
            )
            pod = self._cluster.create(PODS, {"metadata": meta, "spec": clone(template["spec"])})
            self._recorder.normal(replica_set, "SuccessfulCreate", f"Created pod: {name_of(pod)}", SOURCE)

    def _delete(self, replica_set: Obj, pods: list[Obj], count: int) -> None:
        for pod in sorted(pods, key=self._worth)[:count]:
            self._cluster.delete(PODS, namespace_of(pod), name_of(pod))
            self._recorder.normal(replica_set, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", SOURCE)

    def _worth(self, pod: Obj) -> tuple[int, int, int, int, float]:
        """Pods without a node go first, then unready ones, then those that restarted more, then the younger."""
        restarts = sum(s.get("restartCount", 0) for s in pod["status"].get("containerStatuses") or ())
        running = 1 if pod["status"]["phase"] == "Running" else 0
        ready = 1 if is_true(pod, "Ready") else 0
        since = self._ready_since.get(uid_of(pod), self._pace.now())
        return (1 if pod["spec"].get("nodeName") else 0, running, ready, -restarts, -since)

    def _write_status(self, replica_set: Obj, pods: list[Obj]) -> float | None:
        wait_s: float | None = None
        min_ready_s = replica_set["spec"].get("minReadySeconds") or 0
        ready = [pod for pod in pods if is_true(pod, "Ready")]
        available = 0
        for pod in ready:
            left_s = min_ready_s - (self._pace.now() - self._ready_since.setdefault(uid_of(pod), self._pace.now()))
            if left_s <= 0:
                available += 1
            else:
                wait_s = left_s if wait_s is None else min(wait_s, left_s)
        template_labels = labels_of(replica_set["spec"]["template"]).items()
        labelled = sum(1 for pod in pods if template_labels <= labels_of(pod).items())
        counts = {"fullyLabeledReplicas": labelled, "readyReplicas": len(ready), "availableReplicas": available}
        status = {
            "replicas": len(pods),
            **{name: count for name, count in counts.items() if count},
            "observedGeneration": replica_set["metadata"]["generation"],
        }
        self._cluster.mutate(
            REPLICA_SETS, namespace_of(replica_set), name_of(replica_set), lambda rs: rs.update(status=status), "status"
        )
        return wait_s
