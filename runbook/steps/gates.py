"""Gates: every check of a gate speaks before a decision is taken, so that a requester learns each obstacle at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runbook.plan import Work
from runbook.policy import HealthPaths, Workload
from runbook.values import Release


@dataclass(frozen=True)
class CandidateTag:
    """The tag is still the signed tag object that the plan was made with, and its images still have the frozen digests."""

    repository: str
    release: Release
    kind: Literal["candidate_tag"] = "candidate_tag"


@dataclass(frozen=True)
class CiGreen:
    """Every required check of the commit is green; required empty: every check that ran, and at least one. Promotion Criteria: CI status."""

    repository: str
    commit: str
    required: tuple[str, ...] = ()
    kind: Literal["ci_green"] = "ci_green"


@dataclass(frozen=True)
class Deployable:
    """Every workload exists, has liveness and readiness probes on the configured paths, and no GitOps controller owns its image.

    Runbook: Required Endpoints, whose failure actions those probes are.
    """

    workloads: tuple[Workload, ...]
    health: HealthPaths
    kind: Literal["deployable"] = "deployable"


@dataclass(frozen=True)
class SteadyState:
    """Error rate and latency over the whole observation, with a minimum sample. Runbook: Staging Deployment 6, Suggested SLO Targets.

    window: the recording rules' window, such as `1m`. The observation's start is the fact `observed_from`.
    """

    service: str
    window: str
    max_error_ratio: float
    max_latency_p95_s: float
    min_requests: int
    kind: Literal["steady_state"] = "steady_state"


AnyCheck = Annotated[CandidateTag | CiGreen | Deployable | SteadyState, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class Gate(Work):
    """patience_s: how long a NO_DATA (CI pending, too few requests) is asked again, every `every_s`, before it holds."""

    kind: ClassVar[str] = "gate"
    checks: tuple[AnyCheck, ...] = field(default=())
    patience_s: float = 0.0
    every_s: float = 15.0
