"""Questions that take their time: asked outside of any transaction, answered in one. They change nothing but what is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.answers import Answer
from engine.intents import Intent
from engine.journal import Turn
from engine.metrics_lookup import look_up_metrics
from engine.naming import service_named
from engine.oncall_lookup import look_up_people
from engine.ports import Store
from engine.records import Received
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.values import Actor


@dataclass(frozen=True)
class Asking:
    """What a look-up may use. store: for reads."""

    intent: Intent
    actor: Actor
    ports: Ports
    setting: Setting
    store: Store


Finish = Callable[[Turn, Received | None], Answer]
"""The second half of a look-up, in the transaction that answers: it may add to the outbox."""

Lookup = Callable[[Asking], Awaitable[Finish]]


def saying(answer: Answer) -> Finish:
    """An answer that needs nothing else."""
    return lambda _turn, _received: answer


async def _metrics(asking: Asking) -> Finish:
    service = service_named(asking.setting, asking.intent.service)
    if isinstance(service, Answer):
        return saying(service)
    looked = await look_up_metrics(asking.ports, asking.setting.policy, service, asking.intent.environment)
    if isinstance(looked, Answer):
        return saying(looked)

    def finish(turn: Turn, received: Received | None) -> Answer:
        if received is not None:
            looked.show(turn, asking.actor, received)
        return looked.answer()

    return finish


async def _oncall(asking: Asking) -> Finish:
    return saying(await look_up_people(asking.ports, asking.setting.policy))


LOOKUPS: Mapping[str, Lookup] = {"metrics": _metrics, "oncall": _oncall}
"""By command."""
