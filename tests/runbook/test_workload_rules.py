"""Scenario 15 at the level of the rules, and what makes a Deployment fit to deploy to."""

from dataclasses import replace

import pytest

from runbook.policy import HealthPaths, Workload
from runbook.ports import ContainerSpec, Deployment, PodTrouble, Rollout
from runbook.rules.workloads import judge_deployable, judge_rollout
from runbook.verdicts import Outcome, Verdict
from tests.runbook.fakes import BUSY_ROLLOUT, GOOD_ROLLOUT, deployment

WEB = Workload("web", "app", "registry.example/acme/web")


def codes(found: Deployment | None) -> list[str]:
    return [v.code for v in judge_deployable(WEB, found, HealthPaths())]


def test_a_deployment_with_both_probes_is_deployable() -> None:
    assert codes(deployment("web")) == ["ok"]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, ["workload.missing"]),
        (deployment("web", owner="Argo CD"), ["workload.gitops_owned"]),
        (deployment("web", replicas=0), ["workload.no_replicas"]),
        (deployment("web", containers=(ContainerSpec("nginx", "i"),)), ["workload.no_container"]),
        (deployment("web", containers=(ContainerSpec("app", "i"),)), ["workload.no_probe", "workload.no_probe"]),
        (
            deployment("web", containers=(ContainerSpec("app", "i", "/health/live", "/"),), owner="Flux"),
            ["workload.gitops_owned", "workload.probe_path"],
        ),
    ],
)
def test_every_obstacle_is_told_at_once(found: Deployment | None, expected: list[str]) -> None:
    assert codes(found) == expected
    assert all(v.remedy for v in judge_deployable(WEB, found, HealthPaths()))


def judged(rollout: Rollout, elapsed_s: float = 20.0) -> Verdict | None:
    return judge_rollout("web", rollout, elapsed_s, 600.0, 60.0)


def troubled(**changes: object) -> Rollout:
    trouble = PodTrouble(
        "web-1", "app", "crash_loop", "Error", "exit code 1: no such table: orders", restarts=2, since_s=15
    )
    return replace(BUSY_ROLLOUT, troubles=(replace(trouble, **changes),))  # type: ignore[arg-type]


def test_a_complete_rollout_passes() -> None:
    verdict = judged(GOOD_ROLLOUT)
    assert verdict is not None
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    "rollout",
    [
        replace(GOOD_ROLLOUT, observed=False),
        replace(GOOD_ROLLOUT, total=3),
        replace(GOOD_ROLLOUT, available=1),
        replace(GOOD_ROLLOUT, updated=1),
    ],
)
def test_a_rollout_that_is_not_complete_goes_on_waiting(rollout: Rollout) -> None:
    assert judged(rollout) is None


def test_nothing_running_is_no_success() -> None:
    verdict = judged(Rollout(2, True, desired=0, updated=0, available=0, total=0))
    assert verdict is not None
    assert verdict.code == "rollout.no_replicas"


def test_a_crash_loop_fails_at_once_with_the_container_s_last_words() -> None:
    verdict = judged(troubled(log_tail="Traceback: no such table: orders"))
    assert verdict is not None
    assert verdict.code == "rollout.crash_loop"
    assert "exit code 1: no such table: orders" in verdict.reason
    assert any("Traceback" in str(e.value) for e in verdict.evidence)


def test_one_restart_alone_is_a_blip() -> None:
    assert judged(troubled(restarts=1, since_s=5)) is None


@pytest.mark.parametrize("kind", ["crash_loop", "image_pull", "config", "liveness", "not_ready"])
def test_trouble_that_lasts_is_named_well_within_a_minute(kind: str) -> None:
    assert judged(troubled(kind=kind, restarts=0, since_s=50)) is not None


@pytest.mark.parametrize("kind", ["crash_loop", "image_pull", "config", "liveness", "not_ready"])
def test_trouble_of_a_moment_is_waited_for(kind: str) -> None:
    assert judged(troubled(kind=kind, restarts=0, since_s=3)) is None


def test_a_pod_that_is_merely_starting_or_waiting_for_a_node_is_no_fault_of_the_release() -> None:
    assert judged(troubled(kind="not_ready", container="", restarts=0, since_s=120)) is None
    assert judged(troubled(kind="unschedulable", container="", restarts=0, since_s=120)) is None


def test_an_exceeded_progress_deadline_fails_and_says_what_is_known() -> None:
    verdict = judged(replace(troubled(kind="unschedulable", reason="Unschedulable"), deadline_exceeded=True))
    assert verdict is not None
    assert verdict.code == "rollout.deadline_exceeded"
    assert "Unschedulable" in verdict.reason


def test_a_deadline_of_the_generation_before_counts_for_nothing() -> None:
    assert judged(replace(BUSY_ROLLOUT, observed=False, deadline_exceeded=True)) is None


def test_the_time_out_fails_with_counts_and_limit() -> None:
    verdict = judged(BUSY_ROLLOUT, 600.0)
    assert verdict is not None
    assert verdict.code == "rollout.timeout"
    assert "1 of 2 replicas are Available after 10 min" in verdict.reason
