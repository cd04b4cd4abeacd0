"""Containers that are real processes: their environment, their output through the API, their end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio import client
from kubernetes_job_manifests import FOR_EVER, TOOL, concluded, job, pods_of_job, programs, running
from kubernetes_manifests import eventually

from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.node.process import LARGEST_LOG

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    stand = LocalKubernetes(time_scale=0.02, programs=programs)
    await stand.start()
    stand.cluster.ensure_namespace("dev")
    yield stand
    await stand.stop()


async def log(kubernetes: LocalKubernetes, pod: str, **options: str) -> tuple[int, str]:
    url = f"{kubernetes.url}/api/v1/namespaces/dev/pods/{pod}/log"
    async with aiohttp.ClientSession() as session, session.get(url, params=options) as response:
        return response.status, await response.text()


async def output(kubernetes: LocalKubernetes, made: dict[str, Any]) -> str:
    kubernetes.apply(made)
    await concluded(kubernetes)
    _, text = await log(kubernetes, pods_of_job(kubernetes)[0]["metadata"]["name"])
    return text


# --- the environment ------------------------------------------------------------------------------------------------


async def test_nothing_of_the_stand_ins_environment_comes_along(
    kubernetes: LocalKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "hush")
    text = await output(kubernetes, job(SHOW))
    assert "hush" not in text
    assert '"PATH"' in text
    assert '"HOSTNAME": "tool-' in text


async def test_values_come_from_secrets_config_maps_and_fields(kubernetes: LocalKubernetes) -> None:
    meta = {"namespace": "dev"}
    kubernetes.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", **meta}, "stringData": {"A": "1"}}
    )
    kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}, "data": {"B": "2"}})
    env = [
        {"name": "C", "value": "$(A)$(B)"},
        {"name": "D", "valueFrom": {"secretKeyRef": {"name": "s", "key": "A"}}},
        {"name": "E", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "none", "optional": True}}},
        {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    sources = [{"secretRef": {"name": "s"}}, {"prefix": "X_", "configMapRef": {"name": "c"}}]
    sources += [{"configMapRef": {"name": "none", "optional": True}}]
    program = "import os, sys; print(*(os.environ.get(n, '-') for n in 'A X_B C D E F'.split()), sys.argv[1:])"
    made = job(container={"env": env, "envFrom": sources, "args": ["-c", program, "$(A)", "$(NONE)", "$$(A)"]})
    assert await output(kubernetes, made) == "1 2 1$(B) 1 - dev ['1', '$(NONE)', '$(A)']\n"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
        ({"envFrom": [{"configMapRef": {"name": "none"}}]}, 'configmap "none" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b"}}}]},
            "couldn't find key b in Secret dev/s",
        ),
    ],
)
async def test_what_is_missing_keeps_the_container_from_being_made(
    kubernetes: LocalKubernetes, part: dict[str, Any], said: str
) -> None:
    kubernetes.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "dev"}})
    kubernetes.apply(job(container=part))

    def waiting() -> Any:
        pods = pods_of_job(kubernetes)
        statuses = pods[0]["status"].get("containerStatuses", ()) if pods else ()
        found = statuses[0]["state"].get("waiting", {}) if statuses else {}
        return found if found.get("reason") == "CreateContainerConfigError" else None

    assert (await eventually(waiting, "a refusal"))["message"] == said


async def test_a_program_that_is_not_there_is_a_start_error() -> None:
    stand = LocalKubernetes(time_scale=0.02, programs=lambda _: ())
    await stand.start()
    stand.apply(job(container={"command": ["no-such-program"], "args": []}))
    await concluded(stand)
    ended = pods_of_job(stand)[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    await stand.stop()
    assert (ended["exitCode"], ended["reason"], ended["startedAt"]) == (128, "StartError", "1970-01-01T00:00:00Z")
    assert 'exec: "no-such-program": executable file not found in $PATH' in ended["message"]


# --- the output -----------------------------------------------------------------------------------------------------


async def test_the_log_is_served_as_a_cluster_serves_it(kubernetes: LocalKubernetes) -> None:
    whole = await output(kubernetes, job("for n in range(1000): print('line', n)"))
    pod = pods_of_job(kubernetes)[0]["metadata"]["name"]
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 1000
    assert await log(kubernetes, pod, tailLines="3") == (200, "".join(lines[-3:]))
    assert await log(kubernetes, pod, tailLines="0") == (200, "")
    assert await log(kubernetes, pod, tailLines="5000") == (200, whole)
    assert await log(kubernetes, pod, limitBytes="10") == (200, whole[:10])
    assert await log(kubernetes, pod, tailLines="2", limitBytes="6") == (200, lines[-2][:6])
    assert await log(kubernetes, pod, follow="true") == (200, whole)
    assert (await log(kubernetes, pod, previous="true"))[0] == 400
    assert (await log(kubernetes, pod, tailLines="-1"))[0] == 422
    assert (await log(kubernetes, pod, limitBytes="0"))[0] == 422
    assert (await log(kubernetes, pod, limitBytes="many"))[0] == 400
    assert (await log(kubernetes, pod, container="web"))[0] == 400


async def test_the_tail_of_a_long_log_without_a_last_newline_is_found(kubernetes: LocalKubernetes) -> None:
    program = "import sys; sys.stdout.write('\\n'.join(str(n).zfill(99) for n in range(10_000)))"
    await output(kubernetes, job(program))
    pod = pods_of_job(kubernetes)[0]["metadata"]["name"]
    _, text = await log(kubernetes, pod, tailLines="5000")
    assert [int(line) for line in text.split("\n")] == list(range(5000, 10_000))


async def test_a_container_that_has_not_started_has_no_log(kubernetes: LocalKubernetes) -> None:
    kubernetes.apply(job(container={"image": "registry.local/none:1"}))
    await eventually(lambda: "ErrImagePull" in repr(pods_of_job(kubernetes)), "a pull error")
    code, text = await log(kubernetes, pods_of_job(kubernetes)[0]["metadata"]["name"])
    assert code == 400
    assert "is waiting to start: trying and failing to pull image" in text


async def test_followers_get_lines_as_they_come_until_the_end(kubernetes: LocalKubernetes, tmp_path: Path) -> None:
    go = tmp_path / "go"
    program = (
        "import pathlib, time; print('one', flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        "print('two')"
    )
    kubernetes.apply(job(program))
    pod = (await running(kubernetes))["metadata"]["name"]
    url = f"{kubernetes.url}/api/v1/namespaces/dev/pods/{pod}/log?follow=true"
    async with asyncio.timeout(60), aiohttp.ClientSession() as session, session.get(url) as response:
        assert await response.content.readline() == b"one\n"
        go.touch()
        assert await response.content.read() == b"two\n"


async def test_the_log_on_disk_is_bounded_and_the_process_goes_on(
    kubernetes: LocalKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST_LOG > 200 * 1024 * 1024
    monkeypatch.setattr("sandbox.kubernetes.node.process.LARGEST_LOG", 100_000)
    text = await output(kubernetes, job("for _ in range(10_000): print('x' * 99)"))
    assert len(text) == 100_000


async def test_logs_go_with_their_pods_and_with_the_cluster() -> None:
    stand = LocalKubernetes(time_scale=0.02, programs=programs)
    await stand.start()
    folder = Path(stand._kubelet._logs.name) if stand._kubelet._logs else Path("/nowhere")
    stand.apply(job())
    stand.apply(job(name="other"))
    await concluded(stand)
    await concluded(stand, "other")
    assert len(list(folder.iterdir())) == 2
    stand.delete("Job", "dev", "tool")
    await eventually(lambda: len(list(folder.iterdir())) == 1, "one log is left")
    await stand.stop()
    assert not folder.exists()


# --- the end --------------------------------------------------------------------------------------------------------


async def test_grandchildren_that_hold_the_output_open_do_not_hold_up_the_end(kubernetes: LocalKubernetes) -> None:
    child = "import time; time.sleep(600)"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); print('done')"
    assert await output(kubernetes, job(program)) == "done\n"


async def test_a_killed_stand_in_leaves_no_process_behind(tmp_path: Path) -> None:
    program = f"import os, pathlib; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); {FOR_EVER}"
    script = tmp_path / "stand.py"
    script.write_text(
        "import asyncio, sys\n"
        "from sandbox.kubernetes import LocalKubernetes\n"
        "async def main():\n"
        "    stand = LocalKubernetes(time_scale=0.02, programs=lambda _: (sys.executable,))\n"
        "    await stand.start()\n"
        f"    stand.apply({job(program)!r})\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    root = str(Path(__file__).parents[3])
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), env={"PYTHONPATH": root}, cwd=root)
    try:
        pid = await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "a process", 60)
    finally:
        process.kill()
        await process.wait()

    def over() -> bool:
        stat = Path(f"/proc/{pid}/stat")
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"  # until init takes it
        except FileNotFoundError:
            return True

    await eventually(over, "the process has died with the stand-in")


async def test_the_library_reads_jobs_and_their_pods(kubernetes: LocalKubernetes, api: client.ApiClient) -> None:
    kubernetes.apply(job())
    await concluded(kubernetes)
    found = await client.BatchV1Api(api).read_namespaced_job("tool", "dev")
    assert (found.status.succeeded, found.spec.template.spec.containers[0].image) == (1, TOOL)
    pods = await client.CoreV1Api(api).list_namespaced_pod("dev", label_selector="batch.kubernetes.io/job-name=tool")
    assert [pod.status.phase for pod in pods.items] == ["Succeeded"]
