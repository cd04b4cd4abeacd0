"""Jobs of one namespace: started once, looked at, their output read, deleted with their pods.

It must never take a Job of somebody else for its own, nor delete one.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from integrations.http_calls import garbage
from integrations.kubernetes.calls import SYSTEM, Json, KubernetesCalls
from integrations.kubernetes.job_manifest import CONTAINER, key_of, manifest
from integrations.kubernetes.job_reading import creation_failure, is_concluded, is_going, newest_pod, state_of
from integrations.kubernetes.output import Tail
from integrations.kubernetes.pods import Pods, core
from integrations.kubernetes.reading import label_selector, owned_by
from integrations.kubernetes.troubles import is_suspect
from runbook.errors import Conflict, Permanent
from runbook.jobs import JobOrder
from runbook.ports import JobLog, JobState, PodTrouble

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, BatchV1Api

T = TypeVar("T")

_SHAPE_ERRORS = (KeyError, TypeError, AttributeError, ValueError)
_LARGEST_LOG = 256 * 1024 * 1024
_LOG_WITHIN_S = 60.0


class KubernetesJobs:
    """Fulfils `runbook.ports.Jobs`. kubectl: how a person reaches the same place, for remedies."""

    def __init__(self, calls: KubernetesCalls, pods: Pods, namespace: str, kubectl: str) -> None:
        self._calls = calls
        self._pods = pods
        self._namespace = namespace
        self._kubectl = kubectl

    async def start(self, order: JobOrder) -> None:
        """See the port. A creation whose answer got lost is told by the key of what is there."""
        body: Any = manifest(order, self._namespace)
        try:
            await self._calls.json(
                "create jobs.batch",
                lambda client: _batch(client).create_namespaced_job(
                    self._namespace, body, field_manager="forge", **self._calls.options
                ),
            )
        except Conflict as error:
            found = await self._read(order.name)
            if found is None:  # gone since: the next attempt finds the name free
                raise
            if key_of(found["metadata"]) != order.key or is_going(found):
                raise self._taken(found) from error

    async def job(self, name: str) -> JobState | None:
        found = await self._read(name)
        if found is None:
            return None
        return await self._state(found, await self._pods_of(found))

    async def log(self, name: str, tail_bytes: int) -> JobLog:
        """See the port. A container that has not started yet has no output."""
        found = await self._read(name)
        pod = None if found is None else newest_pod(await self._pods_of(found))
        tail = Tail(tail_bytes, _LARGEST_LOG)
        if pod is None:
            return tail.log(complete=True)
        try:
            complete = await self._calls.stream(
                "get pods/log",
                lambda client: core(client).read_namespaced_pod_log(
                    pod["metadata"]["name"], self._namespace, container=CONTAINER, **self._calls.stream_options
                ),
                tail.take,
                within_s=_LOG_WITHIN_S,
            )
        except Permanent as error:
            if error.code in ("kubernetes.not_found", "kubernetes.bad_request"):  # the pod went; "is waiting to start"
                return tail.log(complete=True)
            raise
        return tail.log(complete=complete)

    async def delete(self, name: str, key: str = "") -> None:
        """See the port. In the foreground: while the Job's object is there, its process may still run."""
        options: Any = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        if key:
            found = await self._read(name)
            if found is None or key_of(found["metadata"]) != key or is_going(found):
                return
            options["preconditions"] = {"uid": found["metadata"]["uid"]}
        try:
            await self._calls.json(
                "delete jobs.batch",
                lambda client: _batch(client).delete_namespaced_job(
                    name, self._namespace, body=options, **self._calls.options
                ),
            )
        except Conflict:
            if not key:
                raise
            # The name belongs to another Job by now, or this one is changing: whichever, look again.
            found = await self._read(name)
            if found is not None and key_of(found["metadata"]) == key and not is_going(found):
                raise
        except Permanent as error:
            if error.code != "kubernetes.not_found":
                raise

    async def of(self, run: str, prefix: str) -> tuple[JobState, ...]:
        selector = f"{prefix}/run={run}"
        jobs = await self._calls.items(
            "list jobs.batch",
            lambda client: _batch(client).list_namespaced_job(
                self._namespace, label_selector=selector, **self._calls.options
            ),
        )
        if not jobs:
            return ()
        pods = await self._pods.found(selector)
        return tuple(
            await asyncio.gather(*(self._state(job, self._shaped(lambda job=job: owned_by(pods, job))) for job in jobs))  # type: ignore[misc]
        )

    # --- reading ----------------------------------------------------------------------------------------------------

    async def _read(self, name: str) -> Json | None:
        try:
            found = await self._calls.json(
                "get jobs.batch",
                lambda client: _batch(client).read_namespaced_job(name, self._namespace, **self._calls.options),
            )
        except Permanent as error:
            if error.code == "kubernetes.not_found":
                return None
            raise
        self._shaped(lambda: (found["metadata"]["name"], found["metadata"]["uid"], found["spec"].get("selector")))
        return found

    async def _pods_of(self, job: Json) -> list[Json]:
        pods = await self._pods.found(self._shaped(lambda: label_selector(job["spec"]["selector"])))
        return self._shaped(lambda: owned_by(pods, job))

    async def _state(self, job: Json, pods: list[Json]) -> JobState:
        pod = self._shaped(lambda: newest_pod(pods))
        try:
            trouble = await self._trouble(job, pod)
            return state_of(job, pod, trouble)
        except _SHAPE_ERRORS as error:
            raise garbage(SYSTEM, "the Kubernetes API", "Job with its pod") from error

    async def _trouble(self, job: Json, pod: Json | None) -> PodTrouble | None:
        """What keeps the pod from starting or running. That it isn't ready yet is none: it need not serve anything."""
        if is_going(job) or is_concluded(job):
            return None
        if pod is None:
            return creation_failure(await self._pods.events("Job", job["metadata"]))
        if not is_suspect(pod):
            return None
        return next((each for each in await self._pods.examined(pod) if each.kind != "not_ready"), None)

    # --- errors -----------------------------------------------------------------------------------------------------

    def _taken(self, found: Json) -> Conflict:
        name = str(found["metadata"]["name"])
        if is_going(found):
            cause = f"the Job {name} is still being deleted"
            remedy = f"It goes when its pod has ended; see `{self._kubectl} describe job {shlex.quote(name)}`"
        else:
            cause = f"there is already a Job {name} that this step didn't start"
            remedy = f"If nobody needs it: `{self._kubectl} delete job {shlex.quote(name)}`"
        return Conflict(SYSTEM, "job_exists", cause, remedy)

    def _shaped(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except _SHAPE_ERRORS as error:
            raise garbage(SYSTEM, "the Kubernetes API", "Job or list of pods") from error


def _batch(client: ApiClient) -> BatchV1Api:
    from kubernetes_asyncio.client import BatchV1Api

    return BatchV1Api(client)
