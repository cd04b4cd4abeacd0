"""`forge serve` as it is, which also tells the benchmark on standard output when something happened. Changes nothing of what it does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from bot import serve
from bot.assembly import Bot
from engine.records import Run
from runbook.errors import ForgeError


def tell(what: str, **more: Any) -> None:
    line = json.dumps({"bench": what, "at": time.monotonic(), **more})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class TellingBot(Bot):
    """Tells `started`, `looked` when as many different runs were looked at as was asked for, `decided`, and `guarded` after each round."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._wanted = int(os.environ.get("BENCH_LOOKED_AT") or 0)
        self._looked: set[str] = set()
        self._listen()

    def _listen(self) -> None:
        decided, changed, judged = self.engine.desk.decided, self.engine.interpreter.changed, self.engine.guards.judged

        def on_decided(run_id: str, what: str) -> None:
            tell("decided", run=run_id, answer=what)
            decided(run_id, what)

        def on_changed(run: Run, span: Any) -> None:
            changed(run, span)
            self._look(run.id)

        def on_judged(seconds: float, outcomes: dict[str, int]) -> None:
            judged(seconds, outcomes)
            tell("guarded", seconds=seconds, outcomes=outcomes)

        self.engine.desk.decided = on_decided
        self.engine.interpreter.changed = on_changed
        self.engine.guards.judged = on_judged

    def _look(self, run_id: str) -> None:
        if len(self._looked) < self._wanted:
            self._looked.add(run_id)
            if len(self._looked) == self._wanted:
                tell("looked", runs=self._wanted)

    async def start(self) -> None:
        tell("starting")
        await super().start()
        if os.environ.get("BENCH_CLUSTERS"):
            await self._ask_everybody()
        tell("started")

    async def _ask_everybody(self) -> None:
        """Asks each cluster and each Prometheus something, as the first deployment after a start does; whether anybody answers is no matter."""
        asked = [cluster.deployment("bench") for cluster in self.adapters.clusters.values()]
        asked += [metrics.query("up") for metrics in self.adapters.metrics.values()]  # type: ignore[misc]
        asked += [self.adapters.code.tag("acme/svc-0001", "v1.0.0-rc.1")]  # type: ignore[list-item]
        for answer in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, ForgeError):
                raise answer


if __name__ == "__main__":
    serve.Bot = TellingBot  # type: ignore[attr-defined]
    sys.exit(serve.main(None))
