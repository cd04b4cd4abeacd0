"""Fakes of the ports: a world in memory, each about ten lines."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from runbook.errors import ForgeError, Permanent
from runbook.jobs import JobOrder, JobTemplate, Performance, PerformanceTarget, Suite, SuiteKind
from runbook.plan import Scene
from runbook.policy import HealthPaths, Policy, Service, Setting, SmokeRequest, Workload
from runbook.ports import (
    CiCheck,
    ContainerSpec,
    Deployment,
    Freeze,
    HttpAnswer,
    HttpRequest,
    Incident,
    JobLog,
    LintFinding,
    PodOfWorkload,
    Ports,
    Released,
    Rollout,
    Sample,
    ScanReport,
    Series,
    SignatureCheck,
    Tag,
)
from runbook.values import Environment, FrozenImage, Release, Role
from tests.fakes.clock import NOON, SimulatedClock
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fake_traffic import FakeTraffic

COMMIT = "c" * 40
TAG_OBJECT = "a" * 40
VERSION = "v1.4.0-rc.2"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


def signed_tag(name: str = VERSION, commit: str = COMMIT, tag_object: str = TAG_OBJECT) -> Tag:
    payload = (
        f"object {commit}\ntype commit\ntag {name}\ntagger Ann <ann@example.com> 1767000000 +0000\n\nA candidate\n"
    )
    return Tag(name, commit, tag_object, "Ann", payload, "-----BEGIN SSH SIGNATURE-----")


SERVICE = Service(
    name="shop",
    repository="acme/shop",
    workloads=(Workload("web", "app", "registry.example/acme/web"), Workload("worker", "app", "registry.example/acme/worker")),
    urls={Environment.STAGING: "http://shop.staging"},
    smoke=(SmokeRequest(name="order", path="/api/orders", method="POST", body={"item": 1}, token="shop-token", json_subset={"ok": True}),),
    suites=(
        Suite("api", SuiteKind.INTEGRATION, JobTemplate(image="registry.example/acme/tests", args=("api",))),
        Suite("journeys", SuiteKind.END_TO_END, JobTemplate(image="registry.example/acme/tests", args=("journeys",))),
        Suite("schema", SuiteKind.MIGRATION, JobTemplate(workload="web", args=("check-schema",))),
        Suite("previous", SuiteKind.COMPATIBILITY, JobTemplate(workload="web", previous=True, args=("check-schema",))),
    ),
    performance=Performance(
        JobTemplate(image="registry.example/acme/load"), PerformanceTarget(p50_s=0.05, p95_s=0.2, p99_s=0.4, throughput=50.0),
        rate=50.0, duration_s=60.0,
    ),
)  # fmt: skip

RELEASE = Release(
    service="shop",
    version=VERSION,
    tag_object=TAG_OBJECT,
    commit=COMMIT,
    signer="ann@example.com",
    images=(
        FrozenImage("web", "app", "registry.example/acme/web", VERSION, digest("1")),
        FrozenImage("worker", "app", "registry.example/acme/worker", VERSION, digest("2")),
    ),
)

TOOLS = {"registry.example/acme/tests": digest("7"), "registry.example/acme/load": digest("8")}
"""The images of the release's Jobs."""

RELEASE_FILE = """
migrations:
  - name: 0007-currency
    stage: expand
    backward_compatible: true
    up: {workload: web, args: [migrate, up, "0007"]}
    sql: [migrations/0007.sql]
  - name: 0008-rename-total
    stage: expand
    backward_compatible: false
    up: {workload: web, args: [migrate, up, "0008"]}
    down: {workload: web, args: [migrate, down, "0008"]}
  - name: 0009-drop-price
    stage: contract
    backward_compatible: false
    up: {workload: web, args: [migrate, up, "0009"]}
verification: {workload: web, args: [verify]}
"""


def setting(policy: Policy | None = None, service: Service = SERVICE) -> Setting:
    return Setting(policy or Policy(), {service.name: service}, "hash", {Role.SERVICE_OWNER: ("U1",)})


@dataclass
class FakeCodeHost:
    tags: dict[str, Tag] = field(default_factory=lambda: {VERSION: signed_tag()})
    ci: list[CiCheck] = field(default_factory=lambda: [CiCheck("unit", "success")])
    files: dict[str, str] = field(
        default_factory=lambda: {"migrations/0007.sql": "ALTER TABLE orders ADD COLUMN currency text;\n"}
    )
    notes: dict[str, str] = field(default_factory=dict)
    error: ForgeError | None = None

    async def tag(self, repository: str, name: str) -> Tag | None:
        self._fail()
        return self.tags.get(name)

    async def tag_names(self, repository: str, prefix: str) -> tuple[str, ...]:
        self._fail()
        return tuple(name for name in self.tags if name.startswith(prefix))

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        self._fail()
        return tuple(self.ci)

    def compare_url(self, repository: str, base: str, head: str) -> str:
        return f"https://github.example/{repository}/compare/{base}...{head}"

    async def file(self, repository: str, path: str, commit: str) -> str | None:
        self._fail()
        return self.files.get(path)

    async def release_notes(self, repository: str, tag: str) -> str | None:
        self._fail()
        return self.notes.get(tag)

    async def code_scanning(self, repository: str, commit: str) -> ScanReport | None:
        self._fail()
        return None

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class FakeRegistry:
    digests: dict[str, str] = field(
        default_factory=lambda: {**{i.repository: i.digest for i in RELEASE.images}, **TOOLS}
    )
    error: ForgeError | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def digest(self, repository: str, tag: str) -> str | None:
        self.asked.append((repository, tag))
        if self.error is not None:
            raise self.error
        return self.digests.get(repository)


@dataclass
class FakeSignatures:
    check: SignatureCheck = field(default_factory=lambda: SignatureCheck(True, "ann@example.com"))

    async def verify(self, payload: str, signature: str) -> SignatureCheck:
        return self.check


@dataclass
class FakeMemory:
    seen: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    go: Release | None = None
    performance: Mapping[str, float] | None = None
    incidents: tuple[Incident, ...] = ()
    frozen: tuple[Freeze, ...] = ()
    releases: tuple[Released, ...] = ()
    last: Release | None = None
    """What was released to production last."""

    validations: dict[str, Released] = field(default_factory=dict)
    """By commit."""

    error: ForgeError | None = None

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        return self.seen.get((service, tag))

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None:
        self.seen.setdefault((service, tag), (tag_object, commit))

    async def last_go(self, service: str, environment: Environment) -> Release | None:
        return self.last if environment is Environment.PROD else self.go

    async def go_for(self, service: str, commit: str) -> Release | None:
        return self.go if self.go is not None and self.go.commit == commit else None

    async def released(self, service: str, environment: Environment) -> tuple[Released, ...]:
        return self.releases

    async def validated(self, service: str, commit: str) -> Released | None:
        if self.error is not None:
            raise self.error
        return self.validations.get(commit)

    async def open_incidents(self, service: str, environment: Environment) -> tuple[Incident, ...]:
        return self.incidents

    async def freezes(self, service: str, environment: Environment) -> tuple[Freeze, ...]:
        return self.frozen

    async def last_performance(self, service: str, environment: Environment) -> Mapping[str, float] | None:
        return self.performance


@dataclass
class FakeLinter:
    """findings: of whatever is linted."""

    findings: list[LintFinding] = field(default_factory=list)
    error: ForgeError | None = None

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        if self.error is not None:
            raise self.error
        return tuple(finding for finding in self.findings if finding.path in files)


@dataclass
class FakeScans:
    """clean: every digest has a report of this moment without findings. reports: by digest, in place of that."""

    clock: SimulatedClock
    clean: bool = True
    reports: dict[str, ScanReport] = field(default_factory=dict)
    error: ForgeError | None = None

    async def newest(self, digest: str) -> ScanReport | None:
        if self.error is not None:
            raise self.error
        if digest in self.reports or not self.clean:
            return self.reports.get(digest)
        now = self.clock.now()
        return ScanReport(digest, "trivy 0.62", "trivy", now, now, {"critical": 0, "high": 2}, source="webhook")


def deployment(name: str, image: str = "registry.example/acme/old@sha256:0", **changes: Any) -> Deployment:
    container = ContainerSpec("app", image, "/health/live", "/health/ready")
    track = {"forge/track": "stable"}
    return replace(Deployment(name, (container,), replicas=2, generation=1, labels=track, selector=track), **changes)


GOOD_ROLLOUT = Rollout(generation=2, observed=True, desired=2, updated=2, available=2, total=2)
BUSY_ROLLOUT = Rollout(generation=2, observed=True, desired=2, updated=1, available=1, total=3)


@dataclass
class FakeCluster(FakeTraffic):
    """rollouts: what each look finds, by seconds since the image was set: the last entry at or before. errors: raised by calls in turn."""

    deployments: dict[str, Deployment] = field(default_factory=lambda: {n: deployment(n) for n in ("web", "worker")})
    rollouts: Callable[[float], Rollout | ForgeError] = lambda _: GOOD_ROLLOUT
    write_errors: list[ForgeError] = field(default_factory=list)
    writes: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    set_at: datetime = NOON
    overwritten_by: str = ""
    kubectl: str = "kubectl --context staging -n shop"
    running: dict[str, tuple[PodOfWorkload, ...]] = field(default_factory=dict)
    """By workload; one pod of each, never restarted, where nothing is said."""

    logs: dict[tuple[str, bool], str | JobLog | ForgeError | None] = field(default_factory=dict)
    """By pod and whether it is of the run before its restart."""

    read: list[tuple[str, str, datetime, int, bool]] = field(default_factory=list)

    async def deployment(self, name: str) -> Deployment | None:
        self._fail("deployment")
        self.pass_time()
        found = self.deployments.get(name)
        return None if found is None else replace(found, rollout=self.live(name))

    async def set_images(self, name: str, images: Mapping[str, str], annotations: Mapping[str, str]) -> int:
        if self.write_errors:
            raise self.write_errors.pop(0)
        self.writes.append((name, dict(images), dict(annotations)))
        found = self.deployments[name]
        containers = tuple(
            replace(c, image=self.overwritten_by or images.get(c.name, c.image)) for c in found.containers
        )
        if containers != found.containers:  # the same image once more begins no new rollout
            self.set_at = self.clock.now()
            if name in self.pods:
                self.roll(name)
        self.deployments[name] = replace(found, containers=containers, generation=2)
        return 2

    async def rollout(self, name: str) -> Rollout:
        """Of what traffic has moved: as its pods are now."""
        if name in self.pods and self.moved:
            return self.live(name)
        found = self.rollouts((self.clock.now() - self.set_at).total_seconds())
        if isinstance(found, ForgeError):
            raise found
        return found

    async def missing_rights(self) -> tuple[str, ...]:
        return ()

    async def pods_of(self, workload: str) -> tuple[PodOfWorkload, ...]:
        self._fail("pods_of")
        if workload not in self.deployments:
            raise Permanent("kubernetes", "not_found", f"there is no Deployment {workload}")
        return self.running.get(workload, (PodOfWorkload(f"{workload}-1", {"app": 0}),))

    async def pod_log(
        self, pod: str, container: str, since: datetime, most_bytes: int, *, previous: bool = False
    ) -> JobLog | None:
        self.read.append((pod, container, since, most_bytes, previous))
        found = self.logs.get((pod, previous), "started\n")
        if isinstance(found, ForgeError):
            raise found
        if not isinstance(found, str):
            return found
        return JobLog(found[-most_bytes:], len(found), cut=len(found) > most_bytes)


@dataclass
class FakeMetrics:
    """answer: by a word that the expression contains, the first that fits; a number, several series' numbers, None or an error."""

    answers: dict[str, float | Sequence[float] | ForgeError | None] = field(default_factory=dict)
    queries: list[str] = field(default_factory=list)

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        self.queries.append(expression)
        found = next((value for word, value in self.answers.items() if word in expression), None)
        if isinstance(found, ForgeError):
            raise found
        if found is None:
            return ()
        values = [found] if isinstance(found, int | float) else found
        return tuple(Series({"job": str(i)}, (Sample(at or NOON, value),)) for i, value in enumerate(values))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        return ()


Respond = Callable[[HttpRequest, float], HttpAnswer]


def well(request: HttpRequest, at_s: float) -> HttpAnswer:
    return HttpAnswer(200, 0.01, '{"ok": true}')


@dataclass
class FakeProbes:
    """respond: (request, seconds since the fake's beginning) -> answer; an infinite latency hangs until the request's time-out."""

    clock: SimulatedClock
    respond: Respond = well
    sent: list[tuple[datetime, HttpRequest]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    honours_timeout: bool = True

    async def send(self, request: HttpRequest) -> HttpAnswer:
        begun = self.clock.now()
        self.sent.append((begun, request))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            answer = self.respond(request, (begun - NOON).total_seconds())
            hangs = math.isinf(answer.latency_s)
            wait_s = (request.timeout_s if self.honours_timeout else 1e6) if hangs else answer.latency_s
            await self.clock.sleep_until(begun + seconds(wait_s))
            return HttpAnswer(None, wait_s, error="timed out") if hangs else answer
        finally:
            self.open -= 1

    def paths(self, path: str) -> list[datetime]:
        return [at for at, request in self.sent if request.url.endswith(path)]


GOOD_LOAD = (
    '{"latency_ms": {"p50": 40, "p95": 150, "p99": 300}, "throughput_per_s": 50, "requests": 3000, "failed": 0}\n'
)


def good_life(order: JobOrder) -> JobLife:
    """What becomes of a good release's Jobs."""
    return JobLife(output=GOOD_LOAD) if "FORGE_LOAD_RATE" in order.env else JobLife()


GOOD_METRICS: dict[str, float | Sequence[float] | ForgeError | None] = {
    "dependency_timeout": 0.0001, "queue_lag_baseline": 5.0, "queue_lag": 1.0, "core_transaction_success": 0.999,
    "job_failure_ratio": 0.001, "cpu_utilization": 0.4, "memory_working_set_ratio": 0.5, "oom_kills": 0.0,
    "container_restarts": 0.0, "disk_io_latency": 0.005, "disk_io_saturation": 0.2, "network_retransmit": 0.001,
    "postgres_connection": 0.3, "postgres_replication": 0.5,
    "latency_p": 0.1, "readiness_ratio": 1.0, "error_ratio": 0.0002,
    "request_rate": 5000.0, "error_rate": 1.0, "histogram_quantile": 0.1, "forge:": 1.0,
}  # fmt: skip
"""By a word that the expression contains; the first that fits."""


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


class World:
    """All ports together, and scenes of one run."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.code = FakeCodeHost()
        self.images = FakeRegistry()
        self.signatures = FakeSignatures()
        self.memory = FakeMemory()
        self.cluster = FakeCluster(self.clock, lives=good_life)
        self.metrics = FakeMetrics()
        self.probes = FakeProbes(self.clock)
        self.linter = FakeLinter()
        self.scans = FakeScans(self.clock)
        self.saved: list[Any] = []
        self.said: list[str] = []
        self.paused = False
        self.ports = Ports(
            clock=self.clock,
            clusters={Environment.STAGING: self.cluster},
            metrics={Environment.STAGING: self.metrics},
            code=self.code,
            images=self.images,
            signatures=self.signatures,
            probes=self.probes,
            memory=self.memory,
            linter=self.linter,
            scans=(self.scans,),
        )

    def scene(
        self,
        facts: Mapping[str, Any] | None = None,
        progress: Any = None,
        begun_at: datetime | None = None,
        attempt: int = 1,
    ) -> Scene:
        return Scene(
            ports=self.ports,
            run="staging-12",
            index=3,
            attempt=attempt,
            environment=Environment.STAGING,
            facts=facts or {},
            begun_at=begun_at or self.clock.now(),
            progress=progress,
            save=self._save,
            paused=lambda: self.paused,
            doing=self.said.append,
        )

    async def _save(self, progress: Any) -> None:
        self.saved.append(progress)

    async def finish(self, work: Awaitable[Any]) -> Any:
        return await self.clock.complete(work)


HEALTH = HealthPaths()
