"""One pod's life on the node: scheduled, its containers run, its status published, ended with grace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.node.container import STOPPED_AFTER_S, ContainerWorker
from sandbox.kubernetes.node.process import Processes
from sandbox.kubernetes.node.running import RunningContainer
from sandbox.kubernetes.objects import (
    Obj,
    annotations_of,
    is_deleting,
    name_of,
    namespace_of,
    put_condition,
    timestamp,
    uid_of,
)
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.recorder import Recorder
from sandbox.kubernetes.resources import PODS
from sandbox.runtime import Runtime

log = logging.getLogger(__name__)
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
NODE, NODE_IP = "sandbox-1", "10.0.0.11"
SCHEDULED_AFTER_S, SCHEDULED_AGAIN_S = 0.1, 5.0


class PodWorker:
    """Runs as one task; `stopping` ends it with grace, cancelling it ends it at once."""

    def __init__(
        self, cluster: Cluster, recorder: Recorder, pace: Pace, runtime: Runtime, images: set[str], pod: Obj, ip: str,
        processes: Processes | None, refusal: Callable[[Obj], str],
    ) -> None:  # fmt: skip
        self.cluster = cluster
        self.recorder = recorder
        self.pace = pace
        self.runtime = runtime
        self.images = images
        self.pod = pod
        self.ip = ip
        self.stopping = asyncio.Event()
        self._refusal = refusal
        specs = pod["spec"]["containers"]
        # The runtime plays one process per pod: the container that kubectl would choose. Sidecars only have states.
        app = annotations_of(pod).get(DEFAULT_CONTAINER, specs[0]["name"])
        self.containers: list[ContainerWorker] = (
            [ContainerWorker(self, spec, is_app=spec["name"] == app) for spec in specs]
            if processes is None
            else [RunningContainer(self, spec, processes) for spec in specs]
        )

    async def run(self) -> None:
        await self._await_a_node()
        self._schedule()
        lives = [self._begin(container) for container in self.containers]
        stopping = asyncio.create_task(self.stopping.wait())
        ended = asyncio.create_task(_all_ended(lives))
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                self._report_faults(lives)
                self.publish()
                await stopping
            else:
                await self._stop_with_grace()
        finally:
            stopping.cancel()
            ended.cancel()
            for task in lives:
                task.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        self._remove()

    def _begin(self, container: ContainerWorker) -> asyncio.Task[None]:
        container.life = asyncio.create_task(container.run(), name=f"container {container.name}")
        return container.life

    def _remove(self) -> None:
        """The kubelet's last word: deleted without grace, which leaves it to whoever holds a finalizer."""
        current = self.cluster.store.find(PODS, namespace_of(self.pod), name_of(self.pod))
        if current is not None and uid_of(current) == uid_of(self.pod):
            self.cluster.delete(PODS, namespace_of(self.pod), name_of(self.pod), grace_s=0)

    async def _await_a_node(self) -> None:
        await self.pace.sleep(SCHEDULED_AFTER_S)
        while why := self._refusal(self.pod):
            self.recorder.warning(self.pod, "FailedScheduling", why, "default-scheduler")
            entry = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            self._mutate_status(
                lambda pod, entry=entry: put_condition(  # type: ignore[misc]
                    pod["status"].setdefault("conditions", []), {**entry, "lastProbeTime": None}
                )
            )
            await self.pace.sleep(SCHEDULED_AGAIN_S)

    def _report_faults(self, lives: list[asyncio.Task[None]]) -> None:
        for task in lives:
            if not task.cancelled() and task.exception() is not None:
                log.error("a container of %s ended by a fault", name_of(self.pod), exc_info=task.exception())

    async def _stop_with_grace(self) -> None:
        for container in self.containers:
            if "running" in container.status["state"]:
                said = f"Stopping container {container.name}"
                self.recorder.normal(self.pod, "Killing", said, "kubelet", container.field_path)
        grace_s = self.pod["metadata"].get("deletionGracePeriodSeconds", STOPPED_AFTER_S)
        await asyncio.gather(*(container.stop(grace_s) for container in self.containers))

    def _schedule(self) -> None:
        def place(pod: Obj) -> None:
            status = pod["status"]
            status.update(startTime=timestamp(), hostIP=NODE_IP, hostIPs=[{"ip": NODE_IP}])
            conditions = status.setdefault("conditions", [])
            for kind in ("PodScheduled", "Initialized"):
                put_condition(conditions, {"type": kind, "status": "True", "lastProbeTime": None})

        self._bind()
        said = f"Successfully assigned {namespace_of(self.pod)}/{name_of(self.pod)} to {NODE}"
        self.recorder.normal(self.pod, "Scheduled", said, "default-scheduler")
        self._mutate_status(place)
        self.publish()

    def _bind(self) -> None:
        """Binding is no change of the spec by a user: it counts no generation and passes no validation."""
        current = self.cluster.store.find(PODS, namespace_of(self.pod), name_of(self.pod))
        if current is not None:
            bound = {**current, "metadata": dict(current["metadata"]), "spec": {**current["spec"], "nodeName": NODE}}
            self.pod = self.cluster.store.write(PODS, bound)

    def publish(self) -> None:
        """Write the containers' states, the phase and the conditions to the API."""
        self._mutate_status(self._report)

    def _report(self, pod: Obj) -> None:
        status = pod["status"]
        reports = [container.report() for container in self.containers]
        status["containerStatuses"] = reports
        status["phase"] = _phase(reports, pod["spec"]["restartPolicy"])
        if any("running" in report["state"] for report in reports) or status["phase"] != "Pending":
            status.update(podIP=self.ip, podIPs=[{"ip": self.ip}])
        conditions = status.setdefault("conditions", [])
        put_condition(conditions, {"type": "PodReadyToStartContainers", "status": "True", "lastProbeTime": None})
        verdict = _readiness(reports, status["phase"])
        put_condition(conditions, {"type": "ContainersReady", **verdict})
        put_condition(conditions, {"type": "Ready", **verdict})

    def _mutate_status(self, change: Callable[[Obj], None]) -> None:
        current = self.cluster.store.find(PODS, namespace_of(self.pod), name_of(self.pod))
        if current is None or uid_of(current) != uid_of(self.pod):
            return
        written = self.cluster.mutate(PODS, namespace_of(self.pod), name_of(self.pod), change, "status")
        self.pod = written or self.pod

    def deleted(self, pod: Obj) -> None:
        """Ends the pod with grace if the API has marked it for deletion."""
        if is_deleting(pod):
            self.pod = pod
            self.stopping.set()


async def _all_ended(lives: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(lives)


def _phase(reports: list[Obj], policy: str) -> str:
    states = [report["state"] for report in reports]
    if policy != "Always" and all("terminated" in state for state in states):
        failed = any(state["terminated"]["exitCode"] for state in states)
        if policy == "Never" or not failed:
            return "Failed" if failed else "Succeeded"
    begun = all("running" in r["state"] or "terminated" in r["state"] or r["lastState"] for r in reports)
    return "Running" if begun else "Pending"


def _readiness(reports: list[Obj], phase: str) -> Obj:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted", "lastProbeTime": None}
    unready = [report["name"] for report in reports if not report["ready"]]
    if not unready:
        return {"status": "True", "lastProbeTime": None}
    said = f"containers with unready status: [{' '.join(unready)}]"
    return {"status": "False", "reason": "ContainersNotReady", "message": said, "lastProbeTime": None}
