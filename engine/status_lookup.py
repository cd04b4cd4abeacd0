"""`/forge status`: what runs where, held against what the clusters and GitHub say now. Asks side by side, each within a bound, and changes nothing.

What could not be asked is said beside the rest, which is shown all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from engine import present
from engine.answers import Answer, info
from engine.journal import Turn
from engine.lookups import Asking, Finish
from engine.places import Seen
from engine.records import Received
from engine.views import StatusView
from runbook.errors import ForgeError
from runbook.policy import Service
from runbook.ports import Cluster, Ports
from runbook.source import CommitInfo
from runbook.values import Environment

T = TypeVar("T")

LONGEST_S = 5.0
"""Of each question, its wait for its turn included: somebody looks at the screen."""

AT_ONCE = 10
_ON_BRANCH = 30


async def look_up_status(asking: Asking) -> Finish:
    """Of one service, where it was named and exists, else of all; so with the environment."""
    wanted, place = asking.intent.service, asking.intent.environment
    services = [s for name, s in asking.setting.services.items() if wanted in ("", name)]
    seen = await look_around(asking.ports, services, place)

    def finish(turn: Turn, _received: Received | None) -> Answer:
        view = present.status(turn, wanted, "" if place is None else place.value, seen)
        return info("status", said(view), view=view)

    return finish


async def look_around(ports: Ports, services: list[Service], environment: Environment | None = None) -> Seen:
    """environment: whose cluster alone is asked. Every question at once, at most `AT_ONCE` under way, none longer than `LONGEST_S`."""
    gate = asyncio.Semaphore(AT_ONCE)
    places = [
        (s, env, ports.clusters[env])
        for s in services
        for env in s.urls
        if env in ports.clusters and environment in (None, env)
    ]
    images, history, tags = await asyncio.gather(
        asyncio.gather(*(_bounded(gate, partial(_images, s, cluster)) for s, _, cluster in places)),
        asyncio.gather(*(_bounded(gate, partial(_history, s, ports)) for s in services)),
        asyncio.gather(*(_bounded(gate, partial(_tags, s, ports)) for s in services)),
    )
    return Seen(
        images={(s.name, env.value): found for (s, env, _), found in zip(places, images, strict=True)},
        history={s.name: found for s, found in zip(services, history, strict=True)},
        tags={s.name: found for s, found in zip(services, tags, strict=True)},
    )


async def _bounded(gate: asyncio.Semaphore, ask: Callable[[], Awaitable[T]]) -> T | str:
    """The answer, or in words why there is none."""
    try:
        async with asyncio.timeout(LONGEST_S), gate:
            return await ask()
    except ForgeError as error:
        return error.cause
    except TimeoutError:
        return f"no answer within {LONGEST_S:g} s"


async def _images(service: Service, cluster: Cluster) -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for workload in service.workloads:
        deployment = await cluster.deployment(workload.name)
        found[workload.name] = None if deployment is None else deployment.image_of(workload.container)
    return found


async def _tags(service: Service, ports: Ports) -> tuple[str, ...]:
    if not {Environment.STAGING, Environment.PROD} & service.urls.keys():
        return ()
    return await ports.code.tag_names(service.repository, "v")


async def _history(service: Service, ports: Ports) -> tuple[CommitInfo, ...]:
    if ports.source is None or Environment.DEV not in service.urls:
        return ()
    return await ports.source.commits(service.repository, service.branch, _ON_BRANCH)


def said(view: StatusView) -> str:
    """One sentence: how much is under way, and how much waits for somebody."""
    under_way, waits = len(view.active), len(view.waiting)
    if not under_way:
        return "Nothing is under way." if not view.queued else f"{len(view.queued)} queued, none under way."
    runs = "1 run is under way" if under_way == 1 else f"{under_way} runs are under way"
    if not waits:
        return f"{runs}, and none waits for anybody."
    return f"{runs}; {waits} {'question waits' if waits == 1 else 'questions wait'} for somebody."
