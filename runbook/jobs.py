"""Jobs of a release: migrations, test suites and load, as configuration or the release file declares them. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class JobTemplate:
    """What runs in one container until it ends; exit code 0 is success. Exactly one of workload and image is set.

    workload: run the image of this workload of the release; with previous, the image that ran before it. image: a repository without tag
    or digest, frozen by digest under the release's tag as the workloads' are; or `repository@sha256:…`. env: plain values, no secrets.
    env_from_secrets, env_from_config_maps: names of objects in the environment's namespace whose keys become variables.
    cpu, memory: Kubernetes quantities, request and limit alike; empty: the namespace's defaults. timeout_s: from its start; a Job
    whose container has not started within start_within_s never will.
    """

    workload: str = ""
    image: str = ""
    previous: bool = False
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_from_secrets: tuple[str, ...] = ()
    env_from_config_maps: tuple[str, ...] = ()
    service_account: str = ""
    cpu: str = ""
    memory: str = ""
    timeout_s: float = 600.0
    start_within_s: float = 120.0


class Stage(StrEnum):
    """EXPAND: before the new code, adds and never takes away. CONTRACT: takes away what no running version needs; an explicit later step."""

    EXPAND = "expand"
    CONTRACT = "contract"


@dataclass(frozen=True)
class Migration:
    """One migration of the release. Runbook: Staging Deployment 3, Rollback Procedure 3 and 4.

    backward_compatible: the version that ran before works on the schema after it. down: the "DB rollback plan"; None where nothing leads back.
    sql: paths in the repository of what `up` executes, for the linter; empty where it is no SQL.
    """

    name: str
    stage: Stage
    backward_compatible: bool
    up: JobTemplate
    down: JobTemplate | None = None
    sql: tuple[str, ...] = ()


@dataclass(frozen=True)
class Migrations:
    """What a release declares of its schema. verification: checks the data's integrity after migrations. source: where it is declared, for people."""

    migrations: tuple[Migration, ...] = ()
    verification: JobTemplate | None = None
    source: str = ""

    def of(self, stage: Stage) -> tuple[Migration, ...]:
        """In the order declared."""
        return tuple(m for m in self.migrations if m.stage is stage)


class SuiteKind(StrEnum):
    """Runbook: Staging Deployment 4."""

    INTEGRATION = "integration"
    END_TO_END = "end_to_end"
    MIGRATION = "migration"
    COMPATIBILITY = "compatibility"


@dataclass(frozen=True)
class Suite:
    """One test suite. It may print JUnit XML; then the tests are counted, and a suite without a single test has not passed."""

    name: str
    kind: SuiteKind
    job: JobTemplate


@dataclass(frozen=True)
class PerformanceTarget:
    """What the service should reach under the profile; None: not judged. Latencies in seconds, throughput in requests per second."""

    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    throughput: float | None = None


@dataclass(frozen=True)
class Performance:
    """Runbook: Staging Deployment 5. rate, duration_s: the load profile (expected production p50 traffic), handed to the Job as
    `FORGE_LOAD_RATE` (requests per second) and `FORGE_LOAD_DURATION` (seconds), with `FORGE_TARGET_URL`."""

    job: JobTemplate
    target: PerformanceTarget
    rate: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """One Job as it is asked of the cluster: one pod, never restarted. name: derived from run and step. key: of this very order; a Job
    of the same name with another key is somebody else's.

    image: `repository@digest`. run, step: become the label `<prefix>/run` (on Job and pod) and the annotations `<prefix>/run`,
    `<prefix>/step`; the key becomes the annotation `<prefix>/job-key`. The cluster itself ends it, as a safety net, some time after
    start_within_s and timeout_s together.
    """

    name: str
    key: str
    run: str
    step: str
    image: str
    prefix: str = "forge"
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_from_secrets: tuple[str, ...] = ()
    env_from_config_maps: tuple[str, ...] = ()
    service_account: str = ""
    cpu: str = ""
    memory: str = ""
    timeout_s: float = 600.0
    start_within_s: float = 120.0
