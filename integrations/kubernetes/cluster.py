"""One environment's cluster: reads Deployments and rollouts, sets images, runs Jobs, nothing else.

It must never add a container, touch a field beside image and annotations, or write where the images are already right.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from integrations.http_calls import Limits, garbage
from integrations.kubernetes.calls import STRATEGIC_MERGE, SYSTEM, Json, KubernetesCalls
from integrations.kubernetes.credentials import Credentials, kubectl_options
from integrations.kubernetes.jobs import KubernetesJobs
from integrations.kubernetes.pods import Pods
from integrations.kubernetes.reading import (
    TEMPLATE_HASH,
    condition,
    deployment_of,
    images_differ,
    label_selector,
    newest_replica_set,
    owned_by,
    rollout_of,
    unknown_containers,
)
from integrations.kubernetes.rights import RIGHTS, review
from integrations.kubernetes.troubles import is_suspect
from runbook.errors import Conflict, Permanent
from runbook.jobs import JobOrder
from runbook.ports import Deployment, JobLog, JobState, PodTrouble, Rollout

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, AppsV1Api

T = TypeVar("T")

_PODS_EXAMINED = 5
"""Of the pods that aren't well, so many are asked for events and logs: a bad release of 200 pods fails for the same reason 200 times."""
_WRITE_ATTEMPTS = 3
_SHAPE_ERRORS = (KeyError, TypeError, AttributeError, ValueError)


class KubernetesCluster:
    """Fulfils `runbook.ports.Cluster` for one context and namespace."""

    def __init__(
        self,
        credentials: Credentials,
        namespace: str,
        *,
        limits: Limits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._namespace = namespace
        self._credentials = credentials
        self._calls = KubernetesCalls(credentials, limits or Limits())
        self._pods = Pods(self._calls, namespace, now)
        self._jobs = KubernetesJobs(self._calls, self._pods, namespace, self.kubectl)

    async def aclose(self) -> None:
        await self._calls.aclose()

    @property
    def kubectl(self) -> str:
        """See the port. Names no credential."""
        return " ".join(("kubectl", *map(shlex.quote, (*kubectl_options(self._credentials), "-n", self._namespace))))

    async def deployment(self, name: str) -> Deployment | None:
        """See the port. Raises Temporary and Permanent."""
        found = await self._read(name)
        return None if found is None else self._shaped(lambda: deployment_of(found))

    async def set_images(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        """See the port. Where every image is already right nothing is written, the annotations neither: on a pod template
        they alone would restart every pod.

        Raises Permanent("no_container") where the Deployment has no container of that name (a merge would add one), and
        Conflict where others changed the object each time.
        """
        attempt = 1
        while True:
            found = await self._read(name)
            if found is None:
                raise self._missing(name)
            if unknown := self._shaped(lambda found=found: unknown_containers(found, images)):  # type: ignore[misc]
                remedy = f"Correct the names of the containers of {name} in the service's configuration"
                cause = f"the Deployment {name} has no container named {', '.join(unknown)}"
                raise Permanent(SYSTEM, "no_container", cause, remedy)
            if not images_differ(found, images):
                return int(found["metadata"].get("generation", 0))
            try:
                return await self._patch(name, images, annotations)
            except Conflict:
                if attempt == _WRITE_ATTEMPTS:
                    raise
                attempt += 1

    async def rollout(self, name: str) -> Rollout:
        """See the port. Raises Permanent("not_found") without such a Deployment.

        Log tails and events are extras: where they can't be read the trouble is told without them.
        """
        found = await self._read(name)
        if found is None:
            raise self._missing(name)
        bare = self._shaped(lambda: rollout_of(found, ()))
        if not bare.observed:  # the newest ReplicaSet is still the one before
            return bare
        try:
            return replace(bare, troubles=await self._troubles(found))
        except _SHAPE_ERRORS as error:
            raise garbage(SYSTEM, "the Kubernetes API", "list of ReplicaSets, pods or events") from error

    async def missing_rights(self) -> tuple[str, ...]:
        """See the port. Raises Temporary, and Permanent where the reviews themselves are refused."""

        async def is_allowed(right: str) -> bool:
            answer = await self._calls.json(
                "create selfsubjectaccessreviews.authorization.k8s.io",
                lambda client: review(client, right, self._namespace, self._calls.options),
            )
            return (answer.get("status") or {}).get("allowed") is True

        allowed = await asyncio.gather(*(is_allowed(right) for right in RIGHTS))
        return tuple(right for right, yes in zip(RIGHTS, allowed, strict=True) if not yes)

    # --- Jobs -------------------------------------------------------------------------------------------------------

    async def start_job(self, order: JobOrder) -> None:
        """See the port."""
        await self._jobs.start(order)

    async def job(self, name: str) -> JobState | None:
        """See the port."""
        return await self._jobs.job(name)

    async def job_log(self, name: str, tail_bytes: int) -> JobLog:
        """See the port."""
        return await self._jobs.log(name, tail_bytes)

    async def delete_job(self, name: str, key: str = "") -> None:
        """See the port."""
        await self._jobs.delete(name, key)

    async def jobs_of(self, run: str, prefix: str = "forge") -> tuple[JobState, ...]:
        """See the port."""
        return await self._jobs.of(run, prefix)

    # --- the Deployment ---------------------------------------------------------------------------------------------

    async def _read(self, name: str) -> Json | None:
        try:
            return await self._calls.json(
                "get deployments.apps",
                lambda client: _apps(client).read_namespaced_deployment(name, self._namespace, **self._calls.options),
            )
        except Permanent as error:
            if error.code == "kubernetes.not_found":
                return None
            raise

    async def _patch(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        template = {
            "metadata": {"annotations": dict(annotations)},
            "spec": {"containers": [{"name": container, "image": image} for container, image in images.items()]},
        }
        options = {
            **self._calls.options,
            "_content_type": STRATEGIC_MERGE,
        }  # the library's default would be a JSON patch
        answer = await self._calls.json(
            "patch deployments.apps",
            lambda client: _apps(client).patch_namespaced_deployment(
                name,
                self._namespace,
                {"spec": {"template": template}},
                field_manager="forge",
                **options,
            ),
        )
        return self._shaped(lambda: int(answer["metadata"]["generation"]))

    def _missing(self, name: str) -> Permanent:
        remedy = "Check the workload's name in the configuration, and the environment's namespace"
        return Permanent(
            SYSTEM, "not_found", f"there is no Deployment {name} in the namespace {self._namespace}", remedy
        )

    def _shaped(self, read: Callable[[], T]) -> T:
        """What read() makes of an answer; an answer of another shape than a Deployment's is garbage, not a bug of ours."""
        try:
            return read()
        except _SHAPE_ERRORS as error:
            raise garbage(SYSTEM, "the Kubernetes API", "Deployment") from error

    # --- its pods ---------------------------------------------------------------------------------------------------

    async def _troubles(self, found: Json) -> tuple[PodTrouble, ...]:
        selector = label_selector(found["spec"]["selector"])
        replica_sets = await self._calls.items(
            "list replicasets.apps",
            lambda client: _apps(client).list_namespaced_replica_set(
                self._namespace, label_selector=selector, **self._calls.options
            ),
        )
        newest = newest_replica_set(owned_by(replica_sets, found))
        if newest is None:
            return _creation_failure(found)
        pods = await self._pods_of(newest, selector)
        suspects = [pod for pod in pods if is_suspect(pod)]
        examined = await asyncio.gather(*(self._pods.examined(pod) for pod in suspects[:_PODS_EXAMINED]))
        others = [self._pods.glanced(pod) for pod in suspects[_PODS_EXAMINED:]]
        return *(trouble for group in (*examined, *others) for trouble in group), *_creation_failure(found)

    async def _pods_of(self, replica_set: Json, selector: str) -> list[Json]:
        template_hash = (replica_set["metadata"].get("labels") or {}).get(TEMPLATE_HASH)
        wanted = f"{selector},{TEMPLATE_HASH}={template_hash}" if template_hash else selector
        return owned_by(await self._pods.found(wanted), replica_set)


def _apps(client: ApiClient) -> AppsV1Api:
    from kubernetes_asyncio.client import AppsV1Api

    return AppsV1Api(client)


def _creation_failure(found: Json) -> tuple[PodTrouble, ...]:
    """Pods that can't even be created: a quota, an admission policy, a missing service account."""
    failure = condition(found, "ReplicaFailure") or {}
    if failure.get("status") != "True":
        return ()
    reason, message = str(failure.get("reason") or "FailedCreate"), str(failure.get("message") or "")
    return (PodTrouble(pod="", container="", kind="config", reason=reason, message=message),)
