"""Which commits were validated in dev, from the recorded results and their runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.memory import LedgerMemory
from engine.ports import Ledger
from engine.records import Decision, Run, RunState, Segment
from runbook.plan import Plan, canonical, hash_of, to_json
from runbook.values import Environment, Release
from state.store import SqlStore
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import COMMIT, RELEASE

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
BUILD = replace(RELEASE, version=COMMIT[:12], tag_object="", signer="")
NEXT = replace(BUILD, version="d" * 12, commit="d" * 40)
SMOKE = {"smoke": {"outcome": "pass", "requests": 4}}


def rows(place: int, release: Release, result: str) -> list[Any]:
    """A run in dev that has ended, with its plan and its result."""
    id, at = f"dev-{place}", START + timedelta(minutes=place)
    plan = Plan(procedure="dev", service="shop", environment=Environment.DEV, version=release.version, nodes=())
    text = canonical(plan)
    run = Run(
        id=id, number=place, service="shop", environment="dev", procedure="dev", version=release.version, arguments={},
        requester="forge", requester_name="forge", state=RunState.ENDED, facts={**SMOKE, "place": place},
        setting_hash="s1", created_at=at,
    )  # fmt: skip
    segment = Segment(
        run=id, number=1, procedure="dev", plan=text, hash=hash_of(text), first_index=0, created_at=at
    )  # fmt: skip
    decision = Decision(
        run=id, service="shop", environment="dev", version=release.version, result=result, release=to_json(release),
        approvers=[], at=at,
    )  # fmt: skip
    return [run, segment, decision]


async def told(store: SqlStore, *results: tuple[Release, str]) -> LedgerMemory:
    """results: in order of time, a minute apart."""

    def keep(ledger: Ledger) -> None:
        for place, (release, result) in enumerate(results, 1):
            for row in rows(place, release, result):
                ledger.add(row)

    await store.write(keep)
    return LedgerMemory(store, SimulatedClock())


async def test_the_newest_run_that_validated_a_commit_is_found_with_its_facts(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "validated"), (NEXT, "validated"), (BUILD, "validated"))
    found = await memory.validated("shop", COMMIT)
    assert found is not None
    assert (found.run, found.version, found.release) == ("dev-3", COMMIT[:12], BUILD)
    assert found.facts["smoke"] == SMOKE["smoke"]
    assert found.at == START + timedelta(minutes=3)


async def test_a_commit_that_no_run_validated_is_unknown(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "validated"), (NEXT, "not_validated"))
    assert await memory.validated("shop", "d" * 40) is None
    assert await memory.validated("shop", "e" * 40) is None
    assert await memory.validated("desk", COMMIT) is None


@pytest.mark.parametrize("later", ["not_validated", "rolled_back"])
async def test_a_later_run_that_left_it_takes_the_validation_away(store: SqlStore, later: str) -> None:
    memory = await told(store, (NEXT, "validated"), (BUILD, "validated"), (BUILD, later))
    assert await memory.validated("shop", COMMIT) is None
    assert await memory.last_go("shop", Environment.DEV) == NEXT


async def test_a_commit_that_failed_first_may_be_validated_later(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "not_validated"), (BUILD, "validated"))
    assert await memory.validated("shop", COMMIT) is not None


async def test_another_commits_failure_takes_nothing_away(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "validated"), (NEXT, "not_validated"))
    assert await memory.validated("shop", COMMIT) is not None


async def test_what_runs_in_dev_is_the_newest_that_was_validated(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "validated"), (NEXT, "not_validated"))
    assert await memory.last_go("shop", Environment.DEV) == BUILD
    assert [each.run for each in await memory.released("shop", Environment.DEV)] == ["dev-1"]
    assert await memory.last_go("shop", Environment.STAGING) is None


async def test_a_validation_in_dev_is_no_go_in_staging(store: SqlStore) -> None:
    memory = await told(store, (BUILD, "validated"))
    assert await memory.go_for("shop", COMMIT) is None
    assert await memory.released("shop", Environment.STAGING) == ()
