"""The kubelet: one worker per pod, started and ended by what the API says. It never decides how many pods there are."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.node.container import ContainerWorker
from sandbox.kubernetes.node.pod import PodWorker
from sandbox.kubernetes.node.process import Processes, Programs
from sandbox.kubernetes.node.running import RunningContainer
from sandbox.kubernetes.objects import Obj, controller_of, is_deleting, name_of, namespace_of, uid_of
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import PODS
from sandbox.kubernetes.store import Change
from sandbox.runtime import Crash, Runtime


class Kubelet:
    """programs: what images stand for in the pods of Jobs, which are then real processes; None leaves them to the runtime.

    refusal: why the scheduler finds no node for a pod; empty when it does.
    """

    def __init__(
        self, cluster: Cluster, recorder: Recorder, pace: Pace, runtime: Runtime, *, programs: Programs | None = None,
        refusal: Callable[[Obj], str] = lambda _: "",
    ) -> None:  # fmt: skip
        self._cluster = cluster
        self._recorder = recorder
        self._pace = pace
        self._runtime = runtime
        self._programs = programs
        self._refusal = refusal
        self._logs: tempfile.TemporaryDirectory[str] | None = None
        self._images: set[str] = set()
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._addresses = itertools.count(2)
        self._is_running = False

    def start(self) -> None:
        """Take up every pod that the API already knows."""
        self._is_running = True
        if self._programs is not None:
            self._logs = tempfile.TemporaryDirectory(prefix="sandbox-kubelet-", ignore_cleanup_errors=True)
        for pod in self._cluster.store.list(PODS):
            self._take(pod)

    async def stop(self) -> None:
        self._is_running = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._logs is not None:
            self._logs.cleanup()

    def notice(self, change: Change) -> None:
        if change.resource.key != PODS.key or not self._is_running:
            return
        uid = uid_of(change.obj)
        if change.type == "DELETED":
            task = self._tasks.get(uid)
            # A worker that removes its own pod is at its end and must not cancel itself.
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        elif uid not in self._tasks:
            self._take(change.obj)
        elif is_deleting(change.obj):
            self._workers[uid].deleted(change.obj)

    def container(self, namespace: str, pod_name: str, container: str) -> ContainerWorker | None:
        """The worker of this container; None where the pod isn't on the node."""
        for worker in self._workers.values():
            if (namespace_of(worker.pod), name_of(worker.pod)) == (namespace, pod_name):
                return next((entry for entry in worker.containers if entry.name == container), None)
        return None

    def crash(self, namespace: str, pod_name: str, how: Crash) -> None:
        """End the pod's app container now. Raises KeyError where there is no such pod on the node."""
        for worker in self._workers.values():
            if (namespace_of(worker.pod), name_of(worker.pod)) == (namespace, pod_name):
                apps = [entry for entry in worker.containers if entry.is_app]
                (apps or worker.containers)[0].crash(how)
                return
        raise KeyError(f"{namespace}/{pod_name}")

    def _take(self, pod: Obj) -> None:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed") or _is_over(pod):
            return
        uid, number = uid_of(pod), next(self._addresses)
        ip = f"10.244.{number // 250 % 250}.{number % 250 + 2}"
        worker = PodWorker(
            self._cluster, self._recorder, self._pace, self._runtime, self._images, pod, ip,
            self._processes_of(pod), self._refusal,
        )  # fmt: skip
        self._workers[uid] = worker
        worker.deleted(pod)
        task = asyncio.get_running_loop().create_task(worker.run(), name=f"pod {name_of(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda _: self._forget(uid))

    def _processes_of(self, pod: Obj) -> Processes | None:
        if self._programs is None or self._logs is None or (controller_of(pod) or {}).get("kind") != "Job":
            return None
        return Processes(self._programs, Path(self._logs.name))

    def _forget(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        for container in worker.containers if worker is not None else ():
            if isinstance(container, RunningContainer):
                container.forget_logs()
        self._tasks.pop(uid, None)


def _is_over(pod: Obj) -> bool:
    """The kubelet is done with it; only somebody's finalizer keeps the object."""
    return is_deleting(pod) and not pod["metadata"].get("deletionGracePeriodSeconds")
