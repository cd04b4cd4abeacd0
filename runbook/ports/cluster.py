"""Kubernetes, as the domain asks for it: one environment's workloads, Jobs, traffic, canaries and autoscalers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runbook.jobs import JobOrder


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a pod template. live_path, ready_path, startup_path: the probes' httpGet paths, or None without such a probe."""

    name: str
    image: str
    live_path: str | None = None
    ready_path: str | None = None
    startup_path: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment as the cluster has it. owner: the GitOps controller that owns its image ("Argo CD", "Flux"), or empty."""

    name: str
    containers: tuple[ContainerSpec, ...]
    replicas: int
    generation: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pod template: the track is among them."""

    selector: Mapping[str, str] = field(default_factory=dict)
    """`spec.selector.matchLabels`."""

    marks: Mapping[str, str] = field(default_factory=dict)
    """The Deployment's own labels: a canary's run is among them."""

    rollout: Rollout | None = None
    """The counts of the same moment, without troubles: who needs images and capacity at once asks one question."""

    def image_of(self, container: str) -> str | None:
        return next((c.image for c in self.containers if c.name == container), None)


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """Why a pod of the newest ReplicaSet isn't well.

    kind: `crash_loop`, `image_pull`, `not_ready`, `liveness`, `unschedulable`, `config`. reason, message: Kubernetes' own words, the last
    terminated state's first. since_s: for how long, in seconds. log_tail: the container's last lines, bounded, or empty.
    """

    pod: str
    container: str
    kind: str
    reason: str
    message: str
    restarts: int = 0
    since_s: float = 0.0
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far a Deployment is. observed: the controller has seen the newest generation. deadline_exceeded: Progressing is False."""

    generation: int
    observed: bool
    desired: int
    updated: int
    available: int
    total: int
    deadline_exceeded: bool = False
    troubles: tuple[PodTrouble, ...] = ()

    @property
    def complete(self) -> bool:
        """As `kubectl rollout status` judges: every replica updated, none of the old left, all Available."""
        return (
            self.observed
            and self.updated >= self.desired
            and self.total == self.updated
            and self.available >= self.desired
        )


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a Job is. phase: `pending` (its container has not started), `running`, `succeeded`, `failed`, `stopping` (being deleted).

    key: of the order that made it. exit_code: the container's, when it ended. reason, message: Kubernetes' own words
    (`DeadlineExceeded`, `OOMKilled`, `Error`, …). trouble: why its pod doesn't start or run. pod: its name, or empty.
    """

    name: str
    key: str
    phase: str
    pod: str = ""
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    trouble: PodTrouble | None = None


@dataclass(frozen=True, slots=True)
class JobLog:
    """The end of a container's output. text: its last bytes, decoded leniently. size_bytes: of the whole output, as far as it was read.

    cut: the beginning is missing from `text`. complete: False where reading ended early (a bound on size or time, a lost connection).
    """

    text: str
    size_bytes: int
    cut: bool = False
    complete: bool = True


class Jobs(Protocol):
    """Kubernetes Jobs of one environment."""

    async def start_job(self, order: JobOrder) -> None:
        """Creates it; the same order again changes nothing. Raises `Conflict` when a Job of that name with another key exists (or is still
        being deleted), `Permanent` when the cluster refuses it (quota, policy, rights)."""

    async def job(self, name: str) -> JobState | None:
        """None when there is none."""

    async def job_log(self, name: str, tail_bytes: int) -> JobLog:
        """Reads the whole output in bounded memory and time and keeps its end; empty when there is no pod or no output."""

    async def delete_job(self, name: str, key: str = "") -> None:
        """Deletes it with its pod; the pod is told to end and killed after its grace. Gone, or of another key (when one is given), is fine."""

    async def jobs_of(self, run: str, prefix: str = "forge") -> tuple[JobState, ...]:
        """All Jobs that carry this run's label, those being deleted too."""


@dataclass(frozen=True, slots=True)
class TrafficTarget:
    """How the traffic of one workload is divided between its stable and its canary Deployment.

    workload, canary: the Deployments' names. driver: `route` (weights of an HTTPRoute's two backends) or `replicas` (by the number of pods:
    workers, and services without a router). route, stable_backend, canary_backend: the HTTPRoute's and the Services' names, for `route`.
    size: replicas at full strength, as stable had them when the run began.
    """

    workload: str
    canary: str
    driver: str
    size: int
    route: str = ""
    stable_backend: str = ""
    canary_backend: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the traffic the canary gets. weight: as asked for, in percent; None where somebody else's numbers stand.

    true_ratio: what it really is, in [0, 1]: the route's weights, or Available canary pods of all. accepted: the router says so for
    the newest generation (or the pods are there). reason: why not, in the router's words.
    """

    weight: int | None
    true_ratio: float
    accepted: bool
    reason: str = ""
    code: str = ""
    """Why nothing can be set here, such as `no_backend`; empty where it can. remedy: then what a person does."""

    remedy: str = ""
    places: tuple[tuple[str, str], ...] = ()
    """JSON pointers of stable's and of the canary's weight in every rule that holds both: for commands that people type."""


class Traffic(Protocol):
    """Who gets the requests. Each driver sets, never adds."""

    async def share(self, target: TrafficTarget) -> Share | None:
        """None when there is no such route (or Deployment)."""

    async def set_weight(self, target: TrafficTarget, weight: int) -> Share:
        """weight: the canary's, 0 to 100. Writes only if it differs, retries conflicts within a bound; foreign rules and backends stay as
        they are. Answers what is so now: acceptance is waited for by asking `share`. Raises `Permanent` without such a route or backend.

        By `replicas` each call goes as far as is safe (stable goes once the canary's pods are Available, the canary once stable's are):
        it is repeated until it is accepted."""

    async def selectors(self, target: TrafficTarget) -> tuple[Mapping[str, str] | None, Mapping[str, str] | None]:
        """Which pods stable's and the canary's Service choose, by `route`; None for a Service that isn't there, and by `replicas`."""


@dataclass(frozen=True, slots=True)
class CanaryOrder:
    """A canary Deployment: a copy of stable with other images, label and selector `<prefix>/track: canary`, and its own number of replicas.

    images: container -> `repository@digest`. run: of the run that makes it, kept as its label `<prefix>/run`: whose it is.
    """

    workload: str
    canary: str
    images: Mapping[str, str]
    replicas: int
    run: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "forge"


class Canaries(Protocol):
    async def start_canary(self, order: CanaryOrder) -> None:
        """Creates it with these replicas; one of the same run is brought to this order's images and never to fewer replicas than it has.
        Raises `Conflict` when a Deployment of that name belongs to another run or to nobody, `Permanent` when stable carries no track."""

    async def scale(self, name: str, replicas: int) -> None:
        """Sets the number of replicas; the same number again changes nothing."""

    async def remove_canary(self, name: str, run: str, prefix: str = "forge") -> None:
        """Deletes the Deployment if it belongs to this run. Gone, or of another run, is fine."""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler. least, most: its minReplicas and maxReplicas. marks: its annotations. version: of the object as it was read.

    owner: what made it and would undo another's changes, such as `ScaledObject/web`; empty where nothing did.
    """

    name: str
    least: int
    most: int
    marks: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    version: str = ""


class Autoscalers(Protocol):
    async def autoscalers(self, workload: str) -> tuple[Autoscaler, ...]:
        """Those whose target is this Deployment. Raises Permanent("forbidden") without the right to list them."""

    async def set_least(self, found: Autoscaler, least: int, marks: Mapping[str, str | None]) -> None:
        """Sets minReplicas and these annotations (None takes one away), and nothing else. Raises `Conflict` where the object isn't any more
        as it was read."""


@dataclass(frozen=True, slots=True)
class PodOfWorkload:
    """restarts: how often each container was started again."""

    name: str
    restarts: Mapping[str, int] = field(default_factory=dict)


class PodLogs(Protocol):
    async def pods_of(self, workload: str) -> tuple[PodOfWorkload, ...]:
        """Those of the Deployment's newest ReplicaSet, by name. Raises Permanent("not_found") without such a Deployment."""

    async def pod_log(
        self, pod: str, container: str, since: datetime, most_bytes: int, *, previous: bool = False
    ) -> JobLog | None:
        """The end of what the container has written since then, at most so many bytes, in bounded memory and time. previous: of the run
        before its last restart. None where there is none: the pod is gone, its container has not started, or nothing was kept."""


class Cluster(Jobs, Traffic, Canaries, Autoscalers, PodLogs, Protocol):
    """One environment's context and namespace."""

    @property
    def kubectl(self) -> str:
        """How a person reaches the same place, such as `kubectl --context staging -n shop`: commands in remedies begin with it."""

    async def deployment(self, name: str) -> Deployment | None: ...

    async def set_images(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        """Sets containers' images (`container -> repository@digest`) and the pod template's annotations; nothing else changes.

        Returns the generation. Repeating it with the same values makes no new generation.
        """

    async def rollout(self, name: str) -> Rollout: ...

    async def missing_rights(self) -> tuple[str, ...]:
        """What SelfSubjectAccessReview denies of the rights that forge needs, in words such as `patch deployments.apps`."""
