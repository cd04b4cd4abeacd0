"""A container whose image stands for a real program: pulled and reported as any other, run as a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.kubernetes.node import environment
from sandbox.kubernetes.node.container import ContainerWorker
from sandbox.kubernetes.node.process import Process, Processes, inherited
from sandbox.kubernetes.objects import Obj, name_of, uid_of
from sandbox.runtime import Crash

if TYPE_CHECKING:
    from sandbox.kubernetes.node.pod import PodWorker

CONFIGURED_AGAIN_S = 10.0
NEVER = "1970-01-01T00:00:00Z"
SHORTEST_GRACE_S = 1.0
"""Real seconds: the pace shortens the cluster's time, and a process needs its own to end."""


class RunningContainer(ContainerWorker):
    """Its life is the process's; probes are not asked, and it is ready while it runs."""

    def __init__(self, worker: PodWorker, spec: Obj, processes: Processes) -> None:
        super().__init__(worker, spec, is_app=False)
        self._cluster = worker.cluster
        self._programs = processes.programs
        self._folder = processes.folder
        self._process: Process | None = None
        self._is_ending = False
        self.log_file = self._log = self._new_log()

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        self._is_ending = True
        if self._process is None or self.life is None:
            return
        self._process.terminate()
        wait_s = max(grace_s * self._worker.pace.scale, min(grace_s, SHORTEST_GRACE_S))
        await asyncio.wait([self.life], timeout=wait_s)
        self.crash(Crash(exit_code=137))
        await asyncio.wait([self.life])

    def forget_logs(self) -> None:
        for path in (self.log_file, self.previous_log_file):
            if path is not None:
                path.unlink(missing_ok=True)

    def _exists(self, image: str) -> bool:
        return self._programs(image) is not None

    def _starts_again(self, how: Crash) -> bool:
        return not self._is_ending and super()._starts_again(how)

    def _begin_anew(self) -> None:
        super()._begin_anew()
        if self.previous_log_file is not None:
            self.previous_log_file.unlink(missing_ok=True)
        self.previous_log_file = self._log
        self.log_file = self._log = self._new_log()

    def _new_log(self) -> Path:
        path = self._folder / f"{uid_of(self._worker.pod)}_{self.name}_{self.status['restartCount']}.log"
        path.touch(mode=0o600)
        return path

    async def _live(self) -> Crash:
        argv, env = await self._configured()
        try:
            if not argv:
                raise FileNotFoundError("no command specified")
            process = await Process.start(argv, env, self._log)
        except OSError as error:
            return self._unstartable(argv[0] if argv else "", error)
        self._process = process
        asked = self._end = asyncio.get_running_loop().create_future()
        self._running(is_ready=True)
        ended: asyncio.Future[int] = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else Crash(exit_code=ended.result())
        finally:
            self._process = None
            await process.end()
            ended.cancel()

    async def _configured(self) -> tuple[list[str], dict[str, str]]:
        """(arguments, environment), as soon as everything that they refer to is there."""
        while True:
            pod = self._worker.pod
            try:
                named = environment.variables(self._cluster, pod, self.spec)
            except environment.Unconfigured as error:
                self._tell("Failed", f"Error: {error}", warning=True)
                self._waiting("CreateContainerConfigError", str(error))
                await self._worker.pace.sleep(CONFIGURED_AGAIN_S)
                continue
            prefix = self._programs(self.spec["image"]) or ()
            words = [*(self.spec.get("command") or ()), *(self.spec.get("args") or ())]
            env = {**inherited(), "HOSTNAME": name_of(pod), **named}
            return [*prefix, *environment.expanded(words, named)], env

    def _unstartable(self, program: str, error: OSError) -> Crash:
        """As containerd says it; such a container has never begun."""
        self._started_at = NEVER
        why = "executable file not found in $PATH" if isinstance(error, FileNotFoundError) else str(error.strerror)
        said = (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
            f'unable to start container process: error during container init: exec: "{program}": {why}: unknown'
        )
        self._tell("Created", f"Created container: {self.name}")
        self._tell("Failed", f"Error: {said}", warning=True)
        return Crash(exit_code=128, reason="StartError", message=said)
