"""Steps that are Jobs, and the lives that Jobs have in their tests."""

from __future__ import annotations

import math
from typing import Any

from runbook.jobs import JobTemplate, PerformanceTarget, Stage, SuiteKind
from runbook.ports import PodTrouble
from runbook.steps import MeasurePerformance, Migrate, RunSuite, VerifyMigrations
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import VERSION, digest

IMAGE = f"registry.example/acme/web@{digest('1')}"
TEMPLATE = JobTemplate(workload="web", command=("alembic", "upgrade", "head"), timeout_s=300, start_within_s=120)
ENDLESS = JobLife(runs_s=math.inf)
NEVER = JobLife(starts_after_s=math.inf)
NO_IMAGE = PodTrouble("p", "job", "image_pull", "ImagePullBackOff", 'Back-off pulling image "web@sha256:1"')

ALL: dict[str, Any] = {"image": IMAGE, "service": "shop", "version": VERSION, "base_url": "http://shop.staging"}


def migrate(**changes: Any) -> Migrate:
    down = JobTemplate(workload="web", command=("alembic", "downgrade", "-1"))
    given = {"title": "Migrate orders", "template": TEMPLATE, "migration": "orders", "stage": Stage.EXPAND,
             "backward_compatible": False, "down": down}  # fmt: skip
    return Migrate(**{**ALL, **given, **changes})


def verify(**changes: Any) -> VerifyMigrations:
    return VerifyMigrations(**{**ALL, "title": "Verify the data", "template": TEMPLATE, **changes})


def suite(**changes: Any) -> RunSuite:
    given = {"title": "Suite api", "template": TEMPLATE, "suite": "api", "suite_kind": SuiteKind.INTEGRATION}
    return RunSuite(**{**ALL, **given, **changes})


def measure(**changes: Any) -> MeasurePerformance:
    given = {"title": "Performance", "template": TEMPLATE, "target": PerformanceTarget(p95_s=0.4, throughput=100.0),
             "rate": 100.0, "duration_s": 60.0, "tolerance": 0.1, "max_failed_ratio": 0.01}  # fmt: skip
    return MeasurePerformance(**{**ALL, **given, **changes})
