"""Pods of one namespace: listed, and examined for why they aren't well. Events and log tails are extras: a trouble is told without them too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from integrations.kubernetes.calls import Json, KubernetesCalls
from integrations.kubernetes.troubles import needs_log, pod_troubles
from runbook.errors import ForgeError
from runbook.ports import PodTrouble

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, CoreV1Api

_LOG_LINES = 20
_LOG_BYTES = 2048


class Pods:
    def __init__(self, calls: KubernetesCalls, namespace: str, now: Callable[[], datetime]) -> None:
        self._calls = calls
        self._namespace = namespace
        self._now = now

    async def found(self, selector: str) -> list[Json]:
        """Those with these labels. Raises the calls' errors."""
        return await self._calls.items(
            "list pods",
            lambda client: core(client).list_namespaced_pod(
                self._namespace, label_selector=selector, **self._calls.options
            ),
        )

    async def examined(self, pod: Json) -> tuple[PodTrouble, ...]:
        """Its troubles with what its events and its log say."""
        events = await self.events("Pod", pod["metadata"])
        troubles = pod_troubles(pod, events, self._now())
        tails = await asyncio.gather(*(self._log_tail(trouble) for trouble in troubles))
        return tuple(replace(trouble, log_tail=tail) for trouble, tail in zip(troubles, tails, strict=True))

    def glanced(self, pod: Json) -> tuple[PodTrouble, ...]:
        """Its troubles by its own object alone."""
        return pod_troubles(pod, (), self._now())

    async def events(self, kind: str, metadata: Json) -> list[Json]:
        """The events about this object; empty where they can't be read."""
        about = f"involvedObject.kind={kind},involvedObject.name={metadata['name']}"
        if metadata.get("uid"):
            about += f",involvedObject.uid={metadata['uid']}"
        try:
            return await self._calls.items(
                "list events",
                lambda client: core(client).list_namespaced_event(
                    self._namespace, field_selector=about, limit=200, **self._calls.options
                ),
            )
        except ForgeError:
            return []

    async def _log_tail(self, trouble: PodTrouble) -> str:
        """The crashed container's last lines. It may be restarted at any moment: the run before is asked for first."""
        if not needs_log(trouble):
            return ""
        for previous in (True, False):
            try:
                text = await self._calls.text(
                    "get pods/log",
                    lambda client, previous=previous: core(client).read_namespaced_pod_log(  # type: ignore[misc]
                        trouble.pod,
                        self._namespace,
                        container=trouble.container,
                        previous=previous,
                        tail_lines=_LOG_LINES,
                        limit_bytes=16 * _LOG_BYTES,
                        **self._calls.options,
                    ),
                )
            except ForgeError:
                continue
            if text.strip():
                return "\n".join(text.strip().splitlines()[-_LOG_LINES:])[-_LOG_BYTES:]
        return ""


def core(client: ApiClient) -> CoreV1Api:
    from kubernetes_asyncio.client import CoreV1Api

    return CoreV1Api(client)
