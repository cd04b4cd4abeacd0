"""Owners, selectors, rollouts and pods' troubles as Kubernetes writes them: rules without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations.kubernetes import Credentials, Direct, InCluster, Kubeconfig, KubernetesCluster
from integrations.kubernetes.ownership import image_owner
from integrations.kubernetes.reading import label_selector, newest_replica_set, rollout_of
from integrations.kubernetes.rights import attributes
from integrations.kubernetes.troubles import pod_troubles

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({}, ""),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:dev/web"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD"),
        ({"labels": {"app.kubernetes.io/instance": "shop"}}, ""),
        (
            {"labels": {"app.kubernetes.io/instance": "s"}, "managedFields": [{"manager": "argocd-controller"}]},
            "Argo CD",
        ),
        (
            {"labels": {"app.kubernetes.io/instance": "s"}, "annotations": {"argocd.argoproj.io/sync-wave": "1"}},
            "Argo CD",
        ),
        ({"labels": {"app.kubernetes.io/instance": "s"}, "annotations": {"meta.helm.sh/release-name": "s"}}, ""),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        (
            {
                "labels": {"kustomize.toolkit.fluxcd.io/name": "shop"},
                "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
            },
            "",
        ),
        (
            {
                "labels": {"kustomize.toolkit.fluxcd.io/name": "shop"},
                "annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"},
            },
            "",
        ),
        ({"ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "name": "s"}]}, "Argo CD"),
        (
            {"ownerReferences": [{"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "name": "s"}]},
            "Flux",
        ),
        ({"ownerReferences": [{"apiVersion": "x.io/v1", "kind": "Shop", "name": "s", "controller": True}]}, "Shop s"),
        ({"ownerReferences": [{"apiVersion": "x.io/v1", "kind": "Shop", "name": "s"}]}, ""),
        ({"labels": None, "annotations": None, "managedFields": None, "ownerReferences": None}, ""),
    ],
)
def test_the_owner_of_an_image_is_found_by_its_traces(metadata: dict[str, Any], owner: str) -> None:
    assert image_owner(metadata) == owner


@pytest.mark.parametrize(
    ("credentials", "command"),
    [
        (Kubeconfig(None, "staging"), "kubectl --context staging -n shop"),
        (Kubeconfig(Path("/etc/a b"), ""), "kubectl --kubeconfig '/etc/a b' -n shop"),
        (Direct("https://k8s.example", lambda: "hush"), "kubectl --server https://k8s.example -n shop"),
        (InCluster(), "kubectl -n shop"),
    ],
)
def test_the_way_of_a_person_to_the_same_place_can_be_pasted(credentials: Credentials, command: str) -> None:
    assert KubernetesCluster(credentials, "shop").kubectl == command


def test_a_selector_is_written_as_the_api_reads_it() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
        {"key": "here", "operator": "Exists"},
        {"key": "gone", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    assert label_selector(selector) == "app=web,tier in (a,b),zone notin (c),here,!gone"


def test_the_newest_replica_set_is_the_one_with_the_highest_revision() -> None:
    sets = [
        {"metadata": {"name": n, "annotations": {"deployment.kubernetes.io/revision": n}}} for n in ("9", "10", "2")
    ]
    newest = newest_replica_set(sets)
    assert newest is not None
    assert newest["metadata"]["name"] == "10"
    assert newest_replica_set([]) is None


@pytest.mark.parametrize(
    ("right", "resource"),
    [("get pods/log", ("", "pods", "log")), ("patch deployments.apps", ("apps", "deployments", ""))],
)
def test_a_right_is_asked_for_in_its_parts(right: str, resource: tuple[str, str, str]) -> None:
    asked = attributes(right, "dev")
    assert (asked["group"], asked["resource"], asked["subresource"]) == resource
    assert asked["namespace"] == "dev"


def deployment(status: dict[str, Any], generation: int = 3, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "spec": spec, "status": status}


def test_what_a_condition_said_of_the_generation_before_does_not_count() -> None:
    failed = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
    assert rollout_of(deployment({"observedGeneration": 3, "conditions": failed}), ()).deadline_exceeded
    assert not rollout_of(deployment({"observedGeneration": 2, "conditions": failed}), ()).deadline_exceeded


def test_a_deployment_scaled_to_nothing_is_complete_and_an_unset_scale_means_one() -> None:
    assert rollout_of(deployment({"observedGeneration": 3}, replicas=0), ()).complete
    assert rollout_of(deployment({"observedGeneration": 3}), ()).desired == 1


def pod(
    statuses: list[dict[str, Any]], *, conditions: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "False",
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "reason": "ContainersNotReady",
    }
    status = {"phase": "Running", "conditions": [ready, *(conditions or [])], "containerStatuses": statuses, **more}
    return {"metadata": {"name": "web-1"}, "status": status}


def event(
    message: str, *, at: str = "2026-03-01T12:00:10Z", container: str = "web", reason: str = "Unhealthy"
) -> dict[str, Any]:
    about = {"fieldPath": f"spec.containers{{{container}}}"}
    return {"reason": reason, "message": message, "lastTimestamp": at, "involvedObject": about}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"name": "web", "ready": False, "state": {"waiting": {"reason": reason, "message": message}}, **more}


@pytest.mark.parametrize(
    ("statuses", "kind", "reason", "message"),
    [
        ([waiting("ImagePullBackOff", "Back-off pulling")], "image_pull", "ImagePullBackOff", "Back-off pulling"),
        ([waiting("InvalidImageName", "bad")], "image_pull", "InvalidImageName", "bad"),
        (
            [waiting("CreateContainerConfigError", 'secret "db" not found')],
            "config",
            "CreateContainerConfigError",
            'secret "db" not found',
        ),
        (
            [
                waiting(
                    "CrashLoopBackOff",
                    "back-off",
                    restartCount=4,
                    lastState={"terminated": {"exitCode": 0, "reason": "Completed"}},
                )
            ],
            "crash_loop",
            "Completed",
            "exit code 0",
        ),
        (
            [waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 139, "signal": 11, "reason": "Error"}})],
            "crash_loop",
            "Error",
            "signal 11",
        ),
        (
            [
                {
                    "name": "web",
                    "ready": False,
                    "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": "boom\n"}},
                }
            ],
            "crash_loop",
            "Error",
            "exit code 1: boom",
        ),
    ],
)
def test_a_containers_state_tells_what_is_wrong(
    statuses: list[dict[str, Any]], kind: str, reason: str, message: str
) -> None:
    (trouble,) = pod_troubles(pod(statuses), [], NOW)
    assert (trouble.kind, trouble.reason, trouble.message, trouble.since_s) == (kind, reason, message, 30.0)


def test_an_init_container_that_crashes_is_named() -> None:
    init = [{"name": "migrate", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}, "restartCount": 1}]
    (trouble,) = pod_troubles(pod([waiting("PodInitializing")], initContainerStatuses=init), [], NOW)
    assert (trouble.container, trouble.kind, trouble.message) == ("migrate", "crash_loop", "exit code 2")


def test_a_pod_without_a_place_says_why() -> None:
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes: Insufficient cpu",
    }
    (trouble,) = pod_troubles(pod([], conditions=[unscheduled], phase="Pending"), [], NOW)
    assert (trouble.kind, trouble.reason, trouble.message) == (
        "unschedulable",
        "Unschedulable",
        "0/3 nodes: Insufficient cpu",
    )


def test_a_volume_that_cannot_be_mounted_is_named() -> None:
    mount = {"reason": "FailedMount", "message": 'secret "tls" not found', "lastTimestamp": "2026-03-01T12:00:10Z"}
    (trouble,) = pod_troubles(pod([waiting("ContainerCreating")]), [mount], NOW)
    assert (trouble.kind, trouble.message) == ("config", 'secret "tls" not found')


def test_the_newest_event_of_the_right_container_is_quoted() -> None:
    events = [
        event("Readiness probe failed: first", at="2026-03-01T12:00:01Z"),
        event("Readiness probe failed: second", at="2026-03-01T12:00:09Z"),
        event("Readiness probe failed: of the proxy", at="2026-03-01T12:00:20Z", container="proxy"),
    ]
    running = {"name": "web", "ready": False, "state": {"running": {}}}
    (trouble,) = pod_troubles(pod([running]), events, NOW)
    assert (trouble.kind, trouble.message) == ("not_ready", "Readiness probe failed: second")


@pytest.mark.parametrize(
    ("started", "kind"), [("2026-03-01T11:59:00Z", "crash_loop"), ("2026-03-01T11:00:00Z", "not_ready")]
)
def test_a_crash_that_the_container_has_long_outlived_is_not_the_trouble(started: str, kind: str) -> None:
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    running = {"name": "web", "ready": False, "state": {"running": {"startedAt": started}}, "lastState": last}
    (trouble,) = pod_troubles(pod([running]), [event("Readiness probe failed: 503")], NOW)
    assert trouble.kind == kind


def test_a_pod_that_just_starts_is_not_ready_in_kubernetes_words() -> None:
    (trouble,) = pod_troubles(pod([{"name": "web", "ready": False, "state": {"running": {}}}]), [], NOW)
    assert (trouble.kind, trouble.reason) == ("not_ready", "ContainersNotReady")


def test_ready_ending_and_ended_pods_have_no_trouble() -> None:
    ready = pod([])
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    ending = pod([waiting("CrashLoopBackOff")])
    ending["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    evicted = pod([], phase="Failed")
    for each in (ready, ending, evicted):
        assert pod_troubles(each, [], NOW) == ()


def test_a_clock_that_runs_ahead_gives_no_negative_time() -> None:
    early = datetime(2026, 3, 1, 11, 0, tzinfo=UTC)
    (trouble,) = pod_troubles(pod([waiting("ImagePullBackOff")]), [], early)
    assert trouble.since_s == 0.0


def test_a_long_message_is_cut() -> None:
    (trouble,) = pod_troubles(pod([waiting("ImagePullBackOff", "x" * 5000)]), [], NOW)
    assert len(trouble.message) == 1000
