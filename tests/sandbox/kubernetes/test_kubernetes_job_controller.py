"""The Job controller of the stand-in: conditions, retries, deadlines, deletion, refusals, as a current cluster shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_asyncio import client
from kubernetes_job_manifests import (
    FOR_EVER,
    NO_TOOL,
    TOOL,
    concluded,
    conditions_of,
    job,
    pods_of_job,
    programs,
    running,
    status_of,
)
from kubernetes_manifests import deployment, event_messages, eventually, rolled_out

from sandbox.kubernetes import ApiError, Behaviour, Crash, LocalKubernetes, ScriptedRuntime

TRACKING = "batch.kubernetes.io/job-tracking"


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    stand = LocalKubernetes(runtime=runtime, time_scale=0.02, programs=programs)
    await stand.start()
    yield stand
    await stand.stop()


# --- to the end -----------------------------------------------------------------------------------------------------


async def test_a_job_completes_as_a_current_cluster_tells_it(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job())
    reached = "CompletionsReached"
    assert await concluded(kubernetes) == [("SuccessCriteriaMet", reached), ("Complete", reached)]
    status = status_of(kubernetes)
    assert (status["succeeded"], status["ready"], status["terminating"]) == (1, 0, 0)
    assert {"startTime", "completionTime"} <= status.keys()
    assert not {"active", "failed"} & status.keys()
    (pod,) = pods_of_job(kubernetes)
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert event_messages(kubernetes, "Completed") == ["Job completed"]


async def test_a_failed_pod_is_the_end_without_a_backoff_limit(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job("raise SystemExit(3)"))
    assert await concluded(kubernetes) == [(kind, "BackoffLimitExceeded") for kind in ("FailureTarget", "Failed")]
    assert status_of(kubernetes)["failed"] == 1
    assert "completionTime" not in status_of(kubernetes)
    (pod,) = pods_of_job(kubernetes)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_failed_pods_are_replaced_up_to_the_limit(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job("raise SystemExit(1)", backoffLimit=2))
    await concluded(kubernetes)
    assert (len(pods_of_job(kubernetes)), status_of(kubernetes)["failed"]) == (3, 3)


async def test_several_completions_run_side_by_side(kubernetes: LocalKubernetes) -> None:
    most = []
    kubernetes.on_change(lambda _, obj: most.append((obj.get("status") or {}).get("active", 0)))
    kubernetes.apply(job(completions=3, parallelism=2))
    await concluded(kubernetes)
    assert (status_of(kubernetes)["succeeded"], max(most)) == (3, 2)


async def test_on_failure_the_container_is_started_again_in_its_pod(
    kubernetes: LocalKubernetes, api: client.ApiClient
) -> None:
    program = "import os, sys; print('again', flush=True); sys.exit(1)"
    kubernetes.apply(job(program, policy="OnFailure", backoffLimit=2))

    def restarted() -> Any:
        pods = pods_of_job(kubernetes)
        statuses = pods[0]["status"].get("containerStatuses", ()) if pods else ()
        return pods[0]["metadata"]["name"] if statuses and statuses[0]["restartCount"] else None

    name = await eventually(restarted, "a restart")
    previous = await client.CoreV1Api(api).read_namespaced_pod_log(name, "dev", previous=True)
    assert previous == "again\n"
    assert ("Failed", "BackoffLimitExceeded") in await concluded(kubernetes)


async def test_a_job_over_its_deadline_loses_its_pod(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job(FOR_EVER, activeDeadlineSeconds=1))
    assert await concluded(kubernetes) == [(kind, "DeadlineExceeded") for kind in ("FailureTarget", "Failed")]
    await eventually(lambda: not pods_of_job(kubernetes), "the pod is gone")


async def test_a_finished_job_goes_after_its_time_to_live(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job(ttlSecondsAfterFinished=20))
    await concluded(kubernetes)
    await eventually(lambda: not kubernetes.list("Job") and not pods_of_job(kubernetes), "the Job is gone")


async def test_what_runs_and_what_ended_is_valid_by_the_official_schema(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job())
    kubernetes.apply(job("raise SystemExit(3)", "bad"))
    kubernetes.apply(job(name="unpullable", container={"image": NO_TOOL}))
    kubernetes.apply(job(name="unconfigured", container={"envFrom": [{"secretRef": {"name": "none"}}]}))
    kubernetes.apply(job(FOR_EVER, "long"))
    await concluded(kubernetes)
    await concluded(kubernetes, "bad")
    await running(kubernetes, "long")
    await eventually(lambda: "CreateContainerConfigError" in repr(pods_of_job(kubernetes, "unconfigured")), "refusal")
    await eventually(lambda: "ErrImagePull" in repr(pods_of_job(kubernetes, "unpullable")), "a pull error")
    for obj in (*kubernetes.list("Job"), *kubernetes.list("Pod"), *kubernetes.list("Event")):
        kubernetes_validate.validate(obj, "1.34", strict=True)


# --- a Job that never starts ----------------------------------------------------------------------------------------


async def test_a_pod_without_a_node_waits_and_says_why(kubernetes: LocalKubernetes) -> None:
    kubernetes.never_schedule(lambda pod: True, "0/1 nodes are available: 1 Insufficient cpu.")
    kubernetes.apply(job())
    await eventually(lambda: "Unschedulable" in repr(pods_of_job(kubernetes)), "the scheduler's refusal")
    assert set(event_messages(kubernetes, "FailedScheduling")) == {"0/1 nodes are available: 1 Insufficient cpu."}
    assert status_of(kubernetes)["active"] == 1
    kubernetes.delete("Job", "dev", "tool")
    await eventually(lambda: not pods_of_job(kubernetes), "the pod is gone")


async def test_a_quota_on_pods_is_told_by_the_job(kubernetes: LocalKubernetes) -> None:
    kubernetes.refuse("Pod", "exceeded quota: small")
    kubernetes.apply(job())
    await eventually(lambda: event_messages(kubernetes, "FailedCreate"), "a refusal")
    assert all("exceeded quota: small" in message for message in event_messages(kubernetes, "FailedCreate"))
    kubernetes.refuse("Pod")
    await concluded(kubernetes)


async def test_a_quota_on_jobs_refuses_them(kubernetes: LocalKubernetes) -> None:
    kubernetes.refuse("Job", "exceeded quota: jobs")
    with pytest.raises(ApiError) as refused:
        kubernetes.apply(job())
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    assert refused.value.message == 'jobs.batch "tool" is forbidden: exceeded quota: jobs'


# --- deletion -------------------------------------------------------------------------------------------------------


async def test_a_deleted_pod_counts_as_failed(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job(FOR_EVER))
    pod = await running(kubernetes)
    assert pod["metadata"]["finalizers"] == [TRACKING]
    kubernetes.delete("Pod", "dev", pod["metadata"]["name"])
    assert ("Failed", "BackoffLimitExceeded") in await concluded(kubernetes)
    await eventually(lambda: not pods_of_job(kubernetes), "the pod is gone")


async def test_in_the_foreground_the_job_stays_until_its_pod_is_gone(
    kubernetes: LocalKubernetes, api: client.ApiClient
) -> None:
    kubernetes.apply(job("import signal; signal.signal(15, signal.SIG_IGN); " + FOR_EVER))
    await running(kubernetes)
    batch: Any = client.BatchV1Api(api)
    await batch.delete_namespaced_job("tool", "dev", propagation_policy="Foreground")
    going = kubernetes.get("Job", "dev", "tool")
    assert going is not None
    assert going["metadata"]["finalizers"] == ["foregroundDeletion"]
    left: list[int] = []

    def note(kind: str, obj: dict[str, Any]) -> None:
        if (kind, obj["kind"]) == ("DELETED", "Job"):
            left.append(len(pods_of_job(kubernetes)))

    kubernetes.on_change(note)
    await eventually(lambda: left, "the Job is gone")
    assert left == [0]


async def test_without_a_policy_the_pods_are_orphaned_as_they_are_for_back_compatibility(
    kubernetes: LocalKubernetes, api: client.ApiClient
) -> None:
    kubernetes.apply(job(FOR_EVER))
    await running(kubernetes)
    batch: Any = client.BatchV1Api(api)
    await batch.delete_namespaced_job("tool", "dev")
    assert kubernetes.list("Job") == []
    (pod,) = pods_of_job(kubernetes)
    assert "ownerReferences" not in pod["metadata"]
    await eventually(lambda: "finalizers" not in pods_of_job(kubernetes)[0]["metadata"], "the finalizer is gone")
    kubernetes.delete("Pod", "dev", pod["metadata"]["name"])
    await eventually(lambda: not pods_of_job(kubernetes), "the orphan is gone")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (job(policy="Always"), 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (job(policy="Sometimes"), 'supported values: "OnFailure", "Never"'),
        (job(backoffLimit=-1), "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        (job(activeDeadlineSeconds=0), "must be greater than or equal to 1"),
        (job(selector={"matchLabels": {"a": "b"}}), "`selector` not auto-generated"),
        (job(suspend=True), "spec.suspend"),
        (job(completionMode="Indexed"), "spec.completionMode"),
        (job(name="x" * 64), "must be no more than 63 characters"),
        (job(container={"image": ""}), "spec.template.spec.containers[0].image: Required value"),
    ],
)
async def test_a_wrong_job_is_refused(kubernetes: LocalKubernetes, made: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError) as refused:
        kubernetes.apply(made)
    assert refused.value.code == 422
    assert said in refused.value.message


async def test_a_number_that_is_none_is_refused_as_go_does(kubernetes: LocalKubernetes) -> None:
    with pytest.raises(ApiError) as refused:
        kubernetes.apply(job(backoffLimit="1"))
    assert refused.value.code == 400


async def test_a_template_can_not_be_changed(kubernetes: LocalKubernetes) -> None:
    before = kubernetes.apply(job(FOR_EVER))
    before["spec"]["template"]["spec"]["containers"][0]["image"] = NO_TOOL
    with pytest.raises(ApiError) as refused:
        kubernetes.apply(before)
    assert "spec.template: Invalid value" in refused.value.message
    assert "field is immutable" in refused.value.message


async def test_the_name_is_taken_until_the_job_is_gone(kubernetes: LocalKubernetes, api: client.ApiClient) -> None:
    kubernetes.apply(job())
    with pytest.raises(client.ApiException) as refused:
        await client.BatchV1Api(api).create_namespaced_job("dev", job())  # type: ignore[arg-type]
    assert (refused.value.status, "AlreadyExists" in str(refused.value.body)) == (409, True)


# --- who plays what -------------------------------------------------------------------------------------------------


async def test_the_pods_of_deployments_are_still_played_by_the_runtime(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(deployment(image=TOOL, replicas=1))
    await rolled_out(kubernetes)
    assert len(runtime.running) == 1


async def test_without_programs_the_runtime_plays_jobs_too(runtime: ScriptedRuntime) -> None:
    runtime.set("good", Behaviour(crash=Crash(exit_code=0)))
    runtime.set("bad", Behaviour(crash=Crash(exit_code=9)))
    stand = LocalKubernetes(runtime=runtime, time_scale=0.02)
    await stand.start()
    stand.apply(job(name="good", container={"image": "good"}))
    stand.apply(job(name="bad", container={"image": "bad"}))
    stand.apply(job(name="slow", container={"image": "slow"}, activeDeadlineSeconds=20))
    await concluded(stand, "good")
    await concluded(stand, "bad")
    await concluded(stand, "slow")
    ends = [conditions_of(stand, name)[-1] for name in ("good", "bad", "slow")]
    await stand.stop()
    assert ends == [
        ("Complete", "CompletionsReached"), ("Failed", "BackoffLimitExceeded"), ("Failed", "DeadlineExceeded"),
    ]  # fmt: skip
