"""The kubelet: one worker per pod, started and ended by what the API says. It never decides how many pods there are."""

from __future__ import annotations

import asyncio
import itertools

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.node.container import ContainerWorker
from sandbox.kubernetes.node.pod import PodWorker
from sandbox.kubernetes.objects import Obj, is_deleting, name_of, namespace_of, uid_of
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import PODS
from sandbox.kubernetes.store import Change
from sandbox.runtime import Crash, Runtime


class Kubelet:
    def __init__(self, cluster: Cluster, recorder: Recorder, pace: Pace, runtime: Runtime) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._pace = pace
        self._runtime = runtime
        self._images: set[str] = set()
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._addresses = itertools.count(2)
        self._is_running = False

    def start(self) -> None:
        """Take up every pod that the API already knows."""
        self._is_running = True
        for pod in self._cluster.store.list(PODS):
            self._take(pod)

    async def stop(self) -> None:
        self._is_running = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
                next(entry for entry in worker.containers if entry.is_app).crash(how)
                return
        raise KeyError(f"{namespace}/{pod_name}")

    def _take(self, pod: Obj) -> None:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return
        uid, number = uid_of(pod), next(self._addresses)
        ip = f"10.244.{number // 250 % 250}.{number % 250 + 2}"
        worker = PodWorker(self._cluster, self._recorder, self._pace, self._runtime, self._images, pod, ip)
        self._workers[uid] = worker
        worker.deleted(pod)
        task = asyncio.get_running_loop().create_task(worker.run(), name=f"pod {name_of(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda _: self._forget(uid))

    def _forget(self, uid: str) -> None:
        self._workers.pop(uid, None)
        self._tasks.pop(uid, None)
