"""The Kubernetes integration against the cluster stand-in: reading, setting images, rollouts, rights, refusals."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, InCluster, Kubeconfig, KubernetesCluster
from integrations.kubernetes.rights import RIGHTS
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.ports import ContainerSpec, PodTrouble, Rollout
from sandbox.faults import Fault
from sandbox.kubernetes import Behaviour, Crash, LocalKubernetes, Rule, ScriptedRuntime, User
from tests.integrations.waiting import as_if_waited

SECRET = "a-token-nobody-may-see"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
HANGING = Limits(timeout_s=10.0, attempts=2, deadline_s=60.0, first_wait_s=0.01)
GOOD, BETTER, BAD = (f"registry.local/web@sha256:{sign * 64}" for sign in "abc")
PROXY = "registry.local/proxy:1.0"
NOTES = {"forge/run": "staging-1", "forge/step": "deploy web"}


@pytest.fixture
def runtime() -> ScriptedRuntime:
    return ScriptedRuntime()


@pytest.fixture
async def kubernetes(runtime: ScriptedRuntime) -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(runtime=runtime, time_scale=0.02)
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "dev", limits=QUICK)
    yield made
    await made.aclose()


def manifest(image: str = GOOD, *, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    web = {
        "name": "web",
        "image": image,
        "env": [{"name": "A", "value": "1"}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": 8080}, "periodSeconds": 2},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "dev", **(metadata or {})},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [web, {"name": "proxy", "image": PROXY}]},
            },
            **spec,
        },
    }


async def refusal(call: Awaitable[Any]) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def eventually(
    read: Callable[[], Awaitable[Rollout]], fits: Callable[[Rollout], bool], within_s: float = 60
) -> Rollout:
    deadline = asyncio.get_running_loop().time() + within_s
    while not fits(rollout := await read()):
        assert asyncio.get_running_loop().time() < deadline, rollout
        await asyncio.sleep(0.02)
    return rollout


async def trouble_of(cluster: KubernetesCluster, kind: str) -> PodTrouble:
    def fits(rollout: Rollout) -> bool:
        return any(trouble.kind == kind for trouble in rollout.troubles)

    rollout = await eventually(lambda: cluster.rollout("web"), fits)
    return next(trouble for trouble in rollout.troubles if trouble.kind == kind)


# --- reading --------------------------------------------------------------------------------------------------------


async def test_a_deployment_is_read_with_images_probes_and_notes(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(manifest())
    found = await cluster.deployment("web")
    assert found is not None
    assert found.containers == (
        ContainerSpec("web", GOOD, live_path="/health/live", ready_path="/health/ready"),
        ContainerSpec("proxy", PROXY),
    )
    assert (found.name, found.replicas, found.generation, found.owner) == ("web", 2, 1, "")
    await cluster.set_images("web", {"web": BETTER}, NOTES)
    changed = await cluster.deployment("web")
    assert changed is not None
    assert changed.annotations == NOTES


async def test_a_deployment_that_is_not_there_is_none(cluster: KubernetesCluster) -> None:
    assert await cluster.deployment("web") is None


async def test_the_gitops_owner_is_named(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest(metadata={"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}))
    found = await cluster.deployment("web")
    assert found is not None
    assert found.owner == "Flux"


# --- setting images -------------------------------------------------------------------------------------------------


async def test_images_are_set_and_nothing_else_changes(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    before = kubernetes.apply(manifest())["spec"]
    generation = await cluster.set_images("web", {"web": BETTER}, NOTES)
    found = kubernetes.get("Deployment", "dev", "web")
    assert found is not None
    assert (generation, found["metadata"]["generation"]) == (2, 2)
    after = found["spec"]
    assert after["template"]["metadata"].pop("annotations") == NOTES
    assert after["template"]["spec"]["containers"][0].pop("image") == BETTER
    before["template"]["spec"]["containers"][0].pop("image")
    assert after == before


async def test_setting_the_same_again_writes_nothing(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    first = await cluster.set_images("web", {"web": BETTER}, NOTES)
    kubernetes.forget_requests()
    assert await cluster.set_images("web", {"web": BETTER}, {"forge/run": "another", "forge/step": "x"}) == first
    assert [request.method for request in kubernetes.requests] == ["GET"]


async def test_several_containers_are_set_at_once(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    await cluster.set_images("web", {"web": BETTER, "proxy": BAD}, NOTES)
    found = await cluster.deployment("web")
    assert found is not None
    assert (found.image_of("web"), found.image_of("proxy"), found.generation) == (BETTER, BAD, 2)


async def test_a_container_that_is_not_there_is_never_added(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(manifest())
    error = await refusal(cluster.set_images("web", {"wbe": BETTER}, NOTES))
    assert isinstance(error, Permanent)
    assert error.code == "kubernetes.no_container"
    assert "wbe" in error.cause
    assert not [request for request in kubernetes.requests if request.method == "PATCH"]


async def test_setting_images_of_nothing_is_an_error(cluster: KubernetesCluster) -> None:
    assert (await refusal(cluster.set_images("web", {"web": GOOD}, NOTES))).code == "kubernetes.not_found"


async def test_a_write_whose_answer_was_lost_is_not_made_twice(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(manifest())
    kubernetes.faults.add(Fault(kind="after", method="PATCH"))
    assert await cluster.set_images("web", {"web": BETTER}, NOTES) == 2


async def test_one_conflict_is_read_and_decided_again(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    kubernetes.faults.add(Fault(method="PATCH", status=409))
    assert await cluster.set_images("web", {"web": BETTER}, NOTES) == 2
    assert [request.method for request in kubernetes.requests] == ["GET", "PATCH", "GET", "PATCH"]


async def test_a_conflict_that_stays_is_raised(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    kubernetes.faults.add(Fault(method="PATCH", status=409, times=-1))
    assert isinstance(await refusal(cluster.set_images("web", {"web": BETTER}, NOTES)), Conflict)


async def test_what_kubernetes_finds_invalid_is_quoted(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    error = await refusal(cluster.set_images("web", {"web": ""}, NOTES))
    assert isinstance(error, Permanent)
    assert error.code == "kubernetes.invalid"
    assert "containers[0].image" in error.cause


# --- rollouts -------------------------------------------------------------------------------------------------------


async def test_a_good_rollout_completes_without_troubles(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.apply(manifest())
    await eventually(lambda: cluster.rollout("web"), lambda r: r.complete)
    generation = await cluster.set_images("web", {"web": BETTER}, NOTES)
    done = await eventually(lambda: cluster.rollout("web"), lambda r: r.generation == generation and r.complete)
    assert (done.desired, done.updated, done.available, done.total, done.troubles) == (2, 2, 2, 2, ())


async def test_a_crash_loop_quotes_reason_exit_code_message_and_log(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(
        BAD, Behaviour(crash=Crash(exit_code=3, reason="Error", message="panic: no database", after_s=0.2), ready=False)
    )
    kubernetes.apply(manifest())
    await eventually(lambda: cluster.rollout("web"), lambda r: r.complete)
    await cluster.set_images("web", {"web": BAD}, NOTES)
    trouble = await trouble_of(cluster, "crash_loop")
    assert (trouble.container, trouble.reason) == ("web", "Error")
    assert trouble.message == "exit code 3: panic: no database"
    rollout = await eventually(lambda: cluster.rollout("web"), lambda r: any(t.restarts > 1 for t in r.troubles))
    assert not rollout.complete


async def test_the_tail_of_a_crashed_containers_log_is_bounded(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    kubernetes.apply(manifest(replicas=1))
    await eventually(lambda: cluster.rollout("web"), lambda r: r.complete)
    (pod,) = (entry["metadata"]["name"] for entry in kubernetes.list("Pod", "dev"))
    for number in range(100):
        kubernetes.log("dev", pod, "web", f"line {number} " + "x" * 400)
    runtime.set(GOOD, Behaviour(start_s=500))
    kubernetes.crash("dev", pod, Crash(exit_code=137, reason="OOMKilled"))
    rollout = await eventually(
        lambda: cluster.rollout("web"), lambda r: any("line 99" in t.log_tail for t in r.troubles)
    )
    (trouble,) = rollout.troubles
    assert (trouble.kind, trouble.reason, trouble.message) == ("crash_loop", "OOMKilled", "exit code 137")
    assert len(trouble.log_tail) <= 2048
    assert len(trouble.log_tail.splitlines()) <= 20


async def test_an_image_that_is_not_there_is_named(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BAD, Behaviour(pull="not_found"))
    kubernetes.apply(manifest(BAD))
    trouble = await trouble_of(cluster, "image_pull")
    assert trouble.reason in ("ErrImagePull", "ImagePullBackOff")
    assert BAD in trouble.message


async def test_a_pod_that_never_becomes_ready_quotes_its_probe(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BAD, Behaviour(ready=False))
    kubernetes.apply(manifest(BAD, progressDeadlineSeconds=30))

    def fits(rollout: Rollout) -> bool:
        return any("statuscode: 503" in trouble.message for trouble in rollout.troubles)

    rollout = await eventually(lambda: cluster.rollout("web"), fits)
    assert {(t.kind, t.container, t.reason) for t in rollout.troubles} == {("not_ready", "web", "Unhealthy")}
    late = await eventually(lambda: cluster.rollout("web"), lambda r: r.deadline_exceeded)
    assert not late.complete


async def test_a_failing_liveness_probe_is_told_apart_from_a_crash(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.fail(BAD, "/health/live")
    kubernetes.apply(manifest(BAD))
    trouble = await trouble_of(cluster, "liveness")
    assert trouble.reason == "Unhealthy"
    assert trouble.message.startswith("Liveness probe failed")


async def test_troubles_of_the_revision_before_are_not_told(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BAD, Behaviour(pull="not_found"))
    kubernetes.apply(manifest(BAD))
    await trouble_of(cluster, "image_pull")
    await cluster.set_images("web", {"web": GOOD}, NOTES)
    done = await eventually(lambda: cluster.rollout("web"), lambda r: r.complete)
    assert done.troubles == ()


async def test_a_bad_release_of_many_pods_asks_only_a_few_of_them_for_more(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BAD, Behaviour(ready=False))
    kubernetes.apply(manifest(BAD, replicas=30))
    await eventually(lambda: cluster.rollout("web"), lambda r: len(r.troubles) == 30)
    kubernetes.forget_requests()
    await cluster.rollout("web")
    assert len(kubernetes.requests) <= 3 + 5


async def test_events_and_logs_that_cannot_be_read_leave_the_rest(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, runtime: ScriptedRuntime
) -> None:
    runtime.set(BAD, Behaviour(crash=Crash(exit_code=3, after_s=0.2), ready=False))
    kubernetes.apply(manifest(BAD))
    kubernetes.faults.add(Fault(path="/events|/log", status=403, times=-1))
    trouble = await trouble_of(cluster, "crash_loop")
    assert (trouble.message, trouble.log_tail) == ("exit code 3", "")


async def test_a_rollout_of_nothing_is_an_error(cluster: KubernetesCluster) -> None:
    assert (await refusal(cluster.rollout("web"))).code == "kubernetes.not_found"


# --- rights and credentials -----------------------------------------------------------------------------------------


async def test_an_administrator_lacks_no_right(cluster: KubernetesCluster) -> None:
    assert await cluster.missing_rights() == ()


async def test_each_missing_right_is_named() -> None:
    reader = User("reader", rules=(Rule(("get", "list"), ("deployments", "replicasets"), ("apps",), ("dev",)),))
    kubernetes = LocalKubernetes(tokens={SECRET: reader})
    await kubernetes.start()
    kubernetes.apply(manifest())
    cluster = KubernetesCluster(Direct(kubernetes.url, lambda: SECRET), "dev", limits=QUICK)
    missing = await cluster.missing_rights()
    error = await refusal(cluster.set_images("web", {"web": BETTER}, NOTES))
    await cluster.aclose()
    await kubernetes.stop()
    jobs = tuple(f"{verb} jobs.batch" for verb in ("create", "get", "list", "delete"))
    assert missing == ("patch deployments.apps", *jobs, "get pods", "list pods", "get pods/log", "list events")
    assert set(missing) < set(RIGHTS)
    assert error.code == "kubernetes.forbidden"
    assert "`patch deployments.apps`" in error.remedy


async def test_a_wrong_token_is_told_without_showing_it() -> None:
    kubernetes = LocalKubernetes(tokens={"right": User.admin()})
    await kubernetes.start()
    credentials = Direct(kubernetes.url, lambda: SECRET)
    cluster = KubernetesCluster(credentials, "dev", limits=QUICK)
    error = await refusal(cluster.deployment("web"))
    await cluster.aclose()
    await kubernetes.stop()
    assert isinstance(error, Permanent)
    assert error.code == "kubernetes.unauthorized"
    assert kubernetes.url in error.remedy
    assert (
        SECRET not in f"{error!r} {error} {vars(error)} {cluster!r} {credentials!r} {credentials} {error.__cause__!r}"
    )


async def test_a_login_in_netrc_does_not_clash_with_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login somebody password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    kubernetes = LocalKubernetes(tokens={SECRET: User.admin()})
    await kubernetes.start()
    cluster = KubernetesCluster(Direct(kubernetes.url, lambda: SECRET), "dev", limits=QUICK)
    assert await cluster.deployment("web") is None
    await cluster.aclose()
    await kubernetes.stop()


async def test_a_renewed_token_counts_at_the_next_call() -> None:
    tokens = iter(["old", *["new"] * 20])
    kubernetes = LocalKubernetes(tokens={"new": User.admin()})
    await kubernetes.start()
    cluster = KubernetesCluster(Direct(kubernetes.url, lambda: next(tokens)), "dev", limits=QUICK)
    assert await cluster.deployment("web") is None
    await cluster.aclose()
    await kubernetes.stop()


async def test_a_kubeconfigs_context_is_used(kubernetes: LocalKubernetes, tmp_path: Path) -> None:
    path = kubernetes.kubeconfig(tmp_path / "kubeconfig")
    kubernetes.apply(manifest())
    cluster = KubernetesCluster(Kubeconfig(path, "staging"), "dev", limits=QUICK)
    assert await cluster.deployment("web") is not None
    await cluster.aclose()


async def test_an_expired_login_of_a_kubeconfig_is_read_anew(tmp_path: Path) -> None:
    kubernetes = LocalKubernetes(tokens={"old": User.admin(), "new": User.admin()})
    await kubernetes.start()
    path = kubernetes.kubeconfig(tmp_path / "kubeconfig", token="old")
    cluster = KubernetesCluster(Kubeconfig(path), "dev", limits=QUICK)
    assert await cluster.deployment("web") is None
    kubernetes.access.tokens = {"new": User.admin()}
    kubernetes.kubeconfig(path, token="new")
    assert await cluster.deployment("web") is None
    await cluster.aclose()
    await kubernetes.stop()


@pytest.mark.parametrize("context", ["nowhere", ""])
async def test_a_kubeconfig_that_cannot_be_used_names_file_and_remedy(tmp_path: Path, context: str) -> None:
    path = tmp_path / "kubeconfig"
    if context:
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}))
    cluster = KubernetesCluster(Kubeconfig(path, context), "dev", limits=QUICK)
    error = await refusal(cluster.deployment("web"))
    await cluster.aclose()
    assert isinstance(error, Permanent)
    assert error.code == "kubernetes.credentials"
    assert str(path) in error.cause
    assert "kubectl" in error.remedy


async def test_outside_a_pod_the_service_account_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    cluster = KubernetesCluster(InCluster(), "dev", limits=QUICK)
    error = await refusal(cluster.deployment("web"))
    assert error.code == "kubernetes.credentials"
    assert "pod" in error.cause


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "code", "remedy"),
    [
        (400, Permanent, "kubernetes.bad_request", ""),
        (401, Permanent, "kubernetes.unauthorized", "Renew the token"),
        (403, Permanent, "kubernetes.forbidden", "`get deployments.apps`"),
        (409, Conflict, "kubernetes.conflict", ""),
        (410, Temporary, "kubernetes.gone", ""),
        (422, Permanent, "kubernetes.invalid", "Correct"),
        (500, Temporary, "kubernetes.server_error", ""),
        (503, Temporary, "kubernetes.unavailable", ""),
        (504, Temporary, "kubernetes.unavailable", ""),
    ],
)
async def test_each_status_is_its_own_error(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, status: int, kind: type[ForgeError], code: str, remedy: str
) -> None:
    soon = {"Retry-After": "0.02"} if kind is Temporary else {}
    kubernetes.faults.add(Fault(status=status, headers=soon, times=-1))
    error = await refusal(cluster.deployment("web"))
    assert type(error) is kind
    assert error.code == code
    assert remedy in error.remedy
    expected = QUICK.attempts if kind is Temporary else 2 if status == 401 else 1
    assert len(kubernetes.requests) == expected


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=503), Fault(kind="reset"), Fault(kind="after")])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_one_failure_of_a_read_or_a_set_is_asked_again(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, fault: Fault, method: str
) -> None:
    kubernetes.apply(manifest())
    soon = {"Retry-After": "0.02"}
    kubernetes.faults.add(Fault(kind=fault.kind, status=fault.status, headers=soon, method=method))
    assert await cluster.set_images("web", {"web": BETTER}, NOTES) == 2


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_an_api_that_hangs_once_is_asked_again(kubernetes: LocalKubernetes, method: str) -> None:
    cluster = KubernetesCluster(Direct(kubernetes.url), "dev", limits=HANGING)
    kubernetes.apply(manifest())
    fault = kubernetes.faults.add(Fault(kind="hang", method=method))
    setting = cluster.set_images("web", {"web": BETTER}, NOTES)
    assert await as_if_waited(setting, lambda: fault.struck, HANGING.timeout_s) == 2
    await cluster.aclose()


async def test_a_short_pause_that_is_asked_for_is_kept(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    kubernetes.faults.add(Fault(status=429, headers={"Retry-After": "0.1"}))
    assert await cluster.deployment("web") is not None


async def test_a_long_pause_is_reported_and_not_waited_for(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.faults.add(Fault(status=429, headers={"Retry-After": "30"}, times=-1))
    error = await refusal(cluster.deployment("web"))
    assert isinstance(error, Temporary)
    assert (error.code, error.retry_after_s) == ("kubernetes.throttled", 30.0)


async def test_a_hanging_api_is_temporary_after_bounded_tries(kubernetes: LocalKubernetes) -> None:
    cluster = KubernetesCluster(Direct(kubernetes.url), "dev", limits=HANGING)
    await cluster.deployment("web")
    kubernetes.forget_requests()
    fault = kubernetes.faults.add(Fault(kind="hang", times=-1))
    error = await as_if_waited(refusal(cluster.deployment("web")), lambda: fault.struck, HANGING.timeout_s)
    await cluster.aclose()
    assert isinstance(error, Temporary)
    assert error.code == "kubernetes.timeout"
    assert len(kubernetes.requests) == 2


async def test_garbage_is_permanent(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.faults.add(Fault(kind="garbage", times=-1))
    error = await refusal(cluster.deployment("web"))
    assert isinstance(error, Permanent)
    assert error.code == "kubernetes.garbage"


@pytest.mark.parametrize(
    "body", [[1], {"kind": "Deployment"}, {"metadata": {}, "spec": {"template": {}}}, {"metadata": None}]
)
async def test_json_of_another_shape_is_garbage(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, body: Any
) -> None:
    kubernetes.faults.add(Fault(status=200, body=body, times=-1))
    for call in (cluster.deployment("web"), cluster.set_images("web", {"web": GOOD}, NOTES), cluster.rollout("web")):
        assert (await refusal(call)).code == "kubernetes.garbage"


async def test_pods_of_another_shape_are_garbage(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.apply(manifest())
    await eventually(lambda: cluster.rollout("web"), lambda r: r.complete)
    kubernetes.faults.add(Fault(path="/pods", status=200, body={"items": [{"metadata": 7}]}))
    assert (await refusal(cluster.rollout("web"))).code == "kubernetes.garbage"


async def test_nobody_at_the_address_is_temporary(unused_address: str) -> None:
    cluster = KubernetesCluster(Direct(unused_address), "dev", limits=QUICK)
    error = await refusal(cluster.deployment("web"))
    await cluster.aclose()
    assert isinstance(error, Temporary)
    assert error.code == "kubernetes.unreachable"


@pytest.fixture
def unused_address() -> Iterator[str]:
    """Nobody listens there, and nobody else can take it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
