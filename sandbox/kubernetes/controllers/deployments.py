"""The Deployment controller: ReplicaSets per template, rolling updates within their bounds, revisions, progress.

Each sync makes one move, as the real controller does, and is called again when ReplicaSets change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers import arithmetic, progress
from sandbox.kubernetes.controllers.arithmetic import DESIRED, HASH_LABEL, MAXIMUM, REVISION, REVISION_HISTORY, bounds
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.objects import (
    Obj,
    annotations_of,
    at,
    clone,
    condition,
    controller_of,
    is_active,
    is_deleting,
    is_owned_by,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    total,
    uid_of,
)
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from sandbox.kubernetes.selectors import selector_matches
from sandbox.kubernetes.store import Change, Key

SOURCE = "deployment-controller"


class DeploymentController:
    def __init__(self, cluster: Cluster, recorder: Recorder, pace: Pace) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._clock = progress.ProgressClock(pace)
        self.queue = WorkQueue(self.sync, pace)

    def notice(self, change: Change) -> None:
        if change.resource.key == DEPLOYMENTS.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))
        elif change.resource.key == REPLICA_SETS.key:
            owner = controller_of(change.obj)
            if owner is not None and owner["kind"] == "Deployment":
                self.queue.add((namespace_of(change.obj), owner["name"]))
        elif change.resource.key == PODS.key and change.type == "DELETED":
            # Recreate waits until the old pods are really gone.
            for deployment in self._cluster.store.list(DEPLOYMENTS, namespace_of(change.obj)):
                if at(deployment, "spec.strategy.type") == "Recreate":
                    self.queue.add((namespace_of(deployment), name_of(deployment)))

    def sync(self, key: Key) -> float | None:
        deployment = self._cluster.store.find(DEPLOYMENTS, *key)
        if deployment is None or is_deleting(deployment):
            return None
        deployment = self._note_pause(deployment)
        owned = self._owned(deployment)
        if deployment["spec"].get("paused") or self._was_scaled(deployment, owned):
            self._scale_only(deployment, owned)
        elif at(deployment, "spec.strategy.type") == "Recreate":
            self._recreate(deployment, owned)
        else:
            self._roll(deployment, owned)
        return self._write_status(key)

    # What belongs to it

    def _owned(self, deployment: Obj) -> list[Obj]:
        owned = []
        for replica_set in self._cluster.store.list(REPLICA_SETS, namespace_of(deployment)):
            if is_owned_by(replica_set, deployment):
                owned.append(replica_set)
            elif controller_of(replica_set) is None and self._selects(deployment, replica_set):
                owned.append(self._adopted(deployment, replica_set))
        return owned

    def _selects(self, deployment: Obj, replica_set: Obj) -> bool:
        return selector_matches(deployment["spec"]["selector"], labels_of(replica_set))

    def _adopted(self, deployment: Obj, replica_set: Obj) -> Obj:
        reference = owner_reference(deployment)
        return self._changed(replica_set, lambda rs: rs["metadata"].update(ownerReferences=[reference]))

    def _changed(self, replica_set: Obj, change: Callable[[Obj], None]) -> Obj:
        written = self._cluster.mutate(REPLICA_SETS, namespace_of(replica_set), name_of(replica_set), change)
        return written or replica_set

    def _new_of(self, deployment: Obj, owned: Sequence[Obj]) -> Obj | None:
        """The ReplicaSet of the present template; the oldest where there are several."""
        template = deployment["spec"]["template"]
        matching = [rs for rs in owned if arithmetic.same_template(rs["spec"]["template"], template)]
        return min(matching, key=lambda rs: int(rs["metadata"]["resourceVersion"]), default=None)

    # Moves

    def _roll(self, deployment: Obj, owned: list[Obj]) -> None:
        new = self._ensure_new(deployment, owned)
        old = [rs for rs in owned if uid_of(rs) != uid_of(new)]
        wanted = arithmetic.wanted_of_new(deployment, new, [new, *old])
        if wanted != new["spec"]["replicas"]:
            self._scale(deployment, new, wanted)
        elif not self._shrink_old(deployment, new, old):
            self._clean_up(deployment, new, old)

    def _recreate(self, deployment: Obj, owned: list[Obj]) -> None:
        new = self._new_of(deployment, owned)
        old = [rs for rs in owned if new is None or uid_of(rs) != uid_of(new)]
        shrunk = [self._scale(deployment, rs, 0) for rs in old if rs["spec"]["replicas"]]
        if shrunk or self._has_pods_of(old, deployment):
            return
        new = self._ensure_new(deployment, owned)
        if new["spec"]["replicas"] != deployment["spec"]["replicas"]:
            self._scale(deployment, new, deployment["spec"]["replicas"])
        else:
            self._clean_up(deployment, new, old)

    def _has_pods_of(self, old: Sequence[Obj], deployment: Obj) -> bool:
        owners = {uid_of(rs) for rs in old}
        pods = self._cluster.store.list(PODS, namespace_of(deployment))
        return any(
            (controller_of(pod) or {}).get("uid") in owners and (is_active(pod) or is_deleting(pod)) for pod in pods
        )

    def _scale_only(self, deployment: Obj, owned: list[Obj]) -> None:
        new = self._new_of(deployment, owned)
        active = [rs for rs in owned if rs["spec"]["replicas"]]
        wanted = deployment["spec"]["replicas"]
        latest = max(owned, key=arithmetic.revision_of, default=None)
        if len(active) <= 1:
            single = active[0] if active else new or latest
            if single is not None:
                self._scale(deployment, single, wanted)
        elif new is not None and self._is_saturated(deployment, new):
            for replica_set in active:
                if uid_of(replica_set) != uid_of(new):
                    self._scale(deployment, replica_set, 0)
        elif at(deployment, "spec.strategy.type") == "RollingUpdate":
            sizes = arithmetic.proportions(deployment, active)
            for replica_set in active:
                self._scale(deployment, replica_set, sizes[name_of(replica_set)])

    def _is_saturated(self, deployment: Obj, new: Obj) -> bool:
        wanted = deployment["spec"]["replicas"]
        desired = annotations_of(new).get(DESIRED)
        available = at(new, "status.availableReplicas") or 0
        return bool(new["spec"]["replicas"] == wanted == available and desired == str(wanted))

    def _was_scaled(self, deployment: Obj, owned: Sequence[Obj]) -> bool:
        wanted = str(deployment["spec"]["replicas"])
        return any(rs["spec"]["replicas"] and annotations_of(rs).get(DESIRED, wanted) != wanted for rs in owned)

    def _shrink_old(self, deployment: Obj, new: Obj, old: list[Obj]) -> bool:
        """Unhealthy pods of old ReplicaSets go first, then as many healthy ones as availability allows."""
        if not total(old, "spec.replicas"):
            return False
        budget = arithmetic.removable(deployment, new, [new, *old])
        if budget <= 0:
            return False
        moved = False
        by_age = sorted(old, key=lambda rs: int(arithmetic.revision_of(rs)))
        for index, replica_set in enumerate(by_age):
            unhealthy = replica_set["spec"]["replicas"] - (at(replica_set, "status.availableReplicas") or 0)
            share = min(budget, unhealthy)
            if share > 0:
                by_age[index] = self._scale(deployment, replica_set, replica_set["spec"]["replicas"] - share)
                budget -= share
                moved = True
        _, unavailable = bounds(deployment)
        spare = total([new, *by_age], "status.availableReplicas") - (deployment["spec"]["replicas"] - unavailable)
        spare = min(spare, budget)
        for replica_set in by_age:
            share = min(spare, replica_set["spec"]["replicas"])
            if share > 0:
                self._scale(deployment, replica_set, replica_set["spec"]["replicas"] - share)
                spare -= share
                moved = True
        return moved

    def _scale(self, deployment: Obj, replica_set: Obj, wanted: int) -> Obj:
        surge, _ = bounds(deployment)
        before, replicas = replica_set["spec"]["replicas"], deployment["spec"]["replicas"]
        sizes = {DESIRED: str(replicas), MAXIMUM: str(replicas + surge)}

        def change(target: Obj) -> None:
            target["spec"]["replicas"] = wanted
            target["metadata"].setdefault("annotations", {}).update(sizes)

        written = self._changed(replica_set, change)
        if before != wanted:
            way = "up" if wanted > before else "down"
            message = f"Scaled {way} replica set {name_of(replica_set)} from {before} to {wanted}"
            self._recorder.normal(deployment, "ScalingReplicaSet", message, SOURCE)
        return written

    # ReplicaSets and revisions

    def _ensure_new(self, deployment: Obj, owned: list[Obj]) -> Obj:
        new = self._new_of(deployment, owned)
        others = [rs for rs in owned if new is None or uid_of(rs) != uid_of(new)]
        revision = max((arithmetic.revision_of(rs) for rs in others), default=0) + 1
        if new is None:
            new = self._create_new(deployment, others, revision)
            message = f'Created new replica set "{name_of(new)}"'
            self._note_progress(deployment, new, "NewReplicaSetCreated", message)
        else:
            new = self._keep_up(deployment, new, revision)
            if condition(deployment, "Progressing") is None or self._rolls_back(deployment, new):
                self._note_progress(deployment, new, "FoundNewReplicaSet", f'Found new replica set "{name_of(new)}"')
        self._mark_revision(deployment, new)
        return new

    def _rolls_back(self, deployment: Obj, new: Obj) -> bool:
        """The template returned to one that was there before: the progress deadline starts anew."""
        return arithmetic.revision_of(deployment) != arithmetic.revision_of(new)

    def _create_new(self, deployment: Obj, others: Sequence[Obj], revision: int) -> Obj:
        hashed = arithmetic.template_hash(deployment)
        template = clone(deployment["spec"]["template"])
        template["metadata"].setdefault("labels", {})[HASH_LABEL] = hashed
        selector = clone(deployment["spec"]["selector"])
        selector.setdefault("matchLabels", {})[HASH_LABEL] = hashed
        surge, _ = bounds(deployment)
        wanted = deployment["spec"]["replicas"]
        annotations = {k: v for k, v in annotations_of(deployment).items() if k not in arithmetic.NOT_COPIED}
        annotations.update({REVISION: str(revision), DESIRED: str(wanted), MAXIMUM: str(wanted + surge)})
        draft: Obj = {
            "metadata": {
                "name": f"{name_of(deployment)}-{hashed}",
                "namespace": namespace_of(deployment),
                "labels": clone(template["metadata"]["labels"]),
                "annotations": annotations,
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        if deployment["spec"].get("minReadySeconds"):
            draft["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        draft["spec"]["replicas"] = arithmetic.wanted_of_new(deployment, draft, [draft, *others])
        new = self._cluster.create(REPLICA_SETS, draft)
        if new["spec"]["replicas"]:
            message = f"Scaled up replica set {name_of(new)} from 0 to {new['spec']['replicas']}"
            self._recorder.normal(deployment, "ScalingReplicaSet", message, SOURCE)
        return new

    def _keep_up(self, deployment: Obj, new: Obj, revision: int) -> Obj:
        """Carry the Deployment's annotations and minReadySeconds over; give a reused ReplicaSet the newest revision."""
        copied = {k: v for k, v in annotations_of(deployment).items() if k not in arithmetic.NOT_COPIED}
        known = arithmetic.revision_of(new)

        def change(target: Obj) -> None:
            annotations = target["metadata"].setdefault("annotations", {})
            annotations.update(copied)
            if known < revision:
                history = [part for part in annotations.get(REVISION_HISTORY, "").split(",") if part]
                annotations[REVISION_HISTORY] = ",".join([*history, str(known)])
                annotations[REVISION] = str(revision)
            if deployment["spec"].get("minReadySeconds"):
                target["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
            else:
                target["spec"].pop("minReadySeconds", None)

        return self._changed(new, change)

    def _mark_revision(self, deployment: Obj, new: Obj) -> None:
        revision = annotations_of(new)[REVISION]
        if annotations_of(deployment).get(REVISION) == revision:
            return

        def change(target: Obj) -> None:
            target["metadata"].setdefault("annotations", {})[REVISION] = revision

        # By the status subresource, so that it counts no generation.
        self._cluster.mutate(DEPLOYMENTS, namespace_of(deployment), name_of(deployment), change, "status")

    def _clean_up(self, deployment: Obj, new: Obj, old: Sequence[Obj]) -> None:
        if total([new, *old], "status.replicas") != deployment["spec"]["replicas"]:
            return
        idle = [rs for rs in old if not rs["spec"]["replicas"] and not (at(rs, "status.replicas") or 0)]
        surplus = len(idle) - (deployment["spec"].get("revisionHistoryLimit") or 0)
        for replica_set in sorted(idle, key=arithmetic.revision_of)[: max(0, surplus)]:
            self._cluster.delete(REPLICA_SETS, namespace_of(replica_set), name_of(replica_set))

    # Status

    def _note_pause(self, deployment: Obj) -> Obj:
        known, paused = condition(deployment, "Progressing"), bool(deployment["spec"].get("paused"))
        reason = None if known is None else known["reason"]
        if reason == progress.TIMED_OUT:
            return deployment
        if paused and reason != progress.PAUSED:
            self._note(deployment, "Unknown", progress.PAUSED, "Deployment is paused")
        elif not paused and reason == progress.PAUSED:
            self._clock.restart(deployment)
            self._note(deployment, "Unknown", progress.RESUMED, "Deployment is resumed")
        return self._cluster.store.find(DEPLOYMENTS, namespace_of(deployment), name_of(deployment)) or deployment

    def _note_progress(self, deployment: Obj, new: Obj, reason: str, message: str) -> None:
        self._clock.restart(deployment)
        self._note(deployment, "True", reason, message)

    def _note(self, deployment: Obj, verdict: str, reason: str, message: str) -> None:
        def change(target: Obj) -> None:
            status = target.setdefault("status", {})
            status.setdefault("conditions", [])
            progress.note(status, verdict, reason, message)

        self._cluster.mutate(DEPLOYMENTS, namespace_of(deployment), name_of(deployment), change, "status")

    def _write_status(self, key: Key) -> float | None:
        deployment = self._cluster.store.find(DEPLOYMENTS, *key)
        if deployment is None:
            return None
        owned = self._owned(deployment)
        new = self._new_of(deployment, owned)
        status = progress.counted(deployment, new, owned)
        again_s = progress.judge_progress(deployment, status, new, self._clock)
        progress.judge_available(deployment, status)
        self._cluster.mutate(DEPLOYMENTS, *key, lambda target: target.update(status=status), "status")
        return again_s
