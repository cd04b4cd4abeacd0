"""Jobs against the cluster stand-in with real processes: created once, followed to their end, read, deleted with what runs in them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from kubernetes_jobs import FOR_EVER, IMAGE, MISSING, gone, in_phase, order, programs

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster
from integrations.kubernetes.job_manifest import manifest
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.kubernetes import Crash, LocalKubernetes, Rule, User
from tests.integrations.waiting import as_if_waited

NAME = "forge-staging-1-3"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
HANGING = Limits(timeout_s=10.0, attempts=2, deadline_s=60.0, first_wait_s=0.01)


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    local = LocalKubernetes(programs=programs, time_scale=0.02)
    await local.start()
    local.cluster.ensure_namespace("staging")
    yield local
    await local.stop()


@pytest.fixture
async def cluster(kubernetes: LocalKubernetes) -> AsyncIterator[KubernetesCluster]:
    made = KubernetesCluster(Direct(kubernetes.url), "staging", limits=QUICK)
    yield made
    await made.aclose()


async def refusal(call: Awaitable[Any]) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


def creations(kubernetes: LocalKubernetes) -> int:
    return sum(entry.method == "POST" and entry.path.endswith("/jobs") for entry in kubernetes.requests)


# --- the order ------------------------------------------------------------------------------------------------------


def test_the_manifest_is_valid_and_says_who_made_it() -> None:
    made = manifest(
        order(
            env={"B": "2", "A": "1"}, env_from_secrets=("db",), env_from_config_maps=("shop",), cpu="500m",
            memory="256Mi", command=("python",), timeout_s=90.5, start_within_s=30, prefix="acme",
        ),
        "staging",
    )  # fmt: skip
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)
    notes = {"acme/run": "staging-1", "acme/step": "migrate", "acme/job-key": "k1"}
    template = made["spec"]["template"]
    assert made["metadata"]["labels"] == template["metadata"]["labels"] == {"acme/run": "staging-1"}
    assert made["metadata"]["annotations"] == template["metadata"]["annotations"] == notes
    assert made["spec"]["activeDeadlineSeconds"] > 90.5 + 30
    assert (made["spec"]["backoffLimit"], template["spec"]["restartPolicy"]) == (0, "Never")
    (container,) = template["spec"]["containers"]
    assert (container["name"], container["image"], container["command"]) == ("job", IMAGE, ["python"])
    assert [entry["name"] for entry in container["env"]] == ["A", "B"]
    assert container["resources"] == {each: {"cpu": "500m", "memory": "256Mi"} for each in ("requests", "limits")}


@pytest.mark.parametrize(("account", "mounted"), [("", False), ("migrator", True)])
def test_only_a_named_account_gets_its_token_into_the_pod(account: str, mounted: bool) -> None:
    pod = manifest(order(service_account=account), "staging")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is mounted
    assert pod.get("serviceAccountName", "") == account
    assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


# --- to its end -----------------------------------------------------------------------------------------------------


async def test_a_job_runs_with_its_environment_and_succeeds(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    meta = {"namespace": "staging"}
    kubernetes.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", **meta}, "stringData": {"URL": "x://"}}
    )
    kubernetes.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop", **meta}, "data": {"SHOP": "tongs"}}
    )
    program = "import os; print(os.environ['URL'], os.environ['SHOP'], os.environ['FORGE_RUN'], 'HOME' in os.environ)"
    await cluster.start_job(
        order(program, env={"FORGE_RUN": "staging-1"}, env_from_secrets=("db",), env_from_config_maps=("shop",))
    )
    state = await in_phase(cluster, "succeeded", "failed")
    assert (state.phase, state.exit_code, state.key, state.reason) == ("succeeded", 0, "k1", "")
    assert state.started_at is not None
    assert state.finished_at is not None
    log = await cluster.job_log(NAME, 1000)
    assert (log.text, log.cut, log.complete) == ("x:// tongs staging-1 False\n", False, True)


async def test_a_failed_job_tells_its_exit_code_and_is_not_run_again(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_job(order("import sys; sys.exit(3)"))
    state = await in_phase(cluster, "succeeded", "failed")
    assert (state.phase, state.exit_code, state.reason, state.message) == ("failed", 3, "Error", "exit code 3")
    assert len(kubernetes.list("Pod", "staging")) == 1


async def test_a_job_out_of_memory_says_so(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(FOR_EVER))
    running = await in_phase(cluster, "running")
    kubernetes.crash("staging", running.pod, Crash(exit_code=137, reason="OOMKilled"))
    state = await in_phase(cluster, "failed")
    assert (state.exit_code, state.reason, state.message) == (137, "OOMKilled", "exit code 137")


async def test_a_program_that_is_not_in_the_image_has_never_started(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(args=("/nowhere/tool.py",)))
    state = await in_phase(cluster, "failed")
    assert (state.exit_code, state.reason) == (2, "Error")
    assert "can't open file" in (await cluster.job_log(NAME, 1000)).text


async def test_the_clusters_own_deadline_is_told_as_such(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    made = manifest(order(FOR_EVER), "staging")
    made["spec"]["activeDeadlineSeconds"] = 1
    kubernetes.apply(made)
    state = await in_phase(cluster, "failed", fits=lambda state: not state.pod)
    assert (state.reason, state.message) == ("DeadlineExceeded", "Job was active longer than specified deadline")
    assert (await cluster.job_log(NAME, 1000)).text == ""


async def test_a_job_whose_pod_was_deleted_has_failed(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(FOR_EVER))
    running = await in_phase(cluster, "running")
    kubernetes.delete("Pod", "staging", running.pod)
    state = await in_phase(cluster, "failed", fits=lambda state: not state.pod)
    assert state.reason == "BackoffLimitExceeded"
    assert "its pod is gone" in state.message


# --- a Job that never starts ----------------------------------------------------------------------------------------


async def test_an_image_that_cannot_be_pulled_is_a_trouble(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(image=MISSING))
    state = await in_phase(cluster, "pending", fits=lambda state: state.trouble)
    assert state.trouble is not None
    assert (state.trouble.kind, state.started_at, state.exit_code) == ("image_pull", None, None)
    assert MISSING in state.trouble.message


async def test_a_pod_without_a_node_is_a_trouble(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.never_schedule(lambda pod: pod["metadata"]["name"].startswith("forge-"))
    await cluster.start_job(order())
    state = await in_phase(cluster, "pending", fits=lambda state: state.trouble)
    assert state.trouble is not None
    assert (state.trouble.kind, state.trouble.reason) == ("unschedulable", "Unschedulable")
    assert "Insufficient memory" in state.trouble.message
    kubernetes.schedule_all()
    await in_phase(cluster, "succeeded")


async def test_a_secret_that_is_missing_is_a_trouble_until_it_is_there(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_job(order(env_from_secrets=("db",)))
    state = await in_phase(cluster, "pending", fits=lambda state: state.trouble)
    assert state.trouble is not None
    assert (state.trouble.reason, state.trouble.message) == ("CreateContainerConfigError", 'secret "db" not found')
    log = await cluster.job_log(NAME, 1000)
    assert (log.text, log.size_bytes, log.complete) == ("", 0, True)
    kubernetes.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "staging"}})
    await in_phase(cluster, "succeeded")


async def test_a_pod_that_a_quota_refuses_is_a_trouble_of_the_job(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.refuse("Pod", "exceeded quota: small, requested: pods=1, used: pods=9, limited: pods=9")
    await cluster.start_job(order())
    state = await in_phase(cluster, "pending", fits=lambda state: state.trouble)
    assert state.trouble is not None
    assert (state.trouble.reason, state.pod) == ("FailedCreate", "")
    assert "exceeded quota: small" in state.trouble.message


async def test_a_pod_that_just_takes_its_time_is_no_trouble(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(FOR_EVER))
    state = await cluster.job(NAME)
    while state is not None and state.phase == "pending":
        assert state.trouble is None
        state = await cluster.job(NAME)
    assert state is not None
    assert (state.phase, state.trouble) == ("running", None)


# --- once -----------------------------------------------------------------------------------------------------------


async def test_the_same_order_again_changes_nothing(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_job(order())
    before = kubernetes.get("Job", "staging", NAME)
    await cluster.start_job(order())
    after = kubernetes.get("Job", "staging", NAME)
    assert before is not None
    assert after is not None
    assert before["metadata"]["uid"] == after["metadata"]["uid"]


@pytest.mark.parametrize("kind", ["after", "reset"])
async def test_a_creation_whose_answer_is_lost_makes_one_job(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, kind: Any
) -> None:
    kubernetes.faults.add(Fault(kind=kind, method="POST"))
    await cluster.start_job(order())
    assert len(kubernetes.list("Job", "staging")) == 1
    await in_phase(cluster, "succeeded")


async def test_a_job_of_another_order_is_a_conflict_with_the_command_that_ends_it(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_job(order())
    error = await refusal(cluster.start_job(order(key="k2")))
    assert isinstance(error, Conflict)
    assert error.code == "kubernetes.job_exists"
    assert f"-n staging delete job {NAME}`" in error.remedy
    assert creations(kubernetes) == 2


async def test_a_job_that_is_being_deleted_is_a_conflict(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order("import signal; signal.signal(15, signal.SIG_IGN); " + FOR_EVER))
    await in_phase(cluster, "running")
    await begun(cluster)
    await cluster.delete_job(NAME)
    error = await refusal(cluster.start_job(order()))
    assert isinstance(error, Conflict)
    assert "still being deleted" in error.cause
    assert f"describe job {NAME}`" in error.remedy


# --- the end by order -----------------------------------------------------------------------------------------------


async def begun(cluster: KubernetesCluster) -> None:
    async with asyncio.timeout(60):
        while "begun" not in (await cluster.job_log(NAME, 1000)).text:  # noqa: ASYNC110 - nobody rings
            await asyncio.sleep(0.02)


async def test_deletion_tells_the_process_first_and_takes_the_pod_along(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    program = (
        "import pathlib, signal, sys, time\n"
        f"signal.signal(15, lambda *_: (pathlib.Path({str(told)!r}).write_text('yes'), sys.exit(0)))\n"
        "print('begun', flush=True)\ntime.sleep(600)"
    )
    await cluster.start_job(order(program))
    await begun(cluster)
    await cluster.delete_job(NAME)
    await gone(cluster)
    assert told.read_text() == "yes"
    assert kubernetes.list("Pod", "staging") == []


async def test_a_process_that_ignores_the_word_is_killed_with_its_children(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    program = (
        "import os, signal, subprocess, sys\nsignal.signal(15, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('pids', os.getpid(), child.pid, 'begun', flush=True)\nchild.wait()"
    )
    await cluster.start_job(order(program))
    await begun(cluster)
    pids = [int(word) for word in (await cluster.job_log(NAME, 1000)).text.split()[1:3]]
    await cluster.delete_job(NAME)
    assert (await in_phase(cluster, "stopping")).key == "k1"
    await gone(cluster)
    assert kubernetes.list("Pod", "staging") == []
    assert [await ended(pid) for pid in pids] == [True, True]


async def ended(pid: int) -> bool:
    """A killed child of a killed parent is a zombie until init takes it: that counts."""
    stat = Path(f"/proc/{pid}/stat")
    async with asyncio.timeout(60):
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":  # noqa: ASYNC110 - nobody rings
            await asyncio.sleep(0.02)
    return True


async def test_deleting_what_is_gone_or_somebody_elses_is_fine(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.delete_job(NAME)
    await cluster.delete_job(NAME, "k1")
    await cluster.start_job(order())
    await cluster.delete_job(NAME, "k2")
    assert kubernetes.get("Job", "staging", NAME) is not None
    await cluster.delete_job(NAME, "k1")
    await gone(cluster)


async def test_a_job_that_took_the_name_meanwhile_is_left_alone(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_job(order())
    await in_phase(cluster, "succeeded")
    kubernetes.faults.add(Fault(kind="delay", delay_s=0.3, method="DELETE"))
    deletion = asyncio.create_task(cluster.delete_job(NAME, "k1"))
    async with asyncio.timeout(60):
        while not any(entry.method == "DELETE" for entry in kubernetes.requests):  # noqa: ASYNC110 - nobody rings
            await asyncio.sleep(0.005)
    kubernetes.delete("Job", "staging", NAME)
    await cluster.start_job(order(key="k2"))
    await deletion
    state = await cluster.job(NAME)
    assert state is not None
    assert (state.key, state.phase != "stopping") == ("k2", True)


async def test_the_jobs_of_a_run_are_found_by_its_label(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(name="one"))
    await cluster.start_job(order(FOR_EVER, name="two", key="k2"))
    await cluster.start_job(order(name="three", run="staging-2"))
    await cluster.start_job(order(name="four", prefix="acme"))
    await in_phase(cluster, "running", name="two")
    await in_phase(cluster, "succeeded", name="one")
    found = {state.name: (state.phase, state.key) for state in await cluster.jobs_of("staging-1")}
    assert found == {"one": ("succeeded", "k1"), "two": ("running", "k2")}
    assert [state.name for state in await cluster.jobs_of("staging-1", "acme")] == ["four"]
    assert await cluster.jobs_of("staging-9") == ()


async def test_no_process_outlives_the_cluster() -> None:
    local = LocalKubernetes(programs=programs, time_scale=0.02)
    await local.start()
    local.cluster.ensure_namespace("staging")
    cluster = KubernetesCluster(Direct(local.url), "staging", limits=QUICK)
    await cluster.start_job(order("import os; print('pid', os.getpid()); " + FOR_EVER))
    await begun(cluster)
    pid = int((await cluster.job_log(NAME, 1000)).text.split()[1])
    os.kill(pid, signal.SIGCONT)  # it is there
    await cluster.aclose()
    await local.stop()
    assert await ended(pid)


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_a_job_that_isnt_there_is_none_and_has_no_output(cluster: KubernetesCluster) -> None:
    assert await cluster.job(NAME) is None
    assert (await cluster.job_log(NAME, 1000)).text == ""


@pytest.mark.parametrize(
    "words",
    [
        "exceeded quota: jobs, requested: count/jobs.batch=1, used: count/jobs.batch=5, limited: count/jobs.batch=5",
        'admission webhook "policy.example" denied the request: images must be signed',
        "unable to create new content in namespace staging because it is being terminated",
    ],
)
async def test_a_job_that_admission_refuses_needs_a_person(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, words: str
) -> None:
    kubernetes.refuse("Job", words)
    error = await refusal(cluster.start_job(order()))
    assert isinstance(error, Permanent)
    assert words in error.cause
    assert "quota or a policy" in error.remedy


async def test_a_missing_right_is_named() -> None:
    reader = User("reader", rules=(Rule(("get", "list"), ("*",), ("*",), ("staging",)),))
    local = LocalKubernetes(tokens={"t": reader})
    await local.start()
    local.cluster.ensure_namespace("staging")
    cluster = KubernetesCluster(Direct(local.url, lambda: "t"), "staging", limits=QUICK)
    created, deleted = await refusal(cluster.start_job(order())), await refusal(cluster.delete_job(NAME))
    missing = await cluster.missing_rights()
    await cluster.aclose()
    await local.stop()
    assert "`create jobs.batch`" in created.remedy
    assert "`delete jobs.batch`" in deleted.remedy
    assert missing == ("patch deployments.apps", "create jobs.batch", "delete jobs.batch")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Permanent, "kubernetes.unauthorized"),
        (403, Permanent, "kubernetes.forbidden"),
        (410, Temporary, "kubernetes.gone"),
        (422, Permanent, "kubernetes.invalid"),
        (429, Temporary, "kubernetes.throttled"),
        (500, Temporary, "kubernetes.server_error"),
    ],
)
async def test_every_call_gives_the_error_of_its_status(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, status: int, kind: type[ForgeError], code: str
) -> None:
    soon = {"Retry-After": "0.02"} if kind is Temporary else {}
    kubernetes.faults.add(Fault(status=status, headers=soon, times=-1))
    calls = (
        cluster.start_job(order()), cluster.job(NAME), cluster.job_log(NAME, 100), cluster.delete_job(NAME),
        cluster.delete_job(NAME, "k1"), cluster.jobs_of("staging-1"),
    )  # fmt: skip
    for call in calls:
        error = await refusal(call)
        assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(kind="reset"), Fault(kind="after")])
async def test_one_failure_of_any_call_is_asked_again(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, fault: Fault
) -> None:
    def strike() -> None:
        kubernetes.faults.add(Fault(kind=fault.kind, status=fault.status))

    strike()
    await cluster.start_job(order())
    strike()
    await in_phase(cluster, "succeeded")
    strike()
    assert (await cluster.job_log(NAME, 100)).text == "done\n"
    kubernetes.faults.add(Fault(kind=fault.kind, status=fault.status, path="/log"))
    assert (await cluster.job_log(NAME, 100)).text == "done\n"
    strike()
    assert len(await cluster.jobs_of("staging-1")) == 1
    kubernetes.faults.add(Fault(kind=fault.kind, status=fault.status, method="DELETE"))
    await cluster.delete_job(NAME, "k1")
    await gone(cluster)


async def test_an_api_that_hangs_is_temporary_whatever_is_asked(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster
) -> None:
    await cluster.start_job(order())
    await in_phase(cluster, "succeeded")
    hasty = KubernetesCluster(Direct(kubernetes.url), "staging", limits=HANGING)
    fault = kubernetes.faults.add(Fault(kind="hang", times=-1))
    calls = (
        hasty.start_job(order()), hasty.job(NAME), hasty.job_log(NAME, 100), hasty.delete_job(NAME, "k1"), hasty.jobs_of("staging-1"),
    )  # fmt: skip
    for call in calls:
        error = await as_if_waited(refusal(call), lambda: fault.struck, HANGING.timeout_s)
        assert (type(error), error.code) == (Temporary, "kubernetes.timeout")
    await hasty.aclose()


@pytest.mark.parametrize("body", [[1], {"kind": "Job"}, {"metadata": {"name": NAME}}, {"metadata": None}])
async def test_json_of_another_shape_is_garbage(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, body: Any
) -> None:
    kubernetes.faults.add(Fault(status=200, body=body, times=-1))
    for call in (cluster.job(NAME), cluster.job_log(NAME, 100), cluster.delete_job(NAME, "k1")):
        assert (await refusal(call)).code == "kubernetes.garbage"


async def test_pods_of_another_shape_are_garbage(kubernetes: LocalKubernetes, cluster: KubernetesCluster) -> None:
    await cluster.start_job(order())
    await in_phase(cluster, "succeeded")
    kubernetes.faults.add(Fault(path="/pods", status=200, body={"items": [{"metadata": 7}]}, times=-1))
    assert (await refusal(cluster.job(NAME))).code == "kubernetes.garbage"
