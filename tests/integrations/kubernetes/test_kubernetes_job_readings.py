"""What a Job's and its pod's JSON mean: objects as clusters of current versions write them, read without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.kubernetes.job_reading import creation_failure, newest_pod, state_of
from runbook.ports import JobState

TOO_MANY = {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}


def job(*conditions: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    notes = {"acme/job-key": "k1"}
    held = [{"status": "True", "lastTransitionTime": "2026-03-01T12:00:09Z", **each} for each in conditions]
    return {"metadata": {"name": "j", "uid": "u", "annotations": notes, **metadata}, "status": {"conditions": held}}


def pod(state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"name": "istio-proxy", "state": {"running": {"startedAt": "2026-03-01T11:59:00Z"}}}]
    if state is not None:
        statuses.append({"name": "job", "state": state})
    return {"metadata": {"name": "j-1"}, "status": {"containerStatuses": statuses, **status}}


def ended(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    times = {"startedAt": "2026-03-01T12:00:01Z", "finishedAt": "2026-03-01T12:00:08Z"}
    return {"terminated": {"exitCode": code, "reason": reason, **times, **more}}


def failed(found: dict[str, Any] | None, condition: dict[str, Any] = TOO_MANY) -> JobState:
    return state_of(job({"type": "Failed", **condition}), found, None)


def test_a_fresh_job_is_pending_and_has_the_key_of_any_prefix() -> None:
    state = state_of({"metadata": {"name": "j", "uid": "u", "annotations": {"acme/job-key": "k1"}}}, None, None)
    assert (state.phase, state.key, state.pod, state.exit_code) == ("pending", "k1", "", None)


def test_a_sidecar_that_runs_does_not_make_the_job_run() -> None:
    assert state_of(job(), pod({"waiting": {"reason": "PodInitializing"}}), None).phase == "pending"
    assert state_of(job(), pod({"running": {"startedAt": "2026-03-01T12:00:01Z"}}), None).phase == "running"


def test_an_ended_container_counts_only_when_the_cluster_has_concluded() -> None:
    assert state_of(job({"type": "SuccessCriteriaMet"}), pod(ended(0, "Completed")), None).phase == "running"
    done = state_of(job({"type": "SuccessCriteriaMet"}, {"type": "Complete"}), pod(ended(0, "Completed")), None)
    assert (done.phase, done.exit_code, done.reason) == ("succeeded", 0, "")
    assert done.finished_at == datetime(2026, 3, 1, 12, 0, 8, tzinfo=UTC)


def test_deletion_comes_before_every_other_phase() -> None:
    going = job({"type": "Complete"}, deletionTimestamp="2026-03-01T12:00:00Z")
    assert state_of(going, pod(ended(0)), None).phase == "stopping"


def test_a_condition_that_does_not_hold_is_no_end() -> None:
    assert state_of(job({"type": "Failed", "status": "False"}), None, None).phase == "pending"


@pytest.mark.parametrize(
    ("found", "reason", "message"),
    [
        (pod(ended(3)), "Error", "exit code 3"),
        (pod(ended(137, "OOMKilled")), "OOMKilled", "exit code 137"),
        (pod(ended(139, signal=11)), "Error", "signal 11"),
        (pod(ended(128, "StartError", message='exec: "x": not found')), "StartError", 'exit code 128: exec: "x": not found'),
        (pod(ended(137), reason="Evicted", message="low on memory"), "Evicted", "low on memory"),
        (
            pod(ended(143), conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting"}]),
            "EvictionByEvictionAPI", "Eviction API: evicting",
        ),
        (pod(), "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
        (
            None, "BackoffLimitExceeded",
            "Job has reached the specified backoff limit; its pod is gone: deleted, evicted, or its node lost",
        ),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_kubernetes_words(found: dict[str, Any] | None, reason: str, message: str) -> None:
    state = failed(found)
    assert (state.phase, state.reason, state.message) == ("failed", reason, message)


def test_the_deadline_wins_over_how_the_process_ended() -> None:
    state = failed(pod(ended(143)), {"reason": "DeadlineExceeded", "message": "Job was active longer"})
    assert (state.reason, state.message, state.exit_code) == ("DeadlineExceeded", "Job was active longer", 143)


def test_a_container_that_never_started_has_no_start() -> None:
    never = ended(128, "StartError", startedAt="1970-01-01T00:00:00Z")
    assert failed(pod(never)).started_at is None


def test_without_a_pod_the_cluster_still_says_when_it_ended() -> None:
    assert failed(None).finished_at == datetime(2026, 3, 1, 12, 0, 9, tzinfo=UTC)


def test_the_newest_pod_speaks() -> None:
    old, new = ({"metadata": {"name": n, "creationTimestamp": f"2026-03-01T12:00:0{n}Z"}} for n in "12")
    assert newest_pod([new, old]) is new
    assert newest_pod([]) is None


def test_the_newest_refusal_of_a_pod_is_quoted() -> None:
    events = [
        {"reason": "FailedCreate", "message": "old", "lastTimestamp": "2026-03-01T12:00:01Z"},
        {"reason": "FailedCreate", "message": "new", "lastTimestamp": "2026-03-01T12:00:02Z"},
        {"reason": "SuccessfulCreate", "message": "other", "lastTimestamp": "2026-03-01T12:00:03Z"},
    ]
    trouble = creation_failure(events)
    assert trouble is not None
    assert (trouble.kind, trouble.reason, trouble.message) == ("config", "FailedCreate", "new")
    assert creation_failure(events[2:]) is None
