"""One environment's cluster: reads Deployments and rollouts, sets images, runs Jobs, moves traffic and holds autoscalers, nothing else.

It must never add a container, touch a field of a workload beside image, annotations and replicas, or write what is already right.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from integrations.http_calls import Limits, garbage
from integrations.kubernetes.autoscalers import KubernetesAutoscalers
from integrations.kubernetes.calls import STRATEGIC_MERGE, SYSTEM, Json, KubernetesCalls
from integrations.kubernetes.canary import KubernetesCanaries
from integrations.kubernetes.credentials import Credentials, kubectl_options
from integrations.kubernetes.deployments import SHAPE_ERRORS, Deployments, apps, shaped
from integrations.kubernetes.jobs import KubernetesJobs
from integrations.kubernetes.pod_logs import KubernetesPodLogs, pod_of
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
from integrations.kubernetes.replicas import ReplicaTraffic
from integrations.kubernetes.rights import RIGHTS, review
from integrations.kubernetes.templates import ConfigMaps, PodTemplate, template_of
from integrations.kubernetes.traffic import KubernetesTraffic
from integrations.kubernetes.troubles import is_suspect
from runbook.errors import Conflict, Permanent
from runbook.jobs import JobOrder
from runbook.ports import (
    Autoscaler,
    CanaryOrder,
    Deployment,
    JobLog,
    JobState,
    PodOfWorkload,
    PodTrouble,
    Rollout,
    Share,
    TrafficTarget,
)

_PODS_EXAMINED = 5
"""Of the pods that aren't well, so many are asked for events and logs: a bad release of 200 pods fails for the same reason 200 times."""
_WRITE_ATTEMPTS = 3


class KubernetesCluster:
    """Fulfils `runbook.ports.Cluster` for one context and namespace. rights: what `missing_rights` asks for; see `rights`."""

    def __init__(
        self,
        credentials: Credentials,
        namespace: str,
        *,
        rights: Sequence[str] = RIGHTS,
        limits: Limits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._namespace = namespace
        self._credentials = credentials
        self._calls = KubernetesCalls(credentials, limits or Limits())
        self._pods = Pods(self._calls, namespace, now)
        self._logs = KubernetesPodLogs(self._calls, namespace, now)
        self._config_maps = ConfigMaps(self._calls, namespace)
        self._rights = tuple(rights)
        self._jobs = KubernetesJobs(self._calls, self._pods, namespace, self.kubectl)
        self._deployments = Deployments(self._calls, namespace)
        self._canaries = KubernetesCanaries(self._deployments, namespace, self.kubectl)
        self._autoscalers = KubernetesAutoscalers(self._calls, namespace)
        replicas = ReplicaTraffic(self._deployments, self._canaries)
        self._traffic = KubernetesTraffic(self._calls, namespace, self.kubectl, replicas)

    async def aclose(self) -> None:
        await self._calls.aclose()

    @property
    def kubectl(self) -> str:
        """See the port. Names no credential."""
        return " ".join(("kubectl", *map(shlex.quote, (*kubectl_options(self._credentials), "-n", self._namespace))))

    async def deployment(self, name: str) -> Deployment | None:
        """See the port. Raises Temporary and Permanent."""
        found = await self._deployments.read(name)
        return None if found is None else shaped(lambda: deployment_of(found))

    async def set_images(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        """See the port. Where every image is already right nothing is written, the annotations neither: on a pod template
        they alone would restart every pod.

        Raises Permanent("no_container") where the Deployment has no container of that name (a merge would add one), and
        Conflict where others changed the object each time.
        """
        attempt = 1
        while True:
            found = await self._deployments.read(name)
            if found is None:
                raise self._deployments.missing(name)
            if unknown := shaped(lambda found=found: unknown_containers(found, images)):  # type: ignore[misc]
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
        found = await self._deployments.read(name)
        if found is None:
            raise self._deployments.missing(name)
        bare = shaped(lambda: rollout_of(found, ()))
        if not bare.observed:  # the newest ReplicaSet is still the one before
            return bare
        try:
            return replace(bare, troubles=await self._troubles(found))
        except SHAPE_ERRORS as error:
            raise garbage(SYSTEM, "the Kubernetes API", "list of ReplicaSets, pods or events") from error

    async def missing_rights(self) -> tuple[str, ...]:
        """See the port. Raises Temporary, and Permanent where the reviews themselves are refused."""

        async def is_allowed(right: str) -> bool:
            answer = await self._calls.json(
                "create selfsubjectaccessreviews.authorization.k8s.io",
                lambda client: review(client, right, self._namespace, self._calls.options),
            )
            return (answer.get("status") or {}).get("allowed") is True

        allowed = await asyncio.gather(*(is_allowed(right) for right in self._rights))
        return tuple(right for right, yes in zip(self._rights, allowed, strict=True) if not yes)

    # --- for the doctor ---------------------------------------------------------------------------------------------

    async def place(self) -> tuple[str, str]:
        """(the API server's address, the namespace)."""
        return await self._calls.address(), self._namespace

    async def template(self, workload: str) -> PodTemplate | None:
        """None when there is no such Deployment. Raises Temporary and Permanent."""
        found = await self._deployments.read(workload)
        return None if found is None else shaped(lambda: template_of(found))

    async def config_map(self, name: str) -> Mapping[str, str] | None:
        """Its texts by key; None when there is none. Raises Temporary, and Permanent("forbidden") without `deploy/dev.yaml`."""
        return await self._config_maps.read(name)

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

    # --- logs -------------------------------------------------------------------------------------------------------

    async def pods_of(self, workload: str) -> tuple[PodOfWorkload, ...]:
        """See the port."""
        found = await self._deployments.read(workload)
        if found is None:
            raise self._deployments.missing(workload)
        _, pods = await self._newest(found)
        return tuple(sorted(shaped(lambda: [pod_of(pod) for pod in pods]), key=lambda pod: pod.name))

    async def pod_log(
        self, pod: str, container: str, since: datetime, most_bytes: int, *, previous: bool = False
    ) -> JobLog | None:
        """See the port."""
        return await self._logs.log(pod, container, since, most_bytes, previous=previous)

    # --- traffic and canaries -----------------------------------------------------------------------------------------

    async def share(self, target: TrafficTarget) -> Share | None:
        """See the port."""
        return await self._traffic.share(target)

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        """See the port."""
        return await self._traffic.set_weight(target, weight)

    async def selectors(self, target: TrafficTarget) -> tuple[Mapping[str, str] | None, Mapping[str, str] | None]:
        """See the port."""
        return await self._traffic.selectors(target)

    async def start_canary(self, order: CanaryOrder) -> None:
        """See the port."""
        await self._canaries.start(order)

    async def scale(self, name: str, replicas: int) -> None:
        """See the port."""
        await self._canaries.scale(name, replicas)

    async def remove_canary(self, name: str, run: str, prefix: str = "forge") -> None:
        """See the port."""
        await self._canaries.remove(name, run, prefix)

    async def autoscalers(self, workload: str) -> tuple[Autoscaler, ...]:
        """See the port."""
        return await self._autoscalers.of(workload)

    async def set_least(self, found: Autoscaler, least: int, marks: Mapping[str, str | None]) -> None:
        """See the port."""
        await self._autoscalers.set_least(found, least, marks)

    # --- the Deployment ---------------------------------------------------------------------------------------------

    async def _patch(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        template = {
            "metadata": {"annotations": dict(annotations)},
            "spec": {"containers": [{"name": container, "image": image} for container, image in images.items()]},
        }
        answer = await self._deployments.patch(name, {"spec": {"template": template}}, STRATEGIC_MERGE)
        return shaped(lambda: int(answer["metadata"]["generation"]))

    # --- its pods ---------------------------------------------------------------------------------------------------

    async def _troubles(self, found: Json) -> tuple[PodTrouble, ...]:
        newest, pods = await self._newest(found)
        if newest is None:
            return _creation_failure(found)
        suspects = [pod for pod in pods if is_suspect(pod)]
        examined = await asyncio.gather(*(self._pods.examined(pod) for pod in suspects[:_PODS_EXAMINED]))
        others = [self._pods.glanced(pod) for pod in suspects[_PODS_EXAMINED:]]
        return *(trouble for group in (*examined, *others) for trouble in group), *_creation_failure(found)

    async def _newest(self, found: Json) -> tuple[Json | None, list[Json]]:
        """(the newest ReplicaSet, its pods)."""
        selector = label_selector(found["spec"]["selector"])
        replica_sets = await self._calls.items(
            "list replicasets.apps",
            lambda client: apps(client).list_namespaced_replica_set(
                self._namespace, label_selector=selector, **self._calls.options
            ),
        )
        newest = newest_replica_set(owned_by(replica_sets, found))
        return newest, [] if newest is None else await self._pods_of(newest, selector)

    async def _pods_of(self, replica_set: Json, selector: str) -> list[Json]:
        template_hash = (replica_set["metadata"].get("labels") or {}).get(TEMPLATE_HASH)
        wanted = f"{selector},{TEMPLATE_HASH}={template_hash}" if template_hash else selector
        return owned_by(await self._pods.found(wanted), replica_set)


def _creation_failure(found: Json) -> tuple[PodTrouble, ...]:
    """Pods that can't even be created: a quota, an admission policy, a missing service account."""
    failure = condition(found, "ReplicaFailure") or {}
    if failure.get("status") != "True":
        return ()
    reason, message = str(failure.get("reason") or "FailedCreate"), str(failure.get("message") or "")
    return (PodTrouble(pod="", container="", kind="config", reason=reason, message=message),)
