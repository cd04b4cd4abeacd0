"""Probes: their delays, periods and thresholds, and the events a failing one leaves. Answers come from the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.pace import Pace

Ask = Callable[[Obj], Awaitable[bool]]


@dataclass(frozen=True)
class Answer:
    """What one probe said. message: as the kubelet's event has it; empty on success."""

    ok: bool
    message: str = ""


class Prober:
    """One probe of one container. kind: `Readiness`, `Liveness` or `Startup`."""

    def __init__(self, kind: str, probe: Obj, ask: Ask, pace: Pace, address: str) -> None:
        self.kind = kind
        self._probe = probe
        self._ask = ask
        self._pace = pace
        self._address = address

    async def run(self, judged: Callable[[bool], None], failed: Callable[[str], None], startup_s: float) -> None:
        """Probe for ever: `judged` after the threshold of equal answers, `failed` with each failure's message.

        startup_s: simulated seconds that the container needs before it can answer anything.
        """
        await self._pace.sleep(max(self._probe.get("initialDelaySeconds") or 0, startup_s))
        equal, last = 0, None
        while True:
            answer = await self.once()
            equal = equal + 1 if answer.ok is last else 1
            last = answer.ok
            if not answer.ok:
                failed(f"{self.kind} probe failed: {answer.message}")
            if equal >= self._probe["successThreshold" if answer.ok else "failureThreshold"]:
                judged(answer.ok)
            await self._pace.sleep(self._probe["periodSeconds"])

    async def once(self) -> Answer:
        get = self._probe.get("httpGet") or {}
        url = f'Get "{get.get("scheme", "HTTP").lower()}://{self._address}:{get.get("port", "")}{get.get("path", "")}"'
        try:
            # A real time-out: the answer may come from a real process, whose speed the pace does not change.
            async with asyncio.timeout(self._probe.get("timeoutSeconds") or 1):
                ok = await self._ask(self._probe)
        except TimeoutError:
            return Answer(False, f"{url}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        except OSError as error:
            return Answer(False, f"{url}: dial tcp {self._address}:{get.get('port', '')}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001 - whatever a runtime's client raises is a failed probe, no end of probing
            return Answer(False, f"{url}: {error!r}")
        return Answer(True) if ok else Answer(False, "HTTP probe failed with statuscode: 503")
