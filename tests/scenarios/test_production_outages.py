"""Prometheus, the Kubernetes API or Slack is away for ten minutes at each phase of production and in its rollback: held or going on, told, and
resumed; nothing is rolled back for it. A full or locked database beside a bad canary: it is rolled back all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Decision, IncidentRow, Outgoing, Run
from runbook.errors import StoreUnavailable, Temporary
from tests.fakes.clock import NOON
from tests.scenarios.production import NEW, OLD, PROMOTE, SIZE, ProductionStage, policy_with, production
from tests.scenarios.stage import StoreTrouble
from tests.scenarios.test_scenario_26_slack_down import FAULTS, FailingChat
from tests.scenarios.two_tracks import CANARY, HEALTHY

POLICY = policy_with(phase_s=30.0, phase_max_s=300.0, watch_s=60.0, quiet_s=30.0)
LONGER = policy_with(phase_s=120.0, phase_max_s=300.0, watch_s=300.0, quiet_s=30.0)
"""Where a breach is awaited in a phase."""

AWAY = timedelta(minutes=10)
BACK = "Shift traffic back to the last known good version"


@dataclass(frozen=True)
class Place:
    """title: of the step that the outage begins in. weights: what was written until then. next_at: the step that must be reached afterwards;
    empty: the end."""

    title: str
    weights: tuple[int, ...]
    next_at: str
    ending: str = "completed"


PLACES = {
    "at 5 %": Place("Observe 5 %", (5,), "Observe 25 %"),
    "at 25 %": Place("Observe 25 %", (5, 25), "Observe 100 %"),
    "at 100 %": Place("Observe 100 %", (5, 25, 100), "Elevated watch"),
    "in the watch": Place("Elevated watch", (5, 25, 100), "Make it stable"),
    "in the take-over": Place("Make it stable", (5, 25, 100), ""),
    "in the rollback": Place(BACK, (5, 25, 100, 60), "", "returned"),
}


async def reaches(s: ProductionStage, place: Place) -> None:
    """In the middle of that step."""
    if place.title == BACK:
        await s.rolls_out_to(100)
        s.world.cluster.resize("web", 4)
        s.world.cluster.start_s = 60.0
        await s.says("olly", "rollback prod")
    else:
        await s.begins()
        if place.title == "Make it stable":
            await s.until_at("Elevated watch")
            s.world.cluster.start_s = 30.0
    await s.until_at(place.title)
    await s.clock.advance(10)
    await s.shown_all()
    assert tuple(s.weights) == place.weights


async def goes_on(s: ProductionStage, place: Place) -> None:
    """Where it was held somebody tries again; nothing is lost and nothing is done twice."""
    if s.run().state == "held":
        await s.says("ada", "retry prod-1")
    if place.next_at and s.run().state != "ended":
        await s.until(lambda: s.at() == place.next_at or s.run().state in ("held", "ended"))
        assert (s.run().state, s.at()) == ("running", place.next_at)
    else:
        assert await s.ends() == place.ending
    weights = {"completed": (5, 25, 100, 0), "returned": (*place.weights, 0)}[place.ending]
    assert tuple(s.weights) == weights[: len(s.weights)]
    assert s.run().ending in (None, place.ending)
    if place.ending == "returned":
        assert s.is_as_before()
    elif s.run().state == "ended":
        assert (s.images(), s.replicas(), s.weight) == (NEW, dict.fromkeys(NEW, SIZE), 0)
    if place.ending == "completed":
        assert s.run().interrupt is None
        assert [d.result for d in s.rows(Decision, environment="prod")] in ([], ["released"])
        assert s.rows(IncidentRow) == [], "nothing is rolled back for it"


def prometheus_away(s: ProductionStage) -> None:
    until = s.clock.now() + AWAY
    gone = Temporary("prometheus", "unreachable", "Prometheus can't be reached")
    s.tracks.trouble = lambda expression, at: gone if s.clock.now() < until else HEALTHY


def kubernetes_away(s: ProductionStage) -> None:
    cluster = s.world.cluster
    begins_s = (s.clock.now() - NOON).total_seconds()
    cluster.away = (begins_s, begins_s + AWAY.total_seconds())

    def failing(method: str) -> Callable[..., Awaitable[Any]]:
        plain = getattr(cluster, method)

        async def asked(*args: Any) -> Any:
            cluster._fail(method)
            return await plain(*args)

        return asked

    for method in ("rollout", "set_images"):
        setattr(cluster, method, failing(method))


@pytest.mark.parametrize("where", PLACES)
async def test_prometheus_is_away_for_ten_minutes_held_or_going_on_told_and_resumed(tmp_path: Path, where: str) -> None:
    place = PLACES[where]
    async with production(tmp_path, policy=POLICY) as s:
        await reaches(s, place)
        prometheus_away(s)
        await s.clock.advance(AWAY)
        await s.shown_all()
        if place.next_at:
            assert s.run().state == "held"
            assert tuple(s.weights) == place.weights
            assert any("guards have no data" in note for note in s.notes)
            [held] = [note for note in s.notes if "prod-1 is held" in note]
            assert "Prometheus can't be reached" in held
            await s.clock.advance(30)
        else:
            assert s.run().state == "ended", "neither a take-over nor a rollback waits for numbers"
        await goes_on(s, place)


@pytest.mark.parametrize("where", PLACES)
async def test_the_kubernetes_api_is_away_for_ten_minutes_held_or_going_on_told_and_resumed(
    tmp_path: Path, where: str
) -> None:
    place = PLACES[where]
    async with production(tmp_path, policy=POLICY) as s:
        await reaches(s, place)
        kubernetes_away(s)
        await s.clock.advance(AWAY - timedelta(seconds=15))
        await s.shown_all()
        assert tuple(s.weights) == place.weights
        if place.title == BACK:
            assert (s.run().state, s.at()) == ("running", BACK), "there is nowhere better to go: it goes on trying"
        else:
            assert s.run().state == "held"
            [held] = [note for note in s.notes if "prod-1 is held" in note]
            assert "the Kubernetes API can't be reached" in held
        await s.clock.advance(30)
        await goes_on(s, place)


class MuteChat(FailingChat):
    """Files don't arrive either."""

    async def upload(self, *args: Any, **more: Any) -> None:
        if self.down:
            self.tries += 1
            raise FAULTS[self.down]()
        await super().upload(*args, **more)


@pytest.mark.parametrize("where", PLACES)
async def test_slack_is_away_for_ten_minutes_the_release_goes_on_and_afterwards_each_message_shows_the_truth_once(
    tmp_path: Path, where: str
) -> None:
    place, chat = PLACES[where], MuteChat()
    async with production(tmp_path, policy=POLICY, chat=chat) as s:
        await reaches(s, place)
        chat.down, chat.tries = "unreachable", 0
        was, messages = s.at(), len(chat.messages)
        await s.clock.advance(AWAY)
        assert (s.at() != was, len(chat.messages)) == (True, messages)
        assert chat.tries < 100
        chat.down = ""
        await s.shown_all()
        await assert_shown_once(s, chat)
        assert (s.run().ending or s.at()) in s.headline
        await goes_on(s, place)


async def assert_shown_once(s: ProductionStage, chat: FailingChat) -> None:
    assert set(chat.posts.values()) == {1}
    assert s.rows(Outgoing, state=["pending", "sending"]) == []
    assert max(Counter(m.message_id for m in chat.messages).values()) == 1
    assert max(Counter(upload.name for upload in chat.uploads).values(), default=1) == 1
    for channel in ("C1", "C2"):
        notes = [m.message_id for m in chat.messages if m.message_id.startswith("note:") and m.channel == channel]
        numbers = [int(name.rpartition("#")[2]) for name in notes]
        assert numbers == sorted(numbers)


# --- and a bad canary meanwhile ---------------------------------------------------------------------------------------


async def test_a_bad_canary_while_slack_is_away_is_rolled_back_at_once_and_told_of_once_afterwards(
    tmp_path: Path,
) -> None:
    chat = MuteChat()
    async with production(tmp_path, policy=LONGER, chat=chat) as s:
        await reaches(s, PLACES["at 25 %"])
        chat.down = "unreachable"
        s.tracks.fails(CANARY, 0.3)
        await s.clock.advance(AWAY)
        assert s.run().ending == "returned"
        assert s.is_as_before()
        chat.down = ""
        await s.shown_all()
        await assert_shown_once(s, chat)
        assert "returned" in s.headline
        assert sum("Timeline" in text for text in s.incident_messages) == 1


async def test_a_bad_canary_while_prometheus_is_away_is_rolled_back_by_what_prometheus_kept_once_it_answers(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, policy=LONGER) as s:
        await reaches(s, PLACES["at 25 %"])
        prometheus_away(s)
        begun = s.clock.now()
        s.tracks.fails(CANARY, 0.3)
        await s.clock.advance(AWAY - timedelta(seconds=15))
        assert s.weights == [5, 25]
        s.tracks.fails(CANARY, 0.001, since=begun + AWAY - timedelta(seconds=30))
        assert (await s.until_state("ended")).ending == "returned", "out of its hold, too"
        assert s.run().facts["decided_at"] <= (begun + AWAY + timedelta(seconds=45)).isoformat()
        assert s.weights == [5, 25, 0]
        assert s.is_as_before()


async def test_a_bad_canary_while_the_kubernetes_api_is_away_is_rolled_back_as_soon_as_it_answers(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, policy=LONGER) as s:
        await reaches(s, PLACES["at 25 %"])
        kubernetes_away(s)
        begun = s.clock.now()
        await s.clock.advance(30)
        s.tracks.fails(CANARY, 0.3)
        await s.clock.advance(AWAY - timedelta(seconds=60))
        await s.shown_all()
        assert (s.at(), s.weights) == (BACK, [5, 25])
        assert await s.ends() == "returned"
        back = next(write for write in s.world.cluster.moved if (write.what, write.number) == ("weight web", 0))
        assert timedelta() <= back.at - begun - AWAY <= timedelta(seconds=2)
        assert s.weights == [5, 25, 0]
        assert s.is_as_before()


# --- the database -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def troubled(path: Path, where: str) -> AsyncIterator[tuple[ProductionStage, StoreTrouble]]:
    trouble = StoreTrouble()
    async with production(path, policy=LONGER, trouble=trouble) as s:
        await reaches(s, PLACES[where])
        yield s, trouble


@pytest.mark.parametrize("where", ["at 5 %", "at 25 %", "at 100 %", "in the watch"])
async def test_disk_full_and_a_bad_canary_it_is_rolled_back_in_the_ballasts_room_and_nothing_new_starts(
    tmp_path: Path, where: str
) -> None:
    async with troubled(tmp_path, where) as (s, trouble):
        trouble.tight = True
        assert not s.store.healthy or trouble.tight
        since = s.clock.now()
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        assert s.clock.now() - since < timedelta(minutes=3)
        assert s.weights == [*PLACES[where].weights, 0]
        assert s.is_as_before()
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        answer = await s.says("ada", PROMOTE)
        assert "forge can't keep its records at the moment, so nothing new is started" in answer
        assert len(s.rows(Run)) == 1


async def test_a_rollback_asked_for_by_a_person_begins_with_a_full_disk_too(tmp_path: Path) -> None:
    async with troubled(tmp_path, "at 25 %") as (s, trouble):
        trouble.tight = True
        assert "is rolled back" in await s.says("olly", 'rollback prod --reason "orders fail"')
        assert await s.ends() == "returned"
        assert s.is_as_before()


async def test_with_only_the_ballasts_room_left_no_more_traffic_moves_to_the_canary(tmp_path: Path) -> None:
    async with troubled(tmp_path, "at 5 %") as (s, trouble):
        trouble.tight = True
        await s.clock.advance(timedelta(minutes=20))
        state, weights = s.run().state, list(s.weights)
        trouble.tight = False
        assert (state, weights) in (("running", [5, 25, 100]), ("running", [5]))
        await s.until_at("Elevated watch")


async def test_a_breach_that_a_locked_database_could_not_take_is_acted_on_as_soon_as_it_can(tmp_path: Path) -> None:
    async with troubled(tmp_path, "at 25 %") as (s, trouble):
        trouble.full = True
        s.tracks.fails(CANARY, 0.3)
        with pytest.raises(StoreUnavailable):
            await s.says("rob", PROMOTE)
        await s.clock.advance(timedelta(minutes=5))
        assert s.weights == [5, 25]
        s.tracks.fails(CANARY, 0.001)
        trouble.full = False
        assert await s.ends() == "returned"
        assert s.weights == [5, 25, 0]
        assert s.is_as_before()
        assert len(s.rows(Run)) == 1


@pytest.mark.parametrize("where", ["at 5 %", "in the watch", "in the take-over"])
async def test_a_full_disk_alone_rolls_nothing_back_and_afterwards_the_release_goes_on(
    tmp_path: Path, where: str
) -> None:
    async with troubled(tmp_path, where) as (s, trouble):
        trouble.full = True
        await s.clock.advance(AWAY)
        assert tuple(s.weights) == PLACES[where].weights or where == "in the take-over"
        assert {name: s.images()[name] for name in OLD} == OLD or where == "in the take-over"
        trouble.full = False
        await goes_on(s, PLACES[where])
