"""Reads the logs of what was deployed, and looks for lines that must not be there. It only reads, in bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from runbook.plan import Scene
from runbook.policy import Workload
from runbook.ports import Cluster, PodOfWorkload
from runbook.rules.log_lines import GATE, LogSight, judge_logs, matching_lines
from runbook.steps.asking import Verdicts, all_asked
from runbook.verdicts import Verdict

MOST_PODS = 50
"""Of one workload; dev's are few. What is beyond them is not read, and so unknown."""

_MOST_MATCHES = 1000


@dataclass(frozen=True)
class CleanLogs:
    """No pod of the newest ReplicaSet has logged more than `tolerated` matching lines since the deployment began (the fact
    `before_effects_at`), the run before a restart included. log_bytes: of the end of each log."""

    workloads: tuple[Workload, ...]
    patterns: tuple[str, ...]
    log_bytes: int
    tolerated: int
    kind: Literal["clean_logs"] = "clean_logs"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        begun = scene.facts.get("before_effects_at")
        if not isinstance(begun, str):
            reason = "this run has not recorded when it began to deploy"
            return (Verdict.no_data(GATE, "logs.no_deployment", reason),), True
        since = datetime.fromisoformat(begun)
        return await all_asked(*((f"{GATE}: {w.name}", self._workload(scene, w, since)) for w in self.workloads))

    async def _workload(self, scene: Scene, workload: Workload, since: datetime) -> Verdicts:
        cluster = scene.ports.clusters[scene.environment]
        pods = await cluster.pods_of(workload.name)
        sight = LogSight(workload.name, len(pods), 0, 0)
        for pod in pods[:MOST_PODS]:
            for previous in (False, True) if pod.restarts.get(workload.container, 0) else (False,):
                sight = await self._read(cluster, pod, workload.container, since, sight, previous=previous)
        if len(pods) > MOST_PODS:
            sight = replace(sight, missing=(*sight.missing, f"{len(pods) - MOST_PODS} more pods are not read"))
        return (judge_logs(sight, self.tolerated),)

    async def _read(
        self, cluster: Cluster, pod: PodOfWorkload, container: str, since: datetime, sight: LogSight, *, previous: bool
    ) -> LogSight:
        where = f"{pod.name}/{container}" + (" (before its restart)" if previous else "")
        log = await cluster.pod_log(pod.name, container, since, self.log_bytes, previous=previous)
        if log is None:
            return replace(sight, missing=(*sight.missing, f"{where} has none now"))
        missing = sight.missing if log.complete else (*sight.missing, f"{where} was not read to its end")
        matches = [*sight.matches]
        for text in _portions(log.text):
            matches += matching_lines(where, text, self.patterns)
            await asyncio.sleep(0)  # others have their turn: a megabyte of lines takes a while
        return replace(
            sight,
            size_bytes=sight.size_bytes + len(log.text.encode(errors="replace")),
            lines=sight.lines + len(log.text.splitlines()),
            matches=tuple(matches[:_MOST_MATCHES]),
            missing=missing,
            cut=sight.cut or log.cut,
        )


def _portions(text: str) -> Sequence[str]:
    """Whole lines, some thousands at a time."""
    lines = text.split("\n")
    return ["\n".join(lines[at : at + 2000]) for at in range(0, len(lines), 2000)]
