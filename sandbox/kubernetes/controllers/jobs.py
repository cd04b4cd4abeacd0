"""The Job controller: pods until enough of them succeeded, too many failed, or the deadline passed; and the clean-up by TTL.

Conditions come in the order of current versions: what will be the end first (SuccessCriteriaMet, FailureTarget), and the end
itself (Complete, Failed) when no pod is left running. Source: kubernetes/pkg/controller/job/job_controller.go.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.job_rules import JOB_NAME
from sandbox.kubernetes.objects import (
    HASH_ALPHABET,
    Obj,
    at,
    clone,
    condition,
    controller_of,
    is_active,
    is_deleting,
    is_owned_by,
    is_true,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    put_condition,
    timestamp,
    uid_of,
)
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import JOBS, PODS
from sandbox.kubernetes.status import ApiError
from sandbox.kubernetes.store import Change, Key

SOURCE = "job-controller"
TRACKING = "batch.kubernetes.io/job-tracking"
BACK_OFF_S, LONGEST_BACK_OFF_S, CREATED_AGAIN_S = 10.0, 600.0, 1.0
TOO_MANY = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
TOO_LONG = ("DeadlineExceeded", "Job was active longer than specified deadline")
ENOUGH = ("CompletionsReached", "Reached expected number of succeeded pods")


@dataclass
class Seen:
    """What the controller keeps of one Job beside its status: readings finer than timestamps. In seconds."""

    started: float = field(default_factory=time.monotonic)
    last_failure: float | None = None
    finished: float | None = None


class JobController:
    """deadline_scale: real seconds per second of activeDeadlineSeconds; where pods are real processes they run at their own speed."""

    def __init__(self, cluster: Cluster, recorder: Recorder, pace: Pace, *, deadline_scale: float) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._pace = pace
        self._deadline_scale = deadline_scale
        self._seen: dict[str, Seen] = {}
        self.queue = WorkQueue(self.sync, pace)

    def notice(self, change: Change) -> None:
        if change.resource.key == JOBS.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))
            if change.type == "DELETED":
                self._seen.pop(uid_of(change.obj), None)
        elif change.resource.key == PODS.key:
            owner = controller_of(change.obj) or {}
            # An orphan's owner is gone from it; its label still says whose it was.
            name = owner.get("name") if owner.get("kind") == "Job" else labels_of(change.obj).get(JOB_NAME)
            if name:
                self.queue.add((namespace_of(change.obj), name))

    def sync(self, key: Key) -> float | None:
        job = self._cluster.store.find(JOBS, *key)
        if job is None:
            self._release_orphans(*key)
            return None
        seen = self._seen.setdefault(uid_of(job), Seen())
        pods = [pod for pod in self._cluster.store.list(PODS, key[0]) if is_owned_by(pod, job)]
        if _is_finished(job):
            self._release(pods)
            return self._clean_up(job, seen)
        job = self._count(job, pods, seen)
        if is_deleting(job):
            return None
        verdict = self._verdict(job, pods, seen)
        if verdict is not None:
            return self._conclude(job, *verdict)
        return _soonest(self._deadline_left_s(job, seen), self._create_missing(job, pods, seen))

    # Counting

    def _count(self, job: Obj, pods: list[Obj], seen: Seen) -> Obj:
        """Each ended pod is counted once: that it still carries the finalizer says that it wasn't."""
        new = [pod for pod in pods if TRACKING in (pod["metadata"].get("finalizers") or ()) and not is_active(pod)]
        good = sum(at(pod, "status.phase") == "Succeeded" for pod in new)
        if len(new) > good:
            seen.last_failure = self._pace.now()
        active = [pod for pod in pods if is_active(pod)]
        ending = sum(is_deleting(pod) and at(pod, "status.phase") not in ("Succeeded", "Failed") for pod in pods)
        old = job.get("status") or {}
        counts = {
            "active": len(active),
            "succeeded": (old.get("succeeded") or 0) + good,
            "failed": (old.get("failed") or 0) + len(new) - good,
        }
        status = {
            "startTime": old.get("startTime") or timestamp(),
            **({"conditions": clone(old["conditions"])} if "conditions" in old else {}),
            **{name: count for name, count in counts.items() if count},
            "ready": sum(is_true(pod, "Ready") for pod in active),
            "terminating": ending,
            "uncountedTerminatedPods": {},
        }
        job = self._write(job, status)
        self._release(new)
        return job

    def _release(self, pods: list[Obj]) -> None:
        def change(pod: Obj) -> None:
            kept = [entry for entry in pod["metadata"].get("finalizers") or () if entry != TRACKING]
            pod["metadata"].pop("finalizers", None)
            if kept:
                pod["metadata"]["finalizers"] = kept

        for pod in pods:
            if TRACKING in (pod["metadata"].get("finalizers") or ()):
                self._cluster.mutate(PODS, namespace_of(pod), name_of(pod), change)

    def _release_orphans(self, namespace: str, job: str) -> None:
        pods = self._cluster.store.list(PODS, namespace)
        self._release([pod for pod in pods if labels_of(pod).get(JOB_NAME) == job])

    # Judging

    def _verdict(self, job: Obj, pods: list[Obj], seen: Seen) -> tuple[bool, str, str] | None:
        """(succeeded, reason, message) when the Job has come to its end, or is on the way there."""
        for kind in ("SuccessCriteriaMet", "FailureTarget"):
            decided = condition(job, kind)
            if decided is not None:
                return kind == "SuccessCriteriaMet", decided["reason"], decided["message"]
        status, spec = job["status"], job["spec"]
        failed = status.get("failed", 0)
        if failed > spec["backoffLimit"] or self._restarted_too_often(job, pods):
            return False, *TOO_MANY
        left_s = self._deadline_left_s(job, seen)
        if left_s is not None and left_s <= 0:
            return False, *TOO_LONG
        if status.get("succeeded", 0) >= (spec.get("completions") or 1):
            return True, *ENOUGH
        return None

    def _restarted_too_often(self, job: Obj, pods: list[Obj]) -> bool:
        if at(job, "spec.template.spec.restartPolicy") != "OnFailure":
            return False
        restarts = sum(
            entry.get("restartCount", 0)
            for pod in pods
            if is_active(pod)
            for entry in at(pod, "status.containerStatuses") or ()
        )
        return bool(restarts and restarts >= job["spec"]["backoffLimit"])

    def _deadline_left_s(self, job: Obj, seen: Seen) -> float | None:
        """In simulated seconds, as the queue waits."""
        deadline_s = job["spec"].get("activeDeadlineSeconds")
        if deadline_s is None:
            return None
        left_s: float = deadline_s * self._deadline_scale - (time.monotonic() - seen.started)
        return left_s / self._pace.scale

    # Acting

    def _conclude(self, job: Obj, succeeded: bool, reason: str, message: str) -> float | None:
        first, last = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
        if condition(job, first) is None:
            job = self._say(job, first, reason, message)
        for pod in self._cluster.store.list(PODS, namespace_of(job)):
            if is_owned_by(pod, job) and is_active(pod):
                self._cluster.delete(PODS, namespace_of(pod), name_of(pod))
                self._recorder.normal(job, "SuccessfulDelete", f"Deleted pod: {name_of(pod)}", SOURCE)
        if job["status"].get("active") or job["status"].get("terminating"):
            return None  # the last pod's end calls again
        self._say(job, last, reason, message)
        if succeeded:
            self._recorder.normal(job, "Completed", "Job completed", SOURCE)
        else:
            self._recorder.warning(job, reason, message, SOURCE)
        return None

    def _say(self, job: Obj, kind: str, reason: str, message: str) -> Obj:
        status = clone(job["status"])
        entry = {"type": kind, "status": "True", "reason": reason, "message": message, "lastProbeTime": timestamp()}
        put_condition(status.setdefault("conditions", []), entry)
        if kind == "Complete":
            status["completionTime"] = timestamp()
        return self._write(job, status)

    def _create_missing(self, job: Obj, pods: list[Obj], seen: Seen) -> float | None:
        """Simulated seconds until it is to be looked at again."""
        status, spec = job["status"], job["spec"]
        active = sum(is_active(pod) for pod in pods)
        wanted = min(spec["parallelism"], (spec.get("completions") or 1) - status.get("succeeded", 0))
        if active >= wanted:
            return None
        if seen.last_failure is not None:
            back_off_s = min(BACK_OFF_S * 2 ** (status.get("failed", 1) - 1), LONGEST_BACK_OFF_S)
            left_s: float = seen.last_failure + back_off_s - self._pace.now()
            if left_s > 0:
                return left_s
        try:
            for _ in range(wanted - active):
                self._create(job)
        except ApiError as error:
            self._recorder.warning(job, "FailedCreate", f"Error creating: {error.message}", SOURCE)
            return CREATED_AGAIN_S
        return None

    def _create(self, job: Obj) -> None:
        template, base = job["spec"]["template"], f"{name_of(job)}-"
        meta = {key: clone(value) for key, value in template["metadata"].items() if key in ("labels", "annotations")}
        meta.update(
            name=base + "".join(secrets.choice(HASH_ALPHABET) for _ in range(5)),
            generateName=base,
            namespace=namespace_of(job),
            ownerReferences=[owner_reference(job)],
            finalizers=[TRACKING],
        )
        pod = self._cluster.create(PODS, {"metadata": meta, "spec": clone(template["spec"])})
        self._recorder.normal(job, "SuccessfulCreate", f"Created pod: {name_of(pod)}", SOURCE)

    def _clean_up(self, job: Obj, seen: Seen) -> float | None:
        """The TTL-after-finished controller's part."""
        ttl_s = job["spec"].get("ttlSecondsAfterFinished")
        if ttl_s is None or is_deleting(job):
            return None
        if seen.finished is None:
            seen.finished = self._pace.now()
        left_s = float(seen.finished + ttl_s - self._pace.now())
        if left_s <= 0:
            self._cluster.delete(JOBS, namespace_of(job), name_of(job), propagation="Foreground")
            return None
        return left_s

    def _write(self, job: Obj, status: Obj) -> Obj:
        def change(target: Obj) -> None:
            target["status"] = status

        return self._cluster.mutate(JOBS, namespace_of(job), name_of(job), change, "status") or job


def _is_finished(job: Obj) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def _soonest(*waits_s: float | None) -> float | None:
    return min((wait_s for wait_s in waits_s if wait_s is not None), default=None)
