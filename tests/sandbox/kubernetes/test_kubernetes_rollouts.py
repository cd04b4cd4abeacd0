"""What Deployments, ReplicaSets and pods do, seen from inside."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_manifests import (
    BETTER,
    CRASHING,
    GOOD,
    MISSING,
    UNREADY,
    deployment,
    event_messages,
    eventually,
    is_ready,
    is_rolled_out,
    pods_of,
    rolled_out,
)

from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, ScriptedRuntime


def condition(kubernetes: LocalKubernetes, kind: str) -> dict[str, Any]:
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    return next((dict(c) for c in found.get("status", {}).get("conditions", ()) if c["type"] == kind), {})


def statuses(pod: dict[str, Any]) -> dict[str, Any]:
    return dict(pod.get("status", {}).get("containerStatuses", [{}])[0])


async def test_a_deployment_becomes_available_with_its_revision_and_conditions(kubernetes: LocalKubernetes) -> None:
    created = kubernetes.apply(deployment())
    assert (created["metadata"]["generation"], created["metadata"]["namespace"]) == (1, "dev")
    await rolled_out(kubernetes)
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert condition(kubernetes, "Available")["reason"] == "MinimumReplicasAvailable"
    assert condition(kubernetes, "Progressing")["message"].endswith("has successfully progressed.")
    (replica_set,) = kubernetes.list("ReplicaSet", "dev")
    hashed = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{hashed}"
    pods = kubernetes.list("Pod", "dev")
    assert all(pod["metadata"]["labels"]["pod-template-hash"] == hashed and is_ready(pod) for pod in pods)


@pytest.mark.parametrize(("surge", "unavailable"), [(1, 0), (0, 1), ("50%", "25%"), (4, 4)])
async def test_a_rolling_update_keeps_within_surge_and_unavailability(
    kubernetes: LocalKubernetes, surge: int | str, unavailable: int | str
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    kubernetes.apply(deployment(replicas=4, strategy=rolling))
    await rolled_out(kubernetes)
    least, most = 4, 4

    def observe(kind: str, obj: dict[str, Any]) -> None:
        nonlocal least, most
        if obj["kind"] == "Pod":
            pods = kubernetes.list("Pod", "dev")
            least = min(least, sum(map(is_ready, pods)))
            most = max(most, sum("deletionTimestamp" not in pod["metadata"] for pod in pods))

    kubernetes.on_change(observe)
    kubernetes.apply(deployment(replicas=4, strategy=rolling, image=BETTER))
    await rolled_out(kubernetes)
    pods_out = {"50%": 2, "25%": 1}
    assert least >= 4 - pods_out.get(str(unavailable), unavailable)  # type: ignore[operator]
    assert most <= 4 + pods_out.get(str(surge), surge)  # type: ignore[operator]
    assert len(pods_of(kubernetes, BETTER)) >= 4


async def test_a_never_ready_image_leaves_the_old_replica_set_serving_and_exceeds_its_deadline(
    kubernetes: LocalKubernetes,
) -> None:
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    kubernetes.apply(deployment(image=UNREADY, progressDeadlineSeconds=20))
    await eventually(
        lambda: condition(kubernetes, "Progressing").get("reason") == "ProgressDeadlineExceeded", "deadline exceeded"
    )
    assert condition(kubernetes, "Progressing")["status"] == "False"
    assert condition(kubernetes, "Available")["status"] == "True"
    assert sum(map(is_ready, pods_of(kubernetes, GOOD))) == 3
    assert not any(map(is_ready, pods_of(kubernetes, UNREADY)))
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in event_messages(kubernetes, "Unhealthy")


async def test_a_crash_loop_is_shown_with_its_last_state_and_growing_back_off(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(image=CRASHING, replicas=1))

    def looping() -> dict[str, Any]:
        found = [statuses(pod) for pod in kubernetes.list("Pod", "dev")]
        return next((s for s in found if s.get("restartCount", 0) >= 2 and "waiting" in s["state"]), {})

    shown = await eventually(looping, "crash loop")
    assert shown["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "restarting failed container=web pod=web-" in shown["state"]["waiting"]["message"]
    ended = shown["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "panic: no database")
    assert condition(kubernetes, "Available")["status"] == "False"
    assert any("Back-off restarting failed container web" in text for text in event_messages(kubernetes, "BackOff"))


async def test_a_missing_image_is_pulled_again_until_it_exists(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    seen: list[str] = []
    kubernetes.on_change(
        lambda _, obj: seen.append(statuses(obj).get("state", {}).get("waiting", {}).get("reason", ""))
    )
    kubernetes.apply(deployment(image=MISSING, replicas=1))
    await eventually(lambda: "ImagePullBackOff" in seen, "back-off")
    assert "ErrImagePull" in seen
    assert any(text.endswith(f"{MISSING}: not found") for text in event_messages(kubernetes, "Failed"))
    runtime.behaviours.clear()
    await rolled_out(kubernetes)


async def test_a_failing_liveness_probe_restarts_the_container(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    runtime.fail(GOOD, "/health/live")
    await eventually(lambda: any(statuses(pod)["restartCount"] for pod in pods_of(kubernetes, GOOD)), "a restart")
    assert "Container web failed liveness probe, will be restarted" in event_messages(kubernetes, "Killing")
    assert "Liveness probe failed: HTTP probe failed with statuscode: 503" in event_messages(kubernetes, "Unhealthy")
    runtime.heal(GOOD, "/health/live")
    await rolled_out(kubernetes)
    assert len(runtime.starts) >= 2


async def test_a_failing_readiness_probe_makes_a_pod_unready_and_does_not_restart_it(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    runtime.fail(GOOD, "/health/ready")
    await eventually(lambda: condition(kubernetes, "Available")["status"] == "False", "unavailable")
    (pod,) = pods_of(kubernetes, GOOD)
    assert statuses(pod)["restartCount"] == 0
    assert "running" in statuses(pod)["state"]
    runtime.heal(GOOD, "/health/ready")
    await eventually(lambda: condition(kubernetes, "Available")["status"] == "True", "available again")


async def test_a_paused_deployment_does_not_roll_until_it_is_resumed(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    kubernetes.apply(deployment(image=BETTER, paused=True))
    await eventually(lambda: condition(kubernetes, "Progressing")["reason"] == "DeploymentPaused", "paused")
    assert len(kubernetes.list("ReplicaSet", "dev")) == 1
    kubernetes.apply(deployment(image=BETTER))
    await rolled_out(kubernetes)
    assert len(kubernetes.list("ReplicaSet", "dev")) == 2


async def test_pods_are_available_only_after_min_ready_seconds(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(minReadySeconds=20, replicas=1))
    seen: list[tuple[int, int]] = []

    def observe(_: str, obj: dict[str, Any]) -> None:
        if obj["kind"] == "ReplicaSet":
            status = obj.get("status", {})
            seen.append((status.get("readyReplicas", 0), status.get("availableReplicas", 0)))

    kubernetes.on_change(observe)
    await rolled_out(kubernetes)
    assert (1, 0) in seen
    assert seen[-1] == (1, 1)


async def test_recreate_ends_all_old_pods_before_it_starts_new_ones(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(strategy={"type": "Recreate"}))
    await rolled_out(kubernetes)
    mixed: list[str] = []

    def observe(_: str, obj: dict[str, Any]) -> None:
        if obj["kind"] == "Pod" and pods_of(kubernetes, GOOD) and pods_of(kubernetes, BETTER):
            mixed.append(obj["metadata"]["name"])

    kubernetes.on_change(observe)
    kubernetes.apply(deployment(strategy={"type": "Recreate"}, image=BETTER))
    await rolled_out(kubernetes)
    assert not mixed


async def test_returning_to_an_earlier_template_reuses_its_replica_set_under_a_new_revision(
    kubernetes: LocalKubernetes,
) -> None:
    for image in (GOOD, BETTER, GOOD):
        kubernetes.apply(deployment(image=image))
        await rolled_out(kubernetes)
    found = {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs for rs in kubernetes.list("ReplicaSet", "dev")
    }
    notes = {image: rs["metadata"]["annotations"] for image, rs in found.items()}
    assert notes[GOOD]["deployment.kubernetes.io/revision"] == "3"
    assert notes[GOOD]["deployment.kubernetes.io/revision-history"] == "1"
    assert notes[BETTER]["deployment.kubernetes.io/revision"] == "2"


async def test_only_so_many_old_replica_sets_are_kept(kubernetes: LocalKubernetes) -> None:
    for number in range(4):
        kubernetes.apply(deployment(image=f"registry.local/web:{number}", revisionHistoryLimit=1, replicas=1))
        await rolled_out(kubernetes)
    await eventually(lambda: len(kubernetes.list("ReplicaSet", "dev")) == 2, "old ReplicaSets removed")


async def test_scaling_in_the_middle_of_a_rollout_is_shared_out(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(replicas=4))
    await rolled_out(kubernetes)
    kubernetes.apply(deployment(replicas=4, image=UNREADY))
    await eventually(lambda: len(pods_of(kubernetes, UNREADY)) >= 2, "the rollout under way")
    kubernetes.apply(deployment(replicas=8, image=UNREADY))

    def sizes() -> int:
        return sum(int(rs["spec"]["replicas"]) for rs in kubernetes.list("ReplicaSet", "dev"))

    await eventually(lambda: sizes() == 10, "8 pods and a surge of 2")
    await eventually(lambda: sum(map(is_ready, pods_of(kubernetes, GOOD))) >= 6, "old pods serving")


async def test_a_deleted_pod_is_replaced_and_a_deleted_deployment_takes_everything_along(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    gone = kubernetes.list("Pod", "dev")[0]["metadata"]["name"]
    kubernetes.delete("Pod", "dev", gone)
    marked = kubernetes.get("Pod", "dev", gone)
    assert marked is not None
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    await eventually(lambda: kubernetes.get("Pod", "dev", gone) is None, "pod gone")
    await rolled_out(kubernetes)
    kubernetes.delete("Deployment", "dev", "web")
    await eventually(lambda: not kubernetes.list("Pod", "dev") + kubernetes.list("ReplicaSet", "dev"), "all gone")
    await eventually(lambda: not runtime.running, "no process left")


async def test_a_container_that_is_made_to_crash_starts_again(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment(replicas=1))
    await rolled_out(kubernetes)
    (pod,) = kubernetes.list("Pod", "dev")
    kubernetes.crash("dev", pod["metadata"]["name"], Crash(exit_code=137, reason="OOMKilled"))
    await eventually(
        lambda: statuses(kubernetes.list("Pod", "dev")[0])["lastState"].get("terminated", {}).get("reason"), "an end"
    )
    assert statuses(kubernetes.list("Pod", "dev")[0])["lastState"]["terminated"]["reason"] == "OOMKilled"
    await rolled_out(kubernetes)


async def test_a_runtime_that_cannot_start_a_container_shows_a_start_error(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    async def refuse(pod: dict[str, Any]) -> None:
        raise OSError("no port left")

    runtime.start = refuse  # type: ignore[method-assign]
    kubernetes.apply(deployment(replicas=1))

    def ended() -> dict[str, Any]:
        found = [statuses(pod).get("lastState", {}).get("terminated", {}) for pod in kubernetes.list("Pod", "dev")]
        return next((dict(end) for end in found if end), {})

    end = await eventually(ended, "a start error")
    assert (end["reason"], end["exitCode"]) == ("StartError", 128)
    assert "no port left" in end["message"]


async def test_two_deployments_do_not_touch_each_other(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(deployment("one", replicas=2))
    kubernetes.apply(deployment("two", replicas=1, namespace="prod"))
    await rolled_out(kubernetes, "one")
    await rolled_out(kubernetes, "two", "prod")
    kubernetes.delete("Namespace", "", "prod")
    await eventually(lambda: not kubernetes.list("Pod", "prod"), "prod emptied")
    assert is_rolled_out(kubernetes, "one")


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
async def test_a_pod_that_is_not_to_be_restarted_ends_for_good(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime, code: int, phase: str
) -> None:
    runtime.set("once", Behaviour(crash=Crash(exit_code=code)))
    spec = {"restartPolicy": "Never", "containers": [{"name": "once", "image": "once:1"}]}
    kubernetes.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "once"}, "spec": spec})

    def ended() -> dict[str, Any]:
        found = kubernetes.get("Pod", "default", "once") or {}
        return found if found["status"]["phase"] == phase else {}

    pod = await eventually(ended, phase)
    assert statuses(pod)["state"]["terminated"]["exitCode"] == code
    assert statuses(pod)["restartCount"] == 0


async def test_a_startup_probe_holds_back_the_others(kubernetes: LocalKubernetes, runtime: ScriptedRuntime) -> None:
    slow = deployment(replicas=1)
    probe = {"httpGet": {"path": "/health/startup", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1000}
    slow["spec"]["template"]["spec"]["containers"][0]["startupProbe"] = probe
    runtime.fail(GOOD, "/health/startup")
    kubernetes.apply(slow)
    await eventually(lambda: event_messages(kubernetes, "Unhealthy"), "startup failures")
    (pod,) = kubernetes.list("Pod", "dev")
    assert (statuses(pod)["started"], is_ready(pod)) == (False, False)
    assert all(text.startswith("Startup probe failed") for text in event_messages(kubernetes, "Unhealthy"))
    runtime.heal(GOOD, "/health/startup")
    await rolled_out(kubernetes)


async def test_only_the_app_container_is_played_by_the_runtime(
    kubernetes: LocalKubernetes, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(deployment(replicas=2))
    await rolled_out(kubernetes)
    assert len(runtime.starts) == len(set(runtime.starts)) == 2
    assert all(pod["status"]["podIP"].startswith("10.244.") for pod in runtime.running.values())
