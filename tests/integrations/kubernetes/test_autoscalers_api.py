"""Autoscalers over a Kubernetes API with their controller: what scales a Deployment is found, held at a size, and let go again."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from runbook.errors import Conflict, ForgeError
from runbook.ports import Autoscaler
from runbook.rules.full_size import lowered, raised
from sandbox.faults import Fault
from sandbox.kubernetes import LocalKubernetes, Rule, User
from tests.integrations.kubernetes.kubernetes_traffic import deployment

QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
HPA = "HorizontalPodAutoscaler"


def scaler(name: str = "web-scaler", target: str = "web", **more: Any) -> dict[str, Any]:
    goal = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": HPA,
        "metadata": {"name": name, "namespace": "shop", "annotations": {"team": "web"}, **more},
        "spec": {"scaleTargetRef": goal, "maxReplicas": 6},
    }


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(time_scale=0.02)
    await local.start()
    for manifest in (deployment(), deployment("worker"), scaler()):
        local.apply(manifest)
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "shop", limits=QUICK)
    yield made
    await made.aclose()


def there(kubernetes: LocalKubernetes) -> dict[str, Any]:
    found = kubernetes.get(HPA, "shop", "web-scaler")
    assert found is not None
    return found


async def held(cluster: KubernetesCluster) -> Autoscaler:
    (found,) = await cluster.autoscalers("web")
    change = raised(found, 3, "prod-7", "forge")
    assert change is not None
    await cluster.set_least(found, change.least, change.marks)
    (found,) = await cluster.autoscalers("web")
    return found


async def test_what_scales_a_deployment_is_found_by_its_target(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    foreign = scaler("other", "web")
    foreign["spec"]["scaleTargetRef"].update(apiVersion="argoproj.io/v1alpha1", kind="Rollout")
    for manifest in (foreign, scaler("another", "catalog"), scaler("a-second", "web")):
        kubernetes.apply(manifest)
    assert [each.name for each in await cluster.autoscalers("web")] == ["a-second", "web-scaler"]
    assert await cluster.autoscalers("worker") == ()


async def test_it_is_read_with_its_bounds_its_marks_and_what_manages_it(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    owners = [
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "worker", "uid": "u", "controller": True}
    ]
    kubernetes.apply(scaler("keda-hpa-worker", "worker", ownerReferences=owners))
    (web,), (worker,) = await cluster.autoscalers("web"), await cluster.autoscalers("worker")
    assert (web.least, web.most, web.marks, web.owner) == (1, 6, {"team": "web"}, "")
    assert web.version == there(kubernetes)["metadata"]["resourceVersion"]
    assert worker.owner == "ScaledObject/worker"


async def test_a_hold_changes_minreplicas_and_its_own_marks_alone_and_its_end_leaves_nothing(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    before = copy.deepcopy(there(kubernetes))
    found = await held(cluster)
    now = there(kubernetes)
    assert now["metadata"]["annotations"] == {
        "team": "web", "forge/run": "prod-7", "forge/min-replicas": "1", "forge/held-replicas": "3",
    }  # fmt: skip
    assert now["spec"] == {**before["spec"], "minReplicas": 3}
    change = lowered(found, "prod-7", "forge")
    assert change is not None
    await cluster.set_least(found, change.least, change.marks)
    assert there(kubernetes)["spec"] == before["spec"]
    assert there(kubernetes)["metadata"]["annotations"] == {"team": "web"}


async def test_what_is_held_is_not_shrunk_and_what_is_let_go_is(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    found = await held(cluster)
    assert kubernetes.autoscaling.ask_for("shop", "web", 1) == 3
    change = lowered(found, "prod-7", "forge")
    assert change is not None
    await cluster.set_least(found, change.least, change.marks)
    assert kubernetes.autoscaling.ask_for("shop", "web", 1) == 1


async def test_a_stable_that_was_shrunk_already_grows_to_its_size_again(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.autoscaling.ask_for("shop", "web", 1)
    await held(cluster)
    async with asyncio.timeout(60):
        while True:
            stable = await cluster.deployment("web")
            if stable is not None and stable.replicas == 3:
                return
            await asyncio.sleep(0.01)


async def test_an_object_that_has_changed_since_is_a_conflict_and_stays(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    (found,) = await cluster.autoscalers("web")
    kubernetes.apply({**scaler(), "spec": {**scaler()["spec"], "minReplicas": 2}})
    with pytest.raises(Conflict):
        await cluster.set_least(found, 3, {"forge/run": "prod-7"})
    assert there(kubernetes)["spec"]["minReplicas"] == 2


async def refusal(cluster: KubernetesCluster) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await cluster.autoscalers("web")
    return caught.value


async def test_an_answer_that_is_no_list_of_autoscalers_is_garbage(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.faults.add(
        Fault(path="/horizontalpodautoscalers", status=200, body='{"items": [{"spec": {}}]}', times=1)
    )
    assert (await refusal(cluster)).code == "kubernetes.garbage"


async def test_without_the_right_the_missing_one_is_named() -> None:
    reader = User("forge", rules=(Rule(("get", "list"), ("deployments",), ("apps",), ("shop",)),))
    local = LocalKubernetes(tokens={"t": reader})
    await local.start()
    local.cluster.ensure_namespace("shop")
    cluster = KubernetesCluster(Direct(local.url, lambda: "t"), "shop", limits=QUICK)
    error = await refusal(cluster)
    await cluster.aclose()
    await local.stop()
    assert error.code == "kubernetes.forbidden"
    assert "list horizontalpodautoscalers.autoscaling" in error.remedy
