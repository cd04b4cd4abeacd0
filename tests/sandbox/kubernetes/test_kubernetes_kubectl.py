"""The real kubectl against the stand-in: what an operator types by hand must read as it does on a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kubernetes_kubectl import Kubectl
from kubernetes_manifests import (
    BETTER,
    CRASHING,
    GOOD,
    MISSING,
    SIDECAR,
    UNREADY,
    deployment,
    eventually,
    pods_of,
    rolled_out,
)

from sandbox.kubernetes import LocalKubernetes, Rule, User

WEB = "deployment/web"


@pytest.fixture
async def web(kubernetes: LocalKubernetes) -> LocalKubernetes:
    """A rolled-out Deployment in dev."""
    kubernetes.apply(deployment())
    await rolled_out(kubernetes)
    return kubernetes


async def test_get_shows_the_columns_of_a_real_cluster(web: LocalKubernetes, kubectl: Kubectl) -> None:
    text = await kubectl.ok("get", "deploy,rs,pods", "-o", "wide")
    lines = [line.split() for line in text.splitlines() if line]
    assert lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert lines[1][:4] == ["deployment.apps/web", "3/3", "3", "3"]
    assert lines[1][5:] == ["web,proxy", f"{GOOD},{SIDECAR}", "app=web"]
    assert lines[2][:5] == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert lines[4][:5] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert all(line[1:4] == ["2/2", "Running", "0"] for line in lines[5:])
    assert len(lines) == 8


async def test_get_gives_json_yaml_names_and_watches(web: LocalKubernetes, kubectl: Kubectl) -> None:
    found = json.loads(await kubectl.ok("get", WEB, "-o", "json"))
    assert found["status"]["readyReplicas"] == 3
    assert "readyReplicas: 3" in await kubectl.ok("get", WEB, "-o", "yaml")
    assert len((await kubectl.ok("get", "pods", "-l", "app=web", "-o", "name")).split()) == 3
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert await kubectl.ok("get", WEB, "-o", path) == GOOD
    missing = await kubectl("get", "deployment", "nothing")
    assert (missing.code, missing.errors) == (1, 'Error from server (NotFound): deployments.apps "nothing" not found\n')


async def test_set_image_rolls_out_and_keeps_the_sidecar(web: LocalKubernetes, kubectl: Kubectl) -> None:
    assert await kubectl.ok("set", "image", WEB, f"web={BETTER}") == "deployment.apps/web image updated\n"
    status = await kubectl.ok("rollout", "status", WEB, "--timeout=20s")
    assert status.endswith('deployment "web" successfully rolled out\n')
    assert all(pod["spec"]["containers"][1]["image"] == SIDECAR for pod in pods_of(web, BETTER))
    assert len(pods_of(web, BETTER)) == 3
    writes = [entry for entry in web.requests if entry.method in ("PATCH", "PUT", "POST")]
    assert [(entry.method, entry.status) for entry in writes] == [("PATCH", 200)]


async def test_rollout_status_fails_when_the_deadline_is_exceeded(
    kubernetes: LocalKubernetes, kubectl: Kubectl
) -> None:
    kubernetes.apply(deployment(progressDeadlineSeconds=20))
    await rolled_out(kubernetes)
    await kubectl.ok("set", "image", WEB, f"web={UNREADY}")
    status = await kubectl("rollout", "status", WEB, "--timeout=20s")
    assert status.code == 1
    assert status.errors == 'error: deployment "web" exceeded its progress deadline\n'
    described = await kubectl.ok("describe", WEB)
    assert "Progressing    False   ProgressDeadlineExceeded" in described
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in await kubectl.ok("get", "events")


async def test_undo_returns_to_the_previous_image_and_history_counts_on(web: LocalKubernetes, kubectl: Kubectl) -> None:
    await kubectl.ok("set", "image", WEB, f"web={BETTER}")
    await rolled_out(web)
    assert await kubectl.ok("rollout", "undo", WEB) == "deployment.apps/web rolled back\n"
    await rolled_out(web)
    assert len(pods_of(web, GOOD)) == 3
    history = (await kubectl.ok("rollout", "history", WEB)).split()
    assert [word for word in history if word.isdigit()] == ["2", "3"]
    assert GOOD in await kubectl.ok("rollout", "history", WEB, "--revision=3")


async def test_pause_resume_and_restart(web: LocalKubernetes, kubectl: Kubectl) -> None:
    assert await kubectl.ok("rollout", "pause", WEB) == "deployment.apps/web paused\n"
    assert await kubectl.ok("rollout", "resume", WEB) == "deployment.apps/web resumed\n"
    assert await kubectl.ok("rollout", "restart", WEB) == "deployment.apps/web restarted\n"
    await kubectl.ok("rollout", "status", WEB, "--timeout=20s")
    assert len(web.list("ReplicaSet", "dev")) == 2


async def test_scale_wait_and_delete(web: LocalKubernetes, kubectl: Kubectl) -> None:
    assert await kubectl.ok("scale", WEB, "--replicas=1") == "deployment.apps/web scaled\n"
    await kubectl.ok("rollout", "status", WEB, "--timeout=20s")
    waited = await kubectl.ok("wait", "--for=condition=Available", WEB, "--timeout=20s")
    assert waited == "deployment.apps/web condition met\n"
    (before,) = (await kubectl.ok("get", "pods", "-o", "name")).split()
    assert "deleted" in await kubectl.ok("delete", before)
    await rolled_out(web)
    assert (await kubectl.ok("get", "pods", "-o", "name")).split() != [before]
    assert "deleted" in await kubectl.ok("delete", WEB)
    await eventually(lambda: not web.list("Pod", "dev"), "pods gone")
    assert "No resources found" in (await kubectl("get", "all")).errors


async def test_describe_reads_like_the_real_thing(web: LocalKubernetes, kubectl: Kubectl) -> None:
    text = await kubectl.ok("describe", WEB)
    assert "3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in text
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in text
    assert "Progressing    True    NewReplicaSetAvailable" in text
    assert "ScalingReplicaSet" in text
    pod = web.list("Pod", "dev")[0]["metadata"]["name"]
    text = await kubectl.ok("describe", "pod", pod)
    for line in ("Status:           Running", "Controlled By:  ReplicaSet/web-", "Successfully assigned dev/web-"):
        assert line in text
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert reason in text


async def test_a_crash_loop_and_a_missing_image_are_seen(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    kubernetes.apply(deployment("crashing", image=CRASHING, replicas=1))
    kubernetes.apply(deployment("missing", image=MISSING, replicas=1))

    def looping() -> bool:
        (pod,) = pods_of(kubernetes, CRASHING)[:1] or [{}]
        statuses = pod.get("status", {}).get("containerStatuses", [{"restartCount": 0}])
        return bool(statuses[0]["restartCount"] >= 4 and "waiting" in statuses[0]["state"])

    await eventually(looping, "a long back-off")
    pods = await kubectl.ok("get", "pods")
    assert "CrashLoopBackOff" in pods
    assert "ImagePullBackOff" in pods or "ErrImagePull" in pods
    described = await kubectl.ok("describe", "pods", "-l", "app=crashing")
    assert "Last State:     Terminated" in described
    assert "Message:      panic: no database" in described
    assert "Exit Code:    3" in described
    assert "Back-off restarting failed container web" in described
    name = pods_of(kubernetes, CRASHING)[0]["metadata"]["name"]
    assert "panic: no database" in await kubectl.ok("logs", name, "-c", "web", "--previous")
    waiting = await kubectl("logs", pods_of(kubernetes, MISSING)[0]["metadata"]["name"], "-c", "web")
    assert "waiting to start: trying and failing to pull image" in waiting.errors


async def test_logs_of_a_deployment(web: LocalKubernetes, kubectl: Kubectl) -> None:
    assert await kubectl.ok("logs", WEB, "-c", "web", "--tail=1") == f"starting web image={GOOD}\n"


async def test_apply_creates_configures_and_sees_no_difference(
    kubernetes: LocalKubernetes, kubectl: Kubectl, tmp_path: Path
) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(deployment()), encoding="utf-8")
    created = await kubectl("apply", "-f", str(path))
    assert (created.text, created.errors) == ("deployment.apps/web created\n", "")
    await rolled_out(kubernetes)
    assert await kubectl.ok("apply", "-f", str(path)) == "deployment.apps/web unchanged\n"
    assert await kubectl.ok("diff", "-f", str(path)) == ""
    changed = deployment(image=BETTER)
    del changed["spec"]["template"]["spec"]["containers"][1]
    path.write_text(json.dumps(changed), encoding="utf-8")
    configured = await kubectl("apply", "-f", str(path))
    assert (configured.text, configured.errors) == ("deployment.apps/web configured\n", "")
    await rolled_out(kubernetes)
    assert all(len(pod["spec"]["containers"]) == 1 for pod in pods_of(kubernetes, BETTER))
    assert "serverside-applied" in await kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", str(path))


async def test_an_invalid_manifest_is_refused_in_the_real_words(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    manifest = deployment()
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = ""
    output = await kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    assert output.code == 1
    assert output.errors == (
        'The Deployment "web" is invalid: spec.template.spec.containers[0].image: Required value\n'
    )


async def test_rights_are_asked_and_refusals_are_told(tmp_path: Path) -> None:
    reading = Rule(("get", "list", "watch"), ("deployments", "pods", "replicasets"), ("apps", ""), ("dev",))
    kubernetes = LocalKubernetes(tokens={"t0ken": User("jane", rules=(reading,))}, tls=True)
    await kubernetes.start()
    try:
        kubernetes.apply(deployment())
        kubectl = Kubectl(kubernetes.kubeconfig(tmp_path / "jane", token="t0ken"))
        assert await kubectl.ok("auth", "can-i", "get", "pods") == "yes\n"
        denied = await kubectl("auth", "can-i", "patch", "deployments.apps")
        assert (denied.code, denied.text) == (1, "no\n")
        assert "jane" in await kubectl.ok("auth", "whoami")
        assert "deployments" in await kubectl.ok("auth", "can-i", "--list")
        refused = await kubectl("set", "image", WEB, f"web={BETTER}")
        assert refused.code == 1
        assert 'User "jane" cannot patch resource "deployments" in API group "apps"' in refused.errors
        stranger = Kubectl(kubernetes.kubeconfig(tmp_path / "stranger", token="wrong"))
        unknown = await stranger("get", "pods")
        assert unknown.code == 1
        assert "You must be logged in to the server" in unknown.errors
    finally:
        await kubernetes.stop()


async def test_contexts_lead_to_their_namespaces(web: LocalKubernetes, kubectl: Kubectl) -> None:
    contexts = (await kubectl.ok("config", "get-contexts", "-o", "name")).split()
    assert contexts == ["dev", "prod", "staging"]
    assert "No resources found in prod namespace." in (await kubectl("get", "deploy", "--context", "prod")).errors
    assert "v1.34.1" in await kubectl.ok("version")


async def test_plain_objects_are_created_by_hand(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    assert await kubectl.ok("create", "namespace", "extra") == "namespace/extra created\n"
    await kubectl.ok("create", "configmap", "settings", "--from-literal=a=1", "-n", "extra")
    await kubectl.ok("create", "secret", "generic", "key", "--from-literal=k=v")
    settings, key = kubernetes.get("ConfigMap", "extra", "settings"), kubernetes.get("Secret", "dev", "key")
    assert settings is not None
    assert key is not None
    assert (settings["data"], key["data"], key["type"]) == ({"a": "1"}, {"k": "dg=="}, "Opaque")
    await kubectl.ok("delete", "namespace", "extra")
    assert kubernetes.get("ConfigMap", "extra", "settings") is None
