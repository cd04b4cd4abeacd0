"""One container's life: pull, start, probes, its end, back-off, and again. It keeps the containerStatus JSON."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.kubernetes.node.probing import Prober
from sandbox.kubernetes.objects import Obj, clone, name_of, namespace_of, timestamp, uid_of
from sandbox.runtime import Crash

if TYPE_CHECKING:
    from sandbox.kubernetes.node.pod import PodWorker

log = logging.getLogger(__name__)
PULL_S, CACHED_S, ERROR_SHOWN_S, FIRST_RESTART_S = 0.5, 0.05, 1.0, 0.2
BACK_OFF_S, LONGEST_BACK_OFF_S, FORGIVEN_AFTER_S = 10.0, 300.0, 600.0
KILLED = Crash(exit_code=137, reason="Error")
LOG_LINES = 500
STOPPED_AFTER_S = 0.3


class ContainerWorker:
    """One of the pod's containers. is_app: its process is played by the runtime."""

    def __init__(self, worker: PodWorker, spec: Obj, *, is_app: bool) -> None:
        self._worker = worker
        self.spec = spec
        self.is_app = is_app
        self.name = str(spec["name"])
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self.previous_lines: deque[str] = deque(maxlen=LOG_LINES)
        self.status: Obj = {
            "name": self.name,
            "image": spec["image"],
            "imageID": "",
            "ready": False,
            "started": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}},
            "lastState": {},
        }
        self.log_file: Path | None = None
        self.previous_log_file: Path | None = None
        self.life: asyncio.Task[None] | None = None
        self._end: asyncio.Future[Crash] | None = None
        self._started_at = ""

    @property
    def field_path(self) -> str:
        return f"spec.containers{{{self.name}}}"

    @property
    def has_run(self) -> bool:
        """Whether there is a log to read, even an empty one."""
        return bool({"running", "terminated"} & self.status["state"].keys() or self.status["restartCount"])

    def crash(self, how: Crash) -> None:
        """End the running container now; nothing happens where it doesn't run."""
        if self._end is not None and not self._end.done():
            self._end.set_result(how)

    async def run(self) -> None:
        """Until it is cancelled, or ended for good by the pod's restart policy."""
        back_off_s = 0.0
        while True:
            await self._pull()
            began = self._worker.pace.now()
            how = await self._live()
            self._terminated(how)
            if not self._starts_again(how):
                return
            if self._worker.pace.now() - began > FORGIVEN_AFTER_S:
                back_off_s = 0.0
            await self._wait_for_restart(back_off_s)
            back_off_s = min(max(back_off_s * 2, BACK_OFF_S), LONGEST_BACK_OFF_S)
            self.status["restartCount"] += 1
            self._begin_anew()

    async def stop(self, grace_s: float) -> None:
        """The pod is ending; what a runtime plays ends at once. grace_s: in simulated seconds."""
        await self._worker.pace.sleep(min(grace_s, STOPPED_AFTER_S))

    def _starts_again(self, how: Crash) -> bool:
        policy = self._worker.pod["spec"]["restartPolicy"]
        return not (policy == "Never" or (policy == "OnFailure" and how.exit_code == 0))

    def _begin_anew(self) -> None:
        self.previous_lines, self.lines = self.lines, deque(maxlen=LOG_LINES)

    # Pulling

    async def _pull(self) -> None:
        image, back_off_s = self.spec["image"], BACK_OFF_S
        cached = image in self._worker.images and self.spec["imagePullPolicy"] != "Always"
        if cached or self.spec["imagePullPolicy"] == "Never":
            await self._worker.pace.sleep(CACHED_S)
            self._tell("Pulled", f'Container image "{image}" already present on machine')
        while not cached:
            self._tell("Pulling", f'Pulling image "{image}"')
            await self._worker.pace.sleep(PULL_S)
            if self._exists(image):
                took = f"{round(PULL_S * 1000)}ms"
                size = int(hashlib.sha256(image.encode()).hexdigest()[:7], 16)
                said = f'Successfully pulled image "{image}" in {took} ({took} including waiting)'
                self._tell("Pulled", f"{said}. Image size: {size} bytes.")
                self._worker.images.add(image)
                break
            await self._show_pull_error(image, back_off_s)
            back_off_s = min(back_off_s * 2, LONGEST_BACK_OFF_S)
        self.status["imageID"] = _image_id(image)

    def _exists(self, image: str) -> bool:
        return self._worker.runtime.behaviour(image, self._worker.pod).pull == "ok"

    async def _show_pull_error(self, image: str, back_off_s: float) -> None:
        cause = (
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference '
            f'"{image}": {image}: not found'
        )
        self._tell("Failed", f'Failed to pull image "{image}": {cause}', warning=True)
        self._tell("Failed", "Error: ErrImagePull", warning=True)
        self._waiting("ErrImagePull", cause)
        await self._worker.pace.sleep(ERROR_SHOWN_S)
        self._tell("BackOff", f'Back-off pulling image "{image}"')
        self._tell("Failed", "Error: ImagePullBackOff", warning=True)
        self._waiting("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {cause}')
        await self._worker.pace.sleep(back_off_s)

    # Running

    async def _live(self) -> Crash:
        """From start to end; returns how it ended."""
        behaviour = self._worker.runtime.behaviour(self.spec["image"], self._worker.pod)
        self._end = asyncio.get_running_loop().create_future()
        self.lines.append(f"starting {self.name} image={self.spec['image']}")
        self._running()
        probes: list[asyncio.Task[None]] = []
        try:
            refused = await self._start_process()
            if refused is not None:
                return refused
            probes = self._start_probes(behaviour.start_s)
            if behaviour.crash is None:
                return await self._end
            try:
                async with asyncio.timeout(behaviour.crash.after_s * self._worker.pace.scale):
                    return await self._end
            except TimeoutError:
                return behaviour.crash
        finally:
            for task in probes:
                task.cancel()
            await asyncio.gather(*probes, return_exceptions=True)
            await self.stop_process()

    async def _start_process(self) -> Crash | None:
        if not self.is_app:
            return None
        try:
            await self._worker.runtime.start(clone(self._worker.pod))
        except Exception as error:  # noqa: BLE001 - whatever a runtime raises, the pod must show a start error
            log.warning("runtime refused to start %s: %r", self.name, error)
            return Crash(exit_code=128, reason="StartError", message=f"failed to start container: {error}")
        return None

    async def stop_process(self) -> None:
        if not self.is_app:
            return
        try:
            await self._worker.runtime.stop(clone(self._worker.pod))
        except Exception:
            log.exception("runtime failed to stop %s", self.name)

    def _running(self, *, is_ready: bool = False) -> None:
        self._started_at = timestamp()
        self._tell("Created", f"Created container: {self.name}")
        self._tell("Started", f"Started container {self.name}")
        self.status.update(state={"running": {"startedAt": self._started_at}}, ready=is_ready, started=is_ready)
        self._worker.publish()

    def _start_probes(self, start_s: float) -> list[asyncio.Task[None]]:
        group = asyncio.create_task(self._startup(start_s), name=f"startup of {self.name}")
        return [group]

    async def _startup(self, start_s: float) -> None:
        """The startup probe first; the other two only once it has succeeded."""
        startup = self.spec.get("startupProbe")
        if startup is not None:
            await self._await_startup(startup, start_s)
        elif "readinessProbe" not in self.spec:
            await self._worker.pace.sleep(start_s)
        self.status["started"] = True
        left_s = 0.0 if startup is not None else start_s
        running = []
        if "readinessProbe" in self.spec:
            prober = self._prober("Readiness", self.spec["readinessProbe"])
            running.append(prober.run(self._set_ready, self._unhealthy, left_s))
        else:
            self.status["ready"] = True
        self._worker.publish()
        if "livenessProbe" in self.spec:
            prober = self._prober("Liveness", self.spec["livenessProbe"])
            running.append(prober.run(self._judge_alive, self._unhealthy, left_s))
        await asyncio.gather(*running)

    async def _await_startup(self, probe: Obj, start_s: float) -> None:
        started = asyncio.Event()

        def judged(ok: bool) -> None:
            if ok:
                started.set()
            else:
                self._kill("startup")

        task = asyncio.create_task(self._prober("Startup", probe).run(judged, self._unhealthy, start_s))
        try:
            await started.wait()
        finally:
            task.cancel()

    def _prober(self, kind: str, probe: Obj) -> Prober:
        async def ask(asked: Obj) -> bool:
            return await self._worker.runtime.probe(clone(self._worker.pod), clone(asked))

        return Prober(kind, probe, ask, self._worker.pace, self._worker.ip)

    def _set_ready(self, ready: bool) -> None:
        if self.status["ready"] is not ready:
            self.status["ready"] = ready
            self._worker.publish()

    def _judge_alive(self, ok: bool) -> None:
        if not ok:
            self._kill("liveness")

    def _kill(self, probe: str) -> None:
        self._tell("Killing", f"Container {self.name} failed {probe} probe, will be restarted")
        self.crash(KILLED)

    def _unhealthy(self, message: str) -> None:
        self._tell("Unhealthy", message, warning=True)

    # The end

    def _terminated(self, how: Crash) -> None:
        ended: Obj = {
            "exitCode": how.exit_code,
            "reason": how.reason if how.exit_code else "Completed",
            "startedAt": self._started_at,
            "finishedAt": timestamp(),
            "containerID": self._container_id(),
        }
        if how.message:
            ended["message"] = how.message
            self.lines.extend(how.message.splitlines())
        self.status.update(state={"terminated": ended}, ready=False, started=False)
        self._worker.publish()

    async def _wait_for_restart(self, back_off_s: float) -> None:
        self.status["lastState"] = self.status["state"]
        if not back_off_s:
            await self._worker.pace.sleep(FIRST_RESTART_S)
            return
        pod = self._worker.pod
        identity = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
        said = f"Back-off restarting failed container {self.name} in pod {identity}"
        self._tell("BackOff", said, warning=True)
        waited = f"{int(back_off_s)}s" if back_off_s < 60 else f"{int(back_off_s) // 60}m{int(back_off_s) % 60}s"
        self._waiting("CrashLoopBackOff", f"back-off {waited} restarting failed container={self.name} pod={identity}")
        await self._worker.pace.sleep(back_off_s)

    def _waiting(self, reason: str, message: str) -> None:
        self.status.update(state={"waiting": {"reason": reason, "message": message}}, ready=False, started=False)
        self._worker.publish()

    def report(self) -> Obj:
        """The containerStatus for the API."""
        report: Obj = clone(self.status)
        if "running" in report["state"] or "terminated" in report["state"] or report["restartCount"]:
            report["containerID"] = self._container_id()
        return report

    def _container_id(self) -> str:
        identity = f"{uid_of(self._worker.pod)}/{self.name}/{self.status['restartCount']}"
        return f"containerd://{hashlib.sha256(identity.encode()).hexdigest()}"

    def _tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        record = self._worker.recorder.warning if warning else self._worker.recorder.normal
        record(self._worker.pod, reason, message, "kubelet", self.field_path)


def _image_id(image: str) -> str:
    """The image by digest; a reference without one gets a stable made-up digest."""
    if "@" in image:
        return image
    base, colon, tag = image.rpartition(":")
    name = base if colon and "/" not in tag else image
    return f"{name}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
