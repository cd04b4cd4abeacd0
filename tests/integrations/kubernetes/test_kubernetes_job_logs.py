"""The output of Jobs: huge, broken off, undecodable, or none at all; the end is kept, and memory doesn't grow with it."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest
from cutting_proxy import CuttingProxy
from hypothesis import given
from hypothesis import strategies as st
from kubernetes_jobs import FOR_EVER, in_phase, order, programs

from integrations.http_calls import Limits
from integrations.kubernetes import Direct, KubernetesCluster, jobs
from integrations.kubernetes.output import Tail
from sandbox.kubernetes import LocalKubernetes

NAME = "forge-staging-1-3"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
MANY_LINES = "import sys\nfor n in range({lines}): sys.stdout.write(f'{{n:09}} ' + 'x' * 89 + '\\n')"
LINE = 100


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


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_fifty_megabytes_are_read_to_their_end_in_little_memory(cluster: KubernetesCluster) -> None:
    lines = 50 * 1024 * 1024 // LINE
    await cluster.start_job(order(MANY_LINES.format(lines=lines)))
    await in_phase(cluster, "succeeded", within_s=120)
    await cluster.job_log(NAME, 1000)
    before = peak_bytes()
    log = await cluster.job_log(NAME, 64 * 1024)
    assert log.text.endswith(f"{lines - 1:09} {'x' * 89}\n")
    assert (log.size_bytes, len(log.text), log.cut, log.complete) == (lines * LINE, 64 * 1024, True, True)
    assert peak_bytes() - before < 24 * 1024 * 1024


async def test_more_than_the_bound_is_not_read(cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_LARGEST_LOG", 1_000_000)
    await cluster.start_job(order(MANY_LINES.format(lines=40_000)))
    await in_phase(cluster, "succeeded")
    log = await cluster.job_log(NAME, 1000)
    assert (log.complete, log.cut, len(log.text)) == (False, True, 1000)
    assert 1_000_000 < log.size_bytes < 4_000_000


async def test_a_log_that_takes_too_long_is_given_as_far_as_it_came(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.start_job(order(MANY_LINES.format(lines=10_000)))
    await in_phase(cluster, "succeeded")
    monkeypatch.setattr(jobs, "_LOG_WITHIN_S", 0.5)
    proxy = CuttingProxy(kubernetes.url, 100_000, silent=True)
    through = KubernetesCluster(Direct(await proxy.start()), "staging", limits=QUICK)
    log = await through.job_log(NAME, 1000)
    await through.aclose()
    await proxy.stop()
    assert (log.complete, log.cut) == (False, True)
    assert 0 < log.size_bytes < 100_000


@pytest.mark.parametrize("silent", [False, True])
async def test_a_connection_lost_on_the_way_leaves_what_was_read(
    kubernetes: LocalKubernetes, cluster: KubernetesCluster, silent: bool
) -> None:
    await cluster.start_job(order(MANY_LINES.format(lines=10_000)))
    await in_phase(cluster, "succeeded")
    proxy = CuttingProxy(kubernetes.url, 100_000, silent=silent)
    limits = Limits(timeout_s=2.0, attempts=8, deadline_s=60.0, first_wait_s=0.01)
    through = KubernetesCluster(Direct(await proxy.start()), "staging", limits=limits)
    log = await through.job_log(NAME, 1000)
    await through.aclose()
    await proxy.stop()
    assert (log.complete, log.cut, len(log.text)) == (False, True, 1000)
    assert 0 < log.size_bytes < 100_000


async def test_a_running_jobs_output_is_read_so_far(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order(FOR_EVER))
    async with asyncio.timeout(60):
        while not (log := await cluster.job_log(NAME, 1000)).text:  # noqa: ASYNC110 - nobody rings
            await asyncio.sleep(0.02)
    assert (log.text, log.complete) == ("begun\n", True)


async def test_output_that_is_no_text_is_decoded_leniently(cluster: KubernetesCluster) -> None:
    program = "import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\x00 caf\\xc3\\xa9 \\xc3'); sys.stderr.write('err')"
    await cluster.start_job(order(program))
    await in_phase(cluster, "succeeded")
    log = await cluster.job_log(NAME, 1000)
    assert log.text == "\ufffd\ufffd\x00 café \ufffderr"
    assert log.size_bytes == 14


async def test_a_job_that_says_nothing_has_an_empty_log(cluster: KubernetesCluster) -> None:
    await cluster.start_job(order("pass"))
    await in_phase(cluster, "succeeded")
    log = await cluster.job_log(NAME, 1000)
    assert (log.text, log.size_bytes, log.cut, log.complete) == ("", 0, False, True)


@given(st.lists(st.binary(max_size=300)), st.integers(0, 200))
def test_the_tail_is_the_end_whatever_the_pieces(pieces: list[bytes], keep: int) -> None:
    tail = Tail(keep, 10**9)
    assert all(tail.take(piece) for piece in pieces)
    log, whole = tail.log(complete=True), b"".join(pieces)
    assert (log.size_bytes, log.cut) == (len(whole), len(whole) > keep)
    if len(whole) <= keep:
        assert log.text == whole.decode(errors="replace")


@given(st.text(max_size=200), st.integers(0, 60))
def test_a_cut_never_leaves_half_a_character_at_the_beginning(text: str, keep: int) -> None:
    text = text.encode(errors="replace").decode()  # no lone surrogates
    tail = Tail(keep, 10**9)
    tail.take(text.encode())
    log = tail.log(complete=True)
    assert text.endswith(log.text)
    assert keep - 3 <= len(log.text.encode()) <= keep or log.text == text
