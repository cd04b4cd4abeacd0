"""What happens behind the shop's counter: accepted orders wait in a queue until one of the workload's pods has shipped them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from sandbox.shop.pods import ShopPod

if TYPE_CHECKING:
    from sandbox.shop.shop import Shop

SHIPPING_S = 0.005
LOOKS_AGAIN_AFTER_S = 0.2
MOST_WAITING = 20_000
ATTEMPTS = 3


class OrderQueue:
    """The orders of one workload's track in one environment. Pods of other tracks help out where the track has none.

    Track "" is any: its pods take turns, so that each track ships by its number of pods.

    A full queue forgets the oldest: nothing grows for ever.
    """

    def __init__(self, shop: Shop, env: str, workload: str, track: str) -> None:
        self.name = f"{workload}-orders"
        self.env, self.workload, self.track = env, workload, track
        self._shop = shop
        self._accepted: deque[float] = deque(maxlen=MOST_WAITING)
        self._news = asyncio.Event()
        self._turn = 0

    @property
    def depth(self) -> int:
        return len(self._accepted)

    @property
    def lag_s(self) -> float:
        """How long the oldest order has waited; 0 where none waits."""
        return time.monotonic() - self._accepted[0] if self._accepted else 0.0

    def put(self) -> None:
        self._accepted.append(time.monotonic())
        self._news.set()

    async def work(self) -> None:
        """Ship one after the other, until it is cancelled. An order stays in the queue while nobody is able to."""
        while True:
            await self._news.wait()
            pod = self._worker()
            await asyncio.sleep(SHIPPING_S if pod else LOOKS_AGAIN_AFTER_S)
            if pod is not None and self._shop.runs(pod) and self._accepted:
                self._accepted.popleft()
                self._ship(pod)
            if not self._accepted:
                self._news.clear()

    def _worker(self) -> ShopPod | None:
        pods = [pod for pod in self._shop.pods.values() if (pod.env, pod.workload) == (self.env, self.workload)]
        own = [pod for pod in pods if pod.track == self.track] or pods
        able = [pod for pod in own if not self._shop.spoils.of_pod(pod).queue_backlog]
        self._turn += 1
        return able[self._turn % len(able)] if able else None

    def _ship(self, pod: ShopPod) -> None:
        self._shop.ask_dependency(pod, "carrier")
        failed = pod.owes("job", self._shop.spoils.of_pod(pod).job_failure_ratio)
        self._shop.meters[self.env].count_job(pod, succeeded=not failed)


class OrderQueues(dict[tuple[str, str, str], OrderQueue]):
    """By environment, workload and track; each is made when it is first asked for, with its worker."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop
        self._workers: dict[tuple[str, str, str], asyncio.Task[None]] = {}

    def __missing__(self, key: tuple[str, str, str]) -> OrderQueue:
        made = self[key] = OrderQueue(self._shop, *key)
        self._employ(key, made)
        return made

    def of(self, pod: ShopPod) -> OrderQueue:
        """Where this pod puts orders and takes them from: its own track's, or that of the worker, which all of its pods share."""
        worker = self._shop.worker_of(pod.env)
        return self[(pod.env, worker, "") if worker else (pod.env, pod.workload, pod.track)]

    def start(self) -> None:
        """Go on with what waits."""
        for key, queue in self.items():
            self._employ(key, queue)

    def _employ(self, key: tuple[str, str, str], queue: OrderQueue) -> None:
        if key not in self._workers:
            self._workers[key] = asyncio.create_task(queue.work(), name=f"orders of {'/'.join(key)}")

    async def stop(self) -> None:
        """What waits goes on waiting."""
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def tell(self, env: str) -> None:
        """Every pod that ships tells of its queue, as services do that ask the same broker."""
        for pod in self._shop.pods.values():
            if pod.env == env and pod.workload == (self._shop.worker_of(env) or pod.workload):
                queue = self.of(pod)
                self._shop.meters[env].set_queue(pod, queue.name, queue.depth, queue.lag_s)
