import asyncio
from datetime import timedelta

from tests.fakes.clock import NOON, SimulatedClock


async def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    clock, woken = SimulatedClock(), []

    async def sleeper(hours: int) -> None:
        await clock.sleep_until(NOON + timedelta(hours=hours))
        woken.append((hours, clock.now()))

    tasks = [asyncio.create_task(sleeper(hours)) for hours in (3, 1, 2)]
    await clock.advance(timedelta(hours=2))
    assert woken == [(1, NOON + timedelta(hours=1)), (2, NOON + timedelta(hours=2))]
    await clock.advance(3600)
    await asyncio.gather(*tasks)
    assert clock.now() == NOON + timedelta(hours=3)


async def test_a_loop_of_sleeps_runs_at_each_of_its_moments_within_one_advance() -> None:
    clock, ticks = SimulatedClock(), []

    async def loop() -> None:
        while True:
            await clock.sleep_until(clock.now() + timedelta(seconds=1))
            ticks.append(clock.now())

    task = asyncio.create_task(loop())
    await clock.advance(10)
    assert len(ticks) == 10
    task.cancel()


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = SimulatedClock()
    task = asyncio.create_task(clock.sleep_until(NOON + timedelta(hours=1)))
    await clock.settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.next_wake is None


async def test_time_stands_still_while_work_goes_on_in_a_thread() -> None:
    busy = True
    clock = SimulatedClock(busy=lambda: busy)

    async def work() -> None:
        nonlocal busy
        await asyncio.to_thread(lambda: None)
        busy = False

    sleeping = asyncio.create_task(clock.sleep_until(NOON + timedelta(seconds=1)))
    working = asyncio.create_task(work())
    await clock.run_until(working.done)
    assert clock.now() == NOON
    await clock.run_until(sleeping.done)
    assert clock.now() == NOON + timedelta(seconds=1)
