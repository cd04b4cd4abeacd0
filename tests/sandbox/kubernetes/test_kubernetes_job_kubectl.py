"""The real kubectl on the stand-in's Jobs: created, shown, waited for, read and deleted as on a cluster."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from kubernetes_job_manifests import FOR_EVER, TOOL, concluded, job, pods_of_job, programs, running
from kubernetes_kubectl import Kubectl
from kubernetes_manifests import eventually

from sandbox.kubernetes import LocalKubernetes


@pytest.fixture
async def kubernetes() -> AsyncIterator[LocalKubernetes]:
    stand = LocalKubernetes(time_scale=0.02, programs=programs)
    await stand.start()
    yield stand
    await stand.stop()


async def test_a_job_is_created_waited_for_shown_and_read(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    created = await kubectl.ok("create", "job", "tool", f"--image={TOOL}", "--", "-c", "print('hello')")
    assert created == "job.batch/tool created\n"
    waited = await kubectl.ok("wait", "--for=condition=complete", "job/tool", "--timeout=30s")
    assert waited == "job.batch/tool condition met\n"
    assert await kubectl.ok("logs", "job/tool") == "hello\n"
    lines = [line.split() for line in (await kubectl.ok("get", "job", "tool", "-o", "wide")).splitlines()]
    assert lines[0] == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert (lines[1][:3], lines[1][5:7]) == (["tool", "Complete", "1/1"], ["tool", TOOL])
    described = await kubectl.ok("describe", "job", "tool")
    assert "0 Active (0 Ready) / 1 Succeeded / 0 Failed" in described
    assert "Created pod: tool-" in described
    assert "Job completed" in described
    assert "job.batch/tool" in await kubectl.ok("get", "all")


async def test_a_failed_job_is_shown_as_failed(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    await kubectl.ok("create", "-f", "-", stdin=json.dumps(job("raise SystemExit(3)")))
    await kubectl.ok("wait", "--for=condition=failed", "job/tool", "--timeout=30s")
    assert (await kubectl.ok("get", "jobs", "--no-headers")).split()[:3] == ["tool", "Failed", "0/1"]
    assert "BackoffLimitExceeded" in await kubectl.ok("describe", "job/tool")
    assert (await kubectl.ok("get", "pods", "--no-headers")).split()[2] == "Error"


async def test_deleting_a_job_ends_its_pod(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    kubernetes.apply(job(FOR_EVER))
    await running(kubernetes)
    assert await kubectl.ok("delete", "job", "tool") == 'job.batch "tool" deleted from dev namespace\n'
    await eventually(lambda: not pods_of_job(kubernetes), "the pod is gone")


async def test_a_foreground_deletion_returns_when_nothing_is_left(
    kubernetes: LocalKubernetes, kubectl: Kubectl
) -> None:
    kubernetes.apply(job(FOR_EVER))
    await running(kubernetes)
    await kubectl.ok("delete", "job", "tool", "--cascade=foreground", "--timeout=30s")
    assert pods_of_job(kubernetes) == []


async def test_applying_a_job_again_changes_nothing(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    made = json.dumps(job())
    assert await kubectl.ok("apply", "-f", "-", stdin=made) == "job.batch/tool created\n"
    assert await kubectl.ok("apply", "-f", "-", stdin=made) == "job.batch/tool unchanged\n"
    await concluded(kubernetes)
    other = await kubectl("apply", "-f", "-", stdin=json.dumps(job("print('other')")))
    assert (other.code, "field is immutable" in other.errors) == (1, True)


async def test_a_job_without_an_image_to_pull_is_explained(kubernetes: LocalKubernetes, kubectl: Kubectl) -> None:
    await kubectl.ok("create", "job", "lost", "--image=registry.local/none:1")
    await eventually(lambda: "ErrImagePull" in repr(pods_of_job(kubernetes, "lost")), "a pull error")
    described = await kubectl.ok("describe", "pod", "-l", "job-name=lost")
    assert 'Failed to pull image "registry.local/none:1"' in described
    logs = await kubectl("logs", "job/lost")
    assert "is waiting to start: trying and failing to pull image" in logs.errors
