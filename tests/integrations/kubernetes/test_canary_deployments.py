"""Canary Deployments and traffic by pods: against a Kubernetes API over HTTP with its controllers, twenty times as fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import kubernetes_validate
import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from integrations.kubernetes.canary import manifest
from integrations.kubernetes.rights import PRODUCTION_RIGHTS, RIGHTS
from runbook.errors import Conflict, ForgeError, Permanent
from runbook.ports import Rollout, Share
from runbook.rules.traffic import usable
from sandbox.faults import Fault
from sandbox.kubernetes import Behaviour, LocalKubernetes, Rule, ScriptedRuntime, User
from tests.integrations.kubernetes.kubernetes_traffic import BAD, BETTER, GOOD, NOTES, WORKER, deployment, order

QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
DEPLOYMENTS = "/deployments"


@pytest.fixture
def runtime() -> ScriptedRuntime:
    return ScriptedRuntime()


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(runtime=runtime, time_scale=0.02)
    await local.start()
    local.apply(deployment())
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "shop", limits=QUICK)
    yield made
    await made.aclose()


async def refusal(call: Awaitable[Any]) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def until(read: Callable[[], Awaitable[Any]], fits: Callable[[Any], bool], within_s: float = 60) -> Any:
    deadline = asyncio.get_running_loop().time() + within_s
    while not fits(found := await read()):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.01)
    return found


async def complete(cluster: KubernetesCluster, name: str) -> Rollout:
    found: Rollout = await until(lambda: cluster.rollout(name), lambda rollout: rollout.complete)
    return found


def there(kubernetes: LocalKubernetes, name: str = "web-canary") -> dict[str, Any]:
    found = kubernetes.get("Deployment", "shop", name)
    assert found is not None
    return found


# --- a canary's manifest ----------------------------------------------------------------------------------------------


async def test_a_canary_is_stable_with_another_image_and_track(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order(replicas=2))
    stable, canary = there(kubernetes, "web")["spec"], there(kubernetes)["spec"]
    assert canary["template"]["spec"]["containers"][0].pop("image") == BETTER
    assert stable["template"]["spec"]["containers"][0].pop("image") == GOOD
    assert canary["template"]["spec"] == stable["template"]["spec"]
    track = {"forge/track": "canary"}
    metadata = canary["template"]["metadata"]
    assert metadata.pop("creationTimestamp", None) is None
    assert metadata == {
        "labels": {**stable["template"]["metadata"]["labels"], **track},
        "annotations": {**stable["template"]["metadata"]["annotations"], **NOTES},
    }
    assert canary["selector"] == {"matchLabels": {"app": "web", **track}}
    assert canary["replicas"] == 2
    for same in ("strategy", "progressDeadlineSeconds"):
        assert canary[same] == stable[same]


async def test_a_canary_carries_its_run_and_nothing_by_which_others_know_their_own(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order())
    metadata = there(kubernetes)["metadata"]
    assert metadata["labels"] == {
        "forge/track": "canary",
        "forge/run": "prod-7",
        "app.kubernetes.io/managed-by": "forge",
    }
    assert not [key for key in metadata.get("annotations", {}) if "argocd" in key]
    found = await cluster.deployment("web-canary")
    assert found is not None
    assert (found.marks["forge/run"], found.labels["forge/track"], found.selector["forge/track"]) == (
        "prod-7",
        "canary",
        "canary",
    )
    assert found.owner == ""


async def test_its_pods_serve_beside_stables_and_neither_takes_the_others(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order())
    await complete(cluster, "web-canary")
    await complete(cluster, "web")
    tracks = sorted(pod["metadata"]["labels"]["forge/track"] for pod in kubernetes.list("Pod", "shop"))
    assert tracks == ["canary", "stable", "stable", "stable"]


def test_the_manifest_is_valid_and_leaves_stable_as_it_was() -> None:
    stable = deployment(paused=True)
    stable["metadata"].update(resourceVersion="12", uid="u", generation=3, managedFields=[{"manager": "x"}])
    stable["spec"]["template"]["metadata"]["creationTimestamp"] = None
    stable["status"] = {"replicas": 3}
    before = repr(stable)
    made = manifest(stable, order(), "shop")
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)
    assert repr(stable) == before
    assert set(made["metadata"]) == {"name", "namespace", "labels", "annotations"}
    assert "paused" not in made["spec"]
    assert "status" not in made


def test_the_recording_rules_know_the_canarys_deployment_and_a_gitops_controller_doesnt() -> None:
    stable = deployment()
    known = {"forge/service": "shop", "forge/env": "prod", "forge/track": "stable"}
    stable["metadata"]["labels"] = known | {"app.kubernetes.io/instance": "shop"}
    labels = manifest(stable, order(), "shop")["metadata"]["labels"]
    assert (labels["forge/service"], labels["forge/env"], labels["forge/track"]) == ("shop", "prod", "canary")
    assert "app.kubernetes.io/instance" not in labels


def test_another_prefix_labels_everything() -> None:
    stable = deployment()
    made = manifest(stable, order(prefix="acme.example"), "shop")
    assert made["spec"]["selector"]["matchLabels"]["acme.example/track"] == "canary"
    assert made["metadata"]["labels"]["acme.example/run"] == "prod-7"


# --- starting again ---------------------------------------------------------------------------------------------------


async def test_the_same_order_again_writes_nothing(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_canary(order())
    kubernetes.forget_requests()
    await cluster.start_canary(order())
    assert [request.method for request in kubernetes.requests] == ["GET"]


async def test_a_canary_of_the_same_run_gets_the_orders_images_and_never_fewer_pods(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order(replicas=3))
    await cluster.start_canary(order(replicas=1, images={"app": BAD}))
    found = await cluster.deployment("web-canary")
    assert found is not None
    assert (found.image_of("app"), found.replicas, found.generation) == (BAD, 3, 2)
    await cluster.start_canary(order(replicas=5, images={"app": BAD}))
    assert there(kubernetes)["spec"]["replicas"] == 5


async def test_a_creation_whose_answer_was_lost_is_told_by_its_run(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.faults.add(Fault(kind="after", method="POST", path=DEPLOYMENTS))
    await cluster.start_canary(order())
    assert there(kubernetes)["metadata"]["generation"] == 1


@pytest.mark.parametrize("labels", [{"forge/run": "prod-3"}, {}])
async def test_a_deployment_of_another_run_or_of_nobody_is_a_conflict(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, labels: dict[str, str]
) -> None:
    other = deployment("web-canary")
    other["metadata"]["labels"] = labels
    before = kubernetes.apply(other)["metadata"]["generation"]
    error = await refusal(cluster.start_canary(order()))
    assert isinstance(error, Conflict)
    assert error.code == "kubernetes.canary_exists"
    assert "delete deployment web-canary" in error.remedy
    assert there(kubernetes)["metadata"]["generation"] == before


async def test_a_canary_that_is_still_going_is_a_conflict(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order())
    kept = there(kubernetes)
    kept["metadata"]["finalizers"] = ["acme.test/keep"]
    kubernetes.apply(kept)
    kubernetes.delete("Deployment", "shop", "web-canary")
    assert there(kubernetes)["metadata"]["deletionTimestamp"]
    error = await refusal(cluster.start_canary(order()))
    assert error.code == "kubernetes.canary_exists"
    assert "still being deleted" in error.cause


async def test_stable_must_carry_its_track_and_the_container(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    error = await refusal(cluster.start_canary(order(images={"ap": BETTER})))
    assert error.code == "kubernetes.no_container"
    bare = deployment("bare")
    del bare["spec"]["template"]["metadata"]["labels"]["forge/track"]
    bare["spec"]["selector"] = {"matchLabels": {"app": "bare"}}
    kubernetes.apply(bare)
    error = await refusal(cluster.start_canary(order(workload="bare")))
    assert (type(error), error.code) == (Permanent, "kubernetes.no_track")
    assert (await refusal(cluster.start_canary(order(workload="none")))).code == "kubernetes.not_found"


async def test_a_quota_is_told_as_a_quota(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.refuse("Deployment", "exceeded quota: shop, requested: count/deployments.apps=1")
    error = await refusal(cluster.start_canary(order()))
    assert "exceeded quota" in error.cause
    assert "quota or a policy" in error.remedy


# --- scaling and the end ----------------------------------------------------------------------------------------------


async def test_the_same_number_again_writes_nothing(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.scale("web", 5)
    kubernetes.forget_requests()
    await cluster.scale("web", 5)
    assert [request.method for request in kubernetes.requests] == ["GET"]
    assert there(kubernetes, "web")["spec"]["replicas"] == 5
    assert (await refusal(cluster.scale("none", 1))).code == "kubernetes.not_found"


async def test_a_canary_goes_with_its_pods_and_again_is_fine(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order())
    await complete(cluster, "web-canary")
    await cluster.remove_canary("web-canary", "prod-7")
    await cluster.remove_canary("web-canary", "prod-7")
    await until(lambda: cluster.deployment("web-canary"), lambda found: found is None)
    await cluster.remove_canary("web-canary", "prod-7")

    async def tracks() -> set[str]:
        return {pod["metadata"]["labels"]["forge/track"] for pod in kubernetes.list("Pod", "shop")}

    await until(tracks, lambda found: found == {"stable"})


async def test_a_canary_of_another_run_stays(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_canary(order())
    await cluster.remove_canary("web-canary", "prod-8")
    await cluster.remove_canary("web", "prod-7")
    assert there(kubernetes)["metadata"].get("deletionTimestamp") is None
    assert there(kubernetes, "web")["metadata"].get("deletionTimestamp") is None


async def test_a_removal_whose_answer_was_lost_is_no_error(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_canary(order(replicas=0))
    kubernetes.faults.add(Fault(kind="after", method="DELETE", path=DEPLOYMENTS))
    await cluster.remove_canary("web-canary", "prod-7")
    await until(lambda: cluster.deployment("web-canary"), lambda found: found is None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "forbidden"), (410, "gone"), (422, "invalid"), (429, "throttled"), (500, "server_error")],
)
async def test_every_refusal_is_a_typed_error(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, status: int, code: str
) -> None:
    await cluster.start_canary(order())
    for method in ("POST", "PATCH", "DELETE"):
        kubernetes.faults.add(Fault(method=method, path=DEPLOYMENTS, status=status, times=-1))
    calls = (
        cluster.start_canary(order(canary="other")),
        cluster.scale("web-canary", 4),
        cluster.remove_canary("web-canary", "prod-7"),
    )
    assert {(await refusal(call)).code for call in calls} == {f"kubernetes.{code}"}


# --- traffic by pods --------------------------------------------------------------------------------------------------


@pytest.fixture
async def worker(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> KubernetesCluster:
    """Three pods of worker, and a canary without any."""
    kubernetes.apply(deployment("worker"))
    await complete(cluster, "worker")
    await cluster.start_canary(order(workload="worker", canary="worker-canary", replicas=0))
    return cluster


async def moved(cluster: KubernetesCluster, weight: int) -> Share:
    found: Share = await until(lambda: cluster.set_weight(WORKER, weight), lambda share: share.accepted)
    return found


async def sizes(cluster: KubernetesCluster) -> tuple[int, int]:
    stable, canary = await cluster.deployment("worker"), await cluster.deployment("worker-canary")
    assert stable is not None
    return stable.replicas, 0 if canary is None else canary.replicas


async def test_shares_by_pods_are_reached_and_their_true_ratio_is_told(worker: KubernetesCluster) -> None:
    found = []
    for weight in (5, 25, 100, 0):
        share = await moved(worker, weight)
        found.append((share.weight, share.true_ratio, await sizes(worker)))
    assert found == [(5, 0.25, (3, 1)), (25, 0.25, (3, 1)), (100, 1.0, (0, 3)), (0, 0.0, (3, 0))]


async def test_there_are_never_fewer_available_pods_than_at_full_strength(
    kubernetes: LocalKubernetes, worker: KubernetesCluster
) -> None:
    fewest: list[int] = []

    def watch(kind: str, obj: dict[str, Any]) -> None:
        if obj["kind"] == "Deployment":
            both = [kubernetes.get("Deployment", "shop", name) for name in ("worker", "worker-canary")]
            fewest.append(sum((each or {}).get("status", {}).get("availableReplicas", 0) for each in both))

    kubernetes.on_change(watch)
    for weight in (5, 100, 0):
        await moved(worker, weight)
    assert min(fewest) >= 3


async def test_stable_stays_while_the_canary_is_not_available(
    worker: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BETTER, Behaviour(ready=False))
    for _ in range(5):
        share = await worker.set_weight(WORKER, 100)
        assert not share.accepted
    assert await sizes(worker) == (3, 3)
    assert "0 of 3 of the canary" in share.reason
    await moved(worker, 0)
    assert await sizes(worker) == (3, 0)


async def test_the_share_is_known_at_both_ends_only(worker: KubernetesCluster) -> None:
    async def weight() -> int | None:
        share = await worker.share(WORKER)
        assert share is not None
        return share.weight

    assert await weight() == 0
    await moved(worker, 25)
    assert await weight() is None
    await moved(worker, 100)
    assert await weight() == 100


async def test_without_a_canary_it_has_nothing_and_can_get_nothing(worker: KubernetesCluster) -> None:
    await worker.remove_canary("worker-canary", "prod-7")
    await until(lambda: worker.deployment("worker-canary"), lambda found: found is None)
    assert (await worker.set_weight(WORKER, 0)).accepted
    assert (await refusal(worker.set_weight(WORKER, 5))).code == "kubernetes.not_found"


async def test_what_a_deployment_can_carry_is_told_with_its_images(worker: KubernetesCluster) -> None:
    found = await worker.deployment("worker")
    assert found is not None
    assert found.rollout is not None
    assert usable(found.rollout) == 3
    assert found.rollout.troubles == ()


# --- rights -----------------------------------------------------------------------------------------------------------


async def test_production_asks_for_more_rights_than_other_places() -> None:
    verbs = ("get", "list", "patch", "create", "delete")
    everything_else = User(
        "forge",
        rules=(
            Rule(("get", "list", "patch"), ("deployments", "replicasets"), ("apps",), ("shop",)),
            Rule(verbs, ("jobs",), ("batch",), ("shop",)),
            Rule(verbs, ("pods", "pods/log", "events"), ("",), ("shop",)),
        ),
    )
    local = LocalKubernetes(tokens={"t": everything_else})
    await local.start()
    local.cluster.ensure_namespace("shop")
    staging = KubernetesCluster(Direct(local.url, lambda: "t"), "shop", limits=QUICK)
    production = KubernetesCluster(
        Direct(local.url, lambda: "t"), "shop", rights=(*RIGHTS, *PRODUCTION_RIGHTS), limits=QUICK
    )
    missing = await staging.missing_rights(), await production.missing_rights()
    await staging.aclose()
    await production.aclose()
    await local.stop()
    assert missing == ((), PRODUCTION_RIGHTS)
