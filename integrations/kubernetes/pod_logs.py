"""The logs of a Deployment's newest pods: the end of each, in bounded memory and time. It only reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime

from integrations.kubernetes.calls import Json, KubernetesCalls
from integrations.kubernetes.output import Tail
from integrations.kubernetes.pods import core
from runbook.errors import Permanent
from runbook.ports import JobLog, PodOfWorkload

_NO_LOG = ("kubernetes.not_found", "kubernetes.bad_request")
"""The pod went; "container is waiting to start", "previous terminated container not found"."""

_SHORT_LINE = 64
"""So many lines are asked for as the bytes would hold of this length: a log of longer lines is cut here."""

_FEWER = 16
_MOST_OVER = 16
"""How much more than is kept may come, before fewer lines are asked for."""

_WITHIN_S = 30.0


class KubernetesPodLogs:
    def __init__(self, calls: KubernetesCalls, namespace: str, now: Callable[[], datetime]) -> None:
        self._calls = calls
        self._namespace = namespace
        self._now = now

    async def log(
        self, pod: str, container: str, since: datetime, most_bytes: int, *, previous: bool = False
    ) -> JobLog | None:
        """See the port. The API counts bytes from the beginning of what it sends, so that `limitBytes` would cut the end away: the end is
        asked for by lines, and by fewer where they are so long that they don't come to their end.
        """
        lines = max(1, most_bytes // _SHORT_LINE)
        while True:
            tail = Tail(most_bytes, _MOST_OVER * most_bytes)
            try:
                complete = await self._read(pod, container, since, lines, tail, previous=previous)
            except Permanent as error:
                if error.code in _NO_LOG:
                    return None
                raise
            found = tail.log(complete=complete)
            if complete or found.size_bytes <= _MOST_OVER * most_bytes or lines == 1:
                return found
            lines = max(1, lines // _FEWER)

    async def _read(
        self, pod: str, container: str, since: datetime, lines: int, tail: Tail, *, previous: bool
    ) -> bool:  # fmt: skip
        since_s = max(1, math.ceil((self._now() - since).total_seconds()))
        return await self._calls.stream(
            "get pods/log",
            lambda client: core(client).read_namespaced_pod_log(
                pod,
                self._namespace,
                container=container,
                previous=previous,
                since_seconds=since_s,
                tail_lines=lines,
                **self._calls.stream_options,
            ),
            tail.take,
            within_s=_WITHIN_S,
        )


def pod_of(pod: Json) -> PodOfWorkload:
    """Raises KeyError and the like for what is no pod."""
    statuses: list[Mapping[str, object]] = (pod.get("status") or {}).get("containerStatuses") or []
    restarts = {str(each["name"]): int(str(each.get("restartCount") or 0)) for each in statuses}
    return PodOfWorkload(str(pod["metadata"]["name"]), restarts)
