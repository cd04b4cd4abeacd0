"""The ports: what the domain asks of the outside world. Each is fulfilled by one integration and by one fake in the tests.

Every call is bounded in time and in retries by its integration and raises `runbook.errors` alone: `Temporary`, `Permanent`, `Conflict`.
"Not there" is a value (None or empty), not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from runbook.values import Environment, Release

# --- time -----------------------------------------------------------------------------------------------------------


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    async def sleep_until(self, moment: datetime) -> None: ...


# --- Kubernetes -----------------------------------------------------------------------------------------------------


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


class Cluster(Protocol):
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


# --- Prometheus -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """labels: as Prometheus answers them, `__name__` included. samples: in order of time; one for an instant query. NaN is kept."""

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]


class Metrics(Protocol):
    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]: ...

    async def query_range(
        self, expression: str, start: datetime, end: datetime, step_s: float
    ) -> tuple[Series, ...]: ...


# --- GitHub, the registry, signatures -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """A git tag. tag_object: SHA of the annotated tag object, or None for a lightweight tag. payload, signature: as git signs them;
    signature is None for an unsigned tag."""

    name: str
    commit: str
    tag_object: str | None
    tagger: str = ""
    payload: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class CiCheck:
    """state: `success`, `failure` or `pending`; skipped and neutral checks count as success. url: where a person reads on."""

    name: str
    state: str
    url: str = ""


class CodeHost(Protocol):
    """GitHub. repository: `owner/name`."""

    async def tag(self, repository: str, name: str) -> Tag | None: ...

    async def tag_names(self, repository: str, prefix: str) -> tuple[str, ...]:
        """Names of the tags that begin with prefix, unordered, at most 1,000."""

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        """Check runs (the latest of each name) and commit statuses together."""

    def compare_url(self, repository: str, base: str, head: str) -> str: ...


class ImageRegistry(Protocol):
    async def digest(self, repository: str, tag: str) -> str | None:
        """`sha256:…` of the manifest or index that the tag names now; None when there is none."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """signer: the principal (SSH) or fingerprint and name (GPG) of a *configured* signer, when valid. reason: why not, when not.

    code: `ok`, `unknown_key`, `bad_signature`, `unsupported`.
    """

    valid: bool
    signer: str = ""
    code: str = "ok"
    reason: str = ""


class Signatures(Protocol):
    async def verify(self, payload: str, signature: str) -> SignatureCheck:
        """Checks a git tag's payload against the configured signers, here and not at GitHub: its `verified` outlives a revoked key."""


# --- HTTP requests to the services ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """token: the name of a configured secret of this service, sent as `Authorization: Bearer`; the port looks it up."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object | None = None
    service: str = ""
    token: str = ""
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """status: None when no answer came (refused, reset, timed out, TLS): then `error` says what. latency_s: until the body was read.

    body: at most 64 KiB, as text.
    """

    status: int | None
    latency_s: float
    body: str = ""
    error: str = ""


class HttpProbes(Protocol):
    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Never raises for the subject's faults: those are the answer. No redirects are followed, nothing is retried."""


# --- what a step was given ------------------------------------------------------------------------------------------


class Memory(Protocol):
    """What the program remembers across runs, for gates to look at."""

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        """(tag object, commit) of a tag when it was first seen with a good signature; None when never."""

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None:
        """Keeps the first sight; a later one never overwrites it."""

    async def last_go(self, service: str, environment: Environment) -> Release | None:
        """The newest release that got its go in this environment; None when none did."""


@dataclass(frozen=True)
class Ports:
    """The outside world, wired once at start. clusters and metrics: per environment."""

    clock: Clock
    clusters: Mapping[Environment, Cluster]
    metrics: Mapping[Environment, Metrics]
    code: CodeHost
    images: ImageRegistry
    signatures: Signatures
    probes: HttpProbes
    memory: Memory
