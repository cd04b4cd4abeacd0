"""The sandbox's autoscalers: they keep a Deployment within their bounds, shrink it where the load needs less, and leave one without pods alone."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_manifests import deployment, eventually

from sandbox.kubernetes import LocalKubernetes


def scaler(least: int, most: int) -> dict[str, Any]:
    goal = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"scaleTargetRef": goal, "minReplicas": least, "maxReplicas": most},
    }


def replicas(kubernetes: LocalKubernetes) -> int:
    found = kubernetes.get("Deployment", "prod", "web")
    assert found is not None
    return int(found["spec"]["replicas"])


def sized(kubernetes: LocalKubernetes, number: int) -> None:
    found = kubernetes.get("Deployment", "prod", "web") or deployment("web", namespace="prod")
    found["spec"]["replicas"] = number
    kubernetes.apply(found)


@pytest.fixture
def web(kubernetes: LocalKubernetes) -> LocalKubernetes:
    sized(kubernetes, 4)
    kubernetes.apply(scaler(2, 6))
    return kubernetes


async def test_less_load_shrinks_a_deployment_but_never_below_minreplicas(web: LocalKubernetes) -> None:
    assert web.autoscaling.ask_for("prod", "web", 1) == 2
    assert replicas(web) == 2
    status = (web.get("HorizontalPodAutoscaler", "prod", "web") or {})["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (4, 2)
    assert [
        e["reason"] for e in web.list("Event", "prod") if e["involvedObject"]["kind"] == "HorizontalPodAutoscaler"
    ] == ["SuccessfulRescale"]


async def test_a_raised_minreplicas_and_a_lowered_maxreplicas_are_brought_about(web: LocalKubernetes) -> None:
    web.apply(scaler(5, 6))
    await eventually(lambda: replicas(web) == 5, "it grows to the least")
    web.apply(scaler(1, 3))
    await eventually(lambda: replicas(web) == 3, "it shrinks to the most")


async def test_whoever_scales_below_the_least_is_corrected(web: LocalKubernetes) -> None:
    sized(web, 1)
    await eventually(lambda: replicas(web) == 2, "it has its least again")


async def test_a_deployment_without_pods_is_left_alone(web: LocalKubernetes) -> None:
    sized(web, 0)
    web.apply(scaler(3, 6))
    assert web.autoscaling.ask_for("prod", "web", 5) == 0
    sized(web, 1)
    await eventually(lambda: replicas(web) == 3, "it is scaled again once it has some")


async def test_where_nothing_scales_there_is_nobody_to_ask(web: LocalKubernetes) -> None:
    with pytest.raises(KeyError):
        web.autoscaling.ask_for("prod", "catalog", 1)
