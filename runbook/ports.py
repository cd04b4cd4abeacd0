"""The ports: what the domain asks of the outside world. Each is fulfilled by one integration and by one fake in the tests.

Every call is bounded in time and in retries by its integration and raises `runbook.errors` alone: `Temporary`, `Permanent`, `Conflict`.
"Not there" is a value (None or empty), not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from runbook.database_ports import BackupLedger, BackupRepository, Databases, RestoreHost
from runbook.errors import Permanent
from runbook.jobs import JobOrder
from runbook.series import Windows
from runbook.values import Environment, Release, Role

if TYPE_CHECKING:
    from runbook.source import CiResults, Source

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


class DatabaseMetrics(Protocol):
    """Databases that forge measures itself, for where nobody else does."""

    def recorded(self, service: str, environment: Environment, windows: Windows) -> tuple[Series, ...]:
        """The last hour under the recorded metrics' names (`__name__`), as Prometheus would give it; empty for what isn't measured."""


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

    async def file(self, repository: str, path: str, commit: str) -> str | None:
        """A text file as it is at a commit (a full SHA); None when there is none. Raises `Permanent` with the
        code `….no_file` for a folder, link or submodule, `….no_text`, and `….large_file` over 1 MB."""

    async def release_notes(self, repository: str, tag: str) -> str | None:
        """The text of the published release of this tag; None when there is none."""

    async def code_scanning(self, repository: str, commit: str) -> ScanReport | None:
        """GitHub code scanning's newest analysis of this very commit, with the open alerts; None when it was never analysed (or code
        scanning is off)."""


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


# --- SQL and scans ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One rule of the linter that a file breaks. rule: the linter's own name, such as `ban-drop-column`. line: from 1."""

    path: str
    line: int
    rule: str
    message: str
    help: str = ""


class SqlLinter(Protocol):
    """A linter for PostgreSQL migrations."""

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        """files: path -> SQL. What can't be parsed is a finding of the rule `syntax-error`. Raises `Permanent` when the linter can't run."""


class NoLinter:
    """Where no linter is wired: what SQL says stays unknown, and unknown is not yes."""

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        raise Permanent(
            "linter", "missing", "no linter for migrations is wired", "Install the linter that forge is released with"
        )


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a security scan says of one image (or, from code scanning, of one commit).

    subject: `sha256:…` of the image, or the commit's SHA. tool: `trivy 0.62`, `grype`, `CodeQL`. taken_at: when it was scanned.
    counts: open findings by severity: `critical`, `high`, `medium`, `low`, `unknown`. critical: ids of the critical ones, at most 20.
    source: where the report came from: `webhook`, a file's path, `code scanning`.
    """

    subject: str
    tool: str
    format: str
    taken_at: datetime
    received_at: datetime
    counts: Mapping[str, int]
    critical: tuple[str, ...] = ()
    source: str = ""
    url: str = ""


class ScanReports(Protocol):
    """Reports by image digest, from wherever they are kept."""

    async def newest(self, digest: str) -> ScanReport | None: ...


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


# --- people and what they decided ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    """id: Slack's `U…`. reachable: an active full member. source: how the role is held: `U…` in the file, a group's id, a schedule's name.

    until: the end of a shift, where a schedule says it.
    """

    id: str
    name: str
    reachable: bool = True
    reason: str = ""
    source: str = ""
    until: datetime | None = None


class People(Protocol):
    async def holders(self, role: Role) -> tuple[Person, ...]:
        """Everybody who holds the role now, from configuration, user groups and (on-call) the schedule. Raises `Temporary` or `Permanent`
        where somebody could not be asked: nobody is then known to be unreachable either."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody's turn in an on-call schedule. email: of their account there, or empty. schedule: its name, or its id.

    until: when the turn ends; None: it doesn't.
    """

    name: str
    email: str
    schedule: str
    until: datetime | None = None


class Schedule(Protocol):
    """Who is on call by a calendar kept elsewhere."""

    async def on_call(self) -> tuple[Shift, ...]:
        """Everybody whose turn it is now, each person once; empty: nobody."""


class NoPeople:
    """Where no directory is wired: unknown is not yes."""

    async def holders(self, role: Role) -> tuple[Person, ...]:
        raise Permanent("people", "missing", f"nobody can say who is {role.value.replace('_', ' ')}")


@dataclass(frozen=True, slots=True)
class Incident:
    """id: `incident-7`. severity: 1 (the gravest) to 4. service: empty for all of an environment. run: whose way back opened it, or empty."""

    id: str
    service: str
    environment: str
    severity: int
    title: str
    opened_by: str
    opened_at: datetime
    run: str = ""
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is released in this environment until it ends; a rollback is never held up by it. until: None: until it is lifted."""

    environment: str
    service: str
    owner: str
    reason: str
    at: datetime
    until: datetime | None = None


# --- backups --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backup:
    """A PostgreSQL backup. state: `created`, `stored`, `decoded`, `restored`, `verified`: the last three are called restorable.

    drilled_at: when a restore drill of the same major version last succeeded. recoverable_until: newest moment of point-in-time recovery.
    drill_failed_at, drill_failure: of the newest drill, where it failed.
    """

    id: str
    database: str
    finished_at: datetime
    state: str
    drilled_at: datetime | None = None
    recoverable_until: datetime | None = None
    drill_failed_at: datetime | None = None
    drill_failure: str = ""


class Backups(Protocol):
    async def newest(self, service: str, environment: Environment) -> Backup | None:
        """None when none is on record."""


class NoBackups:
    """Where nothing keeps a record of backups: unknown is not yes."""

    async def newest(self, service: str, environment: Environment) -> Backup | None:
        return None


# --- what a step was given ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Released:
    """One release that was completed. plan: its canonical text. facts: of its run: among them `previous`, what ran before it."""

    run: str
    version: str
    release: Release
    plan: str
    facts: Mapping[str, Any]
    at: datetime


class Memory(Protocol):
    """What the program remembers across runs, for gates to look at."""

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        """(tag object, commit) of a tag when it was first seen with a good signature; None when never."""

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None:
        """Keeps the first sight; a later one never overwrites it."""

    async def last_go(self, service: str, environment: Environment) -> Release | None:
        """The newest release that got its go in this environment (in dev: the newest commit that was validated); None when none did."""

    async def go_for(self, service: str, commit: str) -> Release | None:
        """The newest candidate on this commit that got its go in staging; None when none did."""

    async def released(self, service: str, environment: Environment) -> tuple[Released, ...]:
        """What was released here (or got its go, or was validated here), the newest first, at most 50: for the way back after it."""

    async def open_incidents(self, service: str, environment: Environment) -> tuple[Incident, ...]:
        """Incidents that concern this service and environment and aren't resolved, the gravest first."""

    async def freezes(self, service: str, environment: Environment) -> tuple[Freeze, ...]:
        """Freezes in force now."""

    async def validated(self, service: str, commit: str) -> Released | None:
        """The newest run that validated this commit in dev; None when none did, or when a later one there did not."""

    async def last_performance(self, service: str, environment: Environment) -> Mapping[str, float] | None:
        """What the newest go measured: `p50_s`, `p95_s`, `p99_s`, `throughput`; None when there was none."""


@dataclass(frozen=True)
class Ports:
    """The outside world, wired once at start. clusters and metrics: per environment. repository, restore_host, backup_ledger: None where no
    database is configured."""

    clock: Clock
    clusters: Mapping[Environment, Cluster]
    metrics: Mapping[Environment, Metrics]
    code: CodeHost
    images: ImageRegistry
    signatures: Signatures
    probes: HttpProbes
    memory: Memory
    linter: SqlLinter = field(default_factory=lambda: NoLinter())
    scans: tuple[ScanReports, ...] = ()
    people: People = field(default_factory=lambda: NoPeople())
    backups: Backups = field(default_factory=lambda: NoBackups())
    databases: Databases = field(default_factory=dict)
    archived: frozenset[tuple[str, Environment]] = frozenset()
    """Whose WAL is received: a base backup without it recovers to no other moment than its own."""

    repository: BackupRepository | None = None
    restore_host: RestoreHost | None = None
    backup_ledger: BackupLedger | None = None
    database_metrics: DatabaseMetrics | None = None
    source: Source | None = None
    """None where nothing is known of branches: then nothing is deployed by itself, and no changes are told."""

    ci_results: CiResults | None = None
